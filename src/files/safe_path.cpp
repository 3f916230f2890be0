// SPDX-License-Identifier: MIT
#include "files/safe_path.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace atelier::files {
namespace {

/// Decodes one code point and cuts it off; false when the bytes are not UTF-8.
bool next_code_point(std::string_view& text, std::uint32_t& code) {
  const auto first = static_cast<unsigned char>(text[0]);
  std::size_t length = 0;
  std::uint32_t least = 0;
  if (first < 0x80) {
    length = 1, code = first;
  } else if ((first & 0xE0) == 0xC0) {
    length = 2, code = first & 0x1FU, least = 0x80;
  } else if ((first & 0xF0) == 0xE0) {
    length = 3, code = first & 0x0FU, least = 0x800;
  } else if ((first & 0xF8) == 0xF0) {
    length = 4, code = first & 0x07U, least = 0x10000;
  } else {
    return false;
  }
  if (text.size() < length) return false;
  for (std::size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0) != 0x80) return false;
    code = code << 6 | (next & 0x3FU);
  }
  text.remove_prefix(length);
  return code >= least && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
}

/// UTF-8 without control characters and backslashes.
Result<void> check_text(std::string_view text) {
  while (!text.empty()) {
    std::uint32_t code = 0;
    if (!next_code_point(text, code)) return fail(Errc::bad_request, "a file name must be UTF-8");
    if (code < 0x20 || (code >= 0x7F && code < 0xA0)) {
      return fail(Errc::bad_request, "a file name may not hold control characters");
    }
    if (code == '\\') return fail(Errc::bad_request, "a file name may not hold a backslash");
  }
  return {};
}

/// "C:". "a:b" is a name like any other: nothing here knows drives, and ComfyUI writes such files.
bool is_drive_letter(std::string_view name) {
  if (name.size() != 2 || name[1] != ':') return false;
  const char letter = static_cast<char>(name[0] | 0x20);
  return letter >= 'a' && letter <= 'z';
}

/// One component that check_text has seen.
Result<void> check_component(std::string_view name) {
  if (name.empty()) return fail(Errc::bad_request, "a file name may not be empty");
  if (name == "..") return fail(Errc::forbidden, "the path leaves its folder");
  if (name == ".") return fail(Errc::bad_request, "\".\" is not a file name");
  if (name.size() > kNameBytesMax) {
    return fail(Errc::bad_request, fmt::format("a file name may have at most {} bytes", kNameBytesMax));
  }
  if (is_drive_letter(name)) return fail(Errc::bad_request, "a file name may not be a drive letter");
  if (name.back() == '.' || name.back() == ' ') {
    return fail(Errc::bad_request, "a file name may not end with a dot or a space");
  }
  return {};
}

}  // namespace

bool is_utf8(std::string_view text) {
  std::uint32_t code = 0;
  while (!text.empty()) {
    if (!next_code_point(text, code)) return false;
  }
  return true;
}

Result<void> check_name(std::string_view name) {
  if (!name.empty() && name.front() == '/') return fail(Errc::forbidden, "the path is absolute");
  if (name.size() > kNameBytesMax) {
    return fail(Errc::bad_request, fmt::format("a file name may have at most {} bytes", kNameBytesMax));
  }
  ATELIER_TRY_VOID(check_text(name));
  if (name.find('/') != std::string_view::npos) {
    return fail(Errc::bad_request, "a file name may not hold a slash");
  }
  return check_component(name);
}

Result<void> check_path(std::string_view path) {
  if (!path.empty() && path.front() == '/') return fail(Errc::forbidden, "the path is absolute");
  if (path.size() > kPathBytesMax) {
    return fail(Errc::too_large, fmt::format("a path may have at most {} bytes", kPathBytesMax));
  }
  ATELIER_TRY_VOID(check_text(path));
  std::size_t depth = 0;
  while (true) {
    const std::size_t slash = path.find('/');
    ATELIER_TRY_VOID(check_component(path.substr(0, slash)));
    if (++depth > kPathDepthMax) {
      return fail(Errc::too_large, fmt::format("a path may be at most {} folders deep", kPathDepthMax));
    }
    if (slash == std::string_view::npos) return {};
    path.remove_prefix(slash + 1);
  }
}

Result<std::string> check_folder(std::string_view path) {
  if (path.empty()) return std::string{};
  if (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  ATELIER_TRY_VOID(check_path(path));
  return std::string(path);
}

std::string join_path(std::string_view folder, std::string_view name) {
  if (folder.empty()) return std::string(name);
  return fmt::format("{}/{}", folder, name);
}

SplitPath split_path(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

SplitExtension split_extension(std::string_view name) {
  const std::size_t first = name.find_first_not_of('.');
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || first == std::string_view::npos || dot < first) return {name, ""};
  return {name.substr(0, dot), name.substr(dot)};
}

std::string copy_name(std::string_view name, std::uint32_t copy) {
  if (copy == 0) return std::string(name);
  const SplitExtension split = split_extension(name);
  return fmt::format("{} ({}){}", split.stem, copy, split.extension);
}

}  // namespace atelier::files
