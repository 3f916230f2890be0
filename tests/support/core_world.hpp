// SPDX-License-Identifier: MIT
#pragma once
// A core with a journal made of a counter: tests post events and read effects.

#include <string>
#include <utility>
#include <vector>

#include "core/core.hpp"

namespace atelier::core {

class CoreWorld {
 public:
  explicit CoreWorld(Limits limits = {}) : core(limits) {}

  std::vector<Effect> post(Event event, milliseconds later = milliseconds{1}) {
    now = now + later;
    Entry entry;
    entry.sequence = Sequence{++sequence};
    entry.time = now;
    entry.wall = WallTime{1'700'000'000'000 + now.ms};
    entry.origin.ticket = sequence;
    entry.event = std::move(event);
    entries.push_back(entry);
    return core.apply(entry);
  }

  /// Applies what decide proposes until it proposes nothing.
  std::vector<Effect> settle() {
    std::vector<Effect> all;
    while (true) {
      Decision decision = core.decide(now);
      if (decision.proposals.empty()) return all;
      for (Event& event : decision.proposals) {
        for (Effect& effect : post(std::move(event), milliseconds{0})) all.push_back(std::move(effect));
      }
    }
  }

  template <class E>
  static const E* find(const std::vector<Effect>& effects) {
    for (const Effect& effect : effects) {
      if (const auto* found = std::get_if<E>(&effect)) return found;
    }
    return nullptr;
  }

  JobId submit(std::uint64_t participant, std::string prompt_id = {},
               std::vector<std::string> classes = {"A"}) {
    Submitted event;
    event.participant = ParticipantId{participant};
    event.prompt_id = prompt_id.empty() ? "p" + std::to_string(sequence + 1) : std::move(prompt_id);
    event.classes = std::move(classes);
    const auto effects = post(std::move(event));
    const auto* accepted = find<Accepted>(effects);
    return accepted == nullptr ? JobId{} : accepted->job;
  }

  static Digest digest(std::uint8_t n) {
    Digest value;
    value.bytes[0] = n;
    return value;
  }

  /// A worker whose slots can run classes A and B (capability 1).
  Accepted join(std::string name, std::uint64_t boot = 1, std::uint32_t slots = 1) {
    if (!core.knows_capability(digest(1))) {
      Capability capability;
      capability.hash = digest(1);
      capability.classes = {"A", "B"};
      post(std::move(capability));
    }
    WorkerJoined event;
    event.name = std::move(name);
    event.boot = Key128{boot, boot};
    for (std::uint32_t i = 0; i < slots; ++i) {
      JoinedSlot slot;
      slot.index = i;
      slot.capability = digest(1);
      slot.engine_start = boot;
      event.slots.push_back(slot);
    }
    return *find<Accepted>(post(std::move(event)));
  }

  std::vector<Effect> started(JobId job) { return post(with<Started>(job)); }
  std::vector<Effect> computed(JobId job, std::uint64_t gpu_ms = 0) {
    Computed event = with<Computed>(job);
    event.gpu_ms = gpu_ms;
    return post(std::move(event), milliseconds{static_cast<std::int64_t>(gpu_ms)});
  }
  std::vector<Effect> ended(JobId job, Outcome outcome = Outcome::succeeded) {
    Ended event = with<Ended>(job);
    event.outcome = outcome;
    return post(std::move(event));
  }
  /// An event of the job's present lease.
  template <class E>
  E with(JobId job) const {
    E event;
    event.job = job;
    event.epoch = core.job(job)->epoch;
    return event;
  }

  Core core;
  Time now{1'000};
  std::uint64_t sequence = 0;
  std::vector<Entry> entries;
};

}  // namespace atelier::core
