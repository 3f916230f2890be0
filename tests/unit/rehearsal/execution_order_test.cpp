// SPDX-License-Identifier: MIT
#include "rehearsal/execution_order.hpp"

#include <doctest/doctest.h>

using atelier::rehearsal::ExecutionOrder;
using atelier::rehearsal::GraphNode;

namespace {

using Graph = std::map<std::string, GraphNode>;

std::string run(const Graph& graph, const std::vector<std::string>& outputs) {
  ExecutionOrder order(graph, outputs);
  std::string ids;
  while (const auto next = order.next()) {
    ids += *next;
    order.finish(*next);
  }
  return order.empty() ? ids : ids + "!";
}

}  // namespace

TEST_CASE("a chain runs from its source to its output, and only what an output needs runs") {
  const Graph graph{{"a", {false, {}}}, {"b", {false, {"a"}}}, {"c", {true, {"b"}}}, {"z", {false, {"a"}}}};
  CHECK(run(graph, {"c"}) == "abc");
}

TEST_CASE("an output that is ready goes before other work") {
  // p previews a; s saves the long way round.
  const Graph graph{{"a", {false, {}}},
                    {"b", {false, {"a"}}},
                    {"c", {false, {"b"}}},
                    {"p", {true, {"a"}}},
                    {"s", {true, {"c"}}}};
  CHECK(run(graph, {"s", "p"}) == "apbcs");
}

TEST_CASE("a node that feeds an output goes before one that does not") {
  const Graph graph{{"l", {false, {}}},         {"m", {false, {"l"}}}, {"e", {false, {}}},
                    {"n", {false, {"m", "e"}}}, {"o", {false, {"n"}}}, {"s", {true, {"o"}}},
                    {"x", {false, {}}},         {"t", {true, {"x"}}}};
  CHECK(run(graph, {"s", "t"}).substr(0, 2) == "xt");
}

TEST_CASE("a node used twice runs once") {
  const Graph graph{{"a", {false, {}}}, {"b", {false, {"a", "a"}}}, {"s", {true, {"b", "a"}}}};
  CHECK(run(graph, {"s"}) == "abs");
}

TEST_CASE("a cycle leaves nodes over instead of looping") {
  const Graph graph{{"a", {false, {"b"}}}, {"b", {false, {"a"}}}, {"s", {true, {"b"}}}};
  CHECK(run(graph, {"s"}) == "!");
}
