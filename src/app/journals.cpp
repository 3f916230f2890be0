// SPDX-License-Identifier: MIT
#include "app/journals.hpp"

#include "journal/redis/redis_journal.hpp"
#include "journal/sqlite/sqlite_journal.hpp"

namespace atelier::app {
namespace {

journal::redis::Options redis_options(const Config& config) {
  journal::redis::Options options;
  options.host = config.text("REDIS_HOST");
  options.port = static_cast<std::uint16_t>(config.number("REDIS_PORT"));
  options.password = config.text("REDIS_PASSWORD");
  options.tls = config.flag("REDIS_TLS");
  options.prefix = config.text("REDIS_PREFIX");
  options.mark_path = config.text("DATA_DIR") + "/redis.seen";
  return options;
}

}  // namespace

bool keeps_journal_in_redis(const Config& config) { return config.text("JOURNAL") == "redis"; }

std::string journal_database(const Config& config) { return config.text("DATA_DIR") + "/atelier.db"; }

awaitable<Result<std::unique_ptr<journal::Journal>>> open_journal(Runtime& runtime, const Config& config) {
  if (keeps_journal_in_redis(config)) co_return co_await journal::redis::open(runtime, redis_options(config));
  journal::sqlite::Options options;
  options.path = journal_database(config);
  co_return journal::sqlite::open(runtime, std::move(options));
}

Result<std::unique_ptr<journal::StoreReader>> open_journal_reader(const Config& config) {
  if (keeps_journal_in_redis(config)) return journal::redis::open_reader(redis_options(config));
  return journal::sqlite::open_reader(journal_database(config));
}

}  // namespace atelier::app
