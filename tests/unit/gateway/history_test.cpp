// SPDX-License-Identifier: MIT
// /history: what has ended, from the journal's summaries and attachments.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <boost/json.hpp>

#include "unit/gateway/rig.hpp"

namespace atelier::gateway::test {
namespace {

constexpr const char* kImages =
    R"({"images":[{"filename":"cat_00001_.png","subfolder":"","type":"output"}]})";

std::vector<std::string> history(Rig& rig, int participant, std::string_view query = "") {
  std::vector<std::string> ids;
  const Reply reply = rig.get(fmt::format("/user/{}/api/history?{}", participant, query));
  REQUIRE(reply.status == 200);
  for (const auto& member : reply.json().as_object()) ids.emplace_back(std::string_view(member.key()));
  return ids;
}
using Ids = std::vector<std::string>;

/// A rig in which jobs 1 to `count` of participant 7 have ended, in this order.
struct Ended {
  explicit Ended(int count) {
    rig.join();
    for (int i = 1; i <= count; ++i) {
      rig.finish(rig.submit(7, uuid(i)));
      idle();
    }
  }
  void idle() {
    core::SlotIdle idle;
    const auto* worker = rig.workshop->core().worker("gpu-1");
    idle.slot = SlotId{worker->worker, 0};
    idle.link = worker->link;
    [[maybe_unused]] const auto posted = rig.run(rig.workshop->record(core::Event{idle}));
  }
  Rig rig;
};

TEST_CASE("a job that waits or runs has no history, one that ended has the whole item") {
  Rig rig;
  const JobId job = rig.submit(7, uuid(1), "tab", R"(,"number":4)");
  rig.join();
  rig.started(job);
  CHECK(history(rig, 7) == Ids{});
  CHECK(rig.get("/user/7/history/" + uuid(1)).body == "{}");
  rig.commit(job, "9", kImages);
  rig.computed(job);
  rig.ended(job, core::Outcome::succeeded,
            R"({"type":"execution_success","data":{"prompt_id":"p","timestamp":5}})",
            R"({"status_str":"success","completed":true,"messages":[["execution_start",{}]]})");
  CHECK(history(rig, 7) == Ids{uuid(1)});
  const auto item = rig.get("/user/7/history/" + uuid(1)).json().at(uuid(1));
  REQUIRE(item.at("prompt").as_array().size() == 5);
  CHECK(item.at("prompt").at(0).is_double());  // the client's own number
  CHECK(text(item.at("prompt").at(1)) == uuid(1));
  CHECK(item.at("prompt").at(2).at("1").at("class_type") == "EmptyImage");
  CHECK(item.at("prompt").at(3).at("client_id") == "tab");
  CHECK(item.at("prompt").at(4) == boost::json::value{"9"});
  CHECK(item.at("outputs").at("9").at("images").at(0).at("filename") == "cat_00001_.png");
  CHECK(item.at("status").at("messages").at(0).at(0) == "execution_start");
  CHECK(item.at("meta").at("9").at("node_id") == "9");
  CHECK(rig.get("/user/7/history").json().at(uuid(1)) == item);
}

TEST_CASE("outputs stand in the order in which their nodes ran, not in that in which their files came") {
  Rig rig;
  rig.join();
  const JobId job = rig.submit(7, uuid(1));
  rig.started(job);
  for (const char* node : {"9", "4", "3"}) rig.commit(job, node, kImages);
  rig.computed(job);
  rig.ended(job, core::Outcome::succeeded, R"({"type":"execution_success","data":{}})",
            R"({"status_str":"success"})", R"({"3":{},"9":{}})");
  const auto outputs = rig.get("/user/7/history/" + uuid(1)).json().at(uuid(1)).at("outputs").as_object();
  std::vector<std::string> nodes;
  for (const auto& node : outputs) nodes.emplace_back(node.key());
  CHECK(nodes == std::vector<std::string>{"3", "9", "4"});
  CHECK(rig.get("/user/7/api/jobs").json().at("jobs").at(0).at("preview_output").at("nodeId") == "3");
}

TEST_CASE("nobody finds another one's history") {
  Ended ended(1);
  CHECK(history(ended.rig, 8) == Ids{});
  CHECK(ended.rig.get("/user/8/history/" + uuid(1)).body == "{}");
  CHECK(ended.rig.post("/user/8/history", R"({"clear":true})").status == 200);
  CHECK(ended.rig.post("/user/8/history", fmt::format(R"({{"delete":["{}"]}})", uuid(1))).status == 200);
  CHECK(history(ended.rig, 7) == Ids{uuid(1)});
}

TEST_CASE("without a report the status tells the end in stock's shape") {
  Rig rig;
  rig.join();
  const JobId job = rig.submit(7, uuid(1));
  rig.started(job);
  rig.computed(job);
  rig.ended(job, core::Outcome::failed);
  const auto status = rig.get("/user/7/history/" + uuid(1)).json().at(uuid(1)).at("status");
  CHECK(status.at("status_str") == "error");
  CHECK(status.at("completed") == false);
  CHECK(status.at("messages").at(0).at(0) == "execution_error");
  CHECK(text(status.at("messages").at(0).at(1).at("prompt_id")) == uuid(1));
}

TEST_CASE("max_items alone gives the last ones, with an offset those from there, oldest first") {
  Ended ended(4);
  Rig& rig = ended.rig;
  CHECK(history(rig, 7) == Ids{uuid(1), uuid(2), uuid(3), uuid(4)});
  CHECK(history(rig, 7, "max_items=2") == Ids{uuid(3), uuid(4)});
  CHECK(history(rig, 7, "max_items=2&offset=1") == Ids{uuid(2), uuid(3)});
  CHECK(history(rig, 7, "offset=3") == Ids{uuid(4)});
  CHECK(history(rig, 7, "max_items=2&offset=-1") == Ids{uuid(3), uuid(4)});
  CHECK(history(rig, 7, "max_items=99") == Ids{uuid(1), uuid(2), uuid(3), uuid(4)});
  CHECK(history(rig, 7, "max_items=99999999999999999999") == Ids{uuid(1), uuid(2), uuid(3), uuid(4)});
  CHECK(history(rig, 7, "max_items=-99999999999999999999") == Ids{});
  CHECK(history(rig, 7, "offset=99999999999999999999") == Ids{});
  CHECK(history(rig, 7, "max_items=0") == Ids{});
  CHECK(history(rig, 7, "offset=4") == Ids{});
  CHECK(history(rig, 7, "max_items=-1") == Ids{});
  CHECK(rig.get("/user/7/history?max_items=two").status == 400);
  CHECK(rig.get("/user/7/history?max_items=1&offset=1.5").status == 400);
}

TEST_CASE("what was deleted or cleared is gone from history and jobs") {
  Ended ended(3);
  Rig& rig = ended.rig;
  CHECK(
      rig.post("/user/7/api/history", fmt::format(R"({{"delete":["{}","{}"]}})", uuid(2), uuid(9))).status ==
      200);
  CHECK(history(rig, 7) == Ids{uuid(1), uuid(3)});
  CHECK(rig.post("/user/7/history", R"({"delete":[]})").status == 200);  // an empty list does not mean all
  CHECK(rig.post("/user/7/history", R"({"delete":["x"]})").status == 200);
  CHECK(rig.post("/user/7/history", "{}").status == 200);
  CHECK(history(rig, 7) == Ids{uuid(1), uuid(3)});
  CHECK(rig.post("/user/7/history", R"({"clear":true})").status == 200);
  CHECK(rig.post("/user/7/history", R"({"clear":true})").status == 200);  // nothing left to clear
  CHECK(history(rig, 7) == Ids{});
  CHECK(rig.get("/user/7/api/jobs").json().at("jobs").as_array().empty());
  CHECK(rig.post("/user/7/history", "no JSON").status == 400);
}

TEST_CASE("history is read from the journal by a server that starts anew") {
  files::TempFolder folder{files::TempFolder::Place::memory};
  Ended ended(1);
  Rig& rig = ended.rig;
  // A second workshop over the same store, as after a restart.
  VirtualRuntime later;
  const auto journal = journal::memory::open(later, rig.store);
  workshop::Workshop again(later, *journal, {});
  REQUIRE(run(later, again.open()).has_value());
  files::Stores stores(folder.path());
  Catalog catalog(later, *stores.files);
  LiveBus live;
  ParticipantFace face(later, again, *stores.files, catalog, live, {});
  again.start();
  net::Request request;
  request.target = "/user/7/history/" + uuid(1);
  net::Response response = run(later, face.handle(request));
  CHECK(read_body(later, response.body).find("SaveImage") != std::string::npos);
  run(later, face.stop(later.now() + milliseconds{1'000}));
  run(later, again.stop(later.now() + milliseconds{1'000}));
}

}  // namespace
}  // namespace atelier::gateway::test
