// SPDX-License-Identifier: MIT
#pragma once
// Summaries of ended jobs, newest 1,000 per participant and 10,000 in all, as ComfyUI keeps them (design.md
// 7). A second fold over the same entries as core. One thread.

#include <cstddef>
#include <deque>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "core/types/effects.hpp"

namespace atelier::workshop {

struct HistoryLimits {
  std::size_t per_participant_max = 1'000;
  std::size_t in_all_max = 10'000;
};

class History {
 public:
  explicit History(HistoryLimits limits = {}) : limits_(limits) {}

  void apply(std::span<const core::Effect> effects);
  void import_summary(const core::Summary& summary);

  /// By the client's id: the newest job that ended with it. References hold until the next apply.
  [[nodiscard]] const core::Summary* find(ParticipantId participant, std::string_view prompt_id) const;
  [[nodiscard]] const core::Summary* find(JobId job) const;
  /// In ComfyUI's order: a job that reuses a prompt_id keeps the old one's place; else by end, oldest first.
  [[nodiscard]] std::vector<const core::Summary*> of(ParticipantId participant) const;
  [[nodiscard]] std::size_t size() const { return summaries_.size(); }
  /// For a checkpoint, by place.
  [[nodiscard]] std::vector<const core::Summary*> all() const;

 private:
  struct Owner {
    std::map<std::string, std::uint64_t, std::less<>> place_of;  // prompt_id -> place
    std::map<std::uint64_t, JobId> places;                       // place -> job
  };
  void add(core::Summary summary);
  void remove(JobId job);

  HistoryLimits limits_;
  std::uint64_t next_place_ = 0;
  std::map<JobId, core::Summary> summaries_;
  std::map<ParticipantId, Owner> owners_;
  std::set<std::pair<std::uint64_t, JobId>> by_place_;
};

}  // namespace atelier::workshop
