// SPDX-License-Identifier: MIT
#include "rehearsal/prompt_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/json.hpp>
#include <set>

#include "base/log.hpp"
#include "comfy/python_text.hpp"
#include "rehearsal/linked_inputs.hpp"

namespace atelier::rehearsal {
namespace json = boost::json;
namespace {

constexpr milliseconds kReportInterval{50};
constexpr int kStepsPerNode = 10;

Value as_value(const json::value& value) {
  if (value.is_int64()) return value.as_int64();
  if (value.is_uint64()) return static_cast<std::int64_t>(value.as_uint64());
  if (value.is_double()) return value.as_double();
  if (value.is_bool()) return std::int64_t{value.as_bool()};
  if (value.is_string()) return std::string(value.as_string());
  if (value.is_null()) return std::monostate();
  return comfy::print_json(value);
}

// What execution_error shows of an input.
json::value describe(const Value& value) {
  if (const auto* tensor = std::get_if<TensorPtr>(&value)) {
    const Tensor& t = **tensor;
    return json::value(
        fmt::format("tensor of shape {} x {} x {} x {}", t.frames, t.height, t.width, t.channels));
  }
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return *whole;
  if (const auto* real = std::get_if<double>(&value)) return *real;
  if (const auto* text = std::get_if<std::string>(&value)) return json::value(*text);
  return std::holds_alternative<VideoPtr>(value) ? json::value("video") : json::value();
}

const json::object& inputs_of(const json::object& prompt, std::string_view id) {
  static const json::object kNone;
  const auto* node = prompt.if_contains(id);
  if (node == nullptr || !node->is_object()) return kNone;
  const auto* inputs = node->as_object().if_contains("inputs");
  return inputs != nullptr && inputs->is_object() ? inputs->as_object() : kNone;
}

std::string class_of(const json::object& prompt, std::string_view id) {
  const auto* node = prompt.if_contains(id);
  if (node == nullptr || !node->is_object()) return {};
  const auto* name = node->as_object().if_contains("class_type");
  return name != nullptr && name->is_string() ? std::string(name->as_string()) : std::string();
}

// `prompt` and every key of extra_pnginfo, as json.dumps writes them (nodes.py, SaveImage).
std::vector<image::PngText> metadata_of(const QueueItem& item) {
  std::vector<image::PngText> texts{{"prompt", comfy::python_json_dumps(item.prompt.value())}};
  const auto* extra = item.extra_data.object().if_contains("extra_pnginfo");
  if (extra == nullptr || !extra->is_object()) return texts;
  for (const auto& [key, value] : extra->as_object()) {
    texts.push_back({std::string(key), comfy::python_json_dumps(value)});
  }
  return texts;
}

json::value ui_of(const NodeOutput& output) {
  json::array list;
  for (const SavedImage& saved : output.images) {
    list.push_back({{"filename", saved.filename}, {"subfolder", saved.subfolder}, {"type", saved.type}});
  }
  json::object ui{{"images", std::move(list)}};
  if (output.animated) ui.emplace("animated", json::array{*output.animated});
  return ui;
}

std::string data_of_start(const std::string& id, std::int64_t time) {
  return json::serialize(json::object{{"prompt_id", id}, {"timestamp", time}});
}

}  // namespace

/// Carries progress from the pool to the io thread, and the wish to stop the other way.
class PromptRun::NodeWatch final : public Watch {
 public:
  NodeWatch(PromptRun& run, std::string id) : run_(run), id_(std::move(id)), last_(run.runtime_.now()) {}
  bool advance(std::uint64_t done, std::uint64_t total) override {
    if (run_.interrupt_.wanted.load(std::memory_order_relaxed)) return false;
    const Instant now = run_.runtime_.now();
    if (now - last_ < kReportInterval) return true;
    last_ = now;
    // The run waits for this node on the io thread, and posts are served in order: `run_` outlives the
    // handler.
    asio::post(run_.runtime_.executor(), [&run = run_, id = id_, done, total] {
      run.report_progress(id, static_cast<double>(done),
                          static_cast<double>(std::max<std::uint64_t>(total, 1)));
    });
    return true;
  }

 private:
  PromptRun& run_;
  std::string id_;
  Instant last_;
};

PromptRun::PromptRun(Runtime& runtime, const EngineOptions& options, Clients& clients,
                     const comfy::ObjectInfo& info, InterruptFlag& interrupt,
                     std::shared_ptr<const QueueItem> item)
    : runtime_(runtime),
      options_(options),
      clients_(clients),
      info_(info),
      interrupt_(interrupt),
      item_(std::move(item)),
      client_(item_->client_id()),
      metadata_(metadata_of(*item_)) {
  // The alphabet of ComfyUI's temporary names (nodes.py, PreviewImage).
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstupvxyz";
  for (int i = 0; i < 5; ++i) temp_letters_.push_back(kLetters[runtime_.random() % kLetters.size()]);
  build_graph();
}

void PromptRun::build_graph() {
  const auto& prompt = item_->prompt.object();
  for (const auto& [id, node] : prompt) {
    GraphNode entry;
    const NodeClass* node_class = find_node_class(class_of(prompt, id));
    entry.output_node = node_class != nullptr && node_class->output_node;
    for (const auto& [name, value] : inputs_of(prompt, id)) {
      if (auto link = as_link(value)) entry.sources.push_back(std::move(link->node));
    }
    graph_.emplace(std::string(id), std::move(entry));
  }
}

void PromptRun::add_message(std::string type, std::string data_json, bool broadcast) {
  if (client_ || broadcast) clients_.send(client_, comfy::message(type, data_json));
  outcome_.messages.push_back({std::move(type), std::move(data_json)});
}

void PromptRun::send_progress_state() {
  clients_.send(client_, comfy::progress_state_message(item_->prompt_id, progress_));
}

void PromptRun::start_progress(const std::string& id) {
  comfy::NodeProgress entry;
  entry.node_id = entry.display_node_id = entry.real_node_id = id;
  entry.state = "running";
  progress_.push_back(std::move(entry));
  send_progress_state();
}

void PromptRun::report_progress(const std::string& id, double value, double max) {
  if (progress_.empty() || progress_.back().node_id != id || progress_.back().state != "running") return;
  progress_.back().value = value;
  progress_.back().max = max;
  send_progress_state();
  clients_.send(client_, comfy::progress_message(item_->prompt_id, id, value, max));
}

void PromptRun::finish_progress(const std::string& id) {
  if (progress_.empty() || progress_.back().node_id != id) return;
  progress_.back().state = "finished";
  progress_.back().value = progress_.back().max;
  send_progress_state();
}

NodeCall PromptRun::make_call(const std::string& id, const comfy::NodeClass& declared) const {
  NodeCall call;
  call.folders = &options_.folders;
  call.metadata = &metadata_;
  call.temp_letters = temp_letters_;
  const auto& inputs = inputs_of(item_->prompt.object(), id);
  for (const comfy::InputSpec& spec : declared.inputs) {
    const auto* value = spec.group == comfy::InputGroup::hidden ? nullptr : inputs.if_contains(spec.name);
    if (value == nullptr) continue;
    if (const auto link = as_link(*value)) {
      const auto found = results_.find(link->node);
      if (found == results_.end()) continue;
      const auto count = static_cast<std::int64_t>(found->second.size());
      const std::int64_t slot = link->slot < 0 ? link->slot + count : link->slot;  // -1 is the last one
      if (slot >= 0 && slot < count)
        call.inputs.emplace(spec.name, found->second[static_cast<std::size_t>(slot)]);
    } else {
      call.inputs.emplace(spec.name, as_value(*value));
    }
  }
  return call;
}

awaitable<bool> PromptRun::spend_step_time(const std::string& id) {
  const Instant start = runtime_.now();
  for (int step = 1; options_.step_time.count() > 0 && step <= kStepsPerNode; ++step) {
    const Instant until = start + milliseconds{options_.step_time.count() * step / kStepsPerNode};
    while (!interrupt_.wanted && runtime_.now() < until)
      static_cast<void>(co_await interrupt_.changed.wait(until));
    if (interrupt_.wanted) co_return false;
    report_progress(id, step, kStepsPerNode);
  }
  co_return !interrupt_.wanted;
}

awaitable<NodeResult<NodeOutput>> PromptRun::run_node(const std::string& id, const NodeClass& node) {
  const bool go_on = co_await spend_step_time(id);
  if (!go_on) co_return interrupted();
  NodeWatch watch(*this, id);
  const comfy::NodeClass& declared = *info_.find(node.name);
  NodeCall call = make_call(id, declared);
  call.watch = &watch;
  if (auto wrong = check_linked_inputs(declared, inputs_of(item_->prompt.object(), id), call))
    co_return std::unexpected(std::move(*wrong));
  auto work = [&node, &call]() -> NodeResult<NodeOutput> {
    try {
      return node.run(call);
    } catch (const std::bad_alloc&) {
      return node_failure("RuntimeError", "there is not enough memory for this picture");
    } catch (const std::exception& mistake) {  // of ours: this prompt ends, the engine does not
      return node_failure("RuntimeError", mistake.what());
    }
  };
  co_return co_await run_blocking(runtime_.compute_pool(), std::move(work));
}

void PromptRun::keep_result(const std::string& id, NodeOutput output) {
  const auto& own_sources = graph_.at(id).sources;
  for (const std::string& source : std::set<std::string>(own_sources.begin(), own_sources.end())) {
    const auto uses = uses_left_.find(source);
    if (uses != uses_left_.end() && --uses->second == 0) results_.erase(source);
  }
  if (uses_left_[id] > 0) results_[id] = std::move(output.values);
}

void PromptRun::report_failure(const std::string& id, const NodeClass& node, const NodeFailure& failure) {
  const std::int64_t now = runtime_.wall().ms;
  if (failure.interrupted) {
    log::info("prompt_interrupted", {{"prompt_id", item_->prompt_id}, {"node", id}});
    add_message(
        "execution_interrupted",
        comfy::execution_interrupted_data(item_->prompt_id, id, std::string(node.name), executed_, now),
        true);
    return;
  }
  log::info("prompt_failed", {{"prompt_id", item_->prompt_id}, {"node", id}, {"type", failure.type}});
  comfy::ExecutionError error;
  error.node_id = id;
  error.node_type = node.name;
  error.executed = executed_;
  error.exception_message = failure.message + "\n";
  error.exception_type = failure.type;
  error.traceback = {fmt::format("  rehearsal engine, node {} of class {}\n", id, node.name)};
  json::object inputs;
  if (const auto* declared = info_.find(node.name)) {
    for (const auto& [name, value] : make_call(id, *declared).inputs)
      inputs.emplace(name, json::array{describe(value)});
  }
  error.current_inputs = comfy::Json(std::move(inputs));
  for (const auto& [other, entry] : graph_) error.current_outputs.push_back(other);
  add_message("execution_error", comfy::execution_error_data(item_->prompt_id, error, now), false);
}

awaitable<Outcome> PromptRun::run() {
  const std::string& id = item_->prompt_id;
  add_message("execution_start", data_of_start(id, runtime_.wall().ms), false);
  const json::object cached{{"nodes", json::array()}, {"prompt_id", id}, {"timestamp", runtime_.wall().ms}};
  add_message("execution_cached", json::serialize(cached), false);
  json::object outputs, meta;
  ExecutionOrder order(graph_, item_->outputs_to_execute);
  for (const std::string& taken : order.pending()) {
    const auto& sources = graph_.at(taken).sources;
    for (const std::string& source : std::set<std::string>(sources.begin(), sources.end()))
      ++uses_left_[source];
  }
  outcome_.success = true;
  while (outcome_.success) {
    const auto next = order.next();
    if (!next) break;
    const NodeClass* node = find_node_class(class_of(item_->prompt.object(), *next));
    if (node == nullptr) break;  // validation knows only classes that are there
    current_node_ = *next;
    start_progress(*next);
    if (client_) clients_.send(client_, comfy::executing_message(id, *next, *next));
    auto result = co_await run_node(*next, *node);
    if (!result) {
      outcome_.success = false;
      report_failure(*next, *node, result.error());
      break;
    }
    if (node->output_node || !result->images.empty()) {
      const json::value ui = ui_of(*result);
      if (client_) clients_.send(client_, comfy::executed_message(id, *next, *next, json::serialize(ui)));
      outputs.emplace(*next, ui);
      auto entry = comfy::Json::parse(comfy::history_meta(*next, *next, std::nullopt, *next));
      if (entry) meta.emplace(*next, entry->value());
    }
    keep_result(*next, std::move(*result));
    executed_.push_back(*next);
    finish_progress(*next);
    order.finish(*next);
  }
  current_node_.clear();
  if (outcome_.success) add_message("execution_success", data_of_start(id, runtime_.wall().ms), false);
  outcome_.outputs = comfy::Json(std::move(outputs));
  outcome_.meta = comfy::Json(std::move(meta));
  co_return std::move(outcome_);
}

}  // namespace atelier::rehearsal
