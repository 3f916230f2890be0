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

}  // namespace
}  // namespace atelier::gateway::test
