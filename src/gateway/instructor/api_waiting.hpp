// SPDX-License-Identifier: MIT
#pragma once
// When each job that waits will be ready, why it waits and why its place got worse, as the API tells it; and
// what the readers of /api/v1/events were told of that, so that they hear what is new. One thread.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/runtime.hpp"
#include "workshop/outlook.hpp"
#include "workshop/workshop.hpp"

namespace atelier::gateway {

struct ApiWaitingLimits {
  std::size_t jobs_max = 10'000;      // that have rows at all
  std::size_t rows_max = 500;         // in one `waiting`; the rest follows in the next ones
  std::size_t looked_at_max = 2'500;  // jobs, each time
  std::size_t first_max = 250;        // that have their turn next: looked at each time
  milliseconds pause{1'000};          // between two `waiting`
};

class ApiWaiting {
 public:
  struct Row {
    ParticipantId owner;
    std::string text;           // a JSON object
    std::uint64_t told_at = 0;  // the sequence at which it was told
  };

  ApiWaiting(Runtime& runtime, const workshop::Workshop& workshop, ApiWaitingLimits limits = {})
      : runtime_(runtime), workshop_(workshop), limits_(limits) {}
  /// Until then no job's time is known.
  void set_outlook(const workshop::Outlook& outlook) { outlook_ = &outlook; }

  /// `"ready_at":{"early":..,"late":..},"waits_because":{..},"worse_because":{..}`; null is what is unknown,
  /// and all of it of a job that does not wait.
  [[nodiscard]] std::string members_of(const core::JobFacts& job) const;

  // ---- what readers were told

  /// Makes the rows that there are none of yet: of nobody's interest but whoever's snapshot comes next.
  [[nodiscard]] awaitable<void> fill();
  /// The row that was told last, or else a new one.
  [[nodiscard]] std::string row_of(const core::JobFacts& job) const;
  /// False: nobody has read for a while.
  [[nodiscard]] bool knows_what_was_told() const { return filled_; }
  /// Something happened that may change rows.
  void note() { stale_ = true; }
  /// It does not wait any more.
  void forget(JobId job) { rows_.erase(job); }
  void forget_all();
  /// When it may look next; it may be long over.
  [[nodiscard]] bool due() const;
  /// Looks what is new, in pieces. Call when it is due.
  [[nodiscard]] awaitable<void> look();
  /// What is new since the last time; it counts as told at `sequence`.
  [[nodiscard]] std::vector<Row> take(std::uint64_t sequence);
  /// What was told at `sequence` or later.
  [[nodiscard]] std::vector<Row> told_since(std::uint64_t sequence) const;

 private:
  using View = std::shared_ptr<const workshop::StandingsView>;
  [[nodiscard]] View view() const { return outlook_ == nullptr ? nullptr : outlook_->view(); }
  [[nodiscard]] std::string print(const core::JobFacts& job) const;
  /// All jobs that wait, as they will start; then those that will not.
  [[nodiscard]] std::deque<JobId> all_waiting() const;
  void look_at(JobId job);

  Runtime& runtime_;
  const workshop::Workshop& workshop_;
  ApiWaitingLimits limits_;
  const workshop::Outlook* outlook_ = nullptr;
  std::map<JobId, Row> rows_;
  std::vector<JobId> new_;  // rows that nobody was told yet
  std::deque<JobId> to_look_at_;
  bool filled_ = false, stale_ = false;
  View seen_;  // when the last round began
  Instant looked_;
};

}  // namespace atelier::gateway
