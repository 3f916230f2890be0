// SPDX-License-Identifier: MIT
#pragma once
// The front end's settings: one JSON object per participant in userdata/comfy.settings.json (CI D5). JSON
// goes in and out as text. Read-modify-write is locked per participant. Any thread; blocks.

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "base/ids.hpp"
#include "files/data_folder.hpp"

namespace atelier::files {

inline constexpr std::uint64_t kSettingsBytesMax = 4ULL << 20;
inline constexpr std::size_t kSettingsDepthMax = 64;

class SettingsStore {
 public:
  explicit SettingsStore(const DataFolder& data) : data_(data) {}

  /// The whole object; "{}" when there is none or the file is not a JSON object.
  [[nodiscard]] Result<std::string> all(ParticipantId participant) const;
  /// One value as JSON text; "null" when it is not set.
  [[nodiscard]] Result<std::string> get(ParticipantId participant, std::string_view id) const;
  /// POST /settings: `object_text` is a JSON object whose members replace those of the same name. Errors:
  /// bad_request (no JSON object, too deep), too_large above kSettingsBytesMax in all, disk_full, io.
  [[nodiscard]] Result<void> merge(ParticipantId participant, std::string_view object_text) const;
  /// POST /settings/{id}: any JSON value.
  [[nodiscard]] Result<void> set(ParticipantId participant, std::string_view id,
                                 std::string_view value_text) const;

 private:
  std::mutex& mutex_of(ParticipantId participant) const {
    return mutexes_[participant.value % mutexes_.size()];
  }

  const DataFolder& data_;
  mutable std::array<std::mutex, 16> mutexes_;
};

}  // namespace atelier::files
