// SPDX-License-Identifier: MIT
// What a ComfyUI saves: every kind of file that holds a prompt, on its way through the agent. Edits lie
// inside the file and apart from each other, and what they make can be looked at again.

#include <string>

#include "comfy/metadata/restore.hpp"
#include "fuzz.hpp"

using namespace atelier;  // NOLINT: tests
using fuzz::expect;

namespace {

const comfy::PromptTexts& texts(bool is_long) {
  static const comfy::PromptTexts brief{R"({"1": {"inputs": {}}})", R"({"1": {"inputs": {"a": 1}}})",
                                        R"({"id": 1})"};
  static const std::string many = R"({"1": {"inputs": {"a": ")" + std::string(100, 'x') + R"("}}})";
  static const comfy::PromptTexts lengthy{many, many, ""};
  return is_long ? lengthy : brief;
}

std::string edited(const comfy::TextSource& file, const comfy::Edits& edits, fuzz::Cuts& cuts) {
  comfy::EditedReader reader(file, edits);
  std::string out;
  for (;;) {
    const auto more = reader.next(cuts.next(4096));
    expect(more.has_value(), "what lies inside the file can be read");
    if (more->empty()) return out;
    out += *more;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes = fuzz::text_of(data, size);
  const unsigned choice = fuzz::take_choice(bytes);
  const comfy::PromptTexts& prompts = texts((choice & 1) != 0);
  const comfy::NewText new_text = [&](std::string_view name, std::string_view stored) {
    return comfy::own_text(prompts, name, stored);
  };
  const comfy::TextSource file(bytes);
  const auto edits = comfy::prompt_edits(file, new_text);
  if (!edits) return 0;
  std::uint64_t end = 0, length = bytes.size();
  for (const comfy::Edit& edit : *edits) {
    expect(edit.offset >= end && edit.removed <= bytes.size() - edit.offset, "edits do not touch each other");
    end = edit.offset + edit.removed;
    length += edit.inserted.size() - edit.removed;
  }
  expect(end <= bytes.size(), "edits lie inside the file");
  fuzz::Cuts cuts(choice);
  const std::string out = edited(file, *edits, cuts);
  expect(out.size() == length, "the copy has the length that its edits tell");
  (void)comfy::prompt_edits(comfy::TextSource(out), new_text);
  return 0;
}
