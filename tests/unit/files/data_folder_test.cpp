// SPDX-License-Identifier: MIT
#include "files/data_folder.hpp"

#include <doctest/doctest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/fault_points.hpp"
#include "temp_folder.hpp"

namespace atelier::files {
namespace {

DataFolderOptions at(const std::string& path) {
  DataFolderOptions options;
  options.data_dir = path;
  return options;
}

TEST_CASE("a data folder is made with its layout and opens again after it was closed") {
  const TempFolder temp;
  {
    const DataFolder data = DataFolder::open(at(temp / "a/b/data")).value();
    for (const char* name : {"blobs", "participants", "library", "staging/tmp", "catalog"}) {
      CHECK(std::filesystem::is_directory(temp / "a/b/data/" + name));
    }
    CHECK(data.path() == temp / "a/b/data");
    CHECK(data.free_space().value().bytes > 0);
    CHECK(data.tree(kSeven, Tree::userdata).has_value());
    CHECK(std::filesystem::is_directory(temp / "a/b/data/participants/7/userdata"));
    CHECK(data.tree(ParticipantId{0}, Tree::input).has_value());  // the instructor's
  }
  CHECK(DataFolder::open(at(temp / "a/b/data")).has_value());
}

TEST_CASE("a look into a participant's tree makes nothing and sees what is there") {
  const TempFolder temp;
  DataFolderOptions options = at(temp / "data");
  options.inputs_path = temp / "in";
  std::filesystem::create_directory(temp / "in");
  const DataFolder data = DataFolder::open(options).value();
  for (const Tree tree : {Tree::input, Tree::output}) {
    CHECK(fails_with(data.stat_in_tree(kSeven, tree, ""), Errc::not_found));
    CHECK(fails_with(data.stat_in_tree(kSeven, tree, "sub"), Errc::not_found));
  }
  CHECK_FALSE(std::filesystem::exists(temp / "in/7"));
  CHECK_FALSE(std::filesystem::exists(temp / "data/participants/7"));
  for (const Tree tree : {Tree::input, Tree::output}) {
    const Directory folder = data.tree(kSeven, tree).value();
    REQUIRE(folder.make_folder("sub").has_value());
    CHECK(data.stat_in_tree(kSeven, tree, "").value().key == stat_of(folder.fd()).value().key);
    CHECK(data.stat_in_tree(kSeven, tree, "sub").value().key == folder.stat("sub").value().stat.key);
  }
  write_text(temp / "in/7/sub/new.png", "x");
  CHECK(fails_with(data.stat_in_tree(kSeven, Tree::output, "sub/new.png"), Errc::not_found));
  CHECK(data.stat_in_tree(kSeven, Tree::input, "sub/new.png").value().key.size == 1);
}

TEST_CASE("a second server on the same data is refused with one sentence that names the first") {
  const TempFolder temp;
  const auto first = DataFolder::open(at(temp / "data"));
  REQUIRE(first.has_value());
  const DataFolder copy = *first;
  const auto second = DataFolder::open(at(temp / "data/"));
  REQUIRE(fails_with(second, Errc::config));
  CHECK(second.error().what.find("in use by another server (process " + std::to_string(::getpid()) + ")") !=
        std::string::npos);
}

TEST_CASE("a data folder that cannot be one is a mistake of the configuration") {
  const TempFolder temp;
  write_text(temp / "file", "x");
  CHECK(fails_with(DataFolder::open(at(temp / "file")), Errc::config));
  CHECK(fails_with(DataFolder::open(at(temp / "file/data")), Errc::config));
  CHECK(fails_with(DataFolder::open(at("")), Errc::config));
  write_text(temp / "odd/blobs", "a file where a folder belongs");
  CHECK(fails_with(DataFolder::open(at(temp / "odd")), Errc::config));
  set_fault_hook([](const char* point) { return std::string_view(point) == "create" ? EROFS : 0; });
  CHECK(fails_with(DataFolder::open(at(temp / "read_only")), Errc::config));
  set_fault_hook([](const char* point) { return std::string_view(point) == "probe" ? EXDEV : 0; });
  CHECK(fails_with(DataFolder::open(at(temp / "two_disks")), Errc::config));
  set_fault_hook(nullptr);
}

TEST_CASE("roots of their own give each participant a folder in them") {
  const TempFolder temp;
  DataFolderOptions options = at(temp / "data");
  options.inputs_path = temp / "in";
  options.outputs_path = temp / "out";
  options.workflows_path = temp / "flows";
  const DataFolder data = DataFolder::open(options).value();
  for (const Tree tree : {Tree::input, Tree::output, Tree::temp, Tree::userdata})
    CHECK(data.tree(kSeven, tree).has_value());
  CHECK(std::filesystem::is_directory(temp / "in/7"));
  CHECK(std::filesystem::is_directory(temp / "out/7"));
  CHECK(std::filesystem::is_directory(temp / "flows/7"));
  CHECK(std::filesystem::is_directory(temp / "data/participants/7/temp"));
}

TEST_CASE("what an earlier run left half written is gone after the next start") {
  const TempFolder temp;
  REQUIRE(DataFolder::open(at(temp / "data")).has_value());
  write_text(temp / "data/staging/tmp/t-1-1", "half");
  write_text(temp / "data/staging/12-1/0", "upload of a worker");
  REQUIRE(DataFolder::open(at(temp / "data")).has_value());
  CHECK(std::filesystem::is_empty(temp / "data/staging/tmp"));
  CHECK(std::filesystem::exists(temp / "data/staging/12-1/0"));
}

TEST_CASE("the worker token is written once, for the owner's eyes only") {
  const TempFolder temp;
  const DataFolder data = DataFolder::open(at(temp / "data")).value();
  const std::string token(64, 'a');
  const std::string path = temp / "data/worker.token";
  CHECK(fails_with(data.worker_token("short"), Errc::internal));
  CHECK(data.worker_token(token).value() == token);
  struct stat status{};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  CHECK(data.worker_token(std::string(64, 'b')).value() == token);
  REQUIRE(::chmod(path.c_str(), 0644) == 0);
  CHECK(data.worker_token(std::string(64, 'b')).value() == token);
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  write_text(path, "not a token");
  CHECK(fails_with(data.worker_token(token), Errc::config));
}

/// A small tmpfs, where the machine lets us mount one.
class SmallDisk {
 public:
  SmallDisk(const std::string& path, const char* options) : path_(path) {
    std::filesystem::create_directories(path);
    mounted_ = ::mount("none", path.c_str(), "tmpfs", 0, options) == 0;
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  [[nodiscard]] bool is_mounted() const { return mounted_; }

 private:
  std::string path_;
  bool mounted_ = false;
};

TEST_CASE("a full disk is said and loses nothing that was there") {
  const TempFolder temp;
  const SmallDisk disk(temp / "small", "size=256k");
  if (!disk.is_mounted()) {
    MESSAGE("no right to mount here");
    return;
  }
  const Stores stores(temp / "small");
  REQUIRE(stores.upload(kSeven, {FolderType::input, "", "a.png", Replace::no}, "first").has_value());
  const std::string big(200 << 10, 'x');
  REQUIRE(stores.upload(kSeven, {FolderType::input, "", "big.png", Replace::no}, big).has_value());
  CHECK(fails_with(stores.upload(kSeven, {FolderType::input, "", "a.png", Replace::yes}, big),
                   Errc::disk_full));
  CHECK(fails_with(stores->user_data().write(kSeven, "w.json", big, Replace::yes), Errc::disk_full));
  const StagedName staged{JobId{1}, Epoch{1}, 0, {}};
  REQUIRE(stores->staging().append(staged, 0, "start", 1 << 20).value().appended);
  CHECK(fails_with(stores->staging().append(staged, 5, big, 1 << 20), Errc::disk_full));
  CHECK(stores->staging().length(staged).value() == 5);
  CHECK(stores.view(kSeven, "a.png", "input").value() == "first");
  CHECK(std::filesystem::is_empty(temp / "small/data/staging/tmp"));
  REQUIRE(stores->participants().remove(kSeven, FolderType::input, "", "big.png").has_value());
  CHECK(stores->staging().append(staged, 5, std::string(100 << 10, 'y'), 1 << 20).value().appended);
}

TEST_CASE("a disk without inodes is a full disk") {
  const TempFolder temp;
  const SmallDisk disk(temp / "small", "size=1m,nr_inodes=24");
  if (!disk.is_mounted()) {
    MESSAGE("no right to mount here");
    return;
  }
  const Stores stores(temp / "small");
  Errc last = Errc::internal;
  for (int i = 0; i < 64; ++i) {
    auto stored = stores.upload(kSeven, {FolderType::input, "", std::to_string(i), Replace::no}, "x");
    if (stored) continue;
    last = stored.error().code;
    break;
  }
  CHECK(last == Errc::disk_full);
}

TEST_CASE("parts of the data on another file system are refused") {
  const TempFolder temp;
  const SmallDisk disk(temp / "other", "size=1m");
  if (!disk.is_mounted()) {
    MESSAGE("no right to mount here");
    return;
  }
  DataFolderOptions options = at(temp / "data");
  options.inputs_path = temp / "other/in";
  const auto opened = DataFolder::open(options);
  REQUIRE(fails_with(opened, Errc::config));
  CHECK(opened.error().what.find("INPUTS_PATH") != std::string::npos);
  options.inputs_path.clear();
  options.models_path = temp / "other/models";
  CHECK(DataFolder::open(options).has_value());
}

}  // namespace
}  // namespace atelier::files
