// SPDX-License-Identifier: MIT
// What is known of one model file of the library: what its header says, and the picture beside it (CI D7).
#include <array>
#include <boost/json.hpp>

#include "comfy/json.hpp"
#include "files/safe_path.hpp"
#include "files/safetensors.hpp"
#include "gateway/participant/face_impl.hpp"

namespace atelier::gateway {
namespace {

// ComfyUI 0.21.0 (server.py, view_metadata): a header above that is answered as if there were none.
constexpr std::uint64_t kHeaderBytesMax = 1u << 20;
constexpr std::uint8_t kPreviewQuality = 80;  // Pillow's own for WebP, which ComfyUI does not change

/// The `__metadata__` object of a model's header as text. Error: whatever there is none for.
Result<std::string> metadata_of(const files::Directory& library, const std::string& path) {
  ATELIER_TRY(const files::File file, library.open_file(path));
  ATELIER_TRY(const std::string header, files::read_safetensors_header(file, kHeaderBytesMax));
  ATELIER_TRY(const comfy::Json parsed,
              comfy::Json::parse(header, {.bytes_max = kHeaderBytesMax, .depth_max = 16}));
  const auto* metadata = parsed.object().if_contains("__metadata__");
  if (metadata == nullptr) return fail(Errc::not_found, "the header has no metadata");
  return comfy::print_json(*metadata);
}

/// "sub/cat.png" or "sub/cat.preview.png" for the model "sub/cat.safetensors". ComfyUI takes whichever its
/// folder lists first; here the order is fixed. Error not_found.
Result<files::File> open_preview(const files::Directory& library, const std::string& model) {
  constexpr std::array<std::string_view, 6> kEndings = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".tiff"};
  const files::SplitPath split = files::split_path(model);
  const std::string stem = files::join_path(split.folder, files::split_extension(split.name).stem);
  for (const std::string_view middle : {"", ".preview"}) {
    for (const std::string_view ending : kEndings) {
      if (auto file = library.open_file(stem + std::string(middle) + std::string(ending))) return file;
    }
  }
  return fail(Errc::not_found, "there is no picture beside the model");
}

}  // namespace

awaitable<net::Response> ParticipantFace::Impl::get_view_metadata(Call& call) {
  const std::string folder = call.captures.front();
  const std::string name = call.request.parameter("filename").value_or("");
  if (!comfy::is_library_folder(folder) || !name.ends_with(".safetensors")) co_return empty_response(404);
  auto look = [this, path = files::join_path(folder, name)] {
    return metadata_of(files.data().library(), path);
  };
  auto text = co_await files.run(std::move(look));
  if (!text) co_return empty_response(404);  // whatever the reason: the front end takes it for "none"
  co_return json_response(std::move(*text));
}

awaitable<net::Response> ParticipantFace::Impl::get_model_preview(Call& call) {
  const std::string folder = call.captures[0];
  const std::string index = call.captures[1];
  const auto name = net::percent_decode(call.captures[2]);
  if (!comfy::is_library_folder(folder)) co_return empty_response(404);
  if (index != "0") co_return empty_response(400);  // each kind has one folder (get_experiment_folder)
  if (!name) co_return empty_response(404);
  if (const auto checked = files::check_path(*name); !checked) {
    co_return empty_response(checked.error().code == Errc::forbidden ? 403 : 404);
  }
  auto open = [this, path = files::join_path(folder, *name)] {
    return open_preview(files.data().library(), path);
  };
  auto picture = co_await files.run(std::move(open));
  if (!picture || !pictures.available()) co_return empty_response(404);
  image::RenderRequest form;
  form.quality = kPreviewQuality;
  auto rendered = co_await rendered_picture(call.request, std::move(*picture), form);
  if (rendered) co_return std::move(*rendered);
  const Errc code = rendered.error().code;
  const bool broken = code == Errc::unsupported || code == Errc::bad_request || code == Errc::too_large;
  co_return broken ? empty_response(404) : error_response(rendered.error());
}

}  // namespace atelier::gateway
