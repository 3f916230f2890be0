// SPDX-License-Identifier: MIT
// Slots that come and go while the worker runs, and what changes in an engine that goes on.
#include "machine_rig.hpp"

namespace atelier::agent {
namespace {

MachineOptions launched_options(std::uint32_t slots) {
  MachineOptions options = Rig::default_options();
  options.launched = true;
  options.slots = slots;
  return options;
}

EngineInfo info_of(std::string_view lists) {
  EngineInfo info;
  info.comfy_version = "0.21.0";
  info.object_info = sha256(lists);
  info.engine_start = 100;
  return info;
}

void bring_up(Rig& rig, std::uint32_t slot, std::string_view lists = "object_info") {
  const EngineInfo info = info_of(lists);
  rig.feed(EngineUp{slot, info});
  rig.feed(ObjectInfoPublished{slot, info.object_info, {}});
}

link::Lease lease_in(std::uint32_t slot, RunKey key) {
  link::Lease lease = Rig::lease(key);
  lease.slot = slot;
  return lease;
}

}  // namespace

TEST_CASE("a slot that is added is told when its engine was made, and ready when that answers") {
  Rig rig(launched_options(1));
  rig.join();
  rig.gateway(link::AddSlot{0});
  CHECK(rig.only<AddEngine>().slot == 1);
  rig.gateway(lease_in(1, kJob));  // nobody could know it yet
  CHECK(rig.only_sent<link::Returned>().reason == link::ReturnReason::slot_removed);
  rig.feed(EngineAdded{1, {}});
  const auto told = rig.only_sent<link::SlotsChanged>();
  REQUIRE(told.added.size() == 1);
  CHECK(told.added[0].slot == 1);
  CHECK(told.added[0].engine == link::EngineState::starting);
  bring_up(rig, 1);
  CHECK(rig.only_sent<link::EngineReady>().slot == 1);
  rig.lose_link();
  CHECK(rig.open().slots.size() == 2);
}

TEST_CASE("a slot that comes between hello and welcome is told after it, once") {
  Rig rig(launched_options(1));
  rig.join();
  rig.gateway(link::AddSlot{0});
  rig.lose_link();
  CHECK(rig.open().slots.size() == 1);
  rig.feed(EngineAdded{1, {}});
  CHECK(rig.last.empty());
  link::Welcome welcome;
  welcome.link = LinkId{9};
  welcome.blob_url = "/worker";
  rig.gateway(std::move(welcome));
  CHECK(rig.only_sent<link::SlotsChanged>().added.at(0).slot == 1);
  rig.feed(Tick{});
  CHECK(rig.sent<link::SlotsChanged>().empty());
}

TEST_CASE("a slot that cannot be added is not there, and its number is free") {
  Rig rig(launched_options(1));
  rig.join();
  rig.gateway(link::AddSlot{8199});
  CHECK(rig.only<AddEngine>().port == 8199);
  rig.feed(EngineAdded{1, fail(Errc::config, "port 8199 is that of slot 0")});
  CHECK(rig.only_sent<link::LogLines>().lines[0].starts_with("atelier-worker: no slot was added: "));
  CHECK(rig.last.size() == 1);
  rig.gateway(link::AddSlot{8200});
  CHECK(rig.only<AddEngine>().slot == 1);
}

TEST_CASE("an agent that starts no engine adds none without a port") {
  Rig rig;
  rig.join();
  rig.gateway(link::AddSlot{0});
  CHECK(rig.only_sent<link::LogLines>().lines[0].starts_with("atelier-worker: no slot was added: "));
  CHECK(rig.last.size() == 1);
  rig.gateway(link::AddSlot{8189});
  CHECK(rig.count<AddEngine>() == 1);
}

TEST_CASE("an agent has so many slots and no more") {
  Rig rig(launched_options(link::kSlotsMax));
  rig.join();
  rig.gateway(link::AddSlot{0});
  CHECK(rig.only_sent<link::LogLines>().lines[0].starts_with("atelier-worker: no slot was added: "));
  CHECK(rig.last.size() == 1);
}

TEST_CASE("a slot that is removed finishes what runs, and its outputs travel before its engine ends") {
  Rig rig(launched_options(2));
  rig.join();
  bring_up(rig, 0);
  bring_up(rig, 1);
  rig.run();  // in slot 0
  rig.executed("9");
  rig.gateway(link::RemoveSlot{0});
  CHECK(rig.last.empty());
  rig.gateway(link::RemoveSlot{0});  // asked twice
  CHECK(rig.last.empty());
  CHECK(rig.open().slots.size() == 2);  // it still works
  rig.join();
  rig.finish_run();
  CHECK(rig.count<RemoveEngine>() == 0);
  CHECK(rig.only_sent<link::SlotsChanged>().removed == std::vector<std::uint32_t>{0});
  rig.gateway(lease_in(0, RunKey{JobId{8}, Epoch{1}}));  // it was on its way
  CHECK(rig.only_sent<link::Returned>().reason == link::ReturnReason::slot_removed);
  rig.collected("9");
  rig.history();
  rig.no_rest();
  rig.feed(Uploaded{kJob, "9", 0, {}});
  rig.gateway(link::Committed{kJob.job, kJob.epoch, "9", {"a_00001_.png"}});
  CHECK(rig.only_sent<link::Ended>().outcome == link::Outcome::succeeded);
  CHECK(rig.count<RemoveEngine>() == 0);
  rig.gateway(link::EndedOk{kJob.job, kJob.epoch});
  CHECK(rig.only<RemoveEngine>().slot == 0);
  CHECK(rig.open().slots.size() == 1);
  rig.feed(EngineUp{0, info_of("late")});  // its last word
  CHECK(rig.last.empty());
  rig.join();
  rig.feed(EngineRemoved{0});
  rig.gateway(link::AddSlot{0});
  CHECK(rig.only<AddEngine>().slot == 0);
}

TEST_CASE("a job that has not begun goes back when its slot is removed") {
  Rig rig(launched_options(2));
  rig.join();
  bring_up(rig, 1);
  rig.gateway(lease_in(1, kJob));
  rig.gateway(link::RemoveSlot{1});
  CHECK(rig.only_sent<link::Returned>().reason == link::ReturnReason::slot_removed);
  CHECK(rig.only_sent<link::SlotsChanged>().removed == std::vector<std::uint32_t>{1});
  CHECK(rig.only<RemoveEngine>().slot == 1);
}

TEST_CASE("the gateway hears of a removal that ended while there was no link by the next hello") {
  Rig rig(launched_options(2));
  rig.join();
  bring_up(rig, 1);
  rig.gateway(lease_in(1, kJob));
  rig.feed(JobFetched{kJob, {}});
  rig.feed(RunPosted{kJob, PostResult::accepted, ""});
  rig.gateway(link::RemoveSlot{1});
  rig.lose_link();
  rig.feed(EngineDown{1, "it died"});  // nothing runs there any more, and nobody can be told
  CHECK(rig.count<RemoveEngine>() == 0);
  rig.join();
  CHECK(rig.only_sent<link::SlotsChanged>().removed == std::vector<std::uint32_t>{1});
}

TEST_CASE("the last slot stays") {
  Rig rig(launched_options(2));
  rig.join();
  rig.gateway(link::RemoveSlot{0});
  CHECK(rig.only<RemoveEngine>().slot == 0);
  rig.gateway(link::RemoveSlot{1});
  CHECK(rig.last.empty());
  CHECK(rig.open().slots.size() == 1);
}

TEST_CASE("models that appear while the engine goes on are told, also while a job runs") {
  Rig rig;
  rig.join();
  bring_up(rig, 0);
  rig.run();
  rig.feed(EngineChanged{0, info_of("more models")});
  CHECK(rig.only<PublishObjectInfo>().digest == sha256("more models"));
  rig.feed(ObjectInfoPublished{0, sha256("more models"), {}});
  const auto ready = rig.only_sent<link::EngineReady>();
  CHECK(ready.object_info == sha256("more models"));
  CHECK(ready.engine_start == 100);  // it holds what it held
  rig.finish_run();
  CHECK(rig.sent<link::Computed>().size() == 1);
}

TEST_CASE(
    "lists of models are told by their hash, also when nothing else changed, and when they are lacked") {
  Rig rig;
  rig.join();
  bring_up(rig, 0);
  EngineInfo info = info_of("object_info");
  info.models = sha256("first lists");
  rig.feed(EngineChanged{0, info});
  CHECK(rig.only<PublishObjectInfo>().models == sha256("first lists"));
  info.models = sha256("second lists");
  rig.feed(EngineChanged{0, info});
  CHECK(rig.last.empty());  // one after the other
  rig.feed(ObjectInfoPublished{0, info.object_info, {}, sha256("first lists")});
  CHECK(rig.sent<link::EngineReady>().empty());  // its lists are others by now
  rig.advance(milliseconds(2'000));
  CHECK(rig.only<PublishObjectInfo>().models == info.models);
  rig.feed(ObjectInfoPublished{0, info.object_info, {}, info.models});
  CHECK(rig.only_sent<link::EngineReady>().models == info.models);

  rig.lose_link();
  CHECK(rig.open().slots.at(0).models == info.models);
  link::Welcome welcome;
  welcome.link = LinkId{2};
  rig.gateway(welcome);
  CHECK(rig.count<PublishObjectInfo>() == 0);
  rig.lose_link();
  rig.open();
  welcome.link = LinkId{3};
  welcome.want = {*info.models};
  rig.gateway(welcome);
  CHECK(rig.only<PublishObjectInfo>().digest == info.object_info);
}

TEST_CASE("an engine that was asked to unload holds nothing any more, once nothing runs") {
  Rig rig;
  rig.join();
  bring_up(rig, 0);
  rig.gateway(link::Free{0});
  CHECK(rig.count<FreeEngine>() == 1);
  CHECK(rig.only_sent<link::EngineReady>().engine_start == 101);
  rig.run();
  rig.gateway(link::Free{0});
  CHECK(rig.count<FreeEngine>() == 1);
  CHECK(rig.sent<link::EngineReady>().empty());  // ComfyUI unloads after the run
  rig.finish_run();
  CHECK(rig.only_sent<link::EngineReady>().engine_start == 102);
}

}  // namespace atelier::agent
