// SPDX-License-Identifier: MIT
#pragma once
// A folder of files that are looked up when they are asked for: for many that are seldom read (an index of
// 15,000 names with their headers would cost 30 MB). `x.gz` and `x.br` beside `x` are its compressed forms.
// One thread; the disk is read on the file pool.

#include <memory>
#include <optional>
#include <string>

#include "files/directory.hpp"
#include "net/http.hpp"
#include "runtime/runtime.hpp"

namespace atelier::gateway {

class FolderFiles {
 public:
  /// "" or a folder that is not there: no files.
  FolderFiles(Runtime& runtime, const std::string& folder);
  [[nodiscard]] bool empty() const { return root_ == nullptr; }

  /// The answer for `path` (decoded, no leading slash): 200, 206, 304, 416; 404 in plain text if there is no
  /// such file. Never leaves the folder, never follows a link.
  [[nodiscard]] awaitable<net::Response> serve(const net::Request& request, std::string path) const;

 private:
  Runtime& runtime_;
  std::shared_ptr<const files::Directory> root_;  // shared: a look on the pool may outlive this
};

}  // namespace atelier::gateway
