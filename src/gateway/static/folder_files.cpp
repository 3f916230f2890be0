// SPDX-License-Identifier: MIT
#include "gateway/static/folder_files.hpp"

#include <fmt/format.h>

#include <array>

#include "gateway/range_answer.hpp"
#include "gateway/static/static_files.hpp"

namespace atelier::gateway {
namespace {

struct Found {
  files::File file;
  std::string_view coding;  // "": the file as it is
};

/// The best form that the browser takes, or the file itself.
Result<Found> find(const files::Directory& root, const std::string& path, bool brotli, bool gzip) {
  struct Form {
    bool wanted;
    std::string_view suffix, coding;
  };
  for (const Form& form : {Form{brotli, ".br", "br"}, Form{gzip, ".gz", "gzip"}}) {
    if (!form.wanted) continue;
    if (auto packed = root.open_file(path + std::string(form.suffix)))
      return Found{std::move(*packed), form.coding};
  }
  ATELIER_TRY(auto file, root.open_file(path));
  return Found{std::move(file), ""};
}

}  // namespace

FolderFiles::FolderFiles(Runtime& runtime, const std::string& folder) : runtime_(runtime) {
  if (folder.empty()) return;
  if (auto root = files::Directory::open_root(folder))
    root_ = std::make_shared<const files::Directory>(std::move(*root));
}

awaitable<net::Response> FolderFiles::serve(const net::Request& request, std::string path) const {
  if (root_ == nullptr || path.ends_with(".gz") || path.ends_with(".br"))
    co_return net::Response::text(404, "404: Not Found");
  const std::string_view accepted =
      request.headers.contains("Range") ? std::string_view() : request.headers.get("Accept-Encoding");
  auto look = [root = root_, path, brotli = accepts_coding(accepted, "br"),
               gzip = accepts_coding(accepted, "gzip")] { return find(*root, path, brotli, gzip); };
  auto found = co_await run_blocking(runtime_.file_pool(), std::move(look));
  if (!found) co_return net::Response::text(404, "404: Not Found");
  const files::FileKey key = found->file.stat().key;
  const std::int64_t modified = key.modified_ns / 1'000'000'000;
  const std::string etag =
      fmt::format("\"{:x}-{:x}{}\"", key.size, key.modified_ns / 1'000'000, found->coding);
  net::Response response(200);
  response.headers.add("Content-Type", net::content_type_of(path));
  if (!found->coding.empty()) response.headers.add("Content-Encoding", found->coding);
  response.headers.add("ETag", etag);
  response.headers.add("Last-Modified", net::http_date(modified));
  response.headers.add("Cache-Control", "no-cache");
  response.headers.add("Vary", "Accept-Encoding");
  response.headers.add("X-Content-Type-Options", "nosniff");
  if (net::is_not_modified(request.headers, etag, modified)) {
    response.status = 304;
    co_return response;
  }
  net::ByteRange range;
  if (!take_range(request, key.size, etag, modified, response, range)) co_return response;
  response.body =
      net::FileBody(net::OwnedFd(std::move(found->file).take().release()), range.first, range.length);
  co_return response;
}

}  // namespace atelier::gateway
