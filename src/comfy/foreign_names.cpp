// SPDX-License-Identifier: MIT
#include "comfy/foreign_names.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <optional>
#include <utility>

#include "comfy/dynamic_inputs.hpp"
#include "comfy/input_spec.hpp"
#include "comfy/prompt_graph.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

constexpr std::string_view kJobFolders = "atelier/", kIncoming = ".atelier-incoming";
constexpr std::string_view kSpace = " \t\r\n\v\f";
constexpr std::size_t kHashDigits = 16, kExtensionMax = 12;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter_or_digit(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::size_t digits_from(std::string_view text, std::size_t at) {
  while (at < text.size() && is_digit(text[at])) ++at;
  return at;
}

/// "atelier/<digits>-<digits>" in it, as parts of a path.
bool names_job_folder(std::string_view path) {
  for (std::size_t at = path.find(kJobFolders); at != path.npos; at = path.find(kJobFolders, at + 1)) {
    if (at > 0 && is_letter_or_digit(path[at - 1])) continue;
    const std::size_t job = at + kJobFolders.size(), dash = digits_from(path, job);
    if (dash == job || dash == path.size() || path[dash] != '-') continue;
    const std::size_t end = digits_from(path, dash + 1);
    if (end > dash + 1 && (end == path.size() || !is_letter_or_digit(path[end]))) return true;
  }
  return false;
}

/// Line by line: some nodes take a list of paths.
bool leads_into_job_folder(std::string_view text) {
  if (text.find("atelier") == text.npos) return false;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    if (line.find("atelier") != line.npos && (names_job_folder(line) || names_job_folder(normal_path(line))))
      return true;
    at = end + 1;
  }
  return false;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t from = text.find_first_not_of(kSpace);
  if (from == text.npos) return {};
  return text.substr(from, text.find_last_not_of(kSpace) - from + 1);
}

bool has_extension(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  if (dot == name.npos || name.size() - dot - 1 > kExtensionMax || name.size() == dot + 1) return false;
  return std::all_of(name.begin() + static_cast<std::ptrdiff_t>(dot) + 1, name.end(), is_letter_or_digit);
}

/// Painter's `mask` is a STRING with the flag of an upload (ComfyUI 0.21.0, nodes_painter.py).
bool has_upload_flag(const InputSpec& spec) {
  return std::any_of(spec.options->begin(), spec.options->end(), [](const auto& option) {
    return option.key().ends_with("_upload") && option.value().is_bool() && option.value().get_bool();
  });
}

/// The values of LOAD_3D hold names of files (ComfyUI 0.21.0, nodes_load_3d.py).
bool names_files(const InputSpec& spec) {
  return spec.upload.any() || spec.file_list || spec.type == "LOAD_3D" || has_upload_flag(spec);
}

class Search {
 public:
  Search(const NodeClass& node_class, const json::object& values, const FileLookup& exists)
      : node_class_(node_class), values_(values), exists_(exists) {}

  std::vector<ForeignName> run() {
    for (const auto& member : values_) {
      if (is_link(member.value())) continue;
      input_ = {member.key().data(), member.key().size()};
      look(member.value(), "");
    }
    return std::move(found_);
  }

 private:
  void look(const json::value& value, const std::string& pointer) {
    if (const auto* text = value.if_string()) return look_at(text_view(*text), pointer);
    if (const auto* list = value.if_array())
      for (std::size_t i = 0; i < list->size(); ++i) look((*list)[i], pointer + '/' + std::to_string(i));
    if (const auto* object = value.if_object())
      for (const auto& member : *object)
        look(member.value(), pointer + '/' + pointer_step({member.key().data(), member.key().size()}));
  }

  void look_at(std::string_view text, const std::string& pointer) {
    const bool job = leads_into_job_folder(text);
    const std::string_view path = trimmed(text);
    AnnotatedName file;
    if (path.ends_with(']')) file = split_annotation(path);
    if (!file.type && path.size() < kPathMax) file.name = std::string(path);
    const bool line = path.find('\n') == path.npos;
    const bool annotated = line && file.type && has_extension(file.name);
    const bool outside = line && content_kind_of(file.name) != ContentKind::other && !stays_inside(file.name);
    if (!job && !annotated && !outside) return;
    const InputSpec* spec = find_spec();
    if (spec != nullptr && is_checked_elsewhere(*spec, pointer)) return;
    if (exists_ && stays_inside(file.name) && !names_folder(file.name) &&
        exists_(file.type_or(FileType::input), file.name))
      return;
    add(spec, text, pointer, {.job = job, .annotated = annotated});
  }

  struct Kind {
    bool job, annotated;
  };

  void add(const InputSpec* spec, std::string_view text, const std::string& pointer, Kind kind) {
    ForeignName name{std::string(input_), pointer, std::string(text), std::string(text), true};
    const bool plain = pointer.empty() && (spec == nullptr || is_plain_text(*spec));
    if (plain && !kind.job) {
      const auto* lines = spec != nullptr ? spec->options->if_contains("multiline") : nullptr;
      const bool many = spec == nullptr || (lines != nullptr && lines->is_bool() && lines->get_bool());
      if (!kind.annotated && many) return;
      name.refused = !kind.annotated;
    }
    if (kind.annotated && !kind.job)
      name.harmless[name.harmless.rfind(']')] = '_';
    else
      std::replace(name.harmless.begin(), name.harmless.end(), '/', '_');
    found_.push_back(std::move(name));
  }

  /// Lists of files and folders have been gone through, and the places where outputs go are moved.
  [[nodiscard]] bool is_checked_elsewhere(const InputSpec& spec, const std::string& pointer) const {
    if (!pointer.empty()) return false;
    return (spec.combo && (spec.upload.any() || spec.file_list)) || is_prefix(node_class_, spec) ||
           (takes_output_folder(node_class_) && spec.name == "folder_name");
  }

  [[nodiscard]] bool is_plain_text(const InputSpec& spec) const {
    // The choices of CustomCombo are texts (nodes_logic.py).
    return !names_files(spec) && (spec.type == "STRING" || node_class_.name == "CustomCombo");
  }

  const InputSpec* find_spec() {
    if (!inputs_) inputs_ = effective_inputs(node_class_, values_);
    const auto found =
        std::find_if(inputs_->all.begin(), inputs_->all.end(), [&](auto* s) { return s->name == input_; });
    return found == inputs_->all.end() ? nullptr : *found;
  }

  static constexpr std::size_t kPathMax = 4096;  // of Linux

  const NodeClass& node_class_;
  const json::object& values_;
  const FileLookup& exists_;
  std::optional<EffectiveInputs> inputs_;
  std::string_view input_;
  std::vector<ForeignName> found_;
};

}  // namespace

std::string pointer_step(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  }
  return out;
}

std::vector<ForeignName> foreign_names(const NodeClass& node_class, const json::object& values,
                                       const FileLookup& exists) {
  return Search(node_class, values, exists).run();
}

bool takes_no_link(const NodeClass& node_class, const InputSpec& spec) {
  return names_files(spec) || (takes_output_folder(node_class) && spec.name == "folder_name");
}

bool is_prefix(const NodeClass& node_class, const InputSpec& spec) {
  if (spec.type != "STRING" || spec.group == InputGroup::hidden) return false;
  if (spec.name == "filename_prefix") return true;
  // ComfyUI 0.21.0, nodes_train.py: SaveLoRA. Others like it have a default that is a path, too.
  if (spec.name != "prefix" || !node_class.output_node) return false;
  const auto* text = spec.options->if_contains("default");
  return node_class.name == "SaveLoRA" || (text != nullptr && text->is_string() &&
                                           text_view(text->get_string()).find('/') != std::string::npos);
}

bool takes_output_folder(const NodeClass& node_class) {
  for (const std::string_view name : {"SaveImageDataSetToFolder", "SaveImageTextDataSetToFolder",
                                      "SaveTrainingDataset", "LoadTrainingDataset"}) {
    if (node_class.name == name) return true;
  }
  return false;
}

bool is_worker_name(std::string_view path) {
  if (names_job_folder(path)) return true;
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t slash = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, slash - at);
    at = slash + 1;
    if (part == kIncoming) return true;
    if (part.size() <= kHashDigits + 1 || part[kHashDigits] != '-') continue;
    const std::string_view digits = part.substr(0, kHashDigits);
    if (std::all_of(digits.begin(), digits.end(),
                    [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); }))
      return true;
  }
  return false;
}

}  // namespace atelier::comfy
