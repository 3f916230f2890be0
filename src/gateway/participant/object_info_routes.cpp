// SPDX-License-Identifier: MIT
// /object_info (CI E): as the workers' engines gave it, with the participant's own files in the lists.
#include "comfy/json.hpp"
#include "gateway/participant/face_impl.hpp"
#include "net/range.hpp"

namespace atelier::gateway {

namespace {

net::Response not_modified(const std::string& etag) {
  net::Response response(304);
  response.headers.add("ETag", etag);
  response.headers.add("Cache-Control", "no-cache");
  response.headers.add("Vary", "Accept-Encoding");
  return response;
}

net::Response answer(const net::Request& request,
                     std::shared_ptr<const ObjectInfoCache::Compressed> compressed) {
  if (net::is_not_modified(request.headers, compressed->etag)) return not_modified(compressed->etag);
  net::Response response(200);
  response.shared_headers = std::shared_ptr<const net::HeaderList>(compressed, &compressed->headers);
  response.body = net::SharedBody(std::shared_ptr<const net::KeptBytes>(compressed, &compressed->body));
  return response;
}

bool takes_gzip(const net::Request& request) {
  return accepts_coding(request.headers.get("Accept-Encoding"), "gzip");
}

}  // namespace

awaitable<net::Response> ParticipantFace::Impl::get_object_info(Call& call) {
  ObjectInfoCache::State state = co_await object_infos.state(call.participant);
  const bool gzip = takes_gzip(call.request);
  const std::string etag = gzip ? ObjectInfoCache::Compressed::etag_for(state.etag) : state.etag;
  // Before anything is made.
  if (net::is_not_modified(call.request.headers, etag)) co_return not_modified(etag);
  if (gzip) {
    auto compressed = co_await object_infos.compressed(call.participant, std::move(state));
    if (!compressed) co_return error_response(compressed.error());
    co_return answer(call.request, std::move(*compressed));
  }
  net::Response response(200);
  response.headers.add("ETag", etag);
  response.headers.add("Cache-Control", "no-cache");
  response.headers.add("Vary", "Accept-Encoding");
  response.headers.add("Content-Type", "application/json; charset=utf-8");
  response.body = co_await object_infos.plain(call.participant, std::move(state));
  co_return response;
}

bool ParticipantFace::Impl::quick_object_info(const Call& call, net::Response& response) {
  if (!takes_gzip(call.request)) return false;
  auto made = object_infos.made(call.participant);
  if (made == nullptr) return false;
  response = answer(call.request, std::move(made));
  return true;
}

awaitable<net::Response> ParticipantFace::Impl::get_object_info_class(Call& call) {
  const ObjectInfoCache::State state = co_await object_infos.state(call.participant);
  const comfy::ObjectInfoView view = ObjectInfoCache::view_of(call.participant, state);
  co_return json_response(state.info->print_class(call.captures.front(), view));
}

}  // namespace atelier::gateway
