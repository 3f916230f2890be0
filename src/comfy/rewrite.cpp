// SPDX-License-Identifier: MIT
#include "comfy/rewrite.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "comfy/dynamic_inputs.hpp"
#include "comfy/foreign_names.hpp"
#include "comfy/input_spec.hpp"
#include "comfy/joined_text.hpp"
#include "comfy/output_name.hpp"
#include "comfy/prompt_graph.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

constexpr std::string_view kFolderInput = "folder_name";
constexpr std::size_t kHashDigits = 16, kNameBytesMax = 255;

/// The path without what would lead out of a folder: "../a//b" -> "a/b", "/etc/x" -> "etc/x".
std::string inside(std::string_view path) {
  std::string out;
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t slash = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, slash - at);
    if (!part.empty() && part != "." && part != "..") out += (out.empty() ? "" : "/") + harmless_name(part);
    at = slash + 1;
  }
  return out;
}

/// Each part of the path as a name that a participant's folder takes. ComfyUI writes a number behind the last
/// one.
std::string harmless_prefix(std::string_view path) {
  std::string out;
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t slash = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, slash - at);
    const bool folder = slash < path.size() && part != "." && part != "..";
    out += folder ? harmless_name(part) : harmless_stem(part);
    if (slash < path.size()) out += '/';
    at = slash + 1;
  }
  return out;
}

class Finder {
 public:
  Finder(const FileLookup& exists, std::vector<InputFile>& out) : exists_(exists), out_(out) {}

  void node(std::string_view id, const NodeClass& node_class, const json::object& values) {
    node_ = id;
    const EffectiveInputs inputs = effective_inputs(node_class, values);
    for (const InputSpec* spec : inputs.all) {
      spec_ = spec;
      const auto* value = values.if_contains(spec->name);
      if (value == nullptr || is_link(*value) || is_prefix(node_class, *spec)) continue;
      if (spec->takes_folder()) {
        folder(*value);
      } else {
        look(*value, "");
      }
    }
  }

 private:
  void look(const json::value& value, const std::string& pointer) {
    if (const auto* text = value.if_string()) return name(text_view(*text), pointer);
    if (const auto* list = value.if_array())
      for (std::size_t i = 0; i < list->size(); ++i) look((*list)[i], fmt::format("{}/{}", pointer, i));
    if (const auto* object = value.if_object())
      for (const auto& member : *object)
        look(member.value(),
             fmt::format("{}/{}", pointer, pointer_step({member.key().data(), member.key().size()})));
  }

  void folder(const json::value& value) {
    const auto* text = value.if_string();
    if (text == nullptr || !is_listed_folder(text_view(*text))) return;
    out_.push_back({std::string(node_), spec_->name, "", std::string(text_view(*text)),
                    std::string(text_view(*text)) + '/', spec_->file_list->folder});
  }

  void name(std::string_view text, const std::string& pointer) {
    const bool upload = spec_->upload.any();
    const bool media = !upload && exists_ && (!pointer.empty() || is_literal()) &&
                       content_kind_of(text) != ContentKind::other;
    if (!upload && !media && !text.ends_with(']')) return;  // most texts
    AnnotatedName file = split_annotation(text);
    const FileType type = file.type_or(FileType::input);
    if (file.name.empty() || names_folder(file.name) || !stays_inside(file.name)) return;
    const bool named = file.type || (upload && text != "none" && text != "None");
    if (!named && !(media && exists_(type, file.name))) return;
    out_.push_back({std::string(node_), spec_->name, pointer, std::string(text), std::move(file.name), type});
  }

  [[nodiscard]] bool is_literal() const {
    return (spec_->combo && !spec_->remote) || spec_->type == "STRING";
  }

  const FileLookup& exists_;
  std::vector<InputFile>& out_;
  std::string_view node_;
  const InputSpec* spec_ = nullptr;
};

/// Replaces the text of this input, if it has one, by what `move` makes of it.
template <class Move>
void rewrite_text(json::object& values, const InputSpec& spec, const Move& move) {
  if (spec.type != "STRING" || spec.group == InputGroup::hidden) return;
  const json::value* text = values.if_contains(spec.name);
  if (text == nullptr && spec.group == InputGroup::optional) text = spec.options->if_contains("default");
  if (text == nullptr || !text->is_string()) return;
  const std::string moved = move(text_view(text->get_string()));
  values[spec.name] = json::string_view(moved.data(), moved.size());
}

/// Links to a prefix that can be followed become the text that would come by them.
void follow_prefixes(const PromptGraph& graph) {
  for (const PromptNode& node : graph.nodes()) {
    if (node.node_class == nullptr || node.inputs == nullptr) continue;
    for (const InputSpec& spec : node.node_class->inputs) {
      json::value* value = is_prefix(*node.node_class, spec) ? node.inputs->if_contains(spec.name) : nullptr;
      if (value == nullptr || !is_link(*value)) continue;
      if (const auto text = joined_text(graph, *value))
        *value = json::string_view(text->data(), text->size());
    }
  }
}

void rewrite_outputs(json::object& values, const NodeClass& node_class, JobId job, Epoch epoch) {
  const bool takes_folder = takes_output_folder(node_class);
  const auto move_prefix = [&](std::string_view prefix) {
    // Where there is a folder, ComfyUI puts it behind that.
    return takes_folder ? inside(prefix) : worker_prefix(prefix, job, epoch);
  };
  const auto move_folder = [&](std::string_view folder) {
    return fmt::format("{}/{}", job_folder(job, epoch), inside(folder));
  };
  for (const InputSpec& spec : node_class.inputs) {
    if (is_prefix(node_class, spec))
      rewrite_text(values, spec, move_prefix);
    else if (takes_folder && spec.name == kFolderInput)
      rewrite_text(values, spec, move_folder);
  }
}

void put_text(json::value& value, const std::string& pointer, const std::string& text) {
  boost::system::error_code error;
  if (json::value* place = value.find_pointer(pointer, error))
    *place = json::string_view(text.data(), text.size());
}

void make_harmless(json::object& values, const std::vector<ForeignName>& names) {
  for (const ForeignName& name : names) put_text(values.at(name.input), name.pointer, name.harmless);
}

void wrap_lists(json::object& values) {
  for (auto& member : values) {
    if (!member.value().is_array() || is_link(member.value())) continue;
    json::value list = std::move(member.value());
    member.value() = json::object{{"__value__", std::move(list)}};
  }
}

}  // namespace

std::vector<InputFile> input_files_of(const PromptGraph& graph, const FileLookup& exists) {
  std::vector<InputFile> files;
  Finder finder(exists, files);
  for (const PromptNode& node : graph.nodes()) {
    if (node.node_class != nullptr && node.inputs != nullptr)
      finder.node(node.id, *node.node_class, *node.inputs);
  }
  return files;
}

std::string worker_input_name(std::string_view name, const Digest& digest) {
  const std::size_t slash = name.rfind('/');
  const std::size_t base = slash == std::string_view::npos ? 0 : slash + 1;
  std::string_view own = name.substr(base);
  // A name has 255 bytes at most; its end, with the extension, is kept.
  std::size_t cut =
      own.size() > kNameBytesMax - kHashDigits - 1 ? own.size() + kHashDigits + 1 - kNameBytesMax : 0;
  while (cut < own.size() && cut > 0 && (static_cast<unsigned char>(own[cut]) & 0xC0) == 0x80) ++cut;
  own.remove_prefix(cut);
  std::string out = fmt::format("{}{}-{}", name.substr(0, base), digest.hex().substr(0, kHashDigits), own);
  if (split_annotation(out).type) out.back() = '_';
  return out;
}

std::string job_folder(JobId job, Epoch epoch) {
  return fmt::format("atelier/{}-{}", job.value, epoch.value);
}

std::string worker_prefix(std::string_view prefix, JobId job, Epoch epoch) {
  if (prefix.starts_with('/') || normal_path(prefix) == "." || !stays_inside(prefix))
    return std::string(prefix);
  return fmt::format("{}/{}", job_folder(job, epoch), harmless_prefix(prefix));
}

void rewrite(json::object& prompt, const ObjectInfo& info, const WorkerNames& names, JobId job, Epoch epoch) {
  const FileLookup known = [&](FileType type, std::string_view name) {
    return names.contains({type, std::string(name)});
  };
  const PromptGraph graph(prompt, info);
  follow_prefixes(graph);
  const std::vector<InputFile> files = input_files_of(graph, known);
  for (const PromptNode& node : graph.nodes()) {
    if (node.node_class != nullptr && node.inputs != nullptr)
      make_harmless(*node.inputs, foreign_names(*node.node_class, *node.inputs, known));
  }
  for (const InputFile& file : files) {
    const auto replacement = names.find({file.type, file.name});
    if (replacement == names.end()) continue;
    put_text(prompt.at(file.node).as_object().at("inputs").as_object().at(file.input), file.pointer,
             replacement->second);
  }
  for (const PromptNode& node : graph.nodes()) {
    if (node.node_class == nullptr || node.inputs == nullptr) continue;
    rewrite_outputs(*node.inputs, *node.node_class, job, epoch);
    wrap_lists(*node.inputs);
  }
}

}  // namespace atelier::comfy
