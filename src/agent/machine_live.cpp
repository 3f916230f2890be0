// SPDX-License-Identifier: MIT
// AgentMachine: what a run says while it runs: events, previews, results, texts.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "agent/json_text.hpp"
#include "agent/machine.hpp"
#include "base/log.hpp"
#include "comfy/messages.hpp"

namespace atelier::agent {
namespace {

constexpr std::size_t kUnsentMax = 256;                  // messages of one job
constexpr std::size_t kUnsentFrameBytesMax = 64 << 20;   // of the frames among them
constexpr std::size_t kUnsentEventBytesMax = 16 << 20;   // of the events among them
constexpr std::size_t kTalkMessageBytesMax = 256 << 10;  // of a custom node's own, which are not shortened
constexpr std::size_t kTalkMax = 100;                    // of them, per job and second
constexpr std::size_t kTalkBytesMax = 2 << 20;           // the same
constexpr std::size_t kFrameHeaderBytes = 24;            // of the link
constexpr milliseconds kTalkSecond{1'000};

bool is_progress(std::string_view type) { return type == "progress" || type == "progress_state"; }

bool tells_where(std::string_view type) {
  return type == "execution_start" || type == "execution_cached" || type == "executing";
}

/// Forgets the oldest event that waits for the link and is of `type`, or of any if that is empty. Never a
/// frame: it may be a result. False if there is none.
bool forget_event(HeldJob& job, std::string_view type = {}) {
  const auto found = std::ranges::find_if(job.unsent, [type](const Unsent& one) {
    return std::holds_alternative<link::Event>(one.message) && (type.empty() || one.type == type);
  });
  if (found == job.unsent.end()) return false;
  job.unsent_event_bytes -= std::get<link::Event>(found->message).json.size();
  job.unsent.erase(found);
  return true;
}

/// A text frame with the participant's names, and not longer than a page can show.
std::string fitting_text(const OwnNames& names, const comfy::Frame& frame, std::size_t bytes_max) {
  std::string text = names.restore(std::string(frame.payload));
  if (text.size() > bytes_max) {
    std::size_t keep = bytes_max;
    while (keep > 0 && (static_cast<unsigned char>(text[keep]) & 0xc0) == 0x80) --keep;  // whole characters
    const std::size_t left_out = text.size() - keep;
    text.resize(keep);
    text += fmt::format("... ({} bytes left out)", left_out);
  }
  return comfy::encode_text(frame.node, text).substr(4);
}

}  // namespace

std::size_t AgentMachine::json_bytes_max() const {
  const std::uint64_t taken = settings_.json_bytes_max.value_or(link::kFormerJsonBytesMax);
  return std::clamp<std::uint64_t>(taken, link::kFormerJsonBytesMax, link::kJsonBytesMax);
}

std::size_t AgentMachine::frame_bytes_max() const {
  const std::size_t whole = link::kPreviewBytesMax - kFrameHeaderBytes;
  return std::clamp<std::uint64_t>(settings_.result_bytes_max.value_or(0), whole, link::kResultBytesMax);
}

HeldJob* AgentMachine::speaker(std::uint32_t slot) {
  if (slot >= slots_.size() || slots_[slot].speaks.empty()) return nullptr;
  HeldJob* job = find_run(slot, slots_[slot].speaks);
  return job == nullptr || job->ghost || job->computed() ? nullptr : job;
}

// ---- Events ----

void AgentMachine::relay(HeldJob& job, const std::string& type, std::string text) {
  auto fitting = shorten_json(job.names.restore(std::move(text)), json_bytes_max());
  if (!fitting) {
    log::warn("event_too_large", {{"job", job.key.job}, {"type", type}});
    return;
  }
  link::Event event{job.key.job, job.key.epoch, ++events_, std::move(*fitting)};
  if (tells_where(type)) job.whereabouts[type] = event;
  if (linked_) {
    send(std::move(event));
    return;
  }
  if (is_progress(type)) forget_event(job, type);
  const std::size_t bytes = event.json.size();
  while (job.unsent.size() >= kUnsentMax || job.unsent_event_bytes + bytes > kUnsentEventBytesMax) {
    if (!forget_event(job)) return;
  }
  job.unsent_event_bytes += bytes;
  job.unsent.push_back({type, std::move(event)});
}

void AgentMachine::relay_nameless(std::uint32_t slot, const std::string& type, const std::string& text) {
  // What ComfyUI itself says to all is of no run (B3).
  if (comfy::is_stock_event(type)) return;
  HeldJob* job = speaker(slot);
  if (job == nullptr || !may_talk(*job, type, text.size())) return;
  job->seen_at = now_;
  relay(*job, type, text);
}

bool AgentMachine::may_talk(HeldJob& job, const std::string& type, std::size_t bytes) const {
  Talk& talk = job.talk;
  if (now_ >= talk.since + kTalkSecond) {
    talk.since = now_;
    talk.messages = talk.bytes = 0;
  }
  if (bytes <= kTalkMessageBytesMax && talk.messages < kTalkMax && talk.bytes + bytes <= kTalkBytesMax) {
    ++talk.messages;
    talk.bytes += bytes;
    return true;
  }
  if (!std::exchange(talk.cut, true))
    log::warn("custom_events_left_out",
              {{"job", job.key.job}, {"type", type.substr(0, 100)}, {"bytes", bytes}});
  return false;
}

// ---- Frames ----

void AgentMachine::handle(const EngineFrame& input) {
  auto frame = comfy::decode_frame(input.bytes);
  if (!frame) return;
  HeldJob* job = nullptr;
  if (frame->kind == comfy::FrameKind::preview_with_metadata) {
    auto run_id = comfy::prompt_id_of_frame(input.bytes);
    if (run_id && *run_id) job = find_run(input.slot, **run_id);
  } else {
    job = speaker(input.slot);  // kinds 1 and 3 carry no id (B4)
  }
  if (job == nullptr || job->ghost || job->computed()) return;
  job->seen_at = now_;
  link::Preview message{job->key.job, job->key.epoch, static_cast<std::uint32_t>(frame->kind), ""};
  if (frame->kind == comfy::FrameKind::text) {
    message.frame = fitting_text(job->names, *frame, json_bytes_max());
    relay_frame(*job, std::move(message));
    return;
  }
  const std::size_t most =
      frame->is_result() ? frame_bytes_max() : link::kPreviewBytesMax - kFrameHeaderBytes;
  if (input.bytes.size() > most) {
    log::warn("frame_too_large",
              {{"job", job->key.job}, {"slot", input.slot}, {"bytes", input.bytes.size()}});
    return;
  }
  message.frame = input.bytes.substr(4);
  if (frame->is_result()) {
    relay_frame(*job, std::move(message));
    return;
  }
  if (!linked_ || settings_.previews_per_second_max == 0) return;
  if (now_ < job->preview_at) {
    job->waiting_preview = std::move(message);
    return;
  }
  job->preview_at = now_ + milliseconds(1000 / settings_.previews_per_second_max);
  job->waiting_preview.reset();
  send(std::move(message), true);
}

void AgentMachine::handle(const EngineUnread& input) {
  // Its silence is ours: who asked for the run now would hear of its end before its last words.
  for (auto& [key, job] : jobs_) {
    if (job.lease.slot == input.slot) job.seen_at = now_;
  }
}

void AgentMachine::relay_frame(HeldJob& job, link::Preview frame) {
  if (linked_) {
    send_frame(std::move(frame));
    return;
  }
  if (job.unsent_bytes + frame.frame.size() > kUnsentFrameBytesMax ||
      (job.unsent.size() >= kUnsentMax && !forget_event(job))) {
    log::warn("frame_left_out", {{"job", job.key.job}, {"why", "too much waits for the link"}});
    return;
  }
  job.unsent_bytes += frame.frame.size();
  job.unsent.push_back({"", std::move(frame)});
}

void AgentMachine::send_frame(link::Preview frame) {
  if (frame.frame.size() <= link::kPreviewBytesMax - kFrameHeaderBytes) {
    send(std::move(frame));
    return;
  }
  if (!settings_.result_bytes_max) return;  // another gateway than the one it was kept for
  const std::string whole = std::exchange(frame.frame, {});
  for (std::size_t at = 0; at < whole.size(); at += link::kPartBytes) {
    frame.frame = whole.substr(at, link::kPartBytes);
    frame.more = at + link::kPartBytes < whole.size();
    send(frame);
  }
}

void AgentMachine::send_unsent(HeldJob& job) {
  job.unsent_bytes = job.unsent_event_bytes = 0;
  for (Unsent& one : std::exchange(job.unsent, {})) {
    if (auto* event = std::get_if<link::Event>(&one.message)) {
      send(std::move(*event));
    } else {
      send_frame(std::move(std::get<link::Preview>(one.message)));
    }
  }
}

}  // namespace atelier::agent
