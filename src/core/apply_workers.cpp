// SPDX-License-Identifier: MIT
#include <algorithm>
#include <set>

#include "core/application.hpp"

namespace atelier::core {

WorkerFacts* Application::linked_worker(WorkerId worker, LinkId link) {
  auto found = state_.workers.find(worker);
  if (found == state_.workers.end()) {
    refuse(NoEffect::unknown_worker);
    return nullptr;
  }
  if (!link || found->second.link != link) {
    refuse(NoEffect::stale_link);
    return nullptr;
  }
  return &found->second;
}

void Application::use_capability(const Digest& hash) {
  if (auto found = state_.capabilities.find(hash); found != state_.capabilities.end())
    found->second.used = entry_.sequence;
}

SlotFacts Application::make_slot(const JoinedSlot& joined, Time now) {
  SlotFacts slot;
  slot.index = joined.index;
  slot.state = joined.engine_alive ? SlotState::idle : SlotState::engine_lost;
  slot.capability = joined.capability;
  slot.engine_version = joined.engine_version;
  slot.kind = joined.kind;
  slot.vram_mib = joined.vram_mib;
  slot.engine_start = joined.engine_start;
  slot.idle_since = now;
  return slot;
}

void Application::on(const WorkerJoined& event) {
  if (event.name.empty() || event.speed_milli == 0 || event.speed_milli > kMilliMax ||
      event.slots.size() > state_.limits.slots_per_worker_max)
    return refuse(NoEffect::bad_value);
  auto name = state_.worker_names.find(event.name);
  if (name == state_.worker_names.end()) {
    if (state_.workers.size() >= state_.limits.workers_max) {
      // The longest-known worker that is not connected and holds nothing makes room.
      auto old = std::ranges::find_if(state_.workers, [](const auto& entry) {
        const WorkerFacts& w = entry.second;
        return !w.link &&
               std::ranges::none_of(w.slots, [](const SlotFacts& s) { return static_cast<bool>(s.job); });
      });
      if (old == state_.workers.end()) return refuse(NoEffect::container_full);
      for (const auto& [id, job] : state_.jobs) {
        if (job.lease && job.lease->slot.worker == old->first) return refuse(NoEffect::container_full);
      }
      state_.worker_names.erase(old->second.name);
      std::erase_if(state_.loaded, [&](const auto& entry) { return entry.first.worker == old->first; });
      state_.workers.erase(old);
    }
    name = state_.worker_names.emplace(event.name, WorkerId{++state_.workshop.last_worker}).first;
  }
  WorkerFacts& worker = state_.workers[name->second];
  if (worker.link) effect(LinkReplaced{name->second, worker.link});
  const bool same_boot = worker.boot == event.boot;
  worker.worker = name->second;
  worker.name = event.name;
  worker.link = LinkId{entry_.sequence.value};
  worker.gateway = event.gateway;
  worker.boot = event.boot;
  worker.draining = event.draining;
  worker.speed_milli = event.speed_milli;
  if (!event.tags.empty()) worker.tags = event.tags;

  std::vector<SlotFacts> slots;
  for (const JoinedSlot& joined : event.slots) {
    SlotFacts slot = make_slot(joined, entry_.time);
    const auto before = std::ranges::find(worker.slots, joined.index, &SlotFacts::index);
    if (before != worker.slots.end()) {
      if (before->engine_start == joined.engine_start) {
        slot.holds = before->holds;
      } else {
        state_.loaded.erase(SlotId{worker.worker, joined.index});
      }
      const JobFacts* job = state_.find(before->job);
      const bool leased = job != nullptr && job->lease && !job->lease->computed &&
                          job->lease->epoch == before->epoch &&
                          job->lease->slot == SlotId{worker.worker, joined.index};
      if (leased) {
        slot.state = SlotState::busy;
        slot.job = before->job;
        slot.epoch = before->epoch;
      } else if (!joined.empty && joined.engine_alive) {
        slot.state = SlotState::stopping;  // it runs a ghost; a drop answer follows, then slot_idle
        slot.job = before->job;
        slot.epoch = before->epoch;
      } else if (before->state == SlotState::idle) {
        slot.idle_since = before->idle_since;
      }
    } else {
      state_.loaded.erase(SlotId{worker.worker, joined.index});
      if (!joined.empty) slot.state = SlotState::stopping;
    }
    use_capability(joined.capability);
    slots.push_back(std::move(slot));
  }
  worker.slots = std::move(slots);
  state_.review_avoided(worker.worker);
  Accepted accepted;
  accepted.link = worker.link;
  accepted.worker = worker.worker;
  accepted.same_boot = same_boot;
  accept(accepted);
  // Its leases move to the new link; with another boot the gateway, which has the hello, expires them
  // (core.md 5).
  for (auto& [id, job] : state_.jobs) {
    if (!job.lease || job.lease->slot.worker != worker.worker) continue;
    job.lease->link = worker.link;
    effect(LeaseMoved{id, job.lease->epoch, worker.link});
  }
  effect(WorkshopChanged{});
}

void Application::on(const WorkerLeft& event) {
  WorkerFacts* worker = linked_worker(event.worker, event.link);
  if (worker == nullptr) return;
  worker->link = {};
  accept();
  effect(WorkshopChanged{});
}

void Application::on(const SlotIdle& event) {
  if (linked_worker(event.slot.worker, event.link) == nullptr) return;
  SlotFacts* slot = state_.find(event.slot);
  if (slot == nullptr) return refuse(NoEffect::unknown_slot);
  if (slot->state != SlotState::stopping) return refuse(NoEffect::nothing_to_change);
  make_slot_idle(*slot);
  state_.review_avoided(event.slot.worker);
  accept();
  effect(WorkshopChanged{});
}

void Application::on(const SlotsChanged& event) {
  WorkerFacts* worker = linked_worker(event.worker, event.link);
  if (worker == nullptr) return;
  if (worker->slots.size() + event.added.size() > state_.limits.slots_per_worker_max)
    return refuse(NoEffect::bad_value);
  for (std::uint32_t index : event.removed) {
    // A job on it is given back by its agent with `returned{slot_removed}` before the slot goes.
    std::erase_if(worker->slots, [&](const SlotFacts& slot) { return slot.index == index; });
    state_.loaded.erase(SlotId{event.worker, index});
  }
  for (const JoinedSlot& joined : event.added) {
    if (std::ranges::find(worker->slots, joined.index, &SlotFacts::index) != worker->slots.end()) continue;
    use_capability(joined.capability);
    worker->slots.push_back(make_slot(joined, entry_.time));
  }
  state_.review_avoided(event.worker);
  accept();
  effect(WorkshopChanged{});
}

void Application::on(const EngineLost& event) {
  if (linked_worker(event.slot.worker, event.link) == nullptr) return;
  SlotFacts* slot = state_.find(event.slot);
  if (slot == nullptr) return refuse(NoEffect::unknown_slot);
  if (slot->state == SlotState::engine_lost) return refuse(NoEffect::nothing_to_change);
  const JobId id = slot->job;
  const Epoch epoch = slot->epoch;
  slot->state = SlotState::engine_lost;
  slot->job = {};
  slot->epoch = {};
  slot->holds.clear();
  state_.loaded.erase(event.slot);
  state_.review_avoided(event.slot.worker);
  accept();
  JobFacts* job = state_.find(id);
  if (job != nullptr && job->lease && job->lease->epoch == epoch && !job->lease->computed) {
    state_.unindex(*job);
    ++(job->lease->started ? job->deaths : job->losses);
    pay(*job, 0);
    drop_lease(*job);
    // On its way when the engine died, it would wait for the next one and run beside the next epoch.
    effect(StopWanted{id, epoch, event.slot, event.link, "engine_died"});
    requeue(*job, QueueCause::lease_lost);
  }
  effect(WorkshopChanged{});
}

void Application::on(const EngineReady& event) {
  if (linked_worker(event.slot.worker, event.link) == nullptr) return;
  SlotFacts* slot = state_.find(event.slot);
  if (slot == nullptr) return refuse(NoEffect::unknown_slot);
  slot->capability = event.capability;
  slot->engine_version = event.engine_version;
  if (!event.kind.empty()) {
    slot->kind = event.kind;
    slot->vram_mib = event.vram_mib;
  }
  if (slot->engine_start != event.engine_start) {
    slot->holds.clear();
    state_.loaded.erase(event.slot);
  }
  slot->engine_start = event.engine_start;
  use_capability(event.capability);
  if (slot->state == SlotState::engine_lost) make_slot_idle(*slot);
  accept();
  effect(WorkshopChanged{});
}

void Application::forget_a_capability() {
  // Not one that a slot has: it could run nothing any more. There are no more of those than slots.
  std::set<Digest> needed;
  for (const auto& [id, worker] : state_.workers) {
    for (const SlotFacts& slot : worker.slots) needed.insert(slot.capability);
  }
  auto oldest = state_.capabilities.end();
  for (auto it = state_.capabilities.begin(); it != state_.capabilities.end(); ++it) {
    if (needed.contains(it->first)) continue;
    if (oldest == state_.capabilities.end() || it->second.used < oldest->second.used) oldest = it;
  }
  if (oldest != state_.capabilities.end()) state_.capabilities.erase(oldest);
}

void Application::on(const Capability& event) {
  auto found = state_.capabilities.find(event.hash);
  if (found != state_.capabilities.end()) {
    found->second.used = entry_.sequence;
    return refuse(NoEffect::nothing_to_change);
  }
  if (state_.capabilities.size() >= state_.limits.capabilities_max) forget_a_capability();
  state_.estimates.know_sizes(event.models, event.model_bytes);
  CapabilityFacts facts;
  facts.capability = event;
  facts.used = entry_.sequence;
  state_.capabilities.emplace(event.hash, std::move(facts));
  accept();
  effect(WorkshopChanged{});
}

void Application::on(const WorkerDraining& event) {
  auto found = state_.workers.find(event.worker);
  if (found == state_.workers.end()) return refuse(NoEffect::unknown_worker);
  if (found->second.draining == event.draining) return refuse(NoEffect::nothing_to_change);
  found->second.draining = event.draining;
  accept();
  effect(WorkshopChanged{});
}

void Application::on(const WorkerPaused& event) {
  auto found = state_.workers.find(event.worker);
  if (found == state_.workers.end()) return refuse(NoEffect::unknown_worker);
  if (found->second.paused == event.paused) return refuse(NoEffect::nothing_to_change);
  found->second.paused = event.paused;
  accept();
  effect(WorkshopChanged{});
}

void Application::on(const WorkerTags& event) {
  auto found = state_.workers.find(event.worker);
  if (found == state_.workers.end()) return refuse(NoEffect::unknown_worker);
  found->second.tags = event.tags;
  accept();
  effect(WorkshopChanged{});
}

}  // namespace atelier::core
