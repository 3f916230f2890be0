// SPDX-License-Identifier: MIT
// Parts in a folder of several processes.
#include "files/part_file.hpp"

#include <doctest/doctest.h>

#include <memory>

#include "unit/files/temp_folder.hpp"

namespace atelier::files {
namespace {

constexpr std::uint64_t kMost = 100;
constexpr WallTime kFar{INT64_MAX / 2};

struct Folder {
  TempFolder temp;
  Directory folder = Directory::open_root(temp.path()).value();
  Digest digest = sha256("a whole file");

  [[nodiscard]] TempFile begin(std::string_view bytes) const {
    TempFile part = begin_part(folder, digest, kMost).value();
    REQUIRE(part.write(bytes));
    return part;
  }
  [[nodiscard]] std::optional<TempFile> take() const { return take_part(folder, digest, kMost).value(); }
  [[nodiscard]] std::size_t files() const { return folder.list("", {}).value().entries.size(); }
};

}  // namespace

TEST_CASE("a part stays when its writer goes, and the next one goes on with it") {
  Folder folder;
  {
    const TempFile part = folder.begin("a whole");
  }
  CHECK_FALSE(take_part(folder.folder, sha256("another"), kMost).value());
  std::optional<TempFile> part = folder.take();
  REQUIRE(part);
  CHECK(part->size() == 0);
  CHECK(part->write("x").error().code == Errc::internal);
  while (part->read_back(3).value()) CHECK(part->size() % 3 == 0);
  CHECK(part->size() == 7);
  REQUIRE(part->write(" file"));
  REQUIRE(part->finish(FileMode::read_only));
  CHECK(part->digest() == folder.digest);
  REQUIRE(part->publish(folder.folder, "whole", Replace::no));
  part.reset();
  CHECK(folder.files() == 1);
  CHECK(read_text(folder.temp / "whole") == "a whole file");
}

TEST_CASE("a part that somebody writes is nobody else's, in no sweep either") {
  Folder folder;
  TempFile part = folder.begin("a");
  CHECK_FALSE(folder.take());
  CHECK(sweep_parts(folder.folder, kFar, milliseconds(0)) == 0U);
  const TempFile moved = std::move(part);
  CHECK_FALSE(folder.take());
  CHECK(folder.files() == 1);
}

TEST_CASE("the longest part is taken, one that is too long is removed, and so is one with nothing in it") {
  Folder folder;
  {
    const TempFile part = folder.begin("a wh"), longer = folder.begin("a whol"), third = folder.begin("a");
  }
  {
    const TempFile empty = begin_part(folder.folder, folder.digest, kMost).value();
  }
  CHECK(folder.files() == 3);
  std::optional<TempFile> taken = take_part(folder.folder, folder.digest, 5).value();
  REQUIRE(taken);
  CHECK_FALSE(taken->read_back(kMost).value());
  CHECK(taken->size() == 4);
  CHECK(folder.files() == 2);
  taken->remove();
  CHECK(folder.files() == 1);
}

TEST_CASE("a sweep removes what nobody has and is old enough, whatever its name") {
  Folder folder;
  {
    const TempFile part = folder.begin("a whole");
  }
  write_text(folder.temp / "t-1-0", "of an older release");
  const TempFile mine = folder.begin("a");
  const auto changed = folder.folder.stat("t-1-0").value().stat.key.modified_ns / 1'000'000;
  CHECK(sweep_parts(folder.folder, WallTime{changed}, milliseconds(60'000)) == 0U);
  CHECK(folder.files() == 3);
  CHECK(sweep_parts(folder.folder, WallTime{changed + 120'000}, milliseconds(60'000)) == 2U);
  CHECK(folder.files() == 1);
}

}  // namespace atelier::files
