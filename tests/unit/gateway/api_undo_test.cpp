// SPDX-License-Identifier: MIT
// One undo for what one command did to several jobs: the queue is as it was before.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <random>

#include "unit/gateway/rig.hpp"

namespace atelier::gateway::test {
namespace {

namespace json = boost::json;
using enum net::Method;
using Ids = std::vector<std::uint64_t>;

struct Queue {
  /// Jobs 1 to `count`, of three participants in turn.
  explicit Queue(int count) {
    for (int i = 1; i <= count; ++i) rig.submit(1 + i % 3, uuid(i));
  }
  /// The jobs that wait, with what keeps them from starting: "1 2h 3".
  std::string order(const std::string& token = Rig::kInstructor) {
    std::vector<std::string> jobs;
    for (const json::value& job : rig.api(get, "/queue", "", token).json().at("jobs").as_array()) {
      if (!job.at("worker").is_null()) continue;
      jobs.push_back(text(job.at("job")) + (job.at("held") == true ? "h" : "") +
                     (job.at("cancel_at").is_null() ? "" : "c"));
    }
    return fmt::format("{}", fmt::join(jobs, " "));
  }
  json::value act(std::string_view action, const Ids& jobs, std::string_view rest = "",
                  const std::string& token = Rig::kInstructor) {
    const Reply reply =
        rig.api(post, "/jobs/actions",
                fmt::format(R"({{"action":"{}","jobs":[{}]{}}})", action, fmt::join(jobs, ","), rest), token);
    INFO(reply.body);
    REQUIRE(reply.status == 200);
    return reply.json();
  }
  json::value undo(const json::value& answer, const std::string& token = Rig::kInstructor) {
    const json::value& how = answer.at("undo");
    REQUIRE(how.is_object());
    CHECK(how.at("path") == "/api/v1/jobs/actions");
    const Reply reply = rig.api(post, "/jobs/actions", text(how.at("body")), token);
    INFO(reply.body);
    REQUIRE(reply.status == 200);
    return reply.json();
  }
  Rig rig;
};

TEST_CASE("several jobs that were moved go back with one undo, and that is undone, too") {
  Queue queue(6);
  const std::string before = queue.order();
  const json::value moved = queue.act("move", {6, 2, 4}, R"(,"place":"first")");
  CHECK(queue.order() == "6 2 4 1 3 5");
  const json::value back = queue.undo(moved);
  CHECK(back.at("detail") == "3 moved back.");
  CHECK(queue.order() == before);
  CHECK(queue.rig.workshop->core().workshop().moved.empty());
  queue.undo(back);
  CHECK(queue.order() == "6 2 4 1 3 5");
}

TEST_CASE("jobs that were moved before stand where they stood then") {
  Queue queue(8);
  queue.rig.api(post, "/jobs/7/move", R"({"place":"before","anchor":3})");
  queue.rig.api(post, "/jobs/5/move", R"({"place":"first"})");
  const std::string before = queue.order();
  REQUIRE(before == "5 1 2 7 3 4 6 8");
  const json::value moved = queue.act("move", {7, 8, 5}, R"(,"place":"after","anchor":4)");
  CHECK(queue.order() == "1 2 3 4 7 8 5 6");
  queue.undo(moved);
  CHECK(queue.order() == before);
  const json::value out = queue.act("undo_move", {5, 7});
  CHECK(queue.order() == "1 2 3 4 5 6 7 8");
  queue.undo(out);
  CHECK(queue.order() == before);
}

TEST_CASE("an undo of several moves passes over what has started meanwhile") {
  Queue queue(8);
  queue.act("move", {4, 5, 6}, R"(,"place":"first")");
  const json::value moved = queue.act("move", {6, 8, 5}, R"(,"place":"last")");
  REQUIRE(queue.order() == "4 6 8 5 1 2 3 7");
  queue.rig.join();  // 4 starts, behind which 5 stood
  const json::value back = queue.undo(moved);
  CHECK(back.at("detail") == "2 moved back.");
  CHECK(queue.order() == "5 6 1 2 3 7 8");
  const json::value again = queue.act("move", {5, 3}, R"(,"place":"last")");
  queue.rig.finish(JobId{4});  // 6 starts
  queue.rig.finish(JobId{6});  // 5 starts
  const json::value partly = queue.undo(again);
  CHECK(partly.at("done") == 1);
  CHECK(partly.at("detail") == "1 moved back, 1 not: Job 5 is leased already. Nothing was changed.");
  CHECK(queue.order() == "1 2 3 7 8");
}

TEST_CASE("held jobs are moved and put back like all others, and stay held") {
  Queue queue(6);
  queue.act("hold", {2, 5});
  const std::string before = queue.order();
  REQUIRE(before == "1 2h 3 4 5h 6");
  const json::value moved = queue.act("move", {5, 6, 1}, R"(,"place":"before","anchor":3)");
  CHECK(queue.order() == "2h 5h 6 1 3 4");
  const json::value released = queue.act("release", {5, 2});
  queue.undo(moved);
  queue.undo(released);
  CHECK(queue.order() == before);
}

TEST_CASE("several jobs that are about to be cancelled come back to their places with one undo") {
  Queue queue(6);
  queue.act("hold", {2});
  queue.act("move", {5}, R"(,"place":"first")");
  const std::string before = queue.order();
  const json::value cancelled = queue.act("cancel", {5, 2, 3});
  CHECK(queue.order() == "5c 1 2hc 3c 4 6");
  queue.rig.join();  // 1 starts
  const json::value back = queue.undo(cancelled);
  CHECK(back.at("detail") == "3 no longer cancelled.");
  CHECK(queue.order() == "5 2h 3 4 6");
  queue.undo(back);
  CHECK(queue.order() == "5c 2hc 3c 4 6");
}

TEST_CASE("what cannot be taken back has no undo, and the rest of the same command has") {
  Queue queue(4);
  queue.rig.join();  // 1 starts
  CHECK(queue.act("cancel", {2}, R"(,"undo_ms":0)").at("undo").is_null());
  const json::value mixed = queue.act("cancel", {1, 3, 99});
  CHECK(mixed.at("done") == 2);
  CHECK(mixed.at("undo").at("body").at("jobs") == json::value{3});
  CHECK(queue.undo(mixed).at("done") == 1);
  CHECK(queue.order() == "3 4");
}

TEST_CASE("several jobs that were changed alike are changed back together") {
  Queue queue(3);
  const json::value changed = queue.act("change", {1, 2}, R"(,"priority":"high","tags":["a"])");
  queue.undo(changed);
  for (const JobId job : {JobId{1}, JobId{2}}) {
    CHECK(queue.rig.facts(job).submitted.priority == core::PriorityLevel::normal);
    CHECK(queue.rig.facts(job).submitted.tags.empty());
  }
  queue.act("change", {1}, R"(,"priority":"low")");
  // One was low and the other was not: each result has its own.
  const json::value unlike = queue.act("change", {1, 2}, R"(,"priority":"high")");
  CHECK(unlike.at("undo").is_null());
  CHECK(unlike.at("results").at(0).at("undo").at("body").at("priority") == "low");
}

TEST_CASE("a participant's level and worker are taken back from the jobs that had got them, and no others") {
  Queue queue(0);
  Rig& rig = queue.rig;
  rig.api(patch, "/queue", R"({"paused":true})");
  rig.join("gpu-1");
  for (int i = 1; i <= 4; ++i) rig.submit(2, uuid(i));
  rig.api(patch, "/jobs/2", R"({"priority":"high"})");
  rig.api(patch, "/jobs/3", R"({"pinned_worker":"gpu-1"})");
  rig.api(patch, "/jobs/4", R"({"priority":"low"})");
  const auto all = [&rig] {
    std::string texts;
    for (std::uint64_t job = 1; job <= 4; ++job) {
      const core::Submitted& submitted = rig.facts(JobId{job}).submitted;
      texts += fmt::format("{} {}; ", core::to_string(submitted.priority), submitted.pinned_worker);
    }
    return texts;
  };
  const std::string before = all();
  CHECK(before == "normal ; high ; normal gpu-1; low ; ");
  for (const char* const change :
       {R"({"priority":"high"})", R"({"pinned_worker":"gpu-1"})",
        R"({"priority":"high","pinned_worker":"gpu-1"})", R"({"priority":"low","held":true})"}) {
    CAPTURE(change);
    const json::value done = rig.api(patch, "/participants/2", change).json();
    const std::string changed = all();
    CHECK(changed != before);
    const json::value undone = rig.api(patch, "/participants/2", text(done.at("undo").at("body"))).json();
    CHECK(all() == before);
    const json::value again = rig.api(patch, "/participants/2", text(undone.at("undo").at("body"))).json();
    CHECK(all() == changed);
    rig.api(patch, "/participants/2", text(again.at("undo").at("body")));
    CHECK(all() == before);
  }
}

TEST_CASE("a participant takes back several moves of their own with one undo") {
  Queue queue(12);
  const std::string token = Rig::kTokens.token_of(ParticipantId{1});
  const std::string before = queue.order(token);
  REQUIRE(before == "3 6 9 12");
  const json::value moved = queue.act("move", {12, 6}, R"(,"place":"first")", token);
  CHECK(queue.order(token) == "12 6 3 9");
  queue.rig.join();  // 1 starts, which is not theirs
  queue.undo(moved, token);
  CHECK(queue.order(token) == before);
  CHECK(queue.rig.workshop->core().workshop().moved.empty());
  CHECK(queue.rig.api(post, "/jobs/actions", R"({"action":"undo_move","jobs":[12]})", token).status == 403);
  const Reply others =
      queue.rig.api(post, "/jobs/actions", R"({"action":"undo_move","jobs":[1],"list":[1,2]})", token);
  CHECK(others.json().at("done") == 0);
}

TEST_CASE("whatever was moved, held and started before, one undo gives the order back") {
  for (std::uint32_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto below = [&random](std::uint64_t n) { return random() % n; };
    constexpr std::uint64_t kJobs = 12;
    Queue queue(static_cast<int>(kJobs));
    constexpr std::array kModes{"fifo", "priority", "round_robin"};
    queue.rig.api(patch, "/queue", fmt::format(R"({{"mode":"{}"}})", kModes.at(below(3))));
    const auto some = [&] {
      Ids jobs;
      for (std::uint64_t job = 1; job <= kJobs; ++job) {
        if (below(4) == 0) jobs.push_back(job);
      }
      std::ranges::shuffle(jobs, random);
      if (jobs.empty()) jobs.push_back(1 + below(kJobs));
      return jobs;
    };
    const auto move = [&] {
      const Ids jobs = some();
      std::uint64_t anchor = 1 + below(kJobs);
      while (std::ranges::find(jobs, anchor) != jobs.end()) anchor = 1 + anchor % kJobs;
      constexpr std::array kPlaces{"first", "last", "before", "after"};
      const std::string place = kPlaces.at(below(4));
      const bool needs = place == "before" || place == "after";
      return queue.act(
          "move", jobs,
          fmt::format(R"(,"place":"{}"{})", place, needs ? fmt::format(R"(,"anchor":{})", anchor) : ""));
    };
    queue.act("hold", some());
    for (std::uint64_t i = below(3); i > 0; --i) move();
    const std::string before = queue.order();
    const json::value moved = move();
    const std::string after = queue.order();
    CAPTURE(before);
    CAPTURE(after);
    CAPTURE(text(moved.at("undo")));
    if (!moved.at("undo").is_null()) queue.undo(moved);
    REQUIRE(queue.order() == before);
  }
}

}  // namespace
}  // namespace atelier::gateway::test
