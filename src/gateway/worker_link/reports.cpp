// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>

#include "base/crash_point.hpp"
#include "base/log.hpp"
#include "base/match.hpp"
#include "comfy/messages.hpp"
#include "gateway/worker_link/worker_link_impl.hpp"

namespace atelier::gateway {
namespace {

constexpr int kForeignMax = 3;  // messages about jobs that the worker never had on this link

core::Outcome outcome_of(link::Outcome outcome) {
  switch (outcome) {
    case link::Outcome::succeeded:
      return core::Outcome::succeeded;
    case link::Outcome::failed:
      return core::Outcome::failed;
    case link::Outcome::cancelled:
      return core::Outcome::cancelled;
  }
  return core::Outcome::failed;
}

core::EndReason reason_of(link::EndCause cause) {
  switch (cause) {
    case link::EndCause::engine:
      return core::EndReason::finished;
    case link::EndCause::outputs_lost:
      return core::EndReason::outputs_lost;
    case link::EndCause::refused:
      return core::EndReason::refused;
    case link::EndCause::time_limit:
      return core::EndReason::time_limit;
  }
  return core::EndReason::finished;
}

core::ReturnReason reason_of(link::ReturnReason reason) {
  switch (reason) {
    case link::ReturnReason::draining:
      return core::ReturnReason::draining;
    case link::ReturnReason::disk_full:
      return core::ReturnReason::disk_full;
    case link::ReturnReason::input_not_fetched:
      return core::ReturnReason::input_not_fetched;
    case link::ReturnReason::slot_removed:
      return core::ReturnReason::slot_removed;
    case link::ReturnReason::refused_by_engine:
      return core::ReturnReason::refused_by_engine;
  }
  return core::ReturnReason::draining;
}

}  // namespace

const core::JobFacts* WorkerLink::Impl::held(const LinkSession& session, JobId id, Epoch epoch) const {
  const core::JobFacts* job = workshop.core().job(id);
  if (job == nullptr || !job->lease || job->lease->epoch != epoch ||
      job->lease->slot.worker != session.worker)
    return nullptr;
  return job;
}

void WorkerLink::Impl::on_event(LinkSession& session, link::Event event) {
  const core::JobFacts* job = held(session, event.job, event.epoch);
  if (job == nullptr) return session.count_unheld(event.job, event.epoch);
  auto parsed = comfy::parse_event(event.json, {.bytes_max = link::kJsonBytesMax, .depth_max = 64});
  if (!parsed) {
    log::warn("bad_engine_event",
              {{"worker", session.name}, {"job", event.job}, {"reason", parsed.error().what}});
    return;
  }
  LiveFrame frame;
  frame.kind = LiveKind::event;
  frame.participant = job->submitted.participant;
  frame.job = event.job;
  frame.epoch = event.epoch;
  frame.number = event.n;
  frame.type = parsed->type;
  frame.node = parsed->node.value_or("");
  frame.bytes = std::make_shared<const std::string>(std::move(event.json));
  live.publish(std::move(frame));
}

Result<void> WorkerLink::Impl::on_binary(LinkSession& session, std::string_view bytes) {
  ATELIER_TRY(link::Preview preview, link::decode_preview(bytes));
  if (session.part) {
    link::Preview& whole = *session.part;
    if (whole.job != preview.job || whole.epoch != preview.epoch || whole.kind != preview.kind)
      return fail(Errc::protocol, "a part of another frame came");
    whole.frame += preview.frame;
    whole.more = preview.more;
  } else {
    session.part = std::move(preview);
  }
  if (session.part->frame.size() > link::kResultBytesMax)
    return fail(Errc::too_large, fmt::format("a frame of more than {} bytes", link::kResultBytesMax));
  if (session.part->more) return {};
  on_preview(session, std::move(*session.part));
  session.part.reset();
  return check_unheld(session);
}

void WorkerLink::Impl::on_preview(LinkSession& session, link::Preview preview) {
  const core::JobFacts* job = held(session, preview.job, preview.epoch);
  if (job == nullptr) return session.count_unheld(preview.job, preview.epoch);
  const auto decoded = comfy::decode_frame(preview.kind, preview.frame);
  LiveFrame frame;
  frame.kind = decoded && decoded->is_result() ? LiveKind::result : LiveKind::preview;
  frame.participant = job->submitted.participant;
  frame.job = preview.job;
  frame.epoch = preview.epoch;
  frame.preview_kind = preview.kind;
  frame.bytes = std::make_shared<const std::string>(std::move(preview.frame));
  live.publish(std::move(frame));
}

Result<void> WorkerLink::Impl::check_unheld(const LinkSession& session) {
  if (session.foreign_messages < kForeignMax) return {};
  return fail(Errc::forbidden, "too many messages about jobs that this worker does not hold");
}

void WorkerLink::Impl::on_engine_lost(LinkSession& session, const link::EngineLost& message) {
  log::warn(
      "engine_lost",
      {{"worker", session.name}, {"slot", message.slot}, {"job", message.job}, {"detail", message.detail}});
  if (message.job && held(session, message.job, message.epoch) != nullptr) {
    core::LeaseExpired lost;
    lost.job = message.job;
    lost.epoch = message.epoch;
    lost.link = session.link;
    lost.reason = core::LossReason::engine_died;
    workshop.post(core::Event{std::move(lost)});
  }
  // An older agent says it also of a job that is computed and whose files they cannot get: its slot has
  // gone on, with another job or none, and its engine may be well.
  const core::WorkerFacts* worker = workshop.core().worker(session.worker);
  if (worker == nullptr) return;
  const auto slot = std::ranges::find(worker->slots, message.slot, &core::SlotFacts::index);
  if (slot == worker->slots.end()) return;
  if (message.job && (slot->job != message.job || slot->epoch != message.epoch)) return;
  core::EngineLost lost;
  lost.slot = SlotId{session.worker, message.slot};
  lost.link = session.link;
  workshop.post(core::Event{std::move(lost)});
}

awaitable<void> WorkerLink::Impl::finish(SessionPtr session, link::Ended ended) {
  const std::pair key{ended.job, ended.epoch};
  if (!finishing.insert(key).second) co_return;  // a repeat: the first is under way
  struct Leave {
    std::set<std::pair<JobId, Epoch>>& set;
    std::pair<JobId, Epoch> key;
    ~Leave() { set.erase(key); }
  } leave{finishing, key};

  // The ending events never overtake an executed (core.md 6): its commits are linked first.
  auto unlinked = [this, job = ended.job] {
    const core::JobFacts* facts = workshop.core().job(job);
    return facts != nullptr &&
           std::ranges::any_of(facts->commits, [](const core::NodeCommit& c) { return !c.linked; });
  };
  while (unlinked()) {
    if (!co_await linked.wait(runtime.now() + milliseconds{60'000}) && stopping) co_return;
  }
  const core::JobFacts* job = held(*session, ended.job, ended.epoch);
  if (job != nullptr) {
    const std::string run_id = WorkerLink::run_id(workshop.id(), ended.job, ended.epoch).uuid();
    std::string event = with_prompt_id(std::move(ended.event), run_id, job->submitted.prompt_id);
    const std::string report = with_prompt_id(std::move(ended.report), run_id, job->submitted.prompt_id);
    auto attachment = workshop.attach(std::make_shared<const std::string>(report_attachment(event, report)));
    core::Ended fact;
    fact.job = ended.job;
    fact.epoch = ended.epoch;
    fact.outcome = outcome_of(ended.outcome);
    fact.reason = reason_of(ended.cause);
    fact.sentence = ended.reason.substr(0, 500);
    fact.report = attachment.ref;
    if (!event.empty()) expect_ending(ended.job, ended.epoch, std::move(event));
    std::vector<journal::NewAttachment> attachments;
    attachments.push_back(std::move(attachment));
    auto recorded = co_await workshop.record(core::Event{std::move(fact)}, std::move(attachments));
    crash_point("end_before_answer");
    // Not recorded (a slow disk, a stop): the agent repeats it. Refused: it is somebody else's, or ended
    // before.
    if (!recorded && recorded.error().code == Errc::unavailable) co_return;
  }
  link::EndedOk ok;
  ok.job = ended.job;
  ok.epoch = ended.epoch;
  // The worker may have dialled in again since, and its repeat was left to this.
  const core::WorkerFacts* worker = workshop.core().worker(session->worker);
  const SessionPtr present = worker == nullptr ? nullptr : session_of(worker->link);
  (present != nullptr ? present : session)->send(link::GatewayMessage{ok});
}

Result<void> WorkerLink::Impl::on_slots_changed(LinkSession& session, const link::SlotsChanged& message) {
  core::SlotsChanged changed;
  changed.worker = session.worker;
  changed.link = session.link;
  for (const std::uint32_t index : message.removed) {
    if (std::erase_if(session.slots, [index](const auto& slot) { return slot.slot == index; }) == 0) continue;
    session.printed.erase(index);
    changed.removed.push_back(index);
  }
  for (const link::HelloSlot& slot : message.added) {
    if (std::ranges::find(session.slots, slot.slot, &link::HelloSlot::slot) != session.slots.end())
      return fail(Errc::protocol, fmt::format("slot {} is added a second time", slot.slot));
    session.slots.push_back(slot);  // 64 at most: their numbers are 0 to 63
    changed.added.push_back(joined_slot(slot, true));
  }
  if (changed.added.empty() && changed.removed.empty()) return {};
  workshop.post(core::Event{std::move(changed)});
  update_connected();
  return {};
}

awaitable<Result<void>> WorkerLink::Impl::on_message(SessionPtr session, link::AgentMessage message) {
  LinkSession& self = *session;
  if (session_of(self.link) != session)
    co_return fail(Errc::unavailable, "replaced by a newer link of this worker");
  std::optional<link::EngineReady> ready;
  std::optional<link::SlotsChanged> slots;
  std::visit(Match{[&](link::Heartbeat&) { workshop.leases().renew(self.link, runtime.now()); },
                   [&](link::Started& m) {
                     core::Started started;
                     started.job = m.job;
                     started.epoch = m.epoch;
                     const core::JobFacts* job = held(self, m.job, m.epoch);
                     if (job == nullptr) return self.count_unheld(m.job, m.epoch);
                     if (!job->lease->started) workshop.post(core::Event{std::move(started)});
                   },
                   [&](link::Event& m) { on_event(self, std::move(m)); },
                   [&](link::Preview& m) { on_preview(self, std::move(m)); },
                   [&](link::Computed& m) {
                     core::Computed computed;
                     computed.job = m.job;
                     computed.epoch = m.epoch;
                     computed.gpu_ms = m.gpu_ms;
                     if (held(self, m.job, m.epoch) == nullptr) return self.count_unheld(m.job, m.epoch);
                     workshop.post(core::Event{std::move(computed)});
                   },
                   [&](link::Commit& m) { tasks.spawn("commit", commit(session, std::move(m))); },
                   [&](link::Ended& m) { tasks.spawn("finish", finish(session, std::move(m))); },
                   [&](link::Returned& m) {
                     log::warn(
                         "job_returned",
                         {{"worker", self.name}, {"job", m.job}, {"epoch", m.epoch}, {"detail", m.detail}});
                     core::Returned returned;
                     returned.job = m.job;
                     returned.epoch = m.epoch;
                     returned.reason = reason_of(m.reason);
                     if (held(self, m.job, m.epoch) == nullptr) return self.count_unheld(m.job, m.epoch);
                     workshop.post(core::Event{std::move(returned)});
                   },
                   [&](link::SlotIdle& m) {
                     core::SlotIdle idle;
                     idle.slot = SlotId{self.worker, m.slot};
                     idle.link = self.link;
                     workshop.post(core::Event{std::move(idle)});
                   },
                   [&](link::EngineLost& m) { on_engine_lost(self, m); },
                   [&](link::EngineReady& m) { ready = std::move(m); },
                   [&](link::SlotsChanged& m) { slots = std::move(m); },
                   [&](link::Draining& m) {
                     core::WorkerDraining draining;
                     draining.worker = self.worker;
                     draining.reason = m.reason.substr(0, 200);
                     workshop.post(core::Event{std::move(draining)});
                   },
                   [&](link::Empty&) { log::info("worker_empty", {{"worker", self.name}}); },
                   [&](link::Telemetry& m) {
                     WorkerReadings& readings = self.readings.emplace();
                     readings.at = runtime.wall();
                     if (m.clock) readings.ahead_ms = *m.clock - readings.at.ms;
                     readings.telemetry = std::move(m);
                   },
                   [&](link::LogLines& m) {
                     std::deque<std::string>& printed = self.printed[m.slot];
                     for (std::string& line : m.lines) {
                       log::debug("engine_log", {{"worker", self.name}, {"slot", m.slot}, {"line", line}});
                       printed.push_back(std::move(line));
                       if (printed.size() > kEngineLinesMax) printed.pop_front();
                     }
                   },
                   [&](link::Hello&) {}},
             message);
  if (std::holds_alternative<link::Hello>(message))
    co_return fail(Errc::protocol, "hello comes once per link");
  ATELIER_CO_TRY_VOID(check_unheld(self));
  if (slots) {
    ATELIER_CO_TRY_VOID(on_slots_changed(self, *slots));
  }
  if (ready) {
    for (link::HelloSlot& slot : self.slots) {
      if (slot.slot != ready->slot) continue;
      slot.object_info = ready->object_info;
      slot.models = ready->models;
      slot.comfy_version = ready->comfy_version;
      slot.engine_start = ready->engine_start;
      slot.device = ready->device;
      slot.vram_total = ready->vram_total;
      slot.engine = link::EngineState::ready;
    }
    ATELIER_CO_TRY_VOID(co_await declare_capability(ready->object_info));
    core::EngineReady event;
    event.slot = SlotId{self.worker, ready->slot};
    event.link = self.link;
    event.capability = ready->object_info;
    event.engine_version = ready->comfy_version;
    event.engine_start = ready->engine_start;
    event.kind = ready->device;
    event.vram_mib = ready->vram_total >> 20;
    workshop.post(core::Event{std::move(event)});
    update_connected();
    co_await catalog.drop_old_models();
  }
  co_return Result<void>{};
}

}  // namespace atelier::gateway
