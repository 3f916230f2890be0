// SPDX-License-Identifier: MIT
#include "files/store_check.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <tuple>

#include "files/blob_sweep.hpp"
#include "files/safe_path.hpp"
#include "files/staging.hpp"

namespace atelier::files {
namespace {

constexpr std::size_t kDepthMax = 64;
constexpr std::uint32_t kCopiesMax = 100;  // as the worker link gives names

struct RawEntry {
  std::string name;  // whatever bytes stand there
  FileStat stat;
};

Result<FileDescriptor> open_folder_raw(int parent, const char* name) {
  const int fd = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return std::unexpected(errno_error(errno, fmt::format("open the folder \"{}\"", name)));
  return FileDescriptor(fd);
}

/// All names, also those that Directory::list leaves out: what is not seen would be lost without a word.
Result<std::vector<RawEntry>> list_raw(int parent, const char* name) {
  ATELIER_TRY(FileDescriptor fd, open_folder_raw(parent, name));
  DIR* stream = ::fdopendir(fd.get());
  if (stream == nullptr) return std::unexpected(errno_error(errno, "list a folder"));
  const int folder = fd.release();
  std::vector<RawEntry> entries;
  int error = 0;
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(stream);  // NOLINT(concurrency-mt-unsafe): the stream is ours alone
    if (entry == nullptr) {
      error = errno;
      break;
    }
    const std::string_view text = static_cast<const char*>(entry->d_name);
    if (text == "." || text == "..") continue;
    auto stat = stat_at(folder, entry->d_name);
    if (!stat) {
      ::closedir(stream);
      return std::unexpected(std::move(stat).error());
    }
    entries.push_back({std::string(text), *stat});
  }
  ::closedir(stream);
  if (error != 0) return std::unexpected(errno_error(error, "list a folder"));
  std::ranges::sort(entries, {}, &RawEntry::name);
  return entries;
}

/// Bytes of the files in it, at any depth, as far as they can be seen.
std::uint64_t bytes_of(int parent, const RawEntry& entry, std::size_t depth = kDepthMax) {
  if (entry.stat.is_regular()) return entry.stat.size();
  if (!entry.stat.is_directory() || depth == 0) return 0;
  const auto folder = open_folder_raw(parent, entry.name.c_str());
  const auto entries = folder ? list_raw(folder->get(), ".") : std::vector<RawEntry>();
  std::uint64_t bytes = 0;
  if (!entries) return bytes;
  for (const RawEntry& inside : *entries) bytes += bytes_of(folder->get(), inside, depth - 1);
  return bytes;
}

struct FoundBlob {
  std::uint64_t size = 0, device = 0, inode = 0;
  bool is_damaged = false;
};

class Check {
 public:
  Check(const DataFolder& data, const StoreRows& rows, Digests digests)
      : data_(data), rows_(rows), digests_(digests), store_(data.blobs(), data.temp(), cache_) {}

  Result<StoreReport> run() {
    if (data_.blobs()) ATELIER_TRY_VOID(scan_blobs());
    ATELIER_TRY(swept_, swept_blobs(data_.root()));
    for (std::size_t i = 0; i < rows_.rows.size(); ++i) look_at_row(i);
    for (const auto& [digest, places] : without_blob_) look_for_content(places);
    name_by_names();
    if (trouble_) return std::unexpected(std::move(*trouble_));
    judge_blobs();
    if (data_.staging()) ATELIER_TRY_VOID(scan_staging());
    std::ranges::sort(report_.findings, {},
                      [](const Finding& found) { return std::tie(found.kind, found.path, found.row); });
    return std::move(report_);
  }

 private:
  Result<void> scan_blobs();
  Result<void> scan_staging();
  void look_at_row(std::size_t place);
  void look_for_content(const std::vector<std::size_t>& places);
  void look_at_unlinked(std::size_t place);
  void name_by_names();
  void judge_blobs();
  void add(FindingKind kind, std::string path, std::uint64_t bytes, std::string said, std::size_t row = 0);
  void add_foreign(int parent, const RawEntry& entry, std::string path);
  /// Nothing if no file of ours stands there.
  enum class Absent { fine, trouble };  // the whole tree
  std::optional<File> open_name(std::size_t place, std::uint32_t copy, Absent absent);
  void add_not_seen(std::size_t place, const Error& error);
  [[nodiscard]] bool has_content(const File& file, const BlobInfo& content) const;
  bool is_whole(const BlobInfo& content);

  const DataFolder& data_;
  const StoreRows& rows_;
  const Digests digests_;
  DigestCache cache_;
  Blobs store_;
  StoreReport report_;
  std::map<Digest, FoundBlob> found_;
  std::set<Digest> swept_;                                   // removed by a server, as unused
  std::map<Digest, bool> read_;                              // of those that were hashed: are they right?
  std::map<Digest, std::vector<std::size_t>> without_blob_;  // rows
  std::vector<std::size_t> by_name_;                         // rows whose content is not known
  std::set<Digest> named_too_;                               // by those
  std::set<std::size_t> not_seen_;                           // rows
  bool names_unknown_ = false;    // any blob may be named by a name that cannot be looked at
  std::optional<Error> trouble_;  // a folder of which nobody knows what is in it
};

std::string place_of(const StoreRow& row) {
  return fmt::format("{}/{}", to_string(row.type), join_path(row.folder, row.name));
}

std::string said_of(const StoreRow& row) {
  const char* verb = row.use == StoreRow::Use::input ? "needs" : "made";
  std::string text =
      fmt::format("job {} of participant {} {} {}", row.job, row.participant, verb, place_of(row));
  if (row.content)
    text += fmt::format(" ({} bytes, digest {})", row.content->size, row.content->digest.hex());
  return text;
}

std::string blob_path(const Digest& digest) {
  return fmt::format("blobs/{}/{}", Blobs::folder_name(digest), Blobs::file_name(digest));
}

void Check::add(FindingKind kind, std::string path, std::uint64_t bytes, std::string said, std::size_t row) {
  Finding finding;
  finding.kind = kind;
  finding.path = std::move(path);
  finding.bytes = bytes;
  finding.said = std::move(said);
  finding.row = row;
  report_.findings.push_back(std::move(finding));
}

void Check::add_foreign(int parent, const RawEntry& entry, std::string path) {
  add(FindingKind::foreign, std::move(path), bytes_of(parent, entry), "is nothing that Atelier puts there");
}

Result<void> Check::scan_blobs() {
  ATELIER_TRY(const auto folders, list_raw(data_.blobs().fd(), "."));
  for (const RawEntry& folder : folders) {
    const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
    if (folder.name.size() != 2 || !std::ranges::all_of(folder.name, is_hex) || !folder.stat.is_directory()) {
      add_foreign(data_.blobs().fd(), folder, "blobs/" + folder.name);
      continue;
    }
    ATELIER_TRY(const FileDescriptor fd, open_folder_raw(data_.blobs().fd(), folder.name.c_str()));
    ATELIER_TRY(const auto entries, list_raw(fd.get(), "."));
    for (const RawEntry& entry : entries) {
      const auto digest = Blobs::parse_place(folder.name, entry.name);
      if (!digest || !entry.stat.is_regular()) {
        add_foreign(fd.get(), entry, fmt::format("blobs/{}/{}", folder.name, entry.name));
        continue;
      }
      found_[*digest] = {entry.stat.size(), entry.stat.key.device, entry.stat.key.inode, false};
      ++report_.blobs;
      report_.blob_bytes += entry.stat.size();
    }
  }
  return {};
}

bool Check::is_whole(const BlobInfo& content) {
  const auto found = found_.find(content.digest);
  if (found == found_.end()) return false;
  bool whole = found->second.size == content.size;
  if (whole && digests_ == Digests::read) {
    auto [known, first] = read_.try_emplace(content.digest, false);
    if (first) {
      auto file = store_.open(content.digest);
      auto read = file ? hash_file(*file) : Result<BlobInfo>(std::unexpected(std::move(file).error()));
      // A part of the disk that cannot be read is damage of this one file, not of the check.
      known->second = read && read->digest == content.digest;
    }
    whole = known->second;
  }
  if (!whole) found->second.is_damaged = true;
  return whole;
}

void Check::look_at_row(std::size_t place) {
  const StoreRow& row = rows_.rows[place];
  ++(row.use == StoreRow::Use::input ? report_.inputs : report_.outputs);
  if (!row.content) {
    by_name_.push_back(place);
    return;
  }
  const bool whole = is_whole(*row.content);
  // Its owner's file was all that was left to need, whatever became of it since.
  const bool is_swept = row.use == StoreRow::Use::output && !found_.contains(row.content->digest) &&
                        swept_.contains(row.content->digest);
  if (is_swept) {
    if (!open_name(place, 0, Absent::trouble) && !not_seen_.contains(place)) ++report_.names_removed;
  } else if (!whole) {
    without_blob_[row.content->digest].push_back(place);
  } else if (row.use == StoreRow::Use::unlinked) {
    look_at_unlinked(place);
  } else if (row.use == StoreRow::Use::output && !open_name(place, 0, Absent::trouble)) {
    if (!not_seen_.contains(place)) ++report_.names_removed;
  }
}

/// The name or, where that is another file's, the first copy's that is free or has the content: as the server
/// gives names when it goes on.
void Check::look_at_unlinked(std::size_t place) {
  const StoreRow& row = rows_.rows[place];
  for (std::uint32_t copy = 0; copy <= kCopiesMax; ++copy) {
    const auto folder = data_.find_tree(row.participant, tree_of(row.type));
    const auto there = folder ? folder->exists(join_path(row.folder, copy_name(row.name, copy))) : false;
    if (!there) {
      add_not_seen(place, there.error());
      return;
    }
    if (!*there) {
      add(FindingKind::not_linked, "", row.content->size, said_of(row), place);
      report_.findings.back().copy = copy;
      return;
    }
    const auto file = open_name(place, copy, Absent::fine);
    if (!file) continue;
    if (has_content(*file, *row.content)) return;
  }
  // No name is left for it: the server says so, again and again.
}

/// One name that cannot be looked at does not keep the rest from being mended.
void Check::add_not_seen(std::size_t place, const Error& error) {
  const StoreRow& row = rows_.rows[place];
  if (!row.content) names_unknown_ = true;
  if (!not_seen_.insert(place).second) return;
  add(FindingKind::not_seen, "", row.content ? row.content->size : 0,
      fmt::format("{}: {}", said_of(row), error.what), place);
}

std::optional<File> Check::open_name(std::size_t place, std::uint32_t copy, Absent absent) {
  const StoreRow& row = rows_.rows[place];
  const auto tree = data_.find_tree(row.participant, tree_of(row.type));
  const bool told = absent == Absent::trouble && row.type == FolderType::output;
  if (!tree && (tree.error().code != Errc::not_found || told)) {
    // Removed as a whole, or looked for in the wrong place: nobody may judge blobs by names of it.
    trouble_ =
        Error{tree.error().code,
              fmt::format("The outputs of participant {} cannot be looked at, and the journal names files "
                          "there ({}). Is OUTPUTS_PATH that of the server? If the folder was removed, "
                          "make an empty one",
                          row.participant, tree.error().what)};
  }
  if (!tree) return std::nullopt;
  auto file = tree->open_file(join_path(row.folder, copy_name(row.name, copy)));
  if (file) return std::move(*file);
  if (file.error().code != Errc::not_found) add_not_seen(place, file.error());
  return std::nullopt;
}

bool Check::has_content(const File& file, const BlobInfo& content) const {
  if (file.size() != content.size) return false;
  const auto digest = store_.digest_of(file);
  return digest && *digest == content.digest;
}

/// Rows of one digest, without a blob that is right.
void Check::look_for_content(const std::vector<std::size_t>& places) {
  for (const std::size_t place : places) {
    const StoreRow& row = rows_.rows[place];
    const std::uint32_t copies = row.use == StoreRow::Use::unlinked ? kCopiesMax : 0;
    for (std::uint32_t copy = 0; copy <= copies; ++copy) {
      const auto file = open_name(place, copy, Absent::fine);
      if (!file) break;
      if (!has_content(*file, *row.content)) continue;
      add(FindingKind::blob_lost, "", row.content->size, said_of(row), place);
      report_.findings.back().copy = copy;
      return;
    }
  }
  for (const std::size_t place : places) {
    const StoreRow& row = rows_.rows[place];
    add(FindingKind::missing, "", row.content->size, said_of(row), place);
  }
}

/// After a compaction only the names of older outputs are known: the blob is the one that the name has.
void Check::name_by_names() {
  std::map<std::pair<std::uint64_t, std::uint64_t>, Digest> by_inode;
  std::multimap<std::uint64_t, Digest> by_size;
  if (!by_name_.empty()) {
    for (const auto& [digest, blob] : found_) {
      if (rows_.named.contains(digest)) continue;
      by_inode.emplace(std::pair(blob.device, blob.inode), digest);
      by_size.emplace(blob.size, digest);
    }
  }
  for (const std::size_t place : by_name_) {
    const auto file = open_name(place, 0, Absent::trouble);
    if (!file) {
      if (!not_seen_.contains(place)) ++report_.names_removed;
      continue;
    }
    const FileKey& key = file->stat().key;
    if (const auto same = by_inode.find({key.device, key.inode}); same != by_inode.end()) {
      named_too_.insert(same->second);
    } else if (by_size.contains(key.size)) {
      if (const auto digest = store_.digest_of(*file)) named_too_.insert(*digest);
    }
  }
}

void Check::judge_blobs() {
  for (const auto& [digest, blob] : found_) {
    if (blob.is_damaged) {
      add(FindingKind::damaged, blob_path(digest), blob.size, "has not the bytes that its name promises");
    } else if (!names_unknown_ && !rows_.named.contains(digest) && !named_too_.contains(digest)) {
      add(FindingKind::without_row, blob_path(digest), blob.size, "is named by nothing in the journal");
    }
  }
}

Result<void> Check::scan_staging() {
  ATELIER_TRY(const auto entries, list_raw(data_.staging().fd(), "."));
  for (const RawEntry& entry : entries) {
    if (entry.name == "tmp" && entry.stat.is_directory()) continue;  // emptied at every start
    const auto grant = Staging::parse_folder_name(entry.name);
    if (!grant || !entry.stat.is_directory()) {
      add_foreign(data_.staging().fd(), entry, "staging/" + entry.name);
      continue;
    }
    const auto job = rows_.live_jobs.find(grant->first);
    const bool lives = job != rows_.live_jobs.end();
    if (lives && grant->second <= job->second) continue;
    add(FindingKind::left_over, "staging/" + entry.name, bytes_of(data_.staging().fd(), entry),
        lives ? fmt::format("job {} has had no grant {}", grant->first, grant->second)
              : fmt::format("job {} does not wait or run", grant->first));
  }
  return {};
}

/// One line, whatever bytes a name has.
std::string printable(std::string_view text) {
  const bool utf8 = is_utf8(text);
  std::string line;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F || c == '\\' || (byte >= 0x80 && !utf8)) {
      line += fmt::format("\\x{:02x}", byte);
    } else {
      line += c;
    }
  }
  return line;
}

}  // namespace

std::string_view to_string(FindingKind kind) {
  switch (kind) {
    case FindingKind::missing:
      return "missing";
    case FindingKind::not_seen:
      return "not looked at";
    case FindingKind::blob_lost:
      return "blob lost";
    case FindingKind::not_linked:
      return "not linked";
    case FindingKind::damaged:
      return "damaged";
    case FindingKind::without_row:
      return "without a row";
    case FindingKind::foreign:
      return "foreign";
    case FindingKind::left_over:
      return "left over";
  }
  return "missing";
}

std::string Finding::line() const {
  return printable(path.empty() ? fmt::format("{}: {}", to_string(kind), said)
                                : fmt::format("{}: {} ({} bytes) {}", to_string(kind), path, bytes, said));
}

std::uint64_t StoreReport::left() const {
  return static_cast<std::uint64_t>(
      std::ranges::count_if(findings, [](const Finding& finding) { return !finding.mended; }));
}

Result<StoreReport> check_store(const DataFolder& data, const StoreRows& rows, Digests digests) {
  return Check(data, rows, digests).run();
}

}  // namespace atelier::files
