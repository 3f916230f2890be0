// SPDX-License-Identifier: MIT
#include "rehearsal/prompt_queue.hpp"

#include <doctest/doctest.h>

#include <boost/json.hpp>

using atelier::comfy::Json;
using atelier::rehearsal::Outcome;
using atelier::rehearsal::PromptQueue;
using atelier::rehearsal::QueueItem;
namespace json = boost::json;

namespace {

QueueItem item(double number, const std::string& id) {
  QueueItem queued;
  queued.number = {number, false};
  queued.prompt_id = id;
  queued.prompt = *Json::parse(R"({"1":{"class_type":"A","inputs":{}}})");
  queued.extra_data = *Json::parse(R"({"client_id":"c","create_time":5})");
  queued.outputs_to_execute = {"1"};
  queued.create_time = 5;
  return queued;
}

Outcome outcome(const std::string& last, bool success) {
  Outcome ended;
  ended.success = success;
  ended.messages = {{"execution_start", R"({"prompt_id":"a","timestamp":10})"},
                    {last, R"({"prompt_id":"a","timestamp":30})"}};
  ended.outputs = *Json::parse(R"({"1":{"images":[{"filename":"a.png","subfolder":"","type":"output"}]}})");
  ended.meta = *Json::parse("{}");
  return ended;
}

json::value parsed(const std::string& text) { return json::parse(text); }

void run(PromptQueue& queue, const std::string& id, const std::string& last = "execution_success",
         bool success = true) {
  REQUIRE(queue.put(item(1, id)));
  REQUIRE(queue.take() != nullptr);
  queue.finish(outcome(last, success));
}

}  // namespace

TEST_CASE("the lowest number runs first, of equal ones the lower id") {
  PromptQueue queue;
  for (const auto& [number, id] :
       std::vector<std::pair<double, std::string>>{{3, "c"}, {-2, "front"}, {1, "b"}, {1, "a"}}) {
    REQUIRE(queue.put(item(number, id)));
  }
  std::string order;
  while (const auto next = queue.take()) {
    order += next->prompt_id + " ";
    queue.finish(outcome("execution_success", true));
  }
  CHECK(order == "front a b c ");
}

TEST_CASE("one prompt runs at a time and counts as remaining") {
  PromptQueue queue;
  REQUIRE(queue.put(item(1, "a")));
  REQUIRE(queue.put(item(2, "b")));
  CHECK(queue.remaining() == 2);
  REQUIRE(queue.take() != nullptr);
  CHECK(queue.take() == nullptr);
  CHECK(queue.is_running("a"));
  CHECK(queue.remaining() == 2);
  const auto listed = parsed(queue.queue_json());
  CHECK(listed.at("queue_running").as_array().size() == 1);
  CHECK(listed.at_pointer("/queue_pending/0/1").as_string() == "b");
}

TEST_CASE("deleting takes the first match and leaves the running one alone") {
  PromptQueue queue;
  REQUIRE(queue.put(item(1, "a")));
  REQUIRE(queue.take() != nullptr);
  REQUIRE(queue.put(item(2, "b")));
  REQUIRE(queue.put(item(3, "b")));
  CHECK(queue.remove("a") == PromptQueue::Removed::no);
  CHECK(queue.remove("b") == PromptQueue::Removed::one);
  CHECK(queue.remove("b") == PromptQueue::Removed::last);
  CHECK(queue.remaining() == 1);
}

TEST_CASE("history answers by id and in windows, oldest first") {
  PromptQueue queue;
  for (const char* id : {"a", "b", "c"}) run(queue, id);
  CHECK(queue.history_json("nothing") == "{}");
  CHECK(parsed(queue.history_json("b")).as_object().size() == 1);
  const auto keys = [&](std::optional<std::int64_t> count, std::int64_t offset) {
    std::string all;
    const auto answer = parsed(queue.history_json(count, offset));
    for (const auto& [key, value] : answer.as_object()) all += std::string(key);
    return all;
  };
  CHECK(keys(std::nullopt, -1) == "abc");
  CHECK(keys(2, -1) == "bc");
  CHECK(keys(1, 1) == "b");
  CHECK(keys(std::nullopt, 2) == "c");
  run(queue, "a");  // the same id again keeps its place
  CHECK(keys(std::nullopt, -1) == "abc");
  queue.forget("b");
  CHECK(keys(std::nullopt, -1) == "ac");
  queue.clear_history();
  CHECK(queue.history_json(std::nullopt, -1) == "{}");
}

TEST_CASE("history never holds more than ComfyUI's ten thousand and one") {
  PromptQueue queue;
  for (int i = 0; i < 10'010; ++i) run(queue, "id" + std::to_string(i));
  CHECK(parsed(queue.history_json(std::nullopt, -1)).as_object().size() == 10'001);
  CHECK(queue.history_json("id0") == "{}");
}

TEST_CASE("jobs tell completed, failed and cancelled apart by their messages") {
  PromptQueue queue;
  run(queue, "good");
  run(queue, "bad", "execution_error", false);
  run(queue, "stopped", "execution_interrupted", false);
  REQUIRE(queue.put(item(9, "waits")));
  const auto status = [&](const char* id) {
    return std::string(parsed(queue.job_json(id).value()).at("status").as_string());
  };
  CHECK(status("good") == "completed");
  CHECK(status("bad") == "failed");
  CHECK(status("stopped") == "cancelled");
  CHECK(status("waits") == "pending");
  CHECK_FALSE(queue.job_json("nothing"));
  const auto good = parsed(*queue.job_json("good"));
  CHECK(good.at("execution_start_time").as_int64() == 10);
  CHECK(good.at("execution_end_time").as_int64() == 30);
  CHECK(good.at("outputs_count").as_int64() == 1);
  CHECK(good.at_pointer("/preview_output/nodeId").as_string() == "1");
  const auto list =
      parsed(queue.jobs_json(*atelier::comfy::parse_jobs_query({{"status", "completed,failed"}})));
  CHECK(list.at("jobs").as_array().size() == 2);
}
