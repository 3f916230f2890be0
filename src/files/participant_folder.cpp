// SPDX-License-Identifier: MIT
#include "files/participant_folder.hpp"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <tuple>

#include "files/safe_path.hpp"

namespace atelier::files {
namespace {

constexpr std::uint32_t kCopiesMax = 10'000;
constexpr std::size_t kMeasuredEntriesMax = 200'000;
// The kernel's clock for files moves in ticks of up to 10 ms; two changes within one look like one.
constexpr std::int64_t kStampGranularityNs = 50'000'000;

std::int64_t wall_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

/// For routes where stock knows only one refusal: whatever is wrong with the name is a bad request.
Error as_bad_request(Error error) {
  if (error.code == Errc::forbidden || error.code == Errc::too_large) error.code = Errc::bad_request;
  return error;
}

/// A link, FIFO or foreign file that stands in a participant's folder does not exist for them.
Error as_not_found(Error error) {
  if (error.code == Errc::unsupported) error.code = Errc::not_found;
  return error;
}

Result<ViewedFile> open_in(const DataFolder& data, ParticipantId participant, FolderType type,
                           std::string subfolder, std::string name) {
  ATELIER_TRY(const Directory root, data.tree(participant, tree_of(type)));
  auto folder = root.open_folder(subfolder);
  if (!folder) return std::unexpected(std::move(folder).error());
  auto file = folder->open_file(name);
  if (!file) return std::unexpected(as_not_found(std::move(file).error()));
  ViewedFile viewed{{std::move(*file), std::move(*folder), name}, type, std::move(subfolder), name};
  return viewed;
}

ListedFile listed(Entry& entry) {
  return {std::move(entry.path), entry.stat.size(), entry.stat.key.modified_ns / 1'000'000};
}

}  // namespace

std::string_view to_string(FolderType type) {
  switch (type) {
    case FolderType::input:
      return "input";
    case FolderType::output:
      return "output";
    case FolderType::temp:
      return "temp";
  }
  return "output";
}

std::optional<FolderType> parse_folder_type(std::string_view text) {
  for (const FolderType type : {FolderType::input, FolderType::output, FolderType::temp}) {
    if (text == to_string(type)) return type;
  }
  return std::nullopt;
}

Tree tree_of(FolderType type) {
  switch (type) {
    case FolderType::input:
      return Tree::input;
    case FolderType::output:
      return Tree::output;
    case FolderType::temp:
      return Tree::temp;
  }
  return Tree::output;
}

AnnotatedName parse_annotated_name(std::string_view text) {
  for (const FolderType type : {FolderType::output, FolderType::input, FolderType::temp}) {
    const std::string suffix = fmt::format("[{}]", to_string(type));
    if (!text.ends_with(suffix)) continue;
    text.remove_suffix(suffix.size());
    // And one character more, which is its last bytes in UTF-8.
    while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xC0) == 0x80) text.remove_suffix(1);
    if (!text.empty()) text.remove_suffix(1);
    return {std::string(text), type};
  }
  return {std::string(text), std::nullopt};
}

Result<TempFile> ParticipantFolders::create_upload(std::uint64_t bytes_max) const {
  return TempFile::create(data_.temp(), bytes_max);
}

Result<StoredFile> ParticipantFolders::store_upload(ParticipantId participant, const StoreRequest& request,
                                                    TempFile file) const {
  const TreeChange change(data_);
  auto subfolder = check_folder(request.subfolder);
  if (!subfolder) return std::unexpected(as_bad_request(std::move(subfolder).error()));
  if (auto checked = check_name(request.name); !checked) {
    return std::unexpected(as_bad_request(std::move(checked).error()));
  }
  ATELIER_TRY(const Directory root, data_.tree(participant, tree_of(request.type)));
  auto folder = root.make_folder(*subfolder);
  if (!folder) return std::unexpected(as_bad_request(std::move(folder).error()));
  StoredFile stored{request.name, *subfolder, request.type, true, {file.digest(), file.size()}, {}, {}};
  ATELIER_TRY(const FileKey key, file.key());
  if (request.overwrite == Replace::yes) {
    const auto old = folder->open_file(stored.name);
    ATELIER_TRY_VOID(file.publish(*folder, stored.name, Replace::yes));
    if (old) {
      stored.replaced_bytes = old->size();
      stored.kept = blobs_.kept_of(*old);
    }
    blobs_.cache().put(key, stored.content.digest);
    return stored;
  }
  for (std::uint32_t copy = 0; copy <= kCopiesMax; ++copy) {
    stored.name = copy_name(request.name, copy);
    ATELIER_TRY_VOID(check_name(stored.name));
    auto published = file.publish(*folder, stored.name, Replace::no);
    if (published) {
      blobs_.cache().put(key, stored.content.digest);
      return stored;
    }
    if (published.error().code != Errc::conflict) return std::unexpected(std::move(published).error());
    auto there = folder->open_file(stored.name);  // whatever is no file of ours only holds the name
    if (!there || there->size() != stored.content.size) continue;
    auto digest = blobs_.digest_of(*there);
    if (digest && *digest == stored.content.digest) {
      stored.written = false;
      return stored;
    }
  }
  return fail(Errc::conflict,
              fmt::format("{} files with the name \"{}\" are there already", kCopiesMax, request.name));
}

Result<ViewedFile> ParticipantFolders::open_for_view(ParticipantId participant,
                                                     const ViewRequest& request) const {
  // The order is ComfyUI 0.21's (server.py, view_image): each check decides the status that a client sees.
  if (!request.filename) return fail(Errc::not_found, "no filename is given");
  const AnnotatedName annotated = parse_annotated_name(*request.filename);
  const std::string_view path = annotated.path;
  if (path.empty()) return fail(Errc::bad_request, "the filename is empty");
  if (path.front() == '/' || path.find("..") != std::string_view::npos) {
    return fail(Errc::bad_request, "the filename leaves its folder");
  }
  FolderType type = FolderType::output;
  if (annotated.type) {
    type = *annotated.type;
  } else if (request.type) {
    const auto parsed = parse_folder_type(*request.type);
    if (!parsed) return fail(Errc::bad_request, "type must be input, output or temp");
    type = *parsed;
  }
  auto subfolder = check_folder(request.subfolder.value_or(""));
  if (!subfolder) {
    Error error = std::move(subfolder).error();
    if (error.code == Errc::too_large) error.code = Errc::bad_request;
    return std::unexpected(std::move(error));
  }
  const std::string_view name = split_path(path).name;
  if (name.empty()) return fail(Errc::not_found, "the filename names a folder");
  if (auto checked = check_name(name); !checked) {
    return std::unexpected(as_bad_request(std::move(checked).error()));
  }
  return open_in(data_, participant, type, std::move(*subfolder), std::string(name));
}

Result<ViewedFile> ParticipantFolders::open_annotated(ParticipantId participant,
                                                      std::string_view annotated_name,
                                                      FolderType default_type) const {
  const AnnotatedName annotated = parse_annotated_name(annotated_name);
  ATELIER_TRY_VOID(check_path(annotated.path));
  const SplitPath split = split_path(annotated.path);
  return open_in(data_, participant, annotated.type.value_or(default_type), std::string(split.folder),
                 std::string(split.name));
}

Result<StampedList> ParticipantFolders::list_stamped(ParticipantId participant, FolderType type,
                                                     std::size_t depth_max) const {
  ATELIER_TRY(const Directory root, data_.tree(participant, tree_of(type)));
  const std::int64_t now = wall_ns();
  StampedList list;
  ATELIER_TRY(const FileStat self, stat_of(root.fd()));  // before its names are read
  list.stamps.push_back({"", self.key});
  ATELIER_TRY(Listing listing, root.list("", ListLimits{.depth_max = depth_max}));
  for (Entry& entry : listing.entries) {
    if (entry.kind == EntryKind::folder) list.stamps.push_back({entry.path, entry.stat.key});
    if (entry.kind == EntryKind::file) list.files.push_back(listed(entry));
  }
  const bool recent = std::ranges::any_of(list.stamps, [now](const FolderStamp& stamp) {
    return stamp.key.modified_ns > now - kStampGranularityNs;
  });
  if (recent || list.stamps.size() > kStampsMax) list.stamps.clear();
  return list;
}

Result<std::vector<std::string>> ParticipantFolders::files_in(ParticipantId participant, FolderType type,
                                                              std::string_view folder, std::size_t depth_max,
                                                              std::size_t count_max) const {
  ATELIER_TRY(const Directory root, data_.tree(participant, tree_of(type)));
  ATELIER_TRY(const Listing listing, root.list(folder, ListLimits{count_max, depth_max}));
  if (listing.truncated)
    return fail(Errc::too_large, fmt::format("the folder \"{}\" has more than {} files", folder, count_max));
  std::vector<std::string> files;
  for (const Entry& entry : listing.entries) {
    if (entry.kind == EntryKind::file) files.push_back(join_path(folder, entry.path));
  }
  return files;
}

bool ParticipantFolders::same_as(ParticipantId participant, FolderType type,
                                 const std::vector<FolderStamp>& stamps) const {
  if (stamps.empty()) return false;
  return std::ranges::all_of(stamps, [&](const FolderStamp& stamp) {
    const auto stat = data_.stat_in_tree(participant, tree_of(type), stamp.path);
    return stat && stat->key == stamp.key;
  });
}

Result<std::vector<ListedFile>> ParticipantFolders::list_newest_first(ParticipantId participant,
                                                                      FolderType type) const {
  ATELIER_TRY(const Directory root, data_.tree(participant, tree_of(type)));
  ATELIER_TRY(Listing listing, root.list("", ListLimits{}));
  std::erase_if(listing.entries, [](const Entry& entry) { return entry.kind != EntryKind::file; });
  std::ranges::sort(listing.entries, [](const Entry& a, const Entry& b) {
    return std::tie(b.stat.key.modified_ns, a.path) < std::tie(a.stat.key.modified_ns, b.path);
  });
  std::vector<ListedFile> files;
  files.reserve(listing.entries.size());
  for (Entry& entry : listing.entries) files.push_back(listed(entry));
  return files;
}

Result<void> ParticipantFolders::remove(ParticipantId participant, FolderType type,
                                        std::string_view subfolder, std::string_view name) const {
  const TreeChange change(data_);
  ATELIER_TRY_VOID(check_name(name));
  ATELIER_TRY(const Directory root, data_.tree(participant, tree_of(type)));
  ATELIER_TRY(const Directory folder, root.open_folder(subfolder));
  return folder.remove_file(name);
}

Result<FolderUsage> ParticipantFolders::measure(ParticipantId participant) const {
  FolderUsage usage;
  for (const Tree tree : {Tree::input, Tree::output, Tree::temp, Tree::userdata}) {
    ATELIER_TRY(const Directory root, data_.tree(participant, tree));
    const ListLimits limits{kMeasuredEntriesMax, kPathDepthMax, true};
    ATELIER_TRY(const Listing listing, root.list("", limits));
    for (const Entry& entry : listing.entries) {
      if (entry.kind != EntryKind::file) continue;
      usage.bytes += entry.stat.size();
      ++usage.files;
    }
  }
  return usage;
}

}  // namespace atelier::files
