// SPDX-License-Identifier: MIT
// Reading a participant's files: /view and /internal/files (CI A2, D3).
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "comfy/json.hpp"
#include "gateway/participant/face_impl.hpp"
#include "gateway/participant/file_answer.hpp"
#include "net/range.hpp"

namespace atelier::gateway {
namespace {

/// "webp;90", "jpeg;75", "webp": other formats count as webp; the quality is the last part if that is a
/// number.
image::RenderRequest preview_form(std::string_view preview, std::string_view channel) {
  image::RenderRequest request;
  request.form =
      preview.substr(0, preview.find(';')) == "jpeg" ? image::RenderForm::jpeg : image::RenderForm::webp;
  const std::size_t semicolon = preview.rfind(';');
  if (semicolon != std::string_view::npos) {
    const std::string_view digits = preview.substr(semicolon + 1);
    int quality = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), quality);
    if (error == std::errc{} && end == digits.data() + digits.size())
      request.quality = static_cast<std::uint8_t>(std::clamp(quality, 1, 100));
  }
  if (channel.find('a') != std::string_view::npos)
    request.form = image::RenderForm::webp;  // jpeg has no alpha
  request.drop_alpha = channel == "rgb";
  return request;
}

/// What /view is asked to make of the picture; nothing: the file as it is (ComfyUI 0.21.0, server.py,
/// view_image).
std::optional<image::RenderRequest> wanted_form(const net::Request& request) {
  const std::string channel = request.parameter("channel").value_or("");
  if (const auto preview = request.parameter("preview")) return preview_form(*preview, channel);
  image::RenderRequest form;
  form.form = channel == "rgb" ? image::RenderForm::png_rgb : image::RenderForm::png_alpha;
  return channel == "rgb" || channel == "a" ? std::optional(form) : std::nullopt;
}

}  // namespace

awaitable<Result<net::Response>> ParticipantFace::Impl::rendered_picture(const net::Request& request,
                                                                         files::File picture,
                                                                         image::RenderRequest form) {
  const files::FileKey key = picture.stat().key;
  const std::string etag = fmt::format("\"{:x}-{:x}-{}-{}-{}\"", key.inode, key.modified_ns,
                                       static_cast<int>(form.form), form.quality, form.drop_alpha);
  net::Response response;
  response.headers.add("ETag", etag);
  response.headers.add("Cache-Control", "no-cache");
  if (net::is_not_modified(request.headers, etag)) {
    response.status = 304;
    co_return response;
  }
  ATELIER_CO_TRY(auto rendered, co_await pictures.render(std::move(picture), form));
  response.headers.add("Content-Type", image::content_type_of(form.form));
  response.headers.add("X-Content-Type-Options", "nosniff");
  response.body = std::move(rendered);
  co_return response;
}

awaitable<net::Response> ParticipantFace::Impl::rendered_view(Call& call, files::ViewedFile viewed,
                                                              image::RenderRequest form) {
  auto rendered = co_await rendered_picture(call.request, std::move(viewed.opened.file), form);
  if (!rendered) {
    const Errc code = rendered.error().code;
    const bool broken = code == Errc::unsupported || code == Errc::bad_request || code == Errc::too_large;
    // ComfyUI answers 500 to what is no picture; which of the two it is, a client can tell by the text.
    co_return broken ? net::Response::text(500, "This file is not a picture that can be shown.")
                     : error_response(rendered.error());
  }
  if (rendered->status == 200) {
    rendered->headers.add("Content-Disposition", disposition(viewed.name, false));
  }
  co_return std::move(*rendered);
}

awaitable<net::Response> ParticipantFace::Impl::get_view(Call& call) {
  files::ViewRequest wanted;
  wanted.filename = call.request.parameter("filename");
  wanted.type = call.request.parameter("type");
  wanted.subfolder = call.request.parameter("subfolder");
  auto open = [this, participant = call.participant, wanted = std::move(wanted)] {
    return files.participants().open_for_view(participant, wanted);
  };
  auto viewed = co_await files.run(std::move(open));
  if (!viewed) {
    const Errc code = viewed.error().code;
    const bool request_wrong =
        code == Errc::bad_request || code == Errc::forbidden || code == Errc::not_found;
    // As ComfyUI: without a word.
    co_return request_wrong ? empty_response(http_status_of(code)) : error_response(viewed.error());
  }
  if (const auto form = wanted_form(call.request); form && pictures.available()) {
    co_return co_await rendered_view(call, std::move(*viewed), *form);
  }
  const std::string name = viewed->name;
  co_return file_answer(call.request, std::move(viewed->opened.file), name);
}

awaitable<net::Response> ParticipantFace::Impl::get_internal_files(Call& call) {
  const auto type = files::parse_folder_type(call.captures.front());
  if (!type) co_return net::Response::json(400, R"({"error":"Invalid directory type"})");
  auto look = [this, participant = call.participant, type = *type] {
    return files.participants().list_newest_first(participant, type);
  };
  const auto listed = co_await files.run(std::move(look));
  if (!listed) co_return error_response(listed.error());
  std::vector<std::string> names;
  for (const files::ListedFile& file : *listed) {
    names.push_back(fmt::format("{} [{}]", file.path, files::to_string(*type)));
  }
  co_return json_response(comfy::quote_json_list(names));
}

}  // namespace atelier::gateway
