// SPDX-License-Identifier: MIT
// The walk over the graph. What is wrong with one literal value is found in check_value.cpp.
#include "comfy/validate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <optional>
#include <utility>

#include "comfy/check_value.hpp"
#include "comfy/dynamic_inputs.hpp"
#include "comfy/foreign_names.hpp"
#include "comfy/input_spec.hpp"
#include "comfy/prompt_graph.hpp"
#include "comfy/python_text.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

/// So many errors show a participant's files; nobody reads more, and each holds the whole list.
constexpr std::size_t kFileErrorsMax = 100;

constexpr std::size_t kChainMax = 900;           // Python's recursion ends a little above
constexpr std::size_t kDependentsMax = 100'000;  // entries of dependent_outputs in one answer

/// What is known of one node.
struct Verdict {
  bool known = false;  // looked at, or blamed while it is being looked at
  bool good = true;
  json::array errors;
};

/// One call of ComfyUI's validate_inputs, suspended while a linked node is looked at.
struct Frame {
  std::size_t node = 0;
  EffectiveInputs inputs;
  std::size_t next = 0;
  bool good = true;
  json::array errors;
};

class Walk {
 public:
  Walk(const PromptGraph& graph, const FileLookup& exists)
      : graph_(graph), exists_(exists), verdicts_(graph.nodes().size()), depth_(graph.nodes().size()) {
    frames_.reserve(std::min(kChainMax, graph.nodes().size()) + 1);
  }

  /// Looks at everything behind one output. False: it cannot run.
  bool output(std::size_t node, json::array& reasons) {
    std::optional<PythonError> failure = run(node);
    if (failure) {
      json::object extra{{"exception_type", failure->type}, {"traceback", json::array()}};
      Verdict& verdict = verdict_of(node);
      verdict.good = false;
      verdict.errors = {make_error("exception_during_validation", "Exception when validating node",
                                   failure->text, std::move(extra))};
    }
    const Verdict& verdict = verdicts_[node];
    if (!verdict.good) reasons = verdict.errors;
    return verdict.good;
  }

  /// Calls with every node that has reasons of its own, in the order in which they were met.
  template <class F>
  void each_bad(F&& call) const {
    for (const std::size_t node : met_) {
      const Verdict& verdict = verdicts_[node];
      if (!verdict.good && !verdict.errors.empty()) call(graph_.nodes()[node], verdict.errors);
    }
  }

 private:
  [[nodiscard]] const PromptNode& node_of(const Frame& frame) const { return graph_.nodes()[frame.node]; }

  Verdict& verdict_of(std::size_t node) {
    Verdict& verdict = verdicts_[node];
    if (!verdict.known) met_.push_back(node);
    verdict.known = true;
    return verdict;
  }

  std::optional<PythonError> run(std::size_t output) {
    frames_.clear();
    if (verdicts_[output].known) return std::nullopt;
    if (auto failure = push(output)) {
      pop();
      return failure;
    }
    while (true) {
      auto failure = step();
      if (!failure && !frames_.empty()) continue;
      if (!failure) return std::nullopt;
      const std::size_t failed = frames_.back().node;
      pop();
      if (frames_.empty()) return failure;
      blame_inner(failed, *failure);
    }
  }

  /// The caller of a node whose validation raised catches it, blames that node and goes on.
  void blame_inner(std::size_t failed, const PythonError& failure) {
    Frame& frame = frames_.back();
    const InputSpec& spec = *frame.inputs.all[frame.next - 1];
    json::object extra{
        {"input_name", spec.name},           {"input_config", input_config(spec)},
        {"exception_message", failure.text}, {"exception_type", failure.type},
        {"traceback", json::array()},        {"linked_node", node_of(frame).inputs->at(spec.name)}};
    frame.good = false;
    Verdict& verdict = verdict_of(failed);
    verdict.good = false;
    verdict.errors = {make_error("exception_during_inner_validation", "Exception when validating inner node",
                                 failure.text, std::move(extra))};
  }

  void pop() {
    depth_[frames_.back().node] = 0;
    frames_.pop_back();
  }

  /// An error is an exception in the new frame.
  std::optional<PythonError> push(std::size_t index) {
    const bool too_deep = frames_.size() >= kChainMax;
    Frame& frame = frames_.emplace_back();
    frame.node = index;
    depth_[index] = frames_.size();
    if (too_deep) return PythonError{"RecursionError", "maximum recursion depth exceeded"};
    const PromptNode& node = graph_.nodes()[index];
    if (node.inputs != nullptr) {
      frame.inputs = effective_inputs(*node.node_class, *node.inputs);
      return std::nullopt;
    }
    const json::value* values = node.object->if_contains("inputs");
    if (values == nullptr) return PythonError{"KeyError", "'inputs'"};
    return PythonError{"TypeError",
                       fmt::format("argument of type '{}' is not iterable", python_type_name(*values))};
  }

  /// One input of the top frame, or its end. An error is an exception in the top frame.
  std::optional<PythonError> step() {
    Frame& frame = frames_.back();
    if (frame.next == frame.inputs.all.size()) return finish();
    const InputSpec& spec = *frame.inputs.all[frame.next++];
    json::value* value = node_of(frame).inputs->if_contains(spec.name);
    if (value == nullptr) {
      if (spec.group == InputGroup::required)
        frame.errors.push_back(missing_input_error(spec, frame.inputs.dynamic));
      return std::nullopt;
    }
    if (value->is_array()) return link(spec, *value);
    auto checked = check_value(*node_of(frame).node_class, spec, *value, exists_);
    if (!checked) return checked.error();
    if (*checked) frame.errors.push_back(std::move(**checked));
    return std::nullopt;
  }

  std::optional<PythonError> link(const InputSpec& spec, const json::value& value) {
    Frame& frame = frames_.back();
    const auto& pair = value.get_array();
    if (pair.size() != 2) {
      frame.errors.push_back(bad_link_error(spec, value));
      return std::nullopt;
    }
    const auto source = source_of(pair[0]);
    if (!source) return source.error();
    auto received = output_type(*graph_.nodes()[*source].node_class, pair[1]);
    if (!received) return received.error();
    if (!types_fit(**received, spec)) {
      frame.errors.push_back(mismatch_error(spec, **received, value));
      return std::nullopt;
    }
    if (takes_no_link(*node_of(frame).node_class, spec)) frame.errors.push_back(unknown_name_error(spec));
    return enter(*source);
  }

  std::expected<std::size_t, PythonError> source_of(const json::value& id) const {
    if (id.is_array() || id.is_object())
      return std::unexpected(
          PythonError{"TypeError", fmt::format("unhashable type: '{}'", python_type_name(id))});
    const auto found = id.is_string() ? graph_.find(text_view(id.get_string())) : std::nullopt;
    if (!found) return std::unexpected(PythonError{"KeyError", python_repr(id)});
    return *found;
  }

  static std::expected<const json::value*, PythonError> output_type(const NodeClass& source,
                                                                    const json::value& slot) {
    const char* kind = source.v3 ? "list" : "tuple";  // as their Python classes keep the types
    if (!slot.is_int64() && !slot.is_uint64() && !slot.is_bool())
      return std::unexpected(PythonError{
          "TypeError",
          fmt::format("{} indices must be integers or slices, not {}", kind, python_type_name(slot))});
    const auto& types = source.output_types;
    const auto size = static_cast<std::int64_t>(types.size());
    std::int64_t index = slot.is_bool()    ? std::int64_t{slot.get_bool()}
                         : slot.is_int64() ? slot.get_int64()
                                           : size;
    if (index < 0) index += size;
    if (index < 0 || index >= size)
      return std::unexpected(PythonError{"IndexError", fmt::format("{} index out of range", kind)});
    return types[static_cast<std::size_t>(index)];
  }

  std::optional<PythonError> enter(std::size_t node) {
    if (const Verdict& verdict = verdicts_[node]; verdict.known) {
      if (!verdict.good) frames_.back().good = false;
      return std::nullopt;
    }
    if (depth_[node] == 0) return push(node);
    cycle(depth_[node] - 1);
    frames_.back().good = false;
    return std::nullopt;
  }

  /// Every node of the ring is told of it; they keep it when they are finished.
  void cycle(std::size_t from) {
    std::string path;
    json::array ring;
    for (std::size_t i = from; i <= frames_.size(); ++i) {
      const PromptNode& node = node_of(frames_[i == frames_.size() ? from : i]);
      if (!path.empty()) path += " -> ";
      path += fmt::format("{} ({})", node.id, node.class_type);
      if (i < frames_.size()) ring.emplace_back(json::string_view(node.id.data(), node.id.size()));
    }
    for (std::size_t i = from; i < frames_.size(); ++i) {
      const std::string_view id = node_of(frames_[i]).id;
      json::object extra{{"node_id", json::string_view(id.data(), id.size())}, {"cycle_nodes", ring}};
      Verdict& verdict = verdict_of(frames_[i].node);
      verdict.good = false;
      verdict.errors = {make_error("dependency_cycle", "Dependency cycle detected", path, std::move(extra))};
    }
  }

  std::optional<PythonError> finish() {
    Frame& frame = frames_.back();
    auto custom = check_files(*node_of(frame).node_class, *node_of(frame).inputs, exists_);
    if (!custom) return custom.error();
    if (*custom) frame.errors.push_back(std::move(**custom));
    Verdict& verdict = verdict_of(frame.node);
    verdict.good = verdict.good && frame.good && frame.errors.empty();
    for (auto& error : frame.errors)
      if (std::find(verdict.errors.begin(), verdict.errors.end(), error) == verdict.errors.end())
        verdict.errors.push_back(std::move(error));
    const bool good = verdict.good;
    pop();
    if (!good && !frames_.empty()) frames_.back().good = false;
    return std::nullopt;
  }

  const PromptGraph& graph_;
  const FileLookup& exists_;
  std::vector<Frame> frames_;
  std::vector<Verdict> verdicts_;   // of each node of the graph
  std::vector<std::size_t> depth_;  // its frame's place, from 1; 0: it has none
  std::vector<std::size_t> met_;
};

/// `_meta.title`, if there is one (it may be null).
std::optional<json::value> title_of(const json::object& node) {
  const auto* meta = node.if_contains("_meta");
  const auto* title =
      meta != nullptr && meta->is_object() ? meta->get_object().if_contains("title") : nullptr;
  return title != nullptr ? std::optional(*title) : std::nullopt;
}

std::optional<json::object> check_class(const PromptNode& node) {
  // ComfyUI runs it; between worker and gateway "" is what no node's output names.
  if (node.id.empty()) return make_error("invalid_prompt", "A node of this prompt has an empty id.", "", {});
  if (node.node_class != nullptr) return std::nullopt;
  const std::string_view id = node.id;
  const auto* class_type = node.object->if_contains("class_type");
  const std::optional<json::value> own_title = title_of(*node.object);
  json::value title = own_title.value_or(json::value());
  json::object extra{
      {"node_id", json::string_view(id.data(), id.size())}, {"class_type", nullptr}, {"node_title", title}};
  const std::string details = fmt::format("Node ID '#{}'", id);
  if (class_type == nullptr) {
    const std::string name = python_truth(title) ? python_str(title) : fmt::format("ID #{}", id);
    return make_error(
        "missing_node_type",
        fmt::format("Node '{}' has no class_type. The workflow may be corrupted or a custom node is missing.",
                    name),
        details, std::move(extra));
  }
  if (!own_title) title = *class_type;
  extra["class_type"] = *class_type;
  extra["node_title"] = title;
  return make_error(
      "missing_node_type",
      fmt::format("Node '{}' not found. The custom node may not be installed.", python_str(title)), details,
      std::move(extra));
}

struct LooseLink {
  const PromptNode* from = nullptr;
  std::string_view input;
  const json::value* link = nullptr;
};

/// The first link, of those that ComfyUI follows from these outputs, to a node that is not there or has no
/// inputs. What a class does not declare is followed unchecked (ComfyUI 0.21.0, comfy_execution/graph.py,
/// add_node): its prompt thread ends there, and all later prompts wait for ever.
std::optional<LooseLink> find_loose_link(const PromptGraph& graph, std::vector<std::size_t> open) {
  std::vector<bool> met(graph.nodes().size());
  while (!open.empty()) {
    const PromptNode& node = graph.nodes()[open.back()];
    met[open.back()] = true;
    open.pop_back();
    for (const auto& member : *node.inputs) {
      if (!is_link(member.value())) continue;
      const auto target = graph.find(text_view(member.value().get_array()[0].get_string()));
      if (!target || graph.nodes()[*target].inputs == nullptr)
        return LooseLink{&node, {member.key().data(), member.key().size()}, &member.value()};
      if (!met[*target]) open.push_back(*target);
    }
  }
  return std::nullopt;
}

bool targeted(const PromptRequest& request, std::string_view id) {
  const auto& targets = request.partial_execution_targets;
  return !targets || std::binary_search(targets->begin(), targets->end(), id);
}

/// Adds to node_errors what is known after a failed output; ComfyUI names that output at every bad node met
/// so far.
void collect(const Walk& walk, std::string_view output, std::size_t& dependents, json::object& node_errors) {
  walk.each_bad([&](const PromptNode& node, const json::array& errors) {
    json::value& entry = node_errors[json::string_view(node.id.data(), node.id.size())];
    if (entry.is_null())
      entry = json::object{{"errors", errors},
                           {"dependent_outputs", json::array()},
                           {"class_type", node.object->at("class_type")}};
    if (++dependents > kDependentsMax) return;
    entry.as_object()["dependent_outputs"].as_array().emplace_back(
        json::string_view(output.data(), output.size()));
  });
}

/// Calls with each error about an input with a file_list, and that input, until it returns false.
template <class Object, class F>
void each_file_error(Object& node_errors, const PromptGraph& graph, F&& call) {
  for (auto& member : node_errors) {
    const auto node = graph.find({member.key().data(), member.key().size()});
    if (!node) continue;
    for (auto& error : member.value().as_object().at("errors").as_array()) {
      const auto* name = error.as_object().at("extra_info").as_object().if_contains("input_name");
      const InputSpec* spec =
          name == nullptr || !name->is_string()
              ? nullptr
              : graph.nodes()[*node].node_class->find_input(text_view(name->get_string()));
      if (spec != nullptr && spec->file_list && !call(error.as_object(), *spec)) return;
    }
  }
}

}  // namespace

bool errors_list_files(const Validation& validation, const PromptGraph& graph) {
  bool found = false;
  if (validation.node_errors.is_object())
    each_file_error(validation.node_errors.object(), graph, [&](const json::object&, const InputSpec&) {
      found = true;
      return false;
    });
  return found;
}

void list_files_in_errors(Validation& validation, const PromptGraph& graph,
                          const std::function<std::vector<std::string>(const FileListKey&)>& files) {
  if (!validation.node_errors.is_object()) return;
  std::map<FileListKey, std::vector<std::string>> known;
  std::size_t left = kFileErrorsMax;
  std::string summary;
  if (!validation.accepted) summary = text_view(validation.error.object().at("details").as_string());
  each_file_error(validation.node_errors.object(), graph, [&](json::object& error, const InputSpec& spec) {
    const std::string before(text_view(error.at("details").as_string()));
    auto names = known.find(*spec.file_list);
    if (names == known.end()) names = known.emplace(*spec.file_list, files(*spec.file_list)).first;
    show_own_files(error, spec, names->second);
    if (const std::size_t at = summary.find(before); at != std::string::npos)
      summary.replace(at, before.size(), text_view(error.at("details").as_string()));
    return --left > 0;
  });
  if (!validation.accepted)
    validation.error.object().at("details") = json::string_view(summary.data(), summary.size());
}

std::string Validation::error_body() const {
  return fmt::format(R"({{"error":{},"node_errors":{}}})", error.print(),
                     node_errors.is_null() ? "{}" : node_errors.print());
}

Validation validate(PromptRequest& request, const ObjectInfo& info, const FileLookup& exists) {
  return validate(request, PromptGraph(request.prompt.object(), info), exists);
}

Validation validate(const PromptRequest& request, const PromptGraph& graph, const FileLookup& exists) {
  Validation result;
  result.node_errors = Json(json::object());
  std::vector<std::size_t> outputs, good;
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const PromptNode& node = graph.nodes()[i];
    if (auto error = check_class(node)) {
      result.error = Json(std::move(*error));
      return result;
    }
    if (node.node_class->output_node && targeted(request, node.id)) outputs.push_back(i);
  }
  if (outputs.empty()) {
    result.error = Json(make_error("prompt_no_outputs", "Prompt has no outputs", "", {}));
    return result;
  }
  Walk walk(graph, exists);
  std::size_t dependents = 0;
  std::string details;
  for (const std::size_t output : outputs) {
    const std::string_view id = graph.nodes()[output].id;
    json::array reasons;
    if (walk.output(output, reasons)) {
      result.outputs_to_execute.emplace_back(id);
      good.push_back(output);
      continue;
    }
    for (const auto& reason : reasons) {
      if (!details.empty()) details += '\n';
      details += fmt::format("{}: {}", text_view(reason.at("message").as_string()),
                             text_view(reason.at("details").as_string()));
    }
    collect(walk, id, dependents, result.node_errors.object());
  }
  if (const auto loose = find_loose_link(graph, std::move(good))) {
    const json::string_view name(loose->input.data(), loose->input.size());
    json::object error =
        bad_link_error(loose->input, {{"input_name", name}, {"received_value", *loose->link}});
    details = fmt::format("{}: {}", text_view(error.at("message").as_string()), loose->input);
    result.node_errors.object()[json::string_view(loose->from->id.data(), loose->from->id.size())] = {
        {"errors", json::array{std::move(error)}},
        {"dependent_outputs", json::array()},
        {"class_type", loose->from->object->at("class_type")}};
    result.outputs_to_execute.clear();
  }
  result.accepted = !result.outputs_to_execute.empty();
  if (!result.accepted)
    result.error =
        Json(make_error("prompt_outputs_failed_validation", "Prompt outputs failed validation", details, {}));
  return result;
}

}  // namespace atelier::comfy
