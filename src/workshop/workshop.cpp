// SPDX-License-Identifier: MIT
#include "workshop/workshop.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.hpp"
#include "workshop/workshop_impl.hpp"

namespace atelier::workshop {
namespace {

constexpr milliseconds kRepeatWindow{10 * 60'000};  // "ended, byte-equal, 10 min" (design.md 5.4)

}  // namespace

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
bool Workshop::found_full() const { return impl_->found_full; }
bool Workshop::accepting() const { return impl_->started && !impl_->stopping && !impl_->failed; }
Workshop::Counters Workshop::counters() const {
  Counters counters = impl_->counters;
  counters.inbox = impl_->inbox.size();
  return counters;
}

awaitable<Result<void>> Workshop::open() {
  Impl& self = *impl_;
  auto on_page = [&](journal::ReplayPage& page) -> Result<void> {
    ATELIER_TRY_VOID(self.fold.apply(page));
    return page.end ? self.fold.finish() : Result<void>{};
  };
  auto replayed = co_await self.journal.replay(on_page);
  if (replayed) replayed = self.journal.healthy();
  if (!replayed && replayed.error().code == Errc::io) co_return co_await self.open_damaged(replayed.error());
  if (!replayed) co_return replayed;
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
  joined.alone = self.options.alone;
  joined.release = self.options.release;
  journal::NewEntry entry;
  entry.event = std::move(joined);
  batch.push_back(std::move(entry));
  ATELIER_CO_TRY(auto entries, co_await self.journal.append(std::move(batch)));
  for (const core::Entry& recorded : entries) self.apply(recorded, false);
  self.gateway = GatewayId{self.core.workshop().last_gateway};

  const Instant now = self.runtime.now();
  // While nobody was here workshop time went on with the wall clock, which may have been set: a job that was
  // running has its agent's limit, and the workshop's own from now.
  self.limit_from = now + std::max(self.options.restart_grace,
                                   self.options.policy.job_limit + milliseconds{core::kJobLimitMarginMs});
  self.core.each_job([&](const core::JobFacts& job) {
    if (job.lease && self.options.alone)
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
    bool bad_checkpoint = !page && (!cursor.begun || cursor.checkpoint != 0);
    if (page && page->records.empty()) bad_checkpoint = !fold.finish();
    if (bad_checkpoint && !from_entries) {
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
    if (!fold.apply(*page)) break;
    cursor = page->next;
    if (page->end) break;
  }
  if (!fold.finish()) co_return std::unexpected(std::move(damage));
  if (!core.workshop().last_sequence) co_return std::unexpected(std::move(damage));
  failed = ended = true;
  refusal = fmt::format(
      "The journal is damaged: nothing new is taken. History, outputs and editors are there as they were "
      "after entry {}. Stop the server, see what `atelier journal check` says, and put a backup "
      "in its place.",
      core.workshop().last_sequence);
  log::error("journal_damaged", {{"reason", damage.what}, {"shown", core.workshop().last_sequence}});
  co_return Result<void>{};
}

void Workshop::start() {
  impl_->started = true;
  if (impl_->failed) return;  // nothing is recorded: there is no loop
  impl_->tasks.spawn("workshop", impl_->loop());
  impl_->tasks.spawn("leases", impl_->watch_leases());
  if (!impl_->options.alone) impl_->tasks.spawn("others", impl_->watch_others());
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
  if (self.out_of_reach && asked_by_people(event)) co_return std::unexpected(not_taken());
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
  if (self.out_of_reach) co_return std::unexpected(not_taken());
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

}  // namespace atelier::workshop
