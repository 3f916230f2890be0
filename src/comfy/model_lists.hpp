// SPDX-License-Identifier: MIT
#pragma once
// The model files that an engine has, by folder, as its /experiment/models tells them (CI D7). What an engine
// says is taken within limits only: a list that lies fills no memory and leads nowhere.

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace atelier::comfy {

struct ModelFile {
  std::uint64_t bytes = 0;           // 0: not known
  double modified = 0, created = 0;  // Unix seconds; 0: not known
  bool is_named = true;              // /models lists it
  bool has_details = true;           // /experiment/models lists it: these two have rules of their own
  bool operator==(const ModelFile&) const = default;
};

/// A key of ComfyUI's folders whose files are told: letters, digits and "._-" with no dot in front, at most
/// 64 bytes; none of those that hold no models, nor the older names of folders, which ComfyUI's routes do not
/// know.
[[nodiscard]] bool is_told_folder(std::string_view key);
/// A relative path of 1 to 1,024 bytes without control characters, empty parts, "." and "..".
[[nodiscard]] bool is_told_name(std::string_view name);

class ModelLists {
 public:
  static constexpr std::size_t kFoldersMax = 128, kFilesMax = 20'000, kNameBytesMax = 4u << 20;
  static constexpr std::size_t kPrintedBytesMax = 12u << 20;  // of the most that it holds
  using Files = std::map<std::string, ModelFile, std::less<>>;

  /// False if this is no such folder, or one too many. A folder that is there stays as it is.
  bool add(std::string_view folder);
  /// Of a name that comes again the first counts, as in ComfyUI; what is no size or time counts as not known.
  /// False if it was not taken.
  bool add(std::string_view folder, std::string_view name, const ModelFile& file);
  /// What both routes list, each file with the one that does.
  [[nodiscard]] static ModelLists combine(const ModelLists& details, const ModelLists& names);
  [[nodiscard]] const std::map<std::string, Files, std::less<>>& folders() const { return folders_; }
  /// Null if there is no such folder.
  [[nodiscard]] const Files* find(std::string_view folder) const;

  /// `{"loras":{"sub/a.pt":{"size":5,"modified":1.5,"created":1.5}}}`, the same text for the same lists. A
  /// file without details is `{}`, one that is not named has `"named":false`.
  [[nodiscard]] std::string print() const;
  /// What is no such name, or above the limits, is left out. Errors: bad_request, too_large.
  [[nodiscard]] static Result<ModelLists> parse(std::string_view text);

  bool operator==(const ModelLists& other) const { return folders_ == other.folders_; }

 private:
  std::map<std::string, Files, std::less<>> folders_;
  std::size_t files_ = 0, name_bytes_ = 0;
};

}  // namespace atelier::comfy
