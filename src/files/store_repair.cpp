// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <limits>
#include <map>

#include "files/fault_points.hpp"
#include "files/output_names.hpp"
#include "files/safe_path.hpp"
#include "files/store_check.hpp"

namespace atelier::files {
namespace {

constexpr const char* kList = "list.txt";

template <class T>
bool mark(Finding& finding, const Result<T>& done) {
  finding.mended = done.has_value();
  if (!done) finding.trouble = done.error().what;
  return finding.mended;
}

bool goes(const Finding& finding) { return !finding.path.empty(); }

std::string list_of(const StoreReport& report) {
  std::string text =
      "# Moved here by atelier fsck: each was at this path in DATA_DIR, and is at the same path in this "
      "folder.\n"
      "# What is not here is where it was: fsck was ended before it came to it.\n";
  for (const Finding& finding : report.findings) {
    if (goes(finding)) text += finding.line() + "\n";
  }
  return text;
}

/// A folder of DATA_DIR and what stands for it in the quarantine, once each: there are hundreds, of files
/// there may be very many.
struct Way {
  Directory from, to;
};
using Ways = std::map<std::string, Way, std::less<>>;

/// The last name may be any bytes: no checks stand in its way.
Result<void> move_away(const Directory& root, const Directory& quarantine, const std::string& path,
                       Ways& ways) {
  const SplitPath split = split_path(path);
  auto way = ways.find(split.folder);
  if (way == ways.end()) {
    Way fresh;
    ATELIER_TRY(fresh.from, root.open_folder(split.folder));
    ATELIER_TRY(fresh.to, quarantine.make_folder(split.folder));
    way = ways.emplace(std::string(split.folder), std::move(fresh)).first;
  }
  const int from = way->second.from.fd(), to = way->second.to.fd();
  const std::string name(split.name);
  int error = fault_at("quarantine");
  if (error == 0 && ::renameat2(from, name.c_str(), to, name.c_str(), RENAME_NOREPLACE) != 0) {
    error = errno;
    // A file system without RENAME_NOREPLACE; the folder is new and ours alone.
    if ((error == EINVAL || error == ENOSYS) && ::renameat(from, name.c_str(), to, name.c_str()) == 0)
      error = 0;
  }
  if (error != 0) return std::unexpected(errno_error(error, "move " + path + " to the quarantine"));
  return {};
}

Result<void> move_all_away(const DataFolder& data, std::string_view date, StoreReport& report) {
  if (std::ranges::none_of(report.findings, goes)) return {};
  ATELIER_TRY(const Directory parent, data.root().make_folder("quarantine"));
  ATELIER_TRY(const bool taken, parent.exists(date));
  if (taken) return fail(Errc::conflict, fmt::format("quarantine/{} is there already", date));
  ATELIER_TRY(const Directory quarantine, parent.make_folder(date));
  ATELIER_TRY_VOID(
      write_atomically(data.temp(), quarantine, kList, list_of(report), FileMode::writable, Replace::no));
  report.quarantine = fmt::format("quarantine/{}", date);
  Ways ways;
  for (Finding& finding : report.findings) {
    if (!goes(finding)) continue;
    if (!mark(finding, move_away(data.root(), quarantine, finding.path, ways))) continue;
    ++report.moved;
    report.moved_bytes += finding.bytes;
  }
  for (const auto& [folder, way] : ways) {
    ATELIER_TRY_VOID(way.to.sync());
    ATELIER_TRY_VOID(way.from.sync());
  }
  return {};
}

/// A blob made of what lies under its owner's name. The name keeps its file.
Result<void> bring_back(const DataFolder& data, const Blobs& blobs, const StoreRow& row, std::uint32_t copy) {
  ATELIER_TRY(const Directory tree, data.find_tree(row.participant, tree_of(row.type)));
  OpenedFile source;
  ATELIER_TRY(source.folder, tree.open_folder(row.folder));
  source.name = copy_name(row.name, copy);
  const SplitPath split = split_path(source.name);  // an input's name may have folders in it
  ATELIER_TRY(source.folder, source.folder.open_folder(split.folder));
  source.name = std::string(split.name);
  ATELIER_TRY(source.file, source.folder.open_file(source.name));
  ATELIER_TRY(const BlobInfo made, blobs.pin(source, std::numeric_limits<std::uint64_t>::max()));
  if (made.digest != row.content->digest)
    return fail(Errc::conflict, fmt::format("\"{}\" was changed meanwhile", source.name));
  return {};
}

}  // namespace

Result<void> repair_store(const DataFolder& data, const StoreRows& rows, std::string_view date,
                          StoreReport& report) {
  if (report.findings.empty()) return {};
  ATELIER_TRY_VOID(move_all_away(data, date, report));
  DigestCache cache;
  const Blobs blobs(data.blobs(), data.temp(), cache);
  const OutputNames names(data, blobs);
  for (Finding& finding : report.findings) {
    if (finding.kind == FindingKind::blob_lost) {
      mark(finding, bring_back(data, blobs, rows.rows[finding.row], finding.copy));
    } else if (finding.kind == FindingKind::not_linked) {
      const StoreRow& row = rows.rows[finding.row];
      const OutputLink link{row.type, row.folder, copy_name(row.name, finding.copy), row.content->digest};
      mark(finding, names.link(row.participant, std::span(&link, 1)));
    }
  }
  return {};
}

}  // namespace atelier::files
