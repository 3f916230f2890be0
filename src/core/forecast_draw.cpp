// SPDX-License-Identifier: MIT
// The course of time in a draw: what is there at its beginning, arrivals, runs and their ends.
#include "core/forecast_draw.hpp"

#include <algorithm>
#include <cassert>
#include <map>
#include <span>
#include <tuple>

namespace atelier::core {
namespace {

/// So many lanes are looked at one by one in less time than it takes to keep them in order.
constexpr std::size_t kFewLanes = 64;

}  // namespace

void Draw::Listing::clear() {
  entries_.clear();
  first_ = 0;
}

void Draw::Listing::sort() { std::sort(entries_.begin(), entries_.end()); }

void Draw::Listing::add(const Listed& entry) {
  const auto front = entries_.begin() + static_cast<std::ptrdiff_t>(first_);
  const auto at = std::upper_bound(front, entries_.end(), entry);
  if (first_ == 0 || at - front > entries_.end() - at) {
    entries_.insert(at, entry);
  } else {
    *std::move(front, at, front - 1) = entry;
    --first_;
  }
}

void Draw::Listing::remove(const Listed& entry) {
  const auto front = entries_.begin() + static_cast<std::ptrdiff_t>(first_);
  const auto at = std::lower_bound(front, entries_.end(), entry);
  assert(at != entries_.end() && at->key == entry.key && at->job == entry.job);
  if (at - front > entries_.end() - at) {
    entries_.erase(at);
  } else {
    std::move_backward(front, at, at + 1);
    ++first_;
  }
}

Draw::Draw(const QueueCopy& queue, JobId only) : queue_(queue), only_(only) {
  some_leave_ = std::ranges::any_of(queue.slots, &QueueCopy::Slot::leaves);
  using Alike = std::tuple<std::vector<std::uint8_t>, std::uint32_t, std::int64_t>;
  std::map<Alike, std::uint32_t> known;
  for (const QueueCopy::Class& job_class : queue.classes) {
    const std::size_t slots = queue.slots.size();
    // If no job waits there are no such rows, and nobody asks for one.
    const std::uint8_t* const able =
        queue.kinds.empty() ? nullptr : queue.able.data() + job_class.kind * slots;
    std::vector<std::uint8_t> of_slots(able, able == nullptr ? able : able + slots);
    const auto [found, fresh] = known.try_emplace({std::move(of_slots), job_class.models, job_class.load_ms},
                                                  static_cast<std::uint32_t>(groups_.size()));
    if (fresh) {
      Group& group = groups_.emplace_back();
      group.able = able;
      group.models = job_class.models;
      group.load_ms = job_class.load_ms;
    }
    group_of_.push_back(found->second);
    run_weight_.push_back(
        static_cast<std::int64_t>(run_in_order_ms(static_cast<std::uint64_t>(job_class.expected_ms))));
  }
}

std::int64_t Draw::draw_run(const QueueCopy::Class& job_class, std::uint32_t speed_milli) {
  std::int64_t run = job_class.expected_ms;
  if (drawn_ && job_class.runs > 0) run = queue_.run_ms[job_class.first_run + random_.below(job_class.runs)];
  return run * 1000 / speed_milli;
}

std::int64_t Draw::draw_rest(const QueueCopy::Slot& slot) {
  const QueueCopy::Class& job_class = queue_.classes[slot.job_class];
  const std::int64_t load = slot.loads ? job_class.load_ms : 0;
  if (!drawn_ || job_class.runs == 0) {
    const std::int64_t rest = job_class.expected_ms * 1000 / slot.speed_milli + load - slot.elapsed_ms;
    return rest > 0 ? rest : slot.elapsed_ms / 2;
  }
  // Of the runs seen only those can be this one that have not ended by now.
  const std::uint32_t begin = random_.below(job_class.runs);
  for (std::uint32_t i = 0; i < job_class.runs; ++i) {
    const std::uint32_t at = job_class.first_run + (begin + i) % job_class.runs;
    const std::int64_t run = static_cast<std::int64_t>(queue_.run_ms[at]) * 1000 / slot.speed_milli + load;
    if (run > slot.elapsed_ms) return run - slot.elapsed_ms;
  }
  return slot.elapsed_ms / 2;
}

void Draw::add_row(std::uint32_t index, const Row& row) {
  const auto at = static_cast<std::uint32_t>(rows_.size());
  rows_.push_back(row);
  Lane& lane = lanes_[index];
  (lane.head == kNoIndex ? lane.head : rows_[lane.tail].next) = at;
  lane.tail = at;
  if (++lane.waiting <= kOwnJobsMax) lane.wants |= bit(queue_.classes[row.job_class].models);
  ++owners_[queue_.lanes[index].owner].waiting;
  ++waiting_;
  ++wanting_[queue_.classes[row.job_class].models];
}

void Draw::start_slots() {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const QueueCopy::Slot& from = queue_.slots[i];
    Slot& slot = slots_[i];
    slot = {};
    slot.models = from.models;
    slot.idle_since = -from.idle_for_ms;
    first_free_[i] = from.away_ms + (from.job ? draw_rest(from) : 0);
    if (from.job) slot.owner = from.owner;
    slot.expected_end = from.charge_ms - from.elapsed_ms;
    if (from.job || from.away_ms > 0) {
      busy_until_[i] = first_free_[i];
      first_end_ = std::min(first_end_, first_free_[i]);
    } else {
      idle_.push_back(static_cast<std::uint32_t>(i));
    }
  }
}

void Draw::start(std::uint64_t seed) {
  drawn_ = seed != 0;
  random_ = DrawRandom(seed);
  now_ = 0;
  wake_ = kNever;
  virtual_time_ = queue_.virtual_time;
  next_arrival_ = drawn_ ? 0 : queue_.arrivals.size();
  idle_.clear();
  waiting_ = 0;
  slots_.resize(queue_.slots.size());
  first_free_.assign(queue_.slots.size(), 0);
  busy_until_.assign(queue_.slots.size(), kNever);
  first_end_ = kNever;
  lanes_.assign(queue_.lanes.size(), {});
  of_instructor_.clear();
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    const QueueCopy::Owner& owner = queue_.owners[queue_.lanes[i].owner];
    lanes_[i].owner = queue_.lanes[i].owner;
    lanes_[i].weight_milli = owner.weight_milli;
    lanes_[i].unlimited = !owner.held && !owner.limited && owner.running_max == 0;
    lanes_[i].instructor = owner.participant == ParticipantId{};
    if (lanes_[i].instructor) of_instructor_.push_back(static_cast<std::uint32_t>(i));
  }
  owners_.assign(queue_.owners.size(), {});
  for (std::size_t i = 0; i < owners_.size(); ++i) {
    owners_[i].tag = queue_.owners[i].tag;
    owners_[i].gpu_left_ms = queue_.owners[i].gpu_left_ms;
    owners_[i].running = queue_.owners[i].running;
  }
  wanting_.assign(queue_.model_sets, 0);
  rows_.clear();
  rows_.reserve(queue_.rows.size());
  started_.clear();
  for (std::uint32_t lane = 0; lane < lanes_.size(); ++lane) {
    const QueueCopy::Lane& from = queue_.lanes[lane];
    for (std::uint32_t i = from.first; i < from.first + from.count; ++i) {
      const QueueCopy::Row& row = queue_.rows[i];
      add_row(lane, {kNoIndex, lane, row.job_class, row.places, row.passed_ms, -row.waited_ms, -row.queued_ms,
                     row.job, row.place});
    }
  }
  by_start_ = lanes_.size() > kFewLanes &&
              std::ranges::all_of(lanes_, [](const Lane& lane) { return lane.weight_milli == 1000; });
  lane_of_owner_.assign(owners_.size(), kNoIndex);
  for (std::uint32_t lane = 0; lane < lanes_.size(); ++lane) lane_of_owner_[lanes_[lane].owner] = lane;
  for (Group& group : groups_) {
    group.with_head.clear();
    group.with_any.clear();
  }
  by_place_.clear();
  places_.resize(lanes_.size());
  if (queue_.mode != QueueMode::round_robin) {
    for (std::uint32_t lane = 0; lane < lanes_.size(); ++lane) {
      places_[lane].clear();
      for (std::uint32_t row = lanes_[lane].head; row != kNoIndex; row = rows_[row].next)
        places_[lane].push_back(rows_[row].place);
      std::ranges::sort(places_[lane]);
    }
  }
  list_all();
  ready_.assign(rows_.size(), kNever);
  const bool waits = !only_ || std::ranges::find(rows_, only_, &Row::job) != rows_.end();
  wanted_left_ = !waits ? 0 : only_ ? 1 : rows_.size();
  start_slots();
}

void Draw::arrive(const QueueCopy::Arrival& arrival) {
  const QueueCopy::Lane& lane = queue_.lanes[arrival.lane];
  Owner& owner = owners_[lane.owner];
  // Absence earns nothing (core.md 2).
  if (owner.waiting == 0 && owner.running == 0) owner.tag = std::max(owner.tag, virtual_time_);
  const JobId job{UINT64_MAX / 2 + rows_.size()};
  add_row(arrival.lane,
          {kNoIndex, arrival.lane, arrival.job_class, 0, 0, arrival.in_ms, arrival.in_ms, job, job});
  if (queue_.mode != QueueMode::round_robin) places_[arrival.lane].push_back(job);
  if (lanes_[arrival.lane].waiting <= kOwnJobsMax) list(arrival.lane);
}

void Draw::list_all() {
  sorted_ = false;
  for (std::uint32_t lane = 0; lane < lanes_.size(); ++lane) list(lane);
  for (Group& group : groups_) {
    group.with_head.sort();
    group.with_any.sort();
  }
  by_place_.sort();
  sorted_ = true;
}

void Draw::add(Listing& listing, const Listed& entry) const {
  if (sorted_) {
    listing.add(entry);
  } else {
    listing.add_unsorted(entry);
  }
}

void Draw::unlist(Lane& lane) {
  for (std::uint32_t i = 0; i < lane.listed_count; ++i) {
    const auto& [job, job_class] = lane.listed[i];
    if (queue_.mode != QueueMode::round_robin) {
      by_place_.remove({lane.key, job, 0});
      continue;
    }
    Group& group = groups_[group_of_[job_class]];
    const Listed entry{lane.key + run_weight_[job_class], job, 0};
    if (i == 0) group.with_head.remove(entry);
    group.with_any.remove(entry);
  }
  lane.listed_count = 0;
}

void Draw::list(std::uint32_t index) {
  Lane& lane = lanes_[index];
  unlist(lane);
  if (lane.head == kNoIndex || lane.instructor) return;
  if (queue_.mode != QueueMode::round_robin) {
    lane.key = static_cast<std::int64_t>(queue_.lanes[index].level);
    lane.listed[lane.listed_count++].first = places_[index][lane.place];
    return add(by_place_, {lane.key, lane.listed[0].first, index});
  }
  if (!by_start_) return;
  lane.key = owners_[lane.owner].tag;
  std::uint32_t seen = 0;
  for (std::uint32_t row = lane.head; row != kNoIndex && seen < kOwnJobsMax; row = rows_[row].next, ++seen) {
    const std::uint32_t job_class = rows_[row].job_class;
    const std::span<const std::pair<JobId, std::uint32_t>> before(lane.listed.data(), lane.listed_count);
    // Of several jobs of a class only the first one may take the turn.
    if (std::ranges::any_of(before, [&](const auto& other) { return other.second == job_class; })) continue;
    const Listed entry{lane.key + run_weight_[job_class], rows_[row].job, index};
    Group& group = groups_[group_of_[job_class]];
    if (seen == 0) add(group.with_head, entry);
    add(group.with_any, entry);
    lane.listed[lane.listed_count++] = {entry.job, job_class};
  }
}

bool Draw::is_over() const { return wanted_left_ == 0; }

std::int64_t Draw::next_time() const {
  std::int64_t time = !idle_.empty() ? wake_ : kNever;
  if (!idle_.empty() && next_arrival_ < queue_.arrivals.size())
    time = std::min(time, queue_.arrivals[next_arrival_].in_ms);
  return std::min(time, first_end_);
}

void Draw::free_slots() {
  std::int64_t first_end = kNever;
  for (std::uint32_t i = 0; i < busy_until_.size(); ++i) {
    if (busy_until_[i] > now_) {
      first_end = std::min(first_end, busy_until_[i]);
      continue;
    }
    Slot& slot = slots_[i];
    busy_until_[i] = kNever;
    slot.idle_since = now_;
    idle_.insert(std::ranges::lower_bound(idle_, i), i);
    if (slot.owner == kNoIndex) continue;
    Owner& owner = owners_[slot.owner];
    if (owner.running > 0) --owner.running;
    owner.gpu_left_ms -= slot.drawn_ms;
    const std::int64_t more = slot.drawn_ms - slot.charge_ms;
    owner.tag += more * 1000 / queue_.owners[slot.owner].weight_milli;
    const std::uint32_t lane = lane_of_owner_[slot.owner];
    if (more != 0 && queue_.mode == QueueMode::round_robin && lane != kNoIndex) list(lane);
    slot.owner = kNoIndex;
  }
  first_end_ = first_end;
}

void Draw::run(std::uint64_t seed) {
  start(seed);
  while (!is_over()) {
    while (next_arrival_ < queue_.arrivals.size() && queue_.arrivals[next_arrival_].in_ms <= now_)
      arrive(queue_.arrivals[next_arrival_++]);
    wake_ = kNever;
    while (!idle_.empty() && waiting_ > 0 && !is_over() && pick()) {
    }
    if (is_over()) return;
    const std::int64_t time = next_time();
    if (time >= kNever) return;
    now_ = std::max(time, now_ + (time <= now_ ? 1 : 0));
    free_slots();
  }
}

/// Who starts takes its lane's first place, but from the instructor's list its own.
void Draw::leave_place(const Row& row, bool moved) {
  std::vector<JobId>& places = places_[row.lane];
  std::uint32_t& first = lanes_[row.lane].place;
  const auto own = std::find(places.begin() + first, places.end(), row.place);
  if (moved && own != places.end()) {
    places.erase(own);
  } else {
    ++first;
  }
}

void Draw::grant(std::uint32_t index, std::uint32_t before, std::uint32_t slot_index, bool moved) {
  Row& row = rows_[index];
  Lane& lane = lanes_[row.lane];
  (before == kNoIndex ? lane.head : rows_[before].next) = row.next;
  if (lane.tail == index) lane.tail = before;
  --lane.waiting;
  --waiting_;
  if (queue_.mode != QueueMode::round_robin) leave_place(row, moved);
  see_wants(lane);
  const QueueCopy::Class& job_class = queue_.classes[row.job_class];
  --wanting_[job_class.models];
  const std::uint32_t owner_index = queue_.lanes[row.lane].owner;
  Owner& owner = owners_[owner_index];
  --owner.waiting;
  ++owner.running;
  Slot& slot = slots_[slot_index];
  const std::uint32_t speed = queue_.slots[slot_index].speed_milli;
  const std::int64_t load = holds(slot.models, job_class.models) ? 0 : job_class.load_ms;
  std::erase(idle_, slot_index);
  slot.models = job_class.models;
  slot.drawn_ms = load + draw_run(job_class, speed);
  slot.charge_ms = load + job_class.expected_ms * 1000 / speed;
  slot.owner = owner_index;
  slot.expected_end = now_ + slot.charge_ms;
  const std::int64_t ready = now_ + slot.drawn_ms;
  busy_until_[slot_index] = ready;
  first_end_ = std::min(first_end_, ready);
  const QueueCopy::Owner& facts = queue_.owners[owner_index];
  if (facts.participant == ParticipantId{}) {
    slot.charge_ms = slot.drawn_ms;  // costs nothing, before and after
    slot.expected_end = now_;
  } else {
    virtual_time_ = std::max(virtual_time_, owner.tag);
    owner.tag += slot.charge_ms * 1000 / facts.weight_milli;
  }
  list(row.lane);
  if (index >= ready_.size()) return;  // an arrival
  ready_[index] = ready;
  ExpectedStart& start = started_.emplace_back(index, slot_index, now_);
  if (row.awaits_now || row.awaits == slot_index) start.awaits = row.awaits;
  if (!only_ || row.job == only_) --wanted_left_;
}

}  // namespace atelier::core
