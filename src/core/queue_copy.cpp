// SPDX-License-Identifier: MIT
#include "core/queue_copy.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "core/policy.hpp"

namespace atelier::core {
namespace {

constexpr std::size_t kSetsMax = 128;  // of models, told apart: the table of who holds whom is square
constexpr std::uint32_t kNoClass = ~std::uint32_t{0};
constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();
constexpr std::int64_t kAwayMs = 120'000;  // until a worker that takes no jobs does so again: a guess

/// The first of `wanted` that is not offered, and how many they are; both sorted.
std::pair<std::string, std::size_t> missing_of(const std::vector<std::string>& wanted,
                                               const std::vector<std::string>& offered) {
  std::vector<std::string> missing;
  std::ranges::set_difference(wanted, offered, std::back_inserter(missing));
  return {missing.empty() ? std::string{} : missing.front(), missing.size()};
}

/// Whether a connected worker has what the kind misses.
bool is_anywhere(const Core::State& state, const QueueCopy::Kind& kind) {
  const auto has = [&](const SlotFacts& slot) {
    const auto known = state.capabilities.find(slot.capability);
    if (known == state.capabilities.end()) return false;
    const Capability& capability = known->second.capability;
    return std::ranges::binary_search(
        kind.obstacle == Obstacle::missing_node ? capability.classes : capability.models, kind.missing);
  };
  return std::ranges::any_of(state.workers, [&](const auto& entry) {
    const WorkerFacts& worker = entry.second;
    if (!worker.link) return false;
    return kind.obstacle == Obstacle::missing_tag ? std::ranges::binary_search(worker.tags, kind.missing)
                                                  : std::ranges::any_of(worker.slots, has);
  });
}

/// What keeps the job from the worker that lacks least: the kind names that one if another has the thing.
QueueCopy::Kind find_missing(const Core::State& state, const Needs& needs) {
  QueueCopy::Kind kind;
  std::size_t least = kNoLimit;
  for (const auto& [id, worker] : state.workers) {
    if (!worker.link || (!needs.pinned_worker.empty() && needs.pinned_worker != worker.name)) continue;
    const auto [tag, tags] = missing_of(needs.tags, worker.tags);
    for (const SlotFacts& slot : worker.slots) {
      const auto known = state.capabilities.find(slot.capability);
      if (known == state.capabilities.end()) {  // its ComfyUI has not answered yet
        if (tags > 0 || kind.obstacle == Obstacle::engine_away) continue;
        kind = {Obstacle::engine_away, id, 1, {}};
        least = 0;
        continue;
      }
      const auto [node, nodes] = missing_of(needs.classes, known->second.capability.classes);
      const auto [model, models] = missing_of(needs.models, known->second.capability.models);
      if (tags + nodes + models >= least) continue;
      least = tags + nodes + models;
      kind = nodes > 0    ? QueueCopy::Kind{Obstacle::missing_node, id, 1, node}
             : models > 0 ? QueueCopy::Kind{Obstacle::missing_model, id, 1, model}
                          : QueueCopy::Kind{Obstacle::missing_tag, id, 1, tag};
    }
  }
  if (kind.obstacle == Obstacle::none)
    kind.obstacle = needs.pinned_worker.empty() ? Obstacle::no_worker : Obstacle::pinned_away;
  if (!kind.missing.empty() && !is_anywhere(state, kind)) kind.worker = {};
  return kind;
}

QueueCopy::Kind find_obstacle(const Core::State& state, KindId id) {
  QueueCopy::Kind kind;
  bool connected = false;
  for (const auto& [worker_id, worker] : state.workers) {
    if (!worker.link) continue;
    connected = true;
    Obstacle least = Obstacle::none;
    for (const SlotFacts& slot : worker.slots) {
      if (!able_kind(state, id, worker, slot)) continue;
      const Obstacle obstacle = worker.draining                        ? Obstacle::worker_drains
                                : worker.paused                        ? Obstacle::worker_paused
                                : slot.state == SlotState::engine_lost ? Obstacle::engine_away
                                                                       : Obstacle::none;
      if (obstacle == Obstacle::none) return {};
      least = least == Obstacle::none ? obstacle : std::min(least, obstacle);
    }
    if (least == Obstacle::none) continue;
    if (kind.obstacle == Obstacle::none || least < kind.obstacle) {
      kind = {least, worker_id, 1, {}};
    } else if (least == kind.obstacle) {
      ++kind.workers;
    }
  }
  if (kind.obstacle != Obstacle::none) return kind;
  if (!connected) kind.obstacle = Obstacle::no_worker;
  return connected ? find_missing(state, state.waiting.needs(id)) : kind;
}

}  // namespace

struct QueueCopier::Impl {
  Impl(const Core::State& state, Time now, const Affinity& affinity, const PolicySettings& settings)
      : state_(state), settings_(settings) {
    copy_.now = now;
    copy_.mode = state.workshop.mode;
    copy_.paused = state.workshop.paused;
    copy_.newest = JobId{state.workshop.last_job};
    copy_.affinity = affinity;
    copy_.rows.reserve(state.waiting.size());
  }

  /// Lanes are others in another mode.
  [[nodiscard]] bool is_of_this_mode() const { return copy_.mode == state_.workshop.mode; }
  [[nodiscard]] std::unique_ptr<Impl> anew() const {
    return std::make_unique<Impl>(state_, copy_.now, copy_.affinity, settings_);
  }

  bool more(std::size_t rows) {
    const auto& lanes = state_.waiting.lanes();
    auto lane = lanes.begin();
    if (at_) {
      lane = lanes.lower_bound(at_->lane);
      if (lane != lanes.end() && lane->first == at_->lane) {
        if (!add_jobs(*lane, lane->second.order.upper_bound(at_->key), rows)) return true;
        ++lane;
      }
    }
    for (; lane != lanes.end(); ++lane) {
      if (!add_jobs(*lane, lane->second.order.begin(), rows)) return true;
    }
    return false;
  }

  QueueCopy finish() {
    add_slots();
    add_moved();
    add_arrivals();
    fill_owners();
    fill_tables();
    return std::move(copy_);
  }

 private:
  /// Sets beyond kSetsMax share the number 0, which is held by nobody.
  std::uint32_t models_of(const std::vector<std::string>& models) {
    const auto found = models_.find(models);
    if (found != models_.end()) return found->second;
    if (models_.size() == kSetsMax) return 0;
    const auto number = static_cast<std::uint32_t>(models_.size() + 1);
    models_.emplace(models, number);
    return number;
  }

  std::uint32_t class_of(JobClass job_class) {
    const auto [found, fresh] = classes_.emplace(job_class, static_cast<std::uint32_t>(copy_.classes.size()));
    if (!fresh) return found->second;
    const auto kind = kinds_.emplace(job_class.kind, static_cast<std::uint32_t>(kinds_.size())).first;
    add_class(job_class.signature, state_.waiting.needs(job_class.kind).models, kind->second);
    return found->second;
  }

  /// Its kind does not matter any more, and is not known after a restart.
  std::uint32_t class_of_running(const Submitted& job) {
    const auto [found, fresh] =
        running_classes_.emplace(job.signature, static_cast<std::uint32_t>(copy_.classes.size()));
    if (fresh) add_class(job.signature, job.models, 0);
    return found->second;
  }

  void add_class(std::uint64_t signature, const std::vector<std::string>& models, std::uint32_t kind) {
    const Estimates::Known& known = state_.estimates.of(signature);
    QueueCopy::Class entry;
    entry.models = models_of(models);
    entry.kind = kind;
    entry.expected_ms = static_cast<std::int64_t>(state_.estimates.run_ms(known, 1000));
    entry.load_ms = static_cast<std::int64_t>(state_.estimates.load_ms(known));
    entry.first_run = static_cast<std::uint32_t>(copy_.run_ms.size());
    state_.estimates.runs_like(known, copy_.run_ms);
    entry.runs = static_cast<std::uint32_t>(copy_.run_ms.size()) - entry.first_run;
    copy_.classes.push_back(entry);
  }

  std::uint32_t owner_of(ParticipantId id) {
    const auto [found, fresh] = owners_.emplace(id, static_cast<std::uint32_t>(owners_.size()));
    if (!fresh) return found->second;
    copy_.owners.emplace_back().participant = id;
    return found->second;
  }

  std::uint32_t lane_of(LaneId id) {
    const auto [found, fresh] = lanes_.emplace(id, static_cast<std::uint32_t>(lanes_.size()));
    if (fresh) {
      QueueCopy::Lane lane;
      lane.owner = owner_of(id.owner);
      lane.level = id.level;
      lane.first = static_cast<std::uint32_t>(copy_.rows.size());
      copy_.lanes.push_back(lane);
    }
    return found->second;
  }

  /// Milliseconds; none of what happened while the copy was made.
  [[nodiscard]] std::int64_t passed_since(Time then) const {
    return std::max<std::int64_t>((copy_.now - then).count(), 0);
  }

  /// From there to the lane's end, or to the last of the rows. False: rows are used up, at_ is the last one.
  bool add_jobs(const std::pair<const LaneId, Lane>& entry,
                std::map<LaneKey, const WaitingJob*>::const_iterator from, std::size_t& rows) {
    // A lane's jobs are mostly alike.
    JobClass last{};
    std::uint32_t last_index = kNoClass;
    for (auto it = from; it != entry.second.order.end(); ++it) {
      if (rows == 0) return false;
      --rows;
      const auto& [key, job] = *it;
      at_ = Reached{entry.first, key};
      const std::uint32_t index = lane_of(entry.first);  // only now: rows of a lane before it may still come
      const JobFacts& facts = *job->facts;
      QueueCopy::Row row;
      row.job = key.job;
      row.place = facts.common_place();
      const JobClass job_class = job->job_class();
      if (last_index == kNoClass || job_class != last) last_index = class_of(last = job_class);
      row.job_class = last_index;
      row.places = facts.passed_places;
      row.waited_ms = passed_since(facts.submitted_at);
      row.queued_ms = passed_since(facts.queued_since);
      row.passed_ms = static_cast<std::int64_t>(facts.passed_ms) +
                      (facts.passed_since ? passed_since(*facts.passed_since) : 0);
      copy_.rows.push_back(row);
      ++copy_.lanes[index].count;
    }
    return true;
  }

  void add_slots() {
    for (const auto& [id, worker] : state_.workers) {
      if (worker.link) add_slots_of(worker, 0);
      const bool engines = std::ranges::any_of(
          worker.slots, [](const SlotFacts& slot) { return slot.state != SlotState::engine_lost; });
      const Obstacle why = !worker.link      ? Obstacle::pinned_away
                           : worker.draining ? Obstacle::worker_drains
                           : worker.paused   ? Obstacle::worker_paused
                           : !engines        ? Obstacle::engine_away
                                             : Obstacle::none;
      if (why != Obstacle::none) copy_.away.push_back({id, why});
    }
    if (std::ranges::all_of(copy_.slots, &QueueCopy::Slot::leaves)) {
      copy_.usable = false;
      copy_.slots.clear();
      slots_.clear();
      for (const auto& [id, worker] : state_.workers) add_slots_of(worker, kAwayMs);
    }
    if (copy_.slots.empty()) {  // nobody has ever joined: one that can do everything, for the order
      QueueCopy::Slot& slot = copy_.slots.emplace_back();
      slot.models = models_of({});
    }
  }

  void add_moved() {
    if (state_.workshop.moved.empty()) return;
    const std::set<JobId> moved(state_.workshop.moved.begin(), state_.workshop.moved.end());
    const std::vector<JobId>& came_along = state_.workshop.moved_along;
    const std::set<JobId> along(came_along.begin(), came_along.end());
    std::map<JobId, std::uint32_t> rows;  // the last of each
    for (std::uint32_t i = 0; i < copy_.rows.size(); ++i) {
      if (moved.contains(copy_.rows[i].job)) rows.insert_or_assign(copy_.rows[i].job, i);
    }
    for (const JobId job : state_.workshop.moved) {
      const auto row = rows.find(job);
      if (row == rows.end()) continue;
      copy_.moved.push_back(row->second);
      copy_.moved_along.push_back(along.contains(job) ? 1 : 0);
    }
  }

  void add_slots_of(const WorkerFacts& worker, std::int64_t away_ms) {
    for (const SlotFacts& facts : worker.slots) {
      if (facts.state == SlotState::engine_lost && away_ms == 0) continue;
      QueueCopy::Slot slot;
      slot.slot = SlotId{worker.worker, facts.index};
      slot.speed_milli = std::max<std::uint32_t>(worker.speed_milli, 1);
      slot.away_ms = away_ms;
      slot.models = models_of(state_.models_in(slot.slot));
      const auto job = state_.jobs.find(facts.job);
      const bool busy =
          facts.state == SlotState::busy && job != state_.jobs.end() && job->second.lease.has_value();
      slot.leaves = away_ms == 0 && (worker.draining || worker.paused);
      if (slot.leaves && !busy) continue;  // it is nothing but the time of its job
      if (busy) {
        const JobFacts& running = job->second;
        slot.job = facts.job;
        slot.job_class = class_of_running(running.submitted);
        slot.owner = owner_of(running.submitted.participant);
        slot.loads = running.lease->loads;
        slot.elapsed_ms = passed_since(running.lease->since);
        slot.charge_ms = static_cast<std::int64_t>(running.lease->charge_ms);
        if (!running.submitted.models.empty()) slot.models = models_of(running.submitted.models);
      } else {
        slot.idle_for_ms = passed_since(facts.idle_since);
      }
      slots_.push_back({&worker, &facts});
      copy_.slots.push_back(slot);
    }
  }

  void add_arrivals() {
    // The nearest past comes first, in the mirror.
    for (auto seen = state_.arrivals.rbegin(); seen != state_.arrivals.rend(); ++seen) {
      const std::int64_t ago = (copy_.now - seen->time).count();
      if (ago > kArrivalsKept.count()) break;
      if (ago <= 0) continue;
      copy_.arrivals.push_back({ago, lane_of(seen->lane), class_of(seen->job_class)});
    }
  }

  /// At last: what somebody has running must fit the slots.
  void fill_owners() {
    copy_.virtual_time = static_cast<std::int64_t>(state_.workshop.virtual_time);
    std::map<ParticipantId, std::uint64_t> charged;  // for what they have running
    for (const auto& [id, job] : state_.granted) {
      if (!job->lease->computed) charged[job->submitted.participant] += job->lease->charge_ms;
    }
    for (QueueCopy::Owner& owner : copy_.owners) {
      const ParticipantId id = owner.participant;
      owner.tag = static_cast<std::int64_t>(state_.start_tag(id));
      if (const auto running = charged.find(id); running != charged.end()) owner.used_ms = running->second;
      if (const auto facts = state_.participants.find(id); facts != state_.participants.end()) {
        owner.used_ms += facts->second.used_ms;
        owner.weight_milli = std::max<std::uint32_t>(facts->second.weight_milli, 1);
        owner.running_max = facts->second.running_max;
        owner.held = facts->second.held || (state_.workshop.everyone_held && id);
        if (owner.running_max == 0 && id) owner.running_max = settings_.running_per_participant_max;
        owner.limited = facts->second.allowance_ms > 0;
        owner.gpu_left_ms = static_cast<std::int64_t>(facts->second.allowance_ms) -
                            static_cast<std::int64_t>(facts->second.used_ms);
      }
      if (const auto index = state_.owners.find(id); index != state_.owners.end())
        owner.running = index->second.occupying;
    }
  }

  void fill_tables() {
    copy_.kinds.resize(kinds_.size());
    copy_.able.assign(kinds_.size() * copy_.slots.size(), slots_.empty() ? 1 : 0);
    for (const auto& [kind, index] : kinds_) {
      bool can_run = false;
      for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
        const bool able =
            !copy_.slots[slot].leaves && able_kind(state_, kind, *slots_[slot].first, *slots_[slot].second);
        copy_.able[index * slots_.size() + slot] = able ? 1 : 0;
        can_run = can_run || able;
      }
      if (!can_run || !copy_.usable) copy_.kinds[index] = find_obstacle(state_, kind);
    }
    copy_.model_sets = models_.size() + 1;
    copy_.holds.assign(copy_.model_sets * copy_.model_sets, 0);
    for (const auto& [held, held_index] : models_) {
      for (const auto& [wanted, wanted_index] : models_)
        copy_.holds[held_index * copy_.model_sets + wanted_index] =
            std::ranges::includes(held, wanted) ? 1 : 0;
    }
  }

  struct Reached {
    LaneId lane;
    LaneKey key;
  };

  const Core::State& state_;
  const PolicySettings settings_;
  std::optional<Reached> at_;
  QueueCopy copy_;
  std::map<std::vector<std::string>, std::uint32_t> models_;
  std::map<JobClass, std::uint32_t> classes_;
  std::map<std::uint64_t, std::uint32_t> running_classes_;
  std::map<KindId, std::uint32_t> kinds_;
  std::map<ParticipantId, std::uint32_t> owners_;
  std::map<LaneId, std::uint32_t> lanes_;
  std::vector<std::pair<const WorkerFacts*, const SlotFacts*>> slots_;
};

QueueCopier::QueueCopier(const Core& core, Time now, const Affinity& affinity, const PolicySettings& settings)
    : impl_(std::make_unique<Impl>(*core.state_, now, affinity, settings)) {}
QueueCopier::~QueueCopier() = default;

bool QueueCopier::more(std::size_t rows) {
  if (impl_->is_of_this_mode()) return impl_->more(rows);
  impl_ = impl_->anew();  // and to its end, or changes again and again would never let it end
  return impl_->more(kNoLimit);
}

QueueCopy QueueCopier::finish() { return impl_->finish(); }

QueueCopy Core::copy_queue(Time now, const Affinity& affinity, const PolicySettings& settings) const {
  QueueCopier copier(*this, now, affinity, settings);
  [[maybe_unused]] const bool more = copier.more(kNoLimit);
  return copier.finish();
}

}  // namespace atelier::core
