// SPDX-License-Identifier: MIT
#pragma once
// One suite that every Journal backend passes (style.md 10).

#include <boost/asio/co_spawn.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <optional>

#include "journal/journal.hpp"

namespace atelier::journal {

/// One store in which a journal can be opened again and again, and that fails on command.
class Rig {
 public:
  virtual ~Rig() = default;
  [[nodiscard]] virtual Runtime& runtime() = 0;
  [[nodiscard]] virtual Result<std::unique_ptr<Journal>> open() = 0;
  [[nodiscard]] virtual std::unique_ptr<StoreReader> reader() = 0;
  /// Runs the runtime until `done` is true; fails the test if nothing is left to run before.
  virtual void run_until(const bool& done) = 0;
  /// The disk is full from now on (or not any more).
  virtual void set_full(bool full) = 0;
  /// The next write or sync of the store fails as a broken disk does.
  virtual void break_disk() = 0;

  /// Runs `work` to its end and gives its result.
  template <class T>
  T get(awaitable<T> work) {
    std::optional<T> result;
    bool done = false;
    asio::co_spawn(runtime().executor(), std::move(work), [&](std::exception_ptr error, T value) {
      if (!error) result.emplace(std::move(value));
      done = true;
    });
    run_until(done);
    return std::move(result).value();
  }
};

using MakeRig = std::function<std::unique_ptr<Rig>()>;
void journal_suite(const MakeRig& make);

// What the tests of one backend use, too.

/// A batch of `count` submits; each has an attachment of `bytes` bytes if `bytes` is above 0. `seed`: for
/// their ids.
[[nodiscard]] Batch submits(std::uint64_t seed, std::size_t count, std::size_t bytes);
/// Bytes that no packing makes shorter, as those attachments are.
[[nodiscard]] std::string noise(std::uint64_t seed, std::size_t bytes);
/// Opens and replays everything into `entries`.
[[nodiscard]] std::unique_ptr<Journal> open_and_replay(Rig& rig, std::vector<core::Entry>& entries);
[[nodiscard]] bool same(const core::Entry& a, const core::Entry& b);
/// Two journals on the rig's store, which several may write: each gives the other's entries, in one order.
struct TwoJournals {
  std::unique_ptr<Journal> one, two;
};
[[nodiscard]] TwoJournals open_two_that_see_each_other(Rig& rig);

}  // namespace atelier::journal
