// SPDX-License-Identifier: MIT
#include "files/user_data.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "files/safe_path.hpp"

namespace atelier::files {
namespace {

constexpr std::int64_t kNsPerMs = 1'000'000;

/// The sentences that stock answers are the ones that the front end shows.
Error listing_error(Error error) {
  if (error.code == Errc::forbidden) error.what = "Invalid directory";
  if (error.code == Errc::not_found) error.what = "Directory not found";
  if (error.code == Errc::too_large) error.code = Errc::bad_request;
  return error;
}

/// The same for the second listing (ComfyUI 0.21.0, user_manager.py, list_userdata_v2).
Error v2_error(Error error, bool is_file) {
  if (is_file) return {Errc::bad_request, "Requested path is not a directory"};
  if (error.code == Errc::forbidden || error.code == Errc::bad_request || error.code == Errc::too_large)
    return {Errc::bad_request, "Invalid path requested"};
  if (error.code == Errc::not_found) error.what = "Requested path not found";
  return error;
}

Error file_error(Error error) {
  if (error.code == Errc::too_large) error.code = Errc::bad_request;  // of the path, not of the content
  if (error.code == Errc::unsupported) error.code = Errc::not_found;
  return error;
}

Error already_exists() { return {Errc::conflict, "File already exists"}; }

UserFile user_file(std::string path, const FileStat& stat) {
  return {std::move(path), stat.size(), stat.key.modified_ns / kNsPerMs, stat.created_ns / kNsPerMs};
}

/// "." and "a/./b" name what they name everywhere.
std::string without_dots(std::string_view path) {
  std::string out;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part != ".") out.append(out.empty() && begin == 0 ? "" : "/").append(part);
    begin = end + 1;
  }
  if (!path.starts_with('/') && out.starts_with('/')) out.erase(0, 1);
  return out;
}

Result<Listing> list_tree(const DataFolder& data, ParticipantId participant, std::string_view path,
                          ListLimits limits) {
  ATELIER_TRY(const Directory root, data.tree(participant, Tree::userdata));
  limits.entries_max = kUserEntriesMax;
  return root.list(path, limits);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

/// Where a file is to be written: its folder, made if needed.
Result<Directory> parent_of(const DataFolder& data, ParticipantId participant, std::string_view file) {
  if (auto checked = check_path(file); !checked)
    return std::unexpected(file_error(std::move(checked).error()));
  ATELIER_TRY(const Directory root, data.tree(participant, Tree::userdata));
  return root.make_folder(split_path(file).folder);
}

}  // namespace

Result<std::vector<UserFile>> UserData::list(ParticipantId participant, std::string_view dir,
                                             bool recurse) const {
  if (dir.empty()) return fail(Errc::bad_request, "Directory not provided");
  auto listing = list_tree(data_, participant, without_dots(dir), {.depth_max = recurse ? kPathDepthMax : 1});
  if (!listing) return std::unexpected(listing_error(std::move(listing).error()));
  std::vector<UserFile> files;
  for (Entry& entry : listing->entries) {
    if (entry.kind == EntryKind::file) files.push_back(user_file(std::move(entry.path), entry.stat));
  }
  return files;
}

Result<std::vector<UserEntry>> UserData::list_v2(ParticipantId participant, std::string_view path) const {
  const std::string plain = without_dots(path);
  const auto listing =
      list_tree(data_, participant, plain, {.depth_max = kPathDepthMax, .with_dotfiles = true});
  if (!listing) {
    ATELIER_TRY(const Directory root, data_.tree(participant, Tree::userdata));
    return std::unexpected(v2_error(listing.error(), root.open_file(plain).has_value()));
  }
  ATELIER_TRY(const std::string folder, check_folder(plain));
  std::vector<UserEntry> entries;
  for (const Entry& entry : listing->entries) {
    if (entry.kind == EntryKind::unsupported) continue;
    UserEntry listed;
    listed.name = split_path(entry.path).name;
    listed.path = join_path(folder, entry.path);
    listed.is_folder = entry.kind == EntryKind::folder;
    listed.size = listed.is_folder ? 0 : entry.stat.size();
    listed.modified_seconds = static_cast<double>(entry.stat.key.modified_ns) / 1e9;
    entries.push_back(std::move(listed));
  }
  std::ranges::sort(entries, {}, [](const UserEntry& entry) {
    return std::tuple(!entry.is_folder, lower(entry.name), entry.path);
  });
  return entries;
}

Result<File> UserData::open(ParticipantId participant, std::string_view file) const {
  ATELIER_TRY(const Directory root, data_.tree(participant, Tree::userdata));
  auto opened = root.open_file(file);
  if (!opened) return std::unexpected(file_error(std::move(opened).error()));
  return opened;
}

Result<UserFile> UserData::write(ParticipantId participant, std::string_view file, std::string_view bytes,
                                 Replace overwrite) const {
  if (bytes.size() > kUserFileBytesMax) {
    return fail(Errc::too_large, fmt::format("a file here may have at most {} MB", kUserFileBytesMax >> 20));
  }
  ATELIER_TRY(const Directory parent, parent_of(data_, participant, file));
  const std::string_view name = split_path(file).name;
  if (overwrite == Replace::no) {
    ATELIER_TRY(const bool taken, parent.exists(name));
    if (taken) return std::unexpected(already_exists());
  }
  auto written = write_atomically(data_.temp(), parent, name, bytes, FileMode::writable, overwrite);
  if (!written && written.error().code == Errc::conflict) return std::unexpected(already_exists());
  if (!written) return std::unexpected(std::move(written).error());
  ATELIER_TRY(const Entry entry, parent.stat(name));
  return user_file(std::string(file), entry.stat);
}

Result<void> UserData::remove(ParticipantId participant, std::string_view file) const {
  ATELIER_TRY(const Directory root, data_.tree(participant, Tree::userdata));
  auto removed = root.remove_file(file);
  if (removed) return {};
  Error error = file_error(std::move(removed).error());
  if (error.code == Errc::conflict) error.code = Errc::bad_request;  // a folder
  return std::unexpected(std::move(error));
}

Result<UserFile> UserData::move(ParticipantId participant, std::string_view source,
                                std::string_view destination, Replace overwrite) const {
  ATELIER_TRY(const Directory root, data_.tree(participant, Tree::userdata));
  auto entry = root.stat(source);
  if (!entry) return std::unexpected(file_error(std::move(entry).error()));
  if (entry->kind != EntryKind::file)
    return fail(Errc::not_found, fmt::format("\"{}\" is not a file", source));
  const SplitPath from = split_path(source);
  ATELIER_TRY(const Directory source_folder, root.open_folder(from.folder));
  ATELIER_TRY(const Directory target, parent_of(data_, participant, destination));
  auto moved = source_folder.move(from.name, target, split_path(destination).name, overwrite);
  if (!moved && moved.error().code == Errc::conflict) return std::unexpected(already_exists());
  if (!moved) return std::unexpected(std::move(moved).error());
  return user_file(std::string(destination), entry->stat);
}

std::vector<std::string> split_for_listing(std::string_view path) {
  std::vector<std::string> parts{std::string(path)};
  while (true) {
    const std::size_t slash = path.find('/');
    parts.emplace_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return parts;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace atelier::files
