// SPDX-License-Identifier: MIT
#include "files/user_data.hpp"

#include <doctest/doctest.h>

#include <thread>
#include <vector>

#include "temp_folder.hpp"

namespace atelier::files {
namespace {

TEST_CASE("a workflow is saved, listed, moved and deleted as the front end does it") {
  const TempFolder temp;
  const Stores stores(temp.path());
  const UserData& data = stores->user_data();
  CHECK(fails_with(data.open(kSeven, "workflows/a.json"), Errc::not_found));
  const UserFile written = data.write(kSeven, "workflows/a.json", "{}", Replace::yes).value();
  CHECK(written.path == "workflows/a.json");
  CHECK(written.size == 2);
  CHECK(written.modified_ms > 1'600'000'000'000);
  CHECK(written.created_ms > 1'600'000'000'000);
  const auto taken = data.write(kSeven, "workflows/a.json", "[]", Replace::no);
  REQUIRE(fails_with(taken, Errc::conflict));
  CHECK(taken.error().what == "File already exists");
  REQUIRE(data.write(kSeven, "workflows/a.json", "[1]", Replace::yes).has_value());
  REQUIRE(data.write(kSeven, "workflows/sub/b.json", "b", Replace::no).has_value());
  REQUIRE(data.write(kSeven, "workflows/.index.json", "i", Replace::no).has_value());
  CHECK(data.open(kSeven, "workflows/.index.json").value().read_all(9).value() == "i");
  const auto files = data.list(kSeven, "workflows", true).value();
  REQUIRE(files.size() == 2);
  CHECK(files[0].path == "a.json");
  CHECK(files[0].size == 3);
  CHECK(files[1].path == "sub/b.json");
  CHECK(data.list(kSeven, "workflows", false).value().size() == 1);
  CHECK(
      fails_with(data.move(kSeven, "workflows/a.json", "workflows/sub/b.json", Replace::no), Errc::conflict));
  CHECK(fails_with(data.move(kSeven, "workflows/none.json", "x.json", Replace::no), Errc::not_found));
  CHECK(fails_with(data.move(kSeven, "workflows/sub", "x", Replace::no), Errc::not_found));
  CHECK(data.move(kSeven, "workflows/a.json", "new/er/c.json", Replace::no).value().path == "new/er/c.json");
  CHECK(fails_with(data.open(kSeven, "workflows/a.json"), Errc::not_found));
  CHECK(data.move(kSeven, "new/er/c.json", "workflows/sub/b.json", Replace::yes).has_value());
  CHECK(data.open(kSeven, "workflows/sub/b.json").value().read_all(9).value() == "[1]");
  CHECK(data.remove(kSeven, "workflows/sub/b.json").has_value());
  CHECK(fails_with(data.remove(kSeven, "workflows/sub/b.json"), Errc::not_found));
  CHECK(fails_with(data.remove(kSeven, "workflows/sub"), Errc::bad_request));
  CHECK(fails_with(data.list(ParticipantId{8}, "workflows", true), Errc::not_found));
}

TEST_CASE("listings refuse with ComfyUI's sentences") {
  const TempFolder temp;
  const Stores stores(temp.path());
  const UserData& data = stores->user_data();
  const auto check = [](const auto& listing, Errc code, std::string_view what) {
    REQUIRE(fails_with(listing, code));
    CHECK(listing.error().what == what);
  };
  check(data.list(kSeven, "", true), Errc::bad_request, "Directory not provided");
  check(data.list(kSeven, "..", true), Errc::forbidden, "Invalid directory");
  check(data.list(kSeven, "never_made", true), Errc::not_found, "Directory not found");
  CHECK(fails_with(data.open(kSeven, "../../secret"), Errc::forbidden));
  CHECK(fails_with(data.write(kSeven, "../escape.json", "{}", Replace::yes), Errc::forbidden));
}

TEST_CASE("the second listing has folders first and paths from the root") {
  const TempFolder temp;
  const Stores stores(temp.path());
  const UserData& data = stores->user_data();
  REQUIRE(data.write(kSeven, "workflows/a.json", "12", Replace::no).has_value());
  REQUIRE(data.write(kSeven, "workflows/z/b.json", "1", Replace::no).has_value());
  const auto entries = data.list_v2(kSeven, "workflows").value();
  REQUIRE(entries.size() == 3);
  CHECK(entries[0].is_folder);
  CHECK(entries[0].path == "workflows/z");
  CHECK(entries[1].name == "a.json");
  CHECK(entries[1].path == "workflows/a.json");
  CHECK(entries[1].size == 2);
  CHECK(entries[1].modified_seconds > 1.6e9);
  CHECK(entries[2].path == "workflows/z/b.json");
  CHECK(data.list_v2(kSeven, "").value().size() == 4);
  CHECK(split_for_listing("a/b/c") == std::vector<std::string>{"a/b/c", "a", "b", "c"});
  CHECK(split_for_listing("c") == std::vector<std::string>{"c", "c"});
}

TEST_CASE("settings are merged one level deep and survive a file that is no JSON") {
  const TempFolder temp;
  const Stores stores(temp.path());
  const SettingsStore& settings = stores->settings();
  CHECK(settings.all(kSeven).value() == "{}");
  CHECK(settings.get(kSeven, "Comfy.X").value() == "null");
  REQUIRE(settings.set(kSeven, "Comfy.X", "41").has_value());
  REQUIRE(settings.merge(kSeven, R"({"a":{"b":1},"c":[1,null]})").has_value());
  REQUIRE(settings.merge(kSeven, R"({"a":{"d":2}})").has_value());
  CHECK(settings.all(kSeven).value() == R"({"Comfy.X":41,"a":{"d":2},"c":[1,null]})");
  CHECK(settings.get(kSeven, "c").value() == "[1,null]");
  CHECK(fails_with(settings.merge(kSeven, "[1]"), Errc::bad_request));
  CHECK(fails_with(settings.merge(kSeven, "{nope"), Errc::bad_request));
  CHECK(fails_with(settings.set(kSeven, "", "1"), Errc::bad_request));
  CHECK(fails_with(settings.set(kSeven, "\xff", "1"), Errc::bad_request));
  CHECK(settings.get(kSeven, "Comfy.X").value() == "41");
  write_text(temp / "data/participants/7/userdata/comfy.settings.json", "{\"a\":");
  CHECK(settings.all(kSeven).value() == "{}");
  REQUIRE(settings.set(kSeven, "b", "true").has_value());
  CHECK(settings.all(kSeven).value() == R"({"b":true})");
}

TEST_CASE("no value that is accepted can make the settings unreadable") {
  const TempFolder temp;
  const Stores stores(temp.path());
  const SettingsStore& settings = stores->settings();
  REQUIRE(settings.set(kSeven, "kept", "1").has_value());
  std::vector<std::string> values = {"1e999", "-1e400", "\"\\u0000\"", "18446744073709551615", "1e-400"};
  for (std::size_t depth = 60; depth < 70; ++depth) {
    values.push_back(std::string(depth, '[') + std::string(depth, ']'));
  }
  for (const std::string& value : values) {
    CAPTURE(value);
    static_cast<void>(settings.set(kSeven, "odd", value));
    CHECK(settings.get(kSeven, "kept").value() == "1");
    static_cast<void>(settings.merge(kSeven, "{\"odd\":" + value + "}"));
    CHECK(settings.get(kSeven, "kept").value() == "1");
  }
  CHECK(fails_with(settings.set(kSeven, "big", "\"" + std::string(5 << 20, 'x') + "\""), Errc::too_large));
}

TEST_CASE("settings that are written at the same time are all kept") {
  const TempFolder temp;
  const Stores stores(temp.path());
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 10; ++k) {
        static_cast<void>(stores->settings().set(kSeven, std::to_string(i) + "." + std::to_string(k), "1"));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < 4; ++i) {
    for (int k = 0; k < 10; ++k) {
      CHECK(stores->settings().get(kSeven, std::to_string(i) + "." + std::to_string(k)).value() == "1");
    }
  }
}

}  // namespace
}  // namespace atelier::files
