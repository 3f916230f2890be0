// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "support/core_world.hpp"

namespace atelier::core {
namespace {

CommittedFile file(std::string stem, std::uint64_t number, std::uint32_t place = 0, std::int64_t seen = 0) {
  CommittedFile value;
  value.place = place;
  value.stem = std::move(stem);
  value.number = number;
  value.rest = "_.png";
  value.seen = seen;
  return value;
}

struct Running {
  CoreWorld world;
  JobId job;
  Running() {
    world.join("gpu-1");
    job = next();
  }
  JobId next() {
    const JobId id = world.submit(7);
    world.settle();
    world.started(id);
    return id;
  }
  std::vector<Effect> commit(JobId id, std::string node, std::vector<CommittedFile> files) {
    Committed event = world.with<Committed>(id);
    event.node = std::move(node);
    event.files = std::move(files);
    return world.post(std::move(event));
  }
  std::vector<std::string> names(JobId id, const std::string& node) {
    return world.core.unlinked(id, node)->names;
  }
};

TEST_CASE("names go on from what the folder has, from what was given, and from ComfyUI's own number") {
  Running run;
  run.commit(run.job, "9", {file("cat", 1, 0, 4), file("cat", 2, 1, 4)});
  CHECK(run.names(run.job, "9") == std::vector<std::string>{"cat_00005_.png", "cat_00006_.png"});
  run.commit(run.job, "10", {file("cat", 1, 0, 4)});  // the names above are not linked yet
  CHECK(run.names(run.job, "10") == std::vector<std::string>{"cat_00007_.png"});
  run.commit(run.job, "11", {file("dog", 12)});
  CHECK(run.names(run.job, "11") == std::vector<std::string>{"dog_00012_.png"});
}

TEST_CASE("files of a commit with one stem and number share the new number") {
  Running run;
  CommittedFile video = file("clip", 1, 0, 3);
  video.rest = ".mp4";
  CommittedFile still = file("clip", 1, 1, 3);
  still.rest = ".png";
  run.commit(run.job, "1", {video, still});
  CHECK(run.names(run.job, "1") == std::vector<std::string>{"clip_00004.mp4", "clip_00004.png"});
}

TEST_CASE("a name without a number is kept, and if taken gets a copy number before its extension") {
  Running run;
  CommittedFile plain;
  plain.stem = "model";
  plain.rest = ".glb";
  plain.numbered = false;
  run.commit(run.job, "1", {plain});
  CHECK(run.names(run.job, "1") == std::vector<std::string>{"model.glb"});
  run.commit(run.job, "2", {plain});
  CHECK(run.names(run.job, "2") == std::vector<std::string>{"model (1).glb"});
  plain.seen = 5;
  run.commit(run.job, "3", {plain});
  CHECK(run.names(run.job, "3") == std::vector<std::string>{"model (6).glb"});
}

TEST_CASE("the first commit of a node stands: a repeat and a later epoch get its names") {
  Running run;
  run.commit(run.job, "9", {file("cat", 1)});
  const auto repeat = run.commit(run.job, "9", {file("cat", 1)});
  REQUIRE(CoreWorld::find<CommitRepeated>(repeat) != nullptr);
  CHECK(CoreWorld::find<CommitRepeated>(repeat)->names == std::vector<std::string>{"cat_00001_.png"});
  CHECK(CoreWorld::find<NodeCommitted>(repeat) == nullptr);
}

TEST_CASE("a commit of an epoch that holds no lease is refused and takes no name") {
  Running run;
  Committed ghost = run.world.with<Committed>(run.job);
  ghost.node = "9";
  ghost.files = {file("cat", 1)};
  Returned back = run.world.with<Returned>(run.job);
  run.world.post(back);
  CHECK(CoreWorld::find<Refused>(run.world.post(ghost))->reason == NoEffect::stale_epoch);
  CHECK(run.world.core.unlinked(run.job, "9") == nullptr);
}

TEST_CASE("an unlinked commit outlives its job until it is linked") {
  Running run;
  run.commit(run.job, "9", {file("cat", 1)});
  run.world.computed(run.job);
  run.world.ended(run.job);
  REQUIRE(run.world.core.unlinked(run.job, "9") != nullptr);
  const auto effects = run.world.post(Linked{.job = run.job, .node = "9", .ui = {}, .summary = {}});
  CHECK(CoreWorld::find<NodeLinked>(effects)->participant == ParticipantId{7});
  CHECK(run.world.core.unlinked(run.job, "9") == nullptr);
}

TEST_CASE("the counters of names are bounded per participant") {
  Limits limits;
  limits.name_counters_max = 4;
  CoreWorld world(limits);
  world.join("gpu-1");
  const JobId job = world.submit(1);
  world.settle();
  for (int i = 0; i < 10; ++i) {
    Committed event = world.with<Committed>(job);
    event.node = std::to_string(i);
    event.files = {file("stem" + std::to_string(i), 1)};
    world.post(event);
  }
  std::size_t counters = 0;
  for (const CheckpointRecord& record : world.core.export_facts())
    counters += std::holds_alternative<NameCounter>(record) ? 1 : 0;
  CHECK(counters == 4);
}

}  // namespace
}  // namespace atelier::core
