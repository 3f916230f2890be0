// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>

#include "app/commands.hpp"
#include "app/journals.hpp"
#include "app/listeners.hpp"
#include "app/options.hpp"
#include "base/hash.hpp"
#include "gateway/seat_access.hpp"
#include "journal/dump.hpp"
#include "journal/sqlite/backup.hpp"
#include "journal/sqlite/compact.hpp"
#include "journal/sqlite/sqlite_journal.hpp"
#include "workshop/fold.hpp"

namespace atelier::app {

int exec_beside(const std::string& program, const std::vector<std::string>& arguments) {
  const std::string path = program_folder() + "/" + program;
  std::vector<char*> words;
  std::string name = path;
  words.push_back(name.data());
  std::vector<std::string> copies = arguments;
  for (std::string& word : copies) words.push_back(word.data());
  words.push_back(nullptr);
  ::execv(path.c_str(), words.data());
  fmt::print(stderr, "cannot start {}: {}\n", path, std::strerror(errno));
  return kExitFailed;
}

int check_config(const Options& options) {
  const auto config = read_config(options);
  if (!config) return kExitConfig;
  for (const KeySpec& key : config_keys()) {
    const std::string value = config->text(key.name);
    if (value.empty()) continue;
    fmt::print("{}={}\n", key.name, key.type == KeyType::secret ? "(set)" : value);
  }
  if (const auto checked = Listeners::check(*config); !checked) {
    fmt::print(stderr, "{}\n", checked.error().what);
    return kExitConfig;
  }
  return 0;
}

int tokens(const Options& options, bool instructor) {
  const auto config = read_config(options);
  if (!config) return kExitConfig;
  const std::string path = config->text("DATA_DIR") + "/seat.key";
  std::ifstream file{path};
  std::string key;
  if (!std::getline(file, key) || !Digest::parse(key)) {
    fmt::print(stderr, "{} cannot be read: start the server once, and run this as the user it runs as.\n",
               path);
    return kExitFailed;
  }
  const auto num_users = static_cast<std::uint64_t>(config->number("NUM_USERS"));
  const gateway::SeatTokens made(key, num_users);
  if (instructor) {
    fmt::print("{}\n", made.instructor_token());
    return 0;
  }
  for (std::uint64_t n = 1; n <= num_users; ++n) fmt::print("{}\n", made.token_of(ParticipantId{n}));
  return 0;
}

namespace {

Result<std::unique_ptr<journal::StoreReader>> open_journal(const Options& options, int& exit_code) {
  const auto config = read_config(options);
  if (!config) {
    exit_code = kExitConfig;
    return fail(Errc::config, "");
  }
  auto reader = open_journal_reader(*config);
  if (!reader) {
    exit_code = reader.error().code == Errc::newer_version ? kExitNewerData : kExitFailed;
    fmt::print(stderr, "{}\n", reader.error().what);
  }
  return reader;
}

}  // namespace

int journal_dump(const Options& options) {
  int exit_code = 0;
  auto reader = open_journal(options, exit_code);
  if (!reader) return exit_code;
  auto done = journal::dump(**reader, {}, [](std::string_view line) -> Result<void> {
    std::cout << line << '\n';
    if (!std::cout) return fail(Errc::closed, "the output was closed");
    return {};
  });
  if (done) return 0;
  fmt::print(stderr, "{}\n", done.error().what);
  return done.error().code == Errc::newer_version ? kExitNewerData : kExitFailed;
}

int journal_check(const Options& options) {
  int exit_code = 0;
  auto reader = open_journal(options, exit_code);
  if (!reader) return exit_code;
  const journal::CheckReport report = journal::check(**reader);
  for (const std::string& sentence : report.problems) fmt::print("{}\n", sentence);
  fmt::print("{} entries, {} attachments: {}\n", report.entries, report.attachments,
             report.problems.empty() ? "the journal is whole" : "see above");
  return report.problems.empty() ? 0 : kExitFailed;
}

namespace {

/// As a server would have it after a replay.
Result<journal::sqlite::State> state_of(journal::StoreReader& reader) {
  workshop::Fold fold;
  journal::ReplayCursor cursor;
  while (true) {
    ATELIER_TRY(const journal::ReplayPage page, reader.read(cursor));
    ATELIER_TRY_VOID(fold.apply(page));
    cursor = page.next;
    if (page.end) break;
  }
  ATELIER_TRY_VOID(fold.finish());
  return journal::sqlite::State{cursor.after, fold.records()};
}

/// What belongs to a database in DATA_DIR; nothing if it is kept elsewhere (said).
std::optional<Config> config_with_database(const Options& options, std::string_view instead) {
  auto config = read_config(options);
  if (config && keeps_journal_in_redis(*config)) {
    fmt::print(stderr, "The journal is kept in Redis (JOURNAL=redis): {}.\n", instead);
    return std::nullopt;
  }
  return config;
}

}  // namespace

int journal_compact(const Options& options) {
  const auto config = config_with_database(options, "there it is not made smaller");
  if (!config) return kExitConfig;
  const std::string folder = config->text("DATA_DIR");
  // What SQLite writes on the side may be as large as the journal: it has its place beside it.
  ::setenv("SQLITE_TMPDIR", folder.c_str(), 0);
  auto done = journal::sqlite::compact(journal_database(*config), state_of);
  if (!done) {
    fmt::print(stderr, "{}\n", done.error().what);
    if (done.error().what.starts_with("another server"))
      fmt::print(stderr, "Nothing was changed. Stop the server first.\n");
    return exit_code_of(done.error());
  }
  fmt::print("{} entries and {} attachments removed; {} records keep the state: {:.1f} MB -> {:.1f} MB\n",
             done->entries_removed, done->attachments_removed, done->records,
             static_cast<double>(done->bytes_before) / 1e6, static_cast<double>(done->bytes_after) / 1e6);
  return 0;
}

int journal_backup(const Options& options, const std::string& file) {
  const auto config =
      config_with_database(options, "back up that Redis (its append-only files, or BGSAVE and dump.rdb)");
  if (!config) return kExitConfig;
  const auto bytes = journal::sqlite::back_up(journal_database(*config), file);
  if (!bytes) {
    fmt::print(stderr, "{}\n", bytes.error().what);
    return exit_code_of(bytes.error());
  }
  // What cannot be read again is no backup.
  auto reader = journal::sqlite::open_reader(file);
  const auto report = reader ? journal::check(**reader) : journal::CheckReport{};
  if (!reader || !report.problems.empty()) {
    fmt::print(stderr, "{}: {}\n", file, reader ? report.problems.front() : reader.error().what);
    return kExitFailed;
  }
  fmt::print("{} entries and {} attachments, {:.1f} MB: {}\n", report.entries, report.attachments,
             static_cast<double>(*bytes) / 1e6, file);
  return 0;
}

int journal_restore(const Options& options, const std::string& file) {
  const auto config = config_with_database(options, "put its own backup back, with Redis stopped");
  if (!config) return kExitConfig;
  const auto done = journal::sqlite::restore(journal_database(*config), file);
  if (!done) {
    fmt::print(stderr, "{}\nNothing was changed.{}\n", done.error().what,
               done.error().what.starts_with("another server") ? " Stop the server first." : "");
    return exit_code_of(done.error());
  }
  fmt::print("{} is the journal now ({:.1f} MB).\n", file, static_cast<double>(done->bytes) / 1e6);
  if (!done->kept_as.empty()) fmt::print("What was there is kept as {}\n", done->kept_as);
  return 0;
}

}  // namespace atelier::app
