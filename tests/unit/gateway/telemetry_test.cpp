// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "gateway/public/metrics.hpp"
#include "gateway/worker_link/worker_state.hpp"
#include "unit/gateway/link_rig.hpp"

namespace atelier::gateway::test {
namespace {

link::Telemetry telemetry(LinkRig& rig) {
  link::Telemetry told;
  told.disk_free = 7'000;
  told.slots.push_back({0, "cuda:0", 90, 30, 2});
  told.gpus.emplace().push_back({"H\"200", 90, 60, 97, 71, 612'345, {}});
  told.clock = rig.runtime.wall().ms + 1'500;
  return told;
}

}  // namespace

TEST_CASE("what a worker says of itself is in the API while it is connected") {
  LinkRig rig;
  const std::string path = "/workers/gpu-1/telemetry";
  {
    Agent agent(rig);
    CHECK(rig.api(net::Method::get, path).json().at("telemetry").is_null());
    agent.say(telemetry(rig));
    const auto told = rig.api(net::Method::get, path).json().at("telemetry");
    CHECK(told.at("disk_free") == 7'000);
    CHECK(told.at("clock_ahead_ms") == 1'500);
    CHECK(told.at("gpus").at(0).at("load_percent") == 97);
    CHECK(told.at("gpus").at(0).at("power_limit_milliwatts").is_null());
    CHECK(told.at("slots").at(0).at("queue_remaining") == 2);
  }
  CHECK(rig.api(net::Method::get, path).json().at("telemetry").is_null());
  CHECK(rig.api(net::Method::get, "/workers/gpu-9/telemetry").status == 404);
}

TEST_CASE("what a worker is about is told by its slots, and by what the instructor wants of it") {
  using core::SlotState;
  const auto state = [](std::vector<SlotState> slots, bool paused = false, bool draining = false) {
    core::WorkerFacts worker;
    worker.paused = paused;
    worker.draining = draining;
    for (const SlotState each : slots) worker.slots.emplace_back().state = each;
    return std::string(worker_state(worker));
  };
  CHECK(state({}) == "engine_lost");
  CHECK(state({SlotState::engine_lost}, true) == "engine_lost");
  CHECK(state({SlotState::engine_lost, SlotState::idle}) == "idle");
  CHECK(state({SlotState::idle, SlotState::busy}, true, true) == "busy");
  CHECK(state({SlotState::idle}, true) == "paused");
  CHECK(state({SlotState::idle}, false, true) == "draining");
  CHECK(state({SlotState::stopping}) == "stopping");
}

TEST_CASE("the last lines of an engine are kept, and only so many") {
  LinkRig rig;
  Agent agent(rig);
  for (int i = 0; i < 200; ++i)
    agent.say(link::LogLines{0, {"a" + std::to_string(i), "b" + std::to_string(i)}});
  const auto log = rig.api(net::Method::get, "/workers/gpu-1/log").json();
  const auto& lines = log.at("slots").at(0).at("lines").as_array();
  CHECK(lines.size() == kEngineLinesMax);
  CHECK(lines.front() == "a50");
  CHECK(lines.back() == "b199");
}

TEST_CASE("an engine is started again only where its agent started it, memory is freed anywhere") {
  LinkRig rig;
  Agent agent(rig);
  const auto act = [&](std::string body) {
    return rig.api(net::Method::post, "/workers/gpu-1/actions", std::move(body));
  };
  const Reply refused = act(R"({"action":"restart_engine","slot":0})");
  CHECK(refused.status == 409);
  CHECK(refused.body.find("--launch") != std::string::npos);
  CHECK(agent.take<link::RestartEngine>().empty());
  CHECK(act(R"({"action":"free_memory","slot":0})").status == 200);
  CHECK(agent.take<link::Free>().size() == 1);
  CHECK(act(R"({"action":"free_memory","slot":3})").status == 404);
  CHECK(act(R"({"action":"explode","slot":0})").status == 422);
  agent.leave();
  CHECK(act(R"({"action":"free_memory","slot":0})").status == 409);
}

TEST_CASE("slots are added and removed by the worker, and only where that can be") {
  LinkRig rig;
  Agent agent(rig);
  const auto act = [&](std::string body) {
    return rig.api(net::Method::post, "/workers/gpu-1/actions", std::move(body)).status;
  };
  const auto slots = [&] {
    return rig.api(net::Method::get, "/workers/gpu-1").json().at("worker").at("slots").as_array().size();
  };
  CHECK(act(R"({"action":"add_slot"})") == 409);  // this agent starts none
  CHECK(agent.take<link::AddSlot>().empty());
  CHECK(act(R"({"action":"add_slot","slot":1})") == 422);
  CHECK(act(R"({"action":"add_slot","port":0})") == 422);
  CHECK(act(R"({"action":"free_memory","slot":0,"port":8189})") == 422);
  CHECK(act(R"({"action":"remove_slot"})") == 422);
  CHECK(act(R"({"action":"remove_slot","slot":0})") == 409);  // its only one
  CHECK(agent.take<link::RemoveSlot>().empty());

  CHECK(act(R"({"action":"add_slot","port":8189})") == 200);
  const auto added = agent.take<link::AddSlot>();
  REQUIRE(added.size() == 1);
  CHECK(added.front().port == 8189);
  link::HelloSlot slot;
  slot.slot = 1;
  slot.engine = link::EngineState::starting;
  agent.say(link::SlotsChanged{{slot}, {}});
  CHECK(slots() == 2);
  CHECK(act(R"({"action":"remove_slot","slot":0})") == 200);
  CHECK(agent.take<link::RemoveSlot>().size() == 1);
  agent.say(link::SlotsChanged{{}, {0}});
  CHECK(slots() == 1);
  CHECK(act(R"({"action":"free_memory","slot":0})") == 404);
  CHECK(act(R"({"action":"remove_slot","slot":1})") == 409);
}

TEST_CASE("slots that a worker adds again, or takes away though they are not there, grow nothing") {
  struct Count final : workshop::EffectSink {
    void on_effects(const core::Entry& entry, std::span<const core::Effect> /*effects*/) override {
      events += std::holds_alternative<core::SlotsChanged>(entry.event) ? 1 : 0;
    }
    int events = 0;
  };
  Count count;
  LinkRig rig;
  Agent agent(rig);
  rig.workshop->add_sink(count);
  agent.say(link::SlotsChanged{{}, {5, 6}});
  CHECK(count.events == 0);
  link::HelloSlot slot;
  slot.slot = 0;
  agent.say(link::SlotsChanged{{slot}, {}});
  CHECK(count.events == 0);
  CHECK(agent.closed() == net::CloseCode::protocol_error);
}

TEST_CASE("the sizes of models stand in the capability that is declared after them") {
  constexpr std::string_view kInfo =
      R"({"Load":{"input":{"required":{"ckpt":[["a.safetensors","b.safetensors"]]}},"input_order":)"
      R"({"required":["ckpt"]},"output":["MODEL"],"output_is_list":[false],"output_name":["MODEL"],)"
      R"("name":"Load","display_name":"Load","description":"","python_module":"nodes","category":"x",)"
      R"("output_node":false}})";
  struct Watch final : workshop::EffectSink {
    void on_effects(const core::Entry& entry, std::span<const core::Effect> /*effects*/) override {
      if (const auto* one = std::get_if<core::Capability>(&entry.event)) seen.push_back(*one);
    }
    std::vector<core::Capability> seen;
  };
  Watch watch;
  LinkRig rig;
  Agent agent(rig);
  rig.workshop->add_sink(watch);
  const std::string hash = sha256(kInfo).hex();
  const auto put = [&](const std::string& what, std::string body) {
    return agent.send(net::Method::put, "/worker/" + what + "/" + hash, std::move(body)).status;
  };
  CHECK(put("model_sizes", R"({"b.safetensors":-1})") == 400);
  CHECK(put("model_sizes", R"([1])") == 400);
  CHECK(put("model_sizes", R"({"b.safetensors":6500000000,"other.pt":5})") == 204);
  CHECK(put("object_info", std::string(kInfo)) == 204);
  REQUIRE(watch.seen.size() == 1);
  CHECK(watch.seen[0].models == std::vector<std::string>{"a.safetensors", "b.safetensors"});
  CHECK(watch.seen[0].model_bytes == std::vector<std::uint64_t>{0, 6'500'000'000});
}

TEST_CASE("metrics are in Prometheus' text format, and what nobody measured has no line") {
  LinkRig rig;
  MetricsSource source;
  source.accepting = true;
  source.waiting = 3;
  source.swept = {2, 4096};
  WorkerView worker;
  worker.name = "gpu-1";
  worker.readings.emplace().telemetry = telemetry(rig);
  source.workers.push_back(worker);
  source.loaded.push_back({"gpu-1", 0, {"sd/a\"b.safetensors"}});
  const std::string text = metrics_text(source);
  CHECK(text.find("\natelier_comfyui_model_loaded{worker=\"gpu-1\",slot=\"0\",model=\"sd/"
                  "a\\\"b.safetensors\"} 1\n") != std::string::npos);
  CHECK(text.find("# TYPE atelier_jobs gauge\natelier_jobs{state=\"waiting\"} 3\n") != std::string::npos);
  CHECK(text.find("atelier_gpu_load_ratio{worker=\"gpu-1\",gpu=\"0\",name=\"H\\\"200\"} 0.97\n") !=
        std::string::npos);
  CHECK(text.find("atelier_gpu_power_watts{worker=\"gpu-1\",gpu=\"0\",name=\"H\\\"200\"} 612.345\n") !=
        std::string::npos);
  CHECK(text.find(
            "# TYPE atelier_blobs_removed_bytes_total counter\natelier_blobs_removed_bytes_total 4096\n") !=
        std::string::npos);
  CHECK(text.find("\natelier_gpu_power_limit_watts{") == std::string::npos);
  CHECK(text.find("\natelier_worker_clock_ahead_seconds{") == std::string::npos);
}

}  // namespace atelier::gateway::test
