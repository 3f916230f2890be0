// SPDX-License-Identifier: MIT
#include "agent/prepare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <map>

#include "comfy/json.hpp"
#include "comfy/owner_mark.hpp"
#include "comfy/python_text.hpp"

namespace atelier::agent {
namespace json = boost::json;

namespace {

/// Stock nodes that save files and name none of them in their `ui` (ComfyUI 0.21.0: nodes_dataset.py,
/// nodes_lora_extract.py, nodes_model_merging.py, nodes_train.py).
constexpr std::array<std::string_view, 8> kSilentSavers{"SaveImageDataSetToFolder",
                                                        "SaveImageTextDataSetToFolder",
                                                        "LoraSave",
                                                        "CheckpointSave",
                                                        "CLIPSave",
                                                        "VAESave",
                                                        "ModelSave",
                                                        "SaveLoRA"};

/// The class of one of them that will run, "" without one. `outputs`: those that run, null or empty for all.
std::string silent_saver(const json::value& prompt, const json::value* outputs) {
  const auto* some = outputs != nullptr ? outputs->if_array() : nullptr;
  const auto runs = [&](std::string_view id) {
    const auto is_it = [&](const json::value& one) { return one.is_string() && one.get_string() == id; };
    return some == nullptr || some->empty() || std::ranges::any_of(*some, is_it);
  };
  for (const auto& node : prompt.get_object()) {
    const json::object* members = node.value().if_object();
    const json::value* kind = members != nullptr ? members->if_contains("class_type") : nullptr;
    if (kind == nullptr || !kind->is_string() || !runs({node.key().data(), node.key().size()})) continue;
    const std::string_view name(kind->get_string().data(), kind->get_string().size());
    if (std::ranges::find(kSilentSavers, name) != kSilentSavers.end()) return std::string(name);
  }
  return {};
}

// ComfyUI 0.21: validation takes a value out of its `__value__` (execution.py, validate_inputs).
json::value unwrapped(json::value prompt) {
  for (auto& node : prompt.get_object()) {
    json::object* object = node.value().if_object();
    json::value* inputs = object != nullptr ? object->if_contains("inputs") : nullptr;
    if (inputs == nullptr || !inputs->is_object()) continue;
    for (auto& input : inputs->get_object()) {
      json::object* wrapper = input.value().if_object();
      json::value* value = wrapper != nullptr ? wrapper->if_contains("__value__") : nullptr;
      if (value != nullptr) input.value() = json::value(std::move(*value));
    }
  }
  return prompt;
}

}  // namespace

comfy::FileType to_comfy(link::FileType type) {
  switch (type) {
    case link::FileType::input:
      return comfy::FileType::input;
    case link::FileType::output:
      return comfy::FileType::output;
    case link::FileType::temp:
      return comfy::FileType::temp;
  }
  return comfy::FileType::input;
}

InputPlaces places_of(const std::vector<link::InputRef>& inputs) {
  const auto lies_in_folder = [](const link::InputRef& input) {
    return input.folder && input.name.starts_with(*input.folder + '/');
  };
  std::map<std::string, std::map<std::string, Digest>> folders;  // file by file
  for (const link::InputRef& input : inputs) {
    if (lies_in_folder(input)) folders[*input.folder][input.name] = input.digest;
  }
  InputPlaces places;
  for (const auto& [folder, files] : folders) {
    Hasher hasher;
    for (const auto& [name, digest] : files) {
      hasher.update(std::string_view(name).substr(folder.size()));
      hasher.update(std::string_view("\0", 1));
      hasher.update(digest.hex());
    }
    places.names[{comfy::FileType::input, folder + '/'}] = comfy::worker_input_name(folder, hasher.finish());
  }
  for (const link::InputRef& input : inputs) {
    if (lies_in_folder(input)) {
      const std::string& folder = places.names.at({comfy::FileType::input, *input.folder + '/'});
      places.paths.push_back(folder + input.name.substr(input.folder->size()));
    } else {
      places.paths.push_back(comfy::worker_input_name(input.name, input.digest));
      places.names[{to_comfy(input.type), input.name}] = places.paths.back();
    }
  }
  return places;
}

Result<Prepared> prepare_prompt(std::string_view accepted, const comfy::ObjectInfo& info,
                                const comfy::WorkerNames& names, const link::Lease& lease,
                                std::string_view client_id, bool by_address) {
  comfy::JsonLimits limits;
  limits.bytes_max = 32u << 20;  // the accepted form holds prompt, workflow and pins
  limits.depth_max = 128;
  ATELIER_TRY(comfy::Json parsed, comfy::Json::parse(accepted, limits));
  if (!parsed.is_object()) return fail(Errc::bad_request, "the accepted form is not an object");
  json::object& form = parsed.object();
  json::value* prompt = form.if_contains("prompt");
  if (prompt == nullptr || !prompt->is_object())
    return fail(Errc::bad_request, "the accepted form has no prompt");
  const std::string saver = by_address ? silent_saver(*prompt, form.if_contains("outputs")) : std::string();
  if (!saver.empty()) {
    return fail(
        Errc::bad_prompt,
        fmt::format(
            "{} does not say which files it saves, and this GPU was joined without the right folder of "
            "its ComfyUI (--comfy-dir): they would be lost. Tell your instructor.",
            saver));
  }
  Prepared prepared;
  prepared.texts.own = comfy::python_json_dumps(*prompt);
  comfy::rewrite(prompt->get_object(), info, names, lease.job, lease.epoch);
  // A job from before a server knew it has none.
  if (const json::value* owner = form.if_contains("owner"); owner != nullptr && owner->is_string())
    comfy::mark_owner(prompt->get_object(), info, std::string_view(owner->get_string()));
  prepared.texts.posted = comfy::python_json_dumps(unwrapped(*prompt));
  json::object body;
  body["prompt"] = std::move(*prompt);
  body["prompt_id"] = lease.run_id.uuid();
  body["client_id"] = client_id;
  json::value* extra = form.if_contains("extra_data");
  json::object extra_data =
      extra != nullptr && extra->is_object() ? std::move(extra->get_object()) : json::object();
  const json::value* for_files = extra_data.if_contains("extra_pnginfo");
  if (for_files != nullptr && for_files->is_object())
    if (const json::value* workflow = for_files->get_object().if_contains("workflow"))
      prepared.texts.workflow = comfy::python_json_dumps(*workflow);
  extra_data.erase("client_id");
  extra_data.erase("create_time");
  if (!lease.preview_method.empty()) extra_data["preview_method"] = lease.preview_method;
  body["extra_data"] = std::move(extra_data);
  // Of a prompt that is valid in part only these outputs run; ComfyUI 0.3.60 and newer know the field.
  if (json::value* outputs = form.if_contains("outputs");
      outputs != nullptr && outputs->is_array() && !outputs->get_array().empty()) {
    body["partial_execution_targets"] = std::move(*outputs);
  }
  prepared.body = comfy::print_json(body);
  return prepared;
}

}  // namespace atelier::agent
