// SPDX-License-Identifier: MIT
// /api/v1/events: who gets in, snapshots, deltas, going on where one was, and slow readers.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <boost/json.hpp>
#include <memory>
#include <set>

#include "unit/gateway/api_socket.hpp"

namespace atelier::gateway::test {
namespace {

namespace json = boost::json;
using enum net::Method;

TEST_CASE("a snapshot comes first, then what changes, each object whole") {
  Rig rig;
  rig.submit(7, uuid(1));
  rig.join("gpu-1");
  ApiSocket socket(rig, "");
  const auto first = socket.take();
  REQUIRE(first.size() >= 1);
  CHECK(first[0].at("type") == "snapshot");
  CHECK(first[0].at("jobs").as_array().size() == 1);
  CHECK(first[0].at("participants").as_array().size() == 20);
  CHECK(first[0].at("workers").at(0).at("worker") == "gpu-1");
  CHECK(first[0].at("sequence") == rig.workshop->core().workshop().last_sequence.value);
  rig.started(JobId{1});
  const JobId waiting = rig.submit(8, uuid(2));
  const auto changes = socket.changes();
  const auto jobs = only(changes, "job");
  REQUIRE(jobs.size() == 2);
  CHECK(jobs[0].at("state") == "running");
  CHECK(jobs[1].at("job") == waiting.value);
  CHECK(only(changes, "participant").size() == 2);
  CHECK(only(changes, "queue").at(0).at("jobs").at("running") == 1);
  rig.computed(JobId{1});
  rig.ended(JobId{1});
  const auto ended = socket.changes();
  CHECK(only(ended, "job_gone") == std::vector<json::value>{1});
  CHECK(only(ended, "job").back().at("state") == "succeeded");
  rig.api(patch, "/queue", R"({"mode":"priority"})");
  CHECK(only(socket.changes(), "queue").at(0).at("mode") == "priority");
  rig.api(patch, "/workers/gpu-1", R"({"paused":true})");
  CHECK(only(socket.changes(), "worker").at(0).at("paused") == true);
  rig.api(patch, "/participants/9", R"({"held":true})");
  CHECK(only(socket.changes(), "participant").at(0).at("participant") == 9);
}

TEST_CASE("a hold of a participant, or of everybody, tells the jobs that are shown as held by it") {
  Rig rig;
  const JobId own = rig.submit(7, uuid(1));
  rig.submit(8, uuid(2));
  ApiSocket socket(rig, "");
  socket.take();
  const auto states = [&socket] {
    std::string all;
    for (const json::value& job : only(socket.changes(), "job"))
      all += fmt::format("{}{} {}", all.empty() ? "" : ", ", text(job.at("job")), text(job.at("state")));
    return all;
  };
  rig.api(patch, "/participants/7", R"({"held":true})");
  CHECK(states() == "1 held");
  rig.api(patch, "/queue", R"({"held":true})");
  CHECK(states() == "1 held, 2 held");
  rig.api(patch, "/participants/7", R"({"held":false})");
  CHECK(states() == "1 held");
  rig.api(patch, "/queue", R"({"held":false})");
  CHECK(states() == "1 queued, 2 queued");
  CHECK(rig.facts(own).state == core::JobState::queued);
}

TEST_CASE("many changes make at most ten messages a second, and none make a tick each second") {
  Rig rig;
  ApiSocket socket(rig, "");
  socket.take();
  std::size_t deltas = 0;
  for (int i = 1; i <= 100; ++i) {
    rig.submit(1 + i % 20, uuid(i));
    rig.runtime.advance(milliseconds{10});
  }
  deltas = socket.take().size();
  CHECK(deltas >= 5);
  CHECK(deltas <= 12);
  rig.runtime.advance(milliseconds{3'000});  // and the standings of them all
  socket.take();
  socket.ticks = 0;
  for (int i = 0; i < 30; ++i) rig.runtime.advance(milliseconds{100});
  CHECK(socket.take().empty());
  CHECK(socket.ticks >= 1);
  CHECK(socket.sequence == rig.workshop->core().workshop().last_sequence.value);
}

TEST_CASE("who was away for a moment gets what came meanwhile, who was away too long a snapshot") {
  Rig rig;
  ApiSocket stays(rig, "");
  std::uint64_t last = 0;
  {
    ApiSocket socket(rig, "");
    socket.take();
    rig.submit(7, uuid(1));
    CHECK(only(socket.changes(), "job").size() == 1);
    last = socket.sequence;
  }
  rig.submit(8, uuid(2));
  stays.take();
  ApiSocket again(rig, fmt::format("?since={}", last));
  const auto jobs = only(again.changes(), "job");
  REQUIRE(jobs.size() == 1);
  CHECK(jobs[0].at("participant") == 8);
  ApiSocket nothing_new(rig, fmt::format("?since={}", again.sequence));
  CHECK(only(nothing_new.changes(), "job").empty());
  ApiSocket too_old(rig, "?since=1");
  CHECK(too_old.take().at(0).at("type") == "snapshot");
  ApiSocket from_the_future(rig, "?since=99999");
  CHECK(from_the_future.take().at(0).at("type") == "snapshot");
  CHECK(ApiSocket(rig, "?since=x").status == 400);
}

void hold_600(Rig& rig) {
  for (std::uint64_t job = 1; job <= 600; ++job) rig.workshop->post(core::JobHeld{JobId{job}, "test"});
  rig.runtime.run_ready();
}

TEST_CASE("many changes at once come in parts, and who leaves between two of them misses nothing") {
  Rig rig;
  for (int i = 1; i <= 600; ++i) rig.submit(1 + i % 20, uuid(i));
  ApiSocket stays(rig, "");
  auto socket = std::make_unique<ApiSocket>(rig, "");
  CHECK(socket->take().at(0).at("jobs").as_array().size() == 600);
  hold_600(rig);
  std::set<std::uint64_t> held;
  const auto note = [&held](const std::vector<json::value>& changes) {
    const auto jobs = only(changes, "job");
    for (const json::value& job : jobs) held.insert(job.at("job").to_number<std::uint64_t>());
    return jobs.size();
  };
  const std::size_t first = note(socket->changes());
  CHECK(first >= 250);
  CHECK(first < 600);
  const std::uint64_t last = socket->sequence;
  socket.reset();
  for (int i = 0; i < 5; ++i) stays.take();
  ApiSocket again(rig, fmt::format("?since={}", last));
  note(again.changes());
  CHECK(held.size() == 600);
}

TEST_CASE("a part that was recorded after a reader left is told, also by the snapshot's own sequence") {
  Rig rig;
  for (int i = 1; i <= 600; ++i) rig.submit(1 + i % 20, uuid(i));
  ApiSocket stays(rig, "");
  stays.take();
  hold_600(rig);
  stays.take();  // the first part: the rest is not told yet
  auto socket = std::make_unique<ApiSocket>(rig, "");
  const auto snapshot = socket->take().at(0);
  REQUIRE(snapshot.at("type") == "snapshot");
  const auto from = snapshot.at("sequence").to_number<std::uint64_t>();
  socket.reset();
  rig.workshop->post(core::JobReleased{JobId{1}, "test"});
  rig.runtime.run_ready();
  for (int i = 0; i < 8; ++i) stays.take();
  ApiSocket again(rig, fmt::format("?since={}", from));
  bool released = false;
  for (const json::value& job : only(again.changes(), "job"))
    released = released || (job.at("job") == 1 && job.at("held") == false);
  CHECK(released);
}

TEST_CASE("from each sequence that was said the rest is told, and nothing twice") {
  Rig rig;
  for (int i = 1; i <= 600; ++i) rig.submit(1 + i % 20, uuid(i));
  ApiSocket stays(rig, "");
  stays.take();
  hold_600(rig);
  // Its snapshot is newer than what the deltas tell that come next.
  ApiSocket socket(rig, "");
  std::vector<std::uint64_t> said;
  std::vector<std::size_t> held;
  std::size_t told = 0;
  const auto snapshot = socket.take();
  REQUIRE(snapshot.at(0).at("type") == "snapshot");
  CHECK(snapshot.at(0).at("sequence") == rig.workshop->core().workshop().last_sequence.value);
  for (int i = 0; i < 8; ++i) {
    for (const json::value& message : stays.take()) {
      const json::array& list = message.at("changes").as_array();
      told += only(std::vector<json::value>(list.begin(), list.end()), "job").size();
      said.push_back(message.at("sequence").to_number<std::uint64_t>());
      held.push_back(told);
    }
  }
  CHECK(told == 600);
  CHECK(said.size() >= 3);
  socket.take();
  CHECK(socket.sequence == rig.workshop->core().workshop().last_sequence.value);
  for (std::size_t i = 0; i < said.size(); ++i) {
    ApiSocket again(rig, fmt::format("?since={}", said[i]));
    CHECK(only(again.changes(), "job").size() == 600 - held[i]);
  }
}

TEST_CASE("a reader who is slow hears no sequence before what it stands for") {
  Rig rig;
  rig.submit(7, uuid(1));
  ApiSocket slow(rig, "");
  slow.take();
  slow.stall(true);
  for (int i = 0; i < 40; ++i) {  // four seconds, each with a tick
    if (i % 7 == 0) rig.record(core::Paused{i % 2 == 0, "test"});
    rig.runtime.advance(milliseconds{100});
  }
  const std::uint64_t before = slow.sequence;
  slow.stall(false);
  std::uint64_t last = before;
  for (const json::value& message : slow.take()) {
    const auto sequence = message.at("sequence").to_number<std::uint64_t>();
    CHECK(sequence >= last);
    last = sequence;
  }
  CHECK(slow.sequence == rig.workshop->core().workshop().last_sequence.value);
}

TEST_CASE("a participant hears a tick each second however much others are told") {
  Rig rig;
  rig.submit(2, uuid(1));
  ApiSocket socket(rig, "", Rig::kTokens.token_of(ParticipantId{1})), all(rig, "");
  socket.take();
  const int before = socket.ticks;
  for (int i = 0; i < 40; ++i) {
    rig.record(core::ParticipantHeld{ParticipantId{2}, i % 2 == 0, "test"});
    socket.take();
  }
  CHECK(socket.ticks >= before + 3);
}

TEST_CASE("an owner hears that a job is gone also when nothing of it is left") {
  Rig rig;
  const JobId job = rig.submit(1, uuid(1));
  ApiSocket socket(rig, "", Rig::kTokens.token_of(ParticipantId{1})),
      other(rig, "", Rig::kTokens.token_of(ParticipantId{2}));
  socket.take();
  other.take();
  rig.post("/user/1/queue", R"({"clear":true})");
  rig.post("/user/1/history", R"({"clear":true})");
  CHECK(only(socket.changes(), "job_gone") == std::vector<json::value>{job.value});
  CHECK(only(other.changes(), "job_gone").empty());
}

TEST_CASE("a minute after the last reader nothing is kept any more") {
  Rig rig;
  std::uint64_t last = 0;
  {
    ApiSocket socket(rig, "");
    socket.take();
    last = socket.sequence;
  }
  rig.submit(7, uuid(1));
  rig.runtime.advance(milliseconds{30'000});
  {
    ApiSocket soon(rig, fmt::format("?since={}", last));
    CHECK(only(soon.changes(), "job").size() == 1);
  }
  rig.submit(7, uuid(2));
  for (int i = 0; i < 8; ++i) rig.runtime.advance(milliseconds{10'000});
  ApiSocket late(rig, fmt::format("?since={}", last));
  CHECK(late.take().at(0).at("type") == "snapshot");
}

TEST_CASE("who comes back when nothing is kept hears of waiting jobs also if the journal has nothing new") {
  Rig rig;
  rig.join();
  rig.submit(7, uuid(1));
  rig.submit(7, uuid(2));
  {
    ApiSocket socket(rig, "");
    socket.take();
  }
  for (int i = 0; i < 8; ++i) rig.runtime.advance(milliseconds{10'000});
  ApiSocket late(rig, fmt::format("?since={}", rig.workshop->core().workshop().last_sequence.value));
  const json::value snapshot = late.take().at(0);
  CHECK(snapshot.at("type") == "snapshot");
  CHECK_FALSE(snapshot.at("waiting").as_array().empty());
}

TEST_CASE("an enrolment and the alarms of its misuse are told to the instructor, and to nobody else") {
  Rig rig;
  ApiSocket instructor(rig, ""), participant(rig, "", Rig::kTokens.token_of(ParticipantId{7}));
  CHECK(instructor.take().at(0).at("enrolments").as_array().empty());
  CHECK_FALSE(participant.take().at(0).as_object().contains("enrolments"));
  REQUIRE(rig.api(post, "/enrolments").status == 201);
  const auto made = only(instructor.changes(), "enrolment");
  REQUIRE(made.size() == 1);
  CHECK(made[0].at("state") == "open");
  core::EnrolmentMisused misused;
  misused.enrolment = EnrolmentId{made[0].at("enrolment").to_number<std::uint64_t>()};
  misused.verdict = core::EnrolmentVerdict::other_worker;
  misused.worker = "gpu-9";
  rig.record(core::Event{std::move(misused)});
  const auto told = only(instructor.changes(), "enrolment");
  REQUIRE(told.size() == 1);
  CHECK(told[0].at("alarms").at(0).at("reason") == "other_worker");
  CHECK(told[0].at("alarms").at(0).at("worker") == "gpu-9");
  ApiSocket late(rig, "");
  CHECK(late.take().at(0).at("enrolments") == json::array(told.begin(), told.end()));
  CHECK(only(participant.changes(), "enrolment").empty());
}

TEST_CASE("a participant's socket tells of their own jobs and of the queue, and of nothing else") {
  Rig rig;
  rig.submit(7, uuid(1));
  rig.submit(8, uuid(2));
  ApiSocket socket(rig, "", Rig::kTokens.token_of(ParticipantId{7}));
  const auto first = socket.take();
  CHECK(first[0].at("jobs").as_array().size() == 1);
  CHECK(first[0].at("participants").as_array().size() == 1);
  CHECK_FALSE(first[0].as_object().contains("workers"));
  CHECK_FALSE(first[0].as_object().contains("order"));
  rig.submit(8, uuid(3));
  rig.join("gpu-1");
  const auto changes = socket.changes();
  CHECK(only(changes, "job").size() == 1);
  CHECK(only(changes, "job").at(0).at("participant") == 7);
  CHECK(only(changes, "worker").empty());
  CHECK(only(changes, "order").empty());
  CHECK(only(changes, "queue").size() >= 1);
}

TEST_CASE("a ticket opens one socket within a minute") {
  Rig rig;
  const auto ticket = [&](const std::string& token) {
    const Reply reply = rig.api(post, "/tickets", R"({"use":"events"})", token);
    CHECK(reply.status == 201);
    return "?ticket=" + text(reply.json().at("ticket"));
  };
  const std::string own = ticket(Rig::kTokens.token_of(ParticipantId{7}));
  ApiSocket socket(rig, own, "");
  CHECK(socket.take().at(0).at("participants").as_array().size() == 1);  // as whose token it was made with
  CHECK(ApiSocket(rig, own, "").status == 401);
  const std::string late = ticket(Rig::kInstructor);
  rig.runtime.advance(milliseconds{60'001});
  CHECK(ApiSocket(rig, late, "").status == 401);
  CHECK(ApiSocket(rig, "?ticket=0", "").status == 401);
  CHECK(rig.api(post, "/tickets", R"({"use":"wall"})").status == 422);
  CHECK(rig.api(post, "/tickets", "{}").status == 422);
}

TEST_CASE("a socket may say who it is in its first message, within ten seconds") {
  Rig rig;
  ApiSocket socket(rig, "", "");
  CHECK(socket.take().empty());
  socket.say(fmt::format(R"({{"token":"{}"}})", Rig::kInstructor));
  CHECK(socket.take().at(0).at("type") == "snapshot");
  for (const char* said : {R"({"token":"x"})", R"({"token":7})", "nonsense", "[]"}) {
    CAPTURE(said);
    ApiSocket wrong(rig, "", "");
    wrong.say(said);
    CHECK(wrong.take().empty());
    CHECK(wrong.closed() == net::CloseCode::policy);
  }
  ApiSocket silent(rig, "", "");
  rig.runtime.advance(milliseconds{10'001});
  CHECK(silent.closed() == net::CloseCode::policy);
  CHECK(ApiSocket(rig, "", "wrong").status == 401);
}

TEST_CASE("strangers' sockets are few, and so are everybody's") {
  Rig rig;
  std::vector<std::unique_ptr<ApiSocket>> sockets;
  for (int i = 0; i < 32; ++i) sockets.push_back(std::make_unique<ApiSocket>(rig, "", ""));
  CHECK(sockets.back()->closed() == net::CloseCode::none);
  CHECK(ApiSocket(rig, "", "").closed() == net::CloseCode::try_again_later);
  sockets.clear();
  const std::string seven = Rig::kTokens.token_of(ParticipantId{7});
  for (int i = 0; i < 4; ++i) sockets.push_back(std::make_unique<ApiSocket>(rig, "", seven));
  CHECK(sockets.back()->closed() == net::CloseCode::none);
  CHECK(ApiSocket(rig, "", seven).closed() == net::CloseCode::try_again_later);
  CHECK(ApiSocket(rig, "").closed() == net::CloseCode::none);  // the instructor's are counted apart
}

TEST_CASE("a reader that reads nothing is closed with 1013, and others go on") {
  Rig rig;
  for (int i = 1; i <= 1'000; ++i) rig.submit(1 + i % 20, uuid(i));
  ApiSocket slow(rig, ""), other(rig, "");
  slow.take();
  other.take();
  slow.stall(true);
  for (int round = 0; round < 240; ++round) {  // of a hundred kilobytes each
    for (int job = 1; job <= 250; ++job) {
      rig.workshop->post(core::JobHeld{JobId{static_cast<std::uint64_t>(job)}, "test"});
      rig.workshop->post(core::JobReleased{JobId{static_cast<std::uint64_t>(job)}, "test"});
    }
    rig.runtime.run_ready();
    other.take();
  }
  slow.stall(false);
  CHECK(slow.closed() == net::CloseCode::try_again_later);
  CHECK(other.closed() == net::CloseCode::none);
}

TEST_CASE("when the server stops its sockets are closed with 1001") {
  Rig rig;
  ApiSocket socket(rig, "");
  rig.run(rig.instructor->stop(rig.runtime.now() + milliseconds{1'000}));
  CHECK(socket.closed() == net::CloseCode::going_away);
  CHECK(ApiSocket(rig, "").closed() == net::CloseCode::going_away);
}

}  // namespace
}  // namespace atelier::gateway::test
