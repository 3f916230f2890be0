// SPDX-License-Identifier: MIT
#include "files/safe_path.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "temp_folder.hpp"

namespace atelier::files {
namespace {

using namespace std::string_literals;

const std::vector<std::string>& hostile_paths() {
  static const std::vector<std::string> paths = {
      "..",
      "../x",
      "../../../../../../etc/passwd",
      "a/../../x",
      "a/..",
      "/etc/passwd",
      "/",
      "//x",
      "a//b",
      "a/b/",
      "./x",
      "a/./b",
      ".",
      "",
      "..\\x",
      "a\\b",
      "C:\\x",
      "C:/x",
      "c:",
      "a\0b"s,
      "x\r\ny",
      "x\ny",
      "x\x01y",
      "x\x7fy",
      "x\xc2\x85y",
      "x.",
      "x ",
      "a./b",
      "a /b",
      "...",
      std::string(300, 'n'),
      std::string(256, 'n') + "/x",
      "\xff\xfe",
      "a\xc0\xafz",
      "\xed\xa0\x80",
      "\xf4\x90\x80\x80",
      "cut\xe2\x82",
      "%2e%2e/../x",
      "link/x",
      "link",
      "folder_link/secret.txt",
  };
  return paths;
}

/// Every path below `root`, with the size of files.
std::set<std::string> snapshot(const std::string& root, const std::string& without) {
  std::set<std::string> seen;
  for (auto it = std::filesystem::recursive_directory_iterator(root);
       it != std::filesystem::recursive_directory_iterator(); ++it) {
    if (it->path() == without) {
      it.disable_recursion_pending();
      continue;
    }
    std::string line = it->path().string();
    if (it->is_regular_file() && !it->is_symlink()) line += "=" + read_text(line);
    seen.insert(line);
  }
  return seen;
}

TEST_CASE("ordinary names of people pass the checks unchanged") {
  for (const char* name :
       {"cat.png", "Zwölf Boxkämpfer.png", "e\xcc\x81.png", "日本語 (1).webp", ".index.json", "a..b.png",
        " x", "100%.png", "a:b.json", "A: portrait.png", "\xe2\x80\xaegnp.exe", "CON", "~x"}) {
    CAPTURE(name);
    CHECK(check_name(name).has_value());
    CHECK(check_path("sub/"s + name).has_value());
    CHECK(check_path(name).has_value());
    CHECK(check_path(name + "/x"s).has_value());
  }
  CHECK(check_folder("a/b/").value() == "a/b");
  CHECK(check_folder("").value().empty());
}

TEST_CASE("a path that leaves its folder is forbidden and a malformed one is a bad request") {
  for (const char* path : {"..", "../x", "a/../x", "/x"})
    CHECK(fails_with(check_path(path), Errc::forbidden));
  for (const char* path :
       {"", ".", "a//b", "a/", "a\\b", "C:/x", "C:", "a/C:", "a/c:/b", "x.", "x ", "x\n"}) {
    CHECK(fails_with(check_path(path), Errc::bad_request));
  }
  CHECK(fails_with(check_path("a/\0"s), Errc::bad_request));
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += "d/";
  CHECK(fails_with(check_path(deep + "x"), Errc::too_large));
  CHECK(fails_with(check_name("a/b"), Errc::bad_request));
}

TEST_CASE("extensions are split as ComfyUI splits them") {
  const auto check = [](std::string_view name, std::string_view stem, std::string_view extension) {
    CHECK(split_extension(name).stem == stem);
    CHECK(split_extension(name).extension == extension);
  };
  check("cat.png", "cat", ".png");
  check("a.tar.gz", "a.tar", ".gz");
  check(".bashrc", ".bashrc", "");
  check("..x.y", "..x", ".y");
  check("none", "none", "");
}

TEST_CASE("no hostile name makes any operation touch anything outside the participant's folder") {
  const TempFolder temp;
  const Stores stores(temp.path());
  const std::string own = temp / "data/participants/7";
  write_text(temp / "outside/secret.txt", "secret");
  write_text(temp / "data/participants/8/input/secret.txt", "of eight");
  for (const char* tree : {"input", "output", "temp", "userdata"}) {
    std::filesystem::create_directories(own + "/" + tree);
    std::filesystem::create_symlink(temp / "outside/secret.txt", own + "/" + tree + "/link");
    std::filesystem::create_directory_symlink(temp / "outside", own + "/" + tree + "/folder_link");
  }
  const BlobInfo blob = stores->blobs().put("output").value();
  const auto before = snapshot(temp.path(), own);
  const auto is_harmless = [&](const auto& result) { return !result || true; };
  for (const std::string& path : hostile_paths()) {
    CAPTURE(path);
    const bool is_link = path.find("link") != std::string::npos;
    for (const FolderType type : {FolderType::input, FolderType::output, FolderType::temp}) {
      for (const Replace overwrite : {Replace::no, Replace::yes}) {
        if (path != "link" && path != "C:/x") {
          CHECK_FALSE(stores.upload(kSeven, {type, "", path, overwrite}, "bytes").has_value());
        }
        if (!path.empty() && path != "a/b/") {
          CHECK_FALSE(stores.upload(kSeven, {type, path, "x.png", overwrite}, "bytes").has_value());
        }
      }
      ViewRequest by_name;
      by_name.filename = path;
      by_name.type = std::string(to_string(type));
      CHECK_FALSE(stores->participants().open_for_view(kSeven, by_name).has_value());
      ViewRequest by_folder = by_name;
      by_folder.filename = "secret.txt";
      by_folder.subfolder = path;
      CHECK_FALSE(stores->participants().open_for_view(kSeven, by_folder).has_value());
      CHECK_FALSE(stores->participants().open_annotated(kSeven, path, type).has_value());
      CHECK_FALSE(stores->participants().open_annotated(kSeven, path + " [output]").has_value());
      CHECK_FALSE(stores->participants().remove(kSeven, type, path, "secret.txt").has_value());
      const OutputLink by_output_name{type, "", path, blob.digest};
      const OutputLink by_output_folder{type, path, "x.png", blob.digest};
      if (path != "C:/x") CHECK_FALSE(stores->output_names().link(kSeven, {&by_output_name, 1}).has_value());
      if (!path.empty() && path != "a/b/") {
        CHECK_FALSE(stores->output_names().link(kSeven, {&by_output_folder, 1}).has_value());
      }
    }
    CHECK_FALSE(stores->user_data().open(kSeven, path).has_value());
    CHECK_FALSE(stores->user_data().move(kSeven, path, "taken.json", Replace::yes).has_value());
    if (!is_link) {
      CHECK_FALSE(stores->user_data().write(kSeven, path, "{}", Replace::yes).has_value());
      CHECK_FALSE(stores->user_data().remove(kSeven, path).has_value());
    } else if (path != "link") {
      CHECK_FALSE(stores->user_data().write(kSeven, path, "{}", Replace::yes).has_value());
      CHECK_FALSE(stores->user_data().remove(kSeven, path).has_value());
    }
    REQUIRE(stores->user_data().write(kSeven, "source.json", "{}", Replace::yes).has_value());
    if (path != "link")
      CHECK_FALSE(stores->user_data().move(kSeven, "source.json", path, Replace::yes).has_value());
    CHECK(is_harmless(stores->user_data().list(kSeven, path, true)));
    CHECK(is_harmless(stores->user_data().list_v2(kSeven, path)));
    CHECK(is_harmless(stores->output_names().highest_number(kSeven, FolderType::output, path, "x")));
  }
  CHECK(snapshot(temp.path(), own) == before);
}

TEST_CASE("overwriting a link replaces the link and leaves what it pointed at") {
  const TempFolder temp;
  const Stores stores(temp.path());
  write_text(temp / "outside.txt", "outside");
  REQUIRE(stores->data().tree(kSeven, Tree::input).has_value());
  std::filesystem::create_symlink(temp / "outside.txt", temp / "data/participants/7/input/x.png");
  REQUIRE(stores.upload(kSeven, {FolderType::input, "", "x.png", Replace::yes}, "mine").has_value());
  CHECK(read_text(temp / "outside.txt") == "outside");
  CHECK(stores.view(kSeven, "x.png", "input").value() == "mine");
}

TEST_CASE(
    "names that differ only in case or in Unicode form are different files and are echoed byte for byte") {
  const TempFolder temp;
  const Stores stores(temp.path());
  const std::vector<std::string> names = {"A.png", "a.png", "\xc3\xa9.png", "e\xcc\x81.png",
                                          "\xe2\x80\xaegnp.png"};
  for (const std::string& name : names) {
    CHECK(
        stores.upload(kSeven, {FolderType::input, "", name, Replace::no}, "bytes of " + name).value().name ==
        name);
  }
  for (const std::string& name : names)
    CHECK(stores.view(kSeven, name, "input").value() == "bytes of " + name);
}

}  // namespace
}  // namespace atelier::files
