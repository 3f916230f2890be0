// SPDX-License-Identifier: MIT
// Lists of model files, also those of an engine or an agent that lies.
#include "comfy/model_lists.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <limits>
#include <string>

#include "comfy/files.hpp"

namespace atelier::comfy {

TEST_CASE("lists of models are read back as they were printed") {
  ModelLists lists;
  CHECK(lists.add("ipadapter"));
  CHECK(lists.add("loras", "sub/a.safetensors", {6'500'000'000, 1764512345.6789012, 1764512345.5}));
  CHECK(lists.add("loras", "\u00e4 \"quoted\".pt", {}));
  CHECK_FALSE(lists.add("loras", "sub/a.safetensors", {1, 1, 1}));  // the first counts
  const auto again = ModelLists::parse(lists.print());
  REQUIRE(again);
  CHECK(*again == lists);
  CHECK(again->print() == lists.print());
  CHECK(again->find("ipadapter")->empty());
  CHECK(again->find("loras")->at("sub/a.safetensors").bytes == 6'500'000'000);
  CHECK(again->find("vae") == nullptr);
}

TEST_CASE("a list of models names no folder and no file that leads elsewhere") {
  for (const std::string_view key : kModelFolders) CHECK(is_told_folder(key) == is_library_folder(key));
  for (const std::string_view key : {"ipadapter", "unet_gguf", "LLM", "sam2.1-x"}) CHECK(is_told_folder(key));
  for (const std::string_view key : {"", ".", "..", ".git", "a/b", "a b", "unet", "clip", "\u00e4", "a\n"})
    CHECK_FALSE(is_told_folder(key));
  CHECK_FALSE(is_told_folder(std::string(65, 'a')));
  for (const std::string_view name : {"a.pt", "sub/a.pt", "a..b.pt", ".hidden.pt", "\u00e4/\u00f6 (1).pt"})
    CHECK(is_told_name(name));
  for (const std::string_view name :
       {"", "/a.pt", "a.pt/", "a//b.pt", "../a.pt", "sub/../a.pt", "./a.pt", "..", "a\n.pt", "a\x7f.pt"})
    CHECK_FALSE(is_told_name(name));
  CHECK_FALSE(is_told_name(std::string_view("a\0b", 3)));
  CHECK_FALSE(is_told_name(std::string(1'025, 'a')));
}

TEST_CASE("what is no list of models is refused, what is no fact counts as not known") {
  for (const std::string_view text : {"", "[]", "7", "null", R"({"loras":[]})", R"({"loras":{"a.pt":5}})",
                                      R"({"loras":{"a.pt":{"size":[[[1]]]}}})"})
    CHECK_FALSE(ModelLists::parse(text));
  const auto lists = ModelLists::parse(
      R"({"loras":{"a.pt":{"size":-1,"modified":"now","created":1e300},"../b.pt":{"size":1},)"
      R"("c.pt":{"size":1e300,"modified":-5,"more":[1]},"d.pt":{"created":1}},"../up":{"a.pt":{}},"custom_nodes":{}})");
  REQUIRE(lists);
  ModelLists expected;
  for (const char* name : {"a.pt", "c.pt"}) expected.add("loras", name, {});
  expected.add("loras", "d.pt", {.has_details = false});
  CHECK(*lists == expected);
  ModelLists odd;
  odd.add("loras", "a.pt", {UINT64_MAX, std::numeric_limits<double>::quiet_NaN(), -1});
  CHECK(odd.find("loras")->at("a.pt") == ModelFile{});
}

TEST_CASE("a file is listed by the route that lists it at the engine") {
  ModelLists details, names;
  details.add("loras", "both.pt", {5, 1, 2});
  details.add("loras", "only here.pt", {6, 1, 2});
  names.add("loras", "both.pt", {});
  names.add("unet_gguf", "flux.gguf", {});
  names.add("vae");
  const ModelLists both = ModelLists::combine(details, names);
  CHECK(both.print() == R"({"loras":{"both.pt":{"size":5,"modified":1.0,"created":2.0},)"
                        R"("only here.pt":{"size":6,"modified":1.0,"created":2.0,"named":false}},)"
                        R"("unet_gguf":{"flux.gguf":{}},"vae":{}})");
  CHECK(*ModelLists::parse(both.print()) == both);
}

TEST_CASE("lists of models end where their limits are") {
  ModelLists folders;
  for (std::size_t i = 0; i <= ModelLists::kFoldersMax; ++i)
    CHECK(folders.add(fmt::format("folder{}", i)) == (i < ModelLists::kFoldersMax));
  CHECK(folders.add("folder0"));
  ModelLists files;
  for (std::size_t i = 0; i <= ModelLists::kFilesMax; ++i)
    CHECK(files.add(i % 2 == 0 ? "loras" : "vae", fmt::format("{}.pt", i), {}) ==
          (i < ModelLists::kFilesMax));
  ModelLists names;  // the longest, and of letters that need two in JSON
  std::size_t taken = 0;
  while (names.add("loras", fmt::format("{:05}", taken) + std::string(1'019, '"'),
                   {(std::uint64_t{1} << 53) - 1, 1764512345.6789012, 1764512345.6789012})) {
    REQUIRE(++taken < ModelLists::kFilesMax);
  }
  CHECK(taken == ModelLists::kNameBytesMax / 1'024);
  const std::string text = names.print();
  CHECK(text.size() < ModelLists::kPrintedBytesMax);
  CHECK(*ModelLists::parse(text) == names);
}

}  // namespace atelier::comfy
