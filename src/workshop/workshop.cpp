// SPDX-License-Identifier: MIT
#include "workshop/workshop.hpp"

#include <fmt/format.h>

#include <deque>
#include <map>
#include <set>

#include "base/crash_point.hpp"
#include "base/log.hpp"
#include "base/match.hpp"
#include "runtime/task_group.hpp"

namespace atelier::workshop {
namespace {

constexpr milliseconds kRepeatWindow{10 * 60'000};  // "ended, byte-equal, 10 min" (design.md 5.4)
constexpr milliseconds kFullDiskRetry{1'000};
constexpr Instant kNever{INT64_MAX / 4};
constexpr milliseconds kLeaseLook{1'000};    // a lease of 30 s need not end to the millisecond (net.md 2.7)
constexpr milliseconds kStoodStill{10'000};  // a look that comes so late: the process or the machine slept
constexpr std::size_t kExpiredPerLook = 32;  // when a whole data centre is gone, its jobs come back in turn

}  // namespace

struct Workshop::Impl {
  /// Who waits for a posted event.
  struct Waiter {
    std::uint64_t ticket = 0;
    std::shared_ptr<Answer<Posted>> answer;
  };
  struct InFlightPrompt {
    Digest body;
    std::vector<std::shared_ptr<Answer<Posted>>> followers;
  };
  using PromptKey = std::pair<ParticipantId, std::string>;

  Impl(Runtime& r, journal::Journal& j, WorkshopOptions o)
      : runtime(r),
        journal(j),
        options(std::move(o)),
        fold(options.limits, options.history),
        leases(options.lease_ttl),
        arrived(r),
        idle(r),
        tasks(r) {}

  awaitable<void> loop();
  /// What decide is given.
  [[nodiscard]] core::PolicySettings policy_now() const;
  awaitable<void> watch_leases();
  /// Shows what stands before the damage; nothing is recorded any more.
  awaitable<Result<void>> open_damaged(Error damage);
  [[nodiscard]] std::unexpected<Error> refuse() const;
  void checkpoint_if_due();
  awaitable<void> write_checkpoint();
  awaitable<Result<std::size_t>> fold_and_store(std::shared_ptr<Fold> copy);
  journal::Batch next_batch();
  /// False: the journal is gone for good.
  awaitable<bool> run_batch();
  /// The commit failed: new prompts are refused, all else is tried again (nothing is lost on a full disk).
  awaitable<void> on_append_failed(Error error, journal::Batch batch);
  void fail_for_good(const Error& error, const journal::Batch& batch);
  void refuse_prompt(const journal::NewEntry& entry, const core::Submitted& submitted, const Error& error);
  void lose_patience();
  void apply(const core::Entry& entry, bool live);
  void answer(const core::Origin& origin, Result<Posted> result);
  void settle_submitted(ParticipantId participant);
  void enqueue(core::Event event, std::vector<journal::NewAttachment> attachments,
               std::shared_ptr<Answer<Posted>> answer);

  Runtime& runtime;
  journal::Journal& journal;
  WorkshopOptions options;
  Fold fold;
  core::Core& core = fold.core;
  History& history = fold.history;
  LeaseTable leases;
  std::vector<EffectSink*> sinks;
  std::function<void(const Error&)> fatal;
  GatewayId gateway;

  std::deque<journal::NewEntry> inbox;
  std::vector<core::Event> proposals;
  std::optional<Time> next_at;
  Instant limit_from;  // before that no job has run too long: this process has only begun, or stood still
  std::map<std::uint64_t, std::shared_ptr<Answer<Posted>>> waiters;
  std::map<PromptKey, InFlightPrompt> prompts;
  std::map<ParticipantId, std::uint32_t> in_flight_of;
  std::uint32_t in_flight = 0;
  std::uint64_t last_ticket = 0;

  std::optional<Instant> commit_begun;
  std::vector<core::Origin> committing;
  Signal arrived, idle;
  bool stopping = false, failed = false, ended = false, started = false;
  std::string refusal;                 // why nothing is recorded
  std::uint64_t since_checkpoint = 0;  // entries
  std::uint64_t checkpoint_due = 0;    // at that many; 0: not before the one under way is written
  Counters counters;
  TaskGroup tasks;
};

Workshop::Workshop(Runtime& runtime, journal::Journal& journal, WorkshopOptions options)
    : impl_(std::make_unique<Impl>(runtime, journal, std::move(options))) {}
Workshop::~Workshop() = default;

void Workshop::add_sink(EffectSink& sink) { impl_->sinks.push_back(&sink); }
void Workshop::on_fatal(std::function<void(const Error&)> handler) { impl_->fatal = std::move(handler); }
const core::Core& Workshop::core() const { return impl_->core; }
const History& Workshop::history() const { return impl_->history; }
LeaseTable& Workshop::leases() { return impl_->leases; }
Time Workshop::now() const { return impl_->journal.time(); }
GatewayId Workshop::gateway() const { return impl_->gateway; }
Key128 Workshop::id() const { return impl_->core.workshop().workshop; }
const std::string& Workshop::refusal() const { return impl_->refusal; }
bool Workshop::accepting() const { return impl_->started && !impl_->stopping && !impl_->failed; }
Workshop::Counters Workshop::counters() const {
  Counters counters = impl_->counters;
  counters.inbox = impl_->inbox.size();
  return counters;
}

awaitable<Result<void>> Workshop::open() {
  Impl& self = *impl_;
  auto on_page = [&](journal::ReplayPage& page) -> Result<void> {
    self.fold.apply(page);
    return {};
  };
  auto replayed = co_await self.journal.replay(on_page);
  if (replayed) replayed = self.journal.healthy();
  if (!replayed && replayed.error().code == Errc::io) co_return co_await self.open_damaged(replayed.error());
  if (!replayed) co_return replayed;
  self.fold.finish();
  self.counters.events = self.since_checkpoint = self.fold.entries;
  self.checkpoint_due = self.options.checkpoint_entries;

  journal::Batch batch;
  if (!self.core.workshop().workshop) {
    core::WorkshopOpened opened;
    opened.workshop = self.runtime.random_key();
    opened.release = self.options.release;
    journal::NewEntry entry;
    entry.event = std::move(opened);
    batch.push_back(std::move(entry));
    if (self.options.first_mode != core::QueueMode::fifo) {
      journal::NewEntry mode;
      mode.event = core::ModeChanged{self.options.first_mode, "configuration"};
      batch.push_back(std::move(mode));
    }
  }
  core::GatewayJoined joined;
  joined.boot = self.runtime.random_key();
  joined.release = self.options.release;
  journal::NewEntry entry;
  entry.event = std::move(joined);
  batch.push_back(std::move(entry));
  ATELIER_CO_TRY(auto entries, co_await self.journal.append(std::move(batch)));
  for (const core::Entry& recorded : entries) self.apply(recorded, false);
  self.gateway = GatewayId{self.core.workshop().last_gateway};

  const Instant now = self.runtime.now();
  self.limit_from = now + self.options.restart_grace;
  self.core.each_job([&](const core::JobFacts& job) {
    if (job.lease)
      self.leases.restore(job.job, job.lease->epoch, job.lease->link, now, self.options.restart_grace);
  });
  log::info("workshop_open", {{"jobs", self.core.jobs_live()},
                              {"history", self.history.size()},
                              {"sequence", self.core.workshop().last_sequence}});
  co_return Result<void>{};
}

awaitable<Result<void>> Workshop::Impl::open_damaged(Error damage) {
  // Once more, as far as it goes. Without its checkpoint the state can only come from all entries.
  bool from_entries = false;
  journal::ReplayCursor cursor;
  fold = Fold(options.limits, options.history);
  while (true) {
    auto page = co_await journal.read(cursor);
    if (!page && !from_entries && (!cursor.begun || cursor.checkpoint != 0)) {
      from_entries = true;
      fold = Fold(options.limits, options.history);
      cursor = {};
      cursor.begun = true;
      continue;
    }
    if (!page) break;
    if (!cursor.after && from_entries && !page->entries.empty() &&
        page->entries.front().sequence != Sequence{1}) {
      co_return fail(Errc::io, damage.what + "; the entries before this checkpoint are removed");
    }
    fold.apply(*page);
    cursor = page->next;
    if (page->end) break;
  }
  fold.finish();
  if (!core.workshop().last_sequence) co_return std::unexpected(std::move(damage));
  failed = ended = true;
  refusal = fmt::format(
      "The journal is damaged: nothing new is taken. History, outputs and editors are there as they were "
      "after entry {}. Stop the server, see what `atelier journal check` says, and put a backup of "
      "atelier.db in its place.",
      core.workshop().last_sequence);
  log::error("journal_damaged", {{"reason", damage.what}, {"shown", core.workshop().last_sequence}});
  co_return Result<void>{};
}

void Workshop::start() {
  impl_->started = true;
  if (impl_->failed) return;  // nothing is recorded: there is no loop
  impl_->tasks.spawn("workshop", impl_->loop());
  impl_->tasks.spawn("leases", impl_->watch_leases());
}

awaitable<void> Workshop::stop(Instant deadline) {
  Impl& self = *impl_;
  self.stopping = true;
  self.arrived.notify_all();
  while (self.started && !self.ended) {
    if (!co_await self.idle.wait(deadline)) break;
  }
  [[maybe_unused]] const bool all = co_await self.tasks.stop(self.runtime.now() + milliseconds{1'000});
}

void Workshop::Impl::enqueue(core::Event event, std::vector<journal::NewAttachment> attachments,
                             std::shared_ptr<Answer<Posted>> answer) {
  journal::NewEntry entry;
  entry.event = std::move(event);
  entry.attachments = std::move(attachments);
  entry.origin.gateway = gateway;
  entry.origin.ticket = ++last_ticket;
  if (answer) waiters.emplace(last_ticket, std::move(answer));
  inbox.push_back(std::move(entry));
  if (inbox.size() == 1) arrived.notify_all();
}

journal::NewAttachment Workshop::attach(std::shared_ptr<const std::string> bytes, Digest digest) {
  journal::NewAttachment attachment;
  attachment.ref.id = journal::new_attachment_id(impl_->runtime);
  attachment.ref.digest = digest ? digest : sha256(*bytes);
  attachment.ref.bytes = bytes->size();
  attachment.bytes = std::move(bytes);
  return attachment;
}

awaitable<Result<std::shared_ptr<const std::string>>> Workshop::attachment(Key128 id) {
  return impl_->journal.attachment(id);
}

void Workshop::post(core::Event event, std::vector<journal::NewAttachment> attachments) {
  if (impl_->failed) return;
  impl_->enqueue(std::move(event), std::move(attachments), nullptr);
}

std::unexpected<Error> Workshop::Impl::refuse() const {
  return fail(Errc::unavailable,
              refusal.empty() ? "the journal's disk has failed and the server stops; when it is back, look "
                                "whether the job is there before you press Run again"
                              : refusal);
}

awaitable<Result<Posted>> Workshop::record(core::Event event,
                                           std::vector<journal::NewAttachment> attachments) {
  Impl& self = *impl_;
  if (self.failed) co_return self.refuse();
  if (self.stopping) co_return fail(Errc::unavailable, "the server is stopping");
  if (self.inbox.size() >= self.options.inbox_max)
    co_return fail(Errc::unavailable, "the server is overloaded");
  auto answer = std::make_shared<Answer<Posted>>();
  self.enqueue(std::move(event), std::move(attachments), answer);
  co_return co_await answer->wait();
}

awaitable<Result<Submission>> Workshop::submit(core::Submitted event,
                                               std::shared_ptr<const std::string> prompt) {
  Impl& self = *impl_;
  const Digest body = event.body;
  const Impl::PromptKey key{event.participant, event.prompt_id};
  std::shared_ptr<Answer<Posted>> answer;
  bool repeated = false;
  auto conflict = [&] {
    return fail(Errc::conflict,
                fmt::format("a job with prompt_id {} waits or runs already, with another body", key.second));
  };
  if (const core::JobFacts* live = self.core.live(key.first, key.second)) {
    if (live->submitted.body != body) co_return conflict();
    Submission same;
    same.job = live->job;
    same.number = live->number;
    same.repeated = true;
    co_return same;
  }
  if (const core::Summary* ended = self.history.find(key.first, key.second);
      ended != nullptr && ended->body == body && now() - ended->ended_at <= kRepeatWindow) {
    Submission same;
    same.job = ended->job;
    same.number = ended->number;
    same.repeated = same.ended = true;
    co_return same;
  }
  if (self.failed) co_return self.refuse();
  if (self.stopping)
    co_return fail(Errc::unavailable, "the server restarts; press Run again in a few seconds");
  if (const auto found = self.prompts.find(key); found != self.prompts.end()) {
    if (found->second.body != body) co_return conflict();
    answer = std::make_shared<Answer<Posted>>();
    found->second.followers.push_back(answer);
    repeated = true;
  } else {
    core::InFlight in_flight;
    in_flight.in_all = self.in_flight;
    if (const auto own = self.in_flight_of.find(key.first); own != self.in_flight_of.end())
      in_flight.of_participant = own->second;
    if (self.inbox.size() >= self.options.inbox_max)
      co_return fail(Errc::unavailable, "the server is overloaded");
    journal::NewAttachment attachment = attach(std::move(prompt), event.prompt.digest);
    event.prompt = attachment.ref;
    core::Event any{std::move(event)};
    if (auto admitted = self.core.admit(any, self.options.admission, in_flight); !admitted) {
      ++self.counters.refused;
      co_return std::unexpected(std::move(admitted).error());
    }
    ++self.in_flight;
    ++self.in_flight_of[key.first];
    self.prompts[key].body = body;
    answer = std::make_shared<Answer<Posted>>();
    std::vector<journal::NewAttachment> attachments;
    attachments.push_back(std::move(attachment));
    self.enqueue(std::move(any), std::move(attachments), answer);
  }
  ATELIER_CO_TRY(const Posted posted, co_await answer->wait());
  Submission done;
  done.job = posted.accepted.job;
  done.repeated = repeated;
  if (const core::JobFacts* job = self.core.job(done.job)) {
    done.number = job->number;
  } else if (const core::Summary* summary = self.history.find(done.job)) {
    done.number = summary->number;
  }
  co_return done;
}

journal::Batch Workshop::Impl::next_batch() {
  journal::Batch batch;
  for (core::Event& event : proposals) {
    journal::NewEntry entry;
    entry.event = std::move(event);
    entry.origin.gateway = gateway;  // ticket 0: a proposal, made anew if it is not recorded
    batch.push_back(std::move(entry));
  }
  proposals.clear();
  std::size_t bytes = 0;
  while (!inbox.empty() && batch.size() < options.batch_events_max && bytes < options.batch_bytes_max) {
    for (const journal::NewAttachment& attachment : inbox.front().attachments) bytes += attachment.ref.bytes;
    batch.push_back(std::move(inbox.front()));
    inbox.pop_front();
  }
  return batch;
}

core::PolicySettings Workshop::Impl::policy_now() const {
  core::PolicySettings policy = options.policy;
  // Workshop time went on while this process did not: what agents have to say of that time comes first.
  if (runtime.now() < limit_from) policy.job_limit = {};
  return policy;
}

awaitable<void> Workshop::Impl::loop() {
  while (true) {
    core::Decision decision = core.decide(journal.time(), {}, policy_now());
    proposals = std::move(decision.proposals);
    next_at = decision.next_at;
    if (proposals.empty() && inbox.empty()) {
      if (stopping) break;
      // Workshop time runs with the monotonic clock: a wait of the difference ends at next_at.
      Instant wake = next_at ? runtime.now() + std::max(*next_at - journal.time(), milliseconds{1}) : kNever;
      if (runtime.now() < limit_from) wake = std::min(wake, limit_from);
      [[maybe_unused]] const bool notified = co_await arrived.wait(wake);
      if (wake != kNever && runtime.now() - wake >= kStoodStill)
        limit_from = runtime.now() + options.restart_grace;
      continue;
    }
    if (!co_await run_batch()) break;
    checkpoint_if_due();
  }
  ended = true;
  idle.notify_all();
}

awaitable<bool> Workshop::Impl::run_batch() {
  journal::Batch batch = next_batch();
  committing.clear();
  for (const journal::NewEntry& entry : batch) committing.push_back(entry.origin);
  // The journal takes the batch; what must not be lost on a full disk is kept (attachments are shared).
  journal::Batch kept = batch;
  commit_begun = runtime.now();
  auto result = co_await journal.append(std::move(batch));
  counters.longest_commit = std::max(counters.longest_commit, runtime.now() - *commit_begun);
  commit_begun.reset();
  if (!result) {
    co_await on_append_failed(result.error(), std::move(kept));
    co_return !failed;
  }
  ++counters.commits;
  crash_point("workshop_before_apply");
  for (const core::Entry& entry : *result) apply(entry, true);
  crash_point("workshop_after_apply");
  co_return true;
}

void Workshop::Impl::lose_patience() {
  if (!commit_begun || runtime.now() - *commit_begun < options.commit_patience) return;
  for (const core::Origin& origin : committing) {
    answer(origin, fail(Errc::unavailable,
                        "the disk is very slow; the job may still appear: look before you press Run again"));
  }
  committing.clear();
}

void Workshop::Impl::fail_for_good(const Error& error, const journal::Batch& batch) {
  failed = true;
  log::error("journal_failed", {{"reason", error.what}});
  const std::unexpected<Error> refusal_of_all = refuse();
  for (const journal::NewEntry& entry : batch) answer(entry.origin, refusal_of_all);
  for (const journal::NewEntry& entry : inbox) answer(entry.origin, refusal_of_all);
  for (auto& [key, prompt] : prompts) {
    for (auto& follower : prompt.followers) follower->give(refusal_of_all);
  }
  inbox.clear();
  if (fatal) fatal(error);
}

void Workshop::Impl::refuse_prompt(const journal::NewEntry& entry, const core::Submitted& submitted,
                                   const Error& error) {
  settle_submitted(submitted.participant);
  if (auto found = prompts.find({submitted.participant, submitted.prompt_id}); found != prompts.end()) {
    for (auto& follower : found->second.followers) follower->give(std::unexpected(error));
    prompts.erase(found);
  }
  answer(entry.origin, std::unexpected(error));
}

awaitable<void> Workshop::Impl::on_append_failed(Error error, journal::Batch batch) {
  if (error.code == Errc::io || error.code == Errc::newer_version) {
    fail_for_good(error, batch);
    co_return;
  }
  log::error("journal_refused", {{"reason", error.what}, {"events", batch.size()}});
  const bool may_be_stored = error.code == Errc::unavailable;
  std::set<std::uint64_t> recorded;
  while (may_be_stored && !failed) {
    [[maybe_unused]] const bool slept = co_await runtime.sleep_for(milliseconds{100});
    auto read_back = co_await journal.append({});
    if (!read_back) {
      if (read_back.error().code == Errc::io) fail_for_good(read_back.error(), batch);
      continue;
    }
    for (const core::Entry& entry : *read_back) {
      if (entry.origin.gateway == gateway) recorded.insert(entry.origin.ticket);
      apply(entry, true);
    }
    break;
  }
  if (failed) co_return;
  const bool full = error.code == Errc::disk_full || may_be_stored;
  std::vector<journal::NewEntry> again;
  for (journal::NewEntry& entry : batch) {
    if (entry.origin.ticket == 0 || recorded.contains(entry.origin.ticket)) continue;
    if (const auto* submitted = std::get_if<core::Submitted>(&entry.event)) {
      refuse_prompt(entry, *submitted, error);
    } else if (full || entry.attachments.empty()) {
      again.push_back(std::move(entry));
    } else {
      answer(entry.origin, std::unexpected(error));  // an attachment that the store cannot take
    }
  }
  for (auto entry = again.rbegin(); entry != again.rend(); ++entry) inbox.push_front(std::move(*entry));
  [[maybe_unused]] const bool slept = co_await runtime.sleep_for(kFullDiskRetry);
}

void Workshop::Impl::answer(const core::Origin& origin, Result<Posted> result) {
  if (origin.gateway != gateway || origin.ticket == 0) return;
  const auto waiter = waiters.find(origin.ticket);
  if (waiter == waiters.end()) return;
  auto to = std::move(waiter->second);
  waiters.erase(waiter);
  to->give(std::move(result));
}

void Workshop::Impl::settle_submitted(ParticipantId participant) {
  if (in_flight > 0) --in_flight;
  const auto own = in_flight_of.find(participant);
  if (own != in_flight_of.end() && --own->second == 0) in_flight_of.erase(own);
}

void Workshop::Impl::apply(const core::Entry& entry, bool live) {
  const std::vector<core::Effect> effects = core.apply(entry);
  history.apply(effects);
  ++counters.events;
  ++since_checkpoint;
  if (!live) return;
  leases.apply(effects, runtime.now());
  for (EffectSink* sink : sinks) sink->on_effects(entry, effects);

  Result<Posted> result = fail(Errc::internal, "no effect was reported");
  for (const core::Effect& effect : effects) {
    if (const auto* accepted = std::get_if<core::Accepted>(&effect)) {
      Posted posted;
      posted.accepted = *accepted;
      result = posted;
    } else if (const auto* refused = std::get_if<core::Refused>(&effect)) {
      result = std::unexpected(error_of(refused->reason));
    }
  }
  if (const auto* submitted = std::get_if<core::Submitted>(&entry.event)) {
    ++counters.submitted;
    const auto found = prompts.find({submitted->participant, submitted->prompt_id});
    if (found != prompts.end() && entry.origin.gateway == gateway) {
      settle_submitted(submitted->participant);
      for (auto& follower : found->second.followers) follower->give(result);
      prompts.erase(found);
    }
  }
  answer(entry.origin, std::move(result));
}

void Workshop::Impl::checkpoint_if_due() {
  if (checkpoint_due == 0 || since_checkpoint < checkpoint_due || stopping) return;
  checkpoint_due = 0;
  tasks.spawn("checkpoint", write_checkpoint());
}

awaitable<void> Workshop::Impl::write_checkpoint() {
  since_checkpoint = 0;
  auto copy = std::make_shared<Fold>(options.limits, options.history);
  auto records = co_await fold_and_store(copy);
  if (!records) log::warn("checkpoint_failed", {{"reason", records.error().what}});
  auto drop = [copy = std::move(copy)]() mutable { copy.reset(); };
  co_await run_blocking(runtime.compute_pool(), std::move(drop));
  checkpoint_due = std::max<std::uint64_t>(options.checkpoint_entries, records ? 2 * *records : 0);
}

/// A second core reads what is recorded and exports it: the first one, and its thread, are not asked.
awaitable<Result<std::size_t>> Workshop::Impl::fold_and_store(std::shared_ptr<Fold> copy) {
  const Sequence target = core.workshop().last_sequence;
  journal::ReplayCursor cursor;
  while (true) {
    ATELIER_CO_TRY(journal::ReplayPage read, co_await journal.read(cursor));
    auto page = std::make_shared<journal::ReplayPage>(std::move(read));
    cursor = page->next;
    const bool end = page->end || (cursor.checkpoint == 0 && cursor.after >= target);
    auto apply_page = [copy, page = std::move(page)] { copy->apply(*page); };
    co_await run_blocking(runtime.compute_pool(), std::move(apply_page));
    if (end) break;
  }
  auto export_records = [copy] {
    copy->finish();
    return copy->records();
  };
  auto records = co_await run_blocking(runtime.compute_pool(), std::move(export_records));
  const std::size_t count = records.size();
  ATELIER_CO_TRY_VOID(co_await journal.checkpoint(cursor.after, std::move(records)));
  counters.checkpoint = cursor.after;
  log::info("checkpoint", {{"sequence", cursor.after}, {"records", count}});
  co_return count;
}

awaitable<void> Workshop::Impl::watch_leases() {
  while (!stopping && !failed) {
    const Instant due = runtime.now() + kLeaseLook;
    if (!co_await runtime.sleep_for(kLeaseLook)) break;
    lose_patience();
    const Instant now = runtime.now();
    if (now - due >= kStoodStill) {
      // As after a restart: heartbeats of that time lie unread, or their senders could not dial in.
      log::warn("stood_still", {{"ms", (now - due).count()}, {"leases", leases.size()}});
      leases.extend_all(now + options.restart_grace);
      limit_from = now + options.restart_grace;
    }
    for (const LeaseTable::Expired& expired : leases.take_expired(now, kExpiredPerLook)) {
      log::warn("lease_expired", {{"job", expired.job}, {"epoch", expired.epoch}, {"link", expired.link}});
      core::LeaseExpired event;
      event.job = expired.job;
      event.epoch = expired.epoch;
      event.link = expired.link;
      enqueue(core::Event{std::move(event)}, {}, nullptr);
    }
  }
}

}  // namespace atelier::workshop
