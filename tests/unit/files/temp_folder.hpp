// SPDX-License-Identifier: MIT
#pragma once
// A folder for one test, and the stores over it.

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "files/files.hpp"
#include "runtime/virtual_runtime.hpp"

namespace atelier::files {

class TempFolder {
 public:
  /// In memory where there is such a place: for tests that make many stores and do not need a real disk's
  /// fsync.
  enum class Place { disk, memory };
  explicit TempFolder(Place place = Place::disk) {
    const bool in_memory = place == Place::memory && ::access("/dev/shm", W_OK) == 0;
    const std::filesystem::path base = in_memory ? "/dev/shm" : std::filesystem::temp_directory_path();
    std::string pattern = (base / "atelier-files-XXXXXX").string();
    const char* made = ::mkdtemp(pattern.data());
    REQUIRE(made != nullptr);
    path_ = made;
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code code;
    std::filesystem::remove_all(path_, code);
  }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline void write_text(const std::string& path, std::string_view text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

inline std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// All stores over DATA_DIR = <temp>/data.
struct Stores {
  explicit Stores(const std::string& base, QuotaLimits limits = {}) {
    DataFolderOptions options;
    options.data_dir = base + "/data";
    auto data = DataFolder::open(options);
    REQUIRE_MESSAGE(data.has_value(), (data ? "" : data.error().what));
    limits.free_bytes_min = 0;
    limits.free_files_min = 0;
    files = std::make_unique<Files>(runtime, std::move(*data), limits);
  }
  Files* operator->() const { return files.get(); }

  [[nodiscard]] Result<StoredFile> upload(ParticipantId participant, const StoreRequest& request,
                                          std::string_view bytes) const {
    ATELIER_TRY(TempFile file, files->participants().create_upload(1 << 20));
    ATELIER_TRY_VOID(file.write(bytes));
    ATELIER_TRY_VOID(file.finish(FileMode::read_only));
    return files->participants().store_upload(participant, request, std::move(file));
  }
  [[nodiscard]] Result<std::string> view(ParticipantId participant, const std::string& name,
                                         const std::string& type) const {
    ViewRequest request;
    request.filename = name;
    request.type = type;
    ATELIER_TRY(const ViewedFile viewed, files->participants().open_for_view(participant, request));
    return viewed.opened.file.read_all(1 << 20);
  }

  VirtualRuntime runtime;
  std::unique_ptr<Files> files;
};

/// Expects a failure with this code.
template <class T>
bool fails_with(const Result<T>& result, Errc code) {
  if (result) return false;
  INFO(result.error().what);
  CHECK(to_string(result.error().code) == to_string(code));
  CHECK(!result.error().what.empty());
  return result.error().code == code;
}

inline const ParticipantId kSeven{7};

}  // namespace atelier::files
