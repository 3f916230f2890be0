// SPDX-License-Identifier: MIT
#include "gateway/instructor/api_events.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/match.hpp"
#include "comfy/json.hpp"
#include "gateway/instructor/api_views.hpp"
#include "runtime/let_others_run.hpp"

namespace atelier::gateway {
namespace {

constexpr int kMessagesFromReaderMax = 100;

std::string list_of(const std::vector<JobId>& jobs, std::size_t count_max) {
  std::string text;
  for (const JobId job : jobs) {
    if (count_max-- == 0) break;
    text += fmt::format("{}{}", text.empty() ? "" : ",", job);
  }
  return text;
}

}  // namespace

ApiEvents::ApiEvents(Runtime& runtime, workshop::Workshop& workshop, std::uint64_t num_users,
                     ApiWaiting& waiting, WallClock& wall_clock, Order order, ApiEventLimits limits)
    : runtime_(runtime),
      workshop_(workshop),
      num_users_(num_users),
      waiting_(waiting),
      wall_clock_(wall_clock),
      order_(std::move(order)),
      limits_(limits),
      changed_(runtime),
      ended_(runtime),
      tasks_(runtime) {}

bool ApiEvents::Change::is_for(const Caller& caller) const {
  return caller.is_instructor() || audience == For::everybody ||
         (audience == For::owner && owner == caller.participant);
}

std::string ApiEvents::Delta::print(const Caller& caller, std::uint64_t sequence, std::uint64_t since) const {
  std::string texts, rows;
  const auto add = [](std::string& list, std::string_view text) {
    if (!list.empty()) list += ',';
    list += text;
  };
  for (const Change& change : jobs) {
    if (jobs_upto > since && change.is_for(caller)) add(texts, change.text);
  }
  for (const Change& change : changes) {
    if (upto > since && change.is_for(caller)) add(texts, change.text);
  }
  for (const ApiWaiting::Row& row : waiting) {
    if (caller.owns(row.owner)) add(rows, row.text);
  }
  if (!order.empty() && caller.is_instructor()) add(texts, order);
  if (!rows.empty()) add(texts, fmt::format(R"({{"waiting":[{}]}})", rows));
  if (texts.empty()) return {};
  return fmt::format(R"({{"type":"delta","sequence":{},"time":{},"changes":[{}]}})", sequence, time.ms,
                     texts);
}

// ---- what changed

void ApiEvents::on_effects(const core::Entry& entry, std::span<const core::Effect> effects) {
  if (!watching_) return;
  const std::uint64_t at = entry.sequence.value;
  if (const auto* held = std::get_if<core::ParticipantHeld>(&entry.event))
    mark_waiting_of(held->participant, at);
  if (std::holds_alternative<core::EveryoneHeld>(entry.event)) {
    for (std::uint64_t n = 1; n <= num_users_; ++n) mark_waiting_of(ParticipantId{n}, at);
  }
  if (const auto* limits = std::get_if<core::ParticipantLimits>(&entry.event))
    people_.insert(limits->participant);
  for (const core::Effect& effect : effects) mark(effect, at);
  waiting_.note();
  if (jobs_.size() > limits_.changed_jobs_max) {
    forget_all();
    for (const auto& reader : readers_) {
      if (!std::exchange(reader->greeted, false)) continue;
      tasks_.spawn("api events snapshot", greet(reader, std::nullopt));
    }
  }
  if (dirty_) changed_.notify_all();
}

void ApiEvents::mark_job(JobId id, ParticipantId owner, std::uint64_t sequence) {
  Changed& changed = jobs_[id];
  jobs_by_change_.erase({changed.at, id});
  changed = {owner, sequence};
  jobs_by_change_.emplace(sequence, id);
  people_.insert(owner);
  dirty_ = true;
}

void ApiEvents::mark_waiting_of(ParticipantId owner, std::uint64_t sequence) {
  people_.insert(owner);
  workshop_.core().each_job_of(owner, [&](const core::JobFacts& job) {
    if (job.state == core::JobState::queued) mark_job(job.job, owner, sequence);
  });
  dirty_ = true;
}

void ApiEvents::mark(const core::Effect& effect, std::uint64_t sequence) {
  const auto job = [&](JobId id, ParticipantId owner) { mark_job(id, owner, sequence); };
  std::visit(Match{[](const core::Accepted&) {}, [](const core::Refused&) {},
                   [&](const core::JobQueued& e) {
                     job(e.job, e.participant);
                     if (e.cause != core::QueueCause::submitted) workers_dirty_ = true;
                   },
                   [&](const core::JobMarked& e) {
                     job(e.job, e.participant);
                     order_changed_ = true;
                   },
                   [&](const core::JobLeased& e) {
                     job(e.job, e.participant);
                     waiting_.forget(e.job);
                     workers_dirty_ = true;
                   },
                   [&](const core::JobStarted& e) { job(e.job, e.participant); },
                   [&](const core::JobComputed& e) {
                     job(e.job, e.participant);
                     workers_dirty_ = true;
                   },
                   [](const core::NodeCommitted&) {}, [](const core::CommitRepeated&) {},
                   [&](const core::NodeLinked& e) { job(e.job, e.participant); },
                   [&](const core::JobEnded& e) {
                     job(e.facts.job, e.facts.submitted.participant);
                     waiting_.forget(e.facts.job);
                     workers_dirty_ = true;
                   },
                   [](const core::StopWanted&) {}, [](const core::LinkReplaced&) {},
                   [](const core::LeaseMoved&) {}, [](const core::LeaseDropped&) {},
                   [&](const core::HistoryDropped& e) {
                     for (const JobId id : e.jobs) job(id, e.participant);
                   },
                   [&](const core::WorkshopChanged&) {
                     dirty_ = workers_dirty_ = enrolments_dirty_ = true;
                     order_changed_ = true;
                   }},
             effect);
}

void ApiEvents::begin_watching() {
  if (watching_) return;
  watching_ = true;
  forget_all();
}

/// Whoever reads next begins with a snapshot.
void ApiEvents::forget_all() {
  dirty_ = workers_dirty_ = enrolments_dirty_ = false;
  jobs_.clear();
  jobs_by_change_.clear();
  people_.clear();
  kept_.clear();
  kept_bytes_ = 0;
  waiting_.forget_all();
  flushed_ = oldest_ = workshop_.core().workshop().last_sequence.value;
  const core::Core& core = workshop_.core();
  queue_text_ = queue_view(core, num_users_);
  worker_texts_.clear();
  core.each_worker(
      [&](const core::WorkerFacts& worker) { worker_texts_[worker.name] = worker_view(core, worker); });
  enrolment_texts_.clear();
  core.each_enrolment([&](const core::EnrolmentFacts& enrolment) {
    enrolment_texts_[enrolment.enrolment] = enrolment_view(enrolment, workshop_.now());
  });
  people_texts_.clear();
  for (std::uint64_t n = 1; n <= num_users_; ++n)
    people_texts_[ParticipantId{n}] = participant_view(core, ParticipantId{n});
}

void ApiEvents::add_jobs(Delta& delta) {
  const core::Core& core = workshop_.core();
  for (std::size_t left = limits_.jobs_per_delta_max; left > 0 && !jobs_.empty(); --left) {
    const auto [at, id] = *jobs_by_change_.begin();  // in the order in which they changed
    const ParticipantId owner = jobs_.at(id).owner;
    jobs_by_change_.erase(jobs_by_change_.begin());
    jobs_.erase(id);
    delta.jobs_upto = at;
    Change change{.audience = Change::For::owner, .owner = owner, .text = {}};
    if (const core::JobFacts* job = core.job(id)) {
      change.text = fmt::format(R"({{"job":{}}})", job_view(core, *job, wall_clock_));
    } else if (const core::Summary* summary = workshop_.history().find(id)) {
      change.text = fmt::format(R"({{"job_gone":{},"job":{}}})", id, job_view(*summary));
    } else {
      change.text = fmt::format(R"({{"job_gone":{}}})", id);
    }
    delta.jobs.push_back(std::move(change));
  }
}

void ApiEvents::add_people(Delta& delta) {
  const core::Core& core = workshop_.core();
  for (const ParticipantId id : people_) {
    if (!id) continue;
    std::string text = participant_view(core, id);
    std::string& sent = people_texts_[id];
    if (text == sent) continue;
    sent = std::move(text);
    delta.changes.push_back({Change::For::owner, id, fmt::format(R"({{"participant":{}}})", sent)});
  }
  people_.clear();
}

void ApiEvents::add_workers(Delta& delta) {
  if (!std::exchange(workers_dirty_, false)) return;
  const core::Core& core = workshop_.core();
  std::map<std::string, std::string> texts;
  core.each_worker([&](const core::WorkerFacts& worker) { texts[worker.name] = worker_view(core, worker); });
  for (const auto& [name, text] : texts) {
    if (const auto sent = worker_texts_.find(name); sent != worker_texts_.end() && sent->second == text)
      continue;
    delta.changes.push_back({Change::For::instructors, {}, fmt::format(R"({{"worker":{}}})", text)});
  }
  for (const auto& [name, text] : worker_texts_) {
    if (texts.contains(name)) continue;
    delta.changes.push_back(
        {Change::For::instructors, {}, fmt::format(R"({{"worker_gone":{}}})", comfy::quote_json(name))});
  }
  worker_texts_ = std::move(texts);
}

void ApiEvents::add_enrolments(Delta& delta) {
  if (!std::exchange(enrolments_dirty_, false)) return;
  std::map<EnrolmentId, std::string> texts;
  workshop_.core().each_enrolment([&](const core::EnrolmentFacts& enrolment) {
    std::string text = enrolment_view(enrolment, workshop_.now());
    const auto sent = enrolment_texts_.find(enrolment.enrolment);
    if (sent == enrolment_texts_.end() || sent->second != text)
      delta.changes.push_back({Change::For::instructors, {}, fmt::format(R"({{"enrolment":{}}})", text)});
    texts.emplace(enrolment.enrolment, std::move(text));
  });
  enrolment_texts_ = std::move(texts);
}

void ApiEvents::add_order(Delta& delta) {
  // A list costs half a millisecond for 1,000 jobs: of a long queue it comes less often, unless somebody has
  // changed it. Fair turns are known already.
  const core::Core& core = workshop_.core();
  const bool list = core.workshop().mode != core::QueueMode::round_robin;
  const auto times =
      static_cast<std::int64_t>(1 + (list && !order_changed_ ? core.jobs_waiting() / 2'000 : 0));
  if (runtime_.now() - order_sent_ < times * limits_.order_pause) return;
  order_sent_ = runtime_.now();
  order_changed_ = false;
  std::string text = list_of(order_(), limits_.ordered_jobs_max);
  if (text == order_text_) return;
  order_text_ = std::move(text);
  order_told_ = core.workshop().last_sequence.value;
  delta.order = fmt::format(R"({{"order":[{}]}})", order_text_);
}

bool ApiEvents::flush() {
  const core::Core& core = workshop_.core();
  auto delta = std::make_shared<Delta>();
  delta->time = core.workshop().last_wall;
  add_jobs(*delta);
  dirty_ = !jobs_.empty();
  delta->upto = core.workshop().last_sequence.value;
  delta->to = dirty_ ? jobs_by_change_.begin()->first - 1 : delta->upto;
  add_people(*delta);
  add_workers(*delta);
  add_enrolments(*delta);
  add_order(*delta);
  if (std::string queue = queue_view(core, num_users_); queue != queue_text_) {
    queue_text_ = std::move(queue);
    delta->changes.push_back({Change::For::everybody, {}, fmt::format(R"({{"queue":{}}})", queue_text_)});
  }
  delta->waiting = waiting_.take(delta->upto);
  flushed_ = delta->to;
  if (delta->empty()) return false;
  send(*delta);
  keep(std::move(delta));
  return true;
}

void ApiEvents::send(const Delta& delta) {
  // One text for all instructors; but for whoever has read a snapshot that is newer than this.
  std::map<std::uint64_t, std::shared_ptr<const std::string>> everything;
  for (const auto& reader : readers_) {
    if (!reader->greeted) continue;
    const std::uint64_t sequence = std::max(reader->said, delta.to);
    std::shared_ptr<const std::string> text;
    if (reader->caller.is_instructor()) text = everything[sequence];
    if (text == nullptr) text = std::make_shared<const std::string>(delta.print(reader->caller, sequence));
    if (text->empty()) continue;
    if (reader->caller.is_instructor()) everything[sequence] = text;
    reader->said = sequence;
    reader->outgoing.push({net::MessageKind::text, std::move(text)});
  }
}

void ApiEvents::keep(std::shared_ptr<Delta> delta) {
  delta->order.clear();
  delta->waiting.clear();
  if (delta->empty()) return;
  for (const auto* list : {&delta->jobs, &delta->changes}) {
    for (const Change& change : *list) delta->bytes += change.text.size() + sizeof(Change);
  }
  kept_bytes_ += delta->bytes;
  kept_.push_back(std::move(delta));
  while (kept_.size() > limits_.kept_deltas_max || kept_bytes_ > limits_.kept_bytes_max) {
    kept_bytes_ -= kept_.front()->bytes;
    oldest_ = kept_.front()->upto;
    kept_.pop_front();
  }
}

void ApiEvents::tick() {
  for (const auto& reader : readers_) {
    // Who has something to read hears enough; and a sequence must not come before what it stands for.
    if (!reader->greeted || reader->outgoing.messages_waiting() > 1) continue;
    reader->said = std::max(reader->said, flushed_);
    reader->outgoing.push(net::Message::text(
        fmt::format(R"({{"type":"tick","sequence":{},"time":{}}})", reader->said, runtime_.wall().ms)));
  }
}

awaitable<void> ApiEvents::watch() {
  Instant next_tick = runtime_.now() + limits_.tick;
  while (!stopping_) {  // or until the group cancels it
    if (readers_.empty()) {
      const Instant until = last_reader_left_ + limits_.kept_without_readers;
      if (!dirty_ && runtime_.now() < until) {
        [[maybe_unused]] const bool woken = co_await changed_.wait(until);
        continue;
      }
      if (runtime_.now() >= until) break;
    } else if (!dirty_ && runtime_.now() < next_tick) {
      [[maybe_unused]] const bool woken = co_await changed_.wait(next_tick);
      continue;
    }
    if (!readers_.empty() && waiting_.due()) co_await waiting_.look();
    flush();
    // Whatever others were told: a page that hears nothing for a while takes its socket for dead.
    if (runtime_.now() >= next_tick) {
      tick();
      next_tick = runtime_.now() + limits_.tick;
    }
    [[maybe_unused]] const bool slept = co_await runtime_.sleep_for(limits_.pause);
  }
  // Nobody has looked for a while: nothing is written down until somebody does.
  watching_ = false;
  forget_all();
}

// ---- who reads

bool ApiEvents::refuses(const Caller& caller) const {
  const auto same = std::ranges::count_if(readers_, [&](const auto& reader) {
    return reader->caller.role == caller.role && reader->caller.participant == caller.participant;
  });
  const std::size_t most =
      caller.is_instructor() ? limits_.instructors_max : limits_.sockets_per_participant_max;
  return static_cast<std::size_t>(same) >= most;
}

awaitable<std::string> ApiEvents::snapshot(Caller caller) const {
  const core::Core& core = workshop_.core();
  const std::string head = as_of(core);
  std::vector<JobId> ids;
  const auto add = [&](const core::JobFacts& job) { ids.push_back(job.job); };
  if (caller.is_instructor()) {
    core.each_job(add);
  } else {
    core.each_job_of(caller.participant, add);
  }
  constexpr std::size_t kJobsBytesMax = 8u << 20;  // half of what may wait for a slow reader
  bool complete = ids.size() <= limits_.snapshot_jobs_max;
  if (!complete) ids.resize(limits_.snapshot_jobs_max);
  std::string jobs, waiting, people, workers;
  std::size_t written = 0;
  for (const JobId id : ids) {
    if (++written % kSlice == 0) co_await let_others_run();
    const core::JobFacts* job = core.job(id);
    if (job == nullptr) continue;  // it has ended meanwhile: a delta says so
    if (jobs.size() > kJobsBytesMax) {
      complete = false;
      break;
    }
    if (!jobs.empty()) jobs += ',';
    jobs += job_view(core, *job, wall_clock_);
    if (job->lease || job->cancel_requested) continue;
    if (!waiting.empty()) waiting += ',';
    waiting += waiting_.row_of(*job);
  }
  for (std::uint64_t n = 1; n <= num_users_; ++n) {
    if (!caller.owns(ParticipantId{n})) continue;
    if (++written % kSlice == 0) co_await let_others_run();
    if (!people.empty()) people += ',';
    people += participant_view(core, ParticipantId{n});
  }
  if (caller.is_instructor()) {
    core.each_worker([&](const core::WorkerFacts& worker) {
      if (!workers.empty()) workers += ',';
      workers += worker_view(core, worker);
    });
    std::string enrolments;
    core.each_enrolment([&](const core::EnrolmentFacts& enrolment) {
      if (!enrolments.empty()) enrolments += ',';
      enrolments += enrolment_view(enrolment, workshop_.now());
    });
    workers = fmt::format(R"(,"workers":[{}],"enrolments":[{}],"order":[{}])", workers, enrolments,
                          list_of(order_(), limits_.ordered_jobs_max));
  }
  co_return fmt::format(
      R"({{"type":"snapshot",{},"queue":{},"jobs":[{}],"waiting":[{}],"complete":{},"participants":[{}]{}}})",
      head, queue_view(core, num_users_), jobs, waiting, complete, people, workers);
}

bool ApiEvents::send_kept(Reader& reader, std::uint64_t since) {
  if (since < oldest_ || since > workshop_.core().workshop().last_sequence.value) return false;
  reader.said = std::max(reader.said, since);
  const auto tell = [&](const Delta& delta) {
    const std::uint64_t sequence = std::max(reader.said, delta.to);
    std::string text = delta.print(reader.caller, sequence, since);
    if (text.empty()) return;
    reader.said = sequence;
    reader.outgoing.push(net::Message::text(std::move(text)));
  };
  for (const auto& delta : kept_) {
    if (delta->upto > since) tell(*delta);
  }
  Delta newest;
  newest.time = workshop_.core().workshop().last_wall;
  newest.to = flushed_;
  if (order_told_ >= since && !order_text_.empty())
    newest.order = fmt::format(R"({{"order":[{}]}})", order_text_);
  newest.waiting = waiting_.told_since(since);
  tell(newest);
  reader.greeted = true;
  tick();
  return true;
}

awaitable<void> ApiEvents::greet(std::shared_ptr<Reader> reader, std::optional<std::uint64_t> since) {
  // What was told of waiting jobs follows the clock, not the journal: without that a snapshot is due.
  if (since && waiting_.knows_what_was_told() && send_kept(*reader, *since)) co_return;
  while (true) {
    co_await waiting_.fill();
    // What changed after this comes as deltas, perhaps a second time.
    const std::uint64_t from = workshop_.core().workshop().last_sequence.value;
    std::string text = co_await snapshot(reader->caller);
    if (from < oldest_) continue;  // so much has changed meanwhile that not all of it is kept
    reader->outgoing.push(net::Message::text(std::move(text)));
    [[maybe_unused]] const bool sent = send_kept(*reader, from);
    co_return;
  }
}

awaitable<void> ApiEvents::run(std::unique_ptr<net::WebSocket> socket, Caller caller,
                               std::optional<std::uint64_t> since) {
  if (stopping_ || refuses(caller)) {
    const auto code = stopping_ ? net::CloseCode::going_away : net::CloseCode::try_again_later;
    co_await socket->close(code, stopping_ ? "the server stops" : "too many of these sockets are open");
    co_return;
  }
  auto reader = std::make_shared<Reader>(runtime_, std::move(socket), caller);
  const bool was_watching = watching_;
  begin_watching();
  readers_.push_back(reader);
  if (!was_watching) tasks_.spawn("api events", watch());
  changed_.notify_all();
  TaskGroup writer(runtime_);
  writer.spawn("api events writer", write_loop(reader));
  co_await greet(reader, since);
  co_await read_loop(*reader);
  reader->outgoing.close(net::CloseCode::normal, "");
  const Instant patience = runtime_.now() + milliseconds{5'000};
  while (!reader->written) {
    if (!co_await ended_.wait(patience)) break;
  }
  [[maybe_unused]] const bool over = co_await writer.stop(runtime_.now() + milliseconds{1'000});
  std::erase(readers_, reader);
  last_reader_left_ = runtime_.now();
  ended_.notify_all();
}

awaitable<void> ApiEvents::write_loop(std::shared_ptr<Reader> reader) {
  co_await reader->outgoing.run();
  reader->written = true;
  ended_.notify_all();
}

awaitable<void> ApiEvents::read_loop(Reader& reader) const {
  // Nothing is expected; who talks much is sent away.
  for (int messages = 0; messages < kMessagesFromReaderMax; ++messages) {
    if (!co_await reader.socket->read(net::kNoDeadline)) co_return;
  }
  reader.outgoing.close(net::CloseCode::policy, "this socket only tells");
}

awaitable<void> ApiEvents::stop(Instant deadline) {
  stopping_ = true;
  for (const auto& reader : readers_) reader->outgoing.close(net::CloseCode::going_away, "the server stops");
  while (!readers_.empty()) {
    if (!co_await ended_.wait(deadline)) break;
  }
  [[maybe_unused]] const bool over = co_await tasks_.stop(deadline);
}

}  // namespace atelier::gateway
