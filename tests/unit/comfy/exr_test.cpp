// SPDX-License-Identifier: MIT
// The prompt inside of EXR files, which are made here as OpenEXR lays them out.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <functional>
#include <utility>
#include <vector>

#include "comfy/metadata/restore.hpp"

namespace atelier::comfy {
namespace {

using Text = std::string;

Text number(std::uint64_t value) { return write_little(value, 4); }

Text attribute(const Text& name, const Text& type, const Text& value) {
  return name + '\0' + type + '\0' + number(value.size()) + value;
}

/// Of 4 x 40 pixels.
Text header(const Text& prompt, char compression = 3, const Text& more = "") {
  return attribute("compression", "compression", Text(1, compression)) +
         attribute("dataWindow", "box2i",
                   number(0) + number(static_cast<std::uint32_t>(-8)) + number(3) + number(31)) +
         attribute("prompt", "string", prompt) + more + '\0';
}

Text start(std::uint64_t flags = 0) { return "\x76\x2f\x31\x01" + number(2 | flags); }

/// A table of as many chunks, of 10 bytes each, the last one first in the file, and these.
Text chunks(std::size_t head, std::size_t count) {
  Text table, data;
  for (std::size_t i = 0; i < count; ++i) {
    table += write_little(head + count * 8 + (count - 1 - i) * 10, 8);
    data += fmt::format("chunk {:04}", count - 1 - i);
  }
  return table + data;
}

Text whole(const Text& head, std::size_t count) { return head + chunks(head.size(), count); }

Result<Text> with_prompt(const Text& file, const Text& prompt) {
  const TextSource source(file);
  ATELIER_TRY(Edits edits, prompt_edits(source, [&](std::string_view name, std::string_view stored) {
                return name == "prompt" ? prompt : Text(stored);
              }));
  EditedReader reader(source, std::move(edits));
  Text out;
  for (;;) {
    ATELIER_TRY(const Text more, reader.next(7));
    if (more.empty()) return out;
    out += more;
  }
}

/// The same file for another prompt, of which only the header and what it moves differ.
void check(const std::function<Text(const Text&)>& file) {
  for (const char* prompt : {"{}", "{\"1\": {\"class_type\": \"SaveEXR\"}}", "{\"1\": {}}"})
    CHECK(*with_prompt(file("{\"1\": {}}"), prompt) == file(prompt));
}

}  // namespace

TEST_CASE("the prompt of an EXR is replaced, and its chunks are found where they then begin") {
  const std::vector<std::pair<int, int>> kinds{{0, 1}, {2, 1}, {3, 16}, {4, 32}, {9, 256}};
  for (const auto& [compression, lines] : kinds) {
    CAPTURE(compression);
    check([&](const Text& prompt) {
      const Text head = start() + header(prompt, static_cast<char>(compression));
      return whole(head, static_cast<std::size_t>((40 + lines - 1) / lines));
    });
  }
}

TEST_CASE("tiles, parts, and chunks whose number is said are found, too") {
  check([](const Text& prompt) {
    const Text tiles = attribute("tiles", "tiledesc", number(3) + number(16) + '\0');
    return whole(start(0x200) + header(prompt, 3, tiles), 2 * 3);
  });
  check([](const Text& prompt) {
    const Text count = attribute("chunkCount", "int", number(5)) + attribute("workflow", "string", "{}");
    return whole(start() + header(prompt, 3, count), 5);
  });
  check([](const Text& prompt) {
    const Text first = header(prompt, 3, attribute("chunkCount", "int", number(2)));
    return whole(start(0x1000) + first + header(prompt, 3, attribute("chunkCount", "int", number(1))) + '\0',
                 3);
  });
}

TEST_CASE("an EXR whose chunks need not be moved may have them in a way that is not known") {
  const Text several = attribute("tiles", "tiledesc", number(3) + number(16) + '\1');
  const Text no_size = attribute("prompt", "string", "{\"1\": {}}") + '\0';
  for (const Text& head :
       {start(0x200) + header("{\"1\": {}}", 3, several), start() + no_size,
        start() + header("{\"1\": {}}", 10), start(0x1000) + header("{\"1\": {}}") + '\0'}) {
    const Text file = head + "chunks";
    const auto same = with_prompt(file, "{\"1\": {}}"), as_long = with_prompt(file, "{\"2\": {}}");
    REQUIRE(same);
    CHECK(*same == file);
    REQUIRE(as_long);
    CHECK(as_long->size() == file.size());
    CHECK(*as_long != file);
    CHECK_FALSE(with_prompt(file, "{}"));
  }
}

TEST_CASE("a chunk that was not written stays unwritten") {
  const Text head = start() + header("{\"1\": {}}", 4);
  const Text file = head + Text(8, '\0') + write_little(head.size() + 16, 8) + "pixels";
  const auto longer = with_prompt(file, "{\"1\": {}, \"2\": {}}");
  REQUIRE(longer.has_value());
  const Text new_head = start() + header("{\"1\": {}, \"2\": {}}", 4);
  CHECK(*longer == new_head + Text(8, '\0') + write_little(new_head.size() + 16, 8) + "pixels");
}

TEST_CASE("an EXR that is cut off or made up is an error, and never read beyond its end") {
  const Text file = whole(start() + header("{\"1\": {}}"), 3);
  for (std::size_t bytes = 4; bytes + 30 < file.size(); ++bytes) {
    CAPTURE(bytes);
    CHECK_FALSE(with_prompt(file.substr(0, bytes), "{}").has_value());
  }
  CHECK(with_prompt(file.substr(0, file.size() - 1), "{}").has_value());  // its pixels are not read
  const Text head = start() + header("{\"1\": {}}", 4);
  for (const std::uint64_t begin : {std::uint64_t{1}, std::uint64_t{head.size()}, std::uint64_t{1} << 40})
    CHECK_FALSE(with_prompt(head + write_little(begin, 8) + write_little(head.size() + 16, 8) + "x", "{}"));
  CHECK_FALSE(with_prompt(
      start(0x200) + header("{\"1\": {}}", 3, attribute("tiles", "tiledesc", Text(9, '\0'))), "{}"));
  CHECK_FALSE(with_prompt(start() + header("{\"1\": {}}", 77), "{}"));
  CHECK_FALSE(with_prompt(
      start() + header("{\"1\": {}}", 3, attribute("chunkCount", "int", number(0xFFFFFFFF))), "{}"));
  CHECK_FALSE(with_prompt(start(0x10000) + header("{\"1\": {}}"), "{}"));
  CHECK(*with_prompt(start() + header("{}"), "{}") == start() + header("{}"));  // nothing to change
}

TEST_CASE("no change of a byte in an EXR leads to edits outside of it") {
  const Text tiles = attribute("tiles", "tiledesc", number(3) + number(16) + '\0');
  const Text file = whole(start(0x200) + header("{\"1\": {}}", 3, tiles), 6);
  for (std::size_t at = 4; at < file.size(); ++at) {
    for (const char value : {'\0', '\1', '\x7F', '\x80', '\xFF'}) {
      Text changed = file;
      changed[at] = value;
      const auto edits = prompt_edits(TextSource(changed), [](auto, auto) { return Text("{}"); });
      if (!edits) continue;
      std::uint64_t end = 0;
      for (const Edit& edit : *edits) {
        REQUIRE(edit.offset >= end);
        REQUIRE(edit.removed <= changed.size() - edit.offset);
        end = edit.offset + edit.removed;
      }
    }
  }
}

}  // namespace atelier::comfy
