// SPDX-License-Identifier: MIT
// /object_info (CI E): as the workers' engines gave it, with the participant's own files in the lists.
#include <fmt/format.h>

#include "comfy/json.hpp"
#include "gateway/participant/face_impl.hpp"
#include "net/range.hpp"

namespace atelier::gateway {

awaitable<net::Response> ParticipantFace::Impl::get_object_info(Call& call) {
  const bool gzip = accepts_coding(call.request.headers.get("Accept-Encoding"), "gzip");
  ObjectInfoCache::State state = co_await object_infos.state(call.participant);
  // Two bodies under one address need two tags (RFC 9110 8.8.3.3).
  const std::string etag =
      gzip ? fmt::format("{}-gz\"", state.etag.substr(0, state.etag.size() - 1)) : state.etag;
  net::Response response;
  response.headers.add("ETag", etag);
  response.headers.add("Cache-Control", "no-cache");
  response.headers.add("Vary", "Accept-Encoding");
  if (net::is_not_modified(call.request.headers, etag)) {
    response.status = 304;
    co_return response;
  }
  response.headers.add("Content-Type", "application/json; charset=utf-8");
  if (gzip) {
    auto body = co_await object_infos.compressed(call.participant, std::move(state));
    if (!body) co_return error_response(body.error());
    response.headers.add("Content-Encoding", "gzip");
    response.body = net::SharedBody(std::move(*body));
  } else {
    response.body = co_await object_infos.plain(call.participant, std::move(state));
  }
  co_return response;
}

awaitable<net::Response> ParticipantFace::Impl::get_object_info_class(Call& call) {
  const ObjectInfoCache::State state = co_await object_infos.state(call.participant);
  const comfy::ObjectInfoView view = ObjectInfoCache::view_of(call.participant, state);
  co_return json_response(state.info->print_class(call.captures.front(), view));
}

}  // namespace atelier::gateway
