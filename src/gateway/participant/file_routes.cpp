// SPDX-License-Identifier: MIT
// Reading a participant's files: /view and /internal/files (CI A2, D3).
#include <fmt/format.h>

#include "comfy/json.hpp"
#include "gateway/participant/face_impl.hpp"
#include "gateway/participant/file_answer.hpp"

namespace atelier::gateway {

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
