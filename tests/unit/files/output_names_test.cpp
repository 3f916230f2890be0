// SPDX-License-Identifier: MIT
#include "files/output_names.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <regex>
#include <string_view>
#include <vector>

#include "files/fault_points.hpp"
#include "files/output_place.hpp"
#include "temp_folder.hpp"

namespace atelier::files {
namespace {

OutputLink output(const std::string& name, std::string_view content, const std::string& folder = "") {
  return {FolderType::output, folder, name, sha256(content)};
}

Result<std::uint64_t> link(const Stores& stores, const OutputLink& one) {
  return stores->output_names().link(kSeven, {&one, 1});
}

TEST_CASE("output names are split as the regular expression of the design says") {
  const std::regex expression(R"(^(.*)_(\d{5,9})(\D*(?:\.[^.]*)?)$)");
  const std::vector<std::string> pieces = {"_", "00001", "1234", "123456789", "1234567890",
                                           ".", "png",   "mp4",  "a",         "x_y"};
  std::vector<std::string> names = {"",
                                    "_00001",
                                    "ComfyUI_00001_.png",
                                    "a_00001_00002_.png",
                                    "a_00001.mp4",
                                    "a_00001_.7z",
                                    "a_00001_b2.png",
                                    "a_00001-audio.mp4",
                                    "a_00001_.tar.gz",
                                    "a_1.5_00001_"};
  for (const std::string& a : pieces) {
    for (const std::string& b : pieces) {
      for (const std::string& c : pieces) {
        for (const std::string& d : pieces) names.push_back("s" + a + b + c + d);
      }
    }
  }
  int matched = 0;
  for (const std::string& name : names) {
    CAPTURE(name);
    std::smatch match;
    const bool fits = std::regex_match(name, match, expression);
    const auto split = split_output_name(name);
    REQUIRE(split.has_value() == fits);
    if (!fits) continue;
    ++matched;
    CHECK(split->stem == match[1].str());
    CHECK(split->number == static_cast<std::uint32_t>(std::stoul(match[2].str())));
    CHECK(split->rest == match[3].str());
  }
  CHECK(matched > 100);
  CHECK(join_output_name("a", 2, "_.png") == "a_00002_.png");
  CHECK(join_output_name("a", 1234567, "") == "a_1234567");
}

TEST_CASE("the highest number is of the stem alone and of its own folder") {
  const TempFolder temp;
  const Stores stores(temp.path());
  const std::string folder = temp / "data/participants/7/output/";
  for (const char* name : {"a_00002_.png", "a_00010_.webp", "a_b_00099_.png", "ab_00050_.png", "a_9999_.png",
                           "sub/a_00500_.png"}) {
    write_text(folder + name, "x");
  }
  const auto highest = [&](const char* in, const char* stem) {
    return stores->output_names().highest_number(kSeven, FolderType::output, in, stem).value();
  };
  CHECK(highest("", "a") == 10);
  CHECK(highest("", "a_b") == 99);
  CHECK(highest("sub", "a") == 500);
  CHECK(highest("", "none") == 0);
  CHECK(highest("not_there", "a") == 0);
  CHECK(fails_with(stores->output_names().highest_number(kSeven, FolderType::output, "../..", "a"),
                   Errc::forbidden));
}

TEST_CASE("for a name without a number the folder tells whether it is taken and the last copy") {
  const TempFolder temp;
  const Stores stores(temp.path());
  const std::string folder = temp / "data/participants/7/output/";
  for (const char* name : {"a.mp4", "a (3).mp4", "a (x).mp4", "a ().mp4", "b (9).mp4"})
    write_text(folder + name, "x");
  const auto seen = [&](const char* name) {
    return stores->output_names().name_seen(kSeven, FolderType::output, "", name).value();
  };
  CHECK(seen("a.mp4").taken);
  CHECK(seen("a.mp4").highest_copy == 3);
  CHECK_FALSE(seen("b.mp4").taken);
  CHECK(seen("b.mp4").highest_copy == 9);
  CHECK_FALSE(seen("c.mp4").taken);
}

TEST_CASE("a committed output gets its name once, and repeating it changes nothing") {
  const TempFolder temp;
  const Stores stores(temp.path());
  REQUIRE(stores->blobs().put("picture").has_value());
  const OutputLink name = output("a_00001_.png", "picture", "sub/folder");
  REQUIRE(link(stores, name).value() == 1);
  REQUIRE(link(stores, name).value() == 0);  // it was there
  CHECK(read_text(temp / "data/participants/7/output/sub/folder/a_00001_.png") == "picture");
  const auto status = std::filesystem::status(temp / "data/participants/7/output/sub/folder/a_00001_.png");
  CHECK((static_cast<unsigned>(status.permissions()) & 0777) == 0444);
  CHECK(stores->output_names().highest_number(kSeven, FolderType::output, "sub/folder", "a").value() == 1);
}

TEST_CASE("linking never replaces what stands under the name") {
  const TempFolder temp;
  const Stores stores(temp.path());
  REQUIRE(stores->blobs().put("picture").has_value());
  write_text(temp / "data/participants/7/output/a_00001_.png", "laid here by hand");
  write_text(temp / "data/participants/7/output/same.png", "picture");
  std::filesystem::create_directories(temp / "data/participants/7/output/folder.png");
  CHECK(fails_with(link(stores, output("a_00001_.png", "picture")), Errc::conflict));
  CHECK(fails_with(link(stores, output("folder.png", "picture")), Errc::conflict));
  CHECK(link(stores, output("same.png", "picture")).has_value());
  CHECK(read_text(temp / "data/participants/7/output/a_00001_.png") == "laid here by hand");
  CHECK(fails_with(link(stores, output("b.png", "no such content")), Errc::not_found));
}

TEST_CASE("an output whose name begins with a letter and a colon is a file like any other") {
  const TempFolder temp;
  const Stores stores(temp.path());
  REQUIRE(stores->blobs().put("picture").has_value());
  for (const std::string folder : {"", "A: folder"}) {
    const OutputLink name = output("a:b_00001_.png", "picture", folder);
    CHECK(check_output_place(stores->data(), kSeven, FolderType::output, folder, name.name).has_value());
    REQUIRE(link(stores, name).has_value());
    CHECK(link(stores, name).has_value());
    CHECK(fails_with(link(stores, output(name.name, "another", folder)), Errc::conflict));
    CHECK(stores->output_names().highest_number(kSeven, FolderType::output, folder, "a:b").value() == 1);
    ViewRequest request;
    request.filename = name.name;
    request.subfolder = folder;
    CHECK(stores->participants().open_for_view(kSeven, request).has_value());
    CHECK(stores->participants().remove(kSeven, FolderType::output, folder, name.name).has_value());
  }
}

TEST_CASE("a name that can never be given is told before, and is not called taken") {
  const TempFolder temp;
  const Stores stores(temp.path());
  REQUIRE(stores->blobs().put("picture").has_value());
  write_text(temp / "data/participants/7/output/sub", "a file");
  write_text(temp / "data/participants/7/output/folder/a.png", "taken");
  const auto check = [&](const char* folder, const std::string& name) {
    return check_output_place(stores->data(), kSeven, FolderType::output, folder, name);
  };
  CHECK(fails_with(check("sub", "x.png"), Errc::conflict));
  CHECK(fails_with(check("sub/deeper", "x.png"), Errc::conflict));
  CHECK(check("sub", "x.png").error().what == "a file has the name \"sub\", where a folder is needed");
  CHECK(fails_with(check("C:", "x.png"), Errc::bad_request));
  CHECK(fails_with(check("..", "x.png"), Errc::forbidden));
  CHECK(fails_with(check("", std::string(300, 'n')), Errc::bad_request));
  for (const char* folder : {"", "folder", "folder/new", "new/new"})
    CHECK(check(folder, "a.png").has_value());
  CHECK_FALSE(std::filesystem::exists(temp / "data/participants/7/output/new"));
  // Another name in the same folder would not help.
  CHECK(fails_with(link(stores, output("x.png", "picture", "sub")), Errc::bad_request));
  CHECK(fails_with(link(stores, output("C:", "picture")), Errc::bad_request));
  CHECK(read_text(temp / "data/participants/7/output/sub") == "a file");
}

TEST_CASE("where neither blocks nor links can be shared the output is copied") {
  const TempFolder temp;
  const Stores stores(temp.path());
  REQUIRE(stores->blobs().put("picture").has_value());
  set_fault_hook([](const char* point) { return std::string_view(point) == "link" ? EXDEV : 0; });
  const auto linked = link(stores, output("a_00001_.png", "picture"));
  set_fault_hook(nullptr);
  REQUIRE(linked.has_value());
  const std::string path = temp / "data/participants/7/output/a_00001_.png";
  CHECK(read_text(path) == "picture");
  CHECK(std::filesystem::hard_link_count(path) == 1);
  CHECK(link(stores, output("a_00001_.png", "picture")).has_value());
}

TEST_CASE("a removed output is gone and its content stays for others") {
  const TempFolder temp;
  const Stores stores(temp.path());
  REQUIRE(stores->blobs().put("picture").has_value());
  REQUIRE(link(stores, output("a_00001_.png", "picture")).has_value());
  REQUIRE(stores->participants().remove(kSeven, FolderType::output, "", "a_00001_.png").has_value());
  CHECK(fails_with(stores->participants().remove(kSeven, FolderType::output, "", "a_00001_.png"),
                   Errc::not_found));
  CHECK(stores->blobs().open(sha256("picture")).has_value());
}

}  // namespace
}  // namespace atelier::files
