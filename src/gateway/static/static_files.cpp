// SPDX-License-Identifier: MIT
#include "gateway/static/static_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/log.hpp"
#include "gateway/range_answer.hpp"

namespace atelier::gateway {
namespace {

namespace fs = std::filesystem;

std::string_view cache_control(std::string_view path) {
  if (has_hashed_name(path)) return "public, max-age=31536000, immutable";
  const std::string_view type = net::content_type_of(path);
  if (type.starts_with("image/") || type.starts_with("font/")) return "public, max-age=86400";
  return "no-cache";
}

int open_file(const std::string& name) { return ::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW); }

Result<std::string> read_file(const std::string& name, std::size_t size) {
  const net::OwnedFd fd(open_file(name));
  if (!fd) return std::unexpected(errno_error(errno, "open " + name));
  std::string bytes(size, '\0');
  for (std::size_t done = 0; done < size;) {
    const ssize_t got = ::pread(fd.get(), bytes.data() + done, size - done, static_cast<off_t>(done));
    if (got <= 0) return fail(Errc::io, name + " is shorter than it was");
    done += static_cast<std::size_t>(got);
  }
  return bytes;
}

}  // namespace

bool has_hashed_name(std::string_view path) {
  if (!path.starts_with("assets/")) return false;
  const std::size_t dot = path.rfind('.');
  if (dot == std::string_view::npos || dot < 9) return false;
  const std::string_view hash = path.substr(dot - 8, 8);
  const bool word = std::ranges::all_of(hash, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c == '-';
  });
  // A plain word of eight letters is no hash: that has a digit or a capital in it.
  return word && path[dot - 9] == '-' &&
         std::ranges::any_of(hash, [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); });
}

bool accepts_coding(std::string_view accept_encoding, std::string_view coding) {
  while (!accept_encoding.empty()) {
    const std::size_t comma = accept_encoding.find(',');
    std::string_view item = accept_encoding.substr(0, comma);
    accept_encoding.remove_prefix(comma == std::string_view::npos ? accept_encoding.size() : comma + 1);
    const auto trim = [](std::string_view text) {
      while (text.starts_with(' ')) text.remove_prefix(1);
      while (text.ends_with(' ')) text.remove_suffix(1);
      return text;
    };
    const std::size_t semicolon = item.find(';');
    const std::string_view weight =
        semicolon == std::string_view::npos ? "" : trim(item.substr(semicolon + 1));
    item = trim(item.substr(0, semicolon));
    if (net::equal_without_case(item, coding)) {
      return !(weight.starts_with("q=0") && weight.find_first_of("123456789") == std::string_view::npos);
    }
  }
  return false;
}

StaticFiles::StaticFiles(Runtime& runtime, const std::string& folder) : runtime_(runtime), folder_(folder) {
  if (folder.empty()) return;
  std::error_code error;
  const fs::path root(folder);
  for (auto it = fs::recursive_directory_iterator(root, error);
       !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    struct stat status{};
    if (it->is_symlink() || ::stat(it->path().c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    std::string path = it->path().lexically_relative(root).generic_string();
    Form form;
    form.size = static_cast<std::uint64_t>(status.st_size);
    for (const std::string_view suffix : {".gz", ".br"}) {
      if (path.ends_with(suffix)) form.suffix = suffix;
    }
    path.resize(path.size() - form.suffix.size());
    form.etag = fmt::format("\"{:x}-{:x}{}\"", form.size,
                            status.st_mtim.tv_sec * 1'000 + status.st_mtim.tv_nsec / 1'000'000,
                            form.suffix.empty() ? "" : form.suffix.substr(1));
    auto headers = std::make_shared<net::HeaderList>();
    headers->add("Content-Type", net::content_type_of(path));
    if (!form.suffix.empty()) headers->add("Content-Encoding", form.suffix == ".gz" ? "gzip" : "br");
    headers->add("ETag", form.etag);
    headers->add("Last-Modified", net::http_date(status.st_mtim.tv_sec));
    headers->add("Cache-Control", cache_control(path));
    headers->add("Vary", "Accept-Encoding");
    headers->add("X-Content-Type-Options", "nosniff");
    if (form.suffix.empty()) headers->add("Accept-Ranges", "bytes");
    form.headers = std::move(headers);
    Entry& entry = files_[path];
    entry.modified = status.st_mtim.tv_sec;
    if (form.suffix == ".gz") {
      entry.gzip = std::move(form);
    } else if (form.suffix == ".br") {
      entry.brotli = std::move(form);
    } else {
      entry.plain = std::move(form);
    }
  }
  if (error) log::warn("static_folder_not_read", {{"folder", folder}, {"reason", error.message()}});
  std::erase_if(files_,
                [](const auto& file) { return !file.second.plain.headers; });  // a compressed form alone
}

std::vector<std::string> StaticFiles::names_below(std::string_view folder) const {
  std::vector<std::string> names;
  for (auto it = files_.lower_bound(folder); it != files_.end() && it->first.starts_with(folder); ++it) {
    names.push_back(it->first);
  }
  return names;
}

const StaticFiles::Form& StaticFiles::choose(const Entry& entry, const net::HeaderList& request) const {
  const std::string_view accepted = request.get("Accept-Encoding");
  if (accepted.empty() || request.contains("Range")) return entry.plain;
  if (entry.brotli && accepts_coding(accepted, "br")) return *entry.brotli;
  if (entry.gzip && accepts_coding(accepted, "gzip")) return *entry.gzip;
  return entry.plain;
}

awaitable<Result<std::shared_ptr<const net::KeptBytes>>> StaticFiles::bytes_of(const Form& form,
                                                                               std::string name) {
  if (auto known = kept_.find(&form)) co_return known;
  auto read = [path = std::move(name), size = form.size]() -> Result<std::shared_ptr<const net::KeptBytes>> {
    ATELIER_TRY(auto bytes, read_file(path, static_cast<std::size_t>(size)));
    return std::make_shared<const net::KeptBytes>(std::move(bytes));
  };
  ATELIER_CO_TRY(auto kept, co_await run_blocking(runtime_.file_pool(), std::move(read)));
  kept_.put(&form, kept, static_cast<std::size_t>(form.size) + 128);
  co_return kept;
}

bool StaticFiles::begin(const net::Request& request, const Form& form, std::int64_t modified,
                        net::Response& response, net::ByteRange& range) {
  response.status = 200;
  response.shared_headers = form.headers;
  if (net::is_not_modified(request.headers, form.etag, modified)) {
    response.status = 304;
    return true;
  }
  if (!take_range(request, form.size, form.etag, modified, response, range)) return true;
  if (request.is_head) response.headers.add("Content-Length", fmt::format("{}", range.length));
  return request.is_head;
}

bool StaticFiles::serve_from_memory(const net::Request& request, std::string_view path,
                                    net::Response& response) {
  const auto found = files_.find(path);
  if (found == files_.end()) return false;
  const Form& form = choose(found->second, request.headers);
  net::ByteRange range;
  if (begin(request, form, found->second.modified, response, range)) return true;
  auto bytes = form.size <= kKeptFileBytesMax ? kept_.find(&form) : nullptr;
  if (bytes == nullptr) {
    response = net::Response();
    return false;
  }
  response.body = net::SharedBody(std::move(bytes), static_cast<std::size_t>(range.first),
                                  static_cast<std::size_t>(range.length));
  return true;
}

awaitable<std::optional<net::Response>> StaticFiles::serve(const net::Request& request, std::string path) {
  const auto found = files_.find(path);
  if (found == files_.end()) co_return std::nullopt;
  const Form& form = choose(found->second, request.headers);
  net::Response response;
  net::ByteRange range;
  if (begin(request, form, found->second.modified, response, range)) co_return response;
  if (form.size <= kKeptFileBytesMax) {
    auto bytes = co_await bytes_of(form, folder_ + "/" + path + form.suffix);
    if (!bytes) co_return net::Response::text(404, "This file is not here any more.\n");
    response.body = net::SharedBody(std::move(*bytes), static_cast<std::size_t>(range.first),
                                    static_cast<std::size_t>(range.length));
    co_return response;
  }
  auto open = [name = folder_ + "/" + path + form.suffix] { return open_file(name); };
  net::OwnedFd fd(co_await run_blocking(runtime_.file_pool(), std::move(open)));
  if (!fd) co_return net::Response::text(404, "This file is not here any more.\n");
  response.body = net::FileBody(std::move(fd), range.first, range.length);
  co_return response;
}

}  // namespace atelier::gateway
