// SPDX-License-Identifier: MIT
#include "rehearsal/uploads.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>

#include "comfy/json.hpp"
#include "comfy/output_name.hpp"
#include "image/mask.hpp"

namespace atelier::rehearsal {
namespace json = boost::json;
namespace {

struct Place {
  StoredUpload told;
  std::string folder;  // absolute, ends with a slash
};

Result<Place> find_place(const Folders& folders, const UploadForm& form) {
  if (!form.has_file || form.filename.empty())
    return fail(Errc::bad_request, "the form has no file named 'image'");
  const auto type = comfy::parse_file_type(form.field("type", "input"));
  if (!type) return fail(Errc::bad_request, "the type must be input, output or temp");
  const std::string subfolder = form.field("subfolder");
  const std::string whole = (subfolder.empty() ? "" : comfy::normal_path(subfolder) + "/") + form.filename;
  const auto path = folders.resolve(*type, whole);
  if (!path || *path == folders.path(*type) + "/." || form.filename.ends_with('/')) {
    return fail(Errc::bad_request, "the name leaves the folder");
  }
  std::error_code error;
  const std::string folder = path->substr(0, path->rfind('/') + 1);
  std::filesystem::create_directories(folder, error);
  if (error) return std::unexpected(errno_error(error.value(), "make a folder for the upload"));
  if (std::filesystem::is_directory(*path, error))
    return fail(Errc::bad_request, "the name is that of a folder");
  return Place{{form.filename, subfolder, std::string(comfy::to_string(*type))}, folder};
}

std::string path_of(const Place& place) {
  return place.folder + place.told.name.substr(place.told.name.rfind('/') + 1);
}

// Moves to the first free name; true if the same bytes lie under a name that was tried.
bool get_out_of_the_way(Place& place, const std::string& bytes) {
  const std::string wanted = place.told.name;
  std::error_code ignored;
  for (std::uint32_t copy = 1; std::filesystem::exists(path_of(place), ignored); ++copy) {
    const auto there = read_file(path_of(place));
    if (there && *there == bytes) return true;
    place.told.name = comfy::copy_name(wanted, copy);
  }
  return false;
}

bool overwrites(const UploadForm& form) {
  return form.field("overwrite") == "true" || form.field("overwrite") == "1";
}

// The original's bytes; an empty optional if there is no such file.
Result<std::optional<std::string>> read_original(const Folders& folders, const UploadForm& form) {
  auto parsed = comfy::Json::parse(form.field("original_ref"));
  if (!parsed || !parsed->is_object()) return fail(Errc::bad_request, "original_ref is no JSON object");
  const auto text = [&](std::string_view key, std::string_view fallback) {
    const auto* value = std::as_const(*parsed).object().if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->as_string()) : std::string(fallback);
  };
  const auto name = comfy::split_annotation(text("filename", ""));
  if (name.name.empty() || name.name.starts_with('/') || name.name.find("..") != std::string::npos) {
    return fail(Errc::bad_request, "original_ref has no usable filename");
  }
  const auto type = name.type ? name.type : comfy::parse_file_type(text("type", "output"));
  if (!type) return fail(Errc::bad_request, "original_ref has an unknown type");
  const std::string subfolder = text("subfolder", "");
  if (!subfolder.empty() && !comfy::stays_inside(subfolder)) {
    return fail(Errc::forbidden, "the subfolder of original_ref leaves its folder");
  }
  const auto path = folders.resolve(*type, subfolder.empty() ? name.name : subfolder + "/" + name.name);
  std::error_code ignored;
  if (!path || !std::filesystem::is_regular_file(*path, ignored)) return std::optional<std::string>();
  ATELIER_TRY(std::string bytes, read_file(*path));
  return std::optional(std::move(bytes));
}

}  // namespace

std::string UploadForm::field(std::string_view name, std::string_view fallback) const {
  const auto found = fields.find(name);
  return found == fields.end() ? std::string(fallback) : found->second;
}

std::string StoredUpload::json() const {
  return json::serialize(json::object{{"name", name}, {"subfolder", subfolder}, {"type", type}});
}

Result<StoredUpload> store_image(const Folders& folders, const UploadForm& form) {
  ATELIER_TRY(Place place, find_place(folders, form));
  if (!overwrites(form) && get_out_of_the_way(place, form.bytes)) return place.told;
  ATELIER_TRY_VOID(write_file(path_of(place), form.bytes));
  return place.told;
}

Result<StoredUpload> store_mask(const Folders& folders, const UploadForm& form) {
  ATELIER_TRY(Place place, find_place(folders, form));
  if (!overwrites(form) && get_out_of_the_way(place, form.bytes)) return place.told;
  ATELIER_TRY(std::optional<std::string> original, read_original(folders, form));
  if (!original) return place.told;
  ATELIER_TRY(std::string bytes, image::with_alpha_of(*original, form.bytes));
  ATELIER_TRY_VOID(write_file(path_of(place), bytes));
  return place.told;
}

}  // namespace atelier::rehearsal
