// SPDX-License-Identifier: MIT
#pragma once
// The ideal that fairness is measured against: work as a liquid, split equally among the participants who
// still have some (generalised processor sharing).

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <queue>
#include <tuple>
#include <vector>

namespace atelier::simulate {

class FairFluid {
 public:
  void add(std::uint64_t participant, double work, std::size_t job);
  /// Delivers this much work in all, from `time` on at `rate` per millisecond.
  void flow(double amount, double time, double rate);
  /// What the participant has received.
  [[nodiscard]] double received(std::uint64_t participant) const;
  /// When each job's liquid ended, in that order.
  [[nodiscard]] const std::vector<std::pair<std::size_t, double>>& finished() const { return finished_; }

 private:
  struct Active {
    double start = 0, finish = 0;  // in virtual work per participant
    std::size_t jobs = 0;
  };
  using Next = std::tuple<double, std::uint64_t, std::size_t>;  // virtual finish, participant, job
  double virtual_ = 0;
  std::map<std::uint64_t, Active> active_;
  std::map<std::uint64_t, double> received_;  // in former times of activity
  std::priority_queue<Next, std::vector<Next>, std::greater<>> next_;
  std::vector<std::pair<std::size_t, double>> finished_;
};

}  // namespace atelier::simulate
