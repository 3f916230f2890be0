// SPDX-License-Identifier: MIT
#include "rehearsal/view.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "image/decode.hpp"
#include "image/encode.hpp"
#include "net/range.hpp"

namespace atelier::rehearsal {
namespace {

struct Target {
  std::string path, name;
};

// The path, or the status to answer instead.
std::expected<Target, unsigned> find_target(const Folders& folders, const ViewQuery& query) {
  if (!query.filename || query.filename->starts_with("blake3:")) return std::unexpected(404u);
  const auto annotated = comfy::split_annotation(*query.filename);
  const std::string& name = annotated.name;
  if (name.empty() || name.starts_with('/') || name.find("..") != std::string::npos)
    return std::unexpected(400u);
  const auto type = annotated.type ? annotated.type : comfy::parse_file_type(query.type.value_or("output"));
  if (!type) return std::unexpected(400u);
  const std::string subfolder = query.subfolder.value_or("");
  if (!subfolder.empty() && !comfy::stays_inside(subfolder)) return std::unexpected(403u);
  const std::string base = name.substr(name.rfind('/') + 1);
  const auto path = folders.resolve(*type, subfolder.empty() ? base : subfolder + "/" + base);
  struct stat status{};
  if (base.empty() || !path || ::stat(path->c_str(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return std::unexpected(404u);
  }
  return Target{*path, base};
}

std::string disposition(const std::string& name) { return "filename=\"" + name + "\""; }

net::Response picture_answer(Result<std::string> bytes, std::string_view type, const std::string& name) {
  if (!bytes) return net::Response::text(500, bytes.error().what + "\n");
  net::Response response(200, type, std::move(*bytes));
  response.headers.add("Content-Disposition", disposition(name));
  return response;
}

image::Picture8 without_alpha(const image::Picture8& picture) {
  image::Picture8 rgb{picture.width, picture.height, 1, 3, {}};
  rgb.samples.resize(rgb.frame_length());
  for (std::size_t i = 0, pixels = rgb.samples.size() / 3; i < pixels; ++i) {
    std::copy_n(picture.samples.data() + i * picture.channels, 3, rgb.samples.data() + i * 3);
  }
  return rgb;
}

// Black with the picture's alpha; opaque if it has none.
image::Picture8 only_alpha(const image::Picture8& picture) {
  image::Picture8 alpha{picture.width, picture.height, 1, 4, {}};
  alpha.samples.assign(alpha.frame_length(), 0);
  for (std::size_t i = 3; i < alpha.samples.size(); i += 4) {
    alpha.samples[i] = picture.channels == 4 ? picture.samples[i] : std::uint8_t{255};
  }
  return alpha;
}

// "webp;75", "jpeg", ...: format before the first ';', quality after the last one (server.py, view_image).
net::Response preview_answer(const ViewQuery& query, const image::Picture8& picture,
                             const std::string& name) {
  const std::string& wish = *query.preview;
  const std::string channel = query.channel.value_or("");
  const bool jpeg = wish.substr(0, wish.find(';')) == "jpeg" && channel.find('a') == std::string::npos;
  const std::string tail = wish.substr(wish.rfind(';') + 1);
  int quality = 90;
  if (std::ranges::all_of(tail, [](char c) { return c >= '0' && c <= '9'; })) {
    std::from_chars(tail.data(), tail.data() + tail.size(), quality);
  }
  if (jpeg) return picture_answer(image::encode_jpeg(image::view(picture), quality), "image/jpeg", name);
  const image::Picture8 shown = channel == "rgb" ? without_alpha(picture) : picture;
  return picture_answer(image::encode_webp(image::view(shown), quality), "image/webp", name);
}

std::string safe_content_type(const std::string& name) {
  const std::string_view whole = net::content_type_of(name);
  const std::string type(whole.substr(0, whole.find(';')));
  constexpr std::array<std::string_view, 7> kActive{
      "text/html",     "application/xhtml+xml", "text/javascript", "text/css", "application/javascript",
      "image/svg+xml", "message/rfc822"};
  const bool active =
      std::ranges::find(kActive, type) != kActive.end() || type.find("xml") != std::string::npos;
  return active ? "application/octet-stream" : type;
}

net::Response file_answer(const Target& target, const net::HeaderList& headers) {
  net::OwnedFd file(::open(target.path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status{};
  if (!file || ::fstat(file.get(), &status) != 0) return net::Response(404);
  const auto size = static_cast<std::uint64_t>(status.st_size);
  const std::string etag = fmt::format(
      "\"{:x}-{:x}\"", status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec, status.st_size);
  const auto decision = net::decide_range(headers, size, etag, status.st_mtim.tv_sec);
  net::Response response(200);
  if (net::is_not_modified(headers, etag, status.st_mtim.tv_sec)) {
    response.status = 304;
  } else if (decision.kind == net::RangeDecision::Kind::unsatisfiable) {
    response.status = 416;
    response.headers.add("Content-Range", net::content_range(decision, size));
    return response;
  } else {
    if (decision.kind == net::RangeDecision::Kind::partial) {
      response.status = 206;
      response.headers.add("Content-Range", net::content_range(decision, size));
    }
    response.body = net::FileBody(std::move(file), decision.range.first, decision.range.length);
  }
  response.headers.add("Content-Type", safe_content_type(target.name));
  response.headers.add("Content-Disposition", disposition(target.name));
  response.headers.add("X-Content-Type-Options", "nosniff");
  response.headers.add("ETag", etag);
  response.headers.add("Last-Modified", net::http_date(status.st_mtim.tv_sec));
  response.headers.add("Accept-Ranges", "bytes");
  return response;
}

}  // namespace

ViewQuery ViewQuery::from(const net::Request& request) {
  return {request.parameter("filename"), request.parameter("type"), request.parameter("subfolder"),
          request.parameter("preview"), request.parameter("channel")};
}

net::Response make_view(const Folders& folders, const ViewQuery& query, const net::HeaderList& headers) {
  const auto target = find_target(folders, query);
  if (!target) return net::Response(target.error());
  const std::string channel = query.channel.value_or("rgba");
  if (!query.preview && channel != "rgb" && channel != "a") return file_answer(*target, headers);
  auto bytes = read_file(target->path);
  if (!bytes) return net::Response::text(500, bytes.error().what + "\n");
  const auto picture = image::decode_first(*bytes);
  if (!picture) return net::Response::text(500, picture.error().what + "\n");
  if (query.preview) return preview_answer(query, *picture, target->name);
  const image::Picture8 shown = channel == "rgb" ? without_alpha(*picture) : only_alpha(*picture);
  return picture_answer(image::encode_png(image::view(shown)), "image/png", target->name);
}

}  // namespace atelier::rehearsal
