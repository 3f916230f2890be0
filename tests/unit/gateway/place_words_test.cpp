// SPDX-License-Identifier: MIT
#include "gateway/place_words.hpp"

#include <doctest/doctest.h>

namespace atelier::gateway::test {
namespace {

TEST_CASE("what several workers have only together is not said to be nowhere") {
  const core::Core core;
  const core::JobFacts job{};
  workshop::StandingsView view;
  const workshop::Standing standing{};
  const PlaceWords words{.core = core, .job = job, .view = &view, .standing = &standing};
  core::QueueCopy::Kind& kind = view.kinds.emplace_back();
  kind = {core::Obstacle::missing_node, {}, 1, "Blur"};
  CHECK(words.reason().sentence ==
        "No connected GPU has the node Blur, which this workflow needs. The job is kept.");
  const std::string nearest =
      "No connected GPU has everything that this job needs: the nearest, a GPU, lacks ";
  kind.worker = WorkerId{1};
  CHECK(words.reason().sentence == nearest + "the node Blur. The job is kept.");
  kind = {core::Obstacle::missing_model, WorkerId{1}, 1, "a.safetensors"};
  CHECK(words.reason().sentence == nearest + "a.safetensors. The job is kept.");
  kind = {core::Obstacle::missing_tag, WorkerId{1}, 1, "big"};
  CHECK(words.reason().sentence == nearest + "the tag big. The job is kept.");
}

TEST_CASE("a job that was chosen for the worker that died is not said to start on another one") {
  const core::Core core;
  core::JobFacts job;
  job.submitted.pinned_worker = "gpu-1";
  const workshop::Setback setback{{}, "gpu-1", core::LossReason::link_expired};
  const PlaceWords words{.core = core, .job = job, .setback = &setback};
  CHECK(words.cause().sentence ==
        "gpu-1 stopped answering. Your job starts again when gpu-1 is back. Nothing for you to do.");
  job.submitted.pinned_worker = "gpu-2";  // by now
  CHECK(words.cause().sentence ==
        "gpu-1 stopped answering. Your job starts again on gpu-2. Nothing for you to do.");
}

}  // namespace
}  // namespace atelier::gateway::test
