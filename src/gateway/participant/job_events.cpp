// SPDX-License-Identifier: MIT
#include "gateway/participant/job_events.hpp"

#include <boost/json.hpp>

#include <algorithm>

#include "comfy/messages.hpp"

namespace atelier::gateway {
namespace {

bool waits_for_nothing(const LiveFrame& frame) {
  return frame.type == "progress" || frame.type == "progress_state";
}

/// A cached output node without ui is replayed with output null: no files will come (CI B3).
bool has_output(const LiveFrame& frame) {
  const auto event = comfy::parse_event(*frame.bytes);
  if (!event || !event->data.is_object()) return true;
  const auto* output = event->data.object().if_contains("output");
  return output == nullptr || !output->is_null();
}

}  // namespace

bool is_swallowed(const LiveFrame& frame) {
  if (frame.type == "execution_success" || frame.type == "execution_interrupted") return true;
  if (frame.type == "status" || frame.type == "feature_flags" || frame.type == "logs") return true;
  if (frame.type == "executing") return frame.node.empty();
  if (frame.type != "execution_error") return false;
  // ComfyUI sends a blocked node as an error in mid-run, and the run goes on (CI B3).
  const auto event = comfy::parse_event(*frame.bytes);
  if (!event || !event->data.is_object()) return true;
  const auto* type = event->data.object().if_contains("exception_type");
  return type == nullptr || !type->is_string() || type->get_string() != "ExecutionBlocked";
}

void JobEvents::on_frame(Instant now, const LiveFrame& frame, std::vector<Shown>& out) {
  if (end_shown_) return;
  if (frame.kind == LiveKind::executed) on_executed(frame, out);
  if (frame.kind == LiveKind::event) on_engine_event(now, frame, out);
  if (frame.kind == LiveKind::result) on_result(now, frame, out);
}

void JobEvents::on_result(Instant now, const LiveFrame& frame, std::vector<Shown>& out) {
  // Clients know by the `executing` before it whose result it is (CI B4), so that it keeps its place.
  held_.push_back({frame, false, now});
  flush(out);
}

void JobEvents::on_engine_event(Instant now, const LiveFrame& frame, std::vector<Shown>& out) {
  if (is_swallowed(frame)) return;
  if (waits_for_nothing(frame)) {
    out.push_back({Shown::Kind::engine_event, frame});
    return;
  }
  if (frame.type == "executed" && has_output(frame)) {
    if (const auto before = executed_.find(frame.node); before != executed_.end()) {
      held_.push_back({before->second, false, now});  // its files stand already: shown again, in its place
    } else if (!shown_.contains(frame.node)) {
      held_.push_back({frame, true, now + kBarrier});
    }
  } else {
    held_.push_back({frame, false, now});
  }
  flush(out);
}

void JobEvents::on_executed(const LiveFrame& frame, std::vector<Shown>& out) {
  shown_.insert(frame.node);
  missing_.erase(frame.node);
  executed_[frame.node] = frame;
  const auto barrier = std::ranges::find_if(
      held_, [&](const Held& held) { return held.barrier && held.frame.node == frame.node; });
  if (barrier == held_.end()) {
    out.push_back({Shown::Kind::executed, frame});
  } else {
    barrier->frame = frame;
    barrier->barrier = false;
  }
  flush(out);
}

void JobEvents::on_ended(Instant now, const std::vector<std::string>& linked, std::vector<Shown>& out) {
  if (end_until_ || end_shown_) return;
  end_until_ = now + kEndPatience;
  for (const std::string& node : linked) {
    if (!node.empty() && !shown_.contains(node)) missing_.insert(node);
  }
  // A barrier without a commit will never open.
  std::erase_if(held_, [&](const Held& held) { return held.barrier && !missing_.contains(held.frame.node); });
  flush(out);
}

void JobEvents::on_time(Instant now, std::vector<Shown>& out) {
  std::erase_if(held_, [&](const Held& held) { return held.barrier && held.until <= now; });
  if (end_until_ && *end_until_ <= now) missing_.clear();
  flush(out);
}

std::optional<Instant> JobEvents::deadline() const {
  if (end_shown_) return std::nullopt;
  std::optional<Instant> earliest = end_until_;
  for (const Held& held : held_) {
    if (held.barrier && (!earliest || held.until < *earliest)) earliest = held.until;
  }
  return earliest;
}

void JobEvents::flush(std::vector<Shown>& out) {
  while (!held_.empty() && !held_.front().barrier) {
    LiveFrame frame = std::move(held_.front().frame);
    held_.pop_front();
    const auto kind = frame.kind == LiveKind::executed ? Shown::Kind::executed
                      : frame.kind == LiveKind::result ? Shown::Kind::result
                                                       : Shown::Kind::engine_event;
    out.push_back({kind, std::move(frame)});
  }
  if (end_until_ && held_.empty() && missing_.empty() && !end_shown_) {
    end_shown_ = true;
    out.push_back({Shown::Kind::ending, {}});
  }
}

}  // namespace atelier::gateway
