// SPDX-License-Identifier: MIT
// Durable appends per second of the journal at several batch sizes, beside what the disk itself can do: bare
// fdatasync of an appended 4 KB page, measured in the same run, alternating. Usage:
// bench_journal_append [FOLDER [SECONDS [REDIS_PORT]]]; with a port the journal is in the Redis there.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "journal/redis/redis_journal.hpp"
#include "journal/sqlite/sqlite_journal.hpp"
#include "runtime/real_runtime.hpp"

namespace atelier::journal {
namespace {

using SteadyClock = std::chrono::steady_clock;

double seconds_since(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

double bare_syncs_per_second(const std::string& path, double seconds) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const std::string page(4'096, 'x');
  std::uint64_t count = 0;
  const auto start = SteadyClock::now();
  while (seconds_since(start) < seconds) {
    if (::write(file, page.data(), page.size()) < 0 || ::fdatasync(file) != 0) break;
    ++count;
  }
  const double rate = static_cast<double>(count) / seconds_since(start);
  ::close(file);
  ::unlink(path.c_str());
  return rate;
}

struct Load {
  std::size_t batch = 1;
  std::size_t bytes = 2'048;
  double seconds = 2;
};
struct Outcome {
  double appends_per_second = 0, commits_per_second = 0, p50_ms = 0, p99_ms = 0;
};

Batch make_batch(Runtime& runtime, const Load& load, const std::shared_ptr<const std::string>& content) {
  Batch batch;
  batch.reserve(load.batch);
  for (std::size_t i = 0; i < load.batch; ++i) {
    core::Submitted submitted;
    submitted.participant = {1 + i % 20};
    submitted.prompt_id = "2f1c5f6e-6a55-4c7b-9b36-5d6fd1c5f0aa";
    submitted.client_id = "7d1c5f6e6a554c7b9b365d6fd1c5f0aa";
    submitted.classes = {"EmptyImage", "ImageInvert", "ImageScale", "LoadImage", "SaveImage"};
    submitted.prompt = {new_attachment_id(runtime), {}, content->size()};
    core::Attachment ref = submitted.prompt;
    batch.push_back({std::move(submitted), {{1}, i + 1}, {{ref, content}}});
  }
  return batch;
}

awaitable<Outcome> append_for(Runtime& runtime, Journal& journal, Load load) {
  const auto content = std::make_shared<const std::string>(load.bytes, 'x');
  std::vector<double> milliseconds_each;
  std::uint64_t count = 0;
  const auto start = SteadyClock::now();
  while (seconds_since(start) < load.seconds) {
    Batch batch = make_batch(runtime, load, content);
    const auto before = SteadyClock::now();
    auto entries = co_await journal.append(std::move(batch));
    if (!entries) {
      std::fprintf(stderr, "%s\n", entries.error().what.c_str());
      std::exit(1);
    }
    milliseconds_each.push_back(seconds_since(before) * 1'000);
    count += entries->size();
  }
  const double elapsed = seconds_since(start);
  std::ranges::sort(milliseconds_each);
  const std::size_t commits = milliseconds_each.size();
  co_return Outcome{static_cast<double>(count) / elapsed, static_cast<double>(commits) / elapsed,
                    milliseconds_each[commits / 2], milliseconds_each[commits * 99 / 100]};
}

/// In SQLite at `path`, or in Redis if `port` is not 0.
awaitable<Result<std::unique_ptr<Journal>>> open_one(Runtime& runtime, std::string path, std::uint16_t port) {
  if (port == 0) co_return sqlite::open(runtime, {std::move(path), {}});
  redis::Options options;
  options.port = port;
  co_return co_await redis::open(runtime, std::move(options));
}

awaitable<Outcome> open_and_append(Runtime& runtime, std::string path, std::uint16_t port, Load load) {
  auto journal = co_await open_one(runtime, std::move(path), port);
  if (!journal) {
    std::fprintf(stderr, "%s\n", journal.error().what.c_str());
    std::exit(1);
  }
  co_return co_await append_for(runtime, **journal, load);
}

Outcome measure(const std::string& path, std::uint16_t port, const Load& load) {
  Outcome outcome;
  {
    RealRuntime runtime;
    asio::co_spawn(runtime.executor(), open_and_append(runtime, path, port, load),
                   [&](std::exception_ptr, Outcome value) {
                     outcome = value;
                     runtime.stop();
                   });
    runtime.run();
  }
  for (const char* suffix : {"", "-wal", "-shm", "-lock"}) ::unlink((path + suffix).c_str());
  return outcome;
}

}  // namespace
}  // namespace atelier::journal

int main(int count, char** arguments) {
  using namespace atelier::journal;
  const std::string folder = count > 1 ? arguments[1] : std::filesystem::temp_directory_path().string();
  const double seconds = count > 2 ? std::atof(arguments[2]) : 2;
  const auto port = static_cast<std::uint16_t>(count > 3 ? std::atoi(arguments[3]) : 0);
  fmt::print("{:>6} {:>9} {:>12} {:>11} {:>8} {:>8} {:>14} {:>18}\n", "batch", "bytes", "appends/s",
             "commits/s", "p50 ms", "p99 ms", "fdatasync/s", "appends/fdatasync");
  for (const Load& load : {Load{1, 2'048, seconds}, Load{32, 2'048, seconds}, Load{256, 2'048, seconds},
                           Load{1, 102'400, seconds}, Load{32, 102'400, seconds}}) {
    const double bare = bare_syncs_per_second(folder + "/bench-fdatasync", seconds / 4);
    const Outcome outcome = measure(folder + "/bench-journal.db", port, load);
    fmt::print("{:>6} {:>9} {:>12.0f} {:>11.0f} {:>8.2f} {:>8.2f} {:>14.0f} {:>18.1f}\n", load.batch,
               load.bytes, outcome.appends_per_second, outcome.commits_per_second, outcome.p50_ms,
               outcome.p99_ms, bare, outcome.appends_per_second / bare);
    std::fflush(stdout);
  }
}
