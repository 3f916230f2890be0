// SPDX-License-Identifier: MIT
// Workers with keys of their own: enrolments of the API, keys pinned once, sessions, alarms, revoking.
#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/signature.hpp"
#include "gateway/worker_link/credentials.hpp"
#include "link/enrolment.hpp"
#include "unit/gateway/far_end.hpp"
#include "unit/gateway/slow_put.hpp"

namespace atelier::gateway::test {
namespace {

namespace json = boost::json;
using enum net::Method;

SigningKey key(std::uint8_t n) { return SigningKey(SigningKey::Seed{n}); }

json::value make(LinkRig& rig, std::string body = "{}") {
  const Reply reply = rig.api(post, "/enrolments", std::move(body));
  REQUIRE(reply.status == 201);
  return reply.json();
}

json::value listed(LinkRig& rig, std::size_t place = 0) {
  return rig.api(get, "/enrolments").json().at("enrolments").at(place);
}

Reply enrol(LinkRig& rig, const std::string& token, std::string_view worker, const SigningKey& by) {
  net::HeaderList headers;
  headers.add("Authorization", "Bearer " + token);
  return rig.worker_request(post, "/worker/enrol",
                            fmt::format(R"({{"worker":"{}","public_key":"{}"}})", worker, by.public_key()),
                            std::move(headers));
}

std::string challenge(LinkRig& rig) {
  return text(rig.worker_request(post, "/worker/challenge").json().at("challenge"));
}

Reply prove(LinkRig& rig, std::string_view worker, const SigningKey& by, const std::string& challenge,
            std::string_view signed_as = "") {
  const std::string proof = by.sign(link::proof_text(signed_as.empty() ? worker : signed_as, challenge));
  return rig.worker_request(
      post, "/worker/session",
      fmt::format(R"({{"worker":"{}","challenge":"{}","signature":"{}"}})", worker, challenge, proof));
}

/// The session's token; "" if it is refused.
std::string session(LinkRig& rig, std::string_view worker, const SigningKey& by) {
  const Reply reply = prove(rig, worker, by, challenge(rig));
  return reply.status == 200 ? text(reply.json().at("token")) : "";
}

unsigned dial(LinkRig& rig, std::string_view worker, const std::string& bearer) {
  net::HeaderList headers = handshake(worker, "1");
  headers.add("Authorization", "Bearer " + bearer);
  return rig.worker_request(get, "/worker/link", "", std::move(headers)).status;
}

/// A worker that has enrolled under this name; gives its session's token.
std::string enrolled(LinkRig& rig, const std::string& worker, const SigningKey& by) {
  REQUIRE(enrol(rig, text(make(rig).at("token")), worker, by).status == 200);
  std::string bearer = session(rig, worker, by);
  REQUIRE_FALSE(bearer.empty());
  return bearer;
}

awaitable<void> open_tunnel(LinkRig& rig, std::string worker,
                            std::vector<std::unique_ptr<net::ByteStream>>& near_ends) {
  auto near_end = co_await rig.link->open_tunnel(std::move(worker), 0);
  if (near_end) near_ends.push_back(std::move(*near_end));
}

TEST_CASE("an enrolment is shown once, with the line that uses it, and its token is kept nowhere") {
  LinkRig rig;
  const json::value made = make(rig, R"({"worker":"gpu-1","minutes":5})");
  const std::string token = text(made.at("token"));
  CHECK(token.starts_with(link::kEnrolmentTokenPrefix));
  CHECK(token.size() == link::kEnrolmentTokenPrefix.size() + 64);
  CHECK(made.at("command") ==
        json::value(fmt::format(
            "curl -fsSL http://localhost:8188/worker/join.sh | ATELIER_ENROL={} sh -s -- --name gpu-1",
            token)));
  const json::value& enrolment = made.at("enrolment");
  CHECK(enrolment.at("state") == "open");
  CHECK(enrolment.at("expires_at").as_int64() - enrolment.at("made_at").as_int64() == 5 * 60'000);
  const Reply list = rig.api(get, "/enrolments");
  CHECK(list.json().at("enrolments").at(0) == enrolment);
  CHECK(list.body.find(token.substr(link::kEnrolmentTokenPrefix.size())) == std::string::npos);
  CHECK(text(make(rig).at("token")) != token);
  CHECK(text(make(rig).at("command")).ends_with(" sh"));
}

TEST_CASE("an enrolment that makes no sense is refused with its mistakes") {
  LinkRig rig;
  for (const char* body : {R"({"minutes":0})", R"({"minutes":1441})", R"({"worker":"a b"})",
                           R"({"worker":7})", R"({"worker":"x';rm"})", R"({"hours":1})"}) {
    CAPTURE(body);
    CHECK(rig.api(post, "/enrolments", body).status == 422);
  }
  CHECK(rig.api(delete_, "/enrolments/1").status == 404);
  CHECK(rig.api(delete_, "/enrolments/x").status == 404);
  CHECK(rig.workshop->core().enrolment(EnrolmentId{1}) == nullptr);
}

TEST_CASE("a key is pinned once; the same again is answered as before, another one is refused and an alarm") {
  LinkRig rig;
  const std::string token = text(make(rig).at("token"));
  CHECK(enrol(rig, token, "gpu-1", key(1)).status == 200);
  const Sequence before = rig.journal->last();
  CHECK(enrol(rig, token, "gpu-1", key(1)).status == 200);  // the answer was lost
  CHECK(rig.journal->last() == before);
  CHECK(listed(rig).at("alarms").as_array().empty());
  for (int i = 0; i < 3; ++i) {
    const Reply reply = enrol(rig, token, "gpu-2", key(2));
    CHECK(reply.status == 403);
    CHECK(reply.body.find("POST /api/v1/enrolments") != std::string::npos);
  }
  CHECK(rig.journal->last().value == before.value + 1);  // the alarm, once
  const json::value used = listed(rig);
  CHECK(used.at("state") == "used");
  CHECK(used.at("used_by") == "gpu-1");
  REQUIRE(used.at("alarms").as_array().size() == 1);
  CHECK(used.at("alarms").at(0).at("reason") == "used");
  CHECK(used.at("alarms").at(0).at("worker") == "gpu-2");
  CHECK(rig.get("/health").json().at("alarms") == 1);
  CHECK(session(rig, "gpu-2", key(2)).empty());
  CHECK_FALSE(session(rig, "gpu-1", key(1)).empty());
  CHECK(rig.api(delete_, "/enrolments/" + text(used.at("enrolment"))).status == 409);
}

TEST_CASE("a token that has expired, was revoked or is for another name is refused, with an alarm for each") {
  LinkRig rig;
  const auto reason = [&](const json::value& made) {
    const auto number = made.at("enrolment").at("enrolment").as_int64();
    const core::EnrolmentFacts* facts =
        rig.workshop->core().enrolment(EnrolmentId{static_cast<std::uint64_t>(number)});
    REQUIRE(facts != nullptr);
    return facts->misuses.empty() ? "" : std::string(core::to_string(facts->misuses.back().verdict));
  };
  const json::value bound = make(rig, R"({"worker":"gpu-1"})"), expires = make(rig, R"({"minutes":1})");
  const json::value revoked = make(rig);
  CHECK(enrol(rig, text(bound.at("token")), "gpu-2", key(1)).status == 403);
  CHECK(reason(bound) == "other_worker");
  const std::string path = "/enrolments/" + text(revoked.at("enrolment").at("enrolment"));
  CHECK(rig.api(delete_, path).json().at("changed") == true);
  CHECK(rig.api(delete_, path).json().at("changed") == false);
  CHECK(enrol(rig, text(revoked.at("token")), "gpu-2", key(1)).status == 403);
  CHECK(reason(revoked) == "revoked");
  rig.runtime.advance(milliseconds{59'000});
  CHECK(reason(expires).empty());
  rig.runtime.advance(milliseconds{2'000});
  CHECK(enrol(rig, text(expires.at("token")), "gpu-2", key(1)).status == 403);
  CHECK(reason(expires) == "expired");
  CHECK(listed(rig, 1).at("state") == "expired");
  CHECK(rig.workshop->core().worker_key("gpu-2") == nullptr);
  CHECK(enrol(rig, text(bound.at("token")), "gpu-1", key(1)).status == 200);
  CHECK(rig.get("/health").json().at("alarms") == 3);
  rig.runtime.advance(milliseconds{25 * 3'600'000});
  rig.api(patch, "/queue", R"({"paused":true})");
  CHECK(rig.get("/health").json().at("alarms") == 0);
}

TEST_CASE("what is no enrolment's token, name or key pins nothing and writes nothing") {
  LinkRig rig;
  const std::string token = text(make(rig).at("token"));
  const Sequence before = rig.journal->last();
  const std::string unknown = std::string(link::kEnrolmentTokenPrefix) + std::string(64, '0');
  for (const std::string& wrong : {unknown, std::string(kWorkerToken), std::string()})
    CHECK(enrol(rig, wrong, "gpu-1", key(1)).status == 401);
  CHECK(enrol(rig, token, "", key(1)).status == 400);
  CHECK(enrol(rig, token, "a/b", key(1)).status == 400);
  net::HeaderList headers;
  headers.add("Authorization", "Bearer " + token);
  for (const char* body :
       {"", "[]", "{", R"({"worker":"gpu-1"})", R"({"worker":"gpu-1","public_key":"00"})"}) {
    CAPTURE(body);
    CHECK(rig.worker_request(post, "/worker/enrol", body, headers).status == 400);
  }
  CHECK(rig.worker_request(get, "/worker/enrol", "", headers).status == 405);
  CHECK(rig.worker_request(get, "/worker/challenge").status == 405);
  CHECK(rig.worker_request(get, "/worker/session").status == 405);
  CHECK(dial(rig, "gpu-1", token) == 401);  // it opens no link itself
  CHECK(rig.journal->last() == before);
}

TEST_CASE("a challenge is good once and for a minute, for whoever signs it with the pinned key and name") {
  LinkRig rig;
  enrolled(rig, "gpu-1", key(1));
  enrolled(rig, "gpu-2", key(2));
  const std::string first = challenge(rig);
  CHECK(prove(rig, "gpu-1", key(1), first).status == 200);
  CHECK(prove(rig, "gpu-1", key(1), first).status == 409);
  CHECK(prove(rig, "gpu-1", key(1), std::string(64, '0')).status == 409);
  const std::string late = challenge(rig);
  rig.runtime.advance(milliseconds{60'000});
  CHECK(prove(rig, "gpu-1", key(1), late).status == 409);
  CHECK(prove(rig, "gpu-1", key(2), challenge(rig)).status == 403);
  CHECK(prove(rig, "gpu-2", key(2), challenge(rig), "gpu-1").status == 403);
  CHECK(prove(rig, "gpu-9", key(1), challenge(rig)).status == 403);
}

TEST_CASE("a session links and fetches under its own name only, and nobody else under that name") {
  LinkRig rig;
  const std::string one = enrolled(rig, "gpu-1", key(1)), two = enrolled(rig, "gpu-2", key(2));
  CHECK(dial(rig, "gpu-2", one) == 403);
  CHECK(dial(rig, "gpu-3", one) == 403);
  CHECK(dial(rig, "gpu-1", std::string(kWorkerToken)) == 403);
  const Reply taken = enrol(rig, text(make(rig).at("token")), "gpu-1", key(3));
  CHECK(taken.status == 403);
  CHECK(taken.body.find("revoke_key") != std::string::npos);
  CHECK(listed(rig, 2).at("alarms").at(0).at("reason") == "name_taken");
  rig.bearer = one;
  Agent agent(rig, "gpu-1");
  const JobId job = rig.submit(1, uuid(1));
  REQUIRE(agent.take<link::Lease>().size() == 1);
  const std::string prompt = fmt::format("/worker/prompt/{}/1", job);
  CHECK(agent.send(get, prompt).status == 200);
  net::HeaderList headers;
  headers.add("Atelier-Link", fmt::format("{}", agent.number()));
  for (const std::string& other : {two, std::string(kWorkerToken)}) {
    net::HeaderList foreign = headers;
    foreign.add("Authorization", "Bearer " + other);
    CHECK(rig.worker_request(get, prompt, "", std::move(foreign)).status == 403);
  }
  CHECK(rig.api(get, "/workers/gpu-1").json().at("worker").at("enrolled") == true);
}

TEST_CASE("a session ends after an hour, and a later one serves the same link") {
  LinkRig rig;
  rig.bearer = enrolled(rig, "gpu-1", key(1));
  Agent agent(rig, "gpu-1");
  const std::string path = "/worker/object_info/" + sha256("x").hex();
  CHECK(agent.send(head, path).status == 404);
  for (int minute = 0; minute < 60; ++minute) {
    agent.say(link::Heartbeat{});
    rig.runtime.advance(milliseconds{60'000});
  }
  CHECK(agent.send(head, path).status == 401);
  net::HeaderList headers;
  headers.add("Atelier-Link", fmt::format("{}", agent.number()));
  headers.add("Authorization", "Bearer " + session(rig, "gpu-1", key(1)));
  CHECK(rig.worker_request(head, path, "", std::move(headers)).status != 401);
}

TEST_CASE("a revoked key ends the link and its requests, and opens nothing any more") {
  LinkRig rig;
  rig.bearer = enrolled(rig, "gpu-1", key(1));
  Agent agent(rig, "gpu-1");
  std::vector<std::unique_ptr<net::ByteStream>> near_ends;
  const auto tunnel_to = [&](Agent& of, std::string worker) {
    asio::co_spawn(rig.runtime.executor(), open_tunnel(rig, std::move(worker), near_ends), asio::detached);
    rig.runtime.run_ready();
    return std::make_unique<FarEnd>(rig, of, of.take<link::OpenTunnel>().at(0).tunnel);
  };
  const auto tunnel = tunnel_to(agent, "gpu-1");
  rig.bearer = std::string(kWorkerToken);
  Agent bystander(rig, "gpu-2");
  const auto other_tunnel = tunnel_to(bystander, "gpu-2");
  CHECK(tunnel->status == 101);
  CHECK(other_tunnel->status == 101);
  CHECK(rig.api(post, "/workers/gpu-2/actions", R"({"action":"revoke_key"})").status == 409);
  CHECK_FALSE(tunnel->wire->over());
  CHECK(rig.api(post, "/workers/gpu-9/actions", R"({"action":"revoke_key"})").status == 404);
  CHECK(rig.api(post, "/workers/gpu-1/actions", R"({"action":"revoke_key","slot":0})").status == 422);
  CHECK(rig.api(post, "/workers/gpu-1/actions", R"({"action":"revoke_key"})").status == 200);
  rig.runtime.run_ready();
  CHECK(agent.closed() == net::CloseCode::policy);
  CHECK(tunnel->wire->over());
  CHECK_FALSE(other_tunnel->wire->over());
  CHECK(agent.send(head, "/worker/object_info/" + sha256("x").hex()).status == 401);
  CHECK(rig.api(get, "/workers/gpu-1").json().at("worker").at("connected") == false);
  CHECK(rig.api(get, "/workers/gpu-2").json().at("worker").at("connected") == true);
  const Reply again = prove(rig, "gpu-1", key(1), challenge(rig));
  CHECK(again.status == 403);
  CHECK(again.body.find("revoked") != std::string::npos);
  // With a new enrolment: not by the old key, and the agent is told to make another.
  const std::string token = text(make(rig, R"({"worker":"gpu-1"})").at("token"));
  const Reply old = enrol(rig, token, "gpu-1", key(1));
  CHECK(old.status == 409);
  CHECK(old.body.starts_with(link::kKeyRevoked));
  CHECK(enrol(rig, token, "gpu-1", key(3)).status == 200);
  CHECK_FALSE(session(rig, "gpu-1", key(3)).empty());
  CHECK(session(rig, "gpu-1", key(1)).empty());
  CHECK(rig.api(post, "/enrolments", R"({"worker":"gpu-1"})").status == 409);
}

TEST_CASE("an upload that is under way ends with the key, and holds its job no longer") {
  LinkRig rig;
  rig.bearer = enrolled(rig, "gpu-1", key(1));
  Agent agent(rig, "gpu-1");
  const JobId job = rig.submit(1, uuid(1));
  const std::string content(2 << 20, 'x');
  SlowPut put(rig, agent, job, content, milliseconds{20'000});
  rig.runtime.advance(milliseconds{10'000});
  CHECK(rig.api(post, "/workers/gpu-1/actions", R"({"action":"revoke_key"})").status == 200);
  rig.runtime.advance(milliseconds{11'000});
  REQUIRE(put.response);
  CHECK(put.response->status == 403);
  rig.runtime.advance(milliseconds{20'000});
  CHECK_FALSE(rig.facts(job).lease);
}

TEST_CASE("a user of a used token whose key was revoked is refused without an alarm") {
  LinkRig rig;
  const std::string token = text(make(rig).at("token"));
  REQUIRE(enrol(rig, token, "gpu-1", key(1)).status == 200);
  rig.api(post, "/workers/gpu-1/actions", R"({"action":"revoke_key"})");  // it has never joined
  CHECK(enrol(rig, token, "gpu-1", key(1)).status == 403);
  CHECK(listed(rig).at("alarms").as_array().empty());
}

TEST_CASE("challenges and sessions are bounded, the oldest are void first") {
  VirtualRuntime runtime;
  WorkerCredentials credentials(runtime);
  const std::string first = credentials.make_challenge(), second = credentials.make_challenge();
  for (std::size_t i = 2; i < WorkerCredentials::kChallengesMax; ++i) [[maybe_unused]]
    const auto one = credentials.make_challenge();
  const std::string last = credentials.make_challenge();
  CHECK_FALSE(credentials.take_challenge(first));
  CHECK(credentials.take_challenge(second));
  CHECK(credentials.take_challenge(last));
  const std::string other = credentials.open_session("gpu-2");
  std::vector<std::string> sessions;
  for (std::size_t i = 0; i <= WorkerCredentials::kSessionsPerWorkerMax; ++i) {
    sessions.push_back(credentials.open_session("gpu-1"));
    runtime.advance(milliseconds{1});
  }
  CHECK_FALSE(credentials.identity_of(sessions.front()));
  CHECK(credentials.identity_of(sessions.back()) == WorkerIdentity{"gpu-1"});
  CHECK(credentials.identity_of(other) == WorkerIdentity{"gpu-2"});
  credentials.end_sessions("gpu-1");
  CHECK_FALSE(credentials.identity_of(sessions.back()));
  CHECK(credentials.identity_of(other));
  runtime.advance(WorkerCredentials::kSessionLife);
  CHECK_FALSE(credentials.identity_of(other));
}

}  // namespace
}  // namespace atelier::gateway::test
