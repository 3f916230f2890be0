// SPDX-License-Identifier: MIT
#pragma once
// One way that the future may go, over flat rows: the rules of decide.cpp and fair_turns.cpp without what
// matters little to a forecast (a lane's second turn in one decision). A test holds the order of its starts
// against what decide grants. Internal to core.

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/fair_order.hpp"
#include "core/forecast.hpp"
#include "core/queue_copy.hpp"

namespace atelier::core {

inline constexpr std::uint32_t kNoIndex = UINT32_MAX;
inline constexpr std::int64_t kNever = INT64_MAX / 4;
/// Of a lane's jobs: how many affinity looks at.
inline constexpr std::uint32_t kOwnJobsMax = 6;

class DrawRandom {
 public:
  explicit DrawRandom(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ull + 0xD1B54A32D192ED03ull) {}
  std::uint64_t next() {  // splitmix64
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  std::uint32_t below(std::uint32_t bound) {
    return static_cast<std::uint32_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
  }

 private:
  std::uint64_t state_;
};

/// One way that the future may go.
class Draw {
 public:
  Draw(const QueueCopy& queue, JobId only);

  /// Run times are drawn, or (`seed` 0) what is expected, without arrivals.
  void run(std::uint64_t seed);
  /// When each row will be ready, and the job of each slot; kNever: not while nothing changes.
  [[nodiscard]] const std::vector<std::int64_t>& rows_ready() const { return ready_; }
  [[nodiscard]] std::int64_t slot_ready(std::size_t slot) const { return first_free_[slot]; }
  /// In the order in which rows started.
  [[nodiscard]] const std::vector<ExpectedStart>& started() const { return started_; }

 private:
  struct Slot {
    std::int64_t idle_since = 0;
    std::uint32_t models = 0;
    // The job's charge and drawn time, for the ledger at its end.
    std::uint32_t owner = kNoIndex;
    std::int64_t charge_ms = 0, drawn_ms = 0;
    std::int64_t expected_end = 0;  // by its charge, as decide sees it
  };
  struct Lane {
    std::uint32_t head = kNoIndex, tail = kNoIndex, place = 0, waiting = 0;
    std::uint64_t wants = 0;  // the sets of models of its first jobs, as bits; several sets may share one
    std::uint32_t owner = 0;
    std::int64_t weight_milli = 1000;
    bool unlimited = true;  // its owner may always start a job
    bool instructor = false;
    std::uint64_t seen = 0;  // the pick in which its turn was found
    // As it stands in the listings: its tag or level, and its first jobs with their classes.
    std::int64_t key = 0;
    std::array<std::pair<JobId, std::uint32_t>, kOwnJobsMax> listed;
    std::uint32_t listed_count = 0;
  };
  /// A lane in the order of its turns, or of its place in the common order.
  struct Listed {
    std::int64_t key = 0;  // start tag and what the run counts in the fair order; or level
    JobId job;             // that would take the turn, or the place
    std::uint32_t lane = 0;
    bool operator<(const Listed& other) const { return key != other.key ? key < other.key : job < other.job; }
  };
  /// Lanes in this order. They leave it near its front, where this moves few others.
  class Listing {
   public:
    [[nodiscard]] bool empty() const { return first_ == entries_.size(); }
    [[nodiscard]] std::size_t size() const { return entries_.size() - first_; }
    const Listed& operator[](std::size_t at) const { return entries_[first_ + at]; }
    [[nodiscard]] auto begin() const { return entries_.begin() + static_cast<std::ptrdiff_t>(first_); }
    [[nodiscard]] auto end() const { return entries_.end(); }
    void clear();
    void add(const Listed& entry);
    /// sort() is due before anything else.
    void add_unsorted(const Listed& entry) { entries_.push_back(entry); }
    void sort();
    void remove(const Listed& entry);

   private:
    std::vector<Listed> entries_;
    std::size_t first_ = 0;  // nothing stands before that
  };
  /// Where a walk through a listing stands (without one: a candidate), with the finish tag of this entry.
  struct Cursor {
    std::int64_t finish = 0;
    JobId job;
    const Listing* listing = nullptr;
    std::size_t at = 0;
    std::int64_t weight = 0;
    bool loads = false;
  };
  struct Owner {
    std::int64_t tag = 0, gpu_left_ms = 0;
    std::uint32_t running = 0, waiting = 0;
  };
  struct Row {
    std::uint32_t next = kNoIndex, lane = 0, job_class = 0, places = 0;
    std::int64_t passed_ms = 0, submitted = 0, queued = 0;  // times are from the copy's
    JobId job, place;
    std::uint32_t awaits = kNoIndex;  // the first busy slot that it is left for
    bool awaits_now = false;          // from the beginning
  };
  /// Classes whose jobs the same slots can run, with the same models and as long a load: they differ in
  /// their runs only.
  struct Group {
    const std::uint8_t* able = nullptr;  // of each slot
    std::uint32_t models = 0;
    std::int64_t load_ms = 0;
    // What the idle slots are to such jobs, in this pick.
    std::uint64_t stamp = 0;
    Fit fit = Fit::unable;
    std::uint32_t slot = kNoIndex;
    std::int64_t weight = 0;       // in the fair order: of the load, if it needs one
    std::int64_t load_weight = 0;  // if `sharers` want the models
    std::uint32_t sharers = kNoIndex;
    Listing with_head, with_any;  // lanes, of whose jobs the first one is of the group, or one of the first
  };
  struct Turn {
    std::int64_t finish = 0;
    JobId job;
    std::uint32_t row = kNoIndex, before = kNoIndex;  // the row, and the one in front of it in its lane
    std::uint32_t lane = 0, passes = 0;               // how many of its owner's jobs it goes before
    bool loads = false;
  };
  static bool comes_first(const Cursor& a, const Cursor& b) {
    return a.finish < b.finish || (a.finish == b.finish && a.job < b.job);
  }

  void start(std::uint64_t seed);
  void start_slots();
  void add_row(std::uint32_t lane, const Row& row);
  /// After a change of the lane's first jobs or of its tag.
  void list(std::uint32_t lane);
  void unlist(Lane& lane);
  void list_all();
  void add(Listing& listing, const Listed& entry) const;
  void arrive(const QueueCopy::Arrival& arrival);
  [[nodiscard]] bool is_over() const;
  [[nodiscard]] std::int64_t next_time() const;
  void free_slots();
  std::int64_t draw_run(const QueueCopy::Class& job_class, std::uint32_t speed_milli);
  std::int64_t draw_rest(const QueueCopy::Slot& slot);

  bool pick();
  bool pick_moved();
  bool pick_of_instructor();
  bool pick_in_common_order();
  bool pick_fair_turn();
  /// So that next_turn() gives the turns in order; false if nothing but looking at every lane does.
  bool open_cursors();
  bool next_turn();
  /// When the first busy slot that takes jobs will be free.
  [[nodiscard]] std::int64_t next_free() const;
  void find_candidates();
  bool pick_of_turns();
  [[nodiscard]] bool may_start(const Lane& lane) const;
  const Group& looked_at(Group& group) {
    if (group.stamp != stamp_) look(group);
    return group;
  }
  const Group& view(std::uint32_t job_class) { return looked_at(groups_[group_of_[job_class]]); }
  void look(Group& group);
  /// The first job of the lane that has a slot, and the one before it.
  std::uint32_t first_able(std::uint32_t lane, std::uint32_t& before);
  /// Its `row` is kNoIndex if none of the lane's jobs has a slot.
  void add_turn_of(std::uint32_t lane, std::vector<Turn>& turns);
  void see_wants(Lane& lane);
  static std::uint64_t bit(std::uint32_t set) { return std::uint64_t{1} << (set % 64); }
  [[nodiscard]] std::int64_t slack(const Row& row) const;
  [[nodiscard]] std::int64_t delay_max(const Row& row) const;
  [[nodiscard]] std::int64_t delay_of(const Row& row, std::uint32_t slot, bool loads) const;
  [[nodiscard]] bool delays_within(std::int64_t slack_ms, const Row& row, std::uint32_t slot,
                                   bool loads) const;
  bool waits_for_busy(const Turn& turn);
  std::uint32_t slot_to_load(std::uint32_t job_class);
  void pass(Row& row, std::int64_t delay_ms);
  /// `moved`: by the instructor's list.
  void grant(std::uint32_t row, std::uint32_t before, std::uint32_t slot, bool moved = false);
  void leave_place(const Row& row, bool moved);
  [[nodiscard]] bool holds(std::uint32_t held, std::uint32_t wanted) const {
    return queue_.holds[held * queue_.model_sets + wanted] != 0;
  }
  [[nodiscard]] bool able(std::uint32_t kind, std::size_t slot) const {
    return queue_.able[kind * queue_.slots.size() + slot] != 0;
  }

  const QueueCopy& queue_;
  JobId only_;
  bool some_leave_ = false;  // slots
  bool drawn_ = true;
  DrawRandom random_{0};
  std::int64_t now_ = 0, virtual_time_ = 0, wake_ = kNever;
  std::size_t next_arrival_ = 0, waiting_ = 0, wanted_left_ = 0;
  std::uint64_t stamp_ = 0;
  std::int64_t next_free_ms_ = kNever;  // until the first busy slot is free, in this pick
  std::uint64_t held_ = 0;              // sets that jobs want and idle slots hold, as bits
  std::vector<Slot> slots_;
  std::vector<std::int64_t> busy_until_;  // of each slot; kNever: it is idle
  std::int64_t first_end_ = kNever;       // the first of them
  std::vector<std::uint32_t> idle_;       // slots, by index
  std::vector<Lane> lanes_;
  std::vector<Owner> owners_;
  std::vector<Row> rows_;
  std::vector<std::vector<JobId>> places_;  // of each lane (fifo and priority)
  std::vector<std::uint32_t> group_of_;     // of each class
  std::vector<std::int64_t> run_weight_;    // of each class, in the fair order
  std::vector<Group> groups_;
  std::vector<std::uint32_t> wanting_;        // jobs that wait, by their set of models
  std::vector<std::uint32_t> of_instructor_;  // lanes, by index
  std::vector<Turn> turns_, candidates_;
  std::vector<Cursor> cursors_;
  std::size_t holding_ = 0;                   // of cursors: without a load
  Listing by_place_;                          // fifo and priority
  bool sorted_ = true;                        // else the listings are put in order when all are in them
  std::vector<std::uint32_t> lane_of_owner_;  // round_robin: its only one
  bool by_start_ = true;  // lanes are listed by their start tags: there are many, and all weigh the same
  std::vector<std::uint8_t> awaited_;  // slots, in this pick
  std::vector<std::int64_t> ready_, first_free_;
  std::vector<ExpectedStart> started_;
};

}  // namespace atelier::core
