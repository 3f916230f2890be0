// SPDX-License-Identifier: MIT
#include "files/safetensors.hpp"

#include <doctest/doctest.h>

#include "files/directory.hpp"
#include "temp_folder.hpp"

namespace atelier::files {
namespace {

std::string with_length(std::uint64_t length, std::string_view rest) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(length >> (8 * i) & 0xFF));
  return bytes.append(rest);
}

struct Folder {
  Result<std::string> read(const std::string& bytes, std::uint64_t bytes_max = 1 << 20) {
    write_text(temp / "m.safetensors", bytes);
    return read_safetensors_header(root.open_file("m.safetensors").value(), bytes_max);
  }
  TempFolder temp{TempFolder::Place::memory};
  Directory root = Directory::open_root(temp.path()).value();
};

TEST_CASE("the header of a safetensors file is its text without the weights") {
  Folder folder;
  CHECK(folder.read(with_length(9, R"({"a":"b"}weights)")).value() == R"({"a":"b"})");
  CHECK(folder.read(with_length(2, "{}")).value() == "{}");
  CHECK(folder.read(with_length(9, R"({"a":"b"})"), 9).has_value());
}

TEST_CASE("a header above the caller's limit is too large, and is not read") {
  Folder folder;
  CHECK(folder.read(with_length(9, R"({"a":"b"})"), 8).error().code == Errc::too_large);
}

TEST_CASE("a file whose header cannot be one is no safetensors file") {
  Folder folder;
  for (const std::string& bytes :
       {std::string(), std::string("short"), with_length(0, "{}"), with_length(1, "{}"), with_length(3, "{}"),
        with_length(~0ULL, "{}"), with_length(~0ULL - 7, "{}"), with_length(100'000'001, "{}"),
        with_length(2, "[]"), with_length(1ULL << 63, "{}"), std::string("\x80\x02}q\x00.pickle..", 14)}) {
    CHECK(folder.read(bytes).error().code == Errc::unsupported);
  }
}

}  // namespace
}  // namespace atelier::files
