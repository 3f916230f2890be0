// SPDX-License-Identifier: MIT
#include "journal/sqlite/compact.hpp"

#include <sys/stat.h>

#include "base/crash_point.hpp"
#include "journal/json.hpp"
#include "journal/sqlite/blob.hpp"
#include "journal/sqlite/checkpoint_writer.hpp"
#include "journal/sqlite/reader.hpp"
#include "journal/sqlite/sql.hpp"
#include "journal/sqlite/writer.hpp"

namespace atelier::journal::sqlite {
namespace {

std::uint64_t size_on_disk(const std::string& path) {
  std::uint64_t bytes = 0;
  for (const char* suffix : {"", "-wal"}) {
    struct stat status{};
    if (::stat((path + suffix).c_str(), &status) == 0) bytes += static_cast<std::uint64_t>(status.st_size);
  }
  return bytes;
}

Result<void> run_alone(Writer& writer, const char* statement) {
  ATELIER_TRY(Statement prepared, writer.prepare(statement));
  return prepared.run();
}

/// Slices of a DELETE ... LIMIT ?1 until it finds nothing; gives the number of rows.
Result<std::uint64_t> remove_in_slices(Writer& writer, const char* statement, const char* crash) {
  ATELIER_TRY(Statement remove, writer.prepare(statement));
  std::uint64_t removed = 0;
  while (true) {
    ATELIER_TRY_VOID(writer.transaction([&] { return remove.bind(1, std::int64_t{kSliceRows}).run(); }));
    crash_point(crash);
    const auto rows = static_cast<std::uint64_t>(writer.changes());
    removed += rows;
    if (rows < kSliceRows) return removed;
  }
}

/// Fills the table of attachments that are still named.
Result<void> keep_named(Writer& writer, const std::vector<core::CheckpointRecord>& records,
                        const std::vector<core::Entry>& entries) {
  ATELIER_TRY_VOID(run_alone(writer, sql::kMakeKeepTable));
  ATELIER_TRY(Statement keep, writer.prepare(sql::kKeepAttachment));
  return writer.transaction([&]() -> Result<void> {
    const auto all = [&](const std::vector<core::Attachment>& named) -> Result<void> {
      for (const core::Attachment& attachment : named) {
        const std::array<char, 16> id = id_bytes(attachment.id);
        ATELIER_TRY_VOID(keep.bind(1, std::string_view(id.data(), id.size())).run());
      }
      return {};
    };
    for (const auto& record : records) ATELIER_TRY_VOID(all(attachments_of(record)));
    for (const core::Entry& entry : entries) ATELIER_TRY_VOID(all(attachments_of(entry.event)));
    return {};
  });
}

}  // namespace

Result<CompactReport> compact(const std::string& path, const StateOf& state_of) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    return std::unexpected(errno_error(errno, "open the journal " + path));
  }
  CompactReport report;
  report.bytes_before = size_on_disk(path);
  {
    ATELIER_TRY(auto writer, Writer::open(path, {}));
    ATELIER_TRY(auto reader, Reader::open(path));
    ATELIER_TRY(State state, state_of(*reader));
    if (!state.upto) return report;  // nothing was ever recorded
    report.records = state.records.size();
    ReplayCursor newest;
    newest.begun = true;
    newest.after = {state.upto.value - 1};
    ATELIER_TRY(const ReplayPage kept, reader->read(newest));
    ATELIER_TRY_VOID(keep_named(*writer, state.records, kept.entries));
    CheckpointWriter checkpoint(*writer, state.upto, std::move(state.records));
    for (bool done = false; !done;) {
      ATELIER_TRY(done, checkpoint.step());
    }
    // Entries first, oldest first: what is left at any moment has no gap, and all that it names.
    ATELIER_TRY(report.entries_removed,
                remove_in_slices(*writer, sql::kDeleteOldEntries, "journal_compact_entries"));
    ATELIER_TRY(report.attachments_removed,
                remove_in_slices(*writer, sql::kDeleteUnnamed, "journal_compact_attachments"));
    reader.reset();
    ATELIER_TRY_VOID(run_alone(*writer, sql::kTruncateLog));
    ATELIER_TRY_VOID(run_alone(*writer, sql::kTemporaryFiles));
    ATELIER_TRY_VOID(run_alone(*writer, sql::kVacuum));
    crash_point("journal_compact_vacuum");
    ATELIER_TRY_VOID(run_alone(*writer, sql::kTruncateLog));
  }
  report.bytes_after = size_on_disk(path);
  return report;
}

}  // namespace atelier::journal::sqlite
