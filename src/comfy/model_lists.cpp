// SPDX-License-Identifier: MIT
#include "comfy/model_lists.hpp"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cmath>
#include <utility>

#include "comfy/files.hpp"
#include "comfy/json.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

constexpr std::size_t kKeyBytesMax = 64;
constexpr std::size_t kPathBytesMax = 1'024;
constexpr std::uint64_t kBytesMax = (std::uint64_t{1} << 53) - 1;  // exact in every JSON reader
constexpr double kSecondsMax = 1e11;
// ComfyUI 0.21.0 (folder_paths.py): they lead to text_encoders and diffusion_models.
constexpr std::array<std::string_view, 2> kOlderNames = {"clip", "unet"};

double number(const json::object& file, std::string_view key) {
  const json::value* found = file.if_contains(key);
  return found != nullptr && found->is_number() ? found->to_number<double>() : 0;
}

bool is_false(const json::object& file, std::string_view key) {
  const json::value* found = file.if_contains(key);
  return found != nullptr && found->is_bool() && !found->get_bool();
}

double seconds(double value) { return std::isfinite(value) && value > 0 && value <= kSecondsMax ? value : 0; }

}  // namespace

bool is_told_folder(std::string_view key) {
  if (key.empty() || key.size() > kKeyBytesMax || key.front() == '.') return false;
  if (is_model_folder(key)) return is_library_folder(key);
  if (std::ranges::find(kOlderNames, key) != kOlderNames.end()) return false;
  return std::ranges::all_of(key, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

bool is_told_name(std::string_view name) {
  if (name.empty() || name.size() > kPathBytesMax) return false;
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (std::ranges::any_of(name, is_control)) return false;
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t end = std::min(name.find('/', at), name.size());
    const std::string_view part = name.substr(at, end - at);
    if (part.empty() || part == "." || part == "..") return false;
    at = end + 1;
  }
  return true;
}

bool ModelLists::add(std::string_view folder) {
  if (folders_.contains(folder)) return true;
  if (folders_.size() >= kFoldersMax || !is_told_folder(folder)) return false;
  folders_.emplace(folder, Files());
  return true;
}

bool ModelLists::add(std::string_view folder, std::string_view name, const ModelFile& file) {
  if (files_ >= kFilesMax || name_bytes_ + name.size() > kNameBytesMax || !is_told_name(name)) return false;
  if (!add(folder)) return false;
  ModelFile taken = file;
  if (!taken.has_details) taken = {.is_named = taken.is_named, .has_details = false};
  if (taken.bytes > kBytesMax) taken.bytes = 0;
  taken.modified = seconds(taken.modified);
  taken.created = seconds(taken.created);
  if (!folders_.find(folder)->second.try_emplace(std::string(name), taken).second) return false;
  ++files_;
  name_bytes_ += name.size();
  return true;
}

ModelLists ModelLists::combine(const ModelLists& details, const ModelLists& names) {
  ModelLists both;
  for (const auto& [folder, files] : details.folders_) {
    if (!both.add(folder)) continue;
    const Files* named = names.find(folder);
    for (auto [name, file] : files) {
      file.is_named = named != nullptr && named->contains(name);
      both.add(folder, name, file);
    }
  }
  for (const auto& [folder, files] : names.folders_) {
    if (!both.add(folder)) continue;
    for (const auto& [name, file] : files) both.add(folder, name, {.has_details = false});
  }
  return both;
}

const ModelLists::Files* ModelLists::find(std::string_view folder) const {
  const auto found = folders_.find(folder);
  return found == folders_.end() ? nullptr : &found->second;
}

std::string ModelLists::print() const {
  json::object out;
  for (const auto& [folder, files] : folders_) {
    json::object& listed = out[folder].emplace_object();
    listed.reserve(files.size());
    for (const auto& [name, file] : files) {
      json::object& facts = listed[name].emplace_object();
      if (file.has_details) {
        facts["size"] = file.bytes;
        facts["modified"] = file.modified;
        facts["created"] = file.created;
      }
      if (!file.is_named) facts["named"] = false;
    }
  }
  return print_json(out);
}

Result<ModelLists> ModelLists::parse(std::string_view text) {
  ATELIER_TRY(const Json parsed, Json::parse(text, {.bytes_max = kPrintedBytesMax, .depth_max = 4}));
  if (!parsed.is_object()) return fail(Errc::bad_request, "lists of models are an object of folders");
  ModelLists lists;
  for (const auto& [folder, files] : parsed.object()) {
    if (!files.is_object()) return fail(Errc::bad_request, "a folder of models is an object of files");
    if (!lists.add(folder)) continue;
    for (const auto& [name, facts] : files.get_object()) {
      if (!facts.is_object()) return fail(Errc::bad_request, "a model file is an object");
      const json::object& file = facts.get_object();
      const double bytes = number(file, "size");
      const bool is_size = bytes > 0 && bytes <= static_cast<double>(kBytesMax);
      lists.add(folder, name,
                {.bytes = is_size ? static_cast<std::uint64_t>(bytes) : 0,
                 .modified = number(file, "modified"),
                 .created = number(file, "created"),
                 .is_named = !is_false(file, "named"),
                 .has_details = file.contains("size")});
    }
  }
  return lists;
}

}  // namespace atelier::comfy
