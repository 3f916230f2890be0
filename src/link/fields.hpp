// SPDX-License-Identifier: MIT
#pragma once
// The fields of every message, named once for both directions. `F` is codec.cpp's Writer or Reader: f(name,
// value, limits...) prints or reads one field. Private to codec.cpp.

#include <type_traits>

#include "link/messages.hpp"

namespace atelier::link::wire {

template <class F, class M>
using Arg = std::conditional_t<F::kWrites, const M&, M&>;

template <class M>
struct TypeName;  // `value` is "type" on the wire

#define ATELIER_LINK_TYPE(Message, name)            \
  template <>                                       \
  struct TypeName<Message> {                        \
    static constexpr std::string_view value = name; \
  }
ATELIER_LINK_TYPE(Hello, "hello");
ATELIER_LINK_TYPE(Heartbeat, "heartbeat");
ATELIER_LINK_TYPE(Started, "started");
ATELIER_LINK_TYPE(Event, "event");
ATELIER_LINK_TYPE(Preview, "preview");
ATELIER_LINK_TYPE(Computed, "computed");
ATELIER_LINK_TYPE(Commit, "commit");
ATELIER_LINK_TYPE(Ended, "ended");
ATELIER_LINK_TYPE(Returned, "returned");
ATELIER_LINK_TYPE(SlotIdle, "slot_idle");
ATELIER_LINK_TYPE(EngineLost, "engine_lost");
ATELIER_LINK_TYPE(EngineReady, "engine_ready");
ATELIER_LINK_TYPE(SlotsChanged, "slots");
ATELIER_LINK_TYPE(Draining, "draining");
ATELIER_LINK_TYPE(Empty, "empty");
ATELIER_LINK_TYPE(Telemetry, "telemetry");
ATELIER_LINK_TYPE(LogLines, "log");
ATELIER_LINK_TYPE(Welcome, "welcome");
ATELIER_LINK_TYPE(Lease, "lease");
ATELIER_LINK_TYPE(Hint, "hint");
ATELIER_LINK_TYPE(Stop, "stop");
ATELIER_LINK_TYPE(Committed, "committed");
ATELIER_LINK_TYPE(Refused, "refused");
ATELIER_LINK_TYPE(EndedOk, "ended_ok");
ATELIER_LINK_TYPE(Drain, "drain");
ATELIER_LINK_TYPE(Undrain, "undrain");
ATELIER_LINK_TYPE(Pause, "pause");
ATELIER_LINK_TYPE(RestartEngine, "restart_engine");
ATELIER_LINK_TYPE(AddSlot, "add_slot");
ATELIER_LINK_TYPE(RemoveSlot, "remove_slot");
ATELIER_LINK_TYPE(OpenTunnel, "open_tunnel");
ATELIER_LINK_TYPE(Free, "free");
ATELIER_LINK_TYPE(Models, "models");
ATELIER_LINK_TYPE(SettingsChanged, "settings");
#undef ATELIER_LINK_TYPE

/// Bounds of a number, both inclusive.
struct Range {
  std::uint64_t least = 0, most = kIdMax;
};
/// At most so many bytes of a string.
struct Bytes {
  std::size_t most = kNameBytesMax;
};
/// At most so many elements of a list.
struct Count {
  std::size_t most = 0;
};
inline constexpr Range kSlotRange{0, kSlotsMax - 1};
inline constexpr Range kFileRange{0, kFilesPerJobMax - 1};

// ---- Parts ----

template <class F>
void fields(F& f, Arg<F, HelloSlot> m) {
  f("slot", m.slot, kSlotRange);
  f("comfy_version", m.comfy_version, Bytes{});
  f("object_info_hash", m.object_info);
  f("models_hash", m.models);
  f("engine", m.engine);
  f("engine_start", m.engine_start);
  f("device", m.device, Bytes{});
  f("vram_total", m.vram_total);
  f("holds", m.holds, Count{kHoldsMax});
}
template <class F>
void fields(F& f, Arg<F, StagedFile> m) {
  f("file", m.file, kFileRange);
  f("bytes", m.bytes);
}
template <class F>
void fields(F& f, Arg<F, HelloJob> m) {
  f("job", m.job);
  f("epoch", m.epoch);
  f("slot", m.slot, kSlotRange);
  f("state", m.state);
  f("committed", m.committed, Count{kNodesMax});
  f("staged", m.staged, Count{kFilesPerJobMax});
}
template <class F>
void fields(F& f, Arg<F, HeartbeatSlot> m) {
  f("slot", m.slot, kSlotRange);
  f("engine_answered_ms", m.engine_answered_ms);
}
template <class F>
void fields(F& f, Arg<F, CommitFile> m) {
  f("place", m.place, Bytes{});
  f("folder", m.folder, Bytes{});
  f("stem", m.stem, Bytes{});
  f("number", m.number, Range{0, 999'999'999});
  f("rest", m.rest, Bytes{});
  f("type", m.type);
  f("in_job_folder", m.in_job_folder);
  f("size", m.size);
  f("digest", m.digest);
  f("file", m.file, kFileRange);
}
template <class F>
void fields(F& f, Arg<F, TelemetrySlot> m) {
  f("slot", m.slot, kSlotRange);
  f("device", m.device, Bytes{});
  f("vram_total", m.vram_total);
  f("vram_free", m.vram_free);
  f("queue_remaining", m.queue_remaining);
}
template <class F>
void fields(F& f, Arg<F, GpuReading> m) {
  f("name", m.name, Bytes{});
  f("memory_total", m.memory_total);
  f("memory_used", m.memory_used);
  f("load_percent", m.load_percent);
  f("temperature_celsius", m.temperature_celsius);
  f("power_milliwatts", m.power_milliwatts);
  f("power_limit_milliwatts", m.power_limit_milliwatts);
}
template <class F>
void fields(F& f, Arg<F, Answer> m) {
  f("job", m.job);
  f("epoch", m.epoch);
  f("verdict", m.verdict);
}
template <class F>
void fields(F& f, Arg<F, PromptRef> m) {
  f("bytes", m.bytes);
  f("digest", m.digest);
}
template <class F>
void fields(F& f, Arg<F, InputRef> m) {
  f("name", m.name, Bytes{});
  f("type", m.type);
  f("digest", m.digest);
  f("size", m.size);
  f("folder", m.folder, Bytes{});
}
template <class F>
void fields(F& f, Arg<F, Settings> m) {
  f("previews_per_second_max", m.previews_per_second_max, Range{0, 1000});
  f("json_bytes_max", m.json_bytes_max);
  f("files_per_commit_max", m.files_per_commit_max);
  f("result_bytes_max", m.result_bytes_max);
}

// ---- Agent -> gateway ----

template <class F>
void fields(F& f, Arg<F, Hello> m) {
  f("protocol", m.protocol, Range{0, 0xffff'ffff});
  f("agent", m.agent, Bytes{});
  f("name", m.name, Bytes{64});
  f("boot", m.boot);
  f("slots", m.slots, Count{kSlotsMax});
  f("jobs", m.jobs, Count{kJobsMax});
  f("disk_free", m.disk_free);
  f("clock", m.clock);
  f("launched", m.launched);
}
template <class F>
void fields(F& f, Arg<F, Heartbeat> m) {
  f("slots", m.slots, Count{kSlotsMax});
}
template <class F>
void fields(F& f, Arg<F, Started> m) {
  f("job", m.job);
  f("epoch", m.epoch);
}
template <class F>
void fields(F& f, Arg<F, Event> m) {
  f("job", m.job);
  f("epoch", m.epoch);
  f("n", m.n, Range{1});
  f("json", m.json, Bytes{kJsonBytesMax});
}
template <class F>
void fields(F& f, Arg<F, Computed> m) {
  f("job", m.job);
  f("epoch", m.epoch);
  f("gpu_ms", m.gpu_ms);
}
template <class F>
void fields(F& f, Arg<F, Commit> m) {
  f("job", m.job);
  f("epoch", m.epoch);
  f("node", m.node, Bytes{});
  f("display_node", m.display_node, Bytes{});
  f("ui", m.ui, Bytes{kJsonBytesMax});
  f("files", m.files, Count{kFilesPerCommitMax});
}
template <class F>
void fields(F& f, Arg<F, Ended> m) {
  f("job", m.job);
  f("epoch", m.epoch);
  f("outcome", m.outcome);
  f("cause", m.cause);
  f("reason", m.reason, Bytes{kTextFieldBytesMax});
  f("event", m.event, Bytes{kJsonBytesMax});
  f("report", m.report, Bytes{kJsonBytesMax});
}
template <class F>
void fields(F& f, Arg<F, Returned> m) {
  f("job", m.job);
  f("epoch", m.epoch);
  f("reason", m.reason);
  f("detail", m.detail, Bytes{kTextFieldBytesMax});
}
template <class F>
void fields(F& f, Arg<F, SlotIdle> m) {
  f("slot", m.slot, kSlotRange);
}
template <class F>
void fields(F& f, Arg<F, EngineLost> m) {
  f("slot", m.slot, kSlotRange);
  f("job", m.job, Range{0});
  f("epoch", m.epoch, Range{0});
  f("detail", m.detail, Bytes{kTextFieldBytesMax});
}
template <class F>
void fields(F& f, Arg<F, EngineReady> m) {
  f("slot", m.slot, kSlotRange);
  f("comfy_version", m.comfy_version, Bytes{});
  f("object_info_hash", m.object_info);
  f("models_hash", m.models);
  f("engine_start", m.engine_start);
  f("device", m.device, Bytes{});
  f("vram_total", m.vram_total);
}
template <class F>
void fields(F& f, Arg<F, SlotsChanged> m) {
  f("added", m.added, Count{kSlotsMax});
  f("removed", m.removed, Count{kSlotsMax});
}
template <class F>
void fields(F& f, Arg<F, Draining> m) {
  f("reason", m.reason, Bytes{kTextFieldBytesMax});
}
template <class F>
void fields(F&, Arg<F, Empty>) {}
template <class F>
void fields(F& f, Arg<F, Telemetry> m) {
  f("disk_free", m.disk_free);
  f("slots", m.slots, Count{kSlotsMax});
  f("gpus", m.gpus, Count{kGpusMax});
  f("clock", m.clock);
}
template <class F>
void fields(F& f, Arg<F, LogLines> m) {
  f("slot", m.slot, kSlotRange);
  f("lines", m.lines, Count{kLogLinesMax});
}

// ---- Gateway -> agent ----

template <class F>
void fields(F& f, Arg<F, Welcome> m) {
  f("link", m.link);
  f("workshop", m.workshop, Bytes{});
  f("heartbeat_ms", m.heartbeat_ms, Range{100, 600'000});
  f("lease_ttl_ms", m.lease_ttl_ms, Range{1000, 3'600'000});
  f("blob_url", m.blob_url, Bytes{});
  f("answers", m.answers, Count{kJobsMax});
  f("want", m.want, Count{2 * kSlotsMax});
  f("settings", m.settings);
}
template <class F>
void fields(F& f, Arg<F, Lease> m) {
  f("job", m.job);
  f("epoch", m.epoch);
  f("slot", m.slot, kSlotRange);
  f("run_id", m.run_id);
  f("prompt", m.prompt);
  f("inputs", m.inputs, Count{kInputsMax});
  f("limit_ms", m.limit_ms);
  f("preview_method", m.preview_method, Bytes{64});
}
template <class F>
void fields(F& f, Arg<F, Hint> m) {
  f("slot", m.slot, kSlotRange);
  f("job", m.job, Range{0});
  f("epoch", m.epoch, Range{0});
  f("inputs", m.inputs, Count{kInputsMax});
}
template <class F>
void fields(F& f, Arg<F, Stop> m) {
  f("job", m.job);
  f("epoch", m.epoch);
  f("reason", m.reason, Bytes{kTextFieldBytesMax});
}
template <class F>
void fields(F& f, Arg<F, Committed> m) {
  f("job", m.job);
  f("epoch", m.epoch);
  f("node", m.node, Bytes{});
  f("names", m.names, Count{kFilesPerCommitMax});
}
template <class F>
void fields(F& f, Arg<F, Refused> m) {
  f("job", m.job);
  f("epoch", m.epoch);
  f("node", m.node, Bytes{});
  f("reason", m.reason);
}
template <class F>
void fields(F& f, Arg<F, EndedOk> m) {
  f("job", m.job);
  f("epoch", m.epoch);
}
template <class F>
void fields(F&, Arg<F, Drain>) {}
template <class F>
void fields(F&, Arg<F, Undrain>) {}
template <class F>
void fields(F& f, Arg<F, Pause> m) {
  f("paused", m.paused);
}
template <class F>
void fields(F& f, Arg<F, RestartEngine> m) {
  f("slot", m.slot, kSlotRange);
}
template <class F>
void fields(F& f, Arg<F, Free> m) {
  f("slot", m.slot, kSlotRange);
}
template <class F>
void fields(F& f, Arg<F, AddSlot> m) {
  f("port", m.port, Range{0, 65'535});
}
template <class F>
void fields(F& f, Arg<F, RemoveSlot> m) {
  f("slot", m.slot, kSlotRange);
}
template <class F>
void fields(F& f, Arg<F, OpenTunnel> m) {
  f("tunnel", m.tunnel);
  f("slot", m.slot, kSlotRange);
}
template <class F>
void fields(F& f, Arg<F, Models> m) {
  f("want", m.want, Count{kInputsMax});
  f("pin", m.pin, Count{kInputsMax});
  f("drop", m.drop, Count{kInputsMax});
}
template <class F>
void fields(F& f, Arg<F, SettingsChanged> m) {
  f("settings", m.settings);
}

}  // namespace atelier::link::wire
