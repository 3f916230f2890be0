// SPDX-License-Identifier: MIT
// The prompt inside of files. metadata/posted.* were written by ComfyUI 0.21.0 for a prompt as an agent posts
// it (posted.json), metadata/pyav* by PyAV 18.1 with the same texts (pyav-comment.* in a comment, as
// VideoHelperSuite has it); own.json is the participant's prompt.
#include "comfy/metadata/restore.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <fstream>
#include <random>
#include <sstream>

#include "base/hash.hpp"
#include "comfy/metadata/json_members.hpp"

namespace atelier::comfy {
namespace {

struct Sample {
  const char* name;
  const char* digest;  // of the restored file
  bool fixed = false;  // it has no room for a longer text
};

// Of posted.png to posted.glb these are the files that the same ComfyUI wrote for own.json itself. The others
// differ by padding from such files; Pillow 13 and PyAV 18.1 found the same prompt, workflow and frames in
// them.
constexpr Sample kSamples[] = {
    {"posted.png", "5d98d43518cd08fa200ad3aaec71a5c817fa0fca501548d7664ce51c355d5370"},
    {"posted-animated.png", "bdd27d1cdf43f29fa65cde268a79649b6d2c358f9473fdad5dcd60a3e8a87b3e"},
    {"posted.mp4", "baaf0d784421ff9466395fca1753649b2d7b211ad1dc06c6bb60c8d748ccd7a7"},
    {"posted.flac", "c65c6a15af07051dbf29f4b6a5580b516d14b435c4af20d7cb2fcf828b24cdc8"},
    {"posted.mp3", "a30d9b9de6cc8ded791fe45fb42edd25fb64c99286ab3952d0eb056ca5ae8016"},
    {"posted.svg", "c8ee5f9b92c335af42699aad927c500bbe6d412d2a2a6955f17b62893ceb3b05"},
    {"posted.latent", "d589abc7114a2f298f81a76ae1e47421a4c655a2514547f21df05a88d8322e3b"},
    {"posted.glb", "cce9398c4a6c8819630ae48aae8a912244cb1d56b20af09755125644a3f1b3ca"},
    {"posted.webp", "2f75cdcc8a066e18007b07191d372c1cb7d6da8c16526c97f76a911b662e1556"},
    {"posted.webm", "f6c50ddc7a4cee20090704c1883fcc1d456a98da7fa2f0d2f45d882be425d7d1", true},
    {"posted.opus", "7290afc317ce65a82b146d1802af20b4737c464e6d95fff27d48ddd56d3497b5", true},
    {"pyav.mkv", "a1369fe70f74100943efb6068fbbb84abde66fceac578b552e0b40b2dd9dcc72", true},
    {"pyav-moov-first.mp4", "44c3168cd5c06361d743c8e7dcd367f3a92dfca12c4c9447d472dc8706f09ff3", true},
    {"pyav-comment.mp4", "7a66e901cc4496bdd145339ae5ce917e4aad90390cd1671b7d413effb7b02202"},
    {"pyav-comment.webm", "520684f4cc62b7ed68f56dfcebe44f810d90c215072e5d231c0af4a3f2ab8dea", true},
};

std::string load(const std::string& name) {
  std::ifstream file(ATELIER_SOURCE_DIR "/tests/unit/comfy/metadata/" + name, std::ios::binary);
  REQUIRE(file.good());
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string edited(const ByteSource& source, Edits edits, std::size_t step) {
  EditedReader reader(source, std::move(edits));
  std::string out;
  for (;;) {
    const auto more = reader.next(step);
    if (!more) FAIL(more.error().what);
    if (more->empty()) return out;
    out += *more;
  }
}

/// The file with these texts, read in steps of a prime number of bytes.
Result<std::string> with_prompt(std::string_view file, const NewText& new_text) {
  const TextSource source(file);
  ATELIER_TRY(Edits edits, prompt_edits(source, new_text));
  return edited(source, std::move(edits), 251);
}

Result<std::string> with_prompt(std::string_view file, const std::string& text) {
  return with_prompt(file, [&](std::string_view name, std::string_view stored) {
    return name == "prompt" ? text : std::string(stored);
  });
}

std::vector<std::string> texts_in(std::string_view file, std::string_view which) {
  std::vector<std::string> found;
  REQUIRE(prompt_edits(TextSource(file),
                       [&](std::string_view name, std::string_view stored) {
                         if (name == which) found.emplace_back(stored);
                         return std::string(stored);
                       })
              .value()
              .empty());
  return found;
}

std::vector<std::string> prompts_in(std::string_view file) { return texts_in(file, "prompt"); }

/// As own.json says it, with the hash that ComfyUI added to its first node.
std::string expected_prompt() {
  std::string own = load("own.json");
  const std::string_view title = "[2, 3]\"}";
  own.insert(own.find(title) + title.size(),
             R"(, "is_changed": ["41c6eb4f460c7a54c3f82eca2ddec2dbbd348516276df8812e93feed2721b47f"])");
  return own;
}

}  // namespace

TEST_CASE("each kind of file becomes what ComfyUI would have written for the participant's own prompt") {
  const PromptTexts texts{load("own.json"), load("posted.json"), load("workflow.json")};
  for (const Sample& sample : kSamples) {
    CAPTURE(sample.name);
    const auto restored = with_prompt(load(sample.name), [&](std::string_view name, std::string_view stored) {
      return own_text(texts, name, stored);
    });
    REQUIRE(restored.has_value());
    CHECK(sha256(*restored).hex() == sample.digest);
    CHECK(prompts_in(*restored) == std::vector{expected_prompt()});
  }
}

TEST_CASE("a file with the right prompt, with none, or of no known kind stays as it is") {
  const auto untouched = [](std::string_view file) {
    const auto edits = prompt_edits(
        TextSource(file), [](std::string_view, std::string_view stored) { return std::string(stored); });
    return edits && edits->empty();
  };
  for (const Sample& sample : kSamples) {
    CAPTURE(sample.name);
    CHECK(untouched(load(sample.name)));
  }
  const auto lacks = [](std::string file, std::string_view name, std::string_view other) {
    for (std::size_t at = 0; (at = file.find(name, at)) != std::string::npos; at += other.size())
      file.replace(at, name.size(), other);
    const auto edits = prompt_edits(TextSource(file), [](std::string_view name, std::string_view stored) {
      return std::string(name == "prompt" ? "x" : stored);
    });
    return edits && edits->empty();
  };
  for (const Sample& sample : kSamples) {
    CAPTURE(sample.name);
    std::string file = load(sample.name);
    const std::string_view name = sample.name;
    if (name == "posted.webm" || name == "pyav.mkv")
      CHECK(lacks(file, "PROMPT", "Prompp"));
    else
      CHECK(lacks(file, "prompt", "prompp"));
  }
  for (const std::string& file :
       {std::string(), std::string("x"), std::string(5000, 'x'), std::string(5000, '\0'),
        std::string("<html></html>"), std::string("GIF89a"), std::string("\xFF\xD8\xFF")})
    CHECK(untouched(file));
}

TEST_CASE("a prompt of any length fits, or the file is said to have no room") {
  for (const Sample& sample : kSamples) {
    CAPTURE(sample.name);
    const std::string file = load(sample.name);
    const std::string stored = prompts_in(file).at(0);
    const bool moov_first = std::string_view(sample.name) == "pyav-moov-first.mp4";
    const bool json = std::string_view(sample.name) == "posted.svg";  // where a cut prompt cannot stand
    for (std::size_t less = 0; less < 300 && !json; less = less < 20 ? less + 1 : less * 2) {
      CAPTURE(less);
      const std::string text = stored.substr(0, stored.size() - less);
      const auto restored = with_prompt(file, text);
      if (moov_first && less > 0 && less < 8) {
        REQUIRE_FALSE(restored.has_value());
        CHECK(restored.error().code == Errc::unsupported);
        continue;
      }
      REQUIRE(restored.has_value());
      CHECK(prompts_in(*restored) == std::vector{text});
    }
    for (const unsigned more : {1u, 2u, 3u, 4u, 5u, 1000u, 100'000u}) {
      CAPTURE(more);
      std::string text = stored;
      text.insert(stored.find("LoadImage"), more, 'x');
      const auto restored = with_prompt(file, text);
      REQUIRE(restored.has_value() == !sample.fixed);
      if (restored) CHECK(prompts_in(*restored) == std::vector{text});
      if (!restored) CHECK(restored.error().code == Errc::unsupported);
    }
  }
}

TEST_CASE("a file that the cache kept of another run gets the workflow of this one") {
  const std::string other = R"({"id": "mine", "text": ")" + std::string(100, 'x') + R"("})";
  for (const Sample& sample : kSamples) {
    if (std::string_view(sample.name).starts_with("pyav-comment")) continue;  // there it is no string
    CAPTURE(sample.name);
    const std::string file = load(sample.name);
    for (const std::string& workflow : {std::string("{}"), other}) {
      const PromptTexts texts{load("own.json"), load("posted.json"), workflow};
      const auto restored = with_prompt(file, [&](std::string_view name, std::string_view stored) {
        return own_text(texts, name, stored);
      });
      REQUIRE(restored.has_value());
      CHECK(texts_in(*restored, "workflow") == std::vector{workflow});
      CHECK(prompts_in(*restored) == std::vector{expected_prompt()});
    }
  }
  const auto workflow = [](const std::string& own, std::string_view stored) {
    return own_text({"{}", "{}", own}, "workflow", stored);
  };
  CHECK(workflow("", R"({"id": "other"})") == "{}");
  CHECK(workflow(R"({"a": 1e+20})", R"({"a": 100000000000000000000})") == R"({"a": 100000000000000000000})");
  CHECK(workflow(R"({"a": 1})", R"({"a": NaN})") == R"({"a": 1})");
}

TEST_CASE("no cut and no changed byte of a file leads astray") {
  std::mt19937 random(20265);
  const std::string own = load("own.json");
  const NewText new_text = [&](std::string_view name, std::string_view stored) {
    return own_text({own, own, "[]"}, name, stored);
  };
  for (const Sample& sample : kSamples) {
    CAPTURE(sample.name);
    const std::string whole = load(sample.name);
    for (std::size_t size = 0; size < whole.size(); size += 1 + size / 100) {
      const auto cut = with_prompt(std::string_view(whole).substr(0, size), new_text);
      if (!cut) CHECK(!cut.error().what.empty());
    }
    for (int round = 0; round < 600; ++round) {
      std::string file = whole;
      const std::size_t area = round % 2 == 0 ? 400 : file.size();
      for (unsigned times = random() % 3 + 1; times > 0; --times) {
        const std::size_t place = round % 4 < 2 ? random() % area : file.size() - 1 - random() % area;
        if (random() % 3 == 0)
          file[place] = static_cast<char>(0xFF);
        else
          file[place] = static_cast<char>(random());
      }
      const auto changed = with_prompt(file, new_text);
      if (changed) (void)with_prompt(*changed, new_text);
    }
  }
}

TEST_CASE("a file that holds a prompt very often is refused before it grows") {
  const std::string png = load("posted.png");
  const std::size_t begin = png.find("tEXt") - 4;
  const std::size_t size = read_big(png, begin, 4) + 12;
  std::string file = png;
  for (int times = 0; times < 16; ++times) file.insert(begin, png.substr(begin, size));
  const auto restored = with_prompt(file, std::string(1000, 'x'));
  REQUIRE_FALSE(restored.has_value());
  CHECK(restored.error().code == Errc::unsupported);
}

namespace {

/// A film of a terabyte: posted.mp4 with a longer mdat, of zeros.
class Film final : public ByteSource {
 public:
  static constexpr std::uint64_t kPixels = std::uint64_t{1} << 40;
  Film() {
    const std::string file = load("posted.mp4");
    const std::size_t moov = file.find("moov") - 4;
    before_ = file.substr(0, 40) + write_big(1, 4) + "mdat" + write_big(kPixels + 16, 8);
    after_ = file.substr(moov);
  }
  [[nodiscard]] std::uint64_t size() const override { return before_.size() + kPixels + after_.size(); }
  mutable std::uint64_t bytes_read = 0;

 private:
  [[nodiscard]] Result<std::string> read_within(std::uint64_t offset, std::size_t bytes) const override {
    bytes_read += bytes;
    std::string text;
    for (std::uint64_t at = offset; at < offset + bytes; ++at) {
      const std::uint64_t behind = before_.size() + kPixels;
      text += at < before_.size() ? before_[at] : at < behind ? '\0' : after_[at - behind];
    }
    return text;
  }
  std::string before_, after_;
};

}  // namespace

TEST_CASE("of a film of a terabyte only the metadata is read") {
  const Film film;
  const auto edits = prompt_edits(film, [](std::string_view, std::string_view) { return std::string("{}"); });
  REQUIRE(edits.has_value());
  CHECK(edits->size() == 10);
  CHECK(film.bytes_read < 16'000);
  for (const Edit& edit : *edits) CHECK(edit.offset > Film::kPixels);
}

namespace {

std::uint32_t slow_page_crc(std::string_view bytes) {
  std::uint32_t crc = 0;
  for (const char c : bytes) {
    crc ^= static_cast<std::uint32_t>(static_cast<unsigned char>(c)) << 24;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 0x80000000u) != 0 ? crc << 1 ^ 0x04C11DB7u : crc << 1;
  }
  return crc;
}

/// One page of the packet: its segments of 255 bytes, and a shorter one at the packet's end.
std::string ogg_page(std::uint64_t number, std::string_view body, bool last) {
  std::string table(body.size() / 255, static_cast<char>(255));
  if (last) table += static_cast<char>(body.size() % 255);
  std::string page = std::string("OggS\0\0", 6) + std::string(8, '\0') + "S#1\n" + write_little(number, 4) +
                     std::string(4, '\0') + write_big(table.size(), 1) + table + std::string(body);
  page.replace(22, 4, write_little(slow_page_crc(page), 4));
  return page;
}

}  // namespace

TEST_CASE("comments of an Opus file that fill several pages are replaced in them") {
  const auto file = [](const std::string& text, std::size_t zeros) {
    const std::string comment = "PROMPT=" + text;
    const std::string tags = "OpusTags" + write_little(1, 4) + "v" + write_little(2, 4) + write_little(3, 4) +
                             "a=b" + write_little(comment.size(), 4) + comment + std::string(zeros, '\0');
    const std::size_t first = 255 * 255;
    return ogg_page(0, "OpusHead", true) + ogg_page(1, tags.substr(0, first), false) +
           ogg_page(2, tags.substr(first), true) + ogg_page(3, "sound", true);
  };
  const std::string before(100'000, 'b'), after(60'000, 'a');
  const auto restored = with_prompt(file(before, 0), after);
  REQUIRE(restored.has_value());
  CHECK(*restored == file(after, before.size() - after.size()));
  CHECK(*with_prompt(*restored, before.substr(1)) == file(before.substr(1), 1));
}

TEST_CASE("a node gets is_changed from the same node of the same run, as it stands there") {
  const std::string own =
      R"({"1": {"class_type": "L", "inputs": {"image": "a"}}, "2": {"class_type": "S", "inputs": {}}})";
  const std::string posted =
      R"({"1": {"class_type": "L", "inputs": {"image": "w-a"}}, "2": {"class_type": "S", "inputs": {}}})";
  const auto text = [&](std::string_view stored) { return own_prompt_text({own, posted, ""}, stored); };
  CHECK(
      text(
          R"({"2": {"class_type": "S", "inputs": {}, "is_changed": NaN}, "1": {"class_type": "L", "inputs": )"
          R"({"image": "w-a"}, "is_changed": ["}", null]}})") ==
      R"({"1": {"class_type": "L", "inputs": {"image": "a"}, "is_changed": ["}", null]}, )"
      R"("2": {"class_type": "S", "inputs": {}, "is_changed": NaN}})");
  CHECK(text(R"({"1": {"class_type": "L", "inputs": {"image": "w-b"}, "is_changed": [1]}})") == own);
  CHECK(text(R"({"2": {"class_type": "T", "inputs": {}, "is_changed": [1]}})") == own);
  CHECK(
      text(R"({"1": {"class_type": "L", "inputs": {"image": "w-a"}, "is_changed": [1]})") ==
      R"({"1": {"class_type": "L", "inputs": {"image": "a"}, "is_changed": [1]}, "2": {"class_type": "S", "inputs": {}}})");
  CHECK(text("[]") == own);
  CHECK(text("") == own);
  const std::string had = R"({"1": {"class_type": "L", "inputs": {}, "is_changed": [2]}})";
  CHECK(own_prompt_text({had, had, ""}, R"({"1": {"class_type": "L", "inputs": {}, "is_changed": [3]}})") ==
        had);
}

TEST_CASE("JSON text is indented as Python does, and joined again") {
  const std::string joined = R"({"a": [1, {"b, [": "\", {"}, []], "c": {}, "d": [[-1.5e-07, null]]})";
  // json.dumps(json.loads(joined), indent=2), and one level deeper.
  const std::string indented =
      "{\n  \"a\": [\n    1,\n    {\n      \"b, [\": \"\\\", {\"\n    },\n    []\n  ],\n  \"c\": {},\n  "
      "\"d\": [\n"
      "    [\n      -1.5e-07,\n      null\n    ]\n  ]\n}";
  CHECK(indent_json(joined, 0) == indented);
  CHECK(join_json(indented) == joined);
  std::string deeper = indented;
  for (std::size_t at = 0; (at = deeper.find('\n', at)) != std::string::npos; ++at)
    deeper.insert(at + 1, "  ");
  CHECK(indent_json(joined, 1) == deeper);
  CHECK(join_json(deeper) == joined);
}

}  // namespace atelier::comfy
