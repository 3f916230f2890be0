// SPDX-License-Identifier: MIT
// When waiting jobs will be ready, why they wait and why their places got worse, as the API tells it.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>

#include "unit/gateway/api_socket.hpp"

namespace atelier::gateway::test {
namespace {

namespace json = boost::json;
using enum net::Method;

/// The queue's row of a job.
json::value row_of(Rig& rig, JobId job, const std::string& token = Rig::kInstructor) {
  for (const json::value& row : rig.api(get, "/queue", "", token).json().at("jobs").as_array()) {
    if (row.at("job") == job.value) return row;
  }
  return {};
}
/// After the standings have been made anew.
json::value seen(Rig& rig, JobId job) {
  rig.runtime.advance(milliseconds{2'500});
  rig.runtime.run_ready();
  return row_of(rig, job);
}
std::string code_of(const json::value& row) { return text(row.at("waits_because").at("code")); }

/// What a socket has told of waiting jobs, the newest of each.
struct Told {
  void add(const json::value& rows) {
    ++lists;
    for (const json::value& row : rows.as_array()) by_job[row.at("job").to_number<std::uint64_t>()] = row;
  }
  /// The next second's changes.
  void hear(ApiSocket& socket, Rig& rig, milliseconds time = milliseconds{1'000}) {
    rig.runtime.advance(time);
    for (const json::value& rows : only(socket.changes(), "waiting")) add(rows);
  }
  std::map<std::uint64_t, json::value> by_job;
  int lists = 0;
};

TEST_CASE("the queue says of each waiting job when it will be ready, why it waits and why it got worse") {
  Rig rig;
  const JobId running = rig.submit(8, uuid(1));
  const JobId job = rig.submit(7, uuid(2));
  CHECK(code_of(seen(rig, job)) == "no_gpu");
  CHECK(row_of(rig, job).at("ready_at").is_null());
  rig.join();
  const json::value row = seen(rig, job);
  CHECK(code_of(row) == "next");
  CHECK(text(row.at("waits_because").at("sentence")).starts_with("Next when gpu-1 is free, "));
  CHECK(row.at("worse_because").is_null());
  const std::int64_t now = rig.runtime.wall().ms;
  const std::int64_t early = row.at("ready_at").at("early").as_int64();
  const std::int64_t late = row.at("ready_at").at("late").as_int64();
  CHECK(early > now - 60'000);
  CHECK(late > now);
  CHECK(early < late);
  CHECK(early % 60'000 == 0);
  for (const char* member : {"ready_at", "waits_because", "worse_because"})
    CHECK(row_of(rig, running).at(member).is_null());  // it does not wait
  const JobId other = rig.submit(9, uuid(3));
  CHECK(code_of(seen(rig, other)) == "first_come");
  rig.api(post, fmt::format("/jobs/{}/move", other), R"({"place":"first"})");
  const json::value worse = seen(rig, job);
  CHECK(worse.at("worse_because").at("code") == "moved");
  CHECK(text(worse.at("worse_because").at("sentence")).starts_with("Now 2nd, was 1st: "));
  CHECK(code_of(worse) == "listed");
  CHECK(code_of(row_of(rig, other)) == "moved");
  // Their own, for a participant.
  CHECK(code_of(row_of(rig, job, Rig::kTokens.token_of(ParticipantId{7}))) == "listed");
}

TEST_CASE("each thing that keeps a job waiting has its code, and the participant reads the same sentence") {
  Rig rig;
  Tab tab(rig, 7, "mine");
  rig.join();
  rig.submit(8, uuid(1));
  rig.submit(9, uuid(2));
  const JobId job = rig.submit(7, uuid(3));
  const auto code = [&] {
    const json::value row = seen(rig, job);
    std::string pushed;
    for (const std::string& message : tab.take()) {
      if (!message.contains("atelier.queue")) continue;
      const auto value = comfy::Json::parse(message).value().value();
      const auto& jobs = value.at("data").at("jobs").as_array();
      REQUIRE(jobs.size() == 1);
      pushed = text(jobs[0].at("reason"));
    }
    if (!pushed.empty()) CHECK(pushed == text(row.at("waits_because").at("sentence")));
    return code_of(row);
  };
  const std::string path = fmt::format("/jobs/{}", job);
  CHECK(code() == "first_come");
  rig.api(patch, "/queue", R"({"mode":"priority"})");
  CHECK(code() == "first_come");  // none is higher
  rig.api(patch, "/participants/9", R"({"priority":"high"})");
  CHECK(code() == "priority");
  rig.api(patch, "/queue", R"({"mode":"round_robin"})");
  CHECK(code() == "first_come");  // nobody has used more
  rig.api(patch, "/queue", R"({"paused":true})");
  CHECK(code() == "paused");
  rig.api(patch, "/queue", R"({"paused":false})");
  rig.api(patch, path, R"({"held":true})");
  CHECK(code() == "held");
  rig.api(patch, path, R"({"held":false})");
  rig.api(patch, "/queue", R"({"held":true})");
  CHECK(code() == "owner_held");
  rig.api(patch, "/queue", R"({"held":false})");
  rig.api(patch, path, R"({"pinned_worker":"gpu-1"})");
  rig.join("gpu-2");  // it takes 9's
  CHECK(code() == "next");
  rig.api(post, path + "/cancel");
  CHECK(code() == "cancelling");
}

TEST_CASE("a snapshot has a row of each waiting job, and deltas the rows that are new") {
  Rig rig;
  rig.join();
  rig.submit(8, uuid(1));
  const JobId job = rig.submit(7, uuid(2));
  seen(rig, job);
  ApiSocket socket(rig, "");
  const json::value snapshot = socket.take().at(0);
  Told told;
  told.add(snapshot.at("waiting"));
  REQUIRE(told.by_job.size() == 1);  // one runs
  CHECK(code_of(told.by_job.at(job.value)) == "next");
  CHECK(told.by_job.at(job.value).at("ready_at").is_object());
  rig.submit(9, uuid(3));
  told = {};
  for (int i = 0; i < 3; ++i) told.hear(socket, rig);
  CHECK_FALSE(told.by_job.contains(job.value));  // nothing is new of it
  CHECK(code_of(told.by_job.at(3)) == "first_come");
  rig.api(patch, "/queue", R"({"paused":true})");
  for (int i = 0; i < 3; ++i) told.hear(socket, rig);
  CHECK(code_of(told.by_job.at(job.value)) == "paused");
  CHECK(told.by_job.at(job.value).at("ready_at").is_null());
  told = {};
  for (int i = 0; i < 10; ++i) told.hear(socket, rig);
  CHECK(told.lists == 0);  // while nothing changes
}

TEST_CASE("a job that ran and waits again is told anew, though it waits for the same as before") {
  Rig rig;
  rig.submit(7, uuid(1));
  const JobId job = rig.submit(8, uuid(2));
  seen(rig, job);
  ApiSocket socket(rig, "");
  socket.take();
  Told told;
  rig.join();
  for (int i = 0; i < 3; ++i) told.hear(socket, rig);
  CHECK(code_of(told.by_job.at(job.value)) == "next");
  core::Returned back;
  back.job = JobId{1};
  back.epoch = rig.facts(JobId{1}).epoch;
  rig.api(patch, "/queue", R"({"paused":true})");
  rig.record(back);
  for (int i = 0; i < 3; ++i) told.hear(socket, rig);
  CHECK(code_of(told.by_job.at(1)) == "paused");
  ApiSocket late(rig, "");
  CHECK(late.take().at(0).at("waiting").as_array().size() == 2);
}

TEST_CASE("a participant is told of their own waiting jobs only") {
  Rig rig;
  rig.join();
  rig.submit(8, uuid(1));
  rig.submit(8, uuid(2));
  const JobId own = rig.submit(7, uuid(3));
  ApiSocket socket(rig, "", Rig::kTokens.token_of(ParticipantId{7}));
  const json::value snapshot = socket.take().at(0);
  REQUIRE(snapshot.at("waiting").as_array().size() == 1);
  CHECK(snapshot.at("waiting").at(0).at("job") == own.value);
  rig.api(patch, "/queue", R"({"paused":true})");
  Told told;
  for (int i = 0; i < 3; ++i) told.hear(socket, rig);
  CHECK(told.by_job.size() == 1);
  CHECK(code_of(told.by_job.at(own.value)) == "paused");
}

TEST_CASE("what waiting jobs were told in somebody's absence is told when they are back") {
  Rig rig;
  rig.join();
  for (int i = 1; i <= 5; ++i) rig.submit(i, uuid(i));
  ApiSocket stays(rig, "");
  stays.take();
  std::uint64_t last = 0;
  {
    ApiSocket socket(rig, "");
    Told told;
    socket.take();
    for (int i = 0; i < 8; ++i) told.hear(socket, rig);
    last = socket.sequence;
  }
  rig.api(patch, "/queue", R"({"paused":true})");
  for (int i = 0; i < 3; ++i) {
    rig.runtime.advance(milliseconds{1'000});
    stays.take();
  }
  ApiSocket again(rig, fmt::format("?since={}", last));
  Told told;
  for (const json::value& rows : only(again.changes(), "waiting")) told.add(rows);
  REQUIRE(told.by_job.size() == 4);
  for (const auto& [job, row] : told.by_job) CHECK(code_of(row) == "paused");
  CHECK(told.lists == 1);
}

TEST_CASE("a long queue is told in pieces, one a second, who is next first") {
  RigOptions options;
  options.workshop.admission.waiting_per_participant_max = 1'000;
  Rig rig(options);
  for (int i = 1; i <= 3'000; ++i) rig.submit(1 + i % 20, uuid(i));
  rig.runtime.advance(milliseconds{3'000});
  ApiSocket socket(rig, "");
  const json::value snapshot = socket.take().at(0);
  CHECK(snapshot.at("waiting").as_array().size() == 3'000);
  rig.join();  // one starts, all others wait for something else
  rig.api(patch, "/queue", R"({"paused":true})");
  Told told;
  std::size_t pieces = 0;
  for (int second = 0; second < 20 && told.by_job.size() < 2'999; ++second) {
    const int before = told.lists;
    const std::size_t rows = told.by_job.size();
    told.hear(socket, rig);
    CHECK(told.lists <= before + 1);
    CHECK(told.by_job.size() <= rows + 500 + 250);
    if (told.lists > before && pieces++ == 0) CHECK(told.by_job.contains(2));
  }
  CHECK(pieces >= 4);
  CHECK(told.by_job.size() == 2'999);
  for (const auto& [job, row] : told.by_job) REQUIRE(code_of(row) == "paused");
}

}  // namespace
}  // namespace atelier::gateway::test
