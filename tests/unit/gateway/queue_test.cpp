// SPDX-License-Identifier: MIT
// /queue, /interrupt, /free and /api/jobs: always about the participant's own jobs only.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <boost/json.hpp>

#include "unit/gateway/rig.hpp"

namespace atelier::gateway::test {
namespace {

namespace json = boost::json;

std::vector<std::string> ids_of(const json::value& list) {
  std::vector<std::string> ids;
  for (const json::value& entry : list.as_array()) {
    ids.push_back(text(entry.is_array() ? entry.at(1) : entry.at("id")));
  }
  return ids;
}
std::vector<std::string> pending(Rig& rig, int participant) {
  return ids_of(rig.get(fmt::format("/user/{}/queue", participant)).json().at("queue_pending"));
}
std::vector<std::string> running(Rig& rig, int participant) {
  return ids_of(rig.get(fmt::format("/user/{}/queue", participant)).json().at("queue_running"));
}
std::vector<std::string> jobs(Rig& rig, int participant, std::string_view query = "") {
  return ids_of(rig.get(fmt::format("/user/{}/api/jobs?{}", participant, query)).json().at("jobs"));
}
using Ids = std::vector<std::string>;

TEST_CASE(
    "the queue shows a participant's own jobs only, as ComfyUI's tuples in the order in which they run") {
  Rig rig;
  rig.submit(7, uuid(1), "tab");
  rig.submit(8, uuid(2));
  rig.submit(7, uuid(3));
  CHECK(pending(rig, 7) == Ids{uuid(1), uuid(3)});
  CHECK(pending(rig, 8) == Ids{uuid(2)});
  CHECK(pending(rig, 9) == Ids{});
  const auto tuple = rig.get("/user/7/queue").json().at("queue_pending").at(0);
  REQUIRE(tuple.as_array().size() == 5);
  CHECK(tuple.at(0) == 1);
  CHECK(tuple.at(2).at("9").at("class_type") == "SaveImage");
  CHECK(tuple.at(3).at("client_id") == "tab");
  CHECK(tuple.at(4) == json::value{"9"});
}

TEST_CASE("a granted job is pending until the engine has started it") {
  Rig rig;
  const JobId job = rig.submit(7, uuid(1));
  rig.join();
  REQUIRE(rig.facts(job).state == core::JobState::leased);
  CHECK(pending(rig, 7) == Ids{uuid(1)});
  rig.started(job);
  CHECK(pending(rig, 7) == Ids{});
  CHECK(running(rig, 7) == Ids{uuid(1)});
  CHECK(running(rig, 8) == Ids{});
  rig.computed(job);
  CHECK(running(rig, 7) == Ids{uuid(1)});
  rig.ended(job);
  CHECK(running(rig, 7) == Ids{});
}

TEST_CASE("GET /prompt counts a participant's own waiting, granted and running jobs") {
  Rig rig;
  const auto remaining = [&](int participant) {
    return rig.get(fmt::format("/user/{}/prompt", participant)).json().at("exec_info").at("queue_remaining");
  };
  rig.submit(7, uuid(1));
  rig.submit(7, uuid(2));
  rig.submit(8, uuid(3));
  CHECK(remaining(7) == 2);
  rig.join();
  CHECK(remaining(7) == 2);
  rig.started(JobId{1});
  CHECK(remaining(7) == 2);
  rig.computed(JobId{1});
  rig.ended(JobId{1});
  CHECK(remaining(7) == 1);
  CHECK(remaining(8) == 1);
}

TEST_CASE("clearing the queue takes the participant's own waiting jobs and leaves what runs") {
  Rig rig;
  const JobId first = rig.submit(7, uuid(1));
  rig.join();
  rig.started(first);
  rig.submit(7, uuid(2));
  rig.submit(7, uuid(3));
  rig.submit(8, uuid(4));
  const Reply reply = rig.post("/user/7/api/queue", R"({"clear":true})");
  CHECK(reply.status == 200);
  CHECK(reply.body.empty());
  CHECK(pending(rig, 7) == Ids{});
  CHECK(running(rig, 7) == Ids{uuid(1)});
  CHECK(pending(rig, 8) == Ids{uuid(4)});
  CHECK_FALSE(rig.facts(first).cancel_requested);
}

TEST_CASE("deleting takes the named waiting jobs of one's own, and unknown ids change nothing") {
  Rig rig;
  for (int i = 1; i <= 3; ++i) rig.submit(7, uuid(i));
  rig.submit(8, uuid(4));
  CHECK(
      rig.post("/user/7/queue", fmt::format(R"({{"delete":["{}","{}",7,"x"]}})", uuid(2), uuid(4))).status ==
      200);
  CHECK(pending(rig, 7) == Ids{uuid(1), uuid(3)});
  CHECK(pending(rig, 8) == Ids{uuid(4)});
  CHECK(rig.post("/user/7/queue", R"({"clear":false,"delete":"x"})").status == 200);
  CHECK(rig.post("/user/7/queue", "{}").status == 200);
  CHECK(rig.post("/user/7/queue", "nonsense").status == 400);
  CHECK(pending(rig, 7).size() == 2);
}

TEST_CASE("of a job deleted while it waits neither the job lists nor the history have a trace") {
  Rig rig;
  rig.submit(7, uuid(1));
  rig.post("/user/7/queue", R"({"clear":true})");
  CHECK(jobs(rig, 7) == Ids{});
  CHECK(rig.get("/user/7/api/jobs/" + uuid(1)).status == 404);
  CHECK(rig.get("/user/7/history").json().as_object().empty());
  CHECK(rig.get("/user/7/history/" + uuid(1)).json().as_object().empty());
}

TEST_CASE("an interrupt without a body stops what of one's own runs or is granted, and nothing of others") {
  Rig rig;
  const JobId mine = rig.submit(7, uuid(1));
  const JobId waiting = rig.submit(7, uuid(2));
  const JobId theirs = rig.submit(8, uuid(3));
  rig.join("gpu-1");
  rig.started(mine);
  rig.post("/user/8/queue", "{}");
  rig.join("gpu-2");  // takes 2
  const JobId last = rig.submit(7, uuid(4));
  rig.join("gpu-3");  // takes 3
  rig.started(theirs);
  CHECK(rig.post("/user/7/interrupt").status == 200);
  CHECK(rig.facts(mine).cancel_requested);
  CHECK(rig.facts(waiting).cancel_requested);  // granted: it would start in a moment
  CHECK_FALSE(rig.facts(theirs).cancel_requested);
  CHECK_FALSE(rig.facts(last).cancel_requested);  // waits: not running for ComfyUI
}

TEST_CASE("an interrupt with a prompt_id stops only that one, and only one's own") {
  Rig rig;
  const JobId mine = rig.submit(7, uuid(1));
  const JobId other = rig.submit(7, uuid(2));
  const JobId theirs = rig.submit(8, uuid(3));
  for (const char* gpu : {"a", "b", "c"}) rig.join(gpu);
  for (const JobId job : {mine, other, theirs}) rig.started(job);
  const auto interrupt = [&](const std::string& id) {
    return rig.post("/user/7/api/interrupt", fmt::format(R"({{"prompt_id":"{}"}})", id)).status;
  };
  CHECK(interrupt(uuid(3)) == 200);
  CHECK(interrupt(uuid(9)) == 200);
  CHECK_FALSE(rig.facts(theirs).cancel_requested);
  CHECK(interrupt(uuid(2)) == 200);
  CHECK(rig.facts(other).cancel_requested);
  CHECK_FALSE(rig.facts(mine).cancel_requested);
  CHECK(rig.post("/user/7/interrupt", "no JSON").status == 200);  // counts as none
  CHECK(rig.facts(mine).cancel_requested);
  CHECK(rig.post("/user/7/interrupt", "[]").status == 400);
}

TEST_CASE("nobody unloads everybody's GPU") {
  Rig rig;
  CHECK(rig.post("/user/7/free", R"({"unload_models":true})").status == 200);
}

TEST_CASE("the jobs list has a participant's live and ended jobs and nobody else's") {
  Rig rig;
  const JobId first = rig.submit(7, uuid(1));
  rig.submit(7, uuid(2));
  rig.submit(8, uuid(3));
  rig.join();
  rig.started(first);
  CHECK(jobs(rig, 7, "sort_order=asc") == Ids{uuid(1), uuid(2)});
  CHECK(jobs(rig, 7, "status=in_progress") == Ids{uuid(1)});
  CHECK(jobs(rig, 7, "status=pending") == Ids{uuid(2)});
  CHECK(jobs(rig, 7, "status=completed,failed,cancelled") == Ids{});
  const auto live = rig.get("/user/7/api/jobs").json();
  REQUIRE(live.at("jobs").as_array().size() == 2);
  for (const auto& job : live.at("jobs").as_array()) CHECK(job.at("previewable_outputs_count") == 0);
  rig.commit(first, "9", R"({"images":[{"filename":"cat_00001_.png","subfolder":"","type":"output"}]})");
  rig.computed(first);
  rig.ended(first);
  CHECK(jobs(rig, 7, "status=completed,failed,cancelled&limit=64") == Ids{uuid(1)});
  CHECK(jobs(rig, 8) == Ids{uuid(3)});
  const auto answer = rig.get("/user/7/api/jobs?status=completed").json();
  const auto& job = answer.at("jobs").at(0);
  CHECK(job.at("status") == "completed");
  CHECK(job.at("outputs_count") == 1);
  CHECK(job.at("previewable_outputs_count") == 1);
  CHECK(job.at("preview_output").at("filename") == "cat_00001_.png");
  CHECK(job.at("create_time").is_int64());
  CHECK(job.at("execution_start_time").is_int64());
  CHECK(job.at("execution_end_time").is_int64());
  CHECK(answer.at("pagination").at("total") == 1);
  CHECK(answer.at("pagination").at("has_more") == false);
  CHECK(rig.get("/user/7/api/jobs?status=nonsense").status == 400);
}

TEST_CASE("a job's detail has its workflow, after the end its outputs and status, and is 404 for others") {
  Rig rig;
  const JobId job = rig.submit(7, uuid(1), "tab");
  const std::string path = "/api/jobs/" + uuid(1);
  auto detail = rig.get("/user/7" + path).json();
  CHECK(detail.at("status") == "pending");
  CHECK(detail.at("workflow").at("prompt").at("9").at("class_type") == "SaveImage");
  CHECK_FALSE(detail.as_object().contains("outputs"));
  CHECK(rig.get("/user/8" + path).status == 404);
  rig.join();
  rig.started(job);
  rig.commit(job, "9", R"({"images":[{"filename":"cat_00001_.png","subfolder":"","type":"output"}]})");
  rig.computed(job);
  rig.ended(job);
  detail = rig.get("/user/7" + path).json();
  CHECK(detail.at("status") == "completed");
  CHECK(detail.at("outputs").at("9").at("images").at(0).at("filename") == "cat_00001_.png");
  // The rig links no names.
  CHECK(detail.at("outputs").at("9").at("images").at(0).at("missing") == true);
  files::write_text(rig.folder / "data/participants/7/output/cat_00001_.png", "a picture");
  detail = rig.get("/user/7" + path).json();
  CHECK_FALSE(detail.at("outputs").at("9").at("images").at(0).as_object().contains("missing"));
  CHECK(detail.at("execution_status").at("status_str") == "success");
  CHECK(detail.at("workflow").at("extra_data").at("client_id") == "tab");
  CHECK(rig.get("/user/8" + path).status == 404);
  CHECK(rig.get("/user/7/api/jobs/" + uuid(9)).status == 404);
}

TEST_CASE("a failed job lists the engine's error") {
  Rig rig;
  const JobId job = rig.submit(7, uuid(1));
  rig.join();
  rig.started(job);
  rig.computed(job);
  rig.ended(job, core::Outcome::failed,
            R"({"type":"execution_error","data":{"prompt_id":"p","exception_message":"out of memory"}})");
  const auto answer = rig.get("/user/7/api/jobs?status=failed").json();
  CHECK(answer.at("jobs").at(0).at("execution_error").at("exception_message") == "out of memory");
  CHECK(jobs(rig, 7, "status=completed") == Ids{});
}

TEST_CASE("a cancel by its id ends one's own waiting job and says whether it did anything") {
  Rig rig;
  rig.submit(7, uuid(1));
  const std::string path = fmt::format("/api/jobs/{}/cancel", uuid(1));
  CHECK(rig.post("/user/8" + path).json().at("cancelled") == false);
  CHECK(rig.workshop->core().jobs_live() == 1);
  CHECK(rig.post("/user/7" + path).json().at("cancelled") == true);
  CHECK(rig.workshop->core().jobs_live() == 0);
  CHECK(rig.post("/user/7" + path).json().at("cancelled") == false);
}

TEST_CASE("a cancel of several ends the own ones of them, and refuses what is no id") {
  Rig rig;
  for (int i = 1; i <= 3; ++i) rig.submit(i == 3 ? 8 : 7, uuid(i));
  const auto cancel = [&](const std::string& ids) {
    return rig.post("/user/7/api/jobs/cancel", fmt::format(R"({{"job_ids":{}}})", ids));
  };
  const std::string shouted = "ABCDEF00-0000-4000-8000-000000000001";
  const Reply bad = cancel(fmt::format(R"(["{}","nope","{}",7,null,["a"]])", uuid(1), shouted));
  CHECK(bad.status == 400);
  CHECK(bad.json().at("error") == "job_ids contains invalid id(s)");
  CHECK(bad.json().at("invalid_ids") == json::array{"nope", shouted, "7", "None", "['a']"});
  CHECK(rig.workshop->core().jobs_live() == 3);
  CHECK(cancel("7").status == 400);
  const Reply no_json = rig.post("/user/7/api/jobs/cancel", "no JSON");
  CHECK(no_json.status == 400);
  CHECK(no_json.json().at("error") == "Request body must be valid JSON");
  CHECK(cancel(fmt::format(R"(["{}","{}","{}"])", uuid(1), uuid(3), uuid(9))).json().at("cancelled") == true);
  CHECK(pending(rig, 7) == Ids{uuid(2)});
  CHECK(pending(rig, 8) == Ids{uuid(3)});
  CHECK(cancel(fmt::format(R"(["{}"])", uuid(3))).json().at("cancelled") == false);
  rig.submit(7, "chosen by a script");
  CHECK(cancel(R"(["chosen by a script"])").json().at("cancelled") == true);
}

TEST_CASE("a running job that is cancelled is shown running until it has stopped") {
  Rig rig;
  const JobId job = rig.submit(7, uuid(1));
  rig.join();
  rig.started(job);
  CHECK(rig.post(fmt::format("/user/7/api/jobs/{}/cancel", uuid(1))).json().at("cancelled") == true);
  CHECK(running(rig, 7) == Ids{uuid(1)});
  CHECK(rig.post(fmt::format("/user/7/api/jobs/{}/cancel", uuid(1))).json().at("cancelled") == false);
  rig.ended(job, core::Outcome::cancelled);
  CHECK(running(rig, 7) == Ids{});
  CHECK(rig.get("/user/7/api/jobs").json().at("jobs").at(0).at("status") == "cancelled");
}

}  // namespace
}  // namespace atelier::gateway::test
