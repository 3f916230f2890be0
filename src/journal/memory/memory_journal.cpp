// SPDX-License-Identifier: MIT
#include "journal/memory/memory_journal.hpp"

#include <algorithm>
#include <limits>

#include "journal/checkpoint_turn.hpp"
#include "journal/clock.hpp"
#include "journal/codec.hpp"
#include "runtime/signal.hpp"

namespace atelier::journal::memory {

class MemoryJournal final : public Journal {
 public:
  MemoryJournal(Runtime& runtime, MemoryStore& store) : state_(std::make_shared<State>(runtime, store)) {
    watcher_ =
        std::make_shared<std::function<void()>>([state = state_.get()] { state->recorded.notify_all(); });
    store.watchers_.push_back(watcher_);
  }
  ~MemoryJournal() override {
    state_->closed = true;
    state_->recorded.notify_all();
  }

  awaitable<Result<std::vector<core::Entry>>> append(Batch batch) override {
    return append(state_, std::move(batch));
  }

  awaitable<Result<ReplayPage>> read(ReplayCursor cursor) override {
    const auto state = state_;
    co_await turn(*state, milliseconds{0});
    if (state->closed) co_return closed();
    co_return state->store.read(cursor);
  }

  awaitable<Result<std::shared_ptr<const std::string>>> attachment(Key128 id) override {
    const auto state = state_;
    co_await turn(*state, milliseconds{0});
    if (state->closed) co_return closed();
    co_return state->store.attachment(id);
  }

  awaitable<bool> wait() override {
    const auto state = state_;
    while (!state->closed && state->given >= state->store.last()) {
      if (!co_await state->recorded.wait(kNever)) co_return false;
    }
    co_return !state->closed;
  }

  awaitable<Result<void>> checkpoint(Sequence upto, std::vector<core::CheckpointRecord> records) override {
    return checkpoint(state_, upto, std::move(records));
  }

  Time time() const override { return state_->clock.now(); }
  Sequence last() const override { return state_->given; }
  Result<void> healthy() const override {
    if (state_->failure) return std::unexpected(*state_->failure);
    return {};
  }

 protected:
  void mark_given(Sequence sequence) override { state_->given = std::max(state_->given, sequence); }

 private:
  static constexpr Instant kNever{std::numeric_limits<std::int64_t>::max()};

  /// What coroutines hold that outlive the Journal.
  struct State {
    State(Runtime& r, MemoryStore& s)
        : runtime(r),
          store(s),
          clock(r, s.entries_.empty() ? Time{} : s.entries_.back().time,
                s.entries_.empty() ? WallTime{} : s.entries_.back().wall),
          recorded(r) {}
    Runtime& runtime;
    MemoryStore& store;
    Clock clock;
    Signal recorded;
    Sequence given;
    std::optional<Error> failure;
    bool closed = false;
    bool checkpoint_runs = false;
  };
  using Shared = std::shared_ptr<State>;

  static std::unexpected<Error> closed() { return fail(Errc::cancelled, "the journal was closed"); }

  /// Comes back later on the same thread, as a commit would. It waits also when the coroutine is cancelled.
  static awaitable<void> turn(State& state, milliseconds latency) {
    if (latency > milliseconds{0}) {
      static_cast<void>(co_await state.runtime.sleep_for(latency));
    } else {
      co_await asio::post(state.runtime.executor(), use_awaitable);
    }
  }

  static awaitable<Result<std::vector<core::Entry>>> append(Shared state, Batch batch) {
    if (state->failure) co_return std::unexpected(*state->failure);
    ATELIER_CO_TRY_VOID(check_batch(batch));
    const Time time = state->clock.now();
    const WallTime wall = state->clock.wall();
    co_await turn(*state, state->store.commit_latency);
    if (state->closed) co_return closed();
    if (state->store.out_of_reach_)
      co_return fail(Errc::unavailable, "the store cannot be reached, as planned");
    if (!batch.empty()) {
      auto commit = [&] { return state->store.store(batch, time, wall); };
      ATELIER_CO_TRY_VOID(co_await commit_with_faults(state, commit));
    }
    std::vector<core::Entry> entries;
    while (state->given < state->store.last()) {
      ATELIER_CO_TRY(core::Entry entry, state->store.entry({state->given.value + 1}));
      state->given = entry.sequence;
      state->clock.raise_to(entry.time);
      entries.push_back(std::move(entry));
    }
    co_return entries;
  }

  template <class Commit>
  static awaitable<Result<void>> commit_with_faults(Shared state, Commit& commit) {
    if (state->failure) co_return std::unexpected(*state->failure);
    const Fault fault = state->store.next_commit();
    if (fault == Fault::io) {
      state->failure = Error{Errc::io, "the journal can take nothing more: a planned failure of its disk"};
      co_return std::unexpected(*state->failure);
    }
    if (fault == Fault::full) co_return fail(Errc::disk_full, "no space for the journal, as planned");
    if (fault == Fault::crash_before_commit) co_return co_await die(state);
    ATELIER_CO_TRY_VOID(commit());
    if (fault == Fault::crash_after_commit) co_return co_await die(state);
    if (fault == Fault::answer_lost)
      co_return fail(Errc::unavailable, "the journal's answer was lost, as planned");
    co_return Result<void>{};
  }

  /// The process is dead: nothing it waits for comes back.
  static awaitable<Result<void>> die(Shared state) {
    if (state->store.on_crash) state->store.on_crash();
    while (!state->closed && co_await state->runtime.sleep_until(kNever)) {
    }
    co_return closed();
  }

  static awaitable<Result<void>> checkpoint(Shared state, Sequence upto,
                                            std::vector<core::CheckpointRecord> records) {
    if (state->failure) co_return std::unexpected(*state->failure);
    ATELIER_CO_TRY(const CheckpointTurn only_one, CheckpointTurn::take(state->checkpoint_runs));
    co_await turn(*state, milliseconds{0});
    if (state->closed) co_return closed();
    if (!upto || upto > state->store.last())
      co_return fail(Errc::not_found, "there is no such entry to make a checkpoint of");
    auto& present = state->store.checkpoint_;
    MemoryStore::Checkpoint fresh{present ? present->id + 1 : 1, upto, {}};
    for (std::size_t next = 0; next < records.size();) {
      auto slice = [&]() -> Result<void> {
        std::size_t bytes = 0;
        for (std::size_t rows = 0; rows < kSliceRows && bytes < kSliceBytes && next < records.size();
             ++rows, ++next) {
          encode(records[next], fresh.records.emplace_back());
          bytes += fresh.records.back().size();
        }
        return {};
      };
      ATELIER_CO_TRY_VOID(co_await commit_with_faults(state, slice));
      co_await turn(*state, state->store.commit_latency);
      if (state->closed) co_return closed();
    }
    auto flip = [&]() -> Result<void> {
      present = std::move(fresh);
      return {};
    };
    co_return co_await commit_with_faults(state, flip);
  }

  Shared state_;
  std::shared_ptr<std::function<void()>> watcher_;
};

std::unique_ptr<Journal> open(Runtime& runtime, MemoryStore& store) {
  return std::make_unique<MemoryJournal>(runtime, store);
}

}  // namespace atelier::journal::memory
