// SPDX-License-Identifier: MIT
// What the API does with jobs: lists, holds, moves, cancels, one or many.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <array>
#include <boost/json.hpp>

#include "unit/gateway/rig.hpp"

namespace atelier::gateway::test {
namespace {

namespace json = boost::json;
using enum net::Method;

std::string path_of(JobId job, std::string_view rest = "") { return fmt::format("/jobs/{}{}", job, rest); }
std::string token_of(std::uint64_t participant) { return Rig::kTokens.token_of(ParticipantId{participant}); }

/// The numbers of the jobs that wait, in the order in which the API shows them.
std::vector<std::uint64_t> order_of(Rig& rig) {
  std::vector<std::uint64_t> ids;
  for (const json::value& job : rig.api(get, "/queue").json().at("jobs").as_array()) {
    if (job.at("worker").is_null()) ids.push_back(job.at("job").to_number<std::uint64_t>());
  }
  return ids;
}
using Ids = std::vector<std::uint64_t>;

/// Sends the undo of an answer.
Reply undo(Rig& rig, const json::value& answer) {
  const json::value& how = answer.at("undo");
  const std::string method = text(how.at("method"));
  std::string path = text(how.at("path"));
  REQUIRE(path.starts_with("/api/v1/"));
  path.erase(0, 7);
  const std::string body = how.at("body").is_null() ? "" : text(how.at("body"));
  return rig.api(method == "PATCH" ? patch : method == "DELETE" ? delete_ : post, path, body);
}

TEST_CASE("a held job does not start, and starts once it is released; the answer says how to undo") {
  Rig rig;
  const JobId job = rig.submit(7, uuid(1));
  const Reply held = rig.api(patch, path_of(job), R"({"held":true})");
  CHECK(held.status == 200);
  CHECK(held.json().at("job").at("state") == "held");
  CHECK(held.json().at("changed") == true);
  CHECK(held.json().at("sequence") == rig.workshop->core().workshop().last_sequence.value);
  rig.join();
  CHECK(rig.facts(job).state == core::JobState::held);
  const Reply again = rig.api(patch, path_of(job), R"({"held":true})");
  CHECK(again.status == 200);
  CHECK(again.json().at("changed") == false);
  CHECK(again.json().at("undo").is_null());
  CHECK(undo(rig, held.json()).json().at("job").at("held") == false);
  CHECK(rig.facts(job).state == core::JobState::leased);
}

TEST_CASE("what a job cannot do any more is a conflict that says how it stands") {
  Rig rig;
  const JobId job = rig.submit(7, uuid(1));
  rig.join();
  for (const auto& [method, path, body] :
       {std::tuple{patch, path_of(job), R"({"held":true})"},
        std::tuple{post, path_of(job, "/move"), R"({"place":"first"})"},
        std::tuple{delete_, path_of(job, "/move"), ""}, std::tuple{delete_, path_of(job, "/cancel"), ""}}) {
    CAPTURE(path);
    const Reply reply = rig.api(method, path, body);
    CHECK(reply.status == 409);
    CHECK(reply.headers.get("Content-Type") == "application/problem+json");
    CHECK(reply.json().at("detail") == "Job 1 is leased already. Nothing was changed.");
  }
  rig.finish(job);
  CHECK(rig.api(patch, path_of(job), R"({"held":true})").json().at("detail") ==
        "Job 1 has ended: succeeded. Nothing was changed.");
  CHECK(rig.api(post, path_of(job, "/cancel")).status == 409);
  CHECK(rig.api(patch, "/jobs/99", R"({"held":true})").status == 404);
  CHECK(rig.api(patch, "/jobs/0", R"({"held":true})").status == 404);
  CHECK(rig.api(patch, "/jobs/x", R"({"held":true})").status == 404);
}

TEST_CASE("level, worker and tags of a waiting job are set together, and one undo puts them back") {
  Rig rig;
  rig.join("gpu-1");
  rig.submit(8, uuid(9));  // keeps gpu-1 busy
  const JobId job = rig.submit(7, uuid(1));
  const Reply changed =
      rig.api(patch, path_of(job), R"({"priority":"high","pinned_worker":"gpu-1","tags":["b","a","b"]})");
  REQUIRE(changed.status == 200);
  CHECK(changed.json().at("job").at("priority") == "high");
  CHECK(changed.json().at("job").at("pinned_worker") == "gpu-1");
  CHECK(changed.json().at("job").at("tags") == json::value{"a", "b"});
  CHECK(undo(rig, changed.json()).status == 200);
  CHECK(rig.facts(job).submitted.priority == core::PriorityLevel::normal);
  CHECK(rig.facts(job).submitted.pinned_worker.empty());
  CHECK(rig.facts(job).submitted.tags.empty());
  const Reply unknown = rig.api(patch, path_of(job), R"({"pinned_worker":"gpu-9"})");
  CHECK(unknown.status == 422);
  CHECK(unknown.json().at("errors").at(0).at("pointer") == "/pinned_worker");
}

TEST_CASE("a pinned job waits for its worker while another is idle") {
  Rig rig;
  rig.join("gpu-1");
  rig.join("gpu-2");
  rig.api(patch, "/queue", R"({"paused":true})");
  const JobId job = rig.submit(7, uuid(1));
  rig.api(patch, path_of(job), R"({"pinned_worker":"gpu-2"})");
  rig.api(patch, "/workers/gpu-2", R"({"paused":true})");
  rig.api(patch, "/queue", R"({"paused":false})");
  CHECK(rig.facts(job).state == core::JobState::queued);
  rig.api(patch, "/workers/gpu-2", R"({"paused":false})");
  REQUIRE(rig.facts(job).lease);
  CHECK(rig.workshop->core().worker(rig.facts(job).lease->slot.worker)->name == "gpu-2");
}

TEST_CASE("a moved job stands where it was put, wherever that is, and in every mode") {
  Rig rig;
  for (int i = 1; i <= 6; ++i) rig.submit(i, uuid(i));
  REQUIRE(order_of(rig) == Ids{1, 2, 3, 4, 5, 6});
  const auto move = [&](std::uint64_t job, std::string_view place, std::uint64_t anchor = 0) {
    return rig.api(post, path_of(JobId{job}, "/move"),
                   anchor == 0 ? fmt::format(R"({{"place":"{}"}})", place)
                               : fmt::format(R"({{"place":"{}","anchor":{}}})", place, anchor));
  };
  const Reply up = move(6, "before", 3);
  CHECK(order_of(rig) == Ids{1, 2, 6, 3, 4, 5});
  const Reply down = move(1, "after", 4);
  CHECK(order_of(rig) == Ids{2, 6, 3, 4, 1, 5});
  CHECK(move(5, "first").status == 200);
  CHECK(order_of(rig) == Ids{5, 2, 6, 3, 4, 1});
  CHECK(rig.api(get, "/queue").json().at("queue").at("moved") == json::value{5, 6, 1});
  rig.api(patch, "/queue", R"({"mode":"round_robin"})");
  CHECK(order_of(rig) == Ids{5, 2, 6, 3, 4, 1});
  rig.api(patch, "/queue", R"({"mode":"priority"})");
  CHECK(order_of(rig) == Ids{5, 2, 6, 3, 4, 1});
  // Back, the last first: each goes to where it was.
  CHECK(rig.api(delete_, "/jobs/5/move").json().at("undo").at("body").at("list") ==
        json::value{5, 2, 6, 3, 4, 1});
  CHECK(undo(rig, down.json()).status == 200);
  CHECK(undo(rig, up.json()).status == 200);
  CHECK(order_of(rig) == Ids{1, 2, 3, 4, 5, 6});
  CHECK(rig.api(delete_, "/jobs/5/move").json().at("changed") == false);
  // 1 had come along with 6, and left the list with it.
  CHECK(rig.workshop->core().workshop().moved.empty());
}

TEST_CASE("who came along with the last job of the list comes along again when its move is undone") {
  Rig rig;
  for (int i = 1; i <= 5; ++i) rig.submit(i, uuid(i));
  rig.api(post, "/jobs/5/move", R"({"place":"after","anchor":3})");
  REQUIRE(order_of(rig) == Ids{1, 2, 3, 5, 4});
  const Reply first = rig.api(post, "/jobs/5/move", R"({"place":"first"})");
  CHECK(order_of(rig) == Ids{5, 1, 2, 3, 4});
  CHECK(undo(rig, first.json()).status == 200);
  CHECK(order_of(rig) == Ids{1, 2, 3, 5, 4});
  const Reply out = rig.api(delete_, "/jobs/5/move");
  CHECK(order_of(rig) == Ids{1, 2, 3, 4, 5});
  CHECK(undo(rig, out.json()).status == 200);
  CHECK(order_of(rig) == Ids{1, 2, 3, 5, 4});
}

TEST_CASE("in fifo and priority jobs start in the order that is shown") {
  for (const char* mode : {"fifo", "priority"}) {
    CAPTURE(mode);
    Rig rig;
    rig.api(patch, "/queue", fmt::format(R"({{"mode":"{}"}})", mode));
    constexpr std::array kLevels{"normal", "low", "high", "normal", "high", "instructor", "low", "normal"};
    for (int i = 1; i <= 8; ++i) {
      rig.submit(1 + i % 3, uuid(i), "", i == 7 ? R"(,"front":true)" : "");
      rig.api(patch, path_of(JobId{static_cast<std::uint64_t>(i)}),
              fmt::format(R"({{"priority":"{}"}})", kLevels.at(static_cast<std::size_t>(i - 1))));
    }
    rig.api(post, "/jobs/8/move", R"({"place":"before","anchor":5})");
    const Ids shown = order_of(rig);
    CHECK(shown.size() == 8);
    rig.join();
    Ids started;
    while (rig.workshop->core().jobs_live() > 0) {
      JobId next;
      rig.workshop->core().each_job([&](const core::JobFacts& job) {
        if (job.lease) next = job.job;
      });
      REQUIRE(next);
      started.push_back(next.value);
      rig.finish(next);
    }
    CHECK(started == shown);
  }
}

TEST_CASE("moves that make no sense are refused before anything happens") {
  Rig rig;
  for (int i = 1; i <= 3; ++i) rig.submit(i, uuid(i));
  const auto move = [&](std::string body) { return rig.api(post, "/jobs/1/move", std::move(body)); };
  CHECK(move(R"({"place":"before"})").status == 422);
  CHECK(move(R"({"place":"first","anchor":2})").status == 422);
  CHECK(move(R"({"place":"before","anchor":1})").status == 422);
  CHECK(move(R"({"place":"third"})").status == 422);
  CHECK(move("{}").json().at("errors").at(0).at("pointer") == "/place");
  CHECK(move(R"({"place":"before","anchor":99})").status == 404);
  rig.join();
  rig.submit(4, uuid(4));
  CHECK(rig.api(post, "/jobs/2/move", R"({"place":"before","anchor":1})").json().at("detail") ==
        "Job 1 is leased already. Nothing was changed.");
  CHECK(rig.workshop->core().workshop().moved.empty());
}

TEST_CASE("a waiting job that is cancelled is held for ten seconds, then cancelled for good") {
  Rig rig;
  const JobId job = rig.submit(7, uuid(1));
  const Reply reply = rig.api(post, path_of(job, "/cancel"));
  CHECK(reply.json().at("job").at("state") == "held");
  CHECK(reply.json().at("job").at("cancel_at").is_int64());
  CHECK(rig.api(post, path_of(job, "/cancel")).json().at("changed") == false);
  rig.join();
  rig.runtime.advance(milliseconds{9'000});
  CHECK(rig.facts(job).state == core::JobState::held);
  rig.runtime.advance(milliseconds{2'000});
  rig.runtime.run_ready();
  CHECK(rig.workshop->core().job(job) == nullptr);
  CHECK(rig.api(get, path_of(job)).json().at("job").at("state") == "cancelled");
  CHECK(rig.api(delete_, path_of(job, "/cancel")).status == 409);
}

TEST_CASE("a cancel is undone within its time, and asked for at once it is final") {
  Rig rig;
  const JobId job = rig.submit(7, uuid(1));
  const Reply reply = rig.api(post, path_of(job, "/cancel"), R"({"undo_ms":60000})");
  CHECK(undo(rig, reply.json()).json().at("job").at("state") == "queued");
  CHECK(rig.api(delete_, path_of(job, "/cancel")).json().at("changed") == false);
  rig.runtime.advance(milliseconds{61'000});
  CHECK(rig.facts(job).state == core::JobState::queued);
  CHECK(rig.api(post, path_of(job, "/cancel"), R"({"undo_ms":60001})").status == 422);
  const Reply final_one = rig.api(post, path_of(job, "/cancel"), R"({"undo_ms":0})");
  CHECK(final_one.json().at("undo").is_null());
  CHECK(rig.workshop->core().job(job) == nullptr);
}

TEST_CASE("a running job is asked to stop at once, and nothing takes that back") {
  Rig rig;
  const JobId job = rig.submit(7, uuid(1));
  rig.join();
  rig.started(job);
  const Reply reply = rig.api(post, path_of(job, "/cancel"));
  CHECK(reply.json().at("job").at("cancel_requested") == true);
  CHECK(reply.json().at("undo").is_null());
  CHECK(rig.api(delete_, path_of(job, "/cancel")).status == 409);
}

TEST_CASE("one command for many jobs tells each one's result, and one undo takes all back") {
  Rig rig;
  const JobId running = rig.submit(1, uuid(1));
  rig.join();
  for (int i = 2; i <= 4; ++i) rig.submit(i, uuid(i));
  const auto reply = rig.api(post, "/jobs/actions", R"({"action":"hold","jobs":[2,1,3,99]})").json();
  CHECK(reply.at("detail") == "2 held, 2 not: Job 1 is leased already. Nothing was changed.");
  CHECK(reply.at("done") == 2);
  CHECK(reply.at("not_done") == 2);
  CHECK(reply.at("results").at(1).at("problem").at("status") == 409);
  CHECK(reply.at("results").at(3).at("problem").at("status") == 404);
  CHECK(rig.facts(JobId{2}).held);
  CHECK(rig.facts(JobId{3}).held);
  CHECK(undo(rig, reply).json().at("done") == 2);
  CHECK_FALSE(rig.facts(JobId{2}).held);
  CHECK_FALSE(rig.facts(running).held);
}

TEST_CASE("many jobs that are moved stand in the order in which they were named") {
  Rig rig;
  for (int i = 1; i <= 5; ++i) rig.submit(i, uuid(i));
  const auto act = [&](std::string_view rest) {
    return rig.api(post, "/jobs/actions", fmt::format(R"({{"action":"move","jobs":[5,4],{}}})", rest));
  };
  const auto first = act(R"("place":"first")").json();
  CHECK(order_of(rig) == Ids{5, 4, 1, 2, 3});
  const auto reply = act(R"("place":"before","anchor":2)").json();
  CHECK(order_of(rig) == Ids{1, 5, 4, 2, 3});
  CHECK(reply.at("results").at(0).at("undo").is_null());
  undo(rig, reply);
  CHECK(order_of(rig) == Ids{5, 4, 1, 2, 3});
  CHECK(undo(rig, first).json().at("detail") == "2 moved back.");
  CHECK(order_of(rig) == Ids{1, 2, 3, 4, 5});
  CHECK(act(R"("place":"before","anchor":4)").status == 422);
  CHECK(act(R"("place":"before")").status == 422);
}

TEST_CASE("a job that is gone while many are moved takes none of the others along") {
  /// Cancels a job as soon as it is moved.
  struct Canceller final : workshop::EffectSink {
    explicit Canceller(workshop::Workshop& w) : workshop(w) {}
    void on_effects(const core::Entry& entry, std::span<const core::Effect>) override {
      const auto* const moved = std::get_if<core::Moved>(&entry.event);
      if (moved != nullptr && moved->job == JobId{5}) workshop.post(core::CancelRequested{JobId{5}, "test"});
    }
    workshop::Workshop& workshop;
  };
  Rig rig;
  Canceller canceller(*rig.workshop);
  rig.workshop->add_sink(canceller);
  for (int i = 1; i <= 6; ++i) rig.submit(1 + i, uuid(i));
  const auto reply =
      rig.api(post, "/jobs/actions", R"({"action":"move","jobs":[6,5,4,3],"place":"first"})").json();
  CHECK(reply.at("done") == 4);
  CHECK(order_of(rig) == Ids{6, 4, 3, 1, 2});
}

TEST_CASE("of two commands about one thing at once neither loses what the other one set") {
  Rig rig;
  rig.submit(1, uuid(1));
  const auto both = [&](std::string path, std::string one, std::string two) {
    int answered = 0;
    const auto send = [&rig, &answered](std::string target, std::string body) -> awaitable<void> {
      net::StringReader reader(body);
      net::Request request;
      request.method = patch;
      request.target = "/api/v1" + target;
      request.host = "localhost:8188";
      request.headers = {{"Authorization", "Bearer " + Rig::kInstructor},
                         {"Content-Type", "application/json"}};
      request.content_length = body.size();
      request.body = &reader;
      const net::Response response = co_await rig.gateway->handle(request);
      CHECK(response.status == 200);
      ++answered;
    };
    asio::co_spawn(rig.runtime.executor(), send(path, std::move(one)), asio::detached);
    asio::co_spawn(rig.runtime.executor(), send(path, std::move(two)), asio::detached);
    rig.runtime.run_ready();
    CHECK(answered == 2);
  };
  both("/participants/1", R"({"waiting_max":10})", R"({"allowance_ms":60000})");
  CHECK(rig.workshop->core().participant(ParticipantId{1})->waiting_max == 10);
  CHECK(rig.workshop->core().participant(ParticipantId{1})->allowance_ms == 60'000);
  both("/jobs/1", R"({"tags":["a"]})", R"({"priority":"low"})");
  CHECK(rig.facts(JobId{1}).submitted.tags == std::vector<std::string>{"a"});
  CHECK(rig.facts(JobId{1}).submitted.priority == core::PriorityLevel::low);
}

TEST_CASE("many jobs are cancelled with one undo, and changed together") {
  Rig rig;
  for (int i = 1; i <= 3; ++i) rig.submit(i, uuid(i));
  const auto cancelled = rig.api(post, "/jobs/actions", R"({"action":"cancel","jobs":[1,2,3]})").json();
  CHECK(rig.facts(JobId{3}).cancel_at);
  undo(rig, cancelled);
  CHECK_FALSE(rig.facts(JobId{3}).cancel_at);
  CHECK(rig.api(post, "/jobs/actions", R"({"action":"change","jobs":[1,2],"priority":"low"})").status == 200);
  CHECK(rig.facts(JobId{2}).submitted.priority == core::PriorityLevel::low);
  for (const char* body :
       {R"({"action":"hold"})", R"({"jobs":[1]})", R"({"action":"hold","jobs":[]})",
        R"({"action":"hold","jobs":[1],"place":"first"})", R"({"action":"eat","jobs":[1]})",
        R"({"action":"hold","jobs":["1"]})", R"({"action":"hold","jobs":[-1]})"}) {
    CAPTURE(body);
    CHECK(rig.api(post, "/jobs/actions", body).status == 422);
  }
}

TEST_CASE("jobs are listed newest first, by state and owner, page by page") {
  Rig rig;
  for (int i = 1; i <= 5; ++i) rig.submit(i % 2 == 0 ? 8 : 7, uuid(i));
  rig.join();
  rig.finish(JobId{1});
  const auto list = [&](std::string_view query) {
    Ids ids;
    for (const json::value& job : rig.api(get, fmt::format("/jobs?{}", query)).json().at("jobs").as_array())
      ids.push_back(job.at("job").to_number<std::uint64_t>());
    return ids;
  };
  CHECK(list("") == Ids{5, 4, 3, 2, 1});
  CHECK(list("state=queued") == Ids{5, 4, 3});
  CHECK(list("state=leased,succeeded") == Ids{2, 1});
  CHECK(list("participant=8") == Ids{4, 2});
  rig.api(patch, "/participants/8", R"({"held":true})");
  CHECK(list("state=held") == Ids{4});
  CHECK(list("state=queued") == Ids{5, 3});
  rig.api(patch, "/participants/8", R"({"held":false})");
  CHECK(list("limit=2") == Ids{5, 4});
  CHECK(rig.api(get, "/jobs?limit=2").json().at("next_cursor") == "4");
  CHECK(list("limit=2&cursor=4") == Ids{3, 2});
  CHECK(list("limit=2&cursor=2") == Ids{1});
  CHECK(rig.api(get, "/jobs?cursor=2").json().at("next_cursor").is_null());
  CHECK(rig.api(get, "/jobs?state=waiting").status == 400);
  CHECK(rig.api(get, "/jobs?limit=1001").status == 400);
  CHECK(rig.api(get, "/jobs?participant=21").status == 400);
}

TEST_CASE("a participant sees and cancels their own jobs only, and cannot undo the instructor's cancel") {
  Rig rig;
  const JobId own = rig.submit(7, uuid(1));
  const JobId other = rig.submit(8, uuid(2));
  const std::string token = token_of(7);
  CHECK(rig.api(get, "/jobs", "", token).json().at("jobs").as_array().size() == 1);
  CHECK(rig.api(get, "/queue", "", token).json().at("jobs").as_array().size() == 1);
  CHECK(rig.api(get, path_of(other), "", token).status == 404);
  CHECK(rig.api(post, path_of(other, "/cancel"), "", token).status == 404);
  CHECK(rig.api(post, path_of(other, "/move"), R"({"place":"first"})", token).status == 404);
  CHECK(rig.api(patch, path_of(own), R"({"held":true})", token).status == 403);
  CHECK(rig.api(delete_, path_of(own, "/move"), "", token).status == 403);
  CHECK(rig.api(post, "/jobs/actions", R"({"action":"hold","jobs":[1]})", token).status == 403);
  CHECK(rig.api(post, path_of(own, "/cancel"), "", token).status == 200);
  CHECK(rig.api(delete_, path_of(own, "/cancel"), "", token).json().at("job").at("state") == "queued");
  CHECK(rig.api(post, path_of(own, "/cancel")).status == 200);
  CHECK(rig.api(delete_, path_of(own, "/cancel"), "", token).status == 403);
  CHECK(rig.api(delete_, path_of(own, "/cancel")).status == 200);
}

TEST_CASE("a participant puts their own jobs in order, and nobody else's turn changes") {
  Rig rig;
  const std::string token = token_of(7);
  rig.submit(7, uuid(1));
  rig.submit(8, uuid(2));
  rig.submit(7, uuid(3));
  rig.submit(7, uuid(4));
  const auto move = [&](std::uint64_t job, std::string body) {
    return rig.api(post, path_of(JobId{job}, "/move"), std::move(body), token);
  };
  const auto first = move(4, R"({"place":"first"})").json();
  CHECK(order_of(rig) == Ids{4, 2, 1, 3});
  move(3, R"({"place":"before","anchor":1})");
  CHECK(order_of(rig) == Ids{4, 2, 3, 1});
  move(4, R"({"place":"after","anchor":3})");
  CHECK(order_of(rig) == Ids{3, 2, 4, 1});
  move(3, R"({"place":"last"})");
  CHECK(order_of(rig) == Ids{4, 2, 1, 3});
  CHECK(first.at("undo").at("body").at("list") == json::value{1, 3, 4});
  CHECK(move(3, R"({"place":"last"})").json().at("changed") == false);
  CHECK(move(3, R"({"place":"before","anchor":2})").status == 404);  // not theirs
  CHECK(rig.workshop->core().workshop().moved.empty());
}

}  // namespace
}  // namespace atelier::gateway::test
