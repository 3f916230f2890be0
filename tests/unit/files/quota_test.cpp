// SPDX-License-Identifier: MIT
#include "files/quota.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <limits>
#include <thread>
#include <vector>

#include "runtime/task_group.hpp"
#include "temp_folder.hpp"

namespace atelier::files {
namespace {

QuotaBook::FreeSpaceProbe free_space(std::uint64_t bytes, std::uint64_t files = 1'000'000) {
  return [=]() -> Result<FreeSpace> { return FreeSpace{bytes, files}; };
}

QuotaLimits limits(std::uint64_t bytes, std::uint64_t files = 100) {
  QuotaLimits result;
  result.bytes = bytes;
  result.files = files;
  result.free_bytes_min = 1000;
  result.free_files_min = 10;
  return result;
}

TEST_CASE("a reservation counts until it is settled or dropped") {
  QuotaBook book(limits(100), free_space(1 << 20));
  book.set_usage(kSeven, 40, 1);
  {
    const Reservation first = book.reserve(kSeven, 50).value();
    CHECK(fails_with(book.reserve(kSeven, 11), Errc::disk_full));
    CHECK(book.reserve(kSeven, 10).has_value());
    CHECK(book.reserve(ParticipantId{8}, 100).has_value());
  }
  CHECK(book.usage(kSeven).reserved_bytes == 0);
  Reservation second = book.reserve(kSeven, 60).value();
  second.settle(20, 1);
  second.settle(20, 1);
  CHECK(book.usage(kSeven).bytes == 60);
  CHECK(book.usage(kSeven).files == 2);
  book.give_back(kSeven, 1000, 1);
  CHECK(book.usage(kSeven).bytes == 0);
  CHECK(fails_with(book.reserve(kSeven, std::numeric_limits<std::uint64_t>::max()), Errc::disk_full));
  CHECK(fails_with(book.reserve(kSeven, 1, 100), Errc::disk_full));
}

TEST_CASE("a moved reservation is given back once") {
  QuotaBook book(limits(100), free_space(1 << 20));
  Reservation outer;
  {
    Reservation inner = book.reserve(kSeven, 30).value();
    outer = std::move(inner);
  }
  CHECK(book.usage(kSeven).reserved_bytes == 30);
  outer = book.reserve(kSeven, 10).value();
  CHECK(book.usage(kSeven).reserved_bytes == 10);
  outer.release();
  CHECK(book.usage(kSeven).reserved_bytes == 0);
}

TEST_CASE("parallel reservations never pass the limit in sum") {
  QuotaBook book(limits(1000, 0), free_space(1 << 20));
  std::atomic<int> granted = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 10; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 100; ++k) {
        auto reservation = book.reserve(kSeven, 90);
        if (!reservation) continue;
        if (k % 2 == 0) continue;
        reservation->settle(90, 1);
        ++granted;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(book.usage(kSeven).bytes == static_cast<std::uint64_t>(granted) * 90);
  CHECK(book.usage(kSeven).bytes <= 1000);
  CHECK(book.usage(kSeven).reserved_bytes == 0);
}

TEST_CASE("the disk keeps its margin whatever the participants' quotas allow") {
  QuotaBook book(limits(0), free_space(3000, 100));
  const Reservation first = book.reserve(kSeven, 1500).value();
  CHECK(fails_with(book.reserve(ParticipantId{8}, 600), Errc::disk_full));
  CHECK(book.reserve(ParticipantId{8}, 400).has_value());
  CHECK(book.check_free_space(400).has_value());
  CHECK(fails_with(book.check_free_space(501), Errc::disk_full));
  CHECK(book.check_free_space(501).error().what ==
        "The server's disk is full. Waiting jobs are kept; new ones are not taken until the instructor frees "
        "space.");
  QuotaBook full(limits(0), free_space(900));
  CHECK(fails_with(full.check_free_space(0), Errc::disk_full));
  QuotaBook few_files(limits(0), free_space(1 << 20, 10));
  CHECK(fails_with(few_files.reserve(kSeven, 1), Errc::disk_full));
}

TEST_CASE("the awaited forms commit an upload, pin an input and measure before they reserve") {
  const TempFolder temp;
  QuotaLimits small;
  small.bytes = 100;
  Stores stores(temp.path(), small);
  REQUIRE(
      stores.upload(kSeven, {FolderType::input, "", "a.png", Replace::no}, std::string(90, 'a')).has_value());
  const std::string big((9 << 20) + 5, 'b');
  const BlobInfo expected{sha256(big), big.size()};
  const StagedName name{JobId{1}, Epoch{1}, 0, {}};
  REQUIRE(stores->staging().append(name, 0, big, 1 << 30).value().appended);
  bool done = false;
  TaskGroup group(stores.runtime);
  auto script = [&]() -> awaitable<void> {
    auto reservation = co_await stores->reserve(kSeven, 11, 1);
    CHECK(fails_with(reservation, Errc::disk_full));
    reservation = co_await stores->reserve(kSeven, 10, 1);
    CHECK(reservation.has_value());
    auto pinned = co_await stores->pin_input(kSeven, "a.png", 1000);
    CHECK(pinned.value().digest == sha256(std::string(90, 'a')));
    pinned = co_await stores->pin_input(kSeven, "none.png", 1000);
    CHECK(fails_with(pinned, Errc::not_found));
    auto committed = co_await stores->commit_staged(name, expected);
    CHECK(committed.has_value());
    committed = co_await stores->commit_staged(name, expected);
    CHECK(committed.has_value());
    REQUIRE(stores->staging().append(name, 0, "other", 1 << 30).value().appended);
    committed = co_await stores->commit_staged(name, BlobInfo{sha256("promised"), 5});
    CHECK(fails_with(committed, Errc::bad_hash));
    CHECK(stores->staging().length(name).value() == 0);
    done = true;
  };
  group.spawn("script", script());
  stores.runtime.run_ready();
  CHECK(done);
  CHECK(stores->blobs().size(expected.digest).value() == expected.size);
}

}  // namespace
}  // namespace atelier::files
