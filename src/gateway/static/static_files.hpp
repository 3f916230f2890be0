// SPDX-License-Identifier: MIT
#pragma once
// A folder of files that does not change while the server runs: names, sizes, ETags and headers are read
// once, the bytes are sent from the page cache. `x.gz` and `x.br` beside `x` are its compressed forms. One
// thread.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http.hpp"
#include "runtime/runtime.hpp"

namespace atelier::gateway {

class StaticFiles {
 public:
  /// Reads all names below `folder`; links are not followed. "" or a folder that is not there: no files.
  StaticFiles(Runtime& runtime, const std::string& folder);

  /// The answer for `path` ("assets/index-1a2b3c4d.js", decoded, no leading slash): 200, 206, 304, 416;
  /// nothing if there is no such file.
  [[nodiscard]] awaitable<std::optional<net::Response>> serve(const net::Request& request,
                                                              std::string path) const;
  [[nodiscard]] bool contains(std::string_view path) const { return files_.find(path) != files_.end(); }
  /// Names that begin with `folder` ("extensions/"), sorted.
  [[nodiscard]] std::vector<std::string> names_below(std::string_view folder) const;
  [[nodiscard]] std::size_t size() const { return files_.size(); }

 private:
  struct Form {
    std::uint64_t size = 0;
    std::string suffix;  // "", ".gz", ".br"
    std::string etag;
    std::shared_ptr<const net::HeaderList> headers;
  };
  struct Entry {
    Form plain;
    std::optional<Form> gzip, brotli;
    std::int64_t modified = 0;  // Unix seconds
  };
  const Form& choose(const Entry& entry, const net::HeaderList& request) const;

  Runtime& runtime_;
  std::string folder_;
  std::map<std::string, Entry, std::less<>> files_;
};

/// A front end's file name with a hash in it, which never gets another content: "assets/api-BA-sjSl5.js".
[[nodiscard]] bool has_hashed_name(std::string_view path);
/// The weight of `coding` in an Accept-Encoding is above zero.
[[nodiscard]] bool accepts_coding(std::string_view accept_encoding, std::string_view coding);

}  // namespace atelier::gateway
