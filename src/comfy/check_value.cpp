// SPDX-License-Identifier: MIT
#include "comfy/check_value.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "comfy/foreign_names.hpp"
#include "comfy/input_spec.hpp"
#include "comfy/prompt_graph.hpp"
#include "comfy/python_text.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

constexpr std::size_t kChoicesShown = 20;

/// Stock loaders that check their file themselves (ComfyUI 0.21.0: nodes.py, nodes_audio.py, nodes_video.py).
struct Loader {
  std::string_view class_name, input, noun;
  std::string_view function;  // as Python names it when an argument is missing
};
constexpr std::array<Loader, 7> kLoaders{{
    {"LoadImage", "image", "image", "LoadImage.VALIDATE_INPUTS"},
    {"LoadImageMask", "image", "image", "LoadImage.VALIDATE_INPUTS"},
    {"LoadImageOutput", "image", "image", "LoadImage.VALIDATE_INPUTS"},
    {"LoadLatent", "latent", "latent", "LoadLatent.VALIDATE_INPUTS"},
    {"LoadAudio", "audio", "audio", "LoadAudio.validate_inputs"},
    {"LoadVideo", "file", "video", "LoadVideo.validate_inputs"},
    {"WebcamCapture", "image", "image", "LoadImage.VALIDATE_INPUTS"},
}};

/// Its choices are the user's own: its validator takes every input and says yes (nodes_logic.py).
constexpr std::string_view kUncheckedClass = "CustomCombo";
/// Without a choice "none" (ComfyUI 0.21.0; 0.33 has it) it has no validator of its own: ComfyUI looks for
/// its file among the choices (nodes_load_3d.py).
constexpr std::string_view kMeshLoader = "Load3D";

const Loader* loader_of(std::string_view class_name) {
  const auto found = std::find_if(kLoaders.begin(), kLoaders.end(),
                                  [&](const Loader& l) { return l.class_name == class_name; });
  return found == kLoaders.end() ? nullptr : &*found;
}

/// Inputs whose built-in checks a validator of the class replaces. Combos of uploaded files of other packs
/// count, too: their choices are the participant's, and most packs check the file themselves.
bool has_own_validator(const NodeClass& node_class, const InputSpec& spec) {
  const Loader* loader = loader_of(node_class.name);
  return (loader != nullptr && loader->input == spec.name) || spec.upload.any() ||
         node_class.name == kUncheckedClass;
}

json::value options_value(const InputSpec& spec) { return *spec.options; }

json::object received_value_info(const InputSpec& spec, json::value config, const json::value& value) {
  return {{"input_name", spec.name}, {"input_config", std::move(config)}, {"received_value", value}};
}

/// INT, FLOAT, STRING, BOOLEAN; anything else stays as it is.
std::expected<void, PythonError> coerce(std::string_view type, json::value& value) {
  if (type == "INT") {
    if (value.is_int64()) return {};
    auto number = python_int(value);
    if (!number) return std::unexpected(std::move(number.error()));
    value = std::move(number->value);
  } else if (type == "FLOAT") {
    if (value.is_double()) return {};
    auto number = python_float(value);
    if (!number) return std::unexpected(std::move(number.error()));
    value = std::move(number->value);
  } else if (type == "STRING") {
    if (!value.is_string()) value = json::string(python_str(value));
  } else if (type == "BOOLEAN") {
    value = python_truth(value);
  }
  return {};
}

CheckResult check_range(const InputSpec& spec, const json::value& value) {
  struct Bound {
    const json::value* limit;
    const char *operator_text, *type, *words;
  };
  for (const auto& bound : {Bound{spec.min, "<", "value_smaller_than_min", "smaller than min"},
                            Bound{spec.max, ">", "value_bigger_than_max", "bigger than max"}}) {
    if (bound.limit == nullptr) continue;
    const auto outside = python_less(value, *bound.limit, bound.operator_text);
    if (!outside) return std::unexpected(outside.error());
    if (!*outside) continue;
    // An integer beyond 64 bits is kept as a double.
    const bool wide = spec.type == "INT" && value.is_double();
    const std::string shown = wide ? fmt::format("{:.0f}", value.get_double()) : python_str(value);
    const std::string limit = python_str(*bound.limit);
    return make_error(bound.type, fmt::format("Value {} {} of {}", shown, bound.words, limit), spec.name,
                      received_value_info(spec, input_config(spec), value));
  }
  return std::optional<json::object>{};
}

const json::array& choices_of(const InputSpec& spec) {
  static const json::array none;
  return spec.choices != nullptr ? *spec.choices : none;
}

bool are_many(const json::array& choices) { return choices.size() > kChoicesShown; }

std::string list_text(const json::array& choices) {
  return are_many(choices) ? fmt::format("(list of length {})", choices.size())
                           : python_repr(json::value(choices));
}

/// `bad`: the values that are not in the list, as Python writes them.
json::object not_listed_error(const InputSpec& spec, const json::value& value, std::string_view bad) {
  const json::array& choices = choices_of(spec);
  return make_error("value_not_in_list", "Value not in list",
                    fmt::format("{}: {} not in {}", spec.name, bad, list_text(choices)),
                    received_value_info(spec, are_many(choices) ? json::value() : input_config(spec), value));
}

bool is_folder_with_files(const FileListKey& list, const json::value& value, const FileLookup& exists) {
  const auto* text = value.if_string();
  return text != nullptr && exists && is_listed_folder(text_view(*text)) &&
         exists(list.folder, std::string(text_view(*text)) + '/');
}

std::optional<json::object> check_choice(const InputSpec& spec, const json::value& value,
                                         const FileLookup& exists) {
  if (!spec.combo || spec.remote) return std::nullopt;
  const json::array& choices = choices_of(spec);
  const auto listed = [&](const json::value& v) {
    if (spec.takes_folder()) return is_folder_with_files(*spec.file_list, v, exists);
    return std::any_of(choices.begin(), choices.end(),
                       [&](const json::value& c) { return python_equal(v, c); });
  };
  std::string bad;
  const auto look = [&](const json::value& v) {
    if (listed(v)) return;
    if (!bad.empty()) bad += ", ";
    bad += python_repr(v);
  };
  if (spec.multiselect && value.is_array())
    for (const auto& item : value.get_array()) look(item);
  else
    look(value);
  if (bad.empty()) return std::nullopt;
  return not_listed_error(spec, value, bad);
}

std::set<std::string> members(std::string_view types) {
  std::set<std::string> out;
  while (true) {
    const std::size_t comma = std::min(types.find(','), types.size());
    std::string_view one = types.substr(0, comma);
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    out.emplace(one);
    if (comma == types.size()) return out;
    types.remove_prefix(comma + 1);
  }
}

std::string_view noun_of(const UploadFlags& upload) {
  if (upload.video) return "video";
  if (upload.audio) return "audio";
  if (upload.mesh) return "3D";
  return "image";
}

json::object custom_error(std::string_view input, std::string_view what) {
  return make_error("custom_validation_failed", "Custom validation failed for node",
                    fmt::format("{} - {}", input, what), {{"input_name", input}});
}

std::optional<json::object> check_file(std::string_view input, std::string_view noun, std::string_view value,
                                       const FileLookup& exists) {
  const AnnotatedName file = split_annotation(value);
  if (exists && stays_inside(file.name) && !names_folder(file.name) &&
      exists(file.type_or(FileType::input), file.name))
    return std::nullopt;
  return custom_error(input, fmt::format("Invalid {} file: {}", noun, value));
}

/// Could ComfyUI's own list of these files hold this text?
bool is_listed(const FileListKey& list, std::string_view text) {
  const std::string below = list.subfolder.empty() ? "" : list.subfolder + "/";
  return text.starts_with(below) && content_kind_of(text) == list.content && normal_path(text) == text;
}

CheckResult check_loader(const Loader& loader, const json::object& values, const FileLookup& exists) {
  const auto* value = values.if_contains(loader.input);
  if (value == nullptr)
    return std::unexpected(PythonError{
        "TypeError",
        fmt::format("{}() missing 1 required positional argument: '{}'", loader.function, loader.input)});
  if (!value->is_string()) {
    // A link arrives there as None.
    const auto kind = value->is_array() ? std::string_view("NoneType") : python_type_name(*value);
    return std::unexpected(
        PythonError{"AttributeError", fmt::format("'{}' object has no attribute 'endswith'", kind)});
  }
  return check_file(loader.input, loader.noun, text_view(value->get_string()), exists);
}

bool lists_none(const InputSpec& spec) {
  const json::array& choices = choices_of(spec);
  return std::any_of(choices.begin(), choices.end(), [](const json::value& c) { return c == "none"; });
}

/// ComfyUI 0.33 saves training data beside its output folder (nodes_dataset.py), where no agent looks for
/// files; before that it says that they lie inside.
std::optional<json::object> check_saver(const NodeClass& node_class) {
  if (node_class.name != "SaveTrainingDataset") return std::nullopt;
  const InputSpec* folder = node_class.find_input("folder_name");
  const json::value* place = folder != nullptr ? folder->options->if_contains("tooltip") : nullptr;
  if (place != nullptr && place->is_string() &&
      text_view(place->get_string()).find("output directory") != std::string::npos)
    return std::nullopt;
  return custom_error("folder_name",
                      "A training dataset is not brought back from the GPU that makes it, and would be lost. "
                      "Link its latents and conditioning to the node that trains.");
}

/// What each loader says of its own file.
CheckResult check_loaders(const NodeClass& node_class, const json::object& values, const FileLookup& exists) {
  if (const Loader* loader = loader_of(node_class.name)) return check_loader(*loader, values, exists);
  for (const auto& spec : node_class.inputs) {
    if (!spec.upload.any()) continue;
    const auto* value = values.if_contains(spec.name);
    if (value == nullptr || !value->is_string())
      continue;  // missing or linked: said elsewhere, or known at run time
    const auto text = text_view(value->get_string());
    const bool chosen = node_class.name == kMeshLoader && !lists_none(spec);
    // "No file" of optional loaders.
    if (!chosen && (text.empty() || text == "none" || text == "None")) continue;
    auto error = check_file(spec.name, noun_of(spec.upload), text, exists);
    if (error || (chosen && spec.file_list && !is_listed(*spec.file_list, text)))
      return chosen ? not_listed_error(spec, *value, python_repr(*value)) : std::move(*error);
  }
  return std::optional<json::object>{};
}

/// As the loaders say it: "image - Invalid image file: x.png [output]".
json::object foreign_error(const ForeignName& name) {
  const ContentKind kind = content_kind_of(split_annotation(name.text).name);
  const std::string noun = kind == ContentKind::other ? "" : fmt::format("{} ", to_string(kind));
  return custom_error(name.input, fmt::format("Invalid {}file: {}", noun, name.text));
}

}  // namespace

json::object make_error(std::string_view type, std::string_view message, std::string_view details,
                        json::object extra_info) {
  return {{"type", json::string_view(type.data(), type.size())},
          {"message", json::string_view(message.data(), message.size())},
          {"details", json::string_view(details.data(), details.size())},
          {"extra_info", std::move(extra_info)}};
}

json::value input_config(const InputSpec& spec) { return json::array{*spec.type_value, options_value(spec)}; }

json::object missing_input_error(const InputSpec& spec, bool dynamic) {
  const std::size_t dot = dynamic ? spec.name.rfind('.') : std::string::npos;
  const std::string details = dot == std::string::npos ? spec.name : spec.name.substr(dot + 1);
  return make_error("required_input_missing", "Required input is missing", details,
                    {{"input_name", spec.name}});
}

json::object bad_link_error(const InputSpec& spec, const json::value& received) {
  return bad_link_error(spec.name, received_value_info(spec, input_config(spec), received));
}

json::object bad_link_error(std::string_view input, json::object extra_info) {
  return make_error("bad_linked_input", "Bad linked input, must be a length-2 list of [node_id, slot_index]",
                    std::string(input), std::move(extra_info));
}

json::object mismatch_error(const InputSpec& spec, const json::value& received_type,
                            const json::value& link) {
  const std::string details = fmt::format("{}, received_type({}) mismatch input_type({})", spec.name,
                                          python_str(received_type), python_str(*spec.type_value));
  return make_error("return_type_mismatch", "Return type mismatch between linked nodes", details,
                    {{"input_name", spec.name},
                     {"input_config", input_config(spec)},
                     {"received_type", received_type},
                     {"linked_node", link}});
}

json::object unknown_name_error(const InputSpec& spec) {
  const char* what = spec.takes_folder() || spec.name.starts_with("folder") ? "folder" : "file";
  return custom_error(spec.name,
                      fmt::format("The {} has to be chosen in the node itself: a link to it cannot "
                                  "be followed before the prompt runs.",
                                  what));
}

void show_own_files(json::object& error, const InputSpec& spec, const std::vector<std::string>& names) {
  json::array own(choices_of(spec), json::storage_ptr());  // not in the catalog's arena
  for (const std::string& name : names) own.emplace_back(json::string_view(name.data(), name.size()));
  auto& info = error.at("extra_info").as_object();
  if (error.at("type") == "value_not_in_list") {
    std::string details(text_view(error.at("details").as_string()));
    const std::string listed = list_text(choices_of(spec));
    if (details.ends_with(listed)) details.resize(details.size() - listed.size());
    details += list_text(own);
    error.at("details") = json::string_view(details.data(), details.size());
    info.at("input_config") = are_many(own) ? json::value() : input_config(spec);
  }
  auto* config = info.if_contains("input_config");
  auto* members = config != nullptr ? config->if_array() : nullptr;
  if (members == nullptr || members->size() != 2) return;
  if (spec.legacy_combo) {
    (*members)[0] = std::move(own);
  } else if (auto* options = (*members)[1].if_object()) {
    options->at("options") = std::move(own);
  }
}

// ComfyUI 0.21.0, comfy_execution/validation.py, not strict.
bool types_fit(const json::value& received, const InputSpec& spec) {
  if (spec.type == "*" || spec.type == "COMFY_MATCHTYPE_V3" || spec.type == "COMFY_DYNAMICSLOT_V3")
    return true;
  if (python_equal(received, *spec.type_value)) return true;
  if (received.is_array()) return spec.type == "COMBO" && !spec.legacy_combo;
  if (!received.is_string()) return false;
  const auto type = text_view(received.get_string());
  if (type == "*" || type == "COMFY_MATCHTYPE_V3") return true;
  if (spec.legacy_combo || !spec.type_value->is_string()) return false;
  const auto given = members(type), wanted = members(spec.type);
  if (given.contains("*") || wanted.contains("*")) return true;
  return std::any_of(given.begin(), given.end(), [&](const auto& t) { return wanted.contains(t); });
}

CheckResult check_value(const NodeClass& node_class, const InputSpec& spec, json::value& value,
                        const FileLookup& exists) {
  if (auto* wrapper = value.if_object()) {
    if (auto* inner = wrapper->if_contains("__value__")) {
      json::value unwrapped = std::move(*inner);
      value = std::move(unwrapped);
    }
  }
  const std::string_view type = spec.legacy_combo ? std::string_view() : std::string_view(spec.type);
  if (const auto coerced = coerce(type, value); !coerced) {
    const std::string& text = coerced.error().text;
    json::object extra = received_value_info(spec, input_config(spec), value);
    extra["exception_message"] = text;
    return make_error("invalid_input_type",
                      fmt::format("Failed to convert an input value to a {} value", type),
                      fmt::format("{}, {}, {}", spec.name, python_str(value), text), std::move(extra));
  }
  if (!has_own_validator(node_class, spec)) {
    auto wrong = check_range(spec, value);
    if (wrong && !*wrong) wrong = check_choice(spec, value, exists);
    if (!wrong || *wrong) return wrong;
  }
  // Out of "__value__" ComfyUI follows it unchecked: to a node that is not there its thread ends, and with it
  // all that waits.
  if (is_link(value)) return bad_link_error(spec, value);
  return std::optional<json::object>{};
}

CheckResult check_files(const NodeClass& node_class, const json::object& values, const FileLookup& exists) {
  auto error = check_loaders(node_class, values, exists);
  if (!error || *error) return error;
  for (const ForeignName& name : foreign_names(node_class, values, exists))
    if (name.refused) return foreign_error(name);
  return check_saver(node_class);
}

}  // namespace atelier::comfy
