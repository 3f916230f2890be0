// SPDX-License-Identifier: MIT
#include "workshop/standings.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "workshop/changes.hpp"

namespace atelier::workshop {
namespace {

/// Jobs that the same slots can run, and what has gone before them so far.
class Rivals {
 public:
  explicit Rivals(std::span<const std::uint8_t> able) : able_(able) {}
  [[nodiscard]] bool may_take(std::uint32_t slot) const { return able_[slot] != 0; }

  struct Job {
    ParticipantId owner;
    core::PriorityLevel level = core::PriorityLevel::instructor;
    JobId place;  // what the order goes by
    std::uint64_t used_ms = 0;
    bool listed = false;
  };
  [[nodiscard]] Ahead ahead_of(const Job& job) const {
    Ahead ahead;
    const auto own = people_.find(job.owner);
    if (own != people_.end()) ahead.own = own->second.jobs;
    (job.owner ? ahead.instructor : ahead.own) += instructor_;
    ahead.listed = listed_;
    if (own != people_.end()) ahead.listed -= own->second.listed;
    ahead.others = others_;
    ahead.people = static_cast<std::uint32_t>(used_.size());
    if (own != people_.end() && own->second.others > 0) {
      ahead.others -= own->second.others;
      --ahead.people;
    }
    for (std::size_t level = 0; level < places_.size(); ++level) {
      const bool own_places = own != people_.end();
      const std::vector<JobId>* const mine = own_places ? &own->second.places[level] : nullptr;
      if (level < static_cast<std::size_t>(job.level)) {
        ahead.higher += size_of(places_[level]) - (mine == nullptr ? 0 : size_of(*mine));
      } else if (level == static_cast<std::size_t>(job.level)) {
        ahead.before = lower(places_[level], job.place) - (mine == nullptr ? 0 : lower(*mine, job.place));
      }
    }
    ahead.less_used =
        static_cast<std::uint32_t>(std::ranges::lower_bound(used_, job.used_ms) - used_.begin());
    return ahead;
  }
  void add(const Job& job) {
    if (!job.owner) {
      ++instructor_;
      return;
    }
    Person& person = people_[job.owner];
    ++person.jobs;
    if (job.listed) {
      ++listed_;
      ++person.listed;
      return;
    }
    if (person.others++ == 0) used_.insert(std::ranges::upper_bound(used_, job.used_ms), job.used_ms);
    ++others_;
    for (auto* const places : {&places_, &person.places}) {
      std::vector<JobId>& of_level = (*places)[static_cast<std::size_t>(job.level)];
      of_level.insert(std::ranges::upper_bound(of_level, job.place), job.place);
    }
  }

 private:
  using Places = std::array<std::vector<JobId>, 4>;  // by level, sorted
  struct Person {
    std::uint32_t jobs = 0, listed = 0, others = 0;
    Places places;
  };
  static std::uint32_t size_of(const std::vector<JobId>& places) {
    return static_cast<std::uint32_t>(places.size());
  }
  static std::uint32_t lower(const std::vector<JobId>& places, JobId place) {
    return static_cast<std::uint32_t>(std::ranges::lower_bound(places, place) - places.begin());
  }

  std::span<const std::uint8_t> able_;  // of each slot
  std::map<ParticipantId, Person> people_;
  Places places_;
  std::vector<std::uint64_t> used_;  // by those whose others' jobs there are, sorted
  std::uint32_t instructor_ = 0, listed_ = 0, others_ = 0;
};

/// Rivals by the copy's kinds.
class RivalsOfKinds {
 public:
  explicit RivalsOfKinds(const core::QueueCopy& queue) {
    std::map<std::vector<std::uint8_t>, std::size_t> known;
    const std::size_t slots = queue.slots.size();
    for (std::size_t kind = 0; kind < queue.kinds.size(); ++kind) {
      const std::span<const std::uint8_t> able(queue.able.data() + kind * slots, slots);
      const auto [found, fresh] = known.try_emplace({able.begin(), able.end()}, rivals_.size());
      if (fresh) rivals_.emplace_back(able);
      of_kind_.push_back(found->second);
    }
  }
  [[nodiscard]] Ahead ahead_of(std::uint32_t kind, const Rivals::Job& job) const {
    return rivals_[of_kind_[kind]].ahead_of(job);
  }
  void add(std::uint32_t slot, const Rivals::Job& job) {
    for (Rivals& rivals : rivals_) {
      if (rivals.may_take(slot)) rivals.add(job);
    }
  }

 private:
  std::vector<Rivals> rivals_;
  std::vector<std::size_t> of_kind_;
};

/// Of each row, its lane.
std::vector<std::uint32_t> lanes_of_rows(const core::QueueCopy& queue) {
  std::vector<std::uint32_t> lanes(queue.rows.size());
  for (std::uint32_t i = 0; i < queue.lanes.size(); ++i) {
    const core::QueueCopy::Lane& lane = queue.lanes[i];
    std::fill_n(lanes.begin() + lane.first, lane.count, i);
  }
  return lanes;
}

/// Where each job starts, and who takes the slots that it could have.
void explain_starts(StandingsView& view, const core::QueueCopy& queue,
                    const std::vector<core::ExpectedStart>& starts) {
  std::map<std::uint32_t, bool> listed;  // rows; true: moved itself
  for (std::size_t i = 0; i < queue.moved.size(); ++i) listed[queue.moved[i]] = queue.moved_along[i] == 0;
  const std::vector<std::uint32_t> lanes = lanes_of_rows(queue);
  RivalsOfKinds rivals(queue);
  const bool fair = queue.mode == core::QueueMode::round_robin;
  for (const core::ExpectedStart& start : starts) {
    const core::QueueCopy::Row& row = queue.rows[start.row];
    const core::QueueCopy::Lane& lane = queue.lanes[lanes[start.row]];
    const core::QueueCopy::Owner& owner = queue.owners[lane.owner];
    const auto entry = listed.find(start.row);
    const Rivals::Job rival{owner.participant, lane.level, fair ? row.job : row.place, owner.used_ms,
                            entry != listed.end()};
    Standing& job = *std::ranges::lower_bound(view.jobs, row.job, {}, &Standing::job);
    const std::uint32_t kind = queue.classes[row.job_class].kind;
    job.ahead = rivals.ahead_of(kind, rival);
    job.listed = entry != listed.end() && entry->second;
    if (start.awaits) job.awaits = queue.slots[*start.awaits].slot.worker;
    job.starts_on = queue.slots[start.slot].slot.worker;
    job.starts_in = start.after_ms;
    rivals.add(start.slot, rival);
  }
}

/// What has changed for the worse is for each job found at its place.
void place_jobs(StandingsView& view, Changes* changes) {
  std::map<ParticipantId, std::uint32_t> seen;  // jobs of each owner so far
  for (std::uint32_t i = 0; i < view.order.size(); ++i) {
    Standing& job = *std::ranges::lower_bound(view.jobs, view.order[i], {}, &Standing::job);
    job.place = i + 1;
    job.own_ahead = seen[job.owner]++;
    job.jobs_ahead = i - job.own_ahead;
    const bool after_instructor = job.owner != ParticipantId{} && seen.contains(ParticipantId{});
    job.people_ahead = static_cast<std::uint32_t>(seen.size()) - 1 - after_instructor;
    if (changes != nullptr) changes->compare_place(job);
  }
}

/// What the next view compares itself with.
void remember_queue(StandingsView& view, const core::QueueCopy& queue) {
  view.at = queue.now;
  view.mode = queue.mode;
  view.newest = queue.newest;
  view.kinds = queue.kinds;
  for (const core::QueueCopy::Slot& slot : queue.slots) {
    if (queue.usable && !slot.leaves) view.workers.push_back(slot.slot.worker);
  }
  std::ranges::sort(view.workers);
  for (const core::QueueCopy::Owner& owner : queue.owners)
    view.shares[owner.participant] = {owner.weight_milli, owner.running_max};
}

}  // namespace

const Standing* StandingsView::find(JobId job) const {
  const auto found = std::ranges::lower_bound(jobs, job, {}, &Standing::job);
  return found == jobs.end() || found->job != job ? nullptr : &*found;
}

StandingsView make_standings(const core::QueueCopy& queue, const core::EtaSpread& spread,
                             const StandingsView* before, std::uint64_t seed) {
  StandingsView view;
  remember_queue(view, queue);
  for (const core::QueueCopy::Lane& lane : queue.lanes) {
    for (std::uint32_t i = lane.first; i < lane.first + lane.count; ++i) {
      const core::QueueCopy::Owner& owner = queue.owners[lane.owner];
      Standing& job = view.jobs.emplace_back();
      job.job = queue.rows[i].job;
      job.owner = owner.participant;
      job.level = lane.level;
      job.kind = queue.classes[queue.rows[i].job_class].kind;
      if (owner.running_max > 0 && owner.running >= owner.running_max) job.running_max = owner.running_max;
    }
  }
  for (const core::QueueCopy::Slot& slot : queue.slots) {
    if (!slot.job) continue;
    Standing& job = view.jobs.emplace_back();
    job.job = slot.job;
    job.owner = queue.owners[slot.owner].participant;
  }
  // A copy made in pieces may have a job twice: it runs by now, or has another place.
  std::set<JobId> told;
  for (const core::QueueCopy::Slot& slot : queue.slots) told.insert(slot.job);
  std::ranges::sort(view.jobs, {}, &Standing::job);
  const auto repeated = std::ranges::unique(view.jobs, {}, &Standing::job);
  view.jobs.erase(repeated.begin(), repeated.end());
  std::vector<core::ExpectedStart> starts = core::expected_starts(queue);
  std::erase_if(starts, [&](const core::ExpectedStart& start) {
    return !told.insert(queue.rows[start.row].job).second;
  });
  for (const core::ExpectedStart& start : starts) view.order.push_back(queue.rows[start.row].job);
  explain_starts(view, queue, starts);
  std::optional<Changes> changes;
  if (before != nullptr) changes.emplace(*before, view, queue);
  place_jobs(view, changes ? &*changes : nullptr);
  if (!queue.paused && queue.usable) {
    for (const core::JobForecast& foretold : core::forecast(queue, {.seed = seed, .only = {}})) {
      Standing& job = *std::ranges::lower_bound(view.jobs, foretold.job, {}, &Standing::job);
      if (foretold.ready_ms.empty() || job.ready) continue;
      const std::int64_t middle = foretold.middle_ms();
      job.middle = middle;
      job.ready = {middle, static_cast<std::int64_t>(static_cast<double>(middle) * spread.stretch(middle))};
    }
  }
  for (Standing& job : view.jobs) {
    if (changes) changes->compare_time(job);
    if (job.place > 0 && job.ready && !job.told)
      job.told = {view.at.ms + job.ready->early, view.at.ms + job.ready->late};
  }
  return view;
}

}  // namespace atelier::workshop
