// SPDX-License-Identifier: MIT
#include "comfy/output_files.hpp"

#include <boost/json.hpp>
#include <optional>

#include "comfy/output_name.hpp"

namespace atelier::comfy {
namespace json = boost::json;
namespace {

constexpr JsonLimits kUiLimits{.bytes_max = 8u << 20, .depth_max = 66};

std::string_view text_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
}

std::optional<OutputFile> file_of(const json::object& object) {
  const std::string_view name = text_of(object, "filename");
  if (name.empty()) return std::nullopt;
  return OutputFile{parse_file_type(text_of(object, "type")).value_or(FileType::output),
                    std::string(text_of(object, "subfolder")), std::string(name)};
}

std::optional<OutputFile> mesh_of(std::string_view text) {
  const AnnotatedName named = split_annotation(text);
  if (content_kind_of(named.name) != ContentKind::model3d) return std::nullopt;
  const FileType type = named.type_or(FileType::output);
  const std::string_view path = named.name;
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return OutputFile{type, "", std::string(path)};
  return OutputFile{type, std::string(path.substr(0, slash)), std::string(path.substr(slash + 1))};
}

}  // namespace

std::string_view picture_beside(const json::object& file) {
  const std::string_view name = text_of(file, "filename"), picture = text_of(file, "workflow");
  if (picture.empty() || picture.find('/') != std::string_view::npos) return {};
  const OutputName one = split_output_name(name), other = split_output_name(picture);
  const bool beside = one.number && one.number == other.number && one.stem == other.stem;
  return beside && one.rest != other.rest ? picture : std::string_view();
}

std::string_view background_of(std::string_view list, std::size_t index, std::string_view text) {
  constexpr std::string_view kTemp = "temp/";
  if (list != "result" || index == 0 || !text.starts_with(kTemp)) return {};
  text.remove_prefix(kTemp.size());
  const bool name = text.find('/') == std::string_view::npos && content_kind_of(text) == ContentKind::image;
  return name ? text : std::string_view();
}

Result<std::vector<OutputFile>> output_files(std::string_view ui) {
  ATELIER_TRY(const Json parsed, Json::parse(ui, kUiLimits));
  std::vector<OutputFile> files;
  for (const auto& list : parsed.object()) {
    const json::array* items = list.value().if_array();
    if (items == nullptr) continue;
    for (std::size_t i = 0; i < items->size(); ++i) {
      if (const json::object* object = (*items)[i].if_object()) {
        const auto file = file_of(*object);
        if (!file) continue;
        files.push_back(*file);
        const std::string_view picture = picture_beside(*object);
        if (!picture.empty()) files.push_back({file->type, file->folder, std::string(picture)});
      } else if (const json::string* text = (*items)[i].if_string()) {
        const std::string_view behind = background_of(list.key(), i, *text);
        if (!behind.empty()) files.push_back({FileType::temp, "", std::string(behind)});
        if (auto mesh = mesh_of(*text)) files.push_back(std::move(*mesh));
      }
    }
  }
  return files;
}

std::string mark_missing(std::string outputs, const std::function<bool(const OutputFile&)>& is_missing) {
  auto parsed = Json::parse(outputs, kUiLimits);
  if (!parsed || !parsed->is_object()) return outputs;
  bool any = false;
  for (auto& node : parsed->object()) {
    json::object* ui = node.value().if_object();
    if (ui == nullptr) continue;
    for (auto& list : *ui) {
      json::array* items = list.value().if_array();
      if (items == nullptr) continue;
      for (json::value& item : *items) {
        const auto file = item.is_object() ? file_of(item.get_object()) : std::nullopt;
        if (!file || !is_missing(*file)) continue;
        item.get_object()["missing"] = true;
        any = true;
      }
    }
  }
  return any ? parsed->print() : outputs;
}

}  // namespace atelier::comfy
