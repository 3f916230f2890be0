// SPDX-License-Identifier: MIT
#pragma once
// Names of committed outputs in a participant's folder (core.md 6): which numbers are taken, and linking a
// blob under the name that `apply` gave. Any thread; blocks.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/hash.hpp"
#include "base/ids.hpp"
#include "files/blobs.hpp"
#include "files/participant_folder.hpp"

namespace atelier::files {

/// ^(.*)_(\d{5,9})(\D*(?:\.[^.]*)?)$, greedy: "a_00002_.png" is {"a", 2, "_.png"}.
struct OutputName {
  std::string stem;
  std::uint32_t number = 0;
  std::string rest;
  auto operator<=>(const OutputName&) const = default;
};
[[nodiscard]] std::optional<OutputName> split_output_name(std::string_view name);
/// The name back: at least five digits.
[[nodiscard]] std::string join_output_name(std::string_view stem, std::uint32_t number,
                                           std::string_view rest);

struct OutputLink {
  FolderType type = FolderType::output;
  std::string folder;  // below the type's folder; "" is itself
  std::string name;
  Digest digest;
};

/// What the folder says of a name without a number.
struct NameSeen {
  bool taken = false;              // the plain name stands there
  std::uint32_t highest_copy = 0;  // greatest k of "stem (k).ext"; 0 if none
};

class OutputNames {
 public:
  OutputNames(const DataFolder& data, const Blobs& blobs) : data_(data), blobs_(blobs) {}

  /// `seen`: the highest number that the folder has for the stem; 0 if none or the folder is not there yet.
  /// Errors: forbidden or bad_request for a folder that is not fine.
  [[nodiscard]] Result<std::uint32_t> highest_number(ParticipantId participant, FolderType type,
                                                     std::string_view folder, std::string_view stem) const;
  [[nodiscard]] Result<NameSeen> name_seen(ParticipantId participant, FolderType type,
                                           std::string_view folder, std::string_view name) const;

  /// Gives the blobs their names, and how many of these were not there yet: reflink, else hard link (the blob
  /// is 0444), else copy; whole or not at all, never replacing, each folder synced once at the end. A name
  /// that already stands for the same content is fine, so repeating after a crash is fine, too. Errors:
  /// conflict (the name stands for something else; the names before it stay), not_found (no such blob),
  /// bad_request, forbidden, disk_full, io.
  [[nodiscard]] Result<std::uint64_t> link(ParticipantId participant,
                                           std::span<const OutputLink> outputs) const;

 private:
  Result<bool> is_there(const Directory& folder, const OutputLink& output) const;
  /// False: the name was there.
  Result<bool> link_one(const Directory& folder, const OutputLink& output) const;

  const DataFolder& data_;
  const Blobs& blobs_;
};

}  // namespace atelier::files
