// SPDX-License-Identifier: MIT
#include "rehearsal/folders.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <filesystem>

namespace atelier::rehearsal {
namespace fs = std::filesystem;
namespace {

void replace_all(std::string& text, std::string_view token, std::string_view value) {
  for (auto at = text.find(token); at != std::string::npos; at = text.find(token, at + value.size())) {
    text.replace(at, token.size(), value);
  }
}

// "stem_00012_.png" -> 12; no digits after "stem_" -> 0; another stem -> nullopt.
std::optional<std::uint32_t> counter_of(std::string_view name, std::string_view stem) {
  if (!name.starts_with(stem) || name.size() <= stem.size() || name[stem.size()] != '_') return std::nullopt;
  std::string_view rest = name.substr(stem.size() + 1);
  rest = rest.substr(0, rest.find('.'));
  rest = rest.substr(0, rest.find('_'));
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  return error == std::errc{} && end == rest.data() + rest.size() && value < 1'000'000'000 ? value : 0;
}

std::string last_part(std::string_view path) { return std::string(path.substr(path.rfind('/') + 1)); }

struct Fd {
  explicit Fd(int number) : value(number) {}
  Fd(const Fd&) = delete;
  ~Fd() {
    if (value >= 0) ::close(value);
  }
  int value;
};

}  // namespace

std::string Folders::path(comfy::FileType type) const {
  const bool elsewhere = type == comfy::FileType::temp && !temp_parent.empty();
  return (elsewhere ? temp_parent : root) + "/" + std::string(comfy::to_string(type));
}

Result<void> Folders::create() const {
  for (const auto type : {comfy::FileType::input, comfy::FileType::output, comfy::FileType::temp}) {
    std::error_code error;
    fs::create_directories(path(type), error);
    if (error) return std::unexpected(errno_error(error.value(), "make " + path(type)));
  }
  return {};
}

std::optional<std::string> Folders::resolve(comfy::FileType type, std::string_view name) const {
  if (name.empty() || name.find('\0') != std::string_view::npos || !comfy::stays_inside(name))
    return std::nullopt;
  return path(type) + "/" + comfy::normal_path(name);
}

bool Folders::exists(comfy::FileType type, std::string_view name) const {
  const auto place = resolve(type, name);
  struct stat status{};
  return place && ::stat(place->c_str(), &status) == 0;
}

std::vector<std::string> Folders::list(comfy::FileType type, comfy::ContentKind kind,
                                       std::string_view subfolder) const {
  std::vector<std::string> names;
  const std::string folder = subfolder.empty() ? path(type) : resolve(type, subfolder).value_or("");
  if (folder.empty()) return names;
  const std::string front = subfolder.empty() ? "" : comfy::normal_path(subfolder) + "/";
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::string name = entry->path().filename().string();
    std::error_code ignored;
    if (name.starts_with('.') || !entry->is_regular_file(ignored)) continue;
    if (comfy::content_kind_of(name) == kind) names.push_back(front + name);
  }
  std::ranges::sort(names);
  return names;
}

std::string fill_prefix(std::string prefix, std::uint32_t width, std::uint32_t height,
                        std::int64_t unix_seconds) {
  if (prefix.find('%') == std::string::npos) return prefix;
  const std::time_t seconds = unix_seconds;
  std::tm now{};
  localtime_r(&seconds, &now);
  replace_all(prefix, "%width%", fmt::to_string(width));
  replace_all(prefix, "%height%", fmt::to_string(height));
  replace_all(prefix, "%year%", fmt::to_string(now.tm_year + 1900));
  replace_all(prefix, "%month%", fmt::format("{:02}", now.tm_mon + 1));
  replace_all(prefix, "%day%", fmt::format("{:02}", now.tm_mday));
  replace_all(prefix, "%hour%", fmt::format("{:02}", now.tm_hour));
  replace_all(prefix, "%minute%", fmt::format("{:02}", now.tm_min));
  replace_all(prefix, "%second%", fmt::format("{:02}", now.tm_sec));
  return prefix;
}

Result<SavePlace> save_place(const Folders& folders, comfy::FileType type, std::string_view prefix) {
  const std::string top = folders.path(type);
  std::string relative(prefix);
  // An absolute prefix is allowed if it leads into the folder: Python's os.path.join drops what stands before
  // it.
  if (prefix.starts_with('/')) {
    const std::string normal = comfy::normal_path(prefix);
    if (!normal.starts_with(top + "/")) return fail(Errc::forbidden, "the prefix is an absolute path");
    relative = normal.substr(top.size() + 1);
  }
  if (relative.find('\0') != std::string::npos || !comfy::stays_inside(relative)) {
    return fail(Errc::forbidden, "the prefix leaves the folder");
  }
  const std::string normal = comfy::normal_path(relative);
  const auto slash = normal.rfind('/');
  SavePlace place;
  place.subfolder = slash == std::string::npos ? "" : normal.substr(0, slash);
  place.stem = last_part(normal);
  place.folder = place.subfolder.empty() ? top : top + "/" + place.subfolder;
  std::error_code error;
  fs::create_directories(place.folder, error);
  if (error) return std::unexpected(errno_error(error.value(), "make a folder for " + place.stem));
  std::uint32_t highest = 0;
  fs::directory_iterator entry(place.folder, error);
  for (fs::directory_iterator end; !error && entry != end; entry.increment(error)) {
    highest = std::max(highest, counter_of(entry->path().filename().string(), place.stem).value_or(0));
  }
  if (error) return std::unexpected(errno_error(error.value(), "list the folder of " + place.stem));
  place.counter = highest + 1;
  return place;
}

Result<std::string> read_file(const std::string& path, std::uint64_t bytes_max) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status{};
  if (file.value < 0 || ::fstat(file.value, &status) != 0) {
    return std::unexpected(errno_error(errno, "open " + last_part(path)));
  }
  if (!S_ISREG(status.st_mode)) return fail(Errc::bad_request, last_part(path) + " is no file");
  if (static_cast<std::uint64_t>(status.st_size) > bytes_max)
    return fail(Errc::too_large, last_part(path) + " is too large");
  std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::read(file.value, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::unexpected(errno_error(errno, "read " + last_part(path)));
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  bytes.resize(done);
  return bytes;
}

Result<void> write_file(const std::string& path, std::string_view bytes) {
  const std::string name = last_part(path);
  const std::string draft = path.substr(0, path.size() - name.size()) + "." + name.substr(0, 200) + ".part";
  Fd file(::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file.value < 0) return std::unexpected(errno_error(errno, "create " + name));
  while (!bytes.empty()) {
    const ssize_t count = ::write(file.value, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int problem = errno;
      ::unlink(draft.c_str());
      return std::unexpected(errno_error(problem, "write " + name));
    }
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  if (::rename(draft.c_str(), path.c_str()) != 0) {
    const int problem = errno;
    ::unlink(draft.c_str());
    return std::unexpected(errno_error(problem, "name " + name));
  }
  return {};
}

}  // namespace atelier::rehearsal
