// SPDX-License-Identifier: MIT
// The way of a request to its face and handler, and what everybody may see.
#include <doctest/doctest.h>

#include <boost/json.hpp>

#include "unit/gateway/rig.hpp"

namespace atelier::gateway::test {
namespace {

using net::Method;

TEST_CASE("a seat without its slash is sent to the one with it, and keeps its query") {
  Rig rig;
  const Reply reply = rig.get("/user/7");
  CHECK(reply.status == 301);
  CHECK(reply.headers.get("Location") == "/user/7/");
  CHECK(rig.get("/user/20?a=%2F&b").headers.get("Location") == "/user/20/?a=%2F&b");
}

TEST_CASE("there is no seat but those from 1 to NUM_USERS in their one spelling") {
  Rig rig;
  for (const std::string path :
       {"/user/0/queue", "/user/21/queue", "/user/07/queue", "/user/007", "/user/+7/queue", "/user/7a/queue",
        "/user//queue", "/user/", "/user/%37/queue", "/user/-1", "/user/18446744073709551623/queue"}) {
    CAPTURE(path);
    CHECK(rig.get(path).status == 404);
  }
  CHECK(rig.get("/user").status == 404);
  CHECK(rig.get("/users/7/queue").status == 404);
  CHECK(rig.get("/user/1/queue").status == 200);
  CHECK(rig.get("/user/20/api/queue").status == 200);
}

TEST_CASE("a request to another host's name is misdirected, but for the ping of whoever looks after us") {
  RigOptions options;
  options.domain = "atelier.test";
  Rig rig(options);
  const auto ask = [&](const char* target, const char* host) {
    return rig.send(Method::get, target, {}, {}, host).status;
  };
  CHECK(ask("/user/7/queue", "evil.test") == 421);
  CHECK(ask("/", "evil.test") == 421);
  CHECK(ask("/health", "") == 421);
  CHECK(ask("/health/ping", "evil.test") == 200);
  CHECK(ask("/user/7/queue", "atelier.test:8188") == 200);
  CHECK(ask("/user/7/queue", "127.0.0.1:8188") == 200);
}

TEST_CASE("what another site's page makes a browser send is refused without a word") {
  Rig rig;
  const Reply reply = rig.post("/user/7/interrupt", "{}", {{"Sec-Fetch-Site", "cross-site"}});
  CHECK(reply.status == 403);
  CHECK(reply.body.empty());
  CHECK(rig.get("/user/7/view?filename=a.png", {{"Sec-Fetch-Site", "cross-site"}}).status == 403);
  CHECK(rig.post("/user/7/queue", R"({"clear":true})", {{"Origin", "http://evil.test"}}).status == 403);
  CHECK(rig.post("/user/7/queue", R"({"clear":true})", {{"Origin", "http://localhost:8188"}}).status == 200);
  CHECK(rig.get("/user/7", {{"Sec-Fetch-Site", "cross-site"},
                            {"Sec-Fetch-Mode", "navigate"},
                            {"Sec-Fetch-Dest", "document"}})
            .status == 301);
}

TEST_CASE("a known path with another method is 405 with Allow, an unknown one 404") {
  Rig rig;
  const Reply reply = rig.send(Method::delete_, "/user/7/api/queue");
  CHECK(reply.status == 405);
  CHECK(reply.headers.get("Allow") == "GET,HEAD,POST");
  CHECK(rig.post("/user/7/object_info").status == 405);
  CHECK(rig.get("/user/7/interrupt").status == 405);
  CHECK(rig.get("/user/7/nothing/here").status == 404);
  CHECK(rig.post("/user/7/nothing").status == 404);
  CHECK(rig.get("/user/7/jobs").status == 404);  // only below /api
  CHECK(rig.get("/user/7/api/internal/logs").status == 404);
}

TEST_CASE("OPTIONS is answered 200 without a word on every path of a seat") {
  Rig rig;
  for (const std::string path : {"/user/7/api/prompt", "/user/7/nothing"}) {
    const Reply reply = rig.send(Method::options, path);
    CHECK(reply.status == 200);
    CHECK(reply.body.empty());
  }
}

TEST_CASE("HEAD is served as GET") {
  Rig rig;
  CHECK(rig.head("/user/7/api/queue").status == 200);
  CHECK(rig.head("/health/ping").status == 200);
  CHECK(rig.head("/user/7/interrupt").status == 405);
}

TEST_CASE("who may not sit on a seat gets none of its answers") {
  Rig rig;
  rig.face->set_access([](const net::Request&, ParticipantId n) {
    return n == ParticipantId{7} ? std::nullopt : std::optional(net::Response(403));
  });
  CHECK(rig.get("/user/7/queue").status == 200);
  CHECK(rig.get("/user/8/queue").status == 403);
  CHECK(rig.send(Method::options, "/user/8/queue").status == 403);
  CHECK(rig.get("/api/view?filename=a.png", {{"Referer", "http://localhost:8188/user/8/"}}).status == 403);
}

TEST_CASE("the start page has a link to each seat") {
  RigOptions options;
  options.face.num_users = 3;
  Rig rig(options);
  const Reply reply = rig.get("/");
  CHECK(reply.status == 200);
  CHECK(reply.body.find("href=\"/user/1/\"") != std::string::npos);
  CHECK(reply.body.find("href=\"/user/3/\"") != std::string::npos);
  CHECK(reply.body.find("href=\"/user/4/\"") == std::string::npos);
  CHECK(rig.get("/user/4/queue").status == 404);
  CHECK(rig.post("/").status == 405);
}

TEST_CASE("health tells machines the verdict in JSON and people in words") {
  Rig rig;
  auto body = rig.get("/health").json();
  CHECK(body.at("verdict") == "degraded");  // no worker
  CHECK(body.at("journal").at("accepting") == true);
  CHECK(body.at("disk").at("low") == false);
  CHECK(body.at("waiting") == 0);
  rig.everybody->set_workers([] {
    WorkerView worker;
    worker.name = "gpu \"1\"";
    worker.state = "busy";
    return std::vector<WorkerView>{worker};
  });
  rig.submit(7, uuid(1));
  body = rig.get("/health").json();
  CHECK(body.at("verdict") == "ok");
  CHECK(body.at("workers") == boost::json::value{"gpu \"1\""});
  CHECK(body.at("waiting") == 1);
  const Reply page = rig.get("/health", {{"Accept", "text/html,*/*"}});
  CHECK(page.body.find("All well") != std::string::npos);
  CHECK(page.body.find("1 jobs wait") != std::string::npos);
}

TEST_CASE("workers of which none takes jobs need somebody, and the queue's status says what is with each") {
  Rig rig;
  std::vector<std::string_view> states{"engine_lost", "paused", "draining"};
  rig.everybody->set_workers([&] {
    std::vector<WorkerView> workers(states.size());
    for (std::size_t i = 0; i < states.size(); ++i) workers[i].state = states[i];
    return workers;
  });
  CHECK(rig.get("/health").json().at("verdict") == "degraded");
  CHECK(rig.get("/health", {{"Accept", "text/html"}}).body.find("None of them takes jobs") !=
        std::string::npos);
  const auto told = rig.get("/api/queue/status").json().at("workers");
  for (std::size_t i = 0; i < states.size(); ++i) CHECK(text(told.at(i).at("state")) == states[i]);
  states.emplace_back("idle");
  CHECK(rig.get("/health").json().at("verdict") == "ok");
}

TEST_CASE("health fails when the journal takes nothing any more") {
  Rig rig;
  rig.store.plan(journal::memory::Fault::io);
  CHECK(rig.post("/user/7/prompt", prompt_body(uuid(1))).status == 503);
  const Reply reply = rig.get("/health");
  CHECK(reply.status == 503);
  CHECK(reply.json().at("verdict") == "failed");
  CHECK(rig.get("/health/ping").status == 200);
  CHECK(rig.post("/user/7/prompt", prompt_body(uuid(2))).status == 503);
  CHECK(rig.get("/user/7/queue").status == 200);  // reading goes on
}

TEST_CASE("the queue's status counts everybody's jobs and names nobody's") {
  Rig rig;
  rig.submit(7, uuid(1));
  const JobId running = rig.submit(8, uuid(2));
  auto body = rig.get("/api/queue/status").json();
  CHECK(body.at("pending") == 2);
  CHECK(body.at("running") == 0);
  CHECK(body.at("mode") == "fifo");
  rig.join();
  body = rig.get("/api/queue/status").json();
  CHECK(body.at("pending") == 1);
  CHECK(body.at("running") == 1);
  CHECK(rig.get("/api/queue/status").body.find(uuid(1)) == std::string::npos);
  CHECK(rig.workshop->core().job(running)->state == core::JobState::queued);
}

}  // namespace
}  // namespace atelier::gateway::test
