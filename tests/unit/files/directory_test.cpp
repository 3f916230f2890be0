// SPDX-License-Identifier: MIT
#include "files/directory.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <thread>

#include "files/temp_file.hpp"
#include "temp_folder.hpp"

namespace atelier::files {
namespace {

TEST_CASE("links, pipes and devices are neither opened nor followed, and are listed as unsupported") {
  const TempFolder temp;
  write_text(temp / "outside/secret", "secret");
  write_text(temp / "root/plain", "plain");
  std::filesystem::create_symlink(temp / "outside/secret", temp / "root/link");
  std::filesystem::create_directory_symlink(temp / "outside", temp / "root/folder_link");
  std::filesystem::create_symlink("plain", temp / "root/inner_link");
  REQUIRE(::mkfifo((temp / "root/pipe").c_str(), 0600) == 0);
  const Directory root = Directory::open_root(temp / "root").value();
  CHECK(root.open_file("plain").value().read_all(100).value() == "plain");
  CHECK(fails_with(root.open_file("link"), Errc::forbidden));
  CHECK(fails_with(root.open_file("inner_link"), Errc::forbidden));
  CHECK(fails_with(root.open_file("folder_link/secret"), Errc::forbidden));
  CHECK(fails_with(root.open_folder("folder_link"), Errc::forbidden));
  CHECK(fails_with(root.make_folder("folder_link/new"), Errc::forbidden));
  CHECK(fails_with(root.open_file("pipe"), Errc::unsupported));
  CHECK(fails_with(root.open_file("gone"), Errc::not_found));
  if (::geteuid() == 0 && ::mknod((temp / "root/device").c_str(), S_IFCHR | 0600, 0x103) == 0) {
    CHECK(fails_with(root.open_file("device"), Errc::unsupported));
    write_text(temp / "outside/foreign", "x");
    REQUIRE(::chown((temp / "outside/foreign").c_str(), 65534, 65534) == 0);
    REQUIRE(::link((temp / "outside/foreign").c_str(), (temp / "root/foreign").c_str()) == 0);
    CHECK(fails_with(root.open_file("foreign"), Errc::unsupported));
  }
  const Listing listing = root.list("", ListLimits{.depth_max = 5}).value();
  for (const Entry& entry : listing.entries) {
    CAPTURE(entry.path);
    CHECK((entry.kind == EntryKind::file) == (entry.path == "plain"));
    CHECK(entry.kind != EntryKind::folder);
  }
}

TEST_CASE("a folder swapped for a link while it is opened never shows what lies outside") {
  const TempFolder temp;
  write_text(temp / "root/folder/file", "inside");
  write_text(temp / "outside/file", "outside");
  std::filesystem::create_directory_symlink(temp / "outside", temp / "root/swap");
  const Directory root = Directory::open_root(temp / "root").value();
  std::atomic<bool> stop = false;
  std::atomic<int> swaps = 0;
  std::thread attacker([&] {
    while (!stop) {
      ::renameat2(root.fd(), "folder", root.fd(), "swap", RENAME_EXCHANGE);
      ++swaps;
    }
  });
  int seen = 0;
  for (int i = 0; i < 5000 || swaps < 1000 || (seen == 0 && i < 200'000); ++i) {
    auto file = root.open_file("folder/file");
    if (!file) continue;
    ++seen;
    const std::string text = file->read_all(100).value_or("");
    if (text != "inside") FAIL_CHECK("read " << text);
    static_cast<void>(root.make_folder("folder/made"));
  }
  stop = true;
  attacker.join();
  CHECK(seen > 0);
  CHECK_FALSE(std::filesystem::exists(temp / "outside/made"));
}

TEST_CASE("moving and linking never replace a name unless that was asked for") {
  const TempFolder temp;
  write_text(temp / "root/a", "a");
  write_text(temp / "root/b", "b");
  std::filesystem::create_directory(temp / "root/folder");
  const Directory root = Directory::open_root(temp / "root").value();
  CHECK(fails_with(root.move("a", root, "b", Replace::no), Errc::conflict));
  CHECK(fails_with(root.link("a", root, "b"), Errc::conflict));
  CHECK(fails_with(root.move("a", root, "folder", Replace::yes), Errc::conflict));
  CHECK(fails_with(root.move("gone", root, "c", Replace::yes), Errc::not_found));
  CHECK(root.move("a", root, "b", Replace::yes).has_value());
  CHECK(read_text(temp / "root/b") == "a");
  CHECK(fails_with(root.make_folder("b/c"), Errc::conflict));
  CHECK(fails_with(root.remove_file("folder"), Errc::conflict));
}

TEST_CASE("removing a tree removes links in it and not what they point at") {
  const TempFolder temp;
  write_text(temp / "outside/kept", "kept");
  write_text(temp / "root/tree/a/b/c", "c");
  std::filesystem::create_directory_symlink(temp / "outside", temp / "root/tree/a/link");
  const Directory root = Directory::open_root(temp / "root").value();
  CHECK(root.remove_tree("tree").has_value());
  CHECK(root.remove_tree("tree").has_value());
  CHECK_FALSE(std::filesystem::exists(temp / "root/tree"));
  CHECK(read_text(temp / "outside/kept") == "kept");
}

TEST_CASE("a listing stops at its limits and says so") {
  const TempFolder temp;
  for (int i = 0; i < 10; ++i) write_text(temp / ("root/d/f" + std::to_string(i)), "x");
  write_text(temp / "root/.hidden", "x");
  const Directory root = Directory::open_root(temp / "root").value();
  CHECK(root.list("", ListLimits{.depth_max = 1}).value().entries.size() == 1);
  CHECK(root.list("", ListLimits{.depth_max = 2}).value().entries.size() == 11);
  CHECK(root.list("", ListLimits{.depth_max = 2, .with_dotfiles = true}).value().entries.size() == 12);
  const Listing cut = root.list("", ListLimits{.entries_max = 5, .depth_max = 2}).value();
  CHECK(cut.entries.size() == 5);
  CHECK(cut.truncated);
}

TEST_CASE("a temp file is invisible until it is published and leaves nothing when it is dropped") {
  const TempFolder temp;
  std::filesystem::create_directories(temp / "tmp");
  std::filesystem::create_directories(temp / "to");
  const Directory tmp = Directory::open_root(temp / "tmp").value();
  const Directory to = Directory::open_root(temp / "to").value();
  {
    TempFile file = TempFile::create(tmp, 10).value();
    CHECK(file.write("12345").has_value());
    CHECK(fails_with(file.write("678901"), Errc::too_large));
    CHECK(std::filesystem::is_empty(temp / "to"));
  }
  CHECK(std::filesystem::is_empty(temp / "tmp"));
  TempFile file = TempFile::create(tmp, 10).value();
  CHECK(fails_with(file.publish(to, "x", Replace::no), Errc::internal));
  CHECK(file.write("123").has_value());
  CHECK(file.finish(FileMode::read_only).has_value());
  CHECK(file.digest() == sha256("123"));
  CHECK(file.publish(to, "x", Replace::no).has_value());
  CHECK(read_text(temp / "to/x") == "123");
  CHECK(std::filesystem::is_empty(temp / "tmp"));
  CHECK((stat_at(to.fd(), "x").value().mode & 0777) == 0444);
}

}  // namespace
}  // namespace atelier::files
