// SPDX-License-Identifier: MIT
#include "fake_comfy.hpp"

#include <algorithm>
#include <boost/json.hpp>

#include "comfy/history.hpp"
#include "comfy/json.hpp"
#include "comfy/messages.hpp"
#include "probe.hpp"

namespace atelier::sim {
namespace json = boost::json;

FakeComfy::FakeComfy(World& world, std::uint64_t seed, const std::vector<std::string>& models)
    : world_(world), random_(seed, 2) {
  std::string names;
  for (const std::string& model : models) names += fmt::format(R"({}"{}")", names.empty() ? "" : ",", model);
  object_info_ =
      R"({"Save":{"input":{"required":{"filename_prefix":["STRING",{"default":"x"}],"seed":["INT",{}]},)"
      R"("optional":{"image":[["a"],{"image_upload":true}],"model":[[)" +
      names +
      R"(],{}]}},"output":[],"output_is_list":[],"output_name":[],)"
      R"("name":"Save","display_name":"Save","description":"","category":"","output_node":true}})";
}

void FakeComfy::emit(std::string text) {
  if (random_.chance(faults.event_lost)) {
    SIM_PROBE("engine_event_lost");
    return;
  }
  if (on_event) on_event(std::move(text));
}

void FakeComfy::kill() {
  if (!up_) return;
  if (running_) {
    SIM_PROBE("engine_killed_running");
  } else {
    SIM_PROBE("engine_killed_idle");
  }
  up_ = false;
  loaded_.clear();
  running_.reset();
  waiting_.clear();
  history_.clear();
  if (on_down) on_down();
  world_.after(random_.ms(2'000, 20'000), [this] {
    up_ = true;
    ++start_;
    if (on_up) on_up();
  });
}

void FakeComfy::clear() {
  waiting_.clear();
  if (running_) running_->interrupted = true;
}

agent::PostResult FakeComfy::post(const std::string& body) {
  if (!up_) return agent::PostResult::unreachable;
  if (random_.chance(faults.post_refused)) {
    SIM_PROBE("engine_post_refused");
    return agent::PostResult::refused;
  }
  const auto parsed = comfy::Json::parse(body);
  if (!parsed) world_.broken("the agent posted something that is not JSON");
  const json::object& object = parsed->object();
  Run run;
  run.id = std::string(object.at("prompt_id").as_string());
  for (const auto& member : object.at("prompt").as_object()) {
    const json::object& inputs = member.value().as_object().at("inputs").as_object();
    const json::value* model = inputs.if_contains("model");
    run.nodes.push_back({std::string(member.key()), std::string(inputs.at("filename_prefix").as_string()),
                         model == nullptr ? "" : std::string(model->as_string()),
                         inputs.at("seed").as_int64()});
  }
  run.deaf = random_.chance(faults.ignores_interrupt);
  waiting_.push_back(std::move(run));
  begin_next();
  if (random_.chance(faults.post_answer_lost)) {
    SIM_PROBE("engine_post_answer_lost");
    return agent::PostResult::unreachable;
  }
  return agent::PostResult::accepted;
}

void FakeComfy::begin_next() {
  if (running_ || waiting_.empty()) return;
  running_ = std::move(waiting_.front());
  waiting_.pop_front();
  running_->begun = world_.now();
  world_.after(random_.ms(1, 50), [this, start = start_] {
    if (start != start_ || !running_) return;
    emit(comfy::execution_start_message(running_->id, world_.now().ms));
    emit(comfy::execution_cached_message(running_->id, {}, world_.now().ms));
    step(start);
  });
}

void FakeComfy::step(std::uint64_t start) {
  if (start != start_ || !up_ || !running_) return;
  Run& run = *running_;
  if (run.interrupted && !run.deaf) return end("interrupted");
  if (run.next == run.nodes.size()) return end("success");
  const Node node = run.nodes[run.next];
  emit(comfy::executing_message(run.id, node.id, node.id));
  milliseconds takes = random_.ms(50, 4'000);
  if (!node.model.empty() && node.model != loaded_) {
    takes += random_.ms(1'000, 8'000);
    loaded_ = node.model;
  }
  // An interrupt is obeyed between two nodes: in time, or when the workshop has lost its patience.
  if (node.seed == kEndlessSeed) takes = random_.chance(500) ? milliseconds{150'000} : milliseconds{400'000};
  world_.after(takes, [this, start, node] {
    if (start != start_ || !up_ || !running_) return;
    if (node.seed == kPoisonSeed) {
      SIM_PROBE("engine_poisoned");
      return kill();
    }
    if (random_.chance(faults.error)) {
      SIM_PROBE("engine_error");
      return end("error");
    }
    ++running_->next;
    const std::string output = save(node);
    if (!output.empty()) {
      running_->outputs.emplace_back(node.id, output);
      emit(comfy::executed_message(running_->id, node.id, node.id, output));
    }
    step(start);
  });
}

std::string FakeComfy::save(const Node& node) {
  const std::size_t slash = node.prefix.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : node.prefix.substr(0, slash);
  const std::string stem = slash == std::string::npos ? node.prefix : node.prefix.substr(slash + 1);
  const std::string name = fmt::format("{}_{:05}_.txt", stem, ++counters_[node.prefix]);
  std::string bytes = fmt::format("made from seed {} by node {}", node.seed, node.id);
  if (node.seed == 5) bytes.append(1'300'000, '.');  // more than one chunk of an upload
  if (random_.chance(faults.output_missing)) {
    SIM_PROBE("engine_output_missing");
  } else {
    files_[folder.empty() ? name : folder + "/" + name] = std::move(bytes);
  }
  if (random_.chance(faults.file_without_ui)) {
    SIM_PROBE("engine_file_without_ui");
    return {};
  }
  return fmt::format(R"({{"images":[{{"filename":"{}","subfolder":"{}","type":"output"}}]}})", name, folder);
}

void FakeComfy::end(std::string_view how) {
  Run run = std::move(*running_);
  running_.reset();
  agent::RunHistory history;
  std::string event;
  if (how == "success") {
    event = comfy::execution_success_message(run.id, world_.now().ms);
  } else if (how == "error") {
    comfy::ExecutionError error;
    error.exception_message = "it broke";
    error.exception_type = "Fake";
    event = comfy::execution_error_message(run.id, error, world_.now().ms);
    history.outcome = link::Outcome::failed;
  } else {
    event = comfy::execution_interrupted_message(run.id, "", "", {}, world_.now().ms);
    history.outcome = link::Outcome::cancelled;
  }
  history.event = event;
  history.report = fmt::format(R"({{"status":{},"meta":{{}}}})", comfy::history_status(how == "success", {}));
  history.gpu_ms = static_cast<std::uint64_t>((world_.now() - run.begun).count());
  history.outputs = run.outputs;
  history_[run.id] = history;
  emit(event);
  emit(comfy::executing_end_message(run.id));
  begin_next();
}

agent::RunPlace FakeComfy::place(const std::string& id) const {
  if (!up_) return agent::RunPlace::unreachable;
  if (running_ && running_->id == id) return agent::RunPlace::running;
  if (std::ranges::any_of(waiting_, [&](const Run& run) { return run.id == id; }))
    return agent::RunPlace::pending;
  return history_.contains(id) ? agent::RunPlace::done : agent::RunPlace::absent;
}

std::optional<agent::RunHistory> FakeComfy::history(const std::string& id) const {
  const auto found = history_.find(id);
  return found == history_.end() ? std::nullopt : std::optional(found->second);
}

void FakeComfy::interrupt(const std::string& id) {
  std::erase_if(waiting_, [&](const Run& run) { return run.id == id; });
  if (!running_ || running_->id != id) return;
  if (running_->deaf) SIM_PROBE("engine_ignores_interrupt");
  running_->interrupted = true;
}

const std::string* FakeComfy::file(const std::string& path) const {
  const auto found = files_.find(path);
  return found == files_.end() ? nullptr : &found->second;
}

std::vector<std::string> FakeComfy::files_below(const std::string& folder) const {
  std::vector<std::string> paths;
  for (const auto& [path, bytes] : files_) {
    if (path.starts_with(folder + "/")) paths.push_back(path);
  }
  return paths;
}

}  // namespace atelier::sim
