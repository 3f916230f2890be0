// SPDX-License-Identifier: MIT
#include "gateway/participant/file_answer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "files/content_type.hpp"
#include "gateway/range_answer.hpp"

namespace atelier::gateway {

std::string disposition(std::string_view name, bool attachment) {
  std::string text = attachment ? "attachment; filename=\"" : "filename=\"";
  bool ascii = true;
  for (const char c : name) {
    ascii = ascii && static_cast<unsigned char>(c) < 0x80;
    if (c == '"' || c == '\\') text += '\\';
    text += static_cast<unsigned char>(c) < 0x80 ? c : '_';
  }
  text += '"';
  if (!ascii) text += fmt::format("; filename*=UTF-8''{}", net::percent_encode(name));  // RFC 6266
  return text;
}

bool is_active_type(std::string_view type) {
  type = type.substr(0, type.find(';'));
  return type == "text/html" || type == "text/css" || type == "message/rfc822" ||
         type.find("javascript") != std::string_view::npos ||
         type.find("ecmascript") != std::string_view::npos || type.ends_with("/xml") ||
         type.ends_with("+xml");
}

net::Response file_answer(const net::Request& request, files::File file, std::string_view name) {
  const std::string_view type = files::content_type(name);
  const bool may_run = is_active_type(type);
  // In an <img> no script of an SVG runs; as a page of its own it would (ComfyUI 0.33 and later tell apart).
  const bool in_image = type == "image/svg+xml" && request.headers.get("Sec-Fetch-Dest") == "image";
  const bool active = may_run && !in_image;
  const files::FileKey& key = file.stat().key;
  const std::int64_t modified = key.modified_ns / 1'000'000'000;
  const std::string etag = fmt::format("\"{:x}-{:x}-{:x}\"", key.inode, key.size, key.modified_ns);
  net::Response response(200);
  response.headers.add("ETag", etag);
  response.headers.add("Last-Modified", net::http_date(modified));
  response.headers.add("Cache-Control", may_run ? "no-store" : "no-cache");
  if (may_run) response.headers.add("Vary", "Sec-Fetch-Dest");
  response.headers.add("X-Content-Type-Options", "nosniff");
  if (net::precondition_fails(request.headers, etag, modified)) {
    response.status = 412;
    return response;
  }
  if (net::is_not_modified(request.headers, etag, modified)) {
    response.status = 304;
    return response;
  }
  response.headers.add("Content-Type", active ? "application/octet-stream" : type);
  response.headers.add("Content-Disposition", disposition(name, active));
  response.headers.add("Accept-Ranges", "bytes");
  net::ByteRange range;
  if (!take_range(request, key.size, etag, modified, response, range)) return response;
  response.body = net::FileBody(net::OwnedFd(std::move(file).take().release()), range.first, range.length);
  return response;
}

}  // namespace atelier::gateway
