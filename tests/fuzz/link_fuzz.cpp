// SPDX-License-Identifier: MIT
// What a worker sends, and what it is sent: messages of the link, preview frames, ComfyUI's events and frames
// inside them, attachments made of them, lists of models. What is accepted survives a round trip.

#include <boost/json.hpp>

#include <string>

#include "base/match.hpp"
#include "comfy/messages.hpp"
#include "comfy/model_lists.hpp"
#include "fuzz.hpp"
#include "gateway/worker_link/accepted_form.hpp"
#include "link/codec.hpp"

using namespace atelier;  // NOLINT: tests
using fuzz::expect;

namespace {

constexpr std::string_view kRunId = "00000000-0000-4000-8000-000000000001";

void check_commit(const link::Commit& commit) {
  const auto parts = gateway::read_commit_attachment(gateway::commit_attachment(commit));
  expect(parts.has_value(), "a commit's attachment can be read");
  expect(parts->places.size() == commit.files.size() && parts->display_node == commit.display_node,
         "it has a place for every file");
  std::vector<gateway::GivenName> names;
  for (const std::string& place : parts->places) names.push_back({place, "a", "b.png", "output"});
  const auto ui = gateway::ui_with_names(parts->ui, names);
  expect(ui && comfy::Json::parse(*ui, {.depth_max = 66}), "a ui with names is JSON");
}

void check_ended(const link::Ended& ended) {
  const std::string stored = gateway::report_attachment(ended.event, ended.report);
  expect(comfy::Json::parse(stored, {.depth_max = 66}).has_value(), "a report's attachment is JSON");
  const std::string named = gateway::with_prompt_id(stored, kRunId, "my \"id\"\n");
  expect(comfy::Json::parse(named, {.depth_max = 66}).has_value(), "it stays JSON with another id in it");
}

template <class Decoded, class Decode>
void check_round(const Decoded& message, Decode decode) {
  const std::string text = link::encode(message);
  const auto again = decode(text);
  expect(again.has_value(), "an accepted message is accepted again");
  expect(*again == message, "an accepted message comes back as it was");
  expect(link::encode(*again) == text, "and is printed alike");
}

void check_texts(std::string_view bytes) {
  if (const auto message = link::decode_agent(bytes)) {
    check_round(*message, link::decode_agent);
    std::visit(Match{[](const link::Commit& commit) { check_commit(commit); },
                     [](const link::Ended& ended) { check_ended(ended); }, [](const auto&) {}},
               *message);
  }
  if (const auto message = link::decode_gateway(bytes)) check_round(*message, link::decode_gateway);
  auto event = comfy::parse_event(bytes);
  if (!event) return;
  const auto same = comfy::parse_event(event->print());
  expect(same && same->type == event->type && same->data == event->data && same->node == event->node &&
             same->prompt_id == event->prompt_id && same->ends_prompt() == event->ends_prompt(),
         "an event comes back as it was");
  const bool named = event->prompt_id.has_value();
  event->set_prompt_id("other");
  const auto other = comfy::parse_event(event->print());
  expect(other && (!named || other->prompt_id == "other"), "an event can get another prompt_id");
}

void check_model_lists(std::string_view bytes) {
  const auto lists = comfy::ModelLists::parse(bytes);
  if (!lists) return;
  const std::string text = lists->print();
  expect(text.size() <= comfy::ModelLists::kPrintedBytesMax, "lists of models are bounded");
  const auto again = comfy::ModelLists::parse(text);
  expect(again && *again == *lists && again->print() == text, "lists of models come back as they were");
  for (const auto& [folder, files] : lists->folders()) {
    expect(comfy::is_told_folder(folder), "a folder of models has a name that is told");
    for (const auto& [name, file] : files) {
      expect(comfy::is_told_name(name), "a model has a name that leads nowhere else");
    }
  }
}

void check_frame(std::string_view bytes) {
  const auto frame = comfy::decode_frame(bytes);
  const auto legacy = comfy::to_legacy_preview(bytes);
  expect(frame.has_value() == legacy.has_value(), "a frame that can be decoded can be turned");
  if (!frame) return;
  switch (frame->kind) {
    case comfy::FrameKind::preview:
      expect(comfy::encode_preview(frame->format, frame->payload) == bytes && *legacy == bytes,
             "a preview comes back as it was");
      break;
    case comfy::FrameKind::text:
      expect(comfy::encode_text(frame->node, frame->payload) == bytes, "a text comes back as it was");
      break;
    case comfy::FrameKind::preview_with_metadata: {
      expect(comfy::encode_preview_with_metadata(frame->metadata, frame->payload) == bytes,
             "a preview with metadata comes back as it was");
      expect(comfy::decode_frame(*legacy)->payload == frame->payload, "the legacy form has the same image");
      const auto named = comfy::frame_with_prompt_id(bytes, "other");
      if (!named) break;
      const auto id = comfy::prompt_id_of_frame(*named);
      expect(id && *id == "other", "a preview can get another prompt_id");
      expect(comfy::decode_frame(*named)->payload == frame->payload, "and keeps its image");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes = fuzz::text_of(data, size);
  check_texts(bytes);
  check_model_lists(bytes);
  check_frame(bytes);
  if (const auto preview = link::decode_preview(bytes)) {
    expect(link::encode_preview(*preview) == bytes, "a preview of the link comes back as it was");
    check_frame(bytes.substr(20));  // ComfyUI's event id and what follows it
  }
  return 0;
}
