// SPDX-License-Identifier: MIT
// What is known of a model file beside its name: its metadata and a picture of it (CI D7).
#include <boost/json.hpp>

#include <algorithm>
#include <span>

#include "comfy/files.hpp"
#include "comfy/json.hpp"
#include "files/safe_path.hpp"
#include "gateway/participant/face_impl.hpp"
#include "gateway/participant/file_answer.hpp"

namespace atelier::gateway {
namespace {

// As ComfyUI 0.21.0 (server.py, view_metadata): a longer header is not read for this.
constexpr std::uint64_t kHeaderBytesMax = 1 << 20;

/// The `__metadata__` object of a safetensors file as JSON text. Errors: not_found if it has none, or the
/// file is no safetensors file.
Result<std::string> metadata_of(const files::Directory& library, const std::string& path) {
  if (!path.ends_with(".safetensors")) return fail(Errc::not_found, "not a safetensors file");
  ATELIER_TRY(const files::File file, library.open_file(path));
  std::array<unsigned char, 8> prefix{};
  ATELIER_TRY(const std::size_t got, file.read_at(0, std::as_writable_bytes(std::span(prefix))));
  std::uint64_t length = 0;
  for (std::size_t i = prefix.size(); i-- > 0;) length = length << 8 | prefix[i];
  if (got < prefix.size() || length > kHeaderBytesMax || length > file.size() - prefix.size())
    return fail(Errc::not_found, "not a safetensors file, or its header is too long");
  std::string header(static_cast<std::size_t>(length), '\0');
  ATELIER_TRY(const std::size_t read, file.read_at(prefix.size(), std::as_writable_bytes(std::span(header))));
  if (read < header.size()) return fail(Errc::not_found, "not a safetensors file");
  auto parsed = comfy::Json::parse(header);
  const auto* metadata =
      parsed && parsed->is_object() ? parsed->object().if_contains("__metadata__") : nullptr;
  if (metadata == nullptr) return fail(Errc::not_found, "the file has no metadata");
  return comfy::print_json(*metadata);
}

/// The first picture beside a model: "x.png", "x.preview.webp" beside "x.safetensors".
Result<files::File> picture_beside(const files::Directory& library, const std::string& path) {
  ATELIER_TRY_VOID(files::check_path(path));
  const files::SplitPath split = files::split_path(path);
  const std::string stem = std::string(files::split_extension(split.name).stem) + ".";
  ATELIER_TRY(const files::Listing listing, library.list(split.folder, {}));
  for (const files::Entry& entry : listing.entries) {
    if (entry.kind != files::EntryKind::file || !entry.path.starts_with(stem)) continue;
    if (files::content_kind(entry.path) != files::ContentKind::image) continue;
    return library.open_file(files::join_path(split.folder, entry.path));
  }
  return fail(Errc::not_found, "there is no picture of it");
}

}  // namespace

awaitable<net::Response> ParticipantFace::Impl::get_view_metadata(Call& call) {
  const std::string folder = call.captures.front();
  const std::string name = call.request.parameter("filename").value_or("");
  if (!comfy::is_model_folder(folder) || name.empty()) co_return empty_response(404);
  auto look = [this, path = folder + "/" + name] { return metadata_of(files.data().library(), path); };
  auto metadata = co_await files.run(std::move(look));
  // As ComfyUI: without a word. The front end takes the empty body for "nothing is known".
  if (!metadata) co_return empty_response(404);
  co_return json_response(std::move(*metadata));
}

awaitable<net::Response> ParticipantFace::Impl::get_model_preview(Call& call) {
  const std::string folder = call.captures.at(0);
  const auto name = net::percent_decode(call.captures.at(2));
  if (!comfy::is_library_folder(folder) || !name) co_return empty_response(404);
  if (call.captures.at(1) != "0") co_return empty_response(400);  // each kind has one folder here
  auto look = [this, path = folder + "/" + *name] { return picture_beside(files.data().library(), path); };
  auto picture = co_await files.run(std::move(look));
  if (!picture) co_return empty_response(picture.error().code == Errc::forbidden ? 403 : 404);
  if (!pictures.available()) co_return empty_response(404);
  image::RenderRequest form;
  form.form = image::RenderForm::webp;
  form.quality = 80;
  files::ViewedFile viewed;
  viewed.opened.file = std::move(*picture);
  viewed.name = "preview.webp";
  co_return co_await rendered_view(call, std::move(viewed), form);
}

}  // namespace atelier::gateway
