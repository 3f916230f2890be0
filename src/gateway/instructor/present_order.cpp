// SPDX-License-Identifier: MIT
#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "gateway/instructor/api_views.hpp"

namespace atelier::gateway {
namespace {

bool waits(const core::JobFacts& job) {
  return (job.state == core::JobState::queued || job.state == core::JobState::held) && !job.cancel_requested;
}

/// Before whom a job of a lane comes: its place in the common order.
using Key = std::tuple<std::uint64_t, JobId>;

}  // namespace

std::vector<JobId> present_order(const core::Core& core) {
  const core::WorkshopFacts& workshop = core.workshop();
  std::vector<JobId> order;
  std::set<JobId> listed;
  for (const JobId id : workshop.moved) {
    const core::JobFacts* job = core.job(id);
    if (job == nullptr || !waits(*job)) continue;
    order.push_back(id);
    listed.insert(id);
  }
  // Which job takes which of its lane's places is the lane's own order (core.md 4). A held one keeps its own.
  using LaneName = std::pair<std::uint64_t, ParticipantId>;  // the level, in priority mode
  const auto lane_of = [&](const core::JobFacts& job) {
    const bool by_level = workshop.mode == core::QueueMode::priority;
    return LaneName{by_level ? static_cast<std::uint64_t>(job.submitted.priority) + 1 : 1,
                    job.submitted.participant};
  };
  std::map<LaneName, std::vector<JobId>> places;
  std::set<ParticipantId> owners;
  core.each_job([&](const core::JobFacts& job) {
    if (!waits(job) || listed.contains(job.job)) return;
    owners.insert(job.submitted.participant);
    if (job.state == core::JobState::queued) places[lane_of(job)].push_back(job.common_place());
  });
  for (auto& [lane, of_lane] : places) std::ranges::sort(of_lane);
  std::vector<std::pair<Key, JobId>> rest;
  std::map<LaneName, std::size_t> taken;
  for (const ParticipantId owner : owners) {
    core.each_job_of(owner, [&](const core::JobFacts& job) {
      if (!waits(job) || listed.contains(job.job)) return;
      const LaneName lane = lane_of(job);
      const bool held = job.state == core::JobState::held;
      const std::size_t nth = held ? taken[lane] : taken[lane]++;
      std::uint64_t first = owner ? lane.first : 0;  // the instructor's lane goes before all others
      if (owner && workshop.mode == core::QueueMode::round_robin) {
        constexpr std::uint64_t kRun = 20'000;
        const core::ParticipantFacts& facts = *core.participant(owner);
        first += facts.used_ms + (nth + 1) * kRun * 1000 / std::max<std::uint32_t>(facts.weight_milli, 1);
      }
      rest.push_back({Key{first, held ? job.common_place() : places[lane][nth]}, job.job});
    });
  }
  std::ranges::sort(rest);
  for (const auto& [key, job] : rest) order.push_back(job);
  return order;
}

}  // namespace atelier::gateway
