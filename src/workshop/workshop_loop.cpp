// SPDX-License-Identifier: MIT
// The single writer's loop, and what goes on beside it: leases, checkpoints, what other gateways record.
#include <fmt/format.h>

#include <set>

#include "base/crash_point.hpp"
#include "base/log.hpp"
#include "workshop/workshop_impl.hpp"

namespace atelier::workshop {
namespace {

template <class T, class... Ones>
constexpr bool is_one_of = (std::is_same_v<T, Ones> || ...);

constexpr milliseconds kFullDiskRetry{1'000};
constexpr milliseconds kOutOfReachRetry{100};
constexpr milliseconds kBriefly{2'000};  // out of reach for less: no worker had to dial again meanwhile
constexpr Instant kNever{INT64_MAX / 4};
constexpr milliseconds kLeaseLook{1'000};    // a lease of 30 s need not end to the millisecond (net.md 2.7)
constexpr milliseconds kStoodStill{10'000};  // a look that comes so late: the process or the machine slept
constexpr std::size_t kExpiredPerLook = 32;  // when a whole data centre is gone, its jobs come back in turn

}  // namespace

bool asked_by_people(const core::Event& event) {
  return std::visit(
      []<class E>(const E&) {
        return is_one_of<E, core::CancelRequested, core::CancelScheduled, core::CancelUndone, core::Moved,
                         core::MoveUndone, core::JobHeld, core::JobReleased, core::JobChanged,
                         core::JobReordered, core::ParticipantHeld, core::ParticipantLimits,
                         core::ModeChanged, core::Paused, core::EveryoneHeld, core::WorkerDraining,
                         core::WorkerPaused, core::WorkerTags, core::HistoryForgotten, core::EnrolmentMade,
                         core::EnrolmentRevoked, core::WorkerKeyRevoked>;
      },
      event);
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
    leave_to_others();
    if (proposals.empty() && inbox.empty() && !others_recorded) {
      if (stopping) break;
      // Workshop time runs with the monotonic clock: a wait of the difference ends at next_at.
      Instant wake = next_at ? runtime.now() + std::max(*next_at - journal.time(), milliseconds{1}) : kNever;
      if (runtime.now() < limit_from) wake = std::min(wake, limit_from);
      [[maybe_unused]] const bool notified = co_await arrived.wait(wake);
      if (wake != kNever && runtime.now() - wake >= kStoodStill)
        limit_from = std::max(limit_from, runtime.now() + options.restart_grace);
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
  others_recorded = false;
  auto result = co_await journal.append(std::move(batch));
  caught_up.notify_all();
  counters.longest_commit = std::max(counters.longest_commit, runtime.now() - *commit_begun);
  if (!result) {
    co_await on_append_failed(result.error(), std::move(kept));
    commit_begun.reset();
    co_return !failed;
  }
  commit_begun.reset();
  found_full = false;
  ++counters.commits;
  crash_point("workshop_before_apply");
  for (const core::Entry& entry : *result) {
    if (!take(entry)) co_return false;
  }
  crash_point("workshop_after_apply");
  co_return true;
}

void Workshop::Impl::lose_patience() {
  if (!commit_begun || runtime.now() - *commit_begun < options.commit_patience) return;
  for (const core::Origin& origin : committing) {
    answer(origin,
           fail(Errc::unavailable,
                "the journal is very slow; the job may still appear: look before you press Run again"));
  }
  committing.clear();
}

void Workshop::Impl::fail_for_good(const Error& error, const journal::Batch& batch) {
  failed = true;
  refusal.clear();
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

void Workshop::Impl::refuse_what_people_ask(const Error& error) {
  std::deque<journal::NewEntry> others;
  for (journal::NewEntry& entry : std::exchange(inbox, {})) {
    if (const auto* submitted = std::get_if<core::Submitted>(&entry.event)) {
      refuse_prompt(entry, *submitted, error);
    } else if (asked_by_people(entry.event) && waiters.contains(entry.origin.ticket)) {
      answer(entry.origin, std::unexpected(error));
    } else {
      others.push_back(std::move(entry));
    }
  }
  for (journal::NewEntry& entry : inbox) others.push_back(std::move(entry));  // what came meanwhile
  inbox = std::move(others);
}

awaitable<void> Workshop::Impl::on_append_failed(Error error, journal::Batch batch) {
  if (error.code == Errc::io || error.code == Errc::newer_version) {
    fail_for_good(error, batch);
    co_return;
  }
  log::error("journal_refused", {{"reason", error.what}, {"events", batch.size()}});
  const bool may_be_stored = error.code == Errc::unavailable;
  const Instant lost_at = runtime.now();
  std::set<std::uint64_t> recorded;
  if (may_be_stored) {
    out_of_reach = true;
    refusal =
        "The journal cannot be reached for the moment: nothing new is taken. Jobs that run go on, and what "
        "became of them is recorded when it is back.";
    refuse_what_people_ask(not_taken());
  }
  while (may_be_stored && !failed) {
    [[maybe_unused]] const bool slept = co_await runtime.sleep_for(kOutOfReachRetry);
    auto read_back = co_await journal.append({});
    if (!read_back) {
      const Errc code = read_back.error().code;
      if (code == Errc::io || code == Errc::newer_version) fail_for_good(read_back.error(), batch);
      continue;
    }
    log::info("journal_within_reach", {{"entries", read_back->size()}});
    if (runtime.now() - lost_at >= kBriefly) {
      leases.extend_all(runtime.now() + options.restart_grace);
      limit_from = std::max(limit_from, runtime.now() + options.restart_grace);
    }
    for (const core::Entry& entry : *read_back) {
      if (entry.origin.gateway == gateway) recorded.insert(entry.origin.ticket);
      if (!take(entry)) co_return;
    }
    break;
  }
  out_of_reach = false;
  refusal.clear();
  if (failed) co_return;
  found_full = error.code == Errc::disk_full;
  const bool all_fail = found_full || may_be_stored;
  std::vector<journal::NewEntry> again;
  for (journal::NewEntry& entry : batch) {
    if (entry.origin.ticket == 0 || recorded.contains(entry.origin.ticket)) continue;
    if (const auto* submitted = std::get_if<core::Submitted>(&entry.event)) {
      refuse_prompt(entry, *submitted,
                    may_be_stored ? not_taken()
                    : found_full  ? no_room_for_prompt()
                                  : error);
    } else if (found_full && asked_by_people(entry.event) && waiters.contains(entry.origin.ticket)) {
      answer(entry.origin, std::unexpected(no_room_for_command()));  // and not carried out when nobody waits
    } else if (all_fail || entry.attachments.empty()) {
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

bool Workshop::Impl::take(const core::Entry& entry) {
  const std::uint64_t last = core.workshop().last_sequence.value;
  if (entry.sequence.value != last + 1) {
    fail_for_good(
        {Errc::internal, fmt::format("entry {} of the journal came after {}", entry.sequence, last)}, {});
    return false;
  }
  apply(entry, true);
  return true;
}

void Workshop::Impl::apply(const core::Entry& entry, bool live) {
  const std::vector<core::Effect> effects = core.apply(entry);
  history.apply(effects);
  ++counters.events;
  ++since_checkpoint;
  if (!live) return;
  last_applied = runtime.now();
  leases.apply(effects, runtime.now(),
               [this](LinkId link) { return options.alone || holder_of(link) == gateway; });
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
    auto apply_page = [copy, page = std::move(page)] { return copy->apply(*page); };
    ATELIER_CO_TRY_VOID(co_await run_blocking(runtime.compute_pool(), std::move(apply_page)));
    if (end) break;
  }
  auto export_records = [copy]() -> Result<std::vector<core::CheckpointRecord>> {
    ATELIER_TRY_VOID(copy->finish());
    return copy->records();
  };
  ATELIER_CO_TRY(auto records, co_await run_blocking(runtime.compute_pool(), std::move(export_records)));
  const std::size_t count = records.size();
  ATELIER_CO_TRY_VOID(co_await journal.checkpoint(cursor.after, std::move(records)));
  counters.checkpoint = cursor.after;
  log::info("checkpoint", {{"sequence", cursor.after}, {"records", count}});
  co_return count;
}

GatewayId Workshop::Impl::holder_of(LinkId link) const {
  GatewayId holder;
  core.each_worker([&](const core::WorkerFacts& worker) {
    if (worker.link == link) holder = worker.gateway;
  });
  return holder;
}

/// All gateways decide alike: a lease is proposed by the one that holds the slot's link, all else by the
/// first.
void Workshop::Impl::leave_to_others() {
  const Instant patience = last_applied + options.others_patience;
  if (options.alone || runtime.now() >= patience) return;
  const auto of_another = [&](const core::Event& event) {
    const auto* leased = std::get_if<core::Leased>(&event);
    return (leased != nullptr ? holder_of(leased->link) : core.first_gateway()) != gateway;
  };
  if (std::erase_if(proposals, of_another) == 0) return;
  const Time look_again = journal.time() + (patience - runtime.now());
  next_at = next_at ? std::min(*next_at, look_again) : look_again;
}

awaitable<void> Workshop::Impl::watch_others() {
  while (co_await journal.wait()) {
    if (stopping || failed) break;
    others_recorded = true;
    arrived.notify_all();
    while (others_recorded) {
      if (!co_await caught_up.wait(kNever)) co_return;
    }
  }
}

awaitable<void> Workshop::Impl::watch_leases() {
  while (!stopping && !failed) {
    const Instant due = runtime.now() + kLeaseLook;
    if (!co_await runtime.sleep_for(kLeaseLook)) break;
    lose_patience();
    if (!out_of_reach &&
        !journal.healthy()) {  // found while nothing was to be recorded: a commit says what it is
      others_recorded = true;
      arrived.notify_all();
    }
    if (out_of_reach) continue;  // workers whose links broke cannot be recorded as back
    const Instant now = runtime.now();
    if (now - due >= kStoodStill) {
      // As after a restart: heartbeats of that time lie unread, or their senders could not dial in.
      log::warn("stood_still", {{"ms", (now - due).count()}, {"leases", leases.size()}});
      leases.extend_all(now + options.restart_grace);
      limit_from = std::max(limit_from, now + options.restart_grace);
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
