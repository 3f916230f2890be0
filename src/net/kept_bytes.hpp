// SPDX-License-Identifier: MIT
#pragma once
// Bytes that go out again and again.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "net/owned_fd.hpp"

namespace atelier::net {

/// Immutable. Many bytes lie in a file without a name, mapped into memory: a plain connection sends those
/// with sendfile, which copies nothing, and they are kept once all the same. An eighth of the files that
/// the process may open is used at most: connections come first. Any thread.
class KeptBytes {
 public:
  /// Below this a copy is cheaper than sendfile (measured: at 14 KB they are equal).
  static constexpr std::size_t kFileMin = 16 << 10;

  /// From now on the files are made in this folder (O_TMPFILE), whose file system gives more of a file at
  /// once than memory does (memfd_create(2)), which is the way when the folder cannot take one.
  static void use_folder(const std::string& path);

  explicit KeptBytes(std::string bytes);
  ~KeptBytes();
  KeptBytes(const KeptBytes&) = delete;
  KeptBytes& operator=(const KeptBytes&) = delete;

  [[nodiscard]] std::string_view view() const { return view_; }
  /// -1: there is none, because the bytes are few, or there are files enough, or none could be made.
  [[nodiscard]] int file() const { return file_.get(); }

 private:
  [[nodiscard]] bool move_into_file();
  void drop_file();

  std::string bytes_;  // empty if there is a file
  OwnedFd file_;
  std::string_view view_;
};

}  // namespace atelier::net
