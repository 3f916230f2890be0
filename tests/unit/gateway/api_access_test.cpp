// SPDX-License-Identifier: MIT
// Who may call the API, and what it says to whom it refuses; what all its routes have in common.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <boost/json.hpp>

#include "gateway/instructor/instructor_impl.hpp"
#include "unit/gateway/rig.hpp"

namespace atelier::gateway::test {
namespace {

namespace json = boost::json;
using enum net::Method;

std::string token_of(std::uint64_t participant) { return Rig::kTokens.token_of(ParticipantId{participant}); }

/// "/jobs/{job}/move" -> "/jobs/1/move".
std::string filled(std::string_view path) {
  std::string target(path);
  for (std::size_t open = target.find('{'); open != std::string::npos; open = target.find('{')) {
    const bool worker = target.substr(open).starts_with("{worker}");
    target.replace(open, target.find('}') - open + 1, worker ? "gpu-1" : "1");
  }
  return target;
}

RigOptions with_password() {
  RigOptions options;
  options.api.admin_password = "open sesame";
  return options;
}

Reply with(Rig& rig, net::HeaderList headers, std::string target = "/api/v1/workers") {
  return rig.send(get, std::move(target), {}, std::move(headers));
}

TEST_CASE("without a valid token every route is 401 with a challenge") {
  Rig rig;
  rig.join("gpu-1");
  for (const ApiRoute& route : api_routes()) {
    CAPTURE(route.id);
    for (const std::string& token : {std::string(), std::string("7-00"), std::string("instructor-")}) {
      const Reply reply = rig.api(route.method, filled(route.path), route.body.empty() ? "" : "{}", token);
      CHECK(reply.status == 401);
      CHECK(reply.headers.get("WWW-Authenticate") == "Bearer realm=\"Atelier API\"");
      CHECK(reply.headers.get("Content-Type") == "application/problem+json");
      CHECK(reply.json().at("title") == "Unauthorized");
    }
  }
}

TEST_CASE("the instructor's own seat is for nobody else") {
  const ApiAccess access(Rig::kTokens, with_password().api);
  const auto refused = [&access](std::string value, std::string target = "/user/0/queue",
                                 bool socket = false) {
    net::Request request;
    request.target = std::move(target);
    if (!value.empty()) request.headers.add("Authorization", std::move(value));
    if (socket) {
      request.headers.add("Connection", "Upgrade");
      request.headers.add("Upgrade", "websocket");
      request.headers.add("Sec-WebSocket-Version", "13");
      request.headers.add("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    }
    const auto refusal = access.refuse_at_own_seat(request);
    return refusal ? refusal->status : 200;
  };
  const std::string token = Rig::kTokens.instructor_token();
  CHECK(refused("Bearer " + token) == 200);
  CHECK(refused("Bearer " + token_of(7)) == 403);
  CHECK(refused("Bearer instructor-") == 401);
  CHECK(refused("") == 401);
  CHECK(refused("Basic YWRtaW46b3BlbiBzZXNhbWU=") == 200);  // admin:open sesame
  CHECK(refused("Basic YWRtaW46b3BlbiBzZXNhbQ==") == 401);
  CHECK(refused("", "/user/0/ws?token=" + token_of(7), true) == 403);
}

TEST_CASE("every route of the instructor is 403 for a participant's token") {
  Rig rig;
  rig.join("gpu-1");
  std::size_t refused = 0;
  for (const ApiRoute& route : api_routes()) {
    CAPTURE(route.id);
    const Reply reply =
        rig.api(route.method, filled(route.path), route.body.empty() ? "" : "{}", token_of(7));
    CHECK((reply.status == 403) == (route.least == Role::instructor));
    if (reply.status == 403) ++refused;
  }
  CHECK(refused == 13);
}

TEST_CASE("name and password open the API only if a password is set and both are right") {
  Rig rig(with_password());
  const auto basic = [&](Rig& which, std::string_view encoded) {
    return with(which, {{"Authorization", fmt::format("Basic {}", encoded)}}).status;
  };
  CHECK(basic(rig, "YWRtaW46b3BlbiBzZXNhbWU=") == 200);  // admin:open sesame
  CHECK(basic(rig, "YWRtaW46b3BlbiBTZXNhbWU=") == 401);  // admin:open Sesame
  CHECK(basic(rig, "cm9vdDpvcGVuIHNlc2FtZQ==") == 401);  // root:open sesame
  CHECK(with(rig, {{"Authorization", "Bearer open sesame"}}).status == 401);
  CHECK(with(rig, {{"Authorization", "Bearer " + Rig::kInstructor}}).status == 200);
  Rig without;
  CHECK(basic(without, "YWRtaW46") == 401);  // admin and nothing
  CHECK(basic(without, "YWRtaW46b3BlbiBzZXNhbWU=") == 401);
}

TEST_CASE("a cookie is no credential") {
  Rig rig;
  CHECK(with(rig, {{"Cookie", "token=" + Rig::kInstructor}}).status == 401);
  CHECK(with(rig, {}, "/api/v1/workers?token=" + Rig::kInstructor).status == 401);
}

TEST_CASE("this machine is the instructor only where that is meant, and no browser or proxy on it is") {
  RigOptions options;
  options.api.local_is_instructor = true;
  Rig rig(options);
  CHECK(with(rig, {}).status == 401);  // from another machine
  for (const char* peer : {"127.0.0.1", "::1", "::ffff:127.0.0.1"}) {
    rig.peer_address = peer;
    CHECK(with(rig, {}).status == 200);
  }
  for (const char* name :
       {"Origin", "Referer", "Cookie", "Sec-Fetch-Site", "Sec-Fetch-Dest", "Forwarded", "X-Forwarded-For",
        "x-forwarded-proto", "X-Forwarded-Port", "X-Real-IP", "Via", "CF-Connecting-IP", "True-Client-IP"}) {
    CAPTURE(name);
    const char* value = std::string_view(name) == "Origin" ? "http://localhost:8188" : "same-origin";
    CHECK(with(rig, {{name, value}}).status == 401);
  }
  CHECK(with(rig, {{"Authorization", "Bearer x"}}).status == 401);  // a wrong token stays wrong
  Rig other;
  other.peer_address = "127.0.0.1";
  CHECK(with(other, {}).status == 401);
}

TEST_CASE("the API is at no seat's address: there /api is ComfyUI's") {
  Rig rig;
  CHECK(rig.api(get, "/queue").status == 200);
  CHECK(rig.get("/user/1/api/v1/queue", {{"Authorization", "Bearer " + Rig::kInstructor}}).status != 200);
  rig.listener_mark = 3;
  CHECK(rig.api(get, "/queue").status == 404);
  CHECK(rig.get("/api/openapi.json").status == 404);
}

TEST_CASE("the document has every route with its methods and nothing else, and needs no token") {
  Rig rig;
  const Reply reply = rig.get("/api/openapi.json");
  REQUIRE(reply.status == 200);
  const json::value document = reply.json();
  CHECK(document.at("openapi") == "3.1.0");
  std::size_t operations = 0;
  for (const auto& [path, methods] : document.at("paths").as_object()) {
    std::string allowed;
    for (const auto method : {get, post, put, patch, delete_}) {
      std::string name(net::to_string(method));
      for (char& c : name) c = static_cast<char>(std::tolower(c));
      const Reply answer = rig.send(method, filled(path), {}, {});
      CAPTURE(name);
      CAPTURE(std::string_view(path));
      CHECK((answer.status == 401) == methods.as_object().contains(name));
      CHECK((answer.status == 405) == !methods.as_object().contains(name));
      if (methods.as_object().contains(name)) ++operations;
      if (answer.status == 405) allowed = answer.headers.get("Allow");
    }
    for (const auto& [name, operation] : methods.as_object()) {
      std::string upper(name);
      for (char& c : upper) c = static_cast<char>(std::toupper(c));
      CHECK(allowed.find(upper) != std::string::npos);
    }
  }
  CHECK(operations == api_routes().size());
  CHECK(rig.api(get, "/nothing").status == 404);
  CHECK(rig.api(get, "").status == 404);
  CHECK(rig.api(get, "/jobs/1/move/x").status == 404);
  CHECK(rig.post("/api/openapi.json").status == 405);
}

TEST_CASE("a body is refused for its size, its type and its form, with what to do") {
  Rig rig;
  const auto send = [&](std::string body, std::string type) {
    return rig.send(patch, "/api/v1/queue", std::move(body),
                    {{"Authorization", "Bearer " + Rig::kInstructor}, {"Content-Type", std::move(type)}});
  };
  CHECK(send(std::string(65'537, ' '), "application/json").status == 413);
  CHECK(send("{}", "text/plain").status == 415);
  CHECK(send("{}", "application/json; charset=utf-8").status == 200);
  CHECK(send("{}", "application/merge-patch+json").status == 200);
  CHECK(send("{", "application/json").status == 400);
  CHECK(send("[]", "application/json").status == 400);
  const Reply wrong = send(R"({"mode":"lifo","paused":1,"a/b":2})", "application/json");
  CHECK(wrong.status == 422);
  const json::value problem = wrong.json();
  REQUIRE(problem.at("errors").as_array().size() == 3);
  CHECK(problem.at("errors").at(0).at("detail") == "must be one of fifo, round_robin, priority");
  CHECK(problem.at("errors").at(1).at("pointer") == "/paused");
  CHECK(problem.at("errors").at(2).at("pointer") == "/a~1b");
  CHECK(problem.at("errors").at(2).at("detail") == "is unknown; known are mode, paused, held");
  CHECK_FALSE(rig.workshop->core().workshop().paused);
}

TEST_CASE("an empty body is refused by each command that wants one, and is as good as none elsewhere") {
  Rig rig;
  rig.submit(7, uuid(1));
  rig.join("gpu-1");
  std::size_t wanted = 0;
  for (const ApiRoute& route : api_routes()) {
    if (!route.is_command()) continue;
    CAPTURE(route.id);
    for (const char* type : {"", "application/json"}) {
      net::HeaderList headers{{"Authorization", "Bearer " + Rig::kInstructor}};
      if (*type != '\0') headers.add("Content-Type", type);
      const Reply reply = rig.send(route.method, "/api/v1" + filled(route.path), "", std::move(headers));
      if (!route.body_required()) {
        CHECK(reply.status != 400);
        CHECK(reply.status != 415);
        continue;
      }
      ++wanted;
      CHECK(reply.status == 400);
      CHECK(reply.headers.get("Content-Type") == "application/problem+json");
      CHECK(text(reply.json().at("detail")).starts_with("The body is empty: send a JSON object"));
    }
  }
  CHECK(wanted == 2 * 9);
  CHECK(rig.api(patch, "/queue", " ").status == 400);
  CHECK(rig.api(patch, "/queue", "{}").json().at("changed") == false);
}

TEST_CASE("a method that an address does not have is 405 with those it has, whoever asks") {
  Rig rig;
  for (const auto method : {other, put, options}) {
    for (const std::string& token : {Rig::kInstructor, std::string()}) {
      const Reply reply = rig.api(method, "/jobs/1/move", "", token);
      CHECK(reply.status == 405);
      CHECK(reply.headers.get("Allow") == "POST, DELETE");
      CHECK(reply.headers.get("Content-Type") == "application/problem+json");
      CHECK(reply.json().at("status") == 405);
    }
    CHECK(rig.api(method, "/queue").headers.get("Allow") == "GET, HEAD, PATCH");
    CHECK(rig.api(method, "/events").headers.get("Allow") == "GET, HEAD");
    CHECK(rig.send(method, "/api/openapi.json").status == 405);
    const Reply nothing = rig.api(method, "/nothing");
    CHECK(nothing.status == 404);
    CHECK(nothing.headers.get("Content-Type") == "application/problem+json");
  }
  CHECK(rig.send(other, "/api/queue/status").status == 405);
  CHECK(rig.send(other, "/health").status == 405);
  CHECK(rig.send(other, "/nothing").status == 404);
  const Reply prompt = rig.send(other, "/user/7/prompt");
  CHECK(prompt.status == 405);
  CHECK(prompt.body == "405: Method Not Allowed");
  CHECK(prompt.headers.get("Allow") == "GET,HEAD,POST");
  CHECK(rig.send(other, "/user/7/api/queue").headers.get("Allow") == "GET,HEAD,POST");
  CHECK(rig.send(other, "/user/7/nothing").status == 404);
}

TEST_CASE("a command repeated with its key is answered and not done again") {
  Rig rig;
  rig.submit(7, uuid(1));
  const auto hold = [&](std::string body, std::string key, std::string token = Rig::kInstructor) {
    return rig.api(patch, "/jobs/1", std::move(body), std::move(token),
                   {{"Idempotency-Key", std::move(key)}});
  };
  const Reply first = hold(R"({"held":true})", "k1");
  rig.api(patch, "/jobs/1", R"({"held":false})");
  const Reply second = hold(R"({"held":true})", "k1");
  CHECK(second.body == first.body);
  CHECK(second.headers.get("Idempotency-Replayed") == "true");
  CHECK_FALSE(rig.facts(JobId{1}).held);
  CHECK(hold(R"({"held":false})", "k1").status == 422);
  CHECK(hold(R"({"held":true})", "k1", token_of(7)).status == 403);  // another caller's key
  CHECK(hold(R"({"held":true})", "").status == 400);
  CHECK(hold(R"({"held":true})", "a b").status == 400);
  rig.runtime.advance(milliseconds{10 * 60'000 + 1});
  CHECK_FALSE(hold(R"({"held":true})", "k1").headers.contains("Idempotency-Replayed"));
  CHECK(rig.facts(JobId{1}).held);
}

net::Response answer(unsigned status, std::string text) {
  return net::Response::json(status, std::move(text));
}

TEST_CASE("who repeats a command that is still at work waits for its answer") {
  VirtualRuntime runtime;
  Idempotency keys(runtime);
  int runs = 0;
  const Idempotency::Work slow = [&]() -> awaitable<net::Response> {
    ++runs;
    [[maybe_unused]] const bool slept = co_await runtime.sleep_for(milliseconds{100});
    co_return answer(200, "done");
  };
  std::vector<unsigned> statuses;
  for (int i = 0; i < 3; ++i) {
    asio::co_spawn(runtime.executor(), keys.run("k", sha256("a"), slow),
                   [&](std::exception_ptr, net::Response response) { statuses.push_back(response.status); });
  }
  runtime.run_ready();
  CHECK(statuses.empty());
  runtime.advance(milliseconds{100});
  CHECK(statuses == std::vector<unsigned>{200, 200, 200});
  CHECK(runs == 1);
}

TEST_CASE("kept answers are bounded, and one that asks for another try is not kept") {
  VirtualRuntime runtime;
  Idempotency keys(runtime, {.keys_max = 3, .bytes_max = 100, .kept = milliseconds{1'000}});
  int runs = 0;
  const auto ask = [&](std::string key, unsigned status, std::string text) {
    const Idempotency::Work work = [&, status, text]() -> awaitable<net::Response> {
      ++runs;
      co_return answer(status, text);
    };
    return run(runtime, keys.run(std::move(key), sha256("x"), work)).status;
  };
  ask("busy", 503, "later");
  ask("busy", 503, "later");
  CHECK(runs == 2);
  for (const char* key : {"a", "b", "c", "d", "e", "f"}) ask(key, 200, "");
  CHECK(keys.size() <= 3);
  runs = 0;
  ask("f", 200, "");
  CHECK(runs == 0);
  ask("a", 200, "");
  CHECK(runs == 1);
  ask("big", 200, std::string(200, 'x'));
  ask("next", 200, "");
  runs = 0;
  ask("big", 200, "");
  CHECK(runs == 1);
}

}  // namespace
}  // namespace atelier::gateway::test
