// SPDX-License-Identifier: MIT
// AgentMachine: slots that come and go while the worker runs.
#include <fmt/format.h>

#include <algorithm>

#include "agent/machine.hpp"
#include "base/log.hpp"

namespace atelier::agent {

link::HelloSlot AgentMachine::line_of(std::uint32_t index) const {
  const Slot& slot = slots_[index];
  link::HelloSlot line;
  line.slot = index;
  line.comfy_version = slot.info.comfy_version;
  line.object_info = slot.info.object_info;
  line.models = slot.info.models;
  line.engine = slot.takes_jobs() ? link::EngineState::ready
                : slot.ever_up    ? link::EngineState::lost
                                  : link::EngineState::starting;
  line.engine_start = slot.info.engine_start;
  line.device = slot.info.device;
  line.vram_total = slot.info.vram_total;
  return line;
}

void AgentMachine::tell_not_added(const std::string& why) {
  log::warn("slot_not_added", {{"why", why}});
  link::LogLines message;  // whoever asked for it is not at this machine
  while (message.slot + 1 < slots_.size() && !listed(message.slot)) ++message.slot;
  message.lines.push_back("atelier-worker: no slot was added: " + why);
  send(std::move(message));
}

void AgentMachine::add_slot(const link::AddSlot& message) {
  if (message.port == 0 && !options_.launched) {
    return tell_not_added("this agent starts no ComfyUI: it must be told the port of one");
  }
  auto free = std::ranges::find(slots_, Place::free, &Slot::place);
  if (free == slots_.end()) {
    if (slots_.size() >= link::kSlotsMax)
      return tell_not_added(fmt::format("a worker has {} at most", link::kSlotsMax));
    free = slots_.emplace(slots_.end());
  }
  *free = Slot{};
  free->place = Place::adding;
  out_.emplace_back(AddEngine{static_cast<std::uint32_t>(free - slots_.begin()), message.port});
}

void AgentMachine::handle(const EngineAdded& input) {
  Slot& slot = slots_[input.slot];
  if (!input.result) {
    tell_not_added(input.result.error().what);
    slot.place = Place::free;
    return;
  }
  slot.place = Place::here;
  log::info("slot_added", {{"slot", input.slot}});
}

void AgentMachine::remove_slot(const link::RemoveSlot& message) {
  if (!listed(message.slot) || slots_[message.slot].place == Place::leaving) return;
  if (std::ranges::count(slots_, Place::here, &Slot::place) == 1) {
    log::warn("slot_not_removed", {{"slot", message.slot}, {"why", "it is the last one"}});
    return;
  }
  slots_[message.slot].place = Place::leaving;
  std::vector<RunKey> held;
  for (const auto& [key, job] : jobs_) held.push_back(key);
  for (const RunKey& key : held) {
    HeldJob* job = find(key);
    if (job == nullptr || job->ghost || job->lease.slot != message.slot) continue;
    if (job->phase == Phase::fetching || job->phase == Phase::fetched)
      give_back(*job, link::ReturnReason::slot_removed, "the slot is removed");
  }
}

void AgentMachine::free_memory(std::uint32_t index) {
  out_.emplace_back(FreeEngine{index});
  slots_[index].unloads = true;
}

void AgentMachine::unloaded(std::uint32_t index) {
  // As after a restart: nothing of what the workshop believes to be loaded is.
  slots_[index].unloads = false;
  ++slots_[index].info.engine_start;
  if (slots_[index].announced) announce(index);
}

void AgentMachine::look_at_slots() {
  for (std::uint32_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (slot.place == Place::here && !slot.told && linked_) {
      slot.told = true;
      send(link::SlotsChanged{{line_of(i)}, {}});
    }
    pay_idle(i);                                           // it has rested, or there is room again
    if (slot.unloads && slot.up && !busy(i)) unloaded(i);  // ComfyUI unloads between two runs
    if (slot.place == Place::leaving && linked_ && !busy(i)) {
      slot.place = Place::left;
      send(link::SlotsChanged{{}, {i}});
    }
    const bool used =
        std::ranges::any_of(jobs_, [i](const auto& entry) { return entry.second.lease.slot == i; });
    if (slot.place != Place::left || used) continue;
    log::info("slot_removed", {{"slot", i}});
    slot = Slot{};
    slot.place = Place::ending;
    out_.emplace_back(RemoveEngine{i});
  }
}

void AgentMachine::handle(const EngineRemoved& input) { slots_[input.slot].place = Place::free; }

}  // namespace atelier::agent
