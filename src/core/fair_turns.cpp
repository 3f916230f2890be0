// SPDX-License-Identifier: MIT
// round_robin: fair turns by GPU time, with affinity (core.md 2). The order is by finish tag: what a person
// has had, and what the next job will cost, the load included if it needs one. Affinity then lets a job that
// needs no load go before one that does, within a stated bound.
#include <algorithm>
#include <functional>
#include <utility>

#include "core/fair_order.hpp"
#include "core/policy.hpp"

namespace atelier::core {
namespace {

constexpr std::size_t kScanMax = 256;  // jobs of a lane that are looked at for those with a slot

}  // namespace

void Policy::grant_fair_turns() {
  while (left_ > 0 && grant_one_turn()) {
  }
}

void Policy::find_busy_slots() {
  if (std::exchange(looked_for_busy_, true)) return;
  busy_.reserve(state_.granted.size());
  for (const auto& [id, worker] : state_.workers) {
    if (!worker.link || worker.draining || worker.paused) continue;
    for (const SlotFacts& slot : worker.slots) {
      if (slot.state != SlotState::busy) continue;
      const auto granted = state_.granted.find(slot.job);
      if (granted == state_.granted.end()) continue;
      const JobFacts& job = *granted->second;
      const LeaseFacts& lease = *job.lease;
      // What it will hold is what its job needs; a job without models leaves what is there.
      const std::vector<std::string>& needed = job.submitted.models;
      const auto& holds = needed.empty() ? state_.models_in(SlotId{id, slot.index}) : needed;
      const std::int64_t remaining =
          static_cast<std::int64_t>(lease.charge_ms) - (now_ - lease.since).count();
      busy_.push_back({&worker, &slot, &holds, std::max<std::int64_t>(remaining, 0)});
      // One that is overdue is expected to take half as long again as it has taken.
      const std::int64_t expected = remaining > 0 ? remaining : (now_ - lease.since).count() / 2;
      next_free_ms_ = std::min(next_free_ms_, expected);
    }
  }
}

bool Policy::has_slot(const LaneWalk& lane, const WaitingJob& job) {
  if (slot_for(job.kind) == kNone) return false;
  const auto taken = taken_.find(lane.lane->owner.facts->participant);
  return taken == taken_.end() || !taken->second.jobs.contains(job.key.job);
}

const WaitingJob* Policy::head_of(const LaneWalk& lane) {
  if (lane.front_has_slots) return &lane.lane->front().front();
  std::size_t scanned = 0;
  for (const auto& [key, job] : lane.lane->order) {
    if (has_slot(lane, *job)) return job;
    if (++scanned == kScanMax) break;
  }
  if (scanned < kScanMax) return nullptr;
  // Many jobs that nobody can run: by kinds.
  const WaitingJob* head = nullptr;
  for (const auto& [kind, keys] : lane.lane->kinds) {
    if (slot_for(kind) == kNone) continue;
    for (const LaneKey& key : keys) {
      const WaitingJob* const job = lane.lane->order.at(key);
      if (!has_slot(lane, *job)) continue;
      if (head == nullptr || key < head->key) head = job;
      break;
    }
  }
  return head;
}

Policy::LaneWalk Policy::walk_of(const Lane& lane) {
  const ParticipantFacts& owner = *lane.owner.facts;
  LaneWalk walk{.lane = &lane, .tag = start_tag(owner.participant, lane.start)};
  walk.weight_milli = std::max<std::uint32_t>(owner.weight_milli, 1);
  walk.front_has_slots =
      !taken_.contains(owner.participant) && std::ranges::all_of(lane.front(), [this](const WaitingJob& job) {
        return slot_for(job.kind) != kNone;
      });
  return walk;
}

void Policy::list(LaneWalk& lane) {
  lane.listed = true;
  const auto add = [&lane](const WaitingJob& job) { lane.next_jobs[lane.job_count++] = &job; };
  if (lane.front_has_slots) {
    for (const WaitingJob& job : lane.lane->front()) add(job);
    return;
  }
  std::size_t scanned = 0;
  for (const auto& [key, job] : lane.lane->order) {
    if (has_slot(lane, *job)) add(*job);
    if (lane.job_count == kLaneLookAhead || ++scanned == kScanMax) break;
  }
  if (lane.job_count > 0) return;
  if (const WaitingJob* const head = head_of(lane)) add(*head);
}

std::uint64_t Policy::cost_of(const Turn& turn) const {
  return state_.estimates.run_ms(*turn.job->estimate, 1000) +
         (turn.loads ? state_.estimates.load_ms(*turn.job->estimate) : 0);
}

std::uint64_t Policy::run_in_order(const Estimates::Known& estimate) const {
  return run_in_order_ms(state_.estimates.run_ms(estimate, 1000));
}

std::uint64_t Policy::load_in_order(KindId kind, const Estimates::Known& estimate) const {
  return load_in_order_ms(state_.estimates.load_ms(estimate), state_.waiting.wanting_models_of(kind));
}

Policy::Turn Policy::make_turn(const LaneWalk& lane, std::size_t index, const WaitingJob& job) {
  Turn turn;
  turn.id = job.key.job;
  turn.job = &job;
  turn.lane = index;
  turn.slot = slot_for(job.kind);
  turn.loads = !is_held(job.kind);
  const std::uint64_t weight =
      run_in_order(*job.estimate) + (turn.loads ? load_in_order(job.kind, *job.estimate) : 0);
  turn.finish = lane.tag + weight * 1000 / lane.weight_milli;
  return turn;
}

bool Policy::holds_any(const LaneWalk& lane) {
  if (lane.front_has_slots) {
    return std::ranges::any_of(lane.lane->front(),
                               [this](const WaitingJob& job) { return is_held(job.kind); });
  }
  return std::ranges::any_of(lane.lane->kinds, [this](const auto& kind) { return is_held(kind.first); });
}

std::optional<Policy::Turn> Policy::turn_of(LaneWalk& lane, std::size_t index) {
  if (!lane.listed) {
    const WaitingJob* const head = head_of(lane);
    if (head == nullptr) return std::nullopt;
    const Turn turn = make_turn(lane, index, *head);
    if (!turn.loads || !holds_any(lane)) return turn;
    list(lane);
  }
  std::optional<Turn> first;
  Passed before;
  std::size_t ready = 0;  // jobs that need no load
  for (const WaitingJob* job : lane.jobs()) ready += is_held(job->kind) ? 1 : 0;
  for (const WaitingJob* job : lane.jobs()) {
    const bool loads = !is_held(job->kind);
    if (!first || !loads) {
      Turn turn = make_turn(lane, index, *job);
      turn.before = before.jobs.size();
      if (!first) first = turn;
      // One that takes so long that others come before it does not take the first one's turn.
      const bool sooner = turn.place() <= first->place();
      if (!turn.loads && sooner && (before.jobs.empty() || delay_of(turn) <= before.slack_ms)) return turn;
    }
    ready -= loads ? 0 : 1;
    if (ready == 0) break;
    if (slack_of(*job->facts) < 0) break;
    pass(before, *job->facts);
  }
  return first;
}

std::optional<Policy::Turn> Policy::later_turn_of(LaneWalk& lane, std::size_t index) {
  if (!lane.listed) {
    list(lane);
    if (lane.job_count > 0) lane.take(0);
  }
  return turn_of(lane, index);
}

std::int64_t Policy::delay_max_of(const JobFacts& job) const {
  return affinity_delay_max_ms(affinity_, (now_ - job.submitted_at).count());
}

std::int64_t Policy::slack_of(const JobFacts& job) const {
  const auto now = passed_now_.find(job.job);
  const std::uint32_t places = job.passed_places + (now == passed_now_.end() ? 0 : now->second);
  if (affinity_.places_max && places >= *affinity_.places_max) return -1;
  const std::int64_t open = job.passed_since ? (now_ - *job.passed_since).count() : 0;
  return delay_max_of(job) - static_cast<std::int64_t>(job.passed_ms) - open;
}

void Policy::pass(Passed& passed, const JobFacts& job) const {
  passed.jobs.push_back(&job);
  passed.slack_ms = std::min(passed.slack_ms, slack_of(job));
}

std::int64_t Policy::delay_of(const Turn& turn) {
  find_busy_slots();
  const std::uint32_t speed = free_[turn.slot].worker->speed_milli;
  const std::uint64_t run = state_.estimates.run_ms(*turn.job->estimate, speed) +
                            (turn.loads ? state_.estimates.load_ms(*turn.job->estimate) : 0);
  return std::min(next_free_ms_, static_cast<std::int64_t>(run));
}

std::size_t Policy::slot_to_load(KindId kind) {
  const std::vector<Fit>& fit = fits(kind).of_slots;
  // How many waiting jobs want what the slot holds.
  const auto wanted = [&](std::size_t slot) {
    std::size_t count = 0;
    if (left_ == 1 || free_[slot].loaded->empty()) return count;
    const std::vector<std::size_t>& counts = state_.waiting.counts();
    for (KindId other = 0; other < counts.size(); ++other) {
      if (counts[other] > 0 && holds(other, slot)) count += counts[other];
    }
    return count;
  };
  std::size_t best = kNone, least = 0;
  for (std::size_t i = 0; i < free_.size(); ++i) {
    if (free_[i].taken || fit[i] == Fit::unable) continue;
    const std::size_t count = wanted(i);
    const bool better = best == kNone || count < least ||
                        (count == least && free_[i].worker->speed_milli > free_[best].worker->speed_milli);
    if (!better) continue;
    best = i;
    least = count;
  }
  return best;
}

Policy::BusySlot* Policy::worth_waiting_for(const Turn& turn) {
  find_busy_slots();
  const Needs& needs = state_.waiting.needs(turn.job->kind);
  const auto load = static_cast<std::int64_t>(state_.estimates.load_ms(*turn.job->estimate));
  const std::int64_t idle_since =
      std::max(free_[turn.slot].slot->idle_since.ms, turn.job->facts->queued_since.ms);
  const Time until{idle_since + std::min(load, delay_max_of(*turn.job->facts))};
  if (now_ >= until) return nullptr;  // it was expected to be free by now
  for (BusySlot& busy : busy_) {
    if (busy.awaited || busy.remaining_ms >= load) continue;
    if (!std::ranges::includes(*busy.loaded, needs.models)) continue;
    if (needs.avoided == busy.worker->worker) continue;
    if (!able_kind(state_, turn.job->kind, *busy.worker, *busy.slot)) continue;
    decision_.next_at = std::min(decision_.next_at.value_or(until), until);
    return &busy;
  }
  return nullptr;
}

std::vector<Policy::LanesAhead> Policy::lanes_ahead() {
  std::vector<LanesAhead> ahead;
  ahead.reserve(state_.waiting.lanes_of_classes().size());
  for (const auto& [job_class, lanes] : state_.waiting.lanes_of_classes()) {
    const KindFits& best = best_of(job_class.kind);
    const WaitingIndex::ByStart& chosen = best.held ? lanes.any : lanes.first;
    if (chosen.empty()) continue;
    std::uint64_t weight = 0;
    if (best.best != kNone) {
      weight =
          run_in_order(*lanes.estimate) + (best.held ? 0 : load_in_order(job_class.kind, *lanes.estimate));
    }
    ahead.push_back({chosen.begin(), chosen.end(), weight * 1000 / state_.weight_milli_max});
  }
  std::ranges::make_heap(ahead, std::greater<>());
  return ahead;
}

bool Policy::grant_one_turn() {
  std::vector<Turn> turns;  // a heap, the next one first
  std::vector<LaneWalk> lanes;
  turns.reserve(2 * kLookAhead);
  lanes.reserve(2 * kLookAhead);
  const auto add_turn = [&turns](const Turn& turn) {
    turns.push_back(turn);
    std::ranges::push_heap(turns, std::greater<>());
  };
  const auto take_turn = [&turns] {
    std::ranges::pop_heap(turns, std::greater<>());
    const Turn turn = turns.back();
    turns.pop_back();
    return turn;
  };
  // Lanes join the walk when their turn could be the next one.
  std::vector<LanesAhead> ahead = lanes_ahead();
  const std::uint64_t walk = ++state_.walks;
  const auto join = [&] {
    while (!ahead.empty() && (turns.empty() || ahead.front().least() < turns.front().place())) {
      std::ranges::pop_heap(ahead, std::greater<>());
      LanesAhead& next = ahead.back();
      const Lane& lane = *std::get<3>(*next.at);
      if (++next.at == next.end) {
        ahead.pop_back();
      } else {
        std::ranges::push_heap(ahead, std::greater<>());
      }
      if (std::exchange(lane.walk, walk) == walk) continue;
      if (!lane.owner.facts->participant || !may_start(lane.owner)) continue;
      LaneWalk& joined = lanes.emplace_back(walk_of(lane));
      if (const auto turn = turn_of(joined, lanes.size() - 1)) {
        add_turn(*turn);
      } else {
        lanes.pop_back();
      }
    }
  };
  Passed passed;
  std::optional<Turn> first;  // that has to load
  std::vector<const JobFacts*> passed_by_first;
  for (std::size_t seen = 0; seen < kLookAhead; ++seen) {
    join();
    while (!turns.empty() && turns.front().job == nullptr) {
      const std::size_t index = take_turn().lane;
      if (const auto later = later_turn_of(lanes[index], index)) add_turn(*later);
      join();
    }
    if (turns.empty()) break;
    const Turn turn = take_turn();
    LaneWalk& lane = lanes[turn.lane];
    Passed with_own;
    if (turn.before > 0) with_own = passed;
    for (std::size_t i = 0; i < turn.before; ++i) {
      const JobFacts* const own = lane.next_jobs[i]->facts;
      if (std::ranges::find(with_own.jobs, own) == with_own.jobs.end()) pass(with_own, *own);
    }
    const Passed& all = turn.before > 0 ? with_own : passed;
    const bool may_pass = all.jobs.empty() || delay_of(turn) <= all.slack_ms;
    if (!turn.loads && may_pass) {
      grant(*turn.job, turn.slot, all.jobs);
      return true;
    }
    if (turn.loads && !first) {
      BusySlot* const busy = worth_waiting_for(turn);
      if (busy != nullptr) {
        busy->awaited = true;
      } else if (may_pass) {
        first = turn;
        passed_by_first = all.jobs;
      }
    }
    if (slack_of(*turn.job->facts) < 0) break;
    pass(passed, *turn.job->facts);
    // The lane's next turn, as if this one had been taken: looked at when it could come, because a lane's
    // jobs lie far apart in memory.
    lane.tag += cost_of(turn) * 1000 / lane.weight_milli;
    if (lane.listed) lane.take(turn.before);
    add_turn({.finish = lane.tag, .id = {}, .lane = turn.lane});
  }
  for (BusySlot& busy : busy_) busy.awaited = false;
  if (!first) return false;
  grant(*first->job, slot_to_load(first->job->kind), passed_by_first);
  return true;
}

}  // namespace atelier::core
