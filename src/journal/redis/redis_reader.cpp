// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <optional>

#include "journal/redis/pages.hpp"
#include "journal/redis/scripts.hpp"
#include "runtime/real_runtime.hpp"

namespace atelier::journal::redis {
namespace {

class RedisReader final : public StoreReader {
 public:
  explicit RedisReader(Options options)
      : options_(std::move(options)),
        keys_(options_.prefix),
        asking_(runtime_, net::DeadlineSweep::make(runtime_), options_) {}

  Result<ReplayPage> read(ReplayCursor cursor) override { return get(read_page(asking_, keys_, cursor)); }
  Result<std::shared_ptr<const std::string>> attachment(Key128 id) override {
    return get(read_attachment(asking_, keys_, id));
  }
  Result<std::vector<std::string>> verify() override { return get(compare_counts()); }

  Result<void> look() { return get(find_store()); }

 private:
  template <class T>
  T get(awaitable<T> work) {
    std::optional<T> result;
    std::exception_ptr failure;
    auto done = [&](std::exception_ptr error, T value) {
      failure = error;
      if (!error) result.emplace(std::move(value));
      runtime_.stop();
    };
    asio::co_spawn(runtime_.executor(), std::move(work), std::move(done));
    runtime_.context().restart();
    runtime_.run();
    if (failure) std::rethrow_exception(failure);
    return std::move(result).value();
  }

  awaitable<Result<void>> find_store() {
    ATELIER_CO_TRY(const Reply format, co_await asking_.ask({"HGET", keys_.head, "format"}));
    if (format->type == REDIS_REPLY_NIL) {
      co_return fail(Errc::config, fmt::format("there is no journal of Atelier in Redis at {}:{} (prefix {})",
                                               options_.host, options_.port, options_.prefix));
    }
    if (text_of(*format) != kFormat)
      co_return fail(Errc::newer_version, "the journal in Redis was written by a newer Atelier");
    co_return Result<void>{};
  }

  awaitable<Result<std::vector<std::string>>> compare_counts() {
    ATELIER_CO_TRY(const Reply last, co_await asking_.ask({"HGET", keys_.head, "last"}));
    ATELIER_CO_TRY(const Reply length, co_await asking_.ask({"XLEN", keys_.entries}));
    std::vector<std::string> problems;
    if (number_of(*last) != number_of(*length)) {
      problems.push_back(
          fmt::format("{} entries were recorded, {} are there", number_of(*last), number_of(*length)));
    }
    co_return problems;
  }

  Options options_;
  Keys keys_;
  RealRuntime runtime_{{.file_threads = 1, .compute_threads = 1}};
  Asking asking_;
};

}  // namespace

Result<std::unique_ptr<StoreReader>> open_reader(Options options) {
  auto reader = std::make_unique<RedisReader>(std::move(options));
  ATELIER_TRY_VOID(reader->look());
  return reader;
}

}  // namespace atelier::journal::redis
