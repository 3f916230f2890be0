// SPDX-License-Identifier: MIT
#pragma once
// The order in which one running job's events are shown (core.md 6, "Order of events"). The engine's
// `executed` is a barrier: the job's later events and results wait for the node's files up to 300 ms and then
// overtake it (progress and previews do not wait at all); the end never overtakes an executed. A machine
// without I/O: frames, ends and times in, what is to be shown out.

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "gateway/live/live_bus.hpp"

namespace atelier::gateway {

struct Shown {
  enum class Kind { engine_event, executed, result, ending };
  Kind kind = Kind::engine_event;
  LiveFrame frame;  // not of an ending
};

class JobEvents {
 public:
  static constexpr milliseconds kBarrier{300};
  static constexpr milliseconds kEndPatience{2'000};

  /// `shown`: nodes whose outputs stood before anybody listened.
  explicit JobEvents(std::set<std::string> shown = {}) : shown_(std::move(shown)) {}

  /// A frame of any kind but preview.
  void on_frame(Instant now, const LiveFrame& frame, std::vector<Shown>& out);
  /// The job has ended; `linked` are the nodes whose outputs stand. An `ending` follows in `out`, now or
  /// later.
  void on_ended(Instant now, const std::vector<std::string>& linked, std::vector<Shown>& out);
  void on_time(Instant now, std::vector<Shown>& out);
  /// When on_time has something to do.
  [[nodiscard]] std::optional<Instant> deadline() const;
  [[nodiscard]] bool has_shown_end() const { return end_shown_; }

 private:
  struct Held {
    LiveFrame frame;
    bool barrier = false;
    Instant until;
  };
  void on_engine_event(Instant now, const LiveFrame& frame, std::vector<Shown>& out);
  void on_result(Instant now, const LiveFrame& frame, std::vector<Shown>& out);
  void on_executed(const LiveFrame& frame, std::vector<Shown>& out);
  void flush(std::vector<Shown>& out);

  std::deque<Held> held_;
  std::set<std::string> shown_;                // nodes whose executed was shown or stood before
  std::map<std::string, LiveFrame> executed_;  // for an engine that reports a node again
  std::set<std::string> missing_;              // at the end: linked, executed not yet seen
  std::optional<Instant> end_until_;
  bool end_shown_ = false;
};

/// True for the events that an engine ends a prompt with, and for what is not a job's at all: the face makes
/// its own.
[[nodiscard]] bool is_swallowed(const LiveFrame& frame);

}  // namespace atelier::gateway
