// SPDX-License-Identifier: MIT
#include "agent/engine_log.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace atelier::agent {
namespace {

namespace fs = std::filesystem;

struct Folder {
  fs::path path = fs::temp_directory_path() / ("atelier-engine-log-" + std::to_string(::getpid()));
  Folder() { fs::remove_all(path); }
  ~Folder() { fs::remove_all(path); }
};

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST_CASE("an engine's log keeps every byte, and tells whole lines without the steps of a progress bar") {
  Folder folder;
  auto log = EngineLog::open((folder.path / "deep" / "engine-0.log").string());
  REQUIRE(log);
  CHECK(log->add("Starting ser") == std::vector<std::string>{});
  CHECK(log->add("ver\n\n  \n 10%|#\r100%|####\r\nlast") ==
        std::vector<std::string>{"Starting server", "100%|####"});
  CHECK(log->last_words() == "100%|####");
  CHECK(read(log->path()) == "Starting server\n\n  \n 10%|#\r100%|####\r\nlast");
  const auto again = EngineLog::open(log->path());
  REQUIRE(again);
  CHECK(log->add("\n") == std::vector<std::string>{"last"});
}

TEST_CASE("an engine's log does not grow for ever, nor a line") {
  Folder folder;
  auto log = EngineLog::open((folder.path / "engine-0.log").string());
  REQUIRE(log);
  const std::string part(1 << 20, 'x');
  for (std::uint64_t bytes = 0; bytes < EngineLog::kFileBytesMax; bytes += part.size())
    CHECK(log->add(part).empty());
  CHECK(log->add("\n").front().size() == 340);
  CHECK(fs::file_size(log->path()) == 1);
  CHECK(fs::file_size(log->path() + ".1") == EngineLog::kFileBytesMax);
}

TEST_CASE("a log folder that cannot be made is said") {
  const auto log = EngineLog::open("/dev/null/logs/engine-0.log");
  REQUIRE(!log);
  CHECK(log.error().code == Errc::config);
}

}  // namespace
}  // namespace atelier::agent
