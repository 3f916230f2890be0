// SPDX-License-Identifier: MIT
#include "comfy/output_files.hpp"

#include <boost/json.hpp>
#include <optional>

namespace atelier::comfy {
namespace json = boost::json;
namespace {

constexpr JsonLimits kUiLimits{.bytes_max = 8u << 20, .depth_max = 66};

std::string_view text_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
}

std::optional<OutputFile> file_of(const json::value& item) {
  if (const json::object* object = item.if_object()) {
    const std::string_view name = text_of(*object, "filename");
    if (name.empty()) return std::nullopt;
    return OutputFile{parse_file_type(text_of(*object, "type")).value_or(FileType::output),
                      std::string(text_of(*object, "subfolder")), std::string(name)};
  }
  const json::string* text = item.if_string();
  if (text == nullptr || content_kind_of(std::string_view(*text)) != ContentKind::model3d)
    return std::nullopt;
  const std::string_view path = *text;
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return OutputFile{FileType::output, "", std::string(path)};
  return OutputFile{FileType::output, std::string(path.substr(0, slash)),
                    std::string(path.substr(slash + 1))};
}

}  // namespace

Result<std::vector<OutputFile>> output_files(std::string_view ui) {
  ATELIER_TRY(const Json parsed, Json::parse(ui, kUiLimits));
  std::vector<OutputFile> files;
  for (const auto& list : parsed.object()) {
    const json::array* items = list.value().if_array();
    if (items == nullptr) continue;
    for (const json::value& item : *items) {
      if (auto file = file_of(item)) files.push_back(std::move(*file));
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
        const auto file = file_of(item);
        if (!item.is_object() || !file || !is_missing(*file)) continue;
        item.get_object()["missing"] = true;
        any = true;
      }
    }
  }
  return any ? parsed->print() : outputs;
}

}  // namespace atelier::comfy
