// SPDX-License-Identifier: MIT
// Which combos list model files, and which of them a prompt names.
#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <optional>

#include "comfy/input_spec.hpp"
#include "comfy/object_info.hpp"
#include "comfy/prompt_graph.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

constexpr std::array<std::string_view, 10> kModelExtensions = {
    ".safetensors", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".gguf", ".sft", ".onnx", ".pkl"};

bool contains(const std::vector<std::string>& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

bool candidate(const InputSpec& input) {
  return input.combo && input.choices != nullptr && !input.upload.any() && !input.file_list &&
         input.group != InputGroup::hidden;
}

constexpr std::size_t kChoicesCompared =
    8;  // enough to tell folders apart; a submit asks this for every combo

/// The folder that has the combo's choices (but the word "None"), the smallest such one.
std::optional<std::string> folder_of(const InputSpec& input, const ModelFolders& folders) {
  std::optional<std::string> best;
  std::size_t best_size = 0;
  for (const auto& [folder, names] : folders) {
    std::size_t found = 0;
    bool all = true;
    for (const auto& choice : *input.choices) {
      if (!choice.is_string()) return std::nullopt;
      const auto name = text_view(choice.get_string());
      if (name == "None" || name == "none") continue;
      all = contains(names, name);
      if (!all || ++found == kChoicesCompared) break;
    }
    if (!all || found == 0 || (best && names.size() >= best_size)) continue;
    best = folder;
    best_size = names.size();
  }
  return best;
}

void add_model(const InputSpec& input, const json::value& value, const ModelFolders& folders,
               std::vector<ModelReference>& out) {
  if (value.is_array()) return;  // a link
  const auto* text = value.if_string();
  if (text == nullptr) return;
  const auto name = text_view(*text);
  if (const auto folder = folder_of(input, folders); folder && contains(folders.at(*folder), name)) {
    out.push_back({*folder, std::string(name)});
    return;
  }
  if (!looks_like_model(name)) return;  // "None", "pixel_space" and the like
  for (const auto& [folder, names] : folders) {
    if (!contains(names, name)) continue;
    out.push_back({folder, std::string(name)});
    return;
  }
  out.push_back({"", std::string(name)});
}

}  // namespace

bool looks_like_model(std::string_view file_name) {
  std::string lower(file_name.substr(file_name.size() - std::min<std::size_t>(file_name.size(), 16)));
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return std::any_of(kModelExtensions.begin(), kModelExtensions.end(),
                     [&](auto end) { return lower.ends_with(end); });
}

bool is_model_combo(const InputSpec& input, const ModelFolders& folders) {
  if (!candidate(input)) return false;
  for (const auto& choice : *input.choices)
    if (choice.is_string() && looks_like_model(text_view(choice.get_string()))) return true;
  return folder_of(input, folders).has_value();
}

std::vector<ModelReference> models_of(const PromptGraph& graph, const ModelFolders& folders) {
  std::vector<ModelReference> models;
  for (const PromptNode& node : graph.nodes()) {
    if (node.node_class == nullptr || node.inputs == nullptr) continue;
    for (const InputSpec* spec : node.node_class->visible_inputs) {
      if (!candidate(*spec)) continue;
      if (const auto* value = node.inputs->if_contains(spec->name)) add_model(*spec, *value, folders, models);
    }
  }
  std::sort(models.begin(), models.end());
  models.erase(std::unique(models.begin(), models.end()), models.end());
  return models;
}

}  // namespace atelier::comfy
