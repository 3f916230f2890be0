// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "comfy/messages.hpp"
#include "files/fault_points.hpp"
#include "unit/gateway/link_rig.hpp"
#include "unit/gateway/slow_put.hpp"

namespace atelier::gateway::test {
namespace {

const std::string kPicture = "the bytes of a picture";

/// Everything that an agent may say about one epoch of a job, but `commit` and `ended`.
std::vector<link::AgentMessage> small_talk(JobId job, Epoch epoch) {
  const std::string event = R"({"type":"progress","data":{"value":1,"max":2,"prompt_id":"x","node":"9"}})";
  return {link::Started{job, epoch}, link::Event{job, epoch, 1, event},
          link::Preview{job, epoch, 1, "\x01\x02"}, link::Computed{job, epoch, 5'000},
          link::Returned{job, epoch, link::ReturnReason::draining, ""}};
}

/// The job is leased to nobody any more: its worker said nothing for the time of a lease.
void expire(LinkRig& rig, JobId job) {
  const Epoch epoch = rig.facts(job).epoch;
  rig.runtime.advance(milliseconds{32'000});
  REQUIRE(rig.facts(job).epoch == epoch);
  REQUIRE_FALSE(rig.facts(job).lease);
}

TEST_CASE("another version of the worker link is refused with the two versions, and nothing is recorded") {
  LinkRig rig;
  const Sequence before = rig.journal->last();
  for (const std::string version : {"", "0", "2", "1x", "01", " 1"}) {
    CAPTURE(version);
    const Reply reply = rig.worker_request(net::Method::get, "/worker/link", "", handshake("gpu-1", version));
    CHECK(reply.status == 426);
    CHECK(reply.body.find("speaks version 1") != std::string::npos);
  }
  CHECK(rig.journal->last() == before);
}

TEST_CASE(
    "a worker that wakes up after its lease is refused at every door, and the next one's result stands") {
  LinkRig rig;
  Agent ghost(rig, "gpu-1");
  const JobId job = rig.submit(1, uuid(1));
  REQUIRE(ghost.take<link::Lease>().size() == 1);
  const Epoch first{1}, second{2};
  ghost.say(link::Started{job, first});
  expire(rig, job);
  CHECK(ghost.take<link::Stop>().size() == 1);
  Agent other(rig, "gpu-2");
  REQUIRE(other.take<link::Lease>().front().epoch == second);

  const auto refused_everywhere = [&](unsigned status) {
    for (const link::AgentMessage& message : small_talk(job, first)) ghost.say(message);
    CHECK(ghost.send(net::Method::get, fmt::format("/worker/prompt/{}/1", job)).status == status);
    CHECK(ghost.send(net::Method::get, fmt::format("/worker/input/{}/1/{}", job, sha256("").hex())).status ==
          status);
    CHECK(ghost
              .send(net::Method::head,
                    fmt::format("/worker/output/{}/1/0?digest={}&size=1", job, sha256("x").hex()))
              .status == status);
    const Reply put = ghost.put(job, first, 0, kPicture);
    CHECK(put.status == status);
    CHECK(put.body.find("stale_epoch") != std::string::npos);
    ghost.say(Agent::commit_of(job, first, kPicture));
    const auto refused = ghost.take<link::Refused>();
    REQUIRE(refused.size() == 1);
    CHECK(refused.front().reason == link::RefuseReason::stale);
    link::Ended ended;
    ended.job = job;
    ended.epoch = first;
    ended.outcome = link::Outcome::failed;
    ghost.say(ended);
    CHECK(ghost.take<link::EndedOk>().size() == 1);  // it may delete what it has
  };
  refused_everywhere(409);
  CHECK(rig.facts(job).epoch == second);
  CHECK(rig.facts(job).state == core::JobState::leased);
  CHECK(rig.facts(job).commits.empty());
  CHECK(rig.facts(job).losses == 1);

  other.say(link::Started{job, second});
  REQUIRE(other.put(job, second, 0, kPicture).status == 204);
  other.say(Agent::commit_of(job, second, kPicture));
  CHECK(other.take<link::Committed>().front().names == std::vector<std::string>{"cat_00001_.png"});
  other.say(link::Computed{job, second, 100});
  refused_everywhere(409);  // also while the outputs of the other one travel
  link::Ended ended;
  ended.job = job;
  ended.epoch = second;
  ended.outcome = link::Outcome::succeeded;
  other.say(ended);
  CHECK(other.take<link::EndedOk>().size() == 1);
  REQUIRE(rig.workshop->history().find(job) != nullptr);
  CHECK(rig.workshop->history().find(job)->outcome == core::Outcome::succeeded);
  refused_everywhere(409);
  CHECK(rig.workshop->core().workshop().succeeded == 1);
  CHECK(rig.workshop->core().workshop().failed == 0);
}

TEST_CASE("while a job waits again its ghost's epoch is the job's, and is refused all the same") {
  LinkRig rig;
  Agent ghost(rig);
  const JobId job = rig.submit(1, uuid(1));
  expire(rig, job);
  for (const link::AgentMessage& message : small_talk(job, Epoch{1})) ghost.say(message);
  ghost.say(Agent::commit_of(job, Epoch{1}, kPicture));
  CHECK(ghost.take<link::Refused>().front().reason == link::RefuseReason::stale);
  CHECK(ghost.put(job, Epoch{1}, 0, kPicture).status == 409);
  CHECK(rig.facts(job).state == core::JobState::queued);
  CHECK(rig.facts(job).losses == 1);
}

TEST_CASE("an older epoch of a job that the same worker holds again is refused, too") {
  LinkRig rig;
  Agent agent(rig);
  const JobId job = rig.submit(1, uuid(1));
  expire(rig, job);
  agent.say(link::SlotIdle{0});
  REQUIRE(rig.facts(job).epoch == Epoch{2});
  for (const link::AgentMessage& message : small_talk(job, Epoch{1})) agent.say(message);
  agent.say(Agent::commit_of(job, Epoch{1}, kPicture));
  CHECK(agent.take<link::Refused>().front().reason == link::RefuseReason::stale);
  CHECK(agent.put(job, Epoch{1}, 0, kPicture).status == 409);
  CHECK(rig.facts(job).state == core::JobState::leased);
  CHECK_FALSE(rig.facts(job).lease->computed);
  CHECK(rig.facts(job).losses == 1);
}

TEST_CASE("a worker is told whether its own newer link or another worker of its name has replaced it") {
  LinkRig rig;
  Agent first(rig, "gpu-1", 1);
  Agent again(rig, "gpu-1", 1);
  CHECK(first.closed() == net::CloseCode{4001});
  Agent other(rig, "gpu-1", 2);
  CHECK(again.closed() == net::CloseCode{link::kNameTakenCode});
  CHECK(again.reason() == "another worker of this name has joined");
}

TEST_CASE("an upload that outlives its lease is refused, and what has come of it goes with the job") {
  LinkRig rig;
  Agent agent(rig);
  const JobId job = rig.submit(1, uuid(1));
  const std::string content(2 << 20, 'x');
  SlowPut put(rig, agent, job, content, milliseconds{70'000});
  rig.runtime.advance(milliseconds{60'000});
  REQUIRE_FALSE(rig.facts(job).lease);
  REQUIRE_FALSE(put.response);
  rig.runtime.advance(milliseconds{20'000});
  REQUIRE(put.response);
  CHECK(put.response->status == 409);
  CHECK(std::filesystem::exists(rig.folder / fmt::format("data/staging/{}-1", job)));
  Agent next(rig, "gpu-2");
  REQUIRE(next.take<link::Lease>().front().epoch == Epoch{2});
  next.say(link::Ended{job, Epoch{2}, link::Outcome::failed, link::EndCause::refused, "no", "", ""});
  rig.runtime.advance(milliseconds{100});
  REQUIRE(rig.workshop->core().job(job) == nullptr);
  CHECK(std::filesystem::exists(rig.folder / "data/staging"));
  CHECK_FALSE(std::filesystem::exists(rig.folder / fmt::format("data/staging/{}-1", job)));
}

TEST_CASE("what an upload had brought when its lease was lost is not sent again by who makes the same") {
  LinkRig rig;
  Agent first(rig, "gpu-1");
  const JobId job = rig.submit(1, uuid(1));
  const std::string digest = sha256(kPicture).hex();
  const auto target = [&](int epoch, int n) {
    return fmt::format("/worker/output/{}/{}/{}?digest={}&size={}", job, epoch, n, digest, kPicture.size());
  };
  const auto offset = [](const Reply& reply) { return std::string(reply.headers.get("Upload-Offset")); };
  CHECK(first.send(net::Method::put, target(1, 0) + "&offset=0", kPicture.substr(0, 9)).status == 416);
  expire(rig, job);
  Agent second(rig, "gpu-2");
  REQUIRE(second.take<link::Lease>().front().epoch == Epoch{2});
  CHECK(second.send(net::Method::head, target(1, 0)).status == 409);
  CHECK(offset(second.send(net::Method::head, target(2, 3))) == "9");
  CHECK(second.send(net::Method::put, target(2, 3) + "&offset=9", kPicture.substr(9)).status == 204);
  CHECK(offset(second.send(net::Method::head, target(2, 3))) == fmt::format("{}", kPicture.size()));
}

TEST_CASE("what a dead agent had sent does not mix with what its next process sends") {
  LinkRig rig;
  auto first = std::make_unique<Agent>(rig, "gpu-1", 1);
  const JobId job = rig.submit(1, uuid(1));
  const std::string content(2 << 20, 'x');
  SlowPut put(rig, *first, job, content, milliseconds{2'000});
  rig.runtime.advance(milliseconds{1'000});
  Agent again(rig, "gpu-1", 2, 1, {{job, Epoch{1}, 0, link::JobState::computed, {}, {}}});
  const std::string target =
      fmt::format("/worker/output/{}/1/0?digest={}&size={}", job, sha256(content).hex(), content.size());
  CHECK(again.send(net::Method::head, target).headers.get("Upload-Offset") == "1048576");
  rig.runtime.advance(milliseconds{2'000});
  REQUIRE(put.response);
  CHECK(put.response->status == 409);
  CHECK(again.send(net::Method::head, target).headers.get("Upload-Offset") == "1048576");
  CHECK(again.send(net::Method::put, target + "&offset=1048576", content.substr(1 << 20)).status == 204);
}

TEST_CASE("an agent that was started again keeps the lease of a job that it names in its hello") {
  LinkRig rig;
  auto first = std::make_unique<Agent>(rig, "gpu-1", 1);
  const JobId job = rig.submit(1, uuid(1));
  first->say(link::Started{job, Epoch{1}});
  first->leave();
  Agent again(rig, "gpu-1", 2, 1, {{job, Epoch{1}, 0, link::JobState::computed, {}, {}}});
  CHECK(again.verdicts() == std::vector{link::Verdict::keep});
  REQUIRE(rig.facts(job).lease);
  CHECK(rig.facts(job).lease->link == again.number());
  CHECK(rig.facts(job).deaths == 0);
  CHECK(again.take<link::Lease>().empty());
  again.say(link::Computed{job, Epoch{1}, 500});
  CHECK(again.put(job, Epoch{1}, 0, kPicture).status == 204);
  again.say(Agent::commit_of(job, Epoch{1}, kPicture));
  CHECK(again.take<link::Committed>().size() == 1);
  // Its slot is free for the next one.
  const JobId next = rig.submit(1, uuid(2));
  CHECK(again.take<link::Lease>().front().job == next);
}

std::string blob_of(const LinkRig& rig, std::string_view content) {
  const std::string hex = sha256(content).hex();
  return rig.folder / ("data/blobs/" + hex.substr(0, 2) + "/" + hex.substr(2));
}

TEST_CASE("a prompt that cannot be read for the moment is leased when it can be") {
  LinkRig rig;
  const JobId job = rig.submit(1, uuid(1));
  rig.store.fail_attachments(3);
  Agent agent(rig);
  CHECK(agent.take<link::Lease>().empty());
  REQUIRE(rig.facts(job).state == core::JobState::leased);
  rig.runtime.advance(milliseconds{5'000});
  CHECK(agent.take<link::Lease>().size() == 1);
}

TEST_CASE("a job whose input is gone from the server, or is cut, ends at once with the file's name") {
  for (const bool cut : {false, true}) {
    CAPTURE(cut);
    LinkRig rig;
    Tab tab(rig, 1, "mine");
    Agent agent(rig);
    REQUIRE(rig.upload(1, "cat.png", "a cat").status == 200);
    const JobId job = rig.submit_with_input(1, 1);
    REQUIRE(agent.take<link::Lease>().size() == 1);
    const std::string address = fmt::format("/worker/input/{}/1/{}", job, sha256("a cat").hex());
    CHECK(agent.send(net::Method::get, address).body == "a cat");
    std::filesystem::remove(blob_of(rig, "a cat"));
    if (cut) files::write_text(blob_of(rig, "a cat"), "a c");
    const Reply refused = agent.send(net::Method::get, address);
    CHECK(refused.status == 409);
    CHECK(refused.body.starts_with("stale_epoch"));
    CHECK(agent.take<link::Stop>().size() == 1);
    const core::Summary* summary = rig.workshop->history().find(job);
    REQUIRE(summary != nullptr);
    CHECK(summary->outcome == core::Outcome::failed);
    CHECK(std::ranges::count(tab.take_types(), "execution_error") == 1);
    const Reply history = rig.get(fmt::format("/user/1/history/{}", uuid(1)));
    const std::string sentence = cut ? "is damaged on the server" : "is not on the server any more";
    CHECK(history.body.find("The file \\\"cat.png\\\" that this job reads " + sentence) != std::string::npos);
    // The slot is free for the next one.
    agent.say(link::SlotIdle{0});
    const JobId next = rig.submit(1, uuid(2));
    CHECK(agent.take<link::Lease>().front().job == next);
  }
}

TEST_CASE("a commit that cannot be stored is not called stale: its agent would forget a job that it holds") {
  LinkRig rig;
  Agent agent(rig);
  const JobId job = rig.submit(1, uuid(1));
  agent.say(link::Started{job, Epoch{1}});
  agent.say(Agent::commit_of(job, Epoch{1}, kPicture));  // its bytes never came
  const auto refused = agent.take<link::Refused>();
  REQUIRE(refused.size() == 1);
  CHECK(refused.front().reason == link::RefuseReason::bad_hash);  // three of them end the job
  CHECK(rig.facts(job).state == core::JobState::running);
}

std::string output_folder(const LinkRig& rig) { return rig.folder / "data/participants/1/output/"; }

TEST_CASE("a job whose output can never get its name ends as failed before anything is recorded of it") {
  for (const std::string folder : {"sub", "sub/deeper", "a/../../b", "C:", "C:/x"}) {
    CAPTURE(folder);
    LinkRig rig;
    Tab tab(rig, 1, "mine");
    files::write_text(output_folder(rig) + "sub", "a file");
    Agent agent(rig);
    const JobId job = rig.submit(1, uuid(1), "mine");
    agent.say(link::Started{job, Epoch{1}});
    REQUIRE(agent.put(job, Epoch{1}, 0, kPicture).status == 204);
    agent.say(Agent::commit_of(job, Epoch{1}, kPicture, folder));
    CHECK(agent.take<link::Stop>().size() == 1);
    CHECK(agent.take<link::Committed>().empty());
    CHECK(rig.workshop->core().unlinked(job, "9") == nullptr);
    const core::Summary* summary = rig.workshop->history().find(job);
    REQUIRE(summary != nullptr);
    CHECK(summary->outcome == core::Outcome::failed);
    CHECK(summary->sentence.find("What node 9 made cannot be saved: ") == 0);
    CHECK(std::ranges::count(tab.take_types(), "execution_error") == 1);
    CHECK(files::read_text(output_folder(rig) + "sub") == "a file");
    // The slot is free for the next one.
    agent.say(link::SlotIdle{0});
    const JobId next = rig.submit(1, uuid(2));
    CHECK(agent.take<link::Lease>().back().job == next);
  }
}

TEST_CASE("a recorded output whose folder cannot be made any more gets a name in the folder above all") {
  LinkRig rig;
  Agent agent(rig);
  const JobId job = rig.submit(1, uuid(1));
  agent.say(link::Started{job, Epoch{1}});
  REQUIRE(agent.put(job, Epoch{1}, 0, kPicture).status == 204);
  files::write_text(output_folder(rig) + "cat_00001_.png", "another picture");
  // The disk is full between the record and the name; then its owner uploads a file "sub".
  files::set_fault_hook([](const char* point) { return std::string_view(point) == "mkdir" ? ENOSPC : 0; });
  agent.say(Agent::commit_of(job, Epoch{1}, kPicture, "sub"));
  files::set_fault_hook(nullptr);
  REQUIRE(rig.workshop->core().unlinked(job, "9") != nullptr);
  files::write_text(output_folder(rig) + "sub", "a file");
  rig.runtime.advance(milliseconds{10'000});
  CHECK(rig.workshop->core().unlinked(job, "9") == nullptr);
  CHECK(files::read_text(output_folder(rig) + "sub") == "a file");
  CHECK(files::read_text(output_folder(rig) + "cat_00001_.png") == "another picture");
  CHECK(files::read_text(output_folder(rig) + "cat_00001_ (1).png") == kPicture);
  agent.say(link::Computed{job, Epoch{1}, 500});
  link::Ended ended;
  ended.job = job;
  ended.epoch = Epoch{1};
  agent.say(ended);
  const Reply history = rig.get(fmt::format("/user/1/history/{}", uuid(1)));
  CHECK(history.body.find(R"("filename":"cat_00001_ (1).png","subfolder":"")") != std::string::npos);
}

TEST_CASE("a repeated commit gets the names given first, whether or not the answer came") {
  LinkRig rig;
  Agent agent(rig);
  const JobId job = rig.submit(1, uuid(1));
  REQUIRE(agent.put(job, Epoch{1}, 0, kPicture).status == 204);
  for (int i = 0; i < 3; ++i) agent.say(Agent::commit_of(job, Epoch{1}, kPicture));
  const auto answers = agent.take<link::Committed>();
  REQUIRE(answers.size() == 3);
  for (const link::Committed& answer : answers)
    CHECK(answer.names == std::vector<std::string>{"cat_00001_.png"});
  CHECK(rig.facts(job).commits.size() == 1);
}

TEST_CASE("progress of a job that a worker never had is dropped, and the third time ends its link") {
  LinkRig rig;
  Agent owner(rig, "gpu-1");
  const JobId job = rig.submit(1, uuid(1));
  Agent liar(rig, "gpu-2");
  const auto progress = small_talk(job, Epoch{1});
  liar.say(progress[1]);
  liar.say(progress[2]);
  CHECK(liar.closed() == net::CloseCode::none);
  liar.say(progress[3]);
  CHECK(liar.closed() == net::CloseCode::policy);
  CHECK(rig.facts(job).state == core::JobState::leased);
  CHECK_FALSE(rig.facts(job).lease->computed);
  CHECK(owner.closed() == net::CloseCode::none);
}

TEST_CASE("late words of a lease that a worker has had end no link, however many they are") {
  LinkRig rig;
  Agent agent(rig);
  const JobId job = rig.submit(1, uuid(1));
  expire(rig, job);
  const auto late = small_talk(job, Epoch{1});
  for (int i = 0; i < 2'000; ++i) agent.say(late[static_cast<std::size_t>(1 + i % 2)]);
  CHECK(agent.closed() == net::CloseCode::none);
}

/// One frame of kind 4 in parts of `bytes`.
std::vector<link::AgentMessage> in_parts(JobId job, const std::string& frame, std::size_t bytes) {
  std::vector<link::AgentMessage> parts;
  for (std::size_t at = 0; at < frame.size(); at += bytes)
    parts.emplace_back(link::Preview{job, Epoch{1}, 4, frame.substr(at, bytes), at + bytes < frame.size()});
  return parts;
}

TEST_CASE("whatever an agent says keeps its leases: its heartbeat may wait behind it") {
  LinkRig rig;
  Agent agent(rig);
  const JobId job = rig.submit(1, uuid(1));
  link::AgentMessage said = link::Preview{job, Epoch{1}, 4, std::string("\0\0\0\2{}png", 9)};
  SUBCASE("a result") {}
  SUBCASE("an event") { said = small_talk(job, Epoch{1})[1]; }
  for (int i = 0; i < 5; ++i) {
    agent.say(said);
    rig.runtime.advance(milliseconds{20'000});
  }
  REQUIRE(rig.facts(job).lease);
  CHECK(rig.facts(job).epoch == Epoch{1});
}

TEST_CASE("a frame that comes in parts is shown when it is whole, and each part keeps the lease") {
  LinkRig rig;
  Agent agent(rig);
  const JobId job = rig.submit(1, uuid(1));
  std::vector<LiveFrame> shown;
  const auto listening = rig.live.subscribe([&](const LiveFrame& frame) { shown.push_back(frame); });
  const std::string metadata = R"({"image_type":"image/png","prompt_id":"x"})";
  const std::string frame =
      comfy::encode_preview_with_metadata(metadata, std::string(3 << 20, 'x')).substr(4);
  SUBCASE("all of it") {
    for (const link::AgentMessage& part : in_parts(job, frame, 256 << 10)) {
      CHECK(shown.empty());
      agent.say(part);
      rig.runtime.advance(milliseconds{20'000});
    }
    REQUIRE(shown.size() == 1);
    CHECK(shown[0].kind == LiveKind::result);
    CHECK(*shown[0].bytes == frame);
    CHECK(rig.facts(job).lease);
    agent.say(link::Preview{job, Epoch{1}, 4, std::string("\0\0\0\2{}jpeg", 10)});
    REQUIRE(shown.size() == 2);
    CHECK(shown[1].kind == LiveKind::preview);
    return;
  }
  auto parts = in_parts(job, frame, 256 << 10);
  SUBCASE("a part of another frame") {
    agent.say(parts[0]);
    std::get<link::Preview>(parts[1]).kind = 1;
    agent.say(parts[1]);
  }
  SUBCASE("more than a frame may have") {
    std::get<link::Preview>(parts[1]).frame.resize(1 << 20);
    for (std::size_t bytes = 0; bytes <= link::kResultBytesMax; bytes += 1 << 20) agent.say(parts[1]);
  }
  CHECK(shown.empty());
  CHECK(agent.closed() == net::CloseCode::protocol_error);
}

TEST_CASE(
    "an engine's loss that names a computed job is that job's alone, not the slot's or the next one's") {
  LinkRig rig;
  Agent agent(rig);
  const JobId first = rig.submit(1, uuid(1));
  agent.say(link::Started{first, Epoch{1}});
  agent.say(link::Computed{first, Epoch{1}, 100});
  const auto state = [&] { return rig.workshop->core().worker("gpu-1")->slots.front().state; };
  SUBCASE("the slot is free") {
    agent.say(link::EngineLost{0, first, Epoch{1}, "no files"});
    CHECK(rig.facts(first).epoch == Epoch{2});  // and granted again
    CHECK(rig.facts(first).state == core::JobState::leased);
  }
  SUBCASE("the slot runs the next job") {
    const JobId next = rig.submit(2, uuid(2));
    agent.say(link::Started{next, Epoch{1}});
    agent.say(link::EngineLost{0, first, Epoch{1}, "no files"});
    CHECK(rig.facts(first).state == core::JobState::queued);
    REQUIRE(rig.facts(next).lease);
    CHECK(rig.facts(next).deaths == 0);
  }
  SUBCASE("the end of the computation is not recorded yet") {
    agent.leave();
    Agent other(rig, "gpu-2");
    const JobId third = rig.submit(3, uuid(3));
    other.say(link::Started{third, Epoch{1}});
    other.put_on_wire(link::Computed{third, Epoch{1}, 100});
    other.put_on_wire(link::EngineLost{0, JobId{}, Epoch{}, "it died"});
    other.say(link::EngineLost{0, third, Epoch{1}, "no files"});
    CHECK_FALSE(rig.facts(third).lease);
    CHECK(rig.facts(third).deaths == 0);
    CHECK(rig.facts(third).losses == 1);
    return;
  }
  CHECK(state() == core::SlotState::busy);
  CHECK(rig.facts(first).deaths == 0);
  CHECK(rig.facts(first).losses == 1);
}

TEST_CASE("an engine's loss that names what its slot runs is a death of that job, and the slot has none") {
  LinkRig rig;
  Agent agent(rig);
  const JobId job = rig.submit(1, uuid(1));
  agent.say(link::Started{job, Epoch{1}});
  agent.say(link::EngineLost{0, job, Epoch{1}, "it died"});
  CHECK(rig.facts(job).deaths == 1);
  CHECK(rig.facts(job).losses == 0);
  CHECK(rig.facts(job).state == core::JobState::queued);
  CHECK(rig.workshop->core().worker("gpu-1")->slots.front().state == core::SlotState::engine_lost);
  CHECK(agent.take<link::Stop>().empty());
}

TEST_CASE("the owner of a job that took its worker down three times is told so") {
  LinkRig rig;
  Tab tab(rig, 1, "mine");
  const JobId job = rig.submit(1, uuid(1), "mine");
  for (std::uint64_t boot = 1; boot <= 3; ++boot) {
    Agent agent(rig, "gpu-1", boot);
    const auto lease = agent.take<link::Lease>();
    REQUIRE(lease.size() == 1);
    CHECK(lease.front().epoch == Epoch{boot});
    agent.say(link::Started{job, Epoch{boot}});
  }
  CHECK(rig.facts(job).deaths == 2);
  Agent agent(rig, "gpu-1", 4);
  CHECK(agent.take<link::Lease>().empty());
  REQUIRE(rig.workshop->history().find(job) != nullptr);
  CHECK(rig.workshop->history().find(job)->reason == core::EndReason::too_many_deaths);
  const auto types = tab.take_types();
  CHECK(std::ranges::count(types, "execution_error") == 1);
  const Reply history = rig.get(fmt::format("/user/1/history/{}", uuid(1)));
  CHECK(history.body.find("3 workers went down while running this job") != std::string::npos);
}

std::size_t leases(const LinkRig& rig) { return rig.workshop->leases().size(); }

TEST_CASE("a server that stood still gives its workers a minute, as after a restart") {
  LinkRig rig;
  Agent alive(rig, "gpu-1");
  Agent dead(rig, "gpu-2");
  const JobId kept = rig.submit(1, uuid(1)), lost = rig.submit(1, uuid(2));
  rig.runtime.stand_still(milliseconds{45'000});
  rig.runtime.advance(milliseconds{2'000});
  CHECK(leases(rig) == 2);
  for (int i = 0; i < 16; ++i) {
    alive.say(link::Heartbeat{});
    rig.runtime.advance(milliseconds{5'000});
  }
  CHECK(rig.facts(kept).lease);
  CHECK_FALSE(rig.facts(lost).lease);
}

TEST_CASE("leases know nothing of the wall clock: two hours forward or back end none and keep none alive") {
  LinkRig rig;
  Agent agent(rig);
  const JobId job = rig.submit(1, uuid(1));
  const Time before = rig.workshop->now();
  for (const std::int64_t hours : {2, -4, 2}) {
    rig.runtime.jump_wall(milliseconds{hours * 3'600'000});
    agent.say(link::Heartbeat{});
    rig.runtime.advance(milliseconds{25'000});
    CHECK(rig.facts(job).lease);
  }
  CHECK(rig.workshop->now() - before == milliseconds{75'000});
  rig.runtime.jump_wall(milliseconds{-7'200'000});
  rig.runtime.advance(milliseconds{7'000});
  CHECK_FALSE(rig.facts(job).lease);
}

TEST_CASE("when many workers vanish at once their jobs come back some at a time") {
  LinkRig rig;
  Agent agent(rig, "gpu-1", 1, 40);
  for (int i = 0; i < 40; ++i) rig.submit(1 + i % 2, uuid(i + 1));
  REQUIRE(leases(rig) == 40);
  while (leases(rig) == 40) rig.runtime.advance(milliseconds{1'000});
  CHECK(leases(rig) == 8);
  rig.runtime.advance(milliseconds{1'000});
  CHECK(leases(rig) == 0);
}

}  // namespace
}  // namespace atelier::gateway::test
