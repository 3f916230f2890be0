// SPDX-License-Identifier: MIT
// Agent: ComfyUIs become slots and cease to be.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "agent/agent_impl.hpp"
#include "base/log.hpp"

namespace atelier::agent {
namespace {

constexpr std::uint32_t kPortsTried = 100;

std::string shell_quoted(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

}  // namespace

std::unique_ptr<Agent::Impl::Engine> Agent::Impl::make_engine(net::Url address) {
  // An id of its own per life, with a prefix by which the next life finds what this one left in ComfyUI's
  // queue.
  std::string client_id = fmt::format("atelier-{}-{}", options.name, runtime.random_key().hex());
  return std::make_unique<Engine>(runtime, engine_http, std::move(address), std::move(client_id),
                                  options.hang_limit);
}

Result<void> Agent::Impl::prepare_engine(std::uint32_t slot) {
  Engine& engine = *engines[slot];
  engine.temp_parent = options.comfy_dir;
  if (!options.launch.empty()) {
    ATELIER_TRY(EngineLog log, EngineLog::open(fmt::format("{}/engine-{}.log", options.log_dir, slot)));
    engine.log.emplace(std::move(log));
    engine.command = fmt::format("{} --port {}", options.launch, engine.client.port());
    if (engines.size() > 1) {
      engine.temp_parent = fmt::format("{}/slot-{}", options.log_dir, slot);
      std::error_code failed;
      std::filesystem::create_directory(engine.temp_parent, failed);
      if (failed)
        return fail(Errc::config, fmt::format("--log-dir: {}: {}", engine.temp_parent, failed.message()));
      engine.command +=
          fmt::format(" --temp-directory {} --database-url {}", shell_quoted(engine.temp_parent),
                      shell_quoted("sqlite:///" + engine.temp_parent + "/comfyui.db"));
    }
  } else if (slot >= options.comfy.size()) {
    return {};  // joined later: whose temp folder is which cannot be known, so its files go by HTTP
  }
  if (!options.comfy_dir.empty()) {
    ATELIER_TRY(engine.folders, open_engine_folders(options.comfy_dir, engine.temp_parent));
  }
  return {};
}

void Agent::Impl::watch(std::uint32_t slot) {
  Engine& engine = *engines[slot];
  if (!engine.command.empty()) engine.life.spawn("keep process", keep_process(slot));
  engine.life.spawn("keep engine", keep_engine(slot));
  engine.life.spawn("poll engine", poll_engine(slot));
  engine.life.spawn("look for changes", look_for_changes(slot));
}

Result<void> Agent::Impl::add_engine(const AddEngine& action) {
  net::Url address = options.comfy.front();
  std::uint32_t port = action.port;
  std::uint32_t highest = 0;
  for (std::uint32_t slot = 0; slot < engines.size(); ++slot) {
    if (slot == action.slot || engines[slot]->leaving) continue;
    highest = std::max<std::uint32_t>(highest, engines[slot]->client.port());
    if (action.port != 0 && engines[slot]->client.port() == action.port)
      return fail(Errc::config, fmt::format("port {} is that of slot {}", action.port, slot));
  }
  // What the agent starts needs the port for itself: whatever listens there would be taken for it.
  const auto is_free = [&](std::uint32_t number) {
    return options.launch.empty() || can_listen(address.host, static_cast<std::uint16_t>(number));
  };
  if (port == 0) {
    port = highest + 1;
    while (port <= 65'535 && port <= highest + kPortsTried && !is_free(port)) ++port;
  }
  if (port > 65'535 || !is_free(port))
    return fail(Errc::config, fmt::format("port {} is in use, or not to be had", port));
  address.port = static_cast<std::uint16_t>(port);
  auto engine = make_engine(std::move(address));
  if (action.slot < engines.size()) {
    former_engines.push_back(std::exchange(engines[action.slot], std::move(engine)));
  } else {
    engines.push_back(std::move(engine));
  }
  auto prepared = prepare_engine(action.slot);
  if (!prepared) {
    engines[action.slot]->leaving = true;
    return prepared;
  }
  watch(action.slot);
  return {};
}

void Agent::Impl::do_action(AddEngine&& action) { feed(EngineAdded{action.slot, add_engine(action)}); }

void Agent::Impl::do_action(RemoveEngine&& action) {
  engines[action.slot]->leaving = true;
  tasks.spawn("end engine", end_engine(action.slot));
}

awaitable<void> Agent::Impl::end_engine(std::uint32_t slot) {
  Engine& engine = *engines[slot];
  co_await end_process(slot);
  (void)co_await engine.life.stop(runtime.now() + milliseconds(5'000));
  engine.up = false;
  engine.process.reset();
  engine.log.reset();
  engine.folders.reset();
  engine.object_info_bytes.reset();
  engine.model_lists.reset();
  engine.object_info.reset();
  feed(EngineRemoved{slot});
}

}  // namespace atelier::agent
