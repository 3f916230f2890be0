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

void Draw::look(Group& group) {
  group.stamp = stamp_;
  group.fit = Fit::unable;
  group.slot = kNoIndex;
  for (const std::uint32_t i : idle_) {
    if (group.able[i] == 0) continue;
    const Fit fit = holds(slots_[i].models, group.models) ? Fit::holds : Fit::able;
    const bool better =
        group.slot == kNoIndex || fit > group.fit ||
        (fit == group.fit && queue_.slots[i].speed_milli > queue_.slots[group.slot].speed_milli);
    if (!better) continue;
    group.fit = fit;
    group.slot = i;
  }
  if (const std::uint32_t sharers = wanting_[group.models]; group.sharers != sharers) {
    group.sharers = sharers;
    group.load_weight =
        static_cast<std::int64_t>(load_in_order_ms(static_cast<std::uint64_t>(group.load_ms), sharers));
  }
  group.weight = group.fit == Fit::able ? group.load_weight : 0;
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
    const Group& fit = view(rows_[wanted].job_class);
    if (fit.fit == Fit::unable || !may_start(lanes_[lane])) continue;
    std::uint32_t before = kNoIndex;
    for (std::uint32_t row = lanes_[lane].head; row != wanted; row = rows_[row].next) before = row;
    grant(wanted, before, fit.slot, true);
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

bool Draw::delays_within(std::int64_t slack_ms, const Row& row, std::uint32_t slot, bool loads) const {
  return next_free_ms_ <= slack_ms || delay_of(row, slot, loads) <= slack_ms;
}

void Draw::add_turn_of(std::uint32_t index, std::vector<Turn>& turns) {
  const Lane& lane = lanes_[index];
  Turn& turn = turns.emplace_back();
  turn.lane = index;
  turn.row = first_able(index, turn.before);
  if (turn.row == kNoIndex) return;
  const std::int64_t tag = owners_[lane.owner].tag;
  const auto finish = [&](const Row& row, const Group& group) {
    const std::int64_t weight = run_weight_[row.job_class] + group.weight;
    return tag + (lane.weight_milli == 1000 ? weight : weight * 1000 / lane.weight_milli);
  };
  const Row& first = rows_[turn.row];
  const Group& fit = view(first.job_class);
  turn.job = first.job;
  turn.loads = fit.fit != Fit::holds;
  turn.finish = finish(first, fit);
  if (!turn.loads || lane.waiting < 2 || (lane.wants & held_) == 0) return;
  std::int64_t slack_left = slack(first);
  std::uint32_t passes = 1, before = turn.row;
  for (std::uint32_t row = first.next; row != kNoIndex && passes < kOwnJobsMax; row = rows_[row].next) {
    if (slack_left < 0) return;
    const Group& later = view(rows_[row].job_class);
    const bool sooner =
        std::pair(finish(rows_[row], later), rows_[row].job) <= std::pair(turn.finish, turn.job);
    if (later.fit == Fit::holds && sooner && delays_within(slack_left, rows_[row], later.slot, false)) {
      turn.row = row;
      turn.before = before;
      turn.job = rows_[row].job;
      turn.passes = passes;
      turn.loads = false;
      turn.finish = finish(rows_[row], later);
      return;
    }
    slack_left = std::min(slack_left, slack(rows_[row]));
    ++passes;
    before = row;
  }
  return;
}

bool Draw::waits_for_busy(const Turn& turn) {
  Row& row = rows_[turn.row];
  const QueueCopy::Class& job_class = queue_.classes[row.job_class];
  const std::int64_t since = std::max(slots_[view(row.job_class).slot].idle_since, row.queued);
  const std::int64_t until = since + std::min(job_class.load_ms, delay_max(row));
  if (now_ >= until) return false;
  for (std::uint32_t i = 0; i < slots_.size(); ++i) {
    const bool busy = busy_until_[i] < kNever;
    if (!busy || awaited_[i] != 0 || slots_[i].expected_end - now_ >= job_class.load_ms) continue;
    if (!holds(slots_[i].models, job_class.models) || !able(job_class.kind, i)) continue;
    awaited_[i] = 1;
    if (row.awaits == kNoIndex) {
      row.awaits = i;
      row.awaits_now = now_ == 0;
    }
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

bool Draw::open_cursors() {
  cursors_.clear();
  held_ = 0;
  bool complete = by_start_;
  for (Group& group : groups_) {
    if (wanting_[group.models] == 0) continue;
    const Fit fit = looked_at(group).fit;
    if (fit == Fit::holds) held_ |= bit(group.models);
    const Listing& listing = fit == Fit::holds ? group.with_any : group.with_head;
    if (listing.empty()) continue;
    if (fit == Fit::unable) {
      complete = false;
    } else {
      cursors_.emplace_back(listing[0].key + group.weight, listing[0].job, &listing, 0, group.weight,
                            fit == Fit::able);
    }
  }
  return complete;
}

bool Draw::next_turn() {
  while (!cursors_.empty()) {
    // They are few: looking at all of them takes less time than keeping them in order.
    Cursor* least = cursors_.data();
    for (Cursor& cursor : cursors_) {
      if (comes_first(cursor, *least)) least = &cursor;
    }
    const Cursor cursor = *least;
    if (cursor.listing == nullptr || cursor.at + 1 == cursor.listing->size()) {
      if (!cursor.loads) --holding_;
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
    add_turn_of(entry.lane, turns_);
    if (turns_.back().finish == cursor.finish && turns_.back().job == entry.job) {
      lane.seen = stamp_;
      return true;
    }
    turns_.pop_back();  // this job may not go before those in front of it: the first one comes later
  }
  return false;
}

std::int64_t Draw::next_free() const {
  if (!some_leave_) return first_end_;
  std::int64_t first = kNever;
  for (std::size_t i = 0; i < busy_until_.size(); ++i) {
    if (!queue_.slots[i].leaves) first = std::min(first, busy_until_[i]);
  }
  return first;
}

bool Draw::pick_fair_turn() {
  turns_.clear();
  next_free_ms_ = std::max<std::int64_t>(next_free() - now_, 0);
  if (!open_cursors()) find_candidates();
  holding_ = static_cast<std::size_t>(std::ranges::count(cursors_, false, &Cursor::loads));
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
    add_turn_of(index, candidates_);
    const Turn& turn = candidates_.back();
    if (turn.row == kNoIndex) {
      candidates_.pop_back();
    } else {
      cursors_.push_back({turn.finish, turn.job, nullptr, candidates_.size() - 1, 0, turn.loads});
    }
  }
}

bool Draw::pick_of_turns() {
  awaited_.assign(slots_.size(), 0);
  std::size_t chosen = SIZE_MAX;
  std::int64_t slack_left = kNever;
  for (std::size_t i = 0; i < kLookAhead && (i < turns_.size() || next_turn()); ++i) {
    const Turn& turn = turns_[i];
    const Row& row = rows_[turn.row];
    const std::uint32_t slot = view(row.job_class).slot;
    const bool may_pass = i == 0 || delays_within(slack_left, row, slot, turn.loads);
    if (!turn.loads && may_pass) {
      chosen = i;
      break;
    }
    if (turn.loads && chosen == SIZE_MAX && !waits_for_busy(turn) && may_pass) chosen = i;
    if (chosen != SIZE_MAX && holding_ == 0) break;  // nobody behind has a better turn
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
