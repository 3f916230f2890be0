// SPDX-License-Identifier: MIT
#include "comfy/rewrite.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "comfy/dynamic_inputs.hpp"
#include "comfy/input_spec.hpp"
#include "comfy/prompt_graph.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

constexpr std::string_view kPrefixInput = "filename_prefix";
constexpr std::size_t kHashDigits = 16;

std::string escape_pointer(std::string_view key) {
  std::string out;
  for (const char c : key) {
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
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
      if (value == nullptr || is_link(*value)) continue;
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
             fmt::format("{}/{}", pointer, escape_pointer({member.key().data(), member.key().size()})));
  }

  void folder(const json::value& value) {
    const auto* text = value.if_string();
    if (text == nullptr || !is_listed_folder(text_view(*text))) return;
    out_.push_back({std::string(node_), spec_->name, "", std::string(text_view(*text)),
                    std::string(text_view(*text)) + '/', spec_->file_list->folder});
  }

  void name(std::string_view text, const std::string& pointer) {
    const bool upload = spec_->upload.any();
    const bool media = !upload && exists_ && is_literal() && content_kind_of(text) != ContentKind::other;
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

void rewrite_prefix(json::object& values, const NodeClass& node_class, JobId job, Epoch epoch) {
  const InputSpec* spec = node_class.find_input(kPrefixInput);
  if (spec == nullptr || spec->type != "STRING" || spec->group == InputGroup::hidden) return;
  const json::value* prefix = values.if_contains(spec->name);
  if (prefix == nullptr && spec->group == InputGroup::optional)
    prefix = spec->options->if_contains("default");
  if (prefix == nullptr || !prefix->is_string()) return;
  const std::string moved = worker_prefix(text_view(prefix->get_string()), job, epoch);
  values[spec->name] = json::string_view(moved.data(), moved.size());
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
  std::string out =
      fmt::format("{}{}-{}", name.substr(0, base), digest.hex().substr(0, kHashDigits), name.substr(base));
  if (split_annotation(out).type) out.back() = '_';
  return out;
}

std::string job_folder(JobId job, Epoch epoch) {
  return fmt::format("atelier/{}-{}", job.value, epoch.value);
}

std::string worker_prefix(std::string_view prefix, JobId job, Epoch epoch) {
  if (prefix.starts_with('/') || normal_path(prefix) == "." || !stays_inside(prefix))
    return std::string(prefix);
  return fmt::format("{}/{}", job_folder(job, epoch), prefix);
}

void rewrite(json::object& prompt, const ObjectInfo& info, const WorkerNames& names, JobId job, Epoch epoch) {
  const FileLookup known = [&](FileType type, std::string_view name) {
    return names.contains({type, std::string(name)});
  };
  const PromptGraph graph(prompt, info);
  for (const InputFile& file : input_files_of(graph, known)) {
    const auto replacement = names.find({file.type, file.name});
    if (replacement == names.end()) continue;
    json::value& value = prompt.at(file.node).as_object().at("inputs").as_object().at(file.input);
    boost::system::error_code error;
    if (json::value* place = value.find_pointer(file.pointer, error))
      *place = json::string_view(replacement->second.data(), replacement->second.size());
  }
  for (const PromptNode& node : graph.nodes()) {
    if (node.node_class == nullptr || node.inputs == nullptr) continue;
    rewrite_prefix(*node.inputs, *node.node_class, job, epoch);
    wrap_lists(*node.inputs);
  }
}

}  // namespace atelier::comfy
