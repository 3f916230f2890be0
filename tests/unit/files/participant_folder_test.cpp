// SPDX-License-Identifier: MIT
#include "files/participant_folder.hpp"
#include "files/content_type.hpp"

#include <doctest/doctest.h>

#include <set>
#include <thread>
#include <vector>

#include "temp_folder.hpp"

namespace atelier::files {
namespace {

StoreRequest input(const std::string& name, Replace overwrite = Replace::no) {
  return {FolderType::input, "", name, overwrite};
}

Result<ViewedFile> view(const Stores& stores, const ViewRequest& request) {
  return stores->participants().open_for_view(kSeven, request);
}

TEST_CASE("the same name with the same bytes keeps the name, with other bytes it gets a number") {
  const TempFolder temp;
  const Stores stores(temp.path());
  const auto upload = [&](const char* name, const char* bytes) {
    return stores.upload(kSeven, input(name), bytes).value();
  };
  CHECK(upload("cat.png", "one").name == "cat.png");
  CHECK(upload("cat.png", "two").name == "cat (1).png");
  CHECK(upload("cat.png", "three").name == "cat (2).png");
  const StoredFile repeated = upload("cat.png", "two");
  CHECK(repeated.name == "cat (1).png");
  CHECK_FALSE(repeated.written);
  CHECK(repeated.content.digest == sha256("two"));
  CHECK_FALSE(upload("cat.png", "one").written);
  CHECK(upload("a.tar.gz", "one").name == "a.tar.gz");
  CHECK(upload("a.tar.gz", "two").name == "a.tar (1).gz");
  CHECK(upload("plain", "one").written);
  CHECK(upload("plain", "two").name == "plain (1)");
  CHECK(stores.view(kSeven, "cat (2).png", "input").value() == "three");
  CHECK(fails_with(stores.view(ParticipantId{8}, "cat.png", "input"), Errc::not_found));
}

TEST_CASE("overwriting gives readers the old file or the new one, each whole") {
  const TempFolder temp;
  const Stores stores(temp.path());
  REQUIRE(stores.upload(kSeven, input("cat.png"), "old").has_value());
  ViewRequest request;
  request.filename = "cat.png [input]";
  const ViewedFile reader = view(stores, request).value();
  const StoredFile stored = stores.upload(kSeven, input("cat.png", Replace::yes), "the new one").value();
  CHECK(stored.name == "cat.png");
  CHECK(stored.written);
  CHECK(reader.opened.file.read_all(100).value() == "old");
  CHECK(stores.view(kSeven, "cat.png", "input").value() == "the new one");
}

TEST_CASE("uploads go to the three folders and to sub-folders that are made") {
  const TempFolder temp;
  const Stores stores(temp.path());
  const StoredFile stored =
      stores.upload(kSeven, {FolderType::temp, "deep/er/", "x.png", Replace::no}, "x").value();
  CHECK(stored.subfolder == "deep/er");
  CHECK(read_text(temp / "data/participants/7/temp/deep/er/x.png") == "x");
  CHECK(fails_with(stores.upload(kSeven, {FolderType::input, "../../out", "x.png", Replace::no}, "x"),
                   Errc::bad_request));
  CHECK(fails_with(stores.upload(kSeven, {FolderType::input, "/etc", "x.png", Replace::no}, "x"),
                   Errc::bad_request));
  CHECK(fails_with(stores.upload(kSeven, input(""), "x"), Errc::bad_request));
  CHECK(fails_with(stores.upload(kSeven, input(std::string(300, 'x')), "x"), Errc::bad_request));
  CHECK(fails_with(stores.upload(kSeven, {FolderType::temp, "", "deep", Replace::yes}, "x"), Errc::conflict));
  CHECK(stores.upload(kSeven, {FolderType::temp, "", "deep", Replace::no}, "x").value().name == "deep (1)");
}

TEST_CASE("many uploads of one name at once lose no file") {
  const TempFolder temp;
  const Stores stores(temp.path());
  constexpr int kThreads = 8;
  for (int round = 0; round < 10; ++round) {
    const std::string name = "r" + std::to_string(round) + ".png";
    std::vector<std::string> names(kThreads);
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        auto stored = stores.upload(kSeven, input(name), "bytes " + std::to_string(i / 2));  // two each alike
        if (stored) names[static_cast<std::size_t>(i)] = stored->name;
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(std::set<std::string>(names.begin(), names.end()).size() == kThreads / 2);
    for (int i = 0; i < kThreads; ++i) {
      const std::string& stored = names[static_cast<std::size_t>(i)];
      CHECK(stores.view(kSeven, stored, "input").value_or("") == "bytes " + std::to_string(i / 2));
    }
  }
}

TEST_CASE("view checks in the order of ComfyUI") {
  const TempFolder temp;
  const Stores stores(temp.path());
  REQUIRE(stores.upload(kSeven, {FolderType::output, "sub", "x.png", Replace::no}, "out").has_value());
  REQUIRE(stores.upload(kSeven, {FolderType::input, "", "x.png", Replace::no}, "in").has_value());
  const auto code = [&](std::optional<std::string> filename, std::optional<std::string> type,
                        std::optional<std::string> subfolder) {
    ViewRequest request;
    request.filename = std::move(filename);
    request.type = std::move(type);
    request.subfolder = std::move(subfolder);
    auto viewed = view(stores, request);
    return viewed ? "ok" : std::string(to_string(viewed.error().code));
  };
  CHECK(code("x.png", "output", "sub") == "ok");
  CHECK(code("x.png", std::nullopt, "sub") == "ok");
  CHECK(code("ignored/x.png", "output", "sub") == "ok");
  CHECK(code("x.png [input]", "output", std::nullopt) == "ok");
  CHECK(code("x.png [input]", "nonsense", std::nullopt) == "ok");
  CHECK(code(std::nullopt, "nonsense", "../..") == "not_found");
  CHECK(code("", "nonsense", "../..") == "bad_request");
  CHECK(code("[output]", std::nullopt, std::nullopt) == "bad_request");
  CHECK(code("../x.png", "output", std::nullopt) == "bad_request");
  CHECK(code("a..b.png", "output", std::nullopt) == "bad_request");
  CHECK(code("/etc/passwd", "output", std::nullopt) == "bad_request");
  CHECK(code("x.png", "nonsense", "../..") == "bad_request");
  CHECK(code("x.png", "", std::nullopt) == "bad_request");
  CHECK(code("none.png", "output", "../..") == "forbidden");
  CHECK(code("none.png", "output", "/etc") == "forbidden");
  CHECK(code("none.png", "output", std::nullopt) == "not_found");
  CHECK(code("sub", "output", std::nullopt) == "not_found");
  CHECK(code("x.png/", "output", "sub") == "not_found");
  CHECK(code("x\n.png", "output", std::nullopt) == "bad_request");
}

TEST_CASE("annotated names choose the folder and cut one character before the bracket") {
  CHECK(parse_annotated_name("x.png [output]").path == "x.png");
  CHECK(parse_annotated_name("x.png [output]").type == FolderType::output);
  CHECK(parse_annotated_name("x.png[temp]").path == "x.pn");
  CHECK(parse_annotated_name("x.png \xc3\xa9[temp]").path == "x.png ");
  CHECK(parse_annotated_name("[input]").path.empty());
  CHECK_FALSE(parse_annotated_name("x.png [else]").type.has_value());
  const TempFolder temp;
  const Stores stores(temp.path());
  REQUIRE(stores.upload(kSeven, {FolderType::output, "sub", "x.png", Replace::no}, "out").has_value());
  const ViewedFile opened = stores->participants().open_annotated(kSeven, "sub/x.png [output]").value();
  CHECK(opened.type == FolderType::output);
  CHECK(opened.subfolder == "sub");
  CHECK(opened.name == "x.png");
  CHECK(fails_with(stores->participants().open_annotated(kSeven, "sub/x.png"), Errc::not_found));
  CHECK(fails_with(stores->participants().open_annotated(kSeven, "../x.png"), Errc::forbidden));
}

TEST_CASE("files are listed sorted, without dotfiles, down to the depth that is asked for") {
  const TempFolder temp;
  const Stores stores(temp.path());
  for (const char* name : {"b.png", "B.JPG", "a.webp", "text.txt", ".hidden.png"}) {
    REQUIRE(stores.upload(kSeven, input(name), name).has_value());
  }
  REQUIRE(stores.upload(kSeven, {FolderType::input, "3d", "sub.glb", Replace::no}, "glb").has_value());
  const auto names = [&](std::size_t depth) {
    std::string joined;
    const auto list = stores->participants().list_stamped(kSeven, FolderType::input, depth).value();
    for (const ListedFile& file : list.files) joined += file.path + " ";
    return joined;
  };
  CHECK(names(1) == "B.JPG a.webp b.png text.txt ");
  CHECK(names(2) == "3d/sub.glb B.JPG a.webp b.png text.txt ");
}

TEST_CASE("the files in a folder are listed with it in front, as far down and as many as asked for") {
  const TempFolder temp;
  const Stores stores(temp.path());
  for (const char* folder : {"", "faces", "faces/10_cat", "faces/10_cat/deep"}) {
    for (const char* name : {"b.png", "a.txt", ".hidden.png"})
      REQUIRE(stores.upload(kSeven, {FolderType::input, folder, name, Replace::no}, "x").has_value());
  }
  const auto names = [&](std::string_view folder, std::size_t depth, std::size_t count) {
    return stores->participants().files_in(kSeven, FolderType::input, folder, depth, count);
  };
  using Names = std::vector<std::string>;
  CHECK(names("faces", 1, 9).value() == Names{"faces/a.txt", "faces/b.png"});
  CHECK(names("faces", 2, 9).value() ==
        Names{"faces/10_cat/a.txt", "faces/10_cat/b.png", "faces/a.txt", "faces/b.png"});
  CHECK(fails_with(names("faces", 2, 4), Errc::too_large));
  CHECK(fails_with(names("other", 2, 9), Errc::not_found));
  CHECK(fails_with(names("../8", 2, 9), Errc::forbidden));
}

TEST_CASE("a name's media type is the one that Python gives") {
  CHECK(content_type("x.PNG") == "image/png");
  CHECK(content_type("x.m4v") == "video/mp4");
  CHECK(content_type("x.3gp") == "audio/3gpp");
  CHECK(content_type("a.b/x.safetensors") == "application/safetensors");
  for (const char* name : {"x.unknown", "png", "x.gz", "x.ply", "x."}) {
    CHECK(content_type(name) == "application/octet-stream");
  }
}

TEST_CASE("the newest file is listed first") {
  const TempFolder temp;
  const Stores stores(temp.path());
  const auto now = std::filesystem::file_time_type::clock::now();
  for (int i = 0; i < 3; ++i) {
    const std::string name = std::to_string(i) + ".png";
    REQUIRE(stores.upload(kSeven, input(name), name).has_value());
    std::filesystem::last_write_time(temp / ("data/participants/7/input/" + name),
                                     now + std::chrono::seconds(i == 1 ? 9 : i));
  }
  const auto files = stores->participants().list_newest_first(kSeven, FolderType::input).value();
  REQUIRE(files.size() == 3);
  CHECK(files[0].path == "1.png");
  CHECK(files[1].path == "2.png");
  CHECK(files[2].path == "0.png");
}

TEST_CASE("measuring counts the bytes and files of all four trees") {
  const TempFolder temp;
  const Stores stores(temp.path());
  REQUIRE(stores.upload(kSeven, input("a.png"), "12345").has_value());
  REQUIRE(stores->user_data().write(kSeven, "workflows/.index.json", "123", Replace::yes).has_value());
  const FolderUsage usage = stores->participants().measure(kSeven).value();
  CHECK(usage.bytes == 8);
  CHECK(usage.files == 2);
}

}  // namespace
}  // namespace atelier::files
