// SPDX-License-Identifier: MIT
// Bytes from outside: nothing may crash, hang or throw, whatever stands in them.
#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <random>

#include "comfy/history.hpp"
#include "comfy/messages.hpp"
#include "comfy/output_name.hpp"
#include "comfy/prompt_graph.hpp"
#include "comfy/rewrite.hpp"
#include "fixtures.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

constexpr std::string_view kBody =
    R"({"prompt":{"1":{"class_type":"LoadImage","inputs":{"image":"a.png [output]"}},"2":{"class_type":"ImageScale","inputs":{"image":["1",0],)"
    R"("upscale_method":"area","width":8,"height":"9","crop":"disabled"}},"3":{"class_type":"SaveImage","inputs":{"images":["2",0],"filename_prefix":"x/y"},)"
    R"("_meta":{"title":"t"}},"4":{"class_type":"Grow","inputs":{"images.image0":["2",0],"mode":"sized","mode.size":3}},)"
    R"("5":{"class_type":"Any","inputs":{"many":{"__value__":["a"]},"number":0.5,"text":"t","either":["3",1]}}},)"
    R"("client_id":"c","prompt_id":"p","number":1.5,"front":true,"extra_data":{"extra_pnginfo":{"workflow":{"id":"w"}}},"partial_execution_targets":["3","4"]})";

/// Everything that is done with a posted body.
void use(std::string_view body) {
  auto request = parse_prompt_request(body, PromptLimits{.bytes_max = 1u << 20, .nodes_max = 100});
  if (!request) {
    CHECK(Json::parse(request.error().body()).has_value());
    return;
  }
  const Validation validation = validate(*request, fixtures::catalog(), fixtures::kAllFiles);
  CHECK(Json::parse(validation.error_body()).has_value());
  CHECK(Json::parse(request->prompt.print()).has_value());
  CHECK((validation.accepted || validation.error.is_object()));
  const PromptGraph graph(request->prompt.object(), fixtures::catalog());
  const auto files = input_files_of(graph);
  WorkerNames names;
  for (const auto& file : files) names[{file.type, file.name}] = "w-" + file.name;
  rewrite(request->prompt.object(), fixtures::catalog(), names, atelier::JobId{1}, atelier::Epoch{1});
  (void)models_of(graph);
  (void)classes_of(graph);
  (void)request->workflow_id();
}

/// Puts something unfitting in place of a random value.
void mutate(json::value& value, std::mt19937& random) {
  static const char* const kOdd[] = {"null",
                                     "true",
                                     "-1",
                                     "18446744073709551615",
                                     "1e300",
                                     "0.0",
                                     "\"\"",
                                     "\"1\"",
                                     "\"3\"",
                                     "[]",
                                     "[\"1\",0]",
                                     "[\"3\",-1]",
                                     "[\"1\",true]",
                                     "{}",
                                     "{\"__value__\":[1,2]}",
                                     "{\"__value__\":{}}",
                                     "\"[output]\"",
                                     "\"é'\\\"\\u0000\"",
                                     "[[[]]]",
                                     "{\"class_type\":\"SaveImage\"}"};
  json::value* at = &value;
  while (random() % 5 != 0) {
    if (auto* object = at->if_object(); object != nullptr && !object->empty())
      at = &(object->begin() + static_cast<std::ptrdiff_t>(random() % object->size()))->value();
    else if (auto* array = at->if_array(); array != nullptr && !array->empty())
      at = &(*array)[random() % array->size()];
    else
      break;
  }
  *at = fixtures::read(kOdd[random() % std::size(kOdd)]);
}

std::string break_bytes(std::string text, std::mt19937& random) {
  for (unsigned times = random() % 4 + 1; times > 0 && !text.empty(); --times) {
    const std::size_t place = random() % text.size();
    switch (random() % 4) {
      case 0:
        text[place] = static_cast<char>(random());
        break;
      case 1:
        text.erase(place, random() % 20);
        break;
      case 2:
        text.insert(place, text.substr(random() % text.size(), random() % 20));
        break;
      default:
        text.resize(place);
    }
  }
  return text;
}

}  // namespace

TEST_CASE("no change of a value in a prompt body leads astray") {
  std::mt19937 random(20261);
  for (int round = 0; round < 6000; ++round) {
    json::value body = fixtures::read(kBody);
    for (unsigned times = random() % 4; times > 0; --times) mutate(body, random);
    use(print_json(body));
  }
}

TEST_CASE("no change of a byte in a prompt body leads astray") {
  std::mt19937 random(20262);
  for (int round = 0; round < 6000; ++round) use(break_bytes(std::string(kBody), random));
}

TEST_CASE("no change of an object_info leads astray") {
  std::mt19937 random(20263);
  const ObjectInfo whole = fixtures::catalog();
  for (int round = 0; round < 400; ++round) {
    json::value text = fixtures::read(fixtures::kObjectInfo);
    for (int times = 0; times < 20; ++times) mutate(text, random);
    const auto info = ObjectInfo::parse(print_json(text));
    if (!info) continue;
    CHECK(Json::parse(info->print_all({})).has_value());
    const ObjectInfo both[] = {*info, whole};
    CHECK(
        Json::parse(ObjectInfo::merge(both).print_all({.route_prefix = "/user/1", .files = {}})).has_value());
    auto request = parse_prompt_request(kBody);
    (void)validate(*request, *info, fixtures::kAllFiles);
    rewrite(request->prompt.object(), *info, {}, atelier::JobId{1}, atelier::Epoch{2});
  }
}

TEST_CASE("no bytes of a message, a frame or a name lead astray") {
  std::mt19937 random(20264);
  const std::string event = progress_state_message("p", {{.node_id = "1",
                                                          .display_node_id = "1",
                                                          .real_node_id = "1",
                                                          .parent_node_id = {},
                                                          .state = "running"}});
  const std::string frame =
      encode_preview_with_metadata(R"({"prompt_id":"p","image_type":"image/png"})", "pixels");
  for (int round = 0; round < 4000; ++round) {
    if (auto parsed = parse_event(break_bytes(event, random))) parsed->set_prompt_id("q");
    const std::string bad_frame = break_bytes(frame, random);
    (void)to_legacy_preview(bad_frame);
    (void)frame_with_prompt_id(bad_frame, "q");
    (void)parse_jobs_query(
        {{"status", break_bytes("pending,failed", random)}, {"limit", break_bytes("10", random)}});
    const std::string name = break_bytes("stem_00012_.png", random);
    CHECK(compose_output_name(split_output_name(name)).size() + 4 >= name.size());
    (void)split_annotation(break_bytes("sub/x.png [output]", random));
  }
}

}  // namespace atelier::comfy
