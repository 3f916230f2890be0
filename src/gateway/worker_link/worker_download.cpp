// SPDX-License-Identifier: MIT
#include "gateway/worker_link/worker_download.hpp"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "base/hash.hpp"
#include "files/directory.hpp"

namespace atelier::gateway {

extern const std::string_view kJoinScript;  // join.sh, by cmake

namespace {

constexpr milliseconds kHashLimit{30'000};
constexpr std::string_view kNothing = "This server has no atelier-worker to offer.\n";

Result<files::File> open_program(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return fail(Errc::not_found, "no program is offered");
  ATELIER_TRY(const files::Directory folder, files::Directory::open_root(path.substr(0, slash)));
  return folder.open_file(std::string_view(path).substr(slash + 1));
}

Result<std::string> digest_of(const files::File& file) {
  Hasher hasher;
  std::vector<std::byte> buffer(256 << 10);
  for (std::uint64_t at = 0; at < file.size();) {
    ATELIER_TRY(const std::size_t count, file.read_at(at, buffer));
    if (count == 0) return fail(Errc::io, "the program became shorter");
    hasher.update(std::span<const std::byte>(buffer).first(count));
    at += count;
  }
  return hasher.finish().hex();
}

void replace_all(std::string& text, std::string_view name, std::string_view value) {
  for (std::size_t at = 0; (at = text.find(name, at)) != std::string::npos; at += value.size())
    text.replace(at, name.size(), value);
}

/// Nothing in it means anything to a shell.
bool is_plain_address(std::string_view server) {
  return std::ranges::all_of(server, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view(".-:[]/").find(c) != std::string_view::npos;
  });
}

}  // namespace

std::optional<std::string> server_address(const net::Request& request) {
  // Behind a proxy the scheme is the proxy's.
  std::string forwarded(request.headers.get("X-Forwarded-Proto").substr(0, 5));
  std::ranges::transform(forwarded, forwarded.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; });
  const bool secure = request.secure || forwarded == "https";
  std::string address = fmt::format("{}://{}", secure ? "https" : "http", request.host);
  return is_plain_address(address) ? std::optional(std::move(address)) : std::nullopt;
}

std::optional<std::string> join_script(std::string_view server, std::string_view digest) {
  if (!is_plain_address(server)) return std::nullopt;
  utsname system{};
  if (::uname(&system) != 0) return std::nullopt;
  std::string script(kJoinScript);
  replace_all(script, "@SERVER@", server);
  replace_all(script, "@DIGEST@", digest);
  replace_all(script, "@MACHINE@", static_cast<const char*>(system.machine));
  return script;
}

awaitable<std::optional<net::Response>> WorkerDownload::handle(net::Request& request) {
  const bool script = request.path() == "/worker/join.sh";
  if (!script && request.path() != "/worker/atelier-worker") co_return std::nullopt;
  if (request.method != net::Method::get) {
    net::Response refused = net::Response::text(405, "This address is for GET.\n");
    refused.headers.add("Allow", "GET");
    co_return refused;
  }
  auto open = [path = program_path_] { return open_program(path); };
  auto opened = co_await run_blocking(runtime_.file_pool(), std::move(open));
  if (!opened) co_return net::Response::text(404, std::string(kNothing));
  auto file = std::make_shared<files::File>(std::move(*opened));
  if (script) {
    while (hashing_) {
      if (!co_await hashed_now_.wait(runtime_.now() + kHashLimit)) break;
    }
    if (digest_.empty() || hashed_ != file->stat().key) {
      hashing_ = true;
      const files::FileKey key = file->stat().key;
      auto hash = [file] { return digest_of(*file); };
      auto digest = co_await run_blocking(runtime_.file_pool(), std::move(hash));
      hashing_ = false;
      hashed_now_.notify_all();
      if (!digest) co_return net::Response::text(404, std::string(kNothing));
      digest_ = std::move(*digest);
      hashed_ = key;
    }
    const auto server = server_address(request);
    const auto text = server ? join_script(*server, digest_) : std::nullopt;
    if (!text) co_return net::Response::text(400, "The Host header is no plain address.\n");
    net::Response response(200, "text/x-shellscript; charset=utf-8", *text);
    response.headers.add("Cache-Control", "no-store");
    response.headers.add("X-Content-Type-Options", "nosniff");
    co_return response;
  }
  const std::uint64_t size = file->size();
  net::Response response(200);
  response.headers.add("Content-Type", "application/octet-stream");
  response.headers.add("Cache-Control", "no-store");
  response.headers.add("X-Content-Type-Options", "nosniff");
  response.body = net::FileBody(net::OwnedFd(std::move(*file).take().release()), 0, size);
  co_return response;
}

}  // namespace atelier::gateway
