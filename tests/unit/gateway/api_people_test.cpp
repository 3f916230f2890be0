// SPDX-License-Identifier: MIT
// What the API does with the queue as a whole, with participants and with workers.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <boost/json.hpp>

#include "unit/gateway/rig.hpp"

namespace atelier::gateway::test {
namespace {

namespace json = boost::json;
using enum net::Method;

TEST_CASE("mode, pause and hold of everybody are set together, survive a restart, and one undo resets them") {
  Rig rig;
  const Reply reply = rig.api(patch, "/queue", R"({"mode":"priority","paused":true,"held":true})");
  CHECK(reply.status == 200);
  const json::value queue = reply.json().at("queue");
  CHECK(queue.at("mode") == "priority");
  CHECK(queue.at("paused") == true);
  CHECK(queue.at("held") == true);
  CHECK(rig.get("/api/queue/status").json().at("mode") == "priority");
  CHECK(text(reply.json().at("undo").at("body")) == R"({"mode":"fifo","paused":false,"held":false})");

  auto journal = journal::memory::open(rig.runtime, rig.store);
  workshop::WorkshopOptions options;
  options.first_mode = core::QueueMode::round_robin;  // that of a new workshop only
  workshop::Workshop again(rig.runtime, *journal, options);
  REQUIRE(rig.run(again.open()).has_value());
  CHECK(again.core().workshop().mode == core::QueueMode::priority);
  CHECK(again.core().workshop().paused);
  CHECK(again.core().workshop().everyone_held);

  CHECK(rig.api(patch, "/queue", text(reply.json().at("undo").at("body"))).json().at("changed") == true);
  CHECK(rig.api(patch, "/queue", R"({"mode":"fifo"})").json().at("changed") == false);
}

TEST_CASE("a participant chooses their own worker where the workshop lets them, and nobody else's") {
  RigOptions options;
  SUBCASE("the instructor chooses") {
    Rig rig(options);
    rig.join();
    const std::string token = Rig::kTokens.token_of(ParticipantId{7});
    const Reply choice = rig.api(get, "/participants/7/worker", "", token);
    CHECK(choice.json().at("may_choose") == false);
    CHECK(rig.api(patch, "/participants/7/worker", R"({"pinned_worker":"gpu-1"})", token).status == 409);
    CHECK(rig.api(patch, "/participants/7/worker", R"({"pinned_worker":"gpu-1"})").status == 200);
    CHECK(rig.api(get, "/participants/7/worker", "", token).json().at("pinned_worker") == "gpu-1");
  }
  SUBCASE("participants choose") {
    options.instructor.participants_choose_worker = true;
    Rig rig(options);
    rig.join();
    const std::string token = Rig::kTokens.token_of(ParticipantId{7});
    const JobId waiting = [&] {
      rig.api(patch, "/queue", R"({"paused":true})");
      return rig.submit(7, uuid(1));
    }();
    const json::value choice = rig.api(get, "/participants/7/worker", "", token).json();
    CHECK(choice.at("may_choose") == true);
    CHECK(choice.at("workers").at(0).at("worker") == "gpu-1");
    CHECK(choice.at("workers").at(0).at("connected") == true);
    CHECK(rig.api(patch, "/participants/7/worker", R"({"pinned_worker":"gpu-9"})", token).status == 422);
    CHECK(rig.api(patch, "/participants/7/worker", R"({})", token).status == 422);
    CHECK(rig.api(patch, "/participants/7/worker", R"({"held":true,"pinned_worker":""})", token).status ==
          422);
    CHECK(rig.api(patch, "/participants/8/worker", R"({"pinned_worker":"gpu-1"})", token).status == 404);
    CHECK(rig.api(get, "/participants/8/worker", "", token).status == 404);
    CHECK(rig.api(patch, "/participants/7", R"({"pinned_worker":"gpu-1"})", token).status == 403);
    const json::value done =
        rig.api(patch, "/participants/7/worker", R"({"pinned_worker":"gpu-1"})", token).json();
    CHECK(done.at("participant").at("pinned_worker") == "gpu-1");
    CHECK(rig.facts(waiting).submitted.pinned_worker == "gpu-1");
    CHECK(rig.facts(rig.submit(7, uuid(2))).submitted.pinned_worker == "gpu-1");
    const std::string undo = text(done.at("undo").at("path"));
    CHECK(rig.api(patch, undo.substr(undo.find("/participants")), text(done.at("undo").at("body")), token)
              .json()
              .at("changed") == true);
    CHECK(rig.facts(waiting).submitted.pinned_worker.empty());
  }
}

TEST_CASE("the configured mode is that of a new workshop") {
  RigOptions options;
  options.workshop.first_mode = core::QueueMode::round_robin;
  Rig rig(options);
  CHECK(rig.api(get, "/queue").json().at("queue").at("mode") == "round_robin");
}

TEST_CASE(
    "paused, what runs goes on and nothing starts; held, nobody's jobs start, also of who comes later") {
  Rig rig;
  const JobId running = rig.submit(1, uuid(1));
  rig.join();
  rig.api(patch, "/queue", R"({"paused":true})");
  const JobId next = rig.submit(1, uuid(2));
  rig.finish(running);
  CHECK(rig.facts(next).state == core::JobState::queued);
  rig.api(patch, "/queue", R"({"paused":false,"held":true})");
  const JobId later = rig.submit(5, uuid(3));
  CHECK(rig.facts(next).state == core::JobState::queued);
  CHECK(rig.facts(later).state == core::JobState::queued);
  rig.api(patch, "/queue", R"({"held":false})");
  CHECK(rig.facts(next).state == core::JobState::leased);
}

TEST_CASE("counts of the queue are those of its jobs' states") {
  Rig rig;
  for (int i = 1; i <= 5; ++i) rig.submit(i, uuid(i));
  rig.join("gpu-1");
  rig.finish(JobId{1});
  rig.started(JobId{2});
  rig.join("gpu-2");
  rig.api(patch, "/jobs/4", R"({"held":true})");
  const json::value jobs = rig.api(get, "/queue").json().at("queue").at("jobs");
  const json::value status = rig.get("/api/queue/status").json();
  CHECK(status.at("pending") == 2);  // what is held waits, too
  CHECK(status.at("running") == 2);
  CHECK(text(jobs) ==
        R"({"queued":1,"held":1,"leased":1,"running":1,"succeeded":1,"failed":0,"cancelled":0})");
}

/// Of all jobs of the queue: number, state and place.
std::vector<std::string> shown(Rig& rig) {
  std::vector<std::string> all;
  for (const json::value& job : rig.api(get, "/queue").json().at("jobs").as_array())
    all.push_back(fmt::format("{} {} {}", text(job.at("job")), text(job.at("state")), text(job.at("place"))));
  return all;
}

TEST_CASE("jobs of who is on hold are shown and counted as held, and places are those of the others") {
  using Lines = std::vector<std::string>;
  Rig rig;
  rig.submit(7, uuid(1));
  rig.submit(8, uuid(2));
  rig.submit(8, uuid(3));
  rig.record(core::ParticipantHeld{ParticipantId{7}, true, "test"});
  rig.api(patch, "/jobs/3", R"({"held":true})");
  const auto counts = [&] {
    const json::value jobs = rig.api(get, "/queue").json().at("queue").at("jobs");
    return fmt::format("{} {}", text(jobs.at("queued")), text(jobs.at("held")));
  };
  CHECK(shown(rig) == Lines{"1 held null", "2 queued 1", "3 held null"});
  CHECK(counts() == "1 2");
  CHECK(rig.api(get, "/jobs/1").json().at("job").at("held") == false);  // it is not held by itself
  rig.api(patch, "/queue", R"({"held":true})");
  CHECK(shown(rig) == Lines{"1 held null", "2 held null", "3 held null"});
  CHECK(counts() == "0 3");
  rig.api(patch, "/queue", R"({"held":false})");
  rig.api(patch, "/participants/7", R"({"held":false})");
  CHECK(shown(rig) == Lines{"1 queued 1", "2 queued 2", "3 held null"});
  rig.api(post, "/jobs/1/cancel");
  CHECK(shown(rig) == Lines{"1 held null", "2 queued 1", "3 held null"});
  CHECK(counts() == "1 2");
}

TEST_CASE("the instructor's own jobs are not on hold with everybody's") {
  Rig rig;
  core::Submitted own;
  own.prompt_id = uuid(1);
  const auto made = rig.run(
      rig.workshop->submit(std::move(own), std::make_shared<const std::string>(prompt_body(uuid(1)))));
  REQUIRE(made.has_value());
  rig.submit(7, uuid(2));
  rig.api(patch, "/queue", R"({"held":true})");
  CHECK(shown(rig) == std::vector<std::string>{"1 queued 1", "2 held null"});
  CHECK(rig.api(get, "/queue").json().at("queue").at("jobs").at("queued") == 1);
}

TEST_CASE("a held participant's jobs wait, those of others do not") {
  Rig rig;
  CHECK(rig.api(patch, "/participants/7", R"({"held":true})").json().at("participant").at("held") == true);
  const JobId held = rig.submit(7, uuid(1));
  const JobId other = rig.submit(8, uuid(2));
  rig.join();
  CHECK(rig.facts(held).state == core::JobState::queued);
  CHECK(rig.facts(other).state == core::JobState::leased);
  rig.finish(other);
  const Reply released = rig.api(patch, "/participants/7", R"({"held":false})");
  CHECK(text(released.json().at("undo").at("body")) == R"({"held":true})");
  CHECK(rig.facts(held).state == core::JobState::leased);
}

TEST_CASE("caps on waiting and on running bind the participant they were set for") {
  Rig rig;
  CHECK(rig.api(patch, "/participants/7", R"({"waiting_max":2,"running_max":1})").status == 200);
  rig.submit(7, uuid(1));
  rig.submit(7, uuid(2));
  CHECK(rig.post("/user/7/prompt", prompt_body(uuid(3))).status == 429);
  rig.submit(8, uuid(4));
  rig.submit(8, uuid(5));
  rig.submit(8, uuid(6));
  for (const char* gpu : {"a", "b", "c", "d", "e"}) rig.join(gpu);
  CHECK(rig.workshop->core().counts(ParticipantId{7}).leased == 1);
  CHECK(rig.workshop->core().counts(ParticipantId{8}).leased == 3);
  CHECK(rig.api(patch, "/participants/7", R"({"waiting_max":2.0})").json().at("changed") == false);
  CHECK(rig.api(patch, "/participants/7", R"({"waiting_max":2.5})").status == 422);
  // Only what is named changes.
  rig.api(patch, "/participants/7", R"({"weight_milli":500})");
  const json::value after = rig.api(get, "/participants/7").json().at("participant");
  CHECK(after.at("waiting_max") == 2);
  CHECK(after.at("running_max") == 1);
  CHECK(after.at("weight_milli") == 500);
}

TEST_CASE("who has used up the allowance waits until there is more") {
  Rig rig;
  rig.api(patch, "/participants/7", R"({"allowance_ms":100})");
  const JobId first = rig.submit(7, uuid(1));
  const JobId second = rig.submit(7, uuid(2));
  rig.join();
  rig.started(first);
  rig.runtime.advance(milliseconds{200});
  rig.computed(first);  // 100 ms of GPU time
  rig.ended(first);
  CHECK(rig.api(get, "/participants/7").json().at("participant").at("used_ms") == 100);
  CHECK(rig.facts(second).state == core::JobState::queued);
  rig.api(patch, "/participants/7", R"({"allowance_ms":200})");
  CHECK(rig.facts(second).state == core::JobState::leased);
}

TEST_CASE("a participant's level is that of their waiting jobs and of those they submit, but not of others") {
  Rig rig;
  rig.api(patch, "/queue", R"({"mode":"priority"})");
  const JobId before = rig.submit(7, uuid(1));
  const JobId own_level = rig.submit(7, uuid(2));
  rig.api(patch, "/jobs/2", R"({"priority":"low"})");
  rig.api(patch, "/participants/7", R"({"priority":"high"})");
  const JobId after = rig.submit(7, uuid(3));
  const JobId other = rig.submit(8, uuid(4));
  const auto level = [&](JobId job) { return rig.facts(job).submitted.priority; };
  CHECK(level(before) == core::PriorityLevel::high);
  CHECK(level(own_level) == core::PriorityLevel::low);
  CHECK(level(after) == core::PriorityLevel::high);
  CHECK(level(other) == core::PriorityLevel::normal);
}

TEST_CASE("a participant's worker takes their waiting jobs and those they submit, and nobody else's") {
  Rig rig;
  rig.api(patch, "/queue", R"({"paused":true})");
  rig.join("gpu-1");
  rig.join("gpu-2");
  const JobId before = rig.submit(3, uuid(1));
  const JobId pinned = rig.submit(3, uuid(2));
  const JobId other = rig.submit(4, uuid(3));
  rig.api(patch, fmt::format("/jobs/{}", pinned), R"({"pinned_worker":"gpu-1"})");
  const Reply reply = rig.api(patch, "/participants/3", R"({"pinned_worker":"gpu-2"})");
  CHECK(reply.status == 200);
  CHECK(reply.json().at("participant").at("pinned_worker") == "gpu-2");
  CHECK(text(reply.json().at("undo").at("body")) == R"({"pinned_worker":""})");
  const JobId after = rig.submit(3, uuid(4));
  CHECK(rig.facts(before).submitted.pinned_worker == "gpu-2");
  CHECK(rig.facts(pinned).submitted.pinned_worker == "gpu-1");  // the instructor's own choice stays
  CHECK(rig.facts(after).submitted.pinned_worker == "gpu-2");
  CHECK(rig.facts(other).submitted.pinned_worker.empty());
  CHECK(rig.api(patch, "/participants/3", R"({"pinned_worker":"gpu-9"})").status == 422);
  CHECK(rig.api(patch, "/participants/3", text(reply.json().at("undo").at("body"))).status == 200);
  CHECK(rig.facts(after).submitted.pinned_worker.empty());
}

TEST_CASE("there are as many participants as seats, and a participant sees only themselves") {
  Rig rig;
  CHECK(rig.api(get, "/participants").json().at("participants").as_array().size() == 20);
  for (const char* path : {"/participants/0", "/participants/21", "/participants/07", "/participants/x"}) {
    CAPTURE(path);
    CHECK(rig.api(get, path).status == 404);
    CHECK(rig.api(patch, path, R"({"held":true})").status == 404);
  }
  CHECK(rig.api(patch, "/participants/1", R"({"weight_milli":0})").status == 422);
  const std::string token = Rig::kTokens.token_of(ParticipantId{7});
  CHECK(rig.api(get, "/participants", "", token).json().at("participants").as_array().size() == 1);
  CHECK(rig.api(get, "/participants/8", "", token).status == 404);
}

TEST_CASE("a drained or paused worker takes no job, and a tag lets it take those that ask for it") {
  Rig rig;
  rig.join("gpu 1/a");
  const std::string path = "/workers/gpu%201%2Fa";
  CHECK(rig.api(patch, path, R"({"draining":true})").json().at("worker").at("draining") == true);
  const JobId job = rig.submit(7, uuid(1));
  CHECK(rig.facts(job).state == core::JobState::queued);
  const Reply paused = rig.api(patch, path, R"({"draining":false,"paused":true})");
  CHECK(text(paused.json().at("undo").at("path")) == "/api/v1" + path);
  CHECK(rig.facts(job).state == core::JobState::queued);
  rig.api(patch, "/jobs/1", R"({"tags":["big"]})");
  rig.api(patch, path, R"({"paused":false})");
  CHECK(rig.facts(job).state == core::JobState::queued);
  for (const char* const tags : {R"(["a\nb"])", R"(["\u0000"])", R"(["ok","\u007f"])", R"(["\u001b[1m"])"}) {
    const std::string body = fmt::format(R"({{"tags":{}}})", tags);
    for (const std::string& what : {path, std::string("/jobs/1")}) {
      const Reply refused = rig.api(patch, what, body);
      CHECK_MESSAGE(refused.status == 422, body);
      CHECK(text(refused.json().at("detail")).find("without control characters") != std::string::npos);
    }
  }
  CHECK(rig.api(patch, path, R"({"tags":["big","b"]})").json().at("worker").at("tags") ==
        json::value{"b", "big"});
  CHECK(rig.facts(job).state == core::JobState::leased);
  const json::value worker = rig.api(get, "/workers").json().at("workers").at(0);
  CHECK(worker.at("connected") == true);
  CHECK(worker.at("slots").at(0).at("job") == 1);
  CHECK(rig.api(get, "/workers/gpu-9").status == 404);
  CHECK(rig.api(patch, "/workers/gpu-9", R"({"paused":true})").status == 404);
}

}  // namespace
}  // namespace atelier::gateway::test
