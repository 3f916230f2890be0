// SPDX-License-Identifier: MIT
// round_robin: fair turns by GPU time, with affinity (core.md 2). The order is by finish tag: what a person
// has had, and what the next job will cost, the load included if it needs one. Affinity then lets a job that
// needs no load go before one that does, within a stated bound.
#include <algorithm>
#include <cmath>
#include <queue>
#include <utility>

#include "core/policy.hpp"

namespace atelier::core {
namespace {

constexpr std::size_t kLookAhead = 64;  // turns of the order that affinity looks at
constexpr std::size_t kOwnLookAhead = 16;

}  // namespace

void Policy::grant_fair_turns() {
  find_busy_slots();
  while (left_ > 0 && grant_one_turn()) {
  }
}

void Policy::find_busy_slots() {
  static const std::vector<std::string> none;
  next_free_ms_ = INT64_MAX;
  for (const auto& [id, worker] : state_.workers) {
    if (!worker.link || worker.draining || worker.paused) continue;
    for (const SlotFacts& slot : worker.slots) {
      if (slot.state != SlotState::busy) continue;
      const auto job = state_.jobs.find(slot.job);
      if (job == state_.jobs.end() || !job->second.lease) continue;
      const LeaseFacts& lease = *job->second.lease;
      const auto loaded = state_.loaded.find(SlotId{id, slot.index});
      const std::int64_t remaining =
          static_cast<std::int64_t>(lease.charge_ms) - (now_ - lease.since).count();
      busy_.push_back({&worker, &slot, loaded == state_.loaded.end() ? &none : &loaded->second,
                       std::max<std::int64_t>(remaining, 0)});
      next_free_ms_ = std::min(next_free_ms_, busy_.back().remaining_ms);
    }
  }
}

Policy::LaneWalk Policy::walk(ParticipantId owner, const Lane& lane, std::size_t most) {
  // The lane's order over its kinds, of which those without a slot are left out.
  struct Cursor {
    std::set<LaneKey>::const_iterator at, end;
    KindId kind;
    bool operator>(const Cursor& other) const { return *other.at < *at; }
  };
  LaneWalk result{owner, start_tag(owner), {}};
  const auto taken = taken_.find(owner);
  const auto skip = [&](Cursor& cursor) {
    while (cursor.at != cursor.end && taken != taken_.end() && taken->second.jobs.contains(cursor.at->job))
      ++cursor.at;
    return cursor.at != cursor.end;
  };
  std::priority_queue<Cursor, std::vector<Cursor>, std::greater<>> next;
  for (const auto& [kind, keys] : lane.kinds) {
    if (slot_for(kind) == kNone) continue;
    Cursor cursor{keys.begin(), keys.end(), kind};
    if (skip(cursor)) next.push(cursor);
  }
  while (!next.empty() && result.jobs.size() < most) {
    Cursor cursor = next.top();
    next.pop();
    result.jobs.emplace_back(cursor.at->job, cursor.kind);
    ++cursor.at;
    if (skip(cursor)) next.push(cursor);
  }
  return result;
}

std::uint64_t Policy::cost_of(const Turn& turn) const {
  const std::uint64_t signature = state_.jobs.at(turn.job).submitted.signature;
  return state_.estimates.run_ms(signature, 1000) + (turn.loads ? state_.estimates.load_ms(signature) : 0);
}

std::uint64_t Policy::weight_in_order(const Turn& turn) const {
  const std::uint64_t signature = state_.jobs.at(turn.job).submitted.signature;
  const std::uint64_t run = state_.estimates.run_ms(signature, 1000) * 17 / 20;
  if (!turn.loads) return run;
  const auto sharers =
      static_cast<double>(std::max<std::size_t>(state_.waiting.wanting_models_of(turn.kind), 1));
  const double load =
      static_cast<double>(state_.estimates.load_ms(signature)) * 6 / std::sqrt(std::sqrt(sharers));
  return run + static_cast<std::uint64_t>(load);
}

Policy::Turn Policy::turn_of(const LaneWalk& lane, std::size_t index) {
  Turn turn;
  std::vector<JobId> before;
  for (const auto& [job, kind] : lane.jobs) {
    Turn here;
    here.job = job;
    here.kind = kind;
    here.lane = index;
    here.slot = slot_for(kind);
    here.loads = fits(kind)[here.slot] != Fit::holds;
    here.before = before.size();
    if (before.empty()) turn = here;
    if (!here.loads && may_pass(here, before)) {
      turn = here;
      break;
    }
    if (!may_be_passed(job, 0)) break;
    before.push_back(job);
  }
  const std::uint32_t weight = std::max<std::uint32_t>(state_.participants.at(lane.owner).weight_milli, 1);
  turn.finish = lane.tag + weight_in_order(turn) * 1000 / weight;
  return turn;
}

bool Policy::may_be_passed(JobId id, std::int64_t for_ms) const {
  const JobFacts& job = state_.jobs.at(id);
  const auto now = passed_now_.find(id);
  const std::uint32_t places = job.passed_places + (now == passed_now_.end() ? 0 : now->second);
  if (affinity_.places_max && places >= *affinity_.places_max) return false;
  const std::int64_t waited = (now_ - job.submitted_at).count();
  const std::int64_t most =
      affinity_.delay_max ? affinity_.delay_max->count()
                          : std::min<std::int64_t>(std::max<std::int64_t>(60'000, waited / 10), 300'000);
  const std::int64_t open = job.passed_since ? (now_ - *job.passed_since).count() : 0;
  return static_cast<std::int64_t>(job.passed_ms) + open + for_ms <= most;
}

bool Policy::may_pass(const Turn& turn, const std::vector<JobId>& passed) const {
  const std::uint64_t signature = state_.jobs.at(turn.job).submitted.signature;
  const std::uint32_t speed = free_[turn.slot].worker->speed_milli;
  const auto run = static_cast<std::int64_t>(state_.estimates.run_ms(signature, speed) +
                                             (turn.loads ? state_.estimates.load_ms(signature) : 0));
  const std::int64_t until_next = std::min(next_free_ms_, run);
  return std::ranges::all_of(passed, [&](JobId id) { return may_be_passed(id, until_next); });
}

std::size_t Policy::slot_to_load(KindId kind) {
  const std::vector<Fit>& fit = fits(kind);
  // How many waiting jobs want what the slot holds.
  const auto wanted = [&](std::size_t slot) {
    std::size_t count = 0;
    if (free_[slot].loaded->empty()) return count;
    const std::vector<std::size_t>& counts = state_.waiting.counts();
    for (KindId other = 0; other < counts.size(); ++other) {
      if (counts[other] > 0 && fits(other)[slot] == Fit::holds) count += counts[other];
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
  const Needs& needs = state_.waiting.needs(turn.kind);
  const JobFacts& job = state_.jobs.at(turn.job);
  const auto load = static_cast<std::int64_t>(state_.estimates.load_ms(job.submitted.signature));
  const std::int64_t idle_since = std::max(free_[turn.slot].slot->idle_since.ms, job.queued_since.ms);
  const Time until{idle_since + load};
  if (now_ >= until) return nullptr;  // it was expected to be free by now
  for (BusySlot& busy : busy_) {
    if (busy.awaited || busy.remaining_ms >= load) continue;
    if (!std::ranges::includes(*busy.loaded, needs.models)) continue;
    if (!able(state_, *busy.worker, *busy.slot, needs)) continue;
    decision_.next_at = std::min(decision_.next_at.value_or(until), until);
    return &busy;
  }
  return nullptr;
}

bool Policy::grant_one_turn() {
  std::priority_queue<Turn, std::vector<Turn>, std::greater<>> order;
  std::vector<LaneWalk> lanes;
  for (const auto& [id, lane] : state_.waiting.lanes()) {
    if (id.owner == ParticipantId{} || !may_start(id.owner)) continue;
    LaneWalk walked = walk(id.owner, lane, kOwnLookAhead);
    if (walked.jobs.empty()) continue;
    order.push(turn_of(walked, lanes.size()));
    lanes.push_back(std::move(walked));
  }
  std::vector<JobId> passed;
  std::optional<Turn> first;  // that has to load
  std::vector<JobId> passed_by_first;
  const auto with_own = [&](const Turn& turn) {
    std::vector<JobId> all = passed;
    for (std::size_t i = 0; i < turn.before; ++i) {
      const JobId own = lanes[turn.lane].jobs[i].first;
      if (std::ranges::find(all, own) == all.end()) all.push_back(own);
    }
    return all;
  };
  for (std::size_t seen = 0; !order.empty() && seen < kLookAhead; ++seen) {
    const Turn turn = order.top();
    order.pop();
    std::vector<JobId> all = with_own(turn);
    if (!turn.loads && may_pass(turn, all)) {
      grant(state_.jobs.at(turn.job), turn.slot, std::move(all));
      return true;
    }
    if (turn.loads && !first) {
      BusySlot* const busy = worth_waiting_for(turn);
      if (busy != nullptr) {
        busy->awaited = true;
      } else if (may_pass(turn, all)) {
        first = turn;
        passed_by_first = std::move(all);
      }
    }
    if (!may_be_passed(turn.job, 0)) break;
    passed.push_back(turn.job);
    // The lane's next turn, as if this one had been taken.
    LaneWalk& lane = lanes[turn.lane];
    const std::uint32_t weight = std::max<std::uint32_t>(state_.participants.at(lane.owner).weight_milli, 1);
    lane.tag += cost_of(turn) * 1000 / weight;
    lane.jobs.erase(lane.jobs.begin() + static_cast<std::ptrdiff_t>(turn.before));
    if (!lane.jobs.empty()) order.push(turn_of(lane, turn.lane));
  }
  for (BusySlot& busy : busy_) busy.awaited = false;
  if (!first) return false;
  grant(state_.jobs.at(first->job), slot_to_load(first->kind), std::move(passed_by_first));
  return true;
}

}  // namespace atelier::core
