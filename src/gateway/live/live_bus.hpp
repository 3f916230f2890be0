// SPDX-License-Identifier: MIT
#pragma once
// What a running job shows while it runs: the engine's events and preview frames, from the worker link to the
// participants' faces. Lossy by contract: what must not be lost comes as an effect of the workshop. The last
// snapshot of each running job is kept, so that a socket that connects in mid-run gets the state. In process;
// one thread.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.hpp"

namespace atelier::gateway {

enum class LiveKind : std::uint8_t {
  event,     // a JSON event of the engine; `bytes` = the whole frame, prompt_id = the run id, to be replaced
  executed,  // a node's outputs stand in the participant's folder: `bytes` = the `output` object with the
             // names given
  preview,   // a binary frame; `preview_kind` = ComfyUI's event id, `bytes` = what follows it
  result,    // the same of a picture that is a node's result: none is left out, and its place is kept
};

/// One frame. Frames of one (job, epoch) come in the engine's order; the engine's own `executed` event of a
/// node comes as kind `event` when the engine sent it (a barrier: it is not to be shown), and as kind
/// `executed` when its files stand.
struct LiveFrame {
  LiveKind kind = LiveKind::event;
  ParticipantId participant;
  JobId job;
  Epoch epoch;
  std::uint64_t number = 0;  // of an event: one with the number of an earlier one is a repeat; 0: none has
  std::string type;          // of an event: "progress_state", "executing", ...
  std::string node;          // event: data.node if it is a string; executed: the node
  std::string display_node;  // executed only
  std::uint32_t preview_kind = 0;
  std::shared_ptr<const std::string> bytes;
};

/// What a socket gets that connects while the job runs: null pointers for what has not come.
struct LiveSnapshot {
  Epoch epoch;
  std::uint64_t number = 0;  // the highest so far
  std::shared_ptr<const std::string> execution_start, execution_cached, progress_state,
      executing;                    // whole JSON frames
  std::vector<LiveFrame> executed;  // kind executed, in order, at most 1,000
  std::shared_ptr<const LiveFrame> preview;
};

class LiveBus {
 public:
  using Listener = std::function<void(const LiveFrame&)>;

  /// Hands the frame to every listener, at once, and keeps the snapshot. Frames of an older epoch than the
  /// job's last and repeated events are dropped; a newer epoch starts a new snapshot.
  void publish(LiveFrame frame);
  /// The job has ended or waits again: its snapshot goes.
  void forget(JobId job);
  [[nodiscard]] const LiveSnapshot* snapshot(JobId job) const;

  /// Listens until the subscription is destroyed. A listener may not subscribe or unsubscribe while it is
  /// called.
  class Subscription {
   public:
    Subscription() = default;
    Subscription(Subscription&&) = default;
    Subscription& operator=(Subscription&&) = default;

   private:
    friend class LiveBus;
    explicit Subscription(std::shared_ptr<Listener> listener) : listener_(std::move(listener)) {}
    std::shared_ptr<Listener> listener_;
  };
  [[nodiscard]] Subscription subscribe(Listener listener);

 private:
  std::vector<std::weak_ptr<Listener>> listeners_;
  std::map<JobId, LiveSnapshot> snapshots_;
};

}  // namespace atelier::gateway
