// SPDX-License-Identifier: MIT
// /object_info (CI E): as the workers' engines gave it, with the participant's own files in the lists.
#include <fmt/format.h>

#include "comfy/json.hpp"
#include "gateway/participant/face_impl.hpp"
#include "net/range.hpp"

namespace atelier::gateway {

namespace {

/// Two bodies under one address need two tags (RFC 9110 8.8.3.3). True if the browser has this one already:
/// then the answer is whole.
bool begin_object_info(const net::Request& request, bool gzip, const std::string& state_etag,
                       net::Response& response) {
  const std::string etag =
      gzip ? fmt::format("{}-gz\"", state_etag.substr(0, state_etag.size() - 1)) : state_etag;
  response.status = 200;
  response.headers.reserve(256, 5);
  response.headers.add("ETag", etag);
  response.headers.add("Cache-Control", "no-cache");
  response.headers.add("Vary", "Accept-Encoding");
  if (net::is_not_modified(request.headers, etag)) {
    response.status = 304;
    return true;
  }
  response.headers.add("Content-Type", "application/json; charset=utf-8");
  if (gzip) response.headers.add("Content-Encoding", "gzip");
  return false;
}

}  // namespace

awaitable<net::Response> ParticipantFace::Impl::get_object_info(Call& call) {
  const bool gzip = accepts_coding(call.request.headers.get("Accept-Encoding"), "gzip");
  ObjectInfoCache::State state = co_await object_infos.state(call.participant);
  net::Response response;
  if (begin_object_info(call.request, gzip, state.etag, response)) co_return response;
  if (gzip) {
    auto body = co_await object_infos.compressed(call.participant, std::move(state));
    if (!body) co_return error_response(body.error());
    response.body = net::SharedBody(std::move(*body));
  } else {
    response.body = co_await object_infos.plain(call.participant, std::move(state));
  }
  co_return response;
}

bool ParticipantFace::Impl::quick_object_info(const Call& call, net::Response& response) {
  if (!accepts_coding(call.request.headers.get("Accept-Encoding"), "gzip")) return false;
  const auto made = object_infos.made(call.participant);
  if (!made) return false;
  if (!begin_object_info(call.request, true, made->etag, response))
    response.body = net::SharedBody(made->body);
  return true;
}

awaitable<net::Response> ParticipantFace::Impl::get_object_info_class(Call& call) {
  const ObjectInfoCache::State state = co_await object_infos.state(call.participant);
  const comfy::ObjectInfoView view = ObjectInfoCache::view_of(call.participant, state);
  co_return json_response(state.info->print_class(call.captures.front(), view));
}

}  // namespace atelier::gateway
