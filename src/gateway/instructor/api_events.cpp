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

ApiEvents::ApiEvents(Runtime& runtime, workshop::Workshop& workshop, std::uint64_t num_users, Order order,
                     ApiEventLimits limits)
    : runtime_(runtime),
      workshop_(workshop),
      num_users_(num_users),
      order_(std::move(order)),
      limits_(limits),
      changed_(runtime),
      ended_(runtime),
      tasks_(runtime) {}

bool ApiEvents::Change::is_for(const Caller& caller) const {
  return caller.is_instructor() || audience == For::everybody ||
         (audience == For::owner && owner == caller.participant);
}

std::string ApiEvents::Delta::print(const Caller& caller) const {
  std::string texts;
  for (const Change& change : changes) {
    if (!change.is_for(caller)) continue;
    if (!texts.empty()) texts += ',';
    texts += change.text;
  }
  if (texts.empty()) return {};
  return fmt::format(R"({{"type":"delta","sequence":{},"time":{},"changes":[{}]}})", to, time.ms, texts);
}

// ---- what changed

void ApiEvents::on_effects(const core::Entry& entry, std::span<const core::Effect> effects) {
  if (!watching_) return;
  if (const auto* held = std::get_if<core::ParticipantHeld>(&entry.event)) mark_waiting_of(held->participant);
  if (std::holds_alternative<core::EveryoneHeld>(entry.event)) {
    for (std::uint64_t n = 1; n <= num_users_; ++n) mark_waiting_of(ParticipantId{n});
  }
  if (const auto* limits = std::get_if<core::ParticipantLimits>(&entry.event))
    people_.insert(limits->participant);
  for (const core::Effect& effect : effects) mark(effect);
  if (jobs_.size() > limits_.changed_jobs_max) {
    forget_all();
    for (const auto& reader : readers_) {
      if (!std::exchange(reader->greeted, false)) continue;
      tasks_.spawn("api events snapshot", greet(reader, std::nullopt));
    }
  }
  if (dirty_) changed_.notify_all();
}

void ApiEvents::mark_waiting_of(ParticipantId owner) {
  people_.insert(owner);
  workshop_.core().each_job_of(owner, [&](const core::JobFacts& job) {
    if (job.state == core::JobState::queued) jobs_[job.job] = owner;
  });
  dirty_ = true;
}

void ApiEvents::mark(const core::Effect& effect) {
  const auto job = [this](JobId id, ParticipantId owner) {
    jobs_[id] = owner;
    people_.insert(owner);
    dirty_ = true;
  };
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
  people_.clear();
  kept_.clear();
  kept_bytes_ = 0;
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
    const auto [id, owner] = *jobs_.begin();
    jobs_.erase(jobs_.begin());
    Change change{.audience = Change::For::owner, .owner = owner, .text = {}};
    if (const core::JobFacts* job = core.job(id)) {
      change.text = fmt::format(R"({{"job":{}}})", job_view(core, *job));
    } else if (const core::Summary* summary = workshop_.history().find(id)) {
      change.text = fmt::format(R"({{"job_gone":{},"job":{}}})", id, job_view(*summary));
    } else {
      change.text = fmt::format(R"({{"job_gone":{}}})", id);
    }
    delta.changes.push_back(std::move(change));
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
  delta.changes.push_back({Change::For::instructors, {}, fmt::format(R"({{"order":[{}]}})", order_text_)});
}

bool ApiEvents::flush() {
  const core::Core& core = workshop_.core();
  auto delta = std::make_shared<Delta>();
  delta->time = core.workshop().last_wall;
  add_jobs(*delta);
  delta->partly = dirty_ = !jobs_.empty();
  delta->upto = core.workshop().last_sequence.value;
  delta->to = delta->partly ? flushed_ : delta->upto;
  add_people(*delta);
  add_workers(*delta);
  add_enrolments(*delta);
  add_order(*delta);
  if (std::string queue = queue_view(core, num_users_); queue != queue_text_) {
    queue_text_ = std::move(queue);
    delta->changes.push_back({Change::For::everybody, {}, fmt::format(R"({{"queue":{}}})", queue_text_)});
  }
  flushed_ = delta->to;
  if (delta->changes.empty()) return false;
  for (const Change& change : delta->changes) delta->bytes += change.text.size() + sizeof(Change);
  // One text for all instructors.
  const auto everything = std::make_shared<const std::string>(delta->print(Caller{Role::instructor, {}}));
  for (const auto& reader : readers_) {
    if (!reader->greeted) continue;
    if (reader->caller.is_instructor()) {
      reader->outgoing.push({net::MessageKind::text, everything});
    } else if (std::string own = delta->print(reader->caller); !own.empty()) {
      reader->outgoing.push(net::Message::text(std::move(own)));
    }
  }
  keep(std::move(delta));
  return true;
}

void ApiEvents::keep(std::shared_ptr<const Delta> delta) {
  kept_bytes_ += delta->bytes;
  kept_.push_back(std::move(delta));
  while (kept_.size() > limits_.kept_deltas_max || kept_bytes_ > limits_.kept_bytes_max) {
    kept_bytes_ -= kept_.front()->bytes;
    oldest_ = kept_.front()->upto;
    kept_.pop_front();
  }
}

void ApiEvents::tick() {
  const auto text = std::make_shared<const std::string>(
      fmt::format(R"({{"type":"tick","sequence":{},"time":{}}})", flushed_, runtime_.wall().ms));
  for (const auto& reader : readers_) {
    if (reader->greeted) reader->outgoing.push_latest({net::MessageKind::text, text}, 0);
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
  std::string jobs, people, workers;
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
    jobs += job_view(core, *job);
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
      R"({{"type":"snapshot",{},"queue":{},"jobs":[{}],"complete":{},"participants":[{}]{}}})", head,
      queue_view(core, num_users_), jobs, complete, people, workers);
}

bool ApiEvents::send_kept(Reader& reader, std::uint64_t since) {
  if (since < oldest_ || since > workshop_.core().workshop().last_sequence.value) return false;
  for (const auto& delta : kept_) {
    if (delta->upto <= since) continue;
    if (std::string text = delta->print(reader.caller); !text.empty())
      reader.outgoing.push(net::Message::text(std::move(text)));
  }
  reader.greeted = true;
  tick();
  return true;
}

awaitable<void> ApiEvents::greet(std::shared_ptr<Reader> reader, std::optional<std::uint64_t> since) {
  if (since && send_kept(*reader, *since)) co_return;
  while (true) {
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
