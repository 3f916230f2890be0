// SPDX-License-Identifier: MIT
#include "gateway/worker_link/accepted_form.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <optional>

#include "comfy/files.hpp"
#include "comfy/json.hpp"
#include "comfy/output_files.hpp"
#include "gateway/stock_uuid.hpp"

namespace atelier::gateway {
namespace json = boost::json;
namespace {

std::string text_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_string()) return {};
  return std::string(value->get_string().data(), value->get_string().size());
}

std::string path_of(const std::string& folder, const std::string& name) {
  return folder.empty() ? name : folder + "/" + name;
}

/// "images/0", or "gifs/0/workflow" for a member.
struct Place {
  std::string_view list;
  std::size_t index = 0;
  std::string_view member;
};

std::optional<Place> read_place(std::string_view text) {
  Place place;
  for (int parts = 0; parts < 2; ++parts) {
    const std::size_t slash = text.rfind('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const char* const end = text.data() + text.size();
    const auto number = std::from_chars(text.data() + slash + 1, end, place.index);
    const bool is_index = number.ec == std::errc{} && number.ptr == end;
    place.list = text.substr(0, slash);
    if (is_index) return place;
    place.member = text.substr(slash + 1);
    text = place.list;
  }
  return std::nullopt;
}

/// The worker's ComfyUI numbers its files from 0.38 on (`id` and `preview_id`, UUIDs). Here they name
/// nothing, and of a result out of its cache they are another participant's.
void remove_asset_ids(json::object& entry) {
  for (const std::string_view name : {"id", "preview_id"}) {
    if (is_stock_uuid(text_of(entry, name))) entry.erase(name);
  }
}

void put_path(json::object& entry, const GivenName& given) {
  remove_asset_ids(entry);
  const std::string there = "/" + path_of(text_of(entry, "subfolder"), text_of(entry, "filename"));
  const std::string here = path_of(given.folder, given.name);
  // Where the worker has its files is not the participant's business; `fullpath` is VideoHelperSuite's.
  for (auto& member : entry) {
    if (!member.value().is_string()) continue;
    const std::string_view text = member.value().get_string();
    if (member.key() == "fullpath" || (text.starts_with('/') && text.ends_with(there))) member.value() = here;
  }
  entry["filename"] = given.name;
  entry["subfolder"] = given.folder;
  entry["type"] = given.type;
}

/// 3D nodes name their file by a text, which may say of what type it is.
std::string text_with_name(std::string_view text, const Place& place, const GivenName& given) {
  std::string path = path_of(given.folder, given.name);
  if (!comfy::background_of(place.list, place.index, text).empty()) return "temp/" + path;
  if (comfy::split_annotation(text).type) return path + " [" + given.type + "]";
  return path;
}

void put_name(json::object& lists, std::string_view text, const GivenName& given) {
  const auto place = read_place(text);
  json::value* list = place ? lists.if_contains(place->list) : nullptr;
  if (list == nullptr || !list->is_array() || place->index >= list->get_array().size()) return;
  json::value& entry = list->get_array()[place->index];
  if (!place->member.empty()) {
    json::value* member = entry.is_object() ? entry.get_object().if_contains(place->member) : nullptr;
    if (member != nullptr && member->is_string()) *member = given.name;
  } else if (entry.is_object()) {
    put_path(entry.get_object(), given);
  } else if (entry.is_string()) {
    entry = text_with_name(entry.get_string(), *place, given);
  }
}

}  // namespace

Result<AcceptedForm> read_accepted_form(std::shared_ptr<const std::string> bytes) {
  // Its depth is the prompt's (64) and three more.
  ATELIER_TRY(const auto form, comfy::Json::parse(*bytes, {.bytes_max = 64u << 20, .depth_max = 80}));
  AcceptedForm accepted;
  accepted.bytes = std::move(bytes);
  const json::object& object = form.object();
  if (const json::value* pins = object.if_contains("pins"); pins != nullptr && pins->is_array()) {
    for (const json::value& pin : pins->get_array()) {
      if (!pin.is_object()) continue;
      link::InputRef input;
      input.name = text_of(pin.get_object(), "name");
      const std::string type = text_of(pin.get_object(), "type");
      input.type = type == "output" ? link::FileType::output
                   : type == "temp" ? link::FileType::temp
                                    : link::FileType::input;
      ATELIER_TRY(input.digest, Digest::parse(text_of(pin.get_object(), "digest")));
      if (const json::value* size = pin.get_object().if_contains("size")) {
        input.size = size->is_uint64()  ? size->get_uint64()
                     : size->is_int64() ? static_cast<std::uint64_t>(size->get_int64())
                                        : 0;
      }
      if (pin.get_object().contains("folder")) input.folder = text_of(pin.get_object(), "folder");
      accepted.pins.push_back(std::move(input));
    }
  }
  if (const json::value* extra = object.if_contains("extra_data"); extra != nullptr && extra->is_object()) {
    accepted.preview_method = text_of(extra->get_object(), "preview_method");
  }
  return accepted;
}

std::string commit_attachment(const link::Commit& commit) {
  json::object stored;
  auto ui = comfy::Json::parse(commit.ui, {.bytes_max = link::kJsonBytesMax, .depth_max = 64});
  stored["ui"] = ui && ui->is_object() ? ui->value() : json::value(json::object{});
  json::array places;
  for (const link::CommitFile& file : commit.files) places.emplace_back(file.place);
  stored["places"] = std::move(places);
  stored["display_node"] = commit.display_node;
  return comfy::print_json(json::value(std::move(stored)));
}

Result<CommitParts> read_commit_attachment(std::string_view bytes) {
  ATELIER_TRY(const auto stored, comfy::Json::parse(bytes, {.bytes_max = 8u << 20, .depth_max = 66}));
  CommitParts parts;
  const json::object& object = stored.object();
  const json::value* ui = object.if_contains("ui");
  const json::value* places = object.if_contains("places");
  if (ui == nullptr || places == nullptr || !places->is_array())
    return fail(Errc::io, "a commit's attachment is damaged");
  parts.ui = comfy::print_json(*ui);
  for (const json::value& place : places->get_array()) {
    parts.places.emplace_back(place.is_string() ? std::string_view(place.get_string()) : std::string_view());
  }
  parts.display_node = text_of(object, "display_node");
  return parts;
}

Result<std::string> ui_with_names(std::string_view ui, const std::vector<GivenName>& names) {
  ATELIER_TRY(auto parsed, comfy::Json::parse(ui, {.bytes_max = 8u << 20, .depth_max = 66}));
  for (const GivenName& given : names) {
    for (std::size_t at = 0; at <= given.place.size();) {
      const std::size_t end = std::min(given.place.find('\n', at), given.place.size());
      put_name(parsed.object(), std::string_view(given.place).substr(at, end - at), given);
      at = end + 1;
    }
  }
  return parsed.print();
}

std::string with_prompt_id(std::string text, std::string_view run_id, std::string_view prompt_id) {
  if (run_id.empty()) return text;
  std::string quoted = comfy::print_json(json::value(json::string(prompt_id)));
  const std::string inside = quoted.substr(1, quoted.size() - 2);
  for (std::size_t at = 0; (at = text.find(run_id, at)) != std::string::npos; at += inside.size()) {
    text.replace(at, run_id.size(), inside);
  }
  return text;
}

std::string report_attachment(std::string_view event, std::string_view report) {
  json::object stored;
  auto parsed_event = comfy::Json::parse(event, {.bytes_max = 8u << 20, .depth_max = 64});
  auto parsed_report = comfy::Json::parse(report, {.bytes_max = 8u << 20, .depth_max = 64});
  stored["event"] = parsed_event ? parsed_event->value() : json::value(nullptr);
  stored["status"] = nullptr;
  stored["meta"] = nullptr;
  if (parsed_report && parsed_report->is_object()) {
    for (const char* key : {"status", "meta"}) {
      if (const json::value* part = parsed_report->object().if_contains(key)) stored[key] = *part;
    }
  }
  return comfy::print_json(json::value(std::move(stored)));
}

}  // namespace atelier::gateway
