// SPDX-License-Identifier: MIT
#include "files/data_folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>
#include <optional>
#include <system_error>

#include "files/fault_points.hpp"
#include "files/temp_file.hpp"

namespace atelier::files {
namespace {

constexpr const char* kLockName = "atelier.lock";
constexpr const char* kProbeName = ".atelier-probe";

/// Makes a folder that the operator named and opens it; links are the operator's own business.
Result<Directory> open_named(const std::string& key, const std::string& path, std::string& absolute) {
  std::error_code code;
  absolute = std::filesystem::absolute(path, code).lexically_normal().string();
  if (absolute.size() > 1 && absolute.back() == '/') absolute.pop_back();
  if (!std::filesystem::is_directory(absolute, code)) {
    std::error_code made;
    std::filesystem::create_directories(absolute, made);
    if (made)
      return fail(Errc::config, fmt::format("{} {} cannot be made: {}", key, absolute, made.message()));
    ::chmod(absolute.c_str(), 0750);
  }
  auto opened = Directory::open_root(absolute);
  if (!opened) {
    return fail(Errc::config, fmt::format("{} {} cannot be opened: {}", key, absolute, opened.error().what));
  }
  return opened;
}

/// A file made in `temp` can be renamed into `target`: writable, and one mount (bind mounts and btrfs
/// subvolumes show the same disk and still refuse a rename).
Result<void> probe(const std::string& what, const Directory& temp, const Directory& target) {
  ::unlinkat(temp.fd(), kProbeName, 0);
  auto file = temp.create_file(kProbeName);
  if (!file) {
    if (file.error().code == Errc::disk_full) return std::unexpected(std::move(file).error());
    return fail(Errc::config, fmt::format("{} is not writable: {}", what, file.error().what));
  }
  int error = fault_at("probe");
  if (error == 0 && ::renameat(temp.fd(), kProbeName, target.fd(), kProbeName) != 0) error = errno;
  ::unlinkat(temp.fd(), kProbeName, 0);
  ::unlinkat(target.fd(), kProbeName, 0);
  if (error == 0) return {};
  if (error == EXDEV) {
    return fail(Errc::config, fmt::format("{} must lie on one file system with DATA_DIR", what));
  }
  if (error == ENOSPC || error == EDQUOT) return std::unexpected(errno_error(error, what));
  return fail(Errc::config, fmt::format("{} is not writable: {}", what, std::strerror(error)));
}

Result<Directory> part(const Directory& root, const char* name, const std::string& data_dir) {
  auto made = root.make_folder(name);
  if (made || made.error().code == Errc::disk_full) return made;
  return fail(Errc::config,
              fmt::format("DATA_DIR {}/{} cannot be used: {}", data_dir, name, made.error().what));
}

Result<std::shared_ptr<const FileDescriptor>> take_lock(const Directory& root, const std::string& data_dir) {
  auto fd = root.open_for_append(kLockName);
  if (!fd) {
    if (fd.error().code == Errc::disk_full) return std::unexpected(std::move(fd).error());
    return fail(Errc::config, fmt::format("DATA_DIR {} is not writable: {}", data_dir, fd.error().what));
  }
  if (::flock(fd->get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      char holder[16] = {};
      const ssize_t count = ::pread(fd->get(), holder, sizeof holder - 1, 0);
      std::string_view pid(holder, count > 0 ? static_cast<std::size_t>(count) : 0);
      pid = pid.substr(0, pid.find('\n'));
      return fail(Errc::config, fmt::format("DATA_DIR {} is in use by another server{}", data_dir,
                                            pid.empty() ? "" : fmt::format(" (process {})", pid)));
    }
    return fail(Errc::config,
                fmt::format("DATA_DIR {} cannot be locked: {}", data_dir, std::strerror(errno)));
  }
  const std::string pid = fmt::format("{}\n", ::getpid());
  // Only for the sentence above; the lock is the flock itself.
  if (::ftruncate(fd->get(), 0) == 0) static_cast<void>(write_all_at(fd->get(), 0, pid));
  return std::make_shared<const FileDescriptor>(std::move(*fd));
}

bool is_token(std::string_view text) {
  return text.size() == 64 &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

const char* folder_of(Tree tree) {
  switch (tree) {
    case Tree::input:
      return "input";
    case Tree::output:
      return "output";
    case Tree::temp:
      return "temp";
    case Tree::userdata:
      return "userdata";
  }
  return "input";
}

}  // namespace

Result<DataFolder> DataFolder::open(const DataFolderOptions& options) {
  ATELIER_TRY_VOID(Directory::check_kernel());
  if (options.data_dir.empty()) return fail(Errc::config, "DATA_DIR is empty");
  DataFolder data;
  ATELIER_TRY(data.root_, open_named("DATA_DIR", options.data_dir, data.path_));
  ATELIER_TRY(data.lock_, take_lock(data.root_, data.path_));
  ATELIER_TRY(data.blobs_, part(data.root_, "blobs", data.path_));
  ATELIER_TRY(data.participants_, part(data.root_, "participants", data.path_));
  ATELIER_TRY(data.staging_, part(data.root_, "staging", data.path_));
  ATELIER_TRY(data.catalog_, part(data.root_, "catalog", data.path_));
  // Nobody else can be writing there: the lock is ours.
  ATELIER_TRY_VOID(data.staging_.remove_tree("tmp"));
  ATELIER_TRY(data.temp_, part(data.staging_, "tmp", data.path_));
  ATELIER_TRY_VOID(probe(fmt::format("DATA_DIR {}", data.path_), data.temp_, data.root_));
  ATELIER_TRY_VOID(probe(fmt::format("{}/blobs", data.path_), data.temp_, data.blobs_));
  ATELIER_TRY_VOID(probe(fmt::format("{}/participants", data.path_), data.temp_, data.participants_));
  ATELIER_TRY_VOID(data.open_trees(options));
  return data;
}

Result<DataFolder> DataFolder::open_to_look(const DataFolderOptions& options, Missing missing) {
  ATELIER_TRY_VOID(Directory::check_kernel());
  DataFolder data;
  const auto open_root = [](const char* key, const std::string& path, Directory& into) -> Result<void> {
    if (path.empty()) return {};
    auto opened = Directory::open_root(path);
    if (!opened)
      return fail(Errc::config, fmt::format("{} {} cannot be opened: {}", key, path, opened.error().what));
    into = std::move(*opened);
    return {};
  };
  std::error_code code;
  data.path_ = std::filesystem::absolute(options.data_dir, code).lexically_normal().string();
  if (data.path_.size() > 1 && data.path_.back() == '/') data.path_.pop_back();
  ATELIER_TRY_VOID(open_root("DATA_DIR", data.path_, data.root_));
  ATELIER_TRY(data.lock_, take_lock(data.root_, data.path_));
  for (const auto& [name, into] :
       {std::pair{"blobs", &data.blobs_}, std::pair{"participants", &data.participants_},
        std::pair{"staging", &data.staging_}, std::pair{"staging/tmp", &data.temp_},
        std::pair{"catalog", &data.catalog_}}) {
    auto opened = missing == Missing::made ? data.root_.make_folder(name) : data.root_.open_folder(name);
    if (!opened && opened.error().code == Errc::not_found) continue;
    if (!opened)
      return fail(Errc::config,
                  fmt::format("DATA_DIR {}/{} cannot be used: {}", data.path_, name, opened.error().what));
    ATELIER_TRY(const FileStat stat, stat_of(opened->fd()));
    if (stat.owner != ::geteuid())
      return fail(Errc::config, fmt::format("DATA_DIR {}/{} belongs to another user: run this as the user "
                                            "that the server runs as",
                                            data.path_, name));
    *into = std::move(*opened);
  }
  ATELIER_TRY_VOID(open_root("INPUTS_PATH", options.inputs_path, data.inputs_));
  ATELIER_TRY_VOID(open_root("OUTPUTS_PATH", options.outputs_path, data.outputs_));
  ATELIER_TRY_VOID(open_root("WORKFLOWS_PATH", options.workflows_path, data.workflows_));
  return data;
}

Result<void> DataFolder::open_trees(const DataFolderOptions& options) {
  const auto open_tree = [&](const char* key, const std::string& path, Directory& into) -> Result<void> {
    if (path.empty()) return {};
    std::string absolute;
    ATELIER_TRY(into, open_named(key, path, absolute));
    return probe(fmt::format("{} {}", key, absolute), temp_, into);
  };
  ATELIER_TRY_VOID(open_tree("INPUTS_PATH", options.inputs_path, inputs_));
  ATELIER_TRY_VOID(open_tree("OUTPUTS_PATH", options.outputs_path, outputs_));
  ATELIER_TRY_VOID(open_tree("WORKFLOWS_PATH", options.workflows_path, workflows_));
  std::string absolute;
  const std::string models = options.models_path.empty() ? path_ + "/library" : options.models_path;
  ATELIER_TRY(library_, open_named("MODELS_PATH", models, absolute));
  return {};
}

std::pair<const Directory*, std::string> DataFolder::place_of(ParticipantId participant, Tree tree) const {
  const Directory* own_root = nullptr;
  if (tree == Tree::input && inputs_) own_root = &inputs_;
  if (tree == Tree::output && outputs_) own_root = &outputs_;
  if (tree == Tree::userdata && workflows_) own_root = &workflows_;
  if (own_root != nullptr) return {own_root, fmt::format("{}", participant)};
  return {&participants_, fmt::format("{}/{}", participant, folder_of(tree))};
}

Result<Directory> DataFolder::tree(ParticipantId participant, Tree tree) const {
  const auto [root, path] = place_of(participant, tree);
  return root->make_folder(path);
}

Result<Directory> DataFolder::find_tree(ParticipantId participant, Tree tree) const {
  const auto [root, path] = place_of(participant, tree);
  if (!*root) return fail(Errc::not_found, "there are no participants' folders yet");
  return root->open_folder(path);
}

Result<FileStat> DataFolder::stat_in_tree(ParticipantId participant, Tree tree, std::string_view path) const {
  auto [root, whole] = place_of(participant, tree);
  if (!path.empty()) whole.append("/").append(path);
  return stat_at(root->fd(), whole.c_str());
}

Result<FreeSpace> DataFolder::free_space() const {
  struct statvfs raw{};
  if (::fstatvfs(root_.fd(), &raw) != 0)
    return std::unexpected(errno_error(errno, "ask for free disk space"));
  FreeSpace space;
  space.bytes = static_cast<std::uint64_t>(raw.f_bavail) * raw.f_frsize;
  space.total_bytes = static_cast<std::uint64_t>(raw.f_blocks) * raw.f_frsize;
  space.total_files = raw.f_files;
  // Some file systems (btrfs) make inodes as needed and report none at all.
  space.files = raw.f_files == 0 ? std::numeric_limits<std::uint64_t>::max() / 2 : raw.f_favail;
  return space;
}

Result<std::string> DataFolder::secret(const std::string& name, const std::string& fresh) const {
  auto file = root_.open_file(name);
  if (file) {
    if ((file->stat().mode & 0077) != 0 && ::fchmod(file->fd(), 0600) != 0) {
      return fail(Errc::config, fmt::format("{}/{} can be read by others and its mode cannot be changed: {}",
                                            path_, name, std::strerror(errno)));
    }
    ATELIER_TRY(std::string token, file->read_all(4096));
    while (!token.empty() && (token.back() == '\n' || token.back() == '\r' || token.back() == ' '))
      token.pop_back();
    if (!is_token(token)) {
      return fail(Errc::config,
                  fmt::format("{}/{} does not hold 64 lowercase hex digits; remove it to get a new one",
                              path_, name));
    }
    return token;
  }
  if (file.error().code != Errc::not_found) {
    return fail(Errc::config, fmt::format("{}/{} cannot be read: {}", path_, name, file.error().what));
  }
  if (!is_token(fresh)) return fail(Errc::internal, "a secret has 64 lowercase hex digits");
  ATELIER_TRY_VOID(write_atomically(temp_, root_, name, fresh + "\n", FileMode::secret, Replace::no));
  return fresh;
}

}  // namespace atelier::files
