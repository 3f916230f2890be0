// SPDX-License-Identifier: MIT
#include "journal/sqlite/sqlite_journal.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "journal/checkpoint_turn.hpp"
#include "journal/clock.hpp"
#include "journal/sqlite/checkpoint_writer.hpp"
#include "journal/sqlite/lane.hpp"
#include "journal/sqlite/reader.hpp"
#include "journal/sqlite/writer.hpp"

namespace atelier::journal::sqlite {
namespace {

class SqliteJournal final : public Journal {
 public:
  SqliteJournal(Runtime& runtime, std::unique_ptr<Writer> writer, std::unique_ptr<Reader> reader)
      : runtime_(runtime),
        writer_(std::move(writer)),
        reader_(std::move(reader)),
        clock_(runtime, writer_->last().time, writer_->last().wall) {
    state_->failure = writer_->failure();
  }

  ~SqliteJournal() override {
    state_->closed = true;
    reader_lane_.reset();
    writer_lane_.reset();
    checkpoint_.reset();
    if (state_->failure) writer_->give_up(*state_->failure);  // a damaged store is left as it is
    reader_.reset();  // first: the last connection to close folds the log into the database, and only the
                      // writer can
    writer_.reset();
  }

  awaitable<Result<std::vector<core::Entry>>> append(Batch batch) override {
    const auto state = state_;  // the journal may be gone when the work is done
    if (state->failure) co_return std::unexpected(*state->failure);
    ATELIER_CO_TRY_VOID(check_batch(batch));
    if (batch.empty()) co_return std::vector<core::Entry>{};
    auto work = [writer = writer_.get(), entries = std::move(batch), time = clock_.now(),
                 wall = clock_.wall()]() mutable { return writer->append(std::move(entries), time, wall); };
    auto recorded = co_await run_blocking(*writer_lane_, std::move(work));
    if (recorded) {
      state->last = recorded->back().sequence;
    } else {
      state->note(recorded.error());
    }
    co_return recorded;
  }

  awaitable<Result<ReplayPage>> read(ReplayCursor cursor) override {
    const auto state = state_;
    auto work = [reader = reader_.get(), cursor] { return reader->read(cursor); };
    auto page = co_await run_blocking(*reader_lane_, std::move(work));
    if (!page) state->note(page.error());
    co_return page;
  }

  awaitable<Result<std::shared_ptr<const std::string>>> attachment(Key128 id) override {
    auto work = [reader = reader_.get(), id] { return reader->attachment(id); };
    co_return co_await run_blocking(*reader_lane_, std::move(work));
  }

  awaitable<bool> wait() override {
    constexpr Instant never{std::numeric_limits<std::int64_t>::max()};
    while (co_await runtime_.sleep_until(never)) {
    }
    co_return false;
  }

  awaitable<Result<void>> checkpoint(Sequence upto, std::vector<core::CheckpointRecord> records) override {
    const auto state = state_;
    if (state->failure) co_return std::unexpected(*state->failure);
    ATELIER_CO_TRY(const CheckpointTurn only_one, CheckpointTurn::take(state->checkpoint_runs));
    checkpoint_ = std::make_unique<CheckpointWriter>(*writer_, upto, std::move(records));
    while (true) {
      // One step at a time through the writer's queue: commits that wait go in between. It also ends there:
      // its statements belong to the writer's thread, and its records may be many.
      auto work = [slot = &checkpoint_]() -> Result<bool> {
        auto finished = (*slot)->step();
        if (!finished || *finished) slot->reset();
        return finished;
      };
      auto finished = co_await run_blocking(*writer_lane_, std::move(work));
      if (!finished) {
        state->note(finished.error());
        co_return std::unexpected(std::move(finished).error());
      }
      if (*finished) co_return Result<void>{};
      if (state->closed) co_return fail(Errc::cancelled, "the journal was closed");
    }
  }

  Time time() const override { return clock_.now(); }
  Sequence last() const override { return state_->last; }
  Result<void> healthy() const override {
    if (state_->failure) return std::unexpected(*state_->failure);
    return {};
  }

 protected:
  void mark_given(Sequence sequence) override { state_->last = std::max(state_->last, sequence); }

 private:
  /// Belongs to the Runtime's thread.
  struct State {
    Sequence last;
    std::optional<Error> failure;
    bool checkpoint_runs = false;
    bool closed = false;
    void note(const Error& error) {
      if (error.code == Errc::io && !failure) failure = error;
    }
  };

  Runtime& runtime_;
  std::unique_ptr<Writer> writer_;
  std::unique_ptr<Reader> reader_;
  std::unique_ptr<CheckpointWriter> checkpoint_;  // used on the writer's thread while it runs
  Clock clock_;
  std::shared_ptr<State> state_ = std::make_shared<State>();
  std::unique_ptr<Lane> writer_lane_ = std::make_unique<Lane>("journal-writer");
  std::unique_ptr<Lane> reader_lane_ = std::make_unique<Lane>("journal-reader");
};

}  // namespace

Result<std::unique_ptr<Journal>> open(Runtime& runtime, Options options) {
  const auto with_advice = [&options](Error error) {
    if (error.code == Errc::io) {
      error.what += fmt::format(
          ". {0} cannot be read at all: put a backup in its place (`atelier journal restore FILE`), or move "
          "it and {0}-begun away to begin without history (the participants' files stay).",
          options.path);
    }
    return std::unexpected(std::move(error));
  };
  auto writer = Writer::open(options.path, std::move(options.inject));
  if (!writer) return with_advice(std::move(writer).error());
  auto reader = Reader::open(options.path);
  if (!reader) {
    (*writer)->give_up(reader.error());
    return with_advice(std::move(reader).error());
  }
  return std::make_unique<SqliteJournal>(runtime, std::move(*writer), std::move(*reader));
}

Result<std::unique_ptr<StoreReader>> open_reader(const std::string& path) {
  ATELIER_TRY(auto reader, Reader::open(path));
  return reader;
}

}  // namespace atelier::journal::sqlite
