// SPDX-License-Identifier: MIT
#include "workshop/changes.hpp"

#include <algorithm>

namespace atelier::workshop {
namespace {

/// A range that moves by less than this is the same range.
std::int64_t noise_of(std::int64_t late_ms) { return std::max<std::int64_t>(30'000, late_ms / 10); }

}  // namespace

Changes::Changes(const StandingsView& before, const StandingsView& view, const core::QueueCopy& queue)
    : before_(before), view_(view), queue_(queue) {
  for (const std::uint32_t row : queue.moved) listed_.insert(queue.rows[row].job);
  for (const core::QueueCopy::Owner& owner : queue.owners) {
    used_[owner.participant] = owner.used_ms;
    if (owner.held) held_.insert(owner.participant);
    const auto share = before.shares.find(owner.participant);
    shares_ = shares_ || (share != before.shares.end() && share->second != view.shares.at(owner.participant));
  }
  for (const WorkerId worker : before.workers) {
    if (std::ranges::binary_search(view.workers, worker)) continue;
    const auto away = std::ranges::find(queue.away, worker, &core::QueueCopy::Away::worker);
    lost_ = {.cause = WorseCause::worker, .worker = worker};
    lost_.away = away == queue.away.end() ? core::Obstacle::pinned_away : away->why;
    break;
  }
  overdue_ = std::ranges::any_of(queue.slots, [](const core::QueueCopy::Slot& slot) {
    return slot.job && slot.charge_ms > 0 && slot.elapsed_ms > slot.charge_ms;
  });
}

Worse Changes::why_behind(const Standing& job) const {
  if (before_.mode != view_.mode) return {.cause = WorseCause::mode};
  if (moved_ > 0) return {.cause = WorseCause::moved, .jobs = moved_};
  if (pressed_.contains(ParticipantId{}) && job.owner) return {.cause = WorseCause::instructor};
  if (raised_ > 0) return {.cause = WorseCause::raised, .jobs = raised_};
  Worse worse{.cause = WorseCause::pressed_run, .less_used = true};
  const auto used = used_.find(job.owner);
  for (const ParticipantId person : pressed_) {
    if (person == job.owner || !person) continue;
    ++worse.people;
    worse.less_used = worse.less_used && used != used_.end() && used_.at(person) < used->second;
  }
  if (worse.people > 0) return worse;
  if (pressed_.contains(job.owner)) return {.cause = WorseCause::own};
  if (back_ > 0) return {.cause = WorseCause::came_back, .jobs = back_};
  if (shares_) return {.cause = WorseCause::shares};
  return {.cause = WorseCause::turns, .less_used = job.ahead.less_used > 0};
}

void Changes::compare_place(Standing& job) {
  const Standing* const old = before_.find(job.job);
  if (old == nullptr || old->place == 0) {
    if (old == nullptr && job.job > before_.newest) {
      pressed_.insert(job.owner);
    } else {
      ++back_;
    }
    return;
  }
  if (listed_.contains(job.job) && job.place < old->place) ++moved_;
  if (view_.mode == core::QueueMode::priority && job.level < old->level) ++raised_;
  behind_[job.job] = why_behind(job);
  if (job.place > old->place) {
    job.worse = behind_[job.job];
    job.worse_from = old->place;
  } else if (job.place == old->place) {
    job.worse = old->worse;
    job.worse_from = old->worse_from;
  }
}

Worse Changes::why_unknown(const Standing& job) const {
  if (queue_.paused) return {.cause = WorseCause::paused};
  if (held_.contains(job.owner)) return {.cause = WorseCause::held};
  if (job.kind >= view_.kinds.size() || view_.kinds[job.kind].obstacle == core::Obstacle::none) return {};
  const core::QueueCopy::Kind& kind = view_.kinds[job.kind];
  return {.cause = WorseCause::worker, .worker = kind.worker, .away = kind.obstacle};
}

Worse Changes::why_later(const Standing& job, const Standing& old) const {
  if (old.interrupted.cause != WorseCause::none) return old.interrupted;
  if (before_.mode != view_.mode) return {.cause = WorseCause::mode};
  if (lost_.cause != WorseCause::none) return lost_;
  const auto behind = behind_.find(job.job);
  if (behind != behind_.end() && behind->second.cause != WorseCause::turns) return behind->second;
  if (overdue_) return {.cause = WorseCause::overdue};
  return {.cause = WorseCause::expected};
}

void Changes::compare_time(Standing& job) const {
  const Standing* const old = before_.find(job.job);
  if (old == nullptr || !old->told || (job.ready && job.place == 0)) return;
  if (!job.ready) {
    job.told = old->told;
    job.later = old->later;
    job.interrupted = why_unknown(job);
    if (job.interrupted.cause == WorseCause::none) job.interrupted = old->interrupted;
    return;
  }
  const std::int64_t at = view_.at.ms, noise = noise_of(job.ready->late);
  const Standing::Ready now{at + job.ready->early, at + job.ready->late}, told = *old->told;
  if (std::max(now.early - told.early, now.late - told.late) > noise) {
    job.told = now;
    job.later = why_later(job, *old);
  } else if (std::max(told.early - now.early, told.late - now.late) > noise) {
    job.told = now;
  } else {
    job.told = told;
    job.later = old->later;
    job.ready = {told.early - at, told.late - at};
  }
}

}  // namespace atelier::workshop
