// SPDX-License-Identifier: MIT
// Agent: one ComfyUI process, from its first answer to its death, again and again.
#include <fmt/format.h>

#include <algorithm>

#include "agent/agent_impl.hpp"
#include "agent/folder_check.hpp"
#include "agent/link_queue.hpp"
#include "agent/nvml.hpp"
#include "base/log.hpp"
#include "net/websocket.hpp"

namespace atelier::agent {
namespace {

constexpr milliseconds kPause{300};
constexpr milliseconds kPauseMost{5'000};
constexpr milliseconds kPollInterval{5'000};
constexpr milliseconds kLivedWell{60'000};  // a socket
constexpr milliseconds kReadTurn{3'600'000};
constexpr milliseconds kSixHours{6 * 3'600'000}, kDay{24 * 3'600'000};
constexpr milliseconds kLinkPause{100};
constexpr std::uint64_t kDiskTight = 10'000'000'000;  // bytes

constexpr std::string_view kSocketSaver = "\"SaveImageWebsocket\"";

/// While a slot works, its ComfyUI is asked for its lists only each so many times.
constexpr int kLooksWhileBusy = 5;

struct ReadInfo {
  Digest digest;
  std::optional<Result<comfy::ObjectInfo>> info;  // nothing: these bytes were seen
  comfy::EngineAbility ability;
};

}  // namespace

awaitable<void> Agent::Impl::keep_engine(std::uint32_t slot) {
  milliseconds pause = kPause;
  std::string said;
  std::shared_ptr<ChildProcess> was_up;  // the process that has answered and does no more
  for (;;) {
    auto lived = co_await live_with_engine(slot);
    Engine& engine = *engines[slot];
    if (engine.up) {
      engine.up = false;
      pause = kPause;
      said.clear();
      was_up = engine.process;
      feed(EngineDown{slot, lived.error().what});
    } else if (was_up && was_up == engine.process && co_await engine.client.hangs()) {
      log::warn("engine_hangs", {{"slot", slot}, {"then", "restart"}});
      was_up.reset();
      do_action(RestartEngine{slot});
    } else if (lived.error().what != said) {
      said = lived.error().what;
      log::warn("engine_not_reached",
                {{"slot", slot}, {"url", engine.client.base().authority()}, {"why", said}});
      tell(slot, fmt::format("ComfyUI at {} is not reached: {}", engine.client.base().authority(), said));
    }
    if (!co_await runtime.sleep_for(pause)) co_return;
    pause = std::min(pause * 2, kPauseMost);
  }
}

awaitable<Result<void>> Agent::Impl::live_with_engine(std::uint32_t slot) {
  Engine& engine = *engines[slot];
  if (!engine.command.empty() && engine.process == nullptr)
    co_return fail(Errc::unavailable, "it is not running");  // whatever answers there is another one
  ATELIER_CO_TRY(const EngineStats stats, co_await engine.client.stats());
  ATELIER_CO_TRY_VOID(co_await read_lists(slot, true));
  ATELIER_CO_TRY(std::unique_ptr<net::WebSocket> open, co_await engine.client.open_socket());
  ATELIER_CO_TRY_VOID(co_await engine.client.clear_runs_of(fmt::format("atelier-{}-", options.name)));
  engine.inputs.engine_restarted();
  // At its start ComfyUI removes its temp folder and makes another.
  if (engine.folders) {
    ATELIER_CO_TRY(engine.folders, open_engine_folders(options.comfy_dir, engine.temp_parent));
    co_await look_at_folders(slot);
  }
  co_await sweep_folders(slot, kDay);
  engine.up = true;
  EngineInfo& info = engine.info;
  info.comfy_version = stats.comfy_version;
  info.object_info = engine.digest;
  info.models = engine.models;
  info.engine_start = static_cast<std::uint64_t>(std::max<std::int64_t>(runtime.wall().ms, 0));
  info.device = stats.device;
  info.vram_total = stats.vram_total;
  feed(EngineUp{slot, info, stats.vram_free});
  if (!engine.folders_unused.empty()) tell(slot, engine.folders_unused);
  if (!engine.folders) {
    log::info("files_by_http", {{"slot", slot},
                                {"why", "no --comfy-dir"},
                                {"then", "inputs up to ComfyUI's upload limit; what it writes stays there"}});
  }
  int breaks = 0;
  Instant opened_at = runtime.now();
  for (;;) {
    auto message = co_await open->read(runtime.now() + kReadTurn);
    if (!message && message.error().code == Errc::timeout && open->is_open()) continue;
    if (!message) {
      // One that breaks at once, again and again, is opened less and less often.
      if (runtime.now() - opened_at > kLivedWell) breaks = 0;
      auto again =
          co_await open_socket_again(slot, std::min(kPause * (1 << std::min(breaks++, 6)), kPauseMost));
      if (!again) co_return std::unexpected(std::move(message).error());
      opened_at = runtime.now();
      log::warn("engine_socket_again", {{"slot", slot}, {"why", message.error().what}});
      open = std::move(*again);
      continue;
    }
    if (message->kind == net::MessageKind::text) {
      feed(EngineEvent{slot, std::string(message->view())});
    } else {
      feed(EngineFrame{slot, std::string(message->view())});
    }
    ATELIER_CO_TRY_VOID(co_await let_link_follow(slot));
  }
}

awaitable<Result<std::unique_ptr<net::WebSocket>>> Agent::Impl::open_socket_again(std::uint32_t slot,
                                                                                  milliseconds pause) {
  Engine& engine = *engines[slot];
  std::vector<AskRun> ours;
  for (const auto& [key, job] : machine.jobs()) {
    if (job.lease.slot != slot || !job.in_engine()) continue;
    // Its pictures come over the socket only: those of the gap would be missing.
    if (files_of(key)->post_body.find(kSocketSaver) != std::string::npos)
      co_return fail(Errc::closed, "pictures may be missing");
    ours.push_back(AskRun{key, slot, job.lease.run_id});
  }
  if (ours.empty() || !co_await runtime.sleep_for(pause)) co_return fail(Errc::closed, "it runs nothing");
  ATELIER_CO_TRY(std::unique_ptr<net::WebSocket> open, co_await engine.client.open_socket());
  bool same = false;  // one that was started again meanwhile knows none of them
  std::vector<RunAsked> answers;
  for (const AskRun& run : ours) {
    auto asked = co_await engine.client.ask(run.run_id.uuid());
    same = same || (asked.place != RunPlace::absent && asked.place != RunPlace::unreachable);
    answers.push_back(RunAsked{run.key, asked.place, std::move(asked.history)});
  }
  if (!same) co_return fail(Errc::closed, "another ComfyUI answers");
  for (RunAsked& answer : answers) feed(std::move(answer));  // what was said meanwhile is lost
  co_return open;
}

void Agent::Impl::tell(std::uint32_t slot, const std::string& what) { feed(EngineNoted{slot, what}); }

awaitable<void> Agent::Impl::look_at_folders(std::uint32_t slot) {
  Engine& engine = *engines[slot];
  // The name may be anything: ComfyUI gives no file whose name holds "..".
  const std::string name = sha256(fmt::format("{}/{}", options.name, slot)).hex().substr(0, 16);
  const auto foreign =
      co_await foreign_folder(runtime, engine.client, *engine.folders, ".atelier-look-" + name);
  engine.sees_folders = !foreign;
  engine.folders_unused.clear();
  if (!foreign) co_return;
  engine.folders_unused = fmt::format(
      "the ComfyUI at {} does not see what lies in the {} folder of {}; files go by its upload and "
      "view. Give its own folder as --comfy-dir",
      engine.client.base().authority(), *foreign,
      *foreign == "temp" ? engine.temp_parent : options.comfy_dir);
  log::warn("comfy_dir_not_used", {{"slot", slot}, {"why", engine.folders_unused}});
}

awaitable<Result<void>> Agent::Impl::let_link_follow(std::uint32_t slot) {
  while (outgoing != nullptr && is_behind(*outgoing)) {
    feed(EngineUnread{slot});
    if (!co_await runtime.sleep_for(kLinkPause)) co_return fail(Errc::cancelled, "the agent ends");
  }
  co_return Result<void>();
}

awaitable<std::optional<Agent::Impl::LookedUp>> Agent::Impl::look_up_models(std::uint32_t slot, bool anew) {
  Engine& engine = *engines[slot];
  auto names = co_await engine.client.model_names();
  if (!names) {
    log::debug("models_not_told", {{"slot", slot}, {"why", names.error().what}});
    co_return std::nullopt;
  }
  if (!anew && *names == engine.model_names) co_return std::nullopt;
  auto facts = co_await engine.client.model_facts();
  if (!facts && facts.error().code == Errc::unavailable) co_return std::nullopt;
  LookedUp found;
  found.names = std::move(*names);
  const comfy::ModelLists lists = facts ? comfy::ModelLists::combine(*facts, found.names) : found.names;
  found.sizes = print_model_sizes(lists);
  found.text = std::make_shared<const std::string>(lists.print());
  found.digest = sha256(*found.text);
  co_return found;
}

awaitable<Result<bool>> Agent::Impl::read_lists(std::uint32_t slot, bool anew) {
  Engine& engine = *engines[slot];
  ATELIER_CO_TRY(std::string text, co_await engine.client.object_info());
  auto bytes = std::make_shared<const std::string>(std::move(text));
  const std::optional<LookedUp> models = co_await look_up_models(slot, anew);
  auto parse = [bytes, seen = anew ? std::nullopt : engine.seen] {
    ReadInfo read;
    read.digest = sha256(*bytes);
    if (read.digest == seen) return read;
    read.info = comfy::ObjectInfo::parse(*bytes);
    if (*read.info) read.ability = comfy::ability_of(**read.info);
    return read;
  };
  auto read = co_await run_blocking(runtime.compute_pool(), std::move(parse));
  engine.seen = read.digest;
  if (read.info && !*read.info) co_return std::unexpected(std::move(*read.info).error());
  const bool other_ability = anew || (read.info && read.ability != engine.ability);
  const std::optional<Digest> digest = models ? std::optional(models->digest) : engine.models;
  if (!anew && !other_ability && digest == engine.models) co_return false;
  // A file that is still being copied there is listed already: what two looks see alike is whole.
  const comfy::EngineAbility& ability = other_ability ? read.ability : engine.ability;
  if (!anew && (ability != engine.next_ability || digest != engine.next_models)) {
    engine.next_ability = ability;
    engine.next_models = digest;
    if (other_ability) engine.seen.reset();
    co_return false;
  }
  if (models) {
    engine.model_names = models->names;
    engine.models = models->digest;
    engine.model_lists = models->text;
    engine.model_sizes = models->sizes;
  } else if (anew) {
    engine.model_names.reset();
    engine.models.reset();
    engine.model_lists.reset();
    engine.model_sizes = "{}";
  }
  if (other_ability) {
    engine.digest = read.digest;
    engine.object_info_bytes = std::move(bytes);
    engine.object_info = std::make_shared<const comfy::ObjectInfo>(std::move(**read.info));
    engine.ability = std::move(read.ability);
  }
  co_return true;
}

awaitable<void> Agent::Impl::look_for_changes(std::uint32_t slot) {
  Engine& engine = *engines[slot];
  int passed_over = 0;
  while (co_await runtime.sleep_for(options.look_again)) {
    if (!engine.up || (machine.busy(slot) && ++passed_over < kLooksWhileBusy)) continue;
    passed_over = 0;
    const auto changed_lists = co_await read_lists(slot, false);
    if (!changed_lists || !*changed_lists || !engine.up) continue;
    engine.info.object_info = engine.digest;
    engine.info.models = engine.models;
    feed(EngineChanged{slot, engine.info});
  }
}

awaitable<void> Agent::Impl::poll_engine(std::uint32_t slot) {
  while (co_await runtime.sleep_for(kPollInterval)) {
    Engine& engine = *engines[slot];
    if (!engine.up) continue;
    auto stats = co_await engine.client.stats();
    if (!stats) continue;
    auto remaining = co_await engine.client.queue_remaining();
    feed(EngineAnswered{slot, stats->device, stats->vram_total, stats->vram_free,
                        remaining ? std::optional(*remaining) : std::nullopt});
  }
}

awaitable<void> Agent::Impl::measure() {
  std::shared_ptr<Nvml> nvml = Nvml::load(kNvmlLibrary);
  if (!nvml) log::info("no_gpu_driver_to_ask", {{"library", kNvmlLibrary}});
  do {
    Measured measured;
    if (disk_free() < kDiskTight) co_await sweep_folders(0, kSixHours);
    measured.disk_free = disk_free();
    if (nvml) {
      // The driver may take a while, and stands still when a GPU has fallen off the bus.
      auto read = [nvml] { return nvml->read(); };
      measured.gpus = co_await run_blocking(runtime.file_pool(), std::move(read));
    }
    measured.clock = runtime.wall().ms;
    feed(std::move(measured));
  } while (co_await runtime.sleep_for(kPollInterval));
}

}  // namespace atelier::agent
