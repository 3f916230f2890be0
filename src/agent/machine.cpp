// SPDX-License-Identifier: MIT
#include "agent/machine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/log.hpp"
#include "base/match.hpp"

namespace atelier::agent {
namespace {

constexpr Instant kNever{INT64_MAX / 4};
constexpr milliseconds kBackoffLeast{500};
constexpr milliseconds kBackoffMost{15'000};
constexpr milliseconds kPublishAgain{2'000};
constexpr milliseconds kRestLeast{1'000};
constexpr milliseconds kRestMost{60'000};

// SplitMix64 (public domain, Steele, Lea, Flood 2014): jitter only.
std::uint64_t next_random(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

link::JobState state_of(const HeldJob& job) {
  switch (job.phase) {
    case Phase::fetching:
    case Phase::fetched:
    case Phase::asking:
      return link::JobState::fetching;
    case Phase::posting:
    case Phase::posted:
      return link::JobState::posted;
    case Phase::running:
      return link::JobState::running;
    case Phase::computed:
      return link::JobState::computed;
  }
  return link::JobState::fetching;
}

}  // namespace

AgentMachine::AgentMachine(MachineOptions options)
    : options_(std::move(options)), random_state_(options_.seed), slots_(options_.slots) {}

std::vector<Action> AgentMachine::start(Instant now) {
  now_ = now;
  out_.emplace_back(Dial{});
  return std::exchange(out_, {});
}

std::vector<Action> AgentMachine::on(Instant now, const Input& input) {
  now_ = now;
  if (!gone_) {
    std::visit([this](const auto& one) { handle(one); }, input);
    look_at_slots();
    leave_when_empty();
  }
  return std::exchange(out_, {});
}

Instant AgentMachine::next_at() const {
  Instant next = kNever;
  if (gone_) return next;
  auto at = [&](const std::optional<Instant>& when) {
    if (when) next = std::min(next, *when);
  };
  at(dial_at_);
  if (linked_) at(heartbeat_at_);
  at(drain_until_);
  for (const Slot& slot : slots_) {
    if (linked_) at(slot.publish_at);
    at(slot.rest_until);
  }
  for (const auto& [key, job] : jobs_) {
    at(job.ask_at);
    if (linked_) at(job.fetch_at);
    if (linked_ && job.waiting_preview) at(job.preview_at);
    if (job.phase == Phase::running && !job.ghost && job.lease.limit_ms != 0 && !job.over_limit) {
      at(job.started_at + milliseconds(job.lease.limit_ms));
    }
    if ((job.phase == Phase::posted || job.phase == Phase::running) && !job.asking && !job.ask_at)
      at(job.seen_at + kSilence);
    for (const NodeOutput& output : job.nodes) {
      if (linked_ || output.phase == NodePhase::collecting) at(output.retry_at);
    }
  }
  return next;
}

// ---- The link ----

link::Hello AgentMachine::hello(const LinkUp& input) const {
  link::Hello hello;
  hello.agent = options_.version;
  hello.name = options_.name;
  hello.boot = options_.boot;
  hello.disk_free = input.disk_free;
  hello.clock = input.clock;
  hello.launched = options_.launched;
  for (std::uint32_t i = 0; i < slots_.size(); ++i) {
    if (listed(i)) hello.slots.push_back(line_of(i));
  }
  for (const auto& [key, job] : jobs_) {
    link::HelloJob line;
    line.job = key.job;
    line.epoch = key.epoch;
    line.slot = job.lease.slot;
    line.state = state_of(job);
    for (const NodeOutput& output : job.nodes) {
      if (output.phase == NodePhase::committed) line.committed.push_back(output.node);
      for (std::uint32_t index : output.uploaded) {
        line.staged.push_back({output.files[index].file, output.files[index].size});
      }
    }
    hello.jobs.push_back(std::move(line));
  }
  for (std::uint32_t i = 0; i < slots_.size(); ++i) {
    // Not an empty one: it would get a job at once. The answer is a drop, or asks for the return again.
    const Slot& slot = slots_[i];
    if (!listed(i) || !slot.rest_until || busy(i) || jobs_.contains(slot.rests_after)) continue;
    link::HelloJob line;
    line.job = slot.rests_after.job;
    line.epoch = slot.rests_after.epoch;
    line.slot = i;
    line.state = link::JobState::fetching;
    hello.jobs.push_back(std::move(line));
  }
  return hello;
}

void AgentMachine::handle(const LinkUp& input) {
  dial_at_.reset();
  socket_open_ = true;
  clock_offset_ = input.clock - now_.ms;
  for (std::uint32_t i = 0; i < slots_.size(); ++i) {
    slots_[i].announced = slots_[i].hello_up = slots_[i].takes_jobs();
    slots_[i].told = listed(i);
    slots_[i].owes_idle = false;  // this hello shows it
  }
  out_.emplace_back(Send{hello(input)});
}

void AgentMachine::handle(const LinkDown& input) {
  if (input.refused && !ever_linked_) {
    leave(2, input.why);
    return;
  }
  if (input.name_taken) {
    lose_name();
    return;
  }
  log::warn("link_down", {{"why", input.why}});
  socket_open_ = false;
  linked_ = false;
  for (Slot& slot : slots_) {
    slot.announced = false;
    slot.publish_at.reset();
  }
  dial_later(input.refused);
}

void AgentMachine::lose_name() {
  // Dialling again would close the other's link in turn, and each time all jobs of both would be lost.
  socket_open_ = false;
  linked_ = false;
  std::vector<RunKey> held;
  for (const auto& [key, job] : jobs_) held.push_back(key);
  for (const RunKey& key : held) {
    HeldJob* job = find(key);
    if (job != nullptr && !job->ghost) drop(*job);  // the workshop has given it to the next one by now
  }
  leave(2, fmt::format("another worker called \"{}\" has joined the workshop: give each a --name of its own",
                       options_.name));
}

void AgentMachine::dial_later(bool refused) {
  if (refused) backoff_ = kBackoffMost;
  const auto spread = static_cast<std::uint64_t>(backoff_.count() / 2);
  dial_at_ = now_ + backoff_ / 2 + milliseconds(next_random(random_state_) % (spread + 1));
  backoff_ = std::min(backoff_ * 2, kBackoffMost);
}

void AgentMachine::send(link::AgentMessage message, bool newest_only) {
  if (linked_) out_.emplace_back(Send{std::move(message), newest_only});
}

void AgentMachine::handle(const FromGateway& input) {
  if (const auto* welcome = std::get_if<link::Welcome>(&input.message)) {
    if (socket_open_) answer(*welcome);
    return;
  }
  if (!linked_) return;
  std::visit(
      Match{[](const link::Welcome&) {}, [this](const link::Lease& m) { take(m); },
            [this](const link::Hint& m) { prefetch(m); }, [this](const link::Stop& m) { stop(m); },
            [this](const link::Committed& m) { answer(m); }, [this](const link::Refused& m) { answer(m); },
            [this](const link::EndedOk& m) { answer(m); },
            [this](const link::Drain&) {
              draining_ = true;
              send(link::Draining{"asked by the gateway"});
            },
            [this](const link::Undrain&) { draining_ = leaving_; }, [](const link::Pause&) {},
            [this](const link::RestartEngine& m) {
              if (options_.launched && listed(m.slot)) {
                out_.emplace_back(RestartEngine{m.slot});
              } else {
                log::warn("restart_engine_not_possible",
                          {{"slot", m.slot}, {"why", "this agent did not start it"}});
              }
            },
            [this](const link::Free& m) {
              if (listed(m.slot) && slots_[m.slot].up) free_memory(m.slot);
            },
            [this](const link::AddSlot& m) { add_slot(m); },
            [this](const link::RemoveSlot& m) { remove_slot(m); },
            [this](const link::OpenTunnel& m) {
              if (listed(m.slot)) out_.emplace_back(OpenTunnel{m.slot, m.tunnel});
            },
            [](const link::Models&) { log::info("models_ignored"); },
            [this](const link::SettingsChanged& m) { settings_ = m.settings; }},
      input.message);
}

void AgentMachine::answer(const link::Welcome& message) {
  linked_ = true;
  ever_linked_ = true;
  link_ = message.link;
  workshop_ = message.workshop;
  settings_ = message.settings;
  backoff_ = kBackoffLeast;
  heartbeat_ = milliseconds(message.heartbeat_ms);
  heartbeat_at_ = now_ + heartbeat_;
  log::info("link_up", {{"link", link_}, {"held", jobs_.size()}});
  std::map<RunKey, link::Verdict> verdicts;
  for (const link::Answer& one : message.answers) verdicts[RunKey{one.job, one.epoch}] = one.verdict;
  std::vector<RunKey> held;
  for (const auto& [key, job] : jobs_) held.push_back(key);
  const auto returned_for = [this](RunKey key) {
    const auto rested = std::ranges::find(slots_, key, &Slot::rests_after);
    return rested == slots_.end() ? link::ReturnReason::refused_by_engine : rested->returned_for;
  };
  // The slot of a dropped job waits there for word, and its run may have ended since the hello.
  const auto is_drop = [](const link::Answer& one) { return one.verdict == link::Verdict::drop; };
  bool emptied = std::ranges::any_of(message.answers, is_drop);
  std::set<std::uint32_t> restored;  // slots that a lease of an earlier process keeps from what they can do
  for (const RunKey& key : held) {
    HeldJob* job = find(key);
    if (job->restored) restored.insert(job->lease.slot);
    const auto verdict = verdicts.find(key);
    const bool keep = verdict != verdicts.end() && verdict->second == link::Verdict::keep;
    if (job->workshop != workshop_) {
      // Another workshop's job that has the numbers of one of this one's: this one's goes back.
      if (keep)
        send(link::Returned{key.job, key.epoch, link::ReturnReason::refused_by_engine,
                            "the agent holds another workshop's job of this number"});
      verdicts.erase(key);
      drop(*job);
      emptied = true;
    } else if (job->ghost) {
      // Dropped here, but kept there: the bytes are gone, so the job goes back.
      if (keep) send(link::Returned{key.job, key.epoch, returned_for(key), "the agent had dropped it"});
      slots_[job->lease.slot].owes_idle = true;
    } else if (keep) {
      repeat(*job);
    } else {
      drop(*job);
    }
  }
  for (const auto& [key, verdict] : verdicts) {
    if (verdict != link::Verdict::keep || find(key) != nullptr) continue;
    // Listed in the hello and gone since: its engine died, or it was given back without a link.
    send(link::Returned{key.job, key.epoch, returned_for(key), "lost while the link was opened"});
    emptied = true;
  }
  if (emptied) own_idle_slots();
  if (draining_) send(link::Draining{leaving_ ? "the agent is stopping" : "asked by the gateway"});
  for (std::uint32_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (listed(i) && !slot.takes_jobs() && (slot.hello_up || restored.contains(i)))
      send(link::EngineLost{i, JobId{}, Epoch{},
                            slot.up         ? "it stands still"
                            : slot.hello_up ? "it died while the link was opened"
                                            : "it is not up yet"});
    const bool wanted = std::ranges::any_of(message.want, [&slot](const Digest& hash) {
      return hash == slot.info.object_info || hash == slot.info.models;
    });
    if (wanted) slot.announced = false;
    if (slot.takes_jobs() && !slot.announced) publish(i);
    pay_idle(i);  // what came between the hello and this
    tell_note(i);
  }
}

// ---- Engines ----

void AgentMachine::publish(std::uint32_t index) {
  Slot& slot = slots_[index];
  slot.publish_at.reset();
  if (slot.publishing) return;
  slot.publishing = true;
  out_.emplace_back(PublishObjectInfo{index, slot.info.object_info, slot.info.models});
}

void AgentMachine::handle(const ObjectInfoPublished& input) {
  if (input.slot >= slots_.size()) return;
  Slot& slot = slots_[input.slot];
  slot.publishing = false;
  if (!slot.takes_jobs() || slot.announced) return;
  if (input.result && input.digest == slot.info.object_info && input.models == slot.info.models) {
    announce(input.slot);
  } else {
    if (!input.result)
      log::warn("object_info_not_published", {{"slot", input.slot}, {"why", input.result.error().what}});
    slot.publish_at = now_ + kPublishAgain;
  }
}

void AgentMachine::announce(std::uint32_t index) {
  if (!linked_) return;
  Slot& slot = slots_[index];
  slot.announced = true;
  link::EngineReady ready;
  ready.slot = index;
  ready.comfy_version = slot.info.comfy_version;
  ready.object_info = slot.info.object_info;
  ready.models = slot.info.models;
  ready.engine_start = slot.info.engine_start;
  ready.device = slot.info.device;
  ready.vram_total = slot.info.vram_total;
  send(std::move(ready));
  pay_idle(index);
}

void AgentMachine::handle(const EngineUp& input) {
  if (!listed(input.slot)) return;
  Slot& slot = slots_[input.slot];
  log::info("engine_up", {{"slot", input.slot}, {"version", input.info.comfy_version}});
  slot.announced = slot.stands_still = false;
  slot.up = true;
  slot.ever_up = true;
  slot.info = input.info;
  slot.answered_at = now_;
  slot.speaks.clear();
  note(input.slot, slot.was_noted ? "ComfyUI answers" : "");
  slot.was_noted = false;
  slot.reading = {input.slot, input.info.device, input.info.vram_total, input.vram_free, {}};
  if (linked_) publish(input.slot);
  std::vector<RunKey> held;
  for (const auto& [key, job] : jobs_) held.push_back(key);
  for (const RunKey& key : held) {
    HeldJob* job = find(key);
    if (job != nullptr && job->lease.slot == input.slot) post_if_ready(*job);
  }
}

void AgentMachine::handle(const EngineDown& input) {
  if (input.slot >= slots_.size() || !slots_[input.slot].up) return;
  Slot& slot = slots_[input.slot];
  log::warn("engine_lost", {{"slot", input.slot}, {"why", input.why}});
  slot.up = slot.stands_still = false;
  slot.announced = false;
  slot.owes_idle = false;  // engine_ready says that it is idle
  slot.publish_at.reset();
  bool told = false;
  std::vector<RunKey> held;
  for (const auto& [key, job] : jobs_) held.push_back(key);
  for (const RunKey& key : held) {
    HeldJob* job = find(key);
    if (job == nullptr || job->lease.slot != input.slot || job->computed()) continue;
    if (!job->ghost) {
      send(link::EngineLost{input.slot, key.job, key.epoch, input.why});
      told = true;
    }
    erase(*job);
  }
  if (!told) send(link::EngineLost{input.slot, JobId{}, Epoch{}, input.why});
}

void AgentMachine::handle(const EngineChanged& input) {
  if (!listed(input.slot) || !slots_[input.slot].up) return;
  Slot& slot = slots_[input.slot];
  log::info("engine_lists_changed", {{"slot", input.slot}});
  slot.announced = false;
  const std::uint64_t start = slot.info.engine_start;  // which is another one after it was unloaded
  slot.info = input.info;
  slot.info.engine_start = start;
  if (linked_ && !slot.stands_still) publish(input.slot);
}

void AgentMachine::handle(const EnginePrinted& input) {
  // A flood is cut to what one message may hold: all of it is in the file.
  const std::size_t first = input.lines.size() - std::min(input.lines.size(), link::kLogLinesMax);
  link::LogLines message;
  message.slot = input.slot;
  for (std::size_t i = first; i < input.lines.size(); ++i) message.lines.push_back(input.lines[i]);
  send(std::move(message));
}

void AgentMachine::handle(const EngineNoted& input) {
  if (input.slot < slots_.size()) note(input.slot, input.text);
}

void AgentMachine::note(std::uint32_t index, std::string text) {
  slots_[index].note = std::move(text);
  if (linked_) tell_note(index);
}

void AgentMachine::tell_note(std::uint32_t index) {
  std::string note = std::exchange(slots_[index].note, {});
  if (note.empty() || !listed(index)) return;
  slots_[index].was_noted = true;
  link::LogLines message;
  message.slot = index;
  message.lines.push_back("atelier-worker: " + note);
  send(std::move(message));
}

void AgentMachine::handle(const EngineAnswered& input) {
  if (!listed(input.slot)) return;
  slots_[input.slot].answered_at = now_;
  slots_[input.slot].reading = {input.slot, input.device, input.vram_total, input.vram_free,
                                input.queue_remaining};
}

void AgentMachine::handle(const Measured& input) {
  link::Telemetry telemetry;
  telemetry.disk_free = input.disk_free;
  telemetry.clock = input.clock;
  telemetry.gpus = input.gpus;
  for (const Slot& slot : slots_) {
    if (slot.up && !slot.reading.device.empty()) telemetry.slots.push_back(slot.reading);
  }
  send(std::move(telemetry));
}

bool AgentMachine::busy(std::uint32_t slot) const {
  return std::ranges::any_of(
      jobs_, [&](const auto& entry) { return entry.second.lease.slot == slot && !entry.second.computed(); });
}

void AgentMachine::own_idle_slots() {
  for (std::uint32_t i = 0; i < slots_.size(); ++i)
    slots_[i].owes_idle = slots_[i].owes_idle || (slots_[i].up && !busy(i));
}

void AgentMachine::pay_idle(std::uint32_t index) {
  if (!listed(index) || busy(index)) return;
  Slot& slot = slots_[index];
  if (slot.rest_until || out_of_room()) return;
  if (std::exchange(slot.stands_still, false)) {  // its run has come to its end
    slot.owes_idle = true;                        // behind engine_ready, if the gateway has not lost the slot
    note(index, "ComfyUI has ended that job, and works on");
    if (linked_) publish(index);
    return;
  }
  if (!linked_ || !slot.owes_idle) return;
  slot.owes_idle = false;
  send(link::SlotIdle{index});
}

void AgentMachine::rest(const HeldJob& after) {
  // At the head of its lane the job comes back at once, and ten returns are its end.
  const std::uint32_t index = after.lease.slot;
  Slot& slot = slots_[index];
  slot.rests_after = after.key;
  slot.pause = std::clamp(slot.pause * 2, kRestLeast, kRestMost);
  slot.rest_until = now_ + slot.pause;
  log::warn("slot_rests", {{"slot", index}, {"pause_ms", slot.pause.count()}});
}

// ---- Time and the end ----

void AgentMachine::handle(const Tick&) {
  if (dial_at_ && now_ >= *dial_at_) {
    dial_at_.reset();
    out_.emplace_back(Dial{});
  }
  if (linked_ && heartbeat_at_ && now_ >= *heartbeat_at_) {
    heartbeat_at_ = now_ + heartbeat_;
    link::Heartbeat heartbeat;
    for (std::uint32_t i = 0; i < slots_.size(); ++i) {
      if (!listed(i)) continue;
      const Slot& slot = slots_[i];
      const auto age =
          slot.ever_up ? static_cast<std::uint64_t>((now_ - slot.answered_at).count()) : link::kIdMax;
      heartbeat.slots.push_back({i, age});
    }
    send(std::move(heartbeat));
  }
  for (std::uint32_t i = 0; i < slots_.size(); ++i) {
    if (linked_ && slots_[i].up && slots_[i].publish_at && now_ >= *slots_[i].publish_at) publish(i);
    if (slots_[i].rest_until && now_ >= *slots_[i].rest_until) slots_[i].rest_until.reset();
  }
  std::vector<RunKey> held;
  for (const auto& [key, job] : jobs_) held.push_back(key);
  for (const RunKey& key : held) {
    if (HeldJob* job = find(key)) tick(*job);
  }
  if (drain_until_ && now_ >= *drain_until_) handle(StopRequested{});
}

void AgentMachine::handle(const DrainRequested& input) {
  if (leaving_) return;
  draining_ = true;
  leaving_ = true;
  drain_until_ = now_ + options_.drain_limit;
  log::info("draining", {{"why", input.reason}, {"held", jobs_.size()}});
  send(link::Draining{input.reason});
  std::vector<RunKey> held;
  for (const auto& [key, job] : jobs_) held.push_back(key);
  for (const RunKey& key : held) {
    HeldJob* job = find(key);
    if (job != nullptr && !job->ghost && (job->phase == Phase::fetching || job->phase == Phase::fetched)) {
      give_back(*job, link::ReturnReason::draining, input.reason);
    }
  }
}

void AgentMachine::handle(const StopRequested&) {
  std::vector<RunKey> held;
  for (const auto& [key, job] : jobs_) held.push_back(key);
  for (const RunKey& key : held) {
    HeldJob* job = find(key);
    if (job == nullptr || job->ghost || job->computed()) continue;
    give_back(*job, link::ReturnReason::draining, "the agent is stopping");
  }
  leave(0, "stopped");
}

void AgentMachine::leave_when_empty() {
  if (!leaving_ || gone_ || !jobs_.empty()) return;
  send(link::Empty{});
  leave(0, "drained");
}

void AgentMachine::leave(int code, std::string why) {
  if (gone_) return;
  gone_ = true;
  if (socket_open_) out_.emplace_back(CloseLink{1001, "the agent ends"});
  out_.emplace_back(Exit{code, std::move(why)});
}

}  // namespace atelier::agent
