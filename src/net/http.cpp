// SPDX-License-Identifier: MIT
#include "net/http.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace atelier::net {

std::string_view to_string(Method method) {
  switch (method) {
    case Method::get:
      return "GET";
    case Method::head:
      return "HEAD";
    case Method::post:
      return "POST";
    case Method::put:
      return "PUT";
    case Method::patch:
      return "PATCH";
    case Method::delete_:
      return "DELETE";
    case Method::options:
      return "OPTIONS";
    case Method::other:
      return "OTHER";
  }
  return "OTHER";
}

awaitable<Result<std::string>> read_all(BodyReader& body, std::optional<std::uint64_t> expected,
                                        std::uint64_t bytes_max, Instant deadline) {
  if (expected && *expected > bytes_max) {
    co_return fail(Errc::too_large,
                   fmt::format("the body has {} bytes, at most {} are taken", *expected, bytes_max));
  }
  std::string all;
  std::size_t filled = 0;
  while (true) {
    // One byte more than promised, so that the end is seen without another allocation. A promise costs no
    // memory before its bytes have come: at most 1 MB ahead.
    const std::size_t step =
        expected ? std::min<std::size_t>(*expected - std::min<std::uint64_t>(filled, *expected) + 1, 1 << 20)
                 : std::clamp<std::size_t>(filled, 4 << 10, 1 << 20);
    if (all.size() < filled + step) all.resize(filled + step);
    ATELIER_CO_TRY(const std::size_t count, co_await body.read(std::span(all).subspan(filled), deadline));
    if (count == 0) break;
    filled += count;
    if (filled > bytes_max)
      co_return fail(Errc::too_large, fmt::format("the body has more than {} bytes", bytes_max));
  }
  all.resize(filled);
  co_return all;
}

awaitable<Result<std::size_t>> StringReader::read(std::span<char> into, Instant) {
  const std::size_t count = std::min(into.size(), bytes_.size() - next_);
  std::copy_n(bytes_.data() + next_, count, into.data());
  next_ += count;
  co_return count;
}

std::string_view Request::path() const { return std::string_view(target).substr(0, target.find('?')); }

std::string_view Request::query() const {
  const std::size_t mark = target.find('?');
  return mark == std::string::npos ? std::string_view() : std::string_view(target).substr(mark + 1);
}

std::optional<std::string> Request::parameter(std::string_view name) const {
  for (auto& [key, value] : parse_query(query())) {
    if (key == name) return std::move(value);
  }
  return std::nullopt;
}

bool Request::wants_websocket() const {
  return method == Method::get && !is_head && version_minor == 1 &&
         headers.has_token("Connection", "upgrade") && headers.has_token("Upgrade", "websocket") &&
         headers.get("Sec-WebSocket-Version") == "13" && headers.get("Sec-WebSocket-Key").size() == 24;
}

awaitable<Result<std::size_t>> Request::read(std::span<char> into, Instant deadline) {
  if (body == nullptr) co_return std::size_t{0};
  co_return co_await body->read(into, deadline);
}

awaitable<Result<std::string>> Request::read_all(std::uint64_t bytes_max, Instant deadline) {
  if (body == nullptr) co_return std::string();
  co_return co_await net::read_all(*body, content_length, bytes_max, deadline);
}

Response::Response(unsigned code, std::string_view content_type, Body content)
    : status(code), body(std::move(content)) {
  headers.add("Content-Type", content_type);
}

Response Response::text(unsigned code, std::string content) {
  return {code, "text/plain; charset=utf-8", std::move(content)};
}
Response Response::json(unsigned code, std::string content) {
  return {code, "application/json; charset=utf-8", std::move(content)};
}
Response Response::html(unsigned code, std::string content) {
  return {code, "text/html; charset=utf-8", std::move(content)};
}
Response Response::redirect(unsigned code, std::string_view location) {
  Response response(code);
  response.headers.add("Location", location);
  return response;
}
Response Response::websocket(Upgrade run, WebSocketLimits limits) {
  Response response(101);
  response.upgrade = std::move(run);
  response.upgrade_limits = limits;
  return response;
}

std::string_view reason_phrase(unsigned status) {
  switch (status) {
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 426:
      return "Upgrade Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "Status";
  }
}

}  // namespace atelier::net
