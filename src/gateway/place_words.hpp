// SPDX-License-Identifier: MIT
#pragma once
// Where a job stands, in words: why it waits and what made that worse (people.md, messages 2 to 12, 19, 22,
// 26 and 27), and a code for programs. Of several reasons the most specific one that holds. For every way in
// which people are told of it. Pure; on the one thread.

#include <cstdint>
#include <string>
#include <string_view>

#include "workshop/outlook.hpp"

namespace atelier::gateway {

/// [early, late] as "about 3-4 min", in the steps that people are shown.
[[nodiscard]] std::string about(std::int64_t early_ms, std::int64_t late_ms);
/// To 1 min below 10 min, 5 min below 1 h, else 15 min.
[[nodiscard]] std::int64_t step_of(std::int64_t ms);

struct Words {
  std::string_view code;  // of a fixed list, which stays as it is: "paused"; empty if there is nothing to say
  std::string sentence;
};

/// What is there outlives it.
struct PlaceWords {
  const core::Core& core;
  const core::JobFacts& job;
  const workshop::StandingsView* view = nullptr;
  const workshop::Standing* standing = nullptr;  // of the view; null: it is not in it
  std::int64_t since_ms = 0;                     // the view's time
  const workshop::Setback* setback = nullptr;    // null: no worker has failed it

  [[nodiscard]] Words reason() const;
  /// Empty if nothing got worse.
  [[nodiscard]] Words cause() const;

 private:
  /// Why it cannot start however long the queue is; empty if it can.
  [[nodiscard]] Words obstacle() const;
  /// The same of what no worker can or will run now.
  [[nodiscard]] Words obstacle_of_kind() const;
  [[nodiscard]] std::string next() const;
  [[nodiscard]] Words order() const;
  [[nodiscard]] Words order_among_others() const;
  [[nodiscard]] std::string what(const workshop::Worse& worse) const;
  [[nodiscard]] std::string worker_away(const workshop::Worse& worse) const;
  [[nodiscard]] std::string worker_failed() const;
  [[nodiscard]] std::string name_of(WorkerId worker) const;
};

}  // namespace atelier::gateway
