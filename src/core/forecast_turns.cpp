// SPDX-License-Identifier: MIT
// Who is next in a draw: decide.cpp and fair_turns.cpp over flat rows.
#include <algorithm>
#include <utility>

#include "core/forecast_draw.hpp"

namespace atelier::core {
namespace {

constexpr std::uint32_t kScanMax = 64;  // jobs of a lane that are looked at for one with a slot

}  // namespace

bool Draw::may_start(const Lane& lane) const {
  if (lane.unlimited) return true;
  const QueueCopy::Owner& facts = queue_.owners[lane.owner];
  const Owner& owner = owners_[lane.owner];
  return !facts.held && (!facts.limited || owner.gpu_left_ms > 0) &&
         (facts.running_max == 0 || owner.running < facts.running_max);
}

void Draw::look(std::uint32_t index, ClassView& view) {
  const QueueCopy::Class& job_class = queue_.classes[index];
  view.stamp = stamp_;
  view.fit = Fit::unable;
  view.slot = kNoIndex;
  for (const std::uint32_t i : idle_) {
    if (!able(job_class.kind, i)) continue;
    const Fit fit = holds(slots_[i].models, job_class.models) ? Fit::holds : Fit::able;
    const bool better =
        view.slot == kNoIndex || fit > view.fit ||
        (fit == view.fit && queue_.slots[i].speed_milli > queue_.slots[view.slot].speed_milli);
    if (!better) continue;
    view.fit = fit;
    view.slot = i;
  }
  if (const std::uint32_t sharers = wanting_[job_class.models]; view.sharers != sharers) {
    view.sharers = sharers;
    view.run_weight =
        static_cast<std::int64_t>(run_in_order_ms(static_cast<std::uint64_t>(job_class.expected_ms)));
    view.load_weight =
        static_cast<std::int64_t>(load_in_order_ms(static_cast<std::uint64_t>(job_class.load_ms), sharers));
  }
  view.weight = view.run_weight + (view.fit == Fit::able ? view.load_weight : 0);
}

std::uint32_t Draw::first_able(std::uint32_t lane, std::uint32_t& before) {
  before = kNoIndex;
  std::uint32_t scanned = 0;
  for (std::uint32_t row = lanes_[lane].head; row != kNoIndex; row = rows_[row].next) {
    if (view(rows_[row].job_class).fit != Fit::unable) return row;
    if (++scanned == kScanMax) return kNoIndex;
    before = row;
  }
  return kNoIndex;
}

bool Draw::pick() {
  ++stamp_;
  if (!queue_.moved.empty() && pick_moved()) return true;
  if (pick_of_instructor()) return true;
  return queue_.mode == QueueMode::round_robin ? pick_fair_turn() : pick_in_common_order();
}

bool Draw::pick_moved() {
  for (const std::uint32_t wanted : queue_.moved) {
    // Rows of the copy are lane by lane, as here.
    if (ready_[wanted] != kNever) continue;
    const std::uint32_t lane = rows_[wanted].lane;
    const ClassView& fit = view(rows_[wanted].job_class);
    if (fit.fit == Fit::unable || !may_start(lanes_[lane])) continue;
    std::uint32_t before = kNoIndex;
    for (std::uint32_t row = lanes_[lane].head; row != wanted; row = rows_[row].next) before = row;
    grant(wanted, before, fit.slot);
    return true;
  }
  return false;
}

bool Draw::pick_of_instructor() {
  for (const std::uint32_t lane : of_instructor_) {
    if (!may_start(lanes_[lane])) continue;
    std::uint32_t before = kNoIndex;
    const std::uint32_t row = first_able(lane, before);
    if (row == kNoIndex) continue;
    grant(row, before, view(rows_[row].job_class).slot);
    return true;
  }
  return false;
}

bool Draw::pick_in_common_order() {
  for (const Listed& entry : by_place_) {
    if (!may_start(lanes_[entry.lane])) continue;
    std::uint32_t before = kNoIndex;
    const std::uint32_t row = first_able(entry.lane, before);
    if (row == kNoIndex) continue;
    grant(row, before, view(rows_[row].job_class).slot);
    return true;
  }
  return false;
}

std::int64_t Draw::delay_max(const Row& row) const {
  return affinity_delay_max_ms(queue_.affinity, now_ - row.submitted);
}

std::int64_t Draw::slack(const Row& row) const {
  if (queue_.affinity.places_max && row.places >= *queue_.affinity.places_max) return -1;
  return delay_max(row) - row.passed_ms;
}

std::int64_t Draw::delay_of(const Row& row, std::uint32_t slot, bool loads) const {
  const QueueCopy::Class& job_class = queue_.classes[row.job_class];
  const std::int64_t run =
      job_class.expected_ms * 1000 / queue_.slots[slot].speed_milli + (loads ? job_class.load_ms : 0);
  return std::min(run, next_free_ms_);
}

Draw::Turn Draw::turn_of(std::uint32_t index) {
  const Lane& lane = lanes_[index];
  Turn turn;
  turn.lane = index;
  turn.row = first_able(index, turn.before);
  if (turn.row == kNoIndex) return turn;
  const std::int64_t tag = owners_[lane.owner].tag;
  const auto finish = [&](const ClassView& view) {
    return tag + (lane.weight_milli == 1000 ? view.weight : view.weight * 1000 / lane.weight_milli);
  };
  const Row& first = rows_[turn.row];
  const ClassView& fit = view(first.job_class);
  turn.job = first.job;
  turn.loads = fit.fit != Fit::holds;
  turn.finish = finish(fit);
  if (!turn.loads || lane.waiting < 2 || (lane.wants & held_) == 0) return turn;
  std::int64_t slack_left = slack(first);
  std::uint32_t passes = 1, before = turn.row;
  for (std::uint32_t row = first.next; row != kNoIndex && passes < kOwnJobsMax; row = rows_[row].next) {
    if (slack_left < 0) return turn;
    const ClassView& later = view(rows_[row].job_class);
    const bool sooner = std::pair(finish(later), rows_[row].job) <= std::pair(turn.finish, turn.job);
    if (later.fit == Fit::holds && sooner && delay_of(rows_[row], later.slot, false) <= slack_left) {
      turn.row = row;
      turn.before = before;
      turn.job = rows_[row].job;
      turn.passes = passes;
      turn.loads = false;
      turn.finish = finish(later);
      return turn;
    }
    slack_left = std::min(slack_left, slack(rows_[row]));
    ++passes;
    before = row;
  }
  return turn;
}

bool Draw::waits_for_busy(const Turn& turn) {
  const Row& row = rows_[turn.row];
  const QueueCopy::Class& job_class = queue_.classes[row.job_class];
  const std::int64_t since = std::max(slots_[view(row.job_class).slot].idle_since, row.queued);
  const std::int64_t until = since + std::min(job_class.load_ms, delay_max(row));
  if (now_ >= until) return false;
  for (std::uint32_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    if (!slot.busy || awaited_[i] != 0 || slot.free_at - now_ >= job_class.load_ms) continue;
    if (!holds(slot.models, job_class.models) || !able(job_class.kind, i)) continue;
    awaited_[i] = 1;
    wake_ = std::min(wake_, until);
    return true;
  }
  return false;
}

std::uint32_t Draw::slot_to_load(std::uint32_t index) {
  const QueueCopy::Class& job_class = queue_.classes[index];
  std::uint32_t best = kNoIndex, least = 0;
  for (const std::uint32_t i : idle_) {
    if (!able(job_class.kind, i)) continue;
    std::uint32_t wanted = 0;
    for (std::uint32_t set = 0; set < wanting_.size(); ++set) {
      if (wanting_[set] > 0 && holds(slots_[i].models, set)) wanted += wanting_[set];
    }
    const bool better = best == kNoIndex || wanted < least ||
                        (wanted == least && queue_.slots[i].speed_milli > queue_.slots[best].speed_milli);
    if (!better) continue;
    best = i;
    least = wanted;
  }
  return best;
}

void Draw::pass(Row& row, std::int64_t delay_ms) {
  ++row.places;
  row.passed_ms += delay_ms;
}

void Draw::see_wants(Lane& lane) {
  lane.wants = 0;
  std::uint32_t seen = 0;
  for (std::uint32_t row = lane.head; row != kNoIndex && seen < kOwnJobsMax; row = rows_[row].next, ++seen)
    lane.wants |= bit(queue_.classes[rows_[row].job_class].models);
}

void Draw::see_held() {
  held_ = 0;
  for (const std::uint32_t slot : idle_) {
    for (std::uint32_t set = 0; set < wanting_.size(); ++set) {
      if (wanting_[set] > 0 && holds(slots_[slot].models, set)) held_ |= bit(set);
    }
  }
}

bool Draw::open_cursors() {
  cursors_.clear();
  if (!by_start_) return false;
  for (std::uint32_t i = 0; i < with_any_.size(); ++i) {
    if (with_any_[i].empty()) continue;
    const ClassView& fit = view(i);
    if (fit.fit == Fit::unable) {
      if (!with_head_[i].empty()) return false;
      continue;
    }
    const Listing& listing = fit.fit == Fit::holds ? with_any_[i] : with_head_[i];
    if (!listing.empty())
      cursors_.push_back({listing[0].key + fit.weight, listing[0].job, &listing, 0, fit.weight});
  }
  return true;
}

bool Draw::next_turn() {
  while (!cursors_.empty()) {
    // They are few: looking at all of them takes less time than keeping them in order.
    Cursor* least = cursors_.data();
    for (Cursor& cursor : cursors_) least = comes_first(cursor, *least) ? &cursor : least;
    const Cursor cursor = *least;
    if (cursor.listing == nullptr || cursor.at + 1 == cursor.listing->size()) {
      *least = cursors_.back();
      cursors_.pop_back();
    } else {
      const Listed& next = (*cursor.listing)[++least->at];
      least->finish = next.key + cursor.weight;
      least->job = next.job;
    }
    if (cursor.listing == nullptr) {
      turns_.push_back(candidates_[cursor.at]);
      return true;
    }
    const Listed& entry = (*cursor.listing)[cursor.at];
    Lane& lane = lanes_[entry.lane];
    if (lane.seen == stamp_ || !may_start(lane)) continue;
    const Turn turn = turn_of(entry.lane);
    // Else this job may not go before those in front of it: the first one comes later.
    if (turn.finish != cursor.finish || turn.job != entry.job) continue;
    lane.seen = stamp_;
    turns_.push_back(turn);
    return true;
  }
  return false;
}

bool Draw::pick_fair_turn() {
  turns_.clear();
  see_held();
  next_free_ms_ = std::max<std::int64_t>(first_end() - now_, 0);
  if (!open_cursors()) find_candidates();
  return pick_of_turns();
}

/// The same by looking at every lane: they are few, some have a weight of their own, or a first job that no
/// idle slot can run.
void Draw::find_candidates() {
  cursors_.clear();
  candidates_.clear();
  for (std::uint32_t index = 0; index < lanes_.size(); ++index) {
    const Lane& lane = lanes_[index];
    if (lane.head == kNoIndex || lane.instructor || !may_start(lane)) continue;
    const Turn turn = turn_of(index);
    if (turn.row == kNoIndex) continue;
    cursors_.push_back({turn.finish, turn.job, nullptr, candidates_.size(), 0});
    candidates_.push_back(turn);
  }
}

bool Draw::pick_of_turns() {
  awaited_.assign(slots_.size(), 0);
  std::size_t chosen = SIZE_MAX;
  std::int64_t slack_left = kNever;
  for (std::size_t i = 0; i < kLookAhead && (i < turns_.size() || next_turn()); ++i) {
    const Turn turn = turns_[i];
    const Row& row = rows_[turn.row];
    const std::uint32_t slot = view(row.job_class).slot;
    const bool may_pass = i == 0 || delay_of(row, slot, turn.loads) <= slack_left;
    if (!turn.loads && may_pass) {
      chosen = i;
      break;
    }
    if (turn.loads && chosen == SIZE_MAX && !waits_for_busy(turn) && may_pass) chosen = i;
    const std::int64_t own = slack(row);
    if (own < 0) break;
    slack_left = std::min(slack_left, own);
  }
  if (chosen == SIZE_MAX) return false;
  const Turn turn = turns_[chosen];
  const std::uint32_t job_class = rows_[turn.row].job_class;
  const std::uint32_t slot = turn.loads ? slot_to_load(job_class) : view(job_class).slot;
  const std::int64_t delay = delay_of(rows_[turn.row], slot, turn.loads);
  for (std::size_t i = 0; i < chosen; ++i) pass(rows_[turns_[i].row], delay);
  std::uint32_t own = lanes_[turn.lane].head;
  for (std::uint32_t i = 0; i < turn.passes && own != turn.row; ++i, own = rows_[own].next)
    pass(rows_[own], delay);
  grant(turn.row, turn.before, slot);
  return true;
}

}  // namespace atelier::core
