// SPDX-License-Identifier: MIT
#include "gateway/live/live_bus.hpp"

namespace atelier::gateway {
namespace {

constexpr std::size_t kExecutedMax = 1'000;
constexpr std::uint32_t kTextFrame = 3;  // comfyui-interface.md B4

void remember(LiveSnapshot& snapshot, const LiveFrame& frame) {
  switch (frame.kind) {
    case LiveKind::event:
      if (frame.type == "execution_start") snapshot.execution_start = frame.bytes;
      if (frame.type == "execution_cached") snapshot.execution_cached = frame.bytes;
      if (frame.type == "progress_state") snapshot.progress_state = frame.bytes;
      if (frame.type == "executing") {
        snapshot.executing = frame.bytes;
        snapshot.preview.reset();  // of the node before
      }
      break;
    case LiveKind::executed:
      if (snapshot.executed.size() < kExecutedMax) snapshot.executed.push_back(frame);
      break;
    case LiveKind::preview:
      if (frame.preview_kind != kTextFrame) snapshot.preview = std::make_shared<const LiveFrame>(frame);
      break;
    case LiveKind::result:
      break;  // who comes later has missed it, as with ComfyUI: shown twice it would be two
  }
}

}  // namespace

void LiveBus::publish(LiveFrame frame) {
  LiveSnapshot& snapshot = snapshots_[frame.job];
  if (frame.epoch < snapshot.epoch) return;
  if (frame.epoch > snapshot.epoch) {
    std::vector<LiveFrame> executed = std::move(snapshot.executed);  // commits stand whatever epoch made them
    snapshot = LiveSnapshot{};
    snapshot.executed = std::move(executed);
    snapshot.epoch = frame.epoch;
  }
  if (frame.number != 0) {
    if (frame.number <= snapshot.number) return;
    snapshot.number = frame.number;
  }
  remember(snapshot, frame);
  std::erase_if(listeners_, [](const std::weak_ptr<Listener>& listener) { return listener.expired(); });
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    if (auto listener = listeners_[i].lock()) (*listener)(frame);
  }
}

void LiveBus::forget(JobId job) { snapshots_.erase(job); }

const LiveSnapshot* LiveBus::snapshot(JobId job) const {
  const auto found = snapshots_.find(job);
  return found == snapshots_.end() ? nullptr : &found->second;
}

LiveBus::Subscription LiveBus::subscribe(Listener listener) {
  auto shared = std::make_shared<Listener>(std::move(listener));
  listeners_.push_back(shared);
  return Subscription(std::move(shared));
}

}  // namespace atelier::gateway
