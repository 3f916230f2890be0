// SPDX-License-Identifier: MIT
// `atelier fsck`: the journal beside the files.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>

#include "app/commands.hpp"
#include "app/journals.hpp"
#include "app/options.hpp"
#include "comfy/output_files.hpp"
#include "files/store_check.hpp"
#include "gateway/worker_link/accepted_form.hpp"
#include "journal/sqlite/lock_file.hpp"
#include "journal/sqlite/sqlite_journal.hpp"
#include "workshop/stored_rows.hpp"

namespace atelier::app {
namespace {

files::FolderType folder_type(comfy::FileType type) {
  return files::parse_folder_type(comfy::to_string(type)).value_or(files::FolderType::output);
}

Result<std::vector<files::StoreRow>> inputs_of(std::shared_ptr<const std::string> accepted) {
  ATELIER_TRY(const gateway::AcceptedForm form, gateway::read_accepted_form(std::move(accepted)));
  std::vector<files::StoreRow> rows;
  for (const link::InputRef& pin : form.pins) {
    files::StoreRow row;
    row.type = pin.type == link::FileType::output ? files::FolderType::output
               : pin.type == link::FileType::temp ? files::FolderType::temp
                                                  : files::FolderType::input;
    row.name = pin.name;
    row.content = files::BlobInfo{pin.digest, pin.size};
    rows.push_back(std::move(row));
  }
  return rows;
}

Result<std::vector<workshop::FileName>> names_of(std::string_view ui) {
  ATELIER_TRY(const auto named, comfy::output_files(ui));
  std::vector<workshop::FileName> names;
  for (const comfy::OutputFile& file : named)
    names.push_back({folder_type(file.type), file.folder, file.name});
  return names;
}

void print(const files::StoreReport& report, bool repaired) {
  std::uint64_t mended = 0;
  for (const files::Finding& finding : report.findings) {
    mended += finding.mended ? 1 : 0;
    const std::string after = finding.mended            ? " - mended"
                              : finding.trouble.empty() ? ""
                                                        : fmt::format(" - not mended: {}", finding.trouble);
    fmt::print("{}{}\n", finding.line(), after);
  }
  fmt::print("{} blobs ({} bytes), {} outputs of jobs, {} inputs of jobs that wait or run: ", report.blobs,
             report.blob_bytes, report.outputs, report.inputs);
  if (report.findings.empty()) {
    fmt::print("all is as the journal says\n");
  } else if (!repaired) {
    fmt::print("{} findings; nothing was changed, --repair mends all but what is missing\n",
               report.findings.size());
  } else {
    fmt::print("{} findings, {} mended\n", report.findings.size(), mended);
  }
  if (report.names_removed > 0)
    fmt::print("{} outputs are not in their owners' folders any more, who may have removed them\n",
               report.names_removed);
  if (!report.quarantine.empty())
    fmt::print("{} of them ({} bytes) are in {} now, with a list\n", report.moved, report.moved_bytes,
               report.quarantine);
}

/// A journal that cannot be read to its end does not know which files are named.
int refuse(const Error& error) {
  fmt::print(stderr, "{}\nNothing was changed.{}\n", error.what,
             error.what.find("another server") != std::string::npos ? " Stop the server first." : "");
  return exit_code_of(error);
}

}  // namespace

int fsck(const FsckOptions& wanted, const Options& options) {
  const auto config = read_config(options);
  if (!config) return kExitConfig;
  if (keeps_journal_in_redis(*config)) {
    fmt::print(stderr, "fsck reads a journal in DATA_DIR; this one is in Redis (JOURNAL=redis).\n");
    return kExitConfig;
  }
  const std::string database = journal_database(*config);
  // First, so that a folder without one is left alone.
  auto reader = journal::sqlite::open_reader(database);
  if (!reader) return refuse(reader.error());
  const auto lock = journal::sqlite::LockFile::take(database);
  if (!lock) return refuse(lock.error());
  const workshop::AttachmentReaders readers{inputs_of, names_of};
  const auto rows = workshop::stored_rows(**reader, readers);
  if (!rows) return refuse(rows.error());
  const auto data = files::DataFolder::open_to_look(
      folder_options(*config), wanted.repair ? files::Missing::made : files::Missing::left);
  if (!data) return refuse(data.error());
  auto report =
      files::check_store(*data, *rows, wanted.digests ? files::Digests::read : files::Digests::trust);
  if (!report) return refuse(report.error());
  Result<void> done;
  if (wanted.repair) {
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    done = files::repair_store(*data, *rows, fmt::format("{:%Y-%m-%d-%H%M%S}", now), *report);
  }
  print(*report, wanted.repair);
  if (!done) {
    fmt::print(stderr, "{}\n", done.error().what);
    return exit_code_of(done.error());
  }
  return report->left() == 0 ? 0 : kExitFailed;
}

}  // namespace atelier::app
