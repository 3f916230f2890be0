// SPDX-License-Identifier: MIT
#pragma once
// Compares the files of a DATA_DIR with what the journal's rows say of them (`atelier fsck`), and mends what
// can be mended without losing anything. Only while no server runs; blocks; one thread.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "files/blobs.hpp"
#include "files/data_folder.hpp"
#include "files/participant_folder.hpp"

namespace atelier::files {

/// A file that the journal names.
struct StoreRow {
  enum class Use {
    output,    // made by a job that lives or is in history; its owner may have removed the name
    unlinked,  // the same, and its name is still to be made
    input,     // a job that waits or runs will read it
  };
  Use use = Use::output;
  JobId job;
  ParticipantId participant;
  FolderType type = FolderType::output;
  std::string folder, name;         // as its owner sees it; folder "" is the type's folder itself
  std::optional<BlobInfo> content;  // absent: the journal was compacted since, only the name is known
};

struct StoreRows {
  std::vector<StoreRow> rows;        // of what should be there
  std::set<Digest> named;            // by any row at all, also of jobs that history has forgotten
  std::map<JobId, Epoch> live_jobs;  // those that have not ended, with the epoch of their last grant
};

enum class FindingKind {
  missing,      // a row whose content is nowhere: stays as it is
  not_seen,     // a name that cannot be looked at: stays as it is, and so do blobs that it might name
  blob_lost,    // the content of a row is under its owner's name only; mended by a blob made of it
  not_linked,   // the name of an unlinked commit; mended by making it
  damaged,      // a blob with another size or digest than its name says; mended by moving it away
  without_row,  // a blob that no row names; mended by moving it away
  foreign,      // in blobs/ or staging/, and nothing that Atelier puts there; mended by moving it away
  left_over,    // what was uploaded for a grant that is over or unknown; mended by moving it away
};
[[nodiscard]] std::string_view to_string(FindingKind kind);  // for people

struct Finding {
  FindingKind kind = FindingKind::missing;
  std::string path;                        // below DATA_DIR, of what would be moved; else empty
  std::uint64_t bytes = 0;                 // that lie there, or should
  std::string said;                        // which row, or what is wrong; one line, for people
  std::size_t row = 0;                     // place in StoreRows::rows, of the first three kinds
  std::uint32_t copy = 0;                  // not_linked: the name gets " (copy)"; 0 = as it is
  bool mended = false;                     // by repair_store
  std::string trouble;                     // why repair_store could not
  [[nodiscard]] std::string line() const;  // with every odd byte escaped
};

struct StoreReport {
  std::vector<Finding> findings;
  std::uint64_t blobs = 0, blob_bytes = 0;  // that lie there
  std::uint64_t outputs = 0, inputs = 0;    // rows
  /// Outputs whose content is here and whose name is not in its folder: their owners removed it.
  std::uint64_t names_removed = 0;
  std::string quarantine;  // repair_store: the folder below DATA_DIR that it moved things to, if it did
  std::uint64_t moved = 0, moved_bytes = 0;
  [[nodiscard]] std::uint64_t left() const;  // findings that are not mended
};

enum class Digests { trust, read };  // read: every blob that a row names is hashed

/// Changes nothing. `data`: of DataFolder::open_to_look. Errors: io, forbidden (a folder cannot be read).
[[nodiscard]] Result<StoreReport> check_store(const DataFolder& data, const StoreRows& rows, Digests digests);

/// Mends the findings of check_store, made of the same folder and rows just now. Nothing is removed: what
/// goes is moved to quarantine/`date`/ under the path that it had, and the list there (list.txt, written
/// before the first move) says what and why. Repeating it after a crash is fine. What could not be mended
/// says why. `data`: opened with Missing::made. Errors, with nothing moved: conflict (that folder is there
/// already), disk_full, io.
[[nodiscard]] Result<void> repair_store(const DataFolder& data, const StoreRows& rows, std::string_view date,
                                        StoreReport& report);

}  // namespace atelier::files
