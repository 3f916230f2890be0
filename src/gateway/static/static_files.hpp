// SPDX-License-Identifier: MIT
#pragma once
// A folder of files that does not change while the server runs: names, sizes, ETags and headers are read
// once. What was asked for is kept in memory up to a bound (net.md 2.5), all else is sent from the page
// cache. `x.gz` and `x.br` beside `x` are its compressed forms. One thread.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/byte_lru.hpp"
#include "net/http.hpp"
#include "net/range.hpp"
#include "runtime/runtime.hpp"

namespace atelier::gateway {

class StaticFiles {
 public:
  static constexpr std::size_t kKeptFileBytesMax = 1 << 20;  // of one form
  static constexpr std::size_t kKeptBytesMax = 16 << 20;     // of all

  /// Reads all names below `folder`; links are not followed. "" or a folder that is not there: no files.
  StaticFiles(Runtime& runtime, const std::string& folder);

  /// The answer for `path` ("assets/index-1a2b3c4d.js", decoded, no leading slash): 200, 206, 304, 416;
  /// nothing if there is no such file.
  [[nodiscard]] awaitable<std::optional<net::Response>> serve(const net::Request& request, std::string path);
  /// The same where no byte of it has to be read: false if there is no such file, or it must.
  [[nodiscard]] bool serve_from_memory(const net::Request& request, std::string_view path,
                                       net::Response& response);
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
  /// Head and, without a body to send, the whole answer: then true. Else `range` says what of the form is
  /// sent.
  static bool begin(const net::Request& request, const Form& form, std::int64_t modified,
                    net::Response& response, net::ByteRange& range);
  const Form& choose(const Entry& entry, const net::HeaderList& request) const;
  /// The bytes of a form, from memory or read into it. Errors: not_found, io.
  awaitable<Result<std::shared_ptr<const net::KeptBytes>>> bytes_of(const Form& form, std::string name);

  Runtime& runtime_;
  std::string folder_;
  std::map<std::string, Entry, std::less<>> files_;
  ByteLru<const Form*, net::KeptBytes> kept_{kKeptBytesMax};  // forms of files_
};

/// A front end's file name with a hash in it, which never gets another content: "assets/api-BA-sjSl5.js".
[[nodiscard]] bool has_hashed_name(std::string_view path);
/// The weight of `coding` in an Accept-Encoding is above zero.
[[nodiscard]] bool accepts_coding(std::string_view accept_encoding, std::string_view coding);

}  // namespace atelier::gateway
