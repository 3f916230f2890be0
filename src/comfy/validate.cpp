// SPDX-License-Identifier: MIT
// The walk over the graph. What is wrong with one literal value is found in check_value.cpp.
#include "comfy/validate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

#include "comfy/check_value.hpp"
#include "comfy/dynamic_inputs.hpp"
#include "comfy/input_spec.hpp"
#include "comfy/python_text.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

constexpr std::size_t kChainMax = 900;           // Python's recursion ends a little above
constexpr std::size_t kDependentsMax = 100'000;  // entries of dependent_outputs in one answer

std::string_view view(json::string_view text) { return {text.data(), text.size()}; }

struct Verdict {
  bool good = true;
  json::array errors;
};

/// One call of ComfyUI's validate_inputs, suspended while a linked node is looked at.
struct Frame {
  std::string_view id;
  const NodeClass* node_class = nullptr;
  json::object* values = nullptr;
  EffectiveInputs inputs;
  std::size_t next = 0;
  bool good = true;
  json::array errors;
};

class Walk {
 public:
  Walk(json::object& prompt, const ObjectInfo& info, const FileLookup& exists)
      : prompt_(prompt), info_(info), exists_(exists) {}

  /// Looks at everything behind one output. False: it cannot run.
  bool output(std::string_view id, json::array& reasons) {
    std::optional<PythonError> failure = run(id);
    if (failure) {
      json::object extra{{"exception_type", failure->type}, {"traceback", json::array()}};
      Verdict& verdict = verdict_of(id);
      verdict.good = false;
      verdict.errors = {make_error("exception_during_validation", "Exception when validating node",
                                   failure->text, std::move(extra))};
    }
    const Verdict& verdict = verdicts_.at(id);
    if (!verdict.good) reasons = verdict.errors;
    return verdict.good;
  }

  /// Calls with every node that has reasons of its own, in the order in which they were met.
  template <class F>
  void each_bad(F&& call) const {
    for (const auto id : met_) {
      const Verdict& verdict = verdicts_.at(id);
      if (!verdict.good && !verdict.errors.empty()) call(id, verdict.errors);
    }
  }

 private:
  Verdict& verdict_of(std::string_view id) {
    const auto [place, fresh] = verdicts_.try_emplace(id);
    if (fresh) met_.push_back(id);
    return place->second;
  }

  std::optional<PythonError> run(std::string_view output_id) {
    frames_.clear();
    if (verdicts_.contains(output_id)) return std::nullopt;
    if (auto failure = push(output_id)) return failure;
    while (true) {
      auto failure = step();
      if (!failure && !frames_.empty()) continue;
      if (!failure) return std::nullopt;
      const std::string_view failed = frames_.back().id;
      frames_.pop_back();
      if (frames_.empty()) return failure;
      blame_inner(failed, *failure);
    }
  }

  /// The caller of a node whose validation raised catches it, blames that node and goes on.
  void blame_inner(std::string_view failed, const PythonError& failure) {
    Frame& frame = frames_.back();
    const InputSpec& spec = *frame.inputs.all[frame.next - 1];
    json::object extra{{"input_name", spec.name},           {"input_config", input_config(spec)},
                       {"exception_message", failure.text}, {"exception_type", failure.type},
                       {"traceback", json::array()},        {"linked_node", (*frame.values)[spec.name]}};
    frame.good = false;
    Verdict& verdict = verdict_of(failed);
    verdict.good = false;
    verdict.errors = {make_error("exception_during_inner_validation", "Exception when validating inner node",
                                 failure.text, std::move(extra))};
  }

  json::object& node_of(std::string_view id) { return prompt_.at(id).as_object(); }

  std::optional<PythonError> push(std::string_view id) {
    if (frames_.size() >= kChainMax) {
      frames_.push_back({.id = id, .inputs = {}, .errors = {}});
      return PythonError{"RecursionError", "maximum recursion depth exceeded"};
    }
    Frame frame{.id = id, .inputs = {}, .errors = {}};
    json::object& node = node_of(id);
    frame.node_class = info_.find(text_view(node.at("class_type").as_string()));
    json::value* values = node.if_contains("inputs");
    frame.values = values != nullptr ? values->if_object() : nullptr;
    if (frame.values != nullptr) frame.inputs = effective_inputs(*frame.node_class, *frame.values);
    frames_.push_back(std::move(frame));
    if (values == nullptr) return PythonError{"KeyError", "'inputs'"};
    if (values->if_object() == nullptr)
      return PythonError{"TypeError",
                         fmt::format("argument of type '{}' is not iterable", python_type_name(*values))};
    return std::nullopt;
  }

  /// One input of the top frame, or its end. An error is an exception in the top frame.
  std::optional<PythonError> step() {
    Frame& frame = frames_.back();
    if (frame.next == frame.inputs.all.size()) return finish();
    const InputSpec& spec = *frame.inputs.all[frame.next++];
    json::value* value = frame.values->if_contains(spec.name);
    if (value == nullptr) {
      if (spec.group == InputGroup::required)
        frame.errors.push_back(missing_input_error(spec, frame.inputs.dynamic));
      return std::nullopt;
    }
    if (value->is_array()) return link(spec, *value);
    auto checked = check_value(*frame.node_class, spec, *value);
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
    auto source = source_of(pair);
    if (!source) return source.error();
    auto received = output_type(*source, pair[1]);
    if (!received) return received.error();
    if (!types_fit(**received, spec)) {
      frame.errors.push_back(mismatch_error(spec, **received, value));
      return std::nullopt;
    }
    return enter(source->id);
  }

  struct Source {
    std::string_view id;
    const NodeClass* node_class;
  };

  std::expected<Source, PythonError> source_of(const json::array& pair) const {
    const json::value& id = pair[0];
    if (id.is_array() || id.is_object())
      return std::unexpected(
          PythonError{"TypeError", fmt::format("unhashable type: '{}'", python_type_name(id))});
    const auto found = id.is_string() ? prompt_.find(id.get_string()) : prompt_.end();
    if (found == prompt_.end()) return std::unexpected(PythonError{"KeyError", python_repr(id)});
    const auto& class_type = found->value().as_object().at("class_type").as_string();
    return Source{view(found->key()), info_.find(text_view(class_type))};
  }

  static std::expected<const json::value*, PythonError> output_type(const Source& source,
                                                                    const json::value& slot) {
    // V1 classes have a tuple of types, V3 classes a list; only V3 prints a price_badge.
    const bool v3 = source.node_class->raw.object().contains("price_badge");
    const char* kind = v3 ? "list" : "tuple";
    if (!slot.is_int64() && !slot.is_uint64() && !slot.is_bool())
      return std::unexpected(PythonError{
          "TypeError",
          fmt::format("{} indices must be integers or slices, not {}", kind, python_type_name(slot))});
    const auto& types = source.node_class->output_types;
    const auto size = static_cast<std::int64_t>(types.size());
    std::int64_t index = slot.is_bool()    ? std::int64_t{slot.get_bool()}
                         : slot.is_int64() ? slot.get_int64()
                                           : size;
    if (index < 0) index += size;
    if (index < 0 || index >= size)
      return std::unexpected(PythonError{"IndexError", fmt::format("{} index out of range", kind)});
    return types[static_cast<std::size_t>(index)];
  }

  std::optional<PythonError> enter(std::string_view id) {
    if (const auto known = verdicts_.find(id); known != verdicts_.end()) {
      if (!known->second.good) frames_.back().good = false;
      return std::nullopt;
    }
    const auto at = std::find_if(frames_.begin(), frames_.end(), [&](const Frame& f) { return f.id == id; });
    if (at == frames_.end()) return push(id);
    cycle(static_cast<std::size_t>(at - frames_.begin()));
    frames_.back().good = false;
    return std::nullopt;
  }

  /// Every node of the ring is told of it; they keep it when they are finished.
  void cycle(std::size_t from) {
    std::string path;
    json::array ring;
    for (std::size_t i = from; i <= frames_.size(); ++i) {
      const std::string_view id = frames_[i == frames_.size() ? from : i].id;
      if (!path.empty()) path += " -> ";
      path += fmt::format("{} ({})", id, text_view(node_of(id).at("class_type").as_string()));
      if (i < frames_.size()) ring.emplace_back(json::string_view(id.data(), id.size()));
    }
    for (std::size_t i = from; i < frames_.size(); ++i) {
      json::object extra{{"node_id", json::string_view(frames_[i].id.data(), frames_[i].id.size())},
                         {"cycle_nodes", ring}};
      Verdict& verdict = verdict_of(frames_[i].id);
      verdict.good = false;
      verdict.errors = {make_error("dependency_cycle", "Dependency cycle detected", path, std::move(extra))};
    }
  }

  std::optional<PythonError> finish() {
    Frame& frame = frames_.back();
    auto custom = check_files(*frame.node_class, *frame.values, exists_);
    if (!custom) return custom.error();
    if (*custom) frame.errors.push_back(std::move(**custom));
    Verdict& verdict = verdict_of(frame.id);
    verdict.good = verdict.good && frame.good && frame.errors.empty();
    for (auto& error : frame.errors)
      if (std::find(verdict.errors.begin(), verdict.errors.end(), error) == verdict.errors.end())
        verdict.errors.push_back(std::move(error));
    const bool good = verdict.good;
    frames_.pop_back();
    if (!good && !frames_.empty()) frames_.back().good = false;
    return std::nullopt;
  }

  json::object& prompt_;
  const ObjectInfo& info_;
  const FileLookup& exists_;
  std::vector<Frame> frames_;
  std::unordered_map<std::string_view, Verdict> verdicts_;
  std::vector<std::string_view> met_;
};

/// `_meta.title`, if there is one (it may be null).
std::optional<json::value> title_of(const json::object& node) {
  const auto* meta = node.if_contains("_meta");
  const auto* title =
      meta != nullptr && meta->is_object() ? meta->get_object().if_contains("title") : nullptr;
  return title != nullptr ? std::optional(*title) : std::nullopt;
}

std::optional<json::object> check_class(std::string_view id, const json::object& node,
                                        const ObjectInfo& info) {
  const auto* class_type = node.if_contains("class_type");
  if (class_type != nullptr && class_type->is_string() &&
      info.find(text_view(class_type->get_string())) != nullptr) {
    return std::nullopt;
  }
  const std::optional<json::value> own_title = title_of(node);
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

bool targeted(const PromptRequest& request, std::string_view id) {
  const auto& targets = request.partial_execution_targets;
  return !targets || std::binary_search(targets->begin(), targets->end(), id);
}

/// Adds to node_errors what is known after a failed output; ComfyUI names that output at every bad node met
/// so far.
void collect(const Walk& walk, std::string_view output, const json::object& prompt, std::size_t& dependents,
             json::object& node_errors) {
  walk.each_bad([&](std::string_view id, const json::array& errors) {
    json::value& entry = node_errors[json::string_view(id.data(), id.size())];
    if (entry.is_null())
      entry =
          json::object{{"errors", errors},
                       {"dependent_outputs", json::array()},
                       {"class_type", prompt.at(json::string_view(id.data(), id.size())).at("class_type")}};
    if (++dependents > kDependentsMax) return;
    entry.as_object()["dependent_outputs"].as_array().emplace_back(
        json::string_view(output.data(), output.size()));
  });
}

}  // namespace

std::string Validation::error_body() const {
  return fmt::format(R"({{"error":{},"node_errors":{}}})", error.print(),
                     node_errors.is_null() ? "{}" : node_errors.print());
}

Validation validate(PromptRequest& request, const ObjectInfo& info, const FileLookup& exists) {
  Validation result;
  result.node_errors = Json(json::object());
  json::object& prompt = request.prompt.object();
  std::vector<std::string_view> outputs;
  for (auto& member : prompt) {
    const std::string_view id = view(member.key());
    if (auto error = check_class(id, member.value().as_object(), info)) {
      result.error = Json(std::move(*error));
      return result;
    }
    const auto& class_type = member.value().as_object().at("class_type").as_string();
    if (info.find(text_view(class_type))->output_node && targeted(request, id)) outputs.push_back(id);
  }
  if (outputs.empty()) {
    result.error = Json(make_error("prompt_no_outputs", "Prompt has no outputs", "", {}));
    return result;
  }
  Walk walk(prompt, info, exists);
  std::size_t dependents = 0;
  std::string details;
  for (const auto id : outputs) {
    json::array reasons;
    if (walk.output(id, reasons)) {
      result.outputs_to_execute.emplace_back(id);
      continue;
    }
    for (const auto& reason : reasons) {
      if (!details.empty()) details += '\n';
      details += fmt::format("{}: {}", text_view(reason.at("message").as_string()),
                             text_view(reason.at("details").as_string()));
    }
    collect(walk, id, prompt, dependents, result.node_errors.object());
  }
  result.accepted = !result.outputs_to_execute.empty();
  if (!result.accepted)
    result.error =
        Json(make_error("prompt_outputs_failed_validation", "Prompt outputs failed validation", details, {}));
  return result;
}

}  // namespace atelier::comfy
