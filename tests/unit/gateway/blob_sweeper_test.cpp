// SPDX-License-Identifier: MIT
#include "gateway/blob_sweeper.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <string_view>

#include "files/fault_points.hpp"
#include "unit/gateway/link_rig.hpp"

namespace atelier::gateway::test {
namespace {

// The virtual clock is weeks ahead of the files' own: whatever lies there has not been used for days.

bool has(LinkRig& rig, std::string_view content) {
  return rig.files->blobs().size(sha256(content)).value().has_value();
}

void upload(LinkRig& rig, const std::string& content) {
  REQUIRE(rig.upload(7, "cat.png", content, {{"overwrite", "true"}}).status == 200);
}

std::uint64_t used(LinkRig& rig) { return rig.files->quota().usage(ParticipantId{7}).bytes; }

std::uint64_t sweep(LinkRig& rig, BlobSweeper& sweeper) {
  std::optional<Result<files::SweptBlobs>> swept;
  TaskGroup group(rig.runtime);
  auto round = [&]() -> awaitable<void> { swept = co_await sweeper.sweep(); };
  group.spawn("sweep", round());
  rig.runtime.advance(milliseconds{10'000});
  REQUIRE(swept.has_value());
  REQUIRE(swept->has_value());
  return (*swept)->blobs;
}

TEST_CASE("the input of a job stays until the job has ended, and what replaced it is not touched") {
  LinkRig rig;
  BlobSweeper sweeper(rig.runtime, *rig.workshop, *rig.files);
  upload(rig, "the first");
  const JobId first = rig.submit_with_input(7, 1);
  upload(rig, "the second");
  const JobId second = rig.submit_with_input(7, 2);
  upload(rig, "the third");
  CHECK(sweep(rig, sweeper) == 0);
  CHECK(has(rig, "the first"));
  CHECK(has(rig, "the second"));
  CHECK(used(rig) == 9 + 10 + 9);  // what was replaced is still there

  // Another one, as after a restart: it knows nothing of what the first one read.
  Agent agent(rig);
  agent.say(link::Started{first, Epoch{1}});
  agent.say(link::Computed{first, Epoch{1}, 500});
  link::Ended ended;
  ended.job = first;
  ended.epoch = Epoch{1};
  ended.outcome = link::Outcome::succeeded;
  agent.say(ended);
  REQUIRE(rig.workshop->core().job(first) == nullptr);
  BlobSweeper next(rig.runtime, *rig.workshop, *rig.files);
  CHECK(sweep(rig, next) == 1);
  CHECK_FALSE(has(rig, "the first"));
  CHECK(has(rig, "the second"));
  CHECK(used(rig) == 10 + 9);
  CHECK(sweep(rig, sweeper) == 0);
  const Reply input =
      agent.send(net::Method::get, fmt::format("/worker/input/{}/1/{}", second, sha256("the second").hex()));
  CHECK(input.status == 200);
  CHECK(input.body == "the second");
  CHECK(rig.files->swept_blobs().blobs == 1);
  CHECK(rig.files->swept_blobs().bytes == 9);
  CHECK(rig.get("/metrics").body.find("\natelier_blobs_removed_total 1\n") != std::string::npos);
}

TEST_CASE("outputs stay as long as their names are to be made or are there, and an unread upload is swept") {
  LinkRig rig;
  BlobSweeper sweeper(rig.runtime, *rig.workshop, *rig.files);
  Agent agent(rig);
  const JobId job = rig.submit(7, uuid(1));
  agent.say(link::Started{job, Epoch{1}});
  const std::string folder = rig.folder / "data/participants/7/output";
  upload(rig, "an input");
  REQUIRE(agent.put(job, Epoch{1}, 0, "a picture").status == 204);
  files::set_fault_hook([](const char* point) { return std::string_view(point) == "link" ? EIO : 0; });
  agent.say(Agent::commit_of(job, Epoch{1}, "a picture"));  // it is recorded, and has no name yet
  REQUIRE(rig.workshop->core().unlinked(job, "9") != nullptr);
  CHECK(sweep(rig, sweeper) == 0);
  files::set_fault_hook(nullptr);
  rig.runtime.advance(milliseconds{8'000});
  REQUIRE(std::filesystem::exists(folder + "/cat_00001_.png"));
  CHECK(used(rig) == 8 + 9);  // an output counts from then on
  REQUIRE(agent.put(job, Epoch{1}, 1, "never committed").status == 204);
  CHECK(sweep(rig, sweeper) == 1);
  CHECK_FALSE(has(rig, "never committed"));
  CHECK(has(rig, "a picture"));
  // Its agent is told to send it again.
  link::Commit late = Agent::commit_of(job, Epoch{1}, "never committed");
  late.node = late.display_node = "10";
  agent.say(late);
  const auto refused = agent.take<link::Refused>();
  REQUIRE(refused.size() == 1);
  CHECK(refused.front().reason == link::RefuseReason::bad_hash);

  REQUIRE(std::filesystem::remove(folder + "/cat_00001_.png"));
  CHECK(sweep(rig, sweeper) == 1);
  CHECK_FALSE(has(rig, "a picture"));
}

TEST_CASE("a server whose journal takes nothing removes nothing") {
  LinkRig rig;
  BlobSweeper sweeper(rig.runtime, *rig.workshop, *rig.files);
  REQUIRE(rig.files->blobs().put("nobody's").has_value());
  rig.run(rig.workshop->stop(rig.runtime.now() + milliseconds{1'000}));
  REQUIRE_FALSE(rig.workshop->accepting());
  CHECK(sweep(rig, sweeper) == 0);
  CHECK(has(rig, "nobody's"));
}

TEST_CASE("once an hour it sweeps by itself, but not when somebody has set the clock forward") {
  LinkRig rig;
  BlobSweeper sweeper(rig.runtime, *rig.workshop, *rig.files);
  sweeper.start();
  REQUIRE(rig.files->blobs().put("nobody's").has_value());
  rig.runtime.advance(milliseconds{500'000});
  rig.runtime.jump_wall(std::chrono::hours(30));
  rig.runtime.advance(std::chrono::hours(24));
  CHECK(has(rig, "nobody's"));
  rig.runtime.advance(std::chrono::hours(2));
  CHECK_FALSE(has(rig, "nobody's"));
  rig.run(sweeper.stop(rig.runtime.now() + milliseconds{1'000}));
}

}  // namespace
}  // namespace atelier::gateway::test
