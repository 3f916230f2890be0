// SPDX-License-Identifier: MIT
#include "files/output_names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "files/safe_path.hpp"

namespace atelier::files {
namespace {

constexpr std::size_t kDigitsMin = 5, kDigitsMax = 9;
constexpr std::size_t kReadBytes = std::size_t{256} << 10;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// \D*(?:\.[^.]*)?$ : no digit before the last dot.
bool is_rest(std::string_view rest) {
  const std::size_t dot = rest.rfind('.');
  if (std::ranges::none_of(rest, is_digit)) return true;
  return dot != std::string_view::npos && std::ranges::none_of(rest.substr(0, dot), is_digit);
}

/// Names in the folder; none if it is not there yet.
Result<std::vector<std::string>> names_in(const DataFolder& data, ParticipantId participant, FolderType type,
                                          std::string_view folder) {
  ATELIER_TRY(const Directory root, data.tree(participant, tree_of(type)));
  auto listing = root.list(folder, ListLimits{.with_dotfiles = true});
  std::vector<std::string> names;
  if (!listing && listing.error().code == Errc::not_found) return names;
  if (!listing) return std::unexpected(std::move(listing).error());
  for (Entry& entry : listing->entries) names.push_back(std::move(entry.path));
  return names;
}

Result<TempFile> copy_of(const Directory& temp, const File& source) {
  ATELIER_TRY(TempFile copy, TempFile::create(temp, source.size()));
  std::vector<char> buffer(kReadBytes);
  while (true) {
    ATELIER_TRY(const std::size_t count,
                source.read_at(copy.size(), std::as_writable_bytes(std::span(buffer))));
    ATELIER_TRY_VOID(copy.write(std::string_view(buffer.data(), count)));
    if (count < buffer.size()) return copy;
  }
}

}  // namespace

std::optional<OutputName> split_output_name(std::string_view name) {
  // (.*) is greedy, so the last underscore at which the rest fits decides.
  for (std::size_t at = name.rfind('_'); at != std::string_view::npos;
       at = at == 0 ? std::string_view::npos : name.rfind('_', at - 1)) {
    const std::string_view tail = name.substr(at + 1);
    const auto digits = static_cast<std::size_t>(std::ranges::find_if_not(tail, is_digit) - tail.begin());
    if (digits < kDigitsMin || digits > kDigitsMax || !is_rest(tail.substr(digits))) continue;
    OutputName split{std::string(name.substr(0, at)), 0, std::string(tail.substr(digits))};
    std::from_chars(tail.data(), tail.data() + digits, split.number);
    return split;
  }
  return std::nullopt;
}

std::string join_output_name(std::string_view stem, std::uint32_t number, std::string_view rest) {
  return fmt::format("{}_{:05}{}", stem, number, rest);
}

Result<std::uint32_t> OutputNames::highest_number(ParticipantId participant, FolderType type,
                                                  std::string_view folder, std::string_view stem) const {
  ATELIER_TRY(const std::vector<std::string> names, names_in(data_, participant, type, folder));
  std::uint32_t highest = 0;
  for (const std::string& name : names) {
    if (!name.starts_with(stem)) continue;
    const auto split = split_output_name(name);
    if (split && split->stem == stem) highest = std::max(highest, split->number);
  }
  return highest;
}

Result<NameSeen> OutputNames::name_seen(ParticipantId participant, FolderType type, std::string_view folder,
                                        std::string_view name) const {
  ATELIER_TRY(const std::vector<std::string> names, names_in(data_, participant, type, folder));
  const SplitExtension split = split_extension(name);
  const std::string before = fmt::format("{} (", split.stem);
  const std::string after = fmt::format("){}", split.extension);
  NameSeen seen;
  for (const std::string& there : names) {
    if (there == name) seen.taken = true;
    if (there.size() <= before.size() + after.size() || !there.starts_with(before) || !there.ends_with(after))
      continue;
    std::uint32_t copy = 0;
    const char* end = there.data() + there.size() - after.size();
    const auto parsed = std::from_chars(there.data() + before.size(), end, copy);
    if (parsed.ec == std::errc{} && parsed.ptr == end) seen.highest_copy = std::max(seen.highest_copy, copy);
  }
  return seen;
}

Result<std::uint64_t> OutputNames::link(ParticipantId participant,
                                        std::span<const OutputLink> outputs) const {
  const TreeChange change(data_);
  std::uint64_t made = 0;
  std::vector<std::pair<std::pair<FolderType, std::string>, Directory>> folders;
  for (const OutputLink& output : outputs) {
    ATELIER_TRY_VOID(check_name(output.name));
    const auto place = std::pair(output.type, output.folder);
    auto known = std::ranges::find(folders, place, [](const auto& entry) { return entry.first; });
    if (known == folders.end()) {
      ATELIER_TRY(const Directory root, data_.tree(participant, tree_of(output.type)));
      auto folder = root.make_folder(output.folder);
      // Not the name is taken, which another name would help against.
      if (!folder && folder.error().code == Errc::conflict) folder.error().code = Errc::bad_request;
      if (!folder) return std::unexpected(std::move(folder).error());
      known = folders.insert(folders.end(), {place, std::move(*folder)});
    }
    ATELIER_TRY(const bool is_new, link_one(known->second, output));
    if (is_new) ++made;
  }
  for (const auto& folder : folders) ATELIER_TRY_VOID(folder.second.sync());
  return made;
}

Result<bool> OutputNames::is_there(const Directory& folder, const OutputLink& output) const {
  auto file = folder.open_file(output.name);
  if (file) {
    ATELIER_TRY(const Digest digest, blobs_.digest_of(*file));
    if (digest == output.digest) return true;
  } else {
    // A folder, a link, a pipe: they hold the name. What says nothing about the name is told as it is.
    const Errc code = file.error().code;
    if (code != Errc::not_found && code != Errc::forbidden && code != Errc::unsupported)
      return std::unexpected(std::move(file).error());
    ATELIER_TRY(const bool taken, folder.exists(output.name));
    if (!taken) return false;
  }
  return fail(Errc::conflict, fmt::format("the name \"{}\" is taken by another file", output.name));
}

Result<bool> OutputNames::link_one(const Directory& folder, const OutputLink& output) const {
  ATELIER_TRY(const bool linked_before, is_there(folder, output));
  if (linked_before) return false;
  ATELIER_TRY(const File blob, blobs_.open(output.digest));
  const auto again = [&](Error error) -> Result<bool> {
    if (error.code != Errc::conflict) return std::unexpected(std::move(error));
    ATELIER_TRY(const bool there,
                is_there(folder, output));  // somebody else linked it in between, or took the name
    if (there) return false;
    return fail(Errc::unavailable, fmt::format("the name \"{}\" comes and goes", output.name));
  };
  auto copy = TempFile::clone(blobs_.temp_folder(), blob, output.digest);
  if (!copy) {
    if (copy.error().code != Errc::unsupported) return std::unexpected(std::move(copy).error());
    ATELIER_TRY(const Directory blob_folder,
                blobs_.directory().open_folder(Blobs::folder_name(output.digest)));
    auto linked = blob_folder.link(Blobs::file_name(output.digest), folder, output.name);
    if (linked) return true;
    const Errc code = linked.error().code;
    if (code != Errc::unsupported && code != Errc::forbidden) return again(std::move(linked).error());
    copy = copy_of(blobs_.temp_folder(), blob);
    if (!copy) return std::unexpected(std::move(copy).error());
  }
  ATELIER_TRY_VOID(copy->finish(FileMode::read_only));
  if (copy->digest() != output.digest) {
    return fail(Errc::io, fmt::format("the content with the digest {} is damaged", output.digest.hex()));
  }
  ATELIER_TRY(const FileKey key, copy->key());
  auto published = copy->publish(folder, output.name, Replace::no);
  if (!published) return again(std::move(published).error());
  blobs_.cache().put(key, output.digest);
  return true;
}

}  // namespace atelier::files
