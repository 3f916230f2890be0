// SPDX-License-Identifier: MIT
#pragma once
// Checks of names and relative paths that come from outside (reliability.md B4 67, 68, 71). They are pure;
// the second wall is Directory, which the kernel itself keeps inside (openat2). Names are bytes: valid UTF-8,
// never normalised, case kept.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace atelier::files {

inline constexpr std::size_t kNameBytesMax = 255;  // ext4, xfs, btrfs, tmpfs
inline constexpr std::size_t kPathBytesMax = 1024;
inline constexpr std::size_t kPathDepthMax = 32;

/// True for well-formed UTF-8 without surrogates and overlong forms.
[[nodiscard]] bool is_utf8(std::string_view text);

/// One component of a path. Error forbidden: "..", or a leading slash. Error bad_request: empty, ".", a slash
/// or backslash, NUL, CR, LF or another control character (C0, C1, DEL), a trailing dot or space, "C:" (a
/// drive; "a:b" is fine), more than 255 bytes, invalid UTF-8.
[[nodiscard]] Result<void> check_name(std::string_view name);

/// A relative path of one or more components. Errors as check_name (forbidden when it leaves its folder or is
/// absolute; bad_request for what is malformed, "//", "C:/x", a trailing slash), too_large above
/// kPathBytesMax or kPathDepthMax.
[[nodiscard]] Result<void> check_path(std::string_view path);

/// A folder below a root: as check_path, but "" is the root itself and one trailing slash is taken off.
[[nodiscard]] Result<std::string> check_folder(std::string_view path);

/// "a/b" and "c" give "a/b/c"; an empty folder gives "c".
[[nodiscard]] std::string join_path(std::string_view folder, std::string_view name);
/// "a/b/c" gives {"a/b", "c"}; "c" gives {"", "c"}.
struct SplitPath {
  std::string_view folder, name;
};
[[nodiscard]] SplitPath split_path(std::string_view path);
/// As Python's os.path.splitext of a name: "a.tar.gz" gives {"a.tar", ".gz"}; leading dots belong to the
/// stem.
struct SplitExtension {
  std::string_view stem, extension;
};
[[nodiscard]] SplitExtension split_extension(std::string_view name);
/// How a name gets out of the way of a taken one: ("cat.png", 2) -> "cat (2).png"; copy 0 = the name itself.
[[nodiscard]] std::string copy_name(std::string_view name, std::uint32_t copy);

}  // namespace atelier::files
