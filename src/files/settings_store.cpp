// SPDX-License-Identifier: MIT
#include "files/settings_store.hpp"

#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "files/safe_path.hpp"
#include "files/temp_file.hpp"

namespace atelier::files {
namespace {

namespace json = boost::json;

constexpr const char* kSettingsName = "comfy.settings.json";
constexpr std::size_t kIdBytesMax = 256;

/// `depth_max` counts nested arrays and objects.
Result<json::value> parse(std::string_view text, std::size_t depth_max) {
  if (text.size() > kSettingsBytesMax) {
    return fail(Errc::too_large, fmt::format("settings may have at most {} MB", kSettingsBytesMax >> 20));
  }
  json::parse_options options;
  options.max_depth = depth_max;
  boost::system::error_code code;
  json::value value = json::parse(text, code, {}, options);
  if (code) return fail(Errc::bad_request, fmt::format("the settings are not JSON: {}", code.message()));
  return value;
}

/// {} when there is no file or none that can be understood, as stock does.
Result<json::object> read_object(const Directory& folder) {
  auto file = folder.open_file(kSettingsName);
  if (!file) {
    const Errc code = file.error().code;
    if (code == Errc::not_found || code == Errc::unsupported || code == Errc::forbidden)
      return json::object{};
    return std::unexpected(std::move(file).error());
  }
  auto text = file->read_all(kSettingsBytesMax);
  if (!text && text.error().code == Errc::too_large) return json::object{};
  if (!text) return std::unexpected(std::move(text).error());
  auto value = parse(*text, kSettingsDepthMax);
  if (!value || !value->is_object()) return json::object{};
  return std::move(value->as_object());
}

Result<void> write_object(const DataFolder& data, const Directory& folder, const json::object& settings) {
  const std::string text = json::serialize(settings);
  if (text.size() > kSettingsBytesMax) {
    return fail(Errc::too_large, fmt::format("settings may have at most {} MB", kSettingsBytesMax >> 20));
  }
  // What could not be read back would cost all settings (a number out of range is printed as it cannot be
  // read).
  ATELIER_TRY_VOID(parse(text, kSettingsDepthMax));
  return write_atomically(data.temp(), folder, kSettingsName, text, FileMode::writable, Replace::yes);
}

}  // namespace

Result<std::string> SettingsStore::all(ParticipantId participant) const {
  ATELIER_TRY(const Directory folder, data_.tree(participant, Tree::userdata));
  ATELIER_TRY(const json::object settings, read_object(folder));
  return json::serialize(settings);
}

Result<std::string> SettingsStore::get(ParticipantId participant, std::string_view id) const {
  ATELIER_TRY(const Directory folder, data_.tree(participant, Tree::userdata));
  ATELIER_TRY(const json::object settings, read_object(folder));
  const json::value* value = settings.if_contains(id);
  return value == nullptr ? std::string("null") : json::serialize(*value);
}

Result<void> SettingsStore::merge(ParticipantId participant, std::string_view object_text) const {
  ATELIER_TRY(json::value given, parse(object_text, kSettingsDepthMax));
  if (!given.is_object()) return fail(Errc::bad_request, "settings are a JSON object");
  ATELIER_TRY(const Directory folder, data_.tree(participant, Tree::userdata));
  const std::scoped_lock lock(mutex_of(participant));
  ATELIER_TRY(json::object settings, read_object(folder));
  for (auto& member : given.as_object()) settings.insert_or_assign(member.key(), std::move(member.value()));
  return write_object(data_, folder, settings);
}

Result<void> SettingsStore::set(ParticipantId participant, std::string_view id,
                                std::string_view value_text) const {
  if (id.empty() || id.size() > kIdBytesMax || !is_utf8(id)) {
    return fail(Errc::bad_request, fmt::format("a setting's name is 1 to {} bytes of UTF-8", kIdBytesMax));
  }
  ATELIER_TRY(json::value value, parse(value_text, kSettingsDepthMax - 1));
  ATELIER_TRY(const Directory folder, data_.tree(participant, Tree::userdata));
  const std::scoped_lock lock(mutex_of(participant));
  ATELIER_TRY(json::object settings, read_object(folder));
  settings.insert_or_assign(id, std::move(value));
  return write_object(data_, folder, settings);
}

}  // namespace atelier::files
