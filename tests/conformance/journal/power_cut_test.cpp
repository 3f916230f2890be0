// SPDX-License-Identifier: MIT
// A power cut (reliability.md B1 5): of what was written after the last fsync of a file, any sectors may be
// there and any not.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <random>

#include "journal/dump.hpp"
#include "sqlite_rig.hpp"

namespace atelier::journal::sqlite {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSector = 512;

std::string content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// What a disk may hold of a file that was `synced` and is `written` by now.
std::string after_cut(const std::string& synced, const std::string& written, std::mt19937_64& random) {
  std::string cut = random() % 2 == 0 ? synced : written;
  for (std::size_t at = 0; at < cut.size(); at += kSector) {
    const std::string& from = random() % 2 == 0 ? synced : written;
    const std::size_t end = std::min({at + kSector, cut.size(), from.size()});
    for (std::size_t i = at; i < end; ++i) cut[i] = from[i];
  }
  return cut;
}

TEST_CASE("a power cut after any answer keeps what was answered, whatever the disk made of the rest") {
  SqliteRig rig;
  const std::string wal = rig.path() + "-wal";
  std::map<std::string, std::string> synced;
  // On the writer's thread, while this one waits for the append: all that was written is durable from here
  // on.
  const auto note_sync = [&](FileOperation operation, std::string_view path) {
    if (operation == FileOperation::sync) synced[std::string(path)] = content_of(std::string(path));
    return SQLITE_OK;
  };
  auto opened = sqlite::open(rig.real_runtime, {rig.path(), note_sync});
  REQUIRE(opened);
  std::mt19937_64 random(5);
  SqliteRig other;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {  // 9 MB: the log is folded into the database twice
    CAPTURE(seed);
    REQUIRE(rig.get((*opened)->append(submits(seed, 3, 100'000))));
    fs::remove(other.path() + "-shm");
    for (const auto& [from, to] : {std::pair{rig.path(), other.path()}, {wal, other.path() + "-wal"}}) {
      std::ofstream(to, std::ios::binary) << after_cut(synced[from], content_of(from), random);
    }
    std::ofstream(other.path() + "-begun", std::ios::binary) << content_of(rig.path() + "-begun");
    std::vector<core::Entry> entries;
    const auto journal = open_and_replay(other, entries);
    CHECK(entries.size() == 3 * seed);
    CHECK(check(*other.reader()).problems.empty());
  }
  CHECK(synced[rig.path()].size() > 6'000'000);
}

}  // namespace
}  // namespace atelier::journal::sqlite
