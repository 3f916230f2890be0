// SPDX-License-Identifier: MIT
#include "journal/redis/redis_journal.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <optional>

#include "base/log.hpp"
#include "journal/checkpoint_turn.hpp"
#include "journal/clock.hpp"
#include "journal/codec.hpp"
#include "journal/redis/pages.hpp"
#include "journal/redis/scripts.hpp"
#include "journal/redis/seen_mark.hpp"
#include "runtime/task_group.hpp"

namespace atelier::journal::redis {
namespace {

constexpr milliseconds kLookForOthers{2'000};             // one XREAD that finds nothing
constexpr std::string_view kUnfinishedSeconds = "86400";  // what is left of a checkpoint that was never valid

std::unexpected<Error> closed() { return fail(Errc::cancelled, "the journal was closed"); }

/// What coroutines hold that outlive the Journal.
struct State {
  State(Runtime& r, Options o)
      : runtime(r),
        options(std::move(o)),
        keys(options.prefix),
        sweep(net::DeadlineSweep::make(r)),
        journal(r.random_key().hex()),
        session_key(keys.session(journal)),
        writing(r),
        reader(r, sweep, options) {}

  [[nodiscard]] std::string_view alone() const { return options.alone ? journal : std::string_view{}; }
  [[nodiscard]] std::unexpected<Error> broken() const { return std::unexpected(*failure); }
  /// For good; what was seen is remembered for the next process.
  std::unexpected<Error> latch(Error error) {
    if (!failure) failure = std::move(error);
    remember();
    return broken();
  }
  /// What was seen; never less than was remembered before, as while a replay has only begun.
  [[nodiscard]] bool has_more_to_remember() const { return given > remembered; }
  void remember() {
    if (has_more_to_remember()) write_mark(options.mark_path, {store, given});
    remembered = std::max(remembered, given);
  }

  awaitable<Result<Reply>> run(std::string_view script, std::vector<std::string_view> keys_and_arguments,
                               std::size_t key_count);
  awaitable<Result<void>> begin();
  awaitable<Result<void>> begin_session();
  awaitable<Result<void>> check_settings();
  Result<void> compare_with_mark(Sequence last);
  awaitable<Result<void>> compare_last();
  awaitable<Result<void>> catch_up(Sequence upto);
  void give(core::Entry entry, const Digest& fingerprint) {
    given = entry.sequence;
    given_fingerprint = fingerprint;
    clock->raise_to(entry.time);
    unread.push_back(std::move(entry));
  }
  [[nodiscard]] std::unexpected<Error> lost_entries(std::string_view what) {
    return latch(
        {Errc::io, fmt::format("Redis at {}:{} {}: it was restored from an older copy, or failed over "
                               "to a replica that was behind",
                               options.host, options.port, what)});
  }

  Runtime& runtime;
  Options options;
  Keys keys;
  std::shared_ptr<net::DeadlineSweep> sweep;
  std::string journal;  // this one's name, random
  std::string session_key;
  std::string session;  // of the present connection, random
  Turnstile writing;
  std::unique_ptr<Connection> writer;
  std::unique_ptr<Connection> watcher;
  Asking reader;
  std::optional<Clock> clock;
  std::string store;                // its name
  std::vector<core::Entry> unread;  // read, and not given to the caller yet: an append may fail half-way
  Sequence given;                   // the last one that was read
  Sequence remembered;              // in the mark
  Digest given_fingerprint;         // of the entry `given`; nothing: not known
  std::optional<Error> failure;
  bool reachable = true;
  bool other_writer = false;  // is why it failed
  bool closed = false;
  bool checkpoint_runs = false;
};
using Shared = std::shared_ptr<State>;

/// `keys_and_arguments`: what EVAL wants after the number of keys. `writing` is ours.
awaitable<Result<Reply>> State::run(std::string_view script, std::vector<std::string_view> keys_and_arguments,
                                    std::size_t key_count) {
  const std::string count = std::to_string(key_count);
  std::vector<std::string_view> words{"EVAL", script, count};
  words.insert(words.end(), keys_and_arguments.begin(), keys_and_arguments.end());
  auto reply = co_await writer->command(std::move(words), options.patience);
  if (closed) co_return redis::closed();
  if (reply) co_return reply;
  const Error& error = reply.error();
  const std::string_view word = std::string_view(error.what).substr(0, error.what.find(' '));
  if (word == "BEHIND") {
    co_return lost_entries(fmt::format("ends at entry {}, but entry {} was recorded here",
                                       error.what.substr(std::min(error.what.size(), std::size_t{7})),
                                       given));
  }
  if (word == "OTHER") {
    other_writer = true;
    co_return latch({Errc::io, "another server writes this journal: there may be only one"});
  }
  if (word == "NEWER")
    co_return latch({Errc::newer_version, "the journal in Redis was written by a newer Atelier"});
  if (word == "STORED") co_return fail(Errc::conflict, "an attachment's id is stored already");
  if (word == "NOENTRY") co_return fail(Errc::not_found, "there is no such entry to make a checkpoint of");
  if (word == "REPLACED") co_return fail(Errc::conflict, "another checkpoint was made meanwhile");
  if (error.code == Errc::disk_full) {
    log::error("redis_full",
               {{"reason", error.what}, {"advice", "give Redis more memory (maxmemory), or disk"}});
    co_return fail(Errc::disk_full,
                   "the journal has no room left, and nothing was taken: tell the instructor");
  }
  // Another Redis may answer at this address, which can write.
  if (error.code == Errc::unavailable || error.code == Errc::config) writer->close();
  co_return fail(clock ? Errc::unavailable : error.code, error.what);  // before it is open: somebody looks
}

/// Makes sure that there is a connection, and that nothing which an older one sent is carried out from now
/// on.
awaitable<Result<void>> State::begin() {
  if (writer && writer->is_open()) co_return Result<void>{};
  reachable = false;
  auto fresh = co_await Connection::open(runtime, sweep, options);
  if (closed) co_return redis::closed();
  if (!fresh && clock && fresh.error().code == Errc::config) fresh.error().code = Errc::unavailable;
  if (!fresh) co_return std::unexpected(std::move(fresh).error());
  writer = std::move(*fresh);
  auto begun = co_await begin_session();
  if (!begun) writer->close();
  reachable = begun.has_value();
  co_return begun;
}

awaitable<Result<void>> State::begin_session() {
  if (options.demand_durable) ATELIER_CO_TRY_VOID(co_await check_settings());
  session = runtime.random_key().hex();
  const std::string seen = std::to_string(given.value);
  const std::string ttl = std::to_string(options.writer_ttl.count());
  const std::string name = runtime.random_key().hex();
  ATELIER_CO_TRY(
      const Reply reply,
      co_await run(kBegin, {keys.head, session_key, keys.writer, session, kFormat, seen, alone(), ttl, name},
                   3));
  const auto fields = elements_of(*reply);
  if (fields.size() != 4) {
    co_return fail(Errc::unavailable, fmt::format("what answers at {}:{} is no Redis that Atelier can use",
                                                  options.host, options.port));
  }
  if (!clock) {
    const auto number = [&](std::size_t i) { return static_cast<std::int64_t>(number_of(*fields[i])); };
    store = text_of(*fields[3]);
    ATELIER_CO_TRY_VOID(compare_with_mark({number_of(*fields[0])}));
    clock.emplace(runtime, Time{number(1)}, WallTime{number(2)});
  }
  if (store != text_of(*fields[3])) co_return lost_entries("is another journal than before");
  co_return co_await compare_last();
}

/// Somebody has to decide what is done about a store that is not the one that was seen before.
Result<void> State::compare_with_mark(Sequence last) {
  const SeenMark mark = read_mark(options.mark_path);
  const std::string here = fmt::format("{}:{} (prefix {})", options.host, options.port, options.prefix);
  if (!mark.store.empty() && mark.store != store) {
    return fail(
        Errc::config,
        fmt::format("The journal in Redis at {} is another one than that of this DATA_DIR, or was emptied. "
                    "Bring back the right one, or take another DATA_DIR; to go on with this journal and "
                    "these files, remove {} and start again",
                    here, options.mark_path));
  }
  remembered = mark.sequence;
  if (mark.sequence <= last) return {};
  return fail(
      Errc::config,
      fmt::format("The journal in Redis at {} ends at entry {}, but this server has seen entry {}: it was "
                  "restored from an older copy, or failed over to a replica that was behind. Bring back "
                  "the newer copy; or, to go on without what came after it, remove {} and start again",
                  here, last, mark.sequence, options.mark_path));
}

/// Whether an answer of this Redis means that it is on its disk. Where it does not tell, it is believed.
awaitable<Result<void>> State::check_settings() {
  const struct {
    std::string_view name, wanted, why;
  } settings[] = {
      {"appendonly", "yes", "else what it keeps is gone when it stops"},
      {"appendfsync", "always", "else it answers before it is on disk"},
      {"no-appendfsync-on-rewrite", "no", "else it answers before it is on disk, at times"},
      {"maxmemory-policy", "noeviction", "else it throws away what it was given"},
  };
  std::string wrong;
  for (const auto& setting : settings) {
    std::vector<std::string_view> words{"CONFIG", "GET", setting.name};
    auto reply = co_await writer->command(std::move(words), options.patience);
    if (closed) co_return redis::closed();
    const bool no_permission = !reply && reply.error().what.starts_with("NOPERM");
    if (!reply && (!writer->is_open() || (reply.error().code == Errc::config && !no_permission)))
      co_return std::unexpected(std::move(reply).error());
    const auto fields = reply ? elements_of(**reply) : std::span<redisReply* const>{};
    if (fields.size() != 2) {
      log::warn("redis_setting_unknown", {{"setting", setting.name}, {"wanted", setting.wanted}});
    } else if (text_of(*fields[1]) != setting.wanted) {
      wrong += fmt::format("\n  {} {}   ({}; it is {})", setting.name, setting.wanted, setting.why,
                           text_of(*fields[1]));
    }
  }
  if (wrong.empty()) co_return Result<void>{};
  co_return fail(
      clock ? Errc::unavailable : Errc::config,
      fmt::format("Redis at {}:{} does not keep what it is given. Set in its redis.conf, and start it "
                  "again:{}",
                  options.host, options.port, wrong));
}

/// The entry that was given last is still what it was.
awaitable<Result<void>> State::compare_last() {
  if (!given) co_return Result<void>{};
  const std::string id = fmt::format("{}-0", given.value);
  std::vector<std::string_view> words{"XRANGE", keys.entries, id, id};
  auto reply = co_await writer->command(std::move(words), options.patience);
  if (closed) co_return redis::closed();
  if (!reply) {
    writer->close();
    co_return fail(Errc::unavailable, reply.error().what);
  }
  auto stored = elements_of(**reply).size() == 1 ? entry_of(*elements_of(**reply)[0])
                                                 : Result<StoredEntry>(fail(Errc::io, "missing"));
  const bool same = stored && (!given_fingerprint || given_fingerprint == stored->fingerprint);
  if (!same) co_return lost_entries(fmt::format("holds another entry {} than was recorded here", given));
  given_fingerprint = stored->fingerprint;
  co_return Result<void>{};
}

/// Reads what others recorded, up to and with `upto`.
awaitable<Result<void>> State::catch_up(Sequence upto) {
  while (given < upto) {
    const std::string first = fmt::format("({}-0", given.value);
    const std::string last = upto.value == UINT64_MAX ? "+" : fmt::format("{}-0", upto.value);
    std::vector<std::string_view> words{"XRANGE", keys.entries, first, last, "COUNT", "250"};
    auto reply = co_await writer->command(std::move(words), options.patience);
    if (closed) co_return redis::closed();
    if (!reply) {
      writer->close();
      co_return fail(Errc::unavailable, reply.error().what);
    }
    if (elements_of(**reply).empty()) break;
    for (const redisReply* row : elements_of(**reply)) {
      auto stored = entry_of(*row);
      if (stored && stored->entry.sequence.value != given.value + 1)
        stored = fail(Errc::io, fmt::format("entry {} of the journal is missing", given.value + 1));
      if (!stored) co_return latch(std::move(stored).error());
      give(std::move(stored->entry), stored->fingerprint);
    }
  }
  co_return Result<void>{};
}

/// What kAppend is told; the texts stay while this does.
class Append {
 public:
  /// `forms`: of the attachments in their order, as stored_form makes them; "" where it is to be made here.
  Append(State& state, Batch batch, std::vector<std::string> forms) : batch_(std::move(batch)) {
    const auto text = [this](auto number) { return keep(std::to_string(number)); };
    wall_ = state.clock->wall();
    words_ = {state.keys.head, state.session_key, state.keys.writer, state.keys.entries};
    std::vector<std::string_view> attachments;
    for (const NewEntry& entry : batch_) {
      for (const NewAttachment& attachment : entry.attachments) {
        words_.push_back(keep(state.keys.attachment(attachment.ref.id)));
        std::string& form = forms[attachments.size()];
        attachments.push_back(keep(form.empty() ? stored_form(*attachment.bytes) : std::move(form)));
      }
    }
    keys_ = words_.size();
    words_.insert(words_.end(), {state.session, kFormat, text(state.given.value), state.alone(),
                                 text(state.options.writer_ttl.count()), text(state.clock->now().ms),
                                 text(wall_.ms), text(batch_.size())});
    for (const NewEntry& entry : batch_) {
      std::string& event = texts_.emplace_back();
      encode(entry.event, event);
      events_.push_back(event);
      words_.insert(words_.end(),
                    {text(entry.origin.gateway.value), text(entry.origin.ticket), std::string_view(event)});
    }
    words_.insert(words_.end(), attachments.begin(), attachments.end());
  }
  [[nodiscard]] const std::vector<std::string_view>& words() const { return words_; }
  [[nodiscard]] std::size_t keys() const { return keys_; }

  /// As recorded from `first` on at `time`.
  void give(State& state, Sequence first, Time time) {
    for (std::size_t i = 0; i < batch_.size(); ++i) {
      core::Entry entry{{first.value + i}, time, wall_, batch_[i].origin, std::move(batch_[i].event)};
      const Digest fingerprint = i + 1 == batch_.size() ? fingerprint_of(entry, events_[i]) : Digest{};
      state.give(std::move(entry), fingerprint);
    }
  }

 private:
  std::string_view keep(std::string text) { return texts_.emplace_back(std::move(text)); }

  Batch batch_;
  WallTime wall_;
  std::deque<std::string> texts_;
  std::vector<std::string_view> words_, events_;
  std::size_t keys_ = 0;
};

awaitable<std::vector<std::string>> pack_large_ones(Shared state, const Batch& batch) {
  std::vector<std::string> forms;
  for (const NewEntry& entry : batch) {
    for (const NewAttachment& attachment : entry.attachments) {
      std::string& form = forms.emplace_back();
      if (attachment.bytes->size() <= kPackedHere) continue;
      auto work = [bytes = attachment.bytes] { return stored_form(*bytes); };
      form = co_await run_blocking(state->runtime.compute_pool(), std::move(work));
    }
  }
  co_return forms;
}

awaitable<Result<std::vector<core::Entry>>> append(Shared state, Batch batch) {
  if (state->failure) co_return state->broken();
  ATELIER_CO_TRY_VOID(check_batch(batch));
  std::vector<std::string> forms = co_await pack_large_ones(state, batch);
  const Turnstile::Pass pass = co_await state->writing.enter();
  if (!pass || state->closed) co_return closed();
  if (state->failure) co_return state->broken();
  ATELIER_CO_TRY_VOID(co_await state->begin());
  if (batch.empty()) {
    ATELIER_CO_TRY_VOID(co_await state->catch_up({UINT64_MAX}));
    co_return std::exchange(state->unread, {});
  }
  Append work(*state, std::move(batch), std::move(forms));
  ATELIER_CO_TRY(const Reply reply, co_await state->run(kAppend, work.words(), work.keys()));
  const auto fields = elements_of(*reply);
  if (fields.size() != 2) co_return fail(Errc::unavailable, "Redis gave an answer that was not expected");
  const Sequence first{number_of(*fields[0])};
  ATELIER_CO_TRY_VOID(co_await state->catch_up({first.value - 1}));
  work.give(*state, first, {static_cast<std::int64_t>(number_of(*fields[1]))});
  co_return std::exchange(state->unread, {});
}

awaitable<Result<void>> write_checkpoint(Shared state, Sequence upto,
                                         std::vector<core::CheckpointRecord> records) {
  if (!upto) co_return fail(Errc::not_found, "there is no such entry to make a checkpoint of");
  std::string before = "0", number, list;
  for (std::size_t next = 0; number.empty() || next < records.size();) {
    const Turnstile::Pass pass = co_await state->writing.enter();
    if (!pass || state->closed) co_return closed();
    if (state->failure) co_return state->broken();
    const bool first = number.empty();
    if (!first && !state->writer->is_open())
      co_return fail(Errc::unavailable, "the connection to Redis was lost while a checkpoint was written");
    ATELIER_CO_TRY_VOID(co_await state->begin());
    if (first) {
      std::vector<std::string_view> last_words{"HMGET", state->keys.head, "last", "checkpoint"};
      ATELIER_CO_TRY(const Reply head,
                     co_await state->writer->command(std::move(last_words), state->options.patience));
      const auto fields = elements_of(*head);
      if (fields.size() != 2 || number_of(*fields[0]) < upto.value)
        co_return fail(Errc::not_found, "there is no such entry to make a checkpoint of");
      before = std::to_string(number_of(*fields[1]));
      std::vector<std::string_view> count_words{"HINCRBY", state->keys.head, "made", "1"};
      ATELIER_CO_TRY(const Reply made,
                     co_await state->writer->command(std::move(count_words), state->options.patience));
      number = std::to_string(number_of(*made));
      list = state->keys.checkpoint(number_of(*made));
    }
    std::deque<std::string> slice;
    std::vector<std::string_view> words{state->keys.head, state->session_key, list, state->session,
                                        kUnfinishedSeconds};
    for (std::size_t bytes = 0; slice.size() < kSliceRows && bytes < kSliceBytes && next < records.size();
         ++next) {
      encode(records[next], slice.emplace_back());
      bytes += slice.back().size();
      words.push_back(slice.back());
    }
    if (!slice.empty()) ATELIER_CO_TRY_VOID(co_await state->run(kSlice, std::move(words), 3));
  }
  const Turnstile::Pass pass = co_await state->writing.enter();
  if (!pass || state->closed) co_return closed();
  if (state->failure) co_return state->broken();
  if (!state->writer->is_open())
    co_return fail(Errc::unavailable, "the connection to Redis was lost while a checkpoint was written");
  const std::string last = std::to_string(upto.value);
  const std::string old_list = state->keys.checkpoint(std::stoull(before));
  std::vector<std::string_view> words{
      state->keys.head, state->session_key, list, old_list, state->session, number, last, before};
  ATELIER_CO_TRY_VOID(co_await state->run(kFlip, std::move(words), 4));
  co_return Result<void>{};
}

awaitable<bool> wait_for_others(Shared state) {
  const auto goes_on = [&](const asio::cancellation_state& now) {
    return !state->closed && now.cancelled() == asio::cancellation_type::none;
  };
  const std::string block = std::to_string(kLookForOthers.count());
  while (!state->closed) {
    if (!state->watcher || !state->watcher->is_open()) {
      auto fresh = co_await Connection::open(state->runtime, state->sweep, state->options);
      if (!goes_on(co_await asio::this_coro::cancellation_state)) break;
      if (fresh) state->watcher = std::move(*fresh);
      if (!fresh && !co_await state->runtime.sleep_for(milliseconds{1'000})) break;
      if (!fresh) continue;
    }
    const std::string after = fmt::format("{}-0", state->given.value);
    std::vector<std::string_view> words{"XREAD", "COUNT", "1", "BLOCK", block, "STREAMS", state->keys.entries,
                                        after};
    const auto reply =
        co_await state->watcher->command(std::move(words), kLookForOthers + state->options.patience);
    if (!goes_on(co_await asio::this_coro::cancellation_state)) break;
    if (reply && (*reply)->type == REDIS_REPLY_ARRAY) co_return true;
    if (!reply && !co_await state->runtime.sleep_for(milliseconds{1'000})) break;
  }
  co_return false;
}

/// The writer's mark in Redis is kept, and what was seen is written down.
awaitable<void> stay(Shared state) {
  while (co_await state->runtime.sleep_for(state->options.writer_ttl / 3)) {
    if (state->closed || state->failure) break;
    if (state->options.alone) {
      const Turnstile::Pass pass = co_await state->writing.enter();
      if (!pass || state->closed || state->failure) break;
      const std::string ttl = std::to_string(state->options.writer_ttl.count());
      auto here = co_await state->begin();
      if (here) {
        const auto renewed =
            co_await state->run(kRenew, {state->keys.writer, state->session_key, state->journal, ttl}, 2);
        if (!renewed) here = std::unexpected(renewed.error());
      }
      state->reachable = here || here.error().code == Errc::disk_full;
      if (!here && !state->closed) log::warn("redis_unreachable", {{"reason", here.error().what}});
    }
    if (!state->has_more_to_remember() || state->failure) continue;
    state->remembered = state->given;
    auto write = [path = state->options.mark_path, mark = SeenMark{state->store, state->given}] {
      write_mark(path, mark);
    };
    co_await run_blocking(state->runtime.file_pool(), std::move(write));
  }
}

class RedisJournal final : public Journal {
 public:
  explicit RedisJournal(Shared state) : state_(std::move(state)), tasks_(state_->runtime) {
    tasks_.spawn("redis-journal", stay(state_));
  }
  ~RedisJournal() override {
    state_->closed = true;
    state_->remember();
    if (state_->watcher) state_->watcher->close();
    state_->reader.close();
    if (!state_->writer) return;
    if (state_->options.alone) {
      state_->writer->say_and_close({"EVAL", kLeave, "1", state_->keys.writer, state_->journal});
    } else {
      state_->writer->close();
    }
  }

  awaitable<Result<std::vector<core::Entry>>> append(Batch batch) override {
    return redis::append(state_, std::move(batch));
  }
  awaitable<Result<ReplayPage>> read(ReplayCursor cursor) override {
    const auto state = state_;
    auto page = co_await read_page(state->reader, state->keys, cursor);
    if (!page && page.error().code == Errc::io && !state->failure) state->failure = page.error();
    co_return page;
  }
  awaitable<Result<std::shared_ptr<const std::string>>> attachment(Key128 id) override {
    const auto state = state_;
    co_return co_await read_attachment(state->reader, state->keys, id);
  }
  awaitable<bool> wait() override { return wait_for_others(state_); }
  awaitable<Result<void>> checkpoint(Sequence upto, std::vector<core::CheckpointRecord> records) override {
    const auto state = state_;
    if (state->failure) co_return state->broken();
    ATELIER_CO_TRY(const CheckpointTurn only_one, CheckpointTurn::take(state->checkpoint_runs));
    co_return co_await write_checkpoint(state, upto, std::move(records));
  }
  Time time() const override { return state_->clock->now(); }
  Sequence last() const override {
    return state_->unread.empty() ? state_->given : Sequence{state_->unread.front().sequence.value - 1};
  }
  Result<void> healthy() const override {
    if (state_->failure) return state_->broken();
    if (!state_->reachable) return fail(Errc::unavailable, "Redis cannot be reached");
    return {};
  }

 protected:
  void mark_given(Sequence sequence) override {
    if (sequence <= state_->given) return;
    state_->given = sequence;
    state_->given_fingerprint = {};
  }

 private:
  Shared state_;
  TaskGroup tasks_;
};

}  // namespace

awaitable<Result<std::unique_ptr<Journal>>> open(Runtime& runtime, Options options) {
  const auto state = std::make_shared<State>(runtime, std::move(options));
  // A server that was killed cannot say that it is gone.
  const Instant patience = runtime.now() + state->options.writer_ttl * 3 / 2;
  bool told = false;
  while (true) {
    auto begun = co_await state->begin();
    if (begun) break;
    const bool other = state->failure && state->other_writer;
    if (!other) co_return std::unexpected(std::move(begun).error());
    if (runtime.now() >= patience) {
      co_return fail(Errc::config,
                     fmt::format("another server writes the journal in Redis at {}:{} (prefix "
                                 "{}): there may be only one. Stop it, or set REDIS_PREFIX",
                                 state->options.host, state->options.port, state->options.prefix));
    }
    if (!told) log::info("redis_writer_not_gone_yet", {{"waits_ms", state->options.writer_ttl.count()}});
    told = true;
    state->failure.reset();
    state->other_writer = false;
    if (!co_await runtime.sleep_for(state->options.writer_ttl / 20)) co_return closed();
  }
  co_return std::make_unique<RedisJournal>(state);
}

}  // namespace atelier::journal::redis
