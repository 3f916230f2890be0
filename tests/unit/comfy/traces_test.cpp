// SPDX-License-Identifier: MIT
// Every invalid/* trace of ComfyUI 0.21.0 agrees exactly, as tests/conformance/conform.py compares.
#include <doctest/doctest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <fstream>
#include <map>
#include <sstream>

#include "comfy/history.hpp"
#include "comfy/messages.hpp"
#include "fixtures.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

json::value traces() {
  std::ifstream file(ATELIER_SOURCE_DIR "/tests/conformance/comfyui-0.21.0.json");
  REQUIRE(file.good());
  std::stringstream text;
  text << file.rdbuf();
  return fixtures::read(text.str());
}

/// What conform.py does to both sides: help texts are our own words, a set's order is none, traces of calls
/// differ.
json::value normal(const json::value& value, std::string_view key = "") {
  if (key == "traceback") return "<volatile>";
  if (const auto* object = value.if_object()) {
    json::object out;
    for (const auto& member : *object)
      if (member.key() != "tooltip") out[member.key()] = normal(member.value(), std::string(member.key()));
    return out;
  }
  if (const auto* array = value.if_array()) {
    json::array out;
    for (const auto& item : *array) out.push_back(normal(item));
    if (key == "errors" || key == "dependent_outputs")
      std::sort(out.begin(), out.end(),
                [](const auto& a, const auto& b) { return print_json(a) < print_json(b); });
    return out;
  }
  return value;
}

std::string empty_image(std::string_view color, std::string_view width) {
  return R"({"1":{"class_type":"EmptyImage","inputs":{"width":)" + std::string(width) +
         R"(,"height":48,"batch_size":1,"color":)" + std::string(color) +
         R"(}},"2":{"class_type":"SaveImage","inputs":{"images":["1",0],"filename_prefix":"conform"}})";
}

/// The graphs of tests/conformance/cases.py.
std::map<std::string, std::string> graphs() {
  const std::string small =
      R"("1":{"class_type":"EmptyImage","inputs":{"width":16,"height":16,"batch_size":1,"color":0}})";
  return {
      {"invalid/empty-graph", "{}"},
      {"invalid/no-outputs", "{" + small + "}"},
      {"invalid/unknown-node", R"({"1":{"class_type":"NoSuchNode","inputs":{}}})"},
      {"invalid/no-class-type", R"({"1":{"inputs":{}}})"},
      {"invalid/missing-input", R"({"2":{"class_type":"SaveImage","inputs":{"filename_prefix":"x"}}})"},
      {"invalid/link-to-nowhere",
       R"({"2":{"class_type":"SaveImage","inputs":{"images":["9",0],"filename_prefix":"x"}}})"},
      {"invalid/too-small", empty_image("0", "0") + "}"},
      {"invalid/too-big", empty_image("0", "999999") + "}"},
      {"invalid/not-a-number", empty_image("0", R"("wide")") + "}"},
      {"invalid/wrong-type",
       R"({"1":{"class_type":"SolidMask","inputs":{"value":1.0,"width":8,"height":8}},"2":{"class_type":"SaveImage","inputs":{"images":["1",0],"filename_prefix":"x"}}})"},
      {"invalid/not-in-list",
       "{" + small +
           R"(,"3":{"class_type":"ImageScale","inputs":{"image":["1",0],"upscale_method":"magic","width":8,"height":8,"crop":"disabled"}},"2":{"class_type":"SaveImage","inputs":{"images":["3",0],"filename_prefix":"x"}}})"},
      {"invalid/missing-file",
       R"({"1":{"class_type":"LoadImage","inputs":{"image":"never_uploaded.png"}},"2":{"class_type":"SaveImage","inputs":{"images":["1",0],"filename_prefix":"x"}}})"},
      {"invalid/one-of-two-outputs",
       empty_image("5", "64") + R"(,"4":{"class_type":"SaveImage","inputs":{"filename_prefix":"x"}}})"},
  };
}

}  // namespace

TEST_CASE("every invalid prompt of the recorded cases gets ComfyUI's answer") {
  const json::value recorded = traces();
  for (const auto& [name, graph] : graphs()) {
    CAPTURE(name);
    PromptRequest request = fixtures::request(graph, R"(,"client_id":"c")");
    const Validation validation = validate(request, fixtures::catalog(), fixtures::kNoFiles);
    const json::value& want = recorded.at(name).at(1);
    CHECK(validation.accepted == (want.at("status") == 200));
    if (validation.accepted) {
      CHECK(normal(validation.node_errors.value()) == normal(want.at("json").at("node_errors")));
      continue;
    }
    const json::value got = normal(fixtures::read(validation.error_body()));
    CHECK_MESSAGE(got == normal(want.at("json")), print_json(got));
  }
}

TEST_CASE("a body without a prompt gets ComfyUI's answer") {
  const auto refused = parse_prompt_request("{}");
  REQUIRE(!refused.has_value());
  CHECK(fixtures::read(refused.error().body()) == traces().at("invalid/no-prompt").at(0).at("json"));
}

TEST_CASE("a recorded history item is rebuilt to the letter") {
  const json::value recorded = traces();
  for (const char* name :
       {"run/save", "run/extra-data", "run/batch-of-two", "run/preview", "run/load-invert"}) {
    CAPTURE(name);
    for (const auto& step : recorded.at(name).as_array()) {
      const auto* body = step.as_object().if_contains("json");
      if (body == nullptr || !body->is_object() || body->as_object().size() != 1) continue;
      const auto& item = body->as_object().begin()->value();
      if (!item.is_object() || !item.as_object().contains("meta")) continue;
      const auto& tuple = item.at("prompt").as_array();
      std::vector<std::string> outputs;
      for (const auto& node : tuple[4].as_array()) outputs.emplace_back(node.as_string());
      std::vector<HistoryMessage> messages;
      for (const auto& one : item.at("status").at("messages").as_array())
        messages.push_back({std::string(one.at(0).as_string()), print_json(one.at(1))});
      std::vector<std::pair<std::string, std::string>> meta;
      for (const auto& node : item.at("meta").as_object())
        meta.emplace_back(node.key(), history_meta(std::string(node.key()), std::string(node.key()), {},
                                                   std::string(node.key())));
      const std::string id(tuple[1].as_string());
      const std::string rebuilt =
          json_map({{id, history_item(queue_tuple({static_cast<double>(tuple[0].as_int64()), false}, id,
                                                  print_json(tuple[2]), print_json(tuple[3]), outputs),
                                      print_json(item.at("outputs")), history_status(true, messages),
                                      json_map(meta))}});
      CHECK(fixtures::read(rebuilt) == *body);
    }
  }
}

TEST_CASE("the recorded events of a run are rebuilt to the letter") {
  const json::value recorded = traces();
  const auto& events = recorded.at("run/save").at(2).at("json").as_array();
  const std::string id(events[0].at("data").at("prompt_id").as_string());
  const auto time = [&](std::size_t i) { return events[i].at("data").at("timestamp").as_int64(); };
  const std::vector<std::string> built = {
      execution_start_message(id, time(0)),
      execution_cached_message(id, {}, time(1)),
      executing_message(id, "1", "1"),
      executing_message(id, "2", "2"),
      executed_message(id, "2", "2", print_json(events[4].at("data").at("output"))),
      execution_success_message(id, time(5)),
      executing_end_message(id),
  };
  REQUIRE(events.size() == built.size());
  for (std::size_t i = 0; i < built.size(); ++i) CHECK(fixtures::read(built[i]) == events[i]);
  CHECK(fixtures::read(status_message(
            0,
            std::string(
                recorded.at("ws/first-messages").at(1).at("json").at(0).at("data").at("sid").as_string()))) ==
        recorded.at("ws/first-messages").at(1).at("json").at(0));
}

TEST_CASE("a recorded job of /api/jobs is rebuilt from its history item") {
  const json::value recorded = traces();
  const auto& item = recorded.at("run/save").at(3).at("json").as_object().begin()->value();
  const auto& want = recorded.at("run/save").at(6).at("json").at("jobs").at(0);
  const auto summary = summarise_outputs(item.at("outputs").as_object());
  JobEntry job;
  job.id = std::string(want.at("id").as_string());
  job.status = JobsStatus::completed;
  job.number = {static_cast<double>(want.at("priority").as_int64()), false};
  job.create_time = want.at("create_time").as_int64();
  job.execution_start_time = want.at("execution_start_time").as_int64();
  job.execution_end_time = want.at("execution_end_time").as_int64();
  job.outputs_count = summary.count;
  job.preview_output_json = summary.preview->print();
  CHECK(fixtures::read(print_job(job)) == want);
  const auto& detail = recorded.at("run/save").at(5).at("json");
  CHECK(fixtures::read(print_job_detail(job, print_json(item.at("outputs")), print_json(item.at("status")),
                                        print_json(item.at("prompt").at(2)),
                                        print_json(item.at("prompt").at(3)))) == detail);
}

TEST_CASE("wrong queries of /api/jobs get ComfyUI's sentences") {
  const json::value recorded = traces();
  const auto limit = parse_jobs_query({{"limit", "-1"}});
  REQUIRE(!limit.has_value());
  CHECK(fixtures::read(jobs_error(limit.error())) == recorded.at("front/jobs-bad-limit").at(0).at("json"));
  const auto status = parse_jobs_query({{"status", "nonsense"}});
  REQUIRE(!status.has_value());
  CHECK(fixtures::read(jobs_error(status.error())) == recorded.at("front/jobs-bad-status").at(0).at("json"));
  CHECK(parse_jobs_query({{"limit", "x"}}).error() == "limit must be an integer");
  CHECK(parse_jobs_query({{"offset", "1.5"}}).error() == "offset must be an integer");
  CHECK(parse_jobs_query({{"sort_by", "x"}}).error() ==
        "sort_by must be 'created_at' or 'execution_duration'");
  CHECK(parse_jobs_query({{"sort_order", "x"}}).error() == "sort_order must be 'asc' or 'desc'");
}

}  // namespace atelier::comfy
