// SPDX-License-Identifier: MIT
#include "agent/job_folders.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <fstream>

namespace atelier::agent {
namespace {

namespace fs = std::filesystem;

struct Output {
  Output() : path(fs::temp_directory_path() / "atelier-job-folders") {
    fs::remove_all(path);
    fs::create_directories(path);
    folder = *files::Directory::open_root(path.string());
  }
  ~Output() { fs::remove_all(path); }
  void write(const std::string& name) {
    fs::create_directories((path / name).parent_path());
    std::ofstream(path / name) << "picture";
  }
  [[nodiscard]] bool has(const std::string& name) const { return fs::exists(path / name); }
  fs::path path;
  files::Directory folder;
};

WallTime in(milliseconds from_now) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return WallTime{std::chrono::duration_cast<milliseconds>(now + from_now).count()};
}

}  // namespace

TEST_CASE("what stands in a run's folder is found, whoever wrote it, and nothing beside it") {
  Output output;
  output.write("atelier/7-1/class/kept_00001_.png");
  output.write("atelier/7-1/note.txt");
  output.write("atelier/7-2/kept_00001_.png");
  const auto found = files_of_job(output.folder, {JobId{7}, Epoch{1}});
  REQUIRE(found);
  CHECK(found->size() == 2);
  CHECK(found->contains("atelier/7-1/class/kept_00001_.png"));
  CHECK(found->contains("atelier/7-1/note.txt"));
  CHECK(found->at("atelier/7-1/note.txt").size == 7);
  CHECK(files_of_job(output.folder, {JobId{8}, Epoch{1}})->empty());
}

TEST_CASE("folders of old runs go, but not what is held, and nothing that is not a run's") {
  Output output;
  CHECK(sweep_job_folders(output.folder, in(milliseconds(0)), milliseconds(0), {}) == std::size_t{0});
  output.write("atelier/1-1/a.png");
  output.write("atelier/2-1/b.png");
  output.write("own/c.png");
  output.write("atelier/my-project/d.png");
  const milliseconds hour(3'600'000);
  CHECK(sweep_job_folders(output.folder, in(hour / 2), hour, {}) == std::size_t{0});
  CHECK(sweep_job_folders(output.folder, in(hour * 2), hour, {{JobId{2}, Epoch{1}}}) == std::size_t{1});
  CHECK_FALSE(output.has("atelier/1-1"));
  CHECK(output.has("atelier/2-1/b.png"));
  CHECK(output.has("own/c.png"));
  CHECK(output.has("atelier/my-project/d.png"));
}

}  // namespace atelier::agent
