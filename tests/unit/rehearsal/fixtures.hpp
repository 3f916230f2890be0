// SPDX-License-Identifier: MIT
#pragma once
// What the tests of the rehearsal engine share.

#include <doctest/doctest.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "rehearsal/node.hpp"

namespace fixtures {

/// Counts its calls and says stop from the given one on.
class FakeWatch final : public atelier::rehearsal::Watch {
 public:
  explicit FakeWatch(std::uint64_t stop_at = UINT64_MAX) : stop_at_(stop_at) {}
  bool advance(std::uint64_t done, std::uint64_t total) override {
    last_done = done;
    last_total = total;
    return ++calls < stop_at_;
  }
  std::uint64_t calls = 0, last_done = 0, last_total = 0;

 private:
  std::uint64_t stop_at_;
};

/// Three folders below a temporary one that goes with the object.
class TempFolders {
 public:
  TempFolders() {
    std::string pattern = std::filesystem::temp_directory_path().string() + "/atelier-unit-XXXXXX";
    folders.root = ::mkdtemp(pattern.data());
    static_cast<void>(folders.create());
  }
  TempFolders(const TempFolders&) = delete;
  ~TempFolders() {
    std::error_code ignored;
    std::filesystem::remove_all(folders.root, ignored);
  }
  void write(const std::string& name, std::string_view bytes) const {
    std::error_code ignored;
    const std::string path = folders.root + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
    static_cast<void>(atelier::rehearsal::write_file(path, bytes));
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    return atelier::rehearsal::read_file(folders.root + "/" + name).value_or("(no such file)");
  }
  atelier::rehearsal::Folders folders;
};

/// A picture whose samples numpy can make as well: (37 x + 59 y + 83 c + 11 x y) mod 256, divided by 255.
inline atelier::rehearsal::Tensor pattern(std::uint32_t width, std::uint32_t height,
                                          std::uint32_t frames = 1) {
  atelier::rehearsal::Tensor tensor{width, height, frames, 3, {}};
  for (std::uint32_t frame = 0; frame < frames; ++frame) {
    for (std::uint32_t y = 0; y < height; ++y) {
      for (std::uint32_t x = 0; x < width; ++x) {
        for (std::uint32_t c = 0; c < 3; ++c) {
          tensor.samples.push_back(
              static_cast<float>((37 * x + 59 * y + 83 * c + 11 * x * y + 5 * frame) % 256) / 255.0F);
        }
      }
    }
  }
  return tensor;
}

/// Calls one node as the engine does.
struct Bench {
  using Inputs = std::map<std::string, atelier::rehearsal::Value, std::less<>>;
  atelier::rehearsal::NodeResult<atelier::rehearsal::NodeOutput> run(std::string_view name, Inputs inputs) {
    const atelier::rehearsal::NodeClass* node = atelier::rehearsal::find_node_class(name);
    REQUIRE(node != nullptr);
    atelier::rehearsal::NodeCall call;
    call.inputs = std::move(inputs);
    call.folders = &home.folders;
    call.metadata = &metadata;
    call.temp_letters = "abcde";
    call.watch = &watch;
    return node->run(call);
  }
  atelier::rehearsal::Tensor tensor(std::string_view name, Inputs inputs, std::size_t slot = 0) {
    auto output = run(name, std::move(inputs));
    REQUIRE_MESSAGE(output.has_value(), output.error().message);
    REQUIRE(output->values.size() > slot);
    return *std::get<atelier::rehearsal::TensorPtr>(output->values[slot]);
  }
  /// The type of its error, "interrupted", or "none".
  std::string failure(std::string_view name, Inputs inputs) {
    const auto output = run(name, std::move(inputs));
    if (output) return "none";
    return output.error().interrupted ? "interrupted" : output.error().type;
  }
  TempFolders home;
  FakeWatch watch;
  std::vector<atelier::image::PngText> metadata;
};

}  // namespace fixtures
