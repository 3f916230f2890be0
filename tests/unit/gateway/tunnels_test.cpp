// SPDX-License-Identifier: MIT
#include "gateway/worker_link/tunnels.hpp"

#include <doctest/doctest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <optional>
#include <vector>

#include "runtime/virtual_runtime.hpp"

namespace atelier::gateway::test {

TEST_CASE("tunnels are bounded; the next one waits for its turn, but not for ever") {
  VirtualRuntime runtime;
  TunnelLimits limits;
  limits.per_worker_max = 2;
  limits.all_max = 3;
  Tunnels tunnels(runtime, limits);
  std::vector<Key128> asked;
  std::vector<std::optional<Errc>> ended;
  const auto open = [&](std::uint64_t worker) {
    auto work = [](Tunnels& all, std::uint64_t of, std::vector<Key128>& ids,
                   std::vector<std::optional<Errc>>& ends) -> awaitable<void> {
      auto ask = [&ids](Key128 id) { ids.push_back(id); };
      auto opened = co_await all.open(WorkerId{of}, LinkId{of}, std::move(ask));
      ends.push_back(opened ? std::optional<Errc>() : opened.error().code);
    };
    asio::co_spawn(runtime.executor(), work(tunnels, worker, asked, ended), asio::detached);
    runtime.run_ready();
  };
  open(1);
  open(1);
  open(1);
  CHECK(asked.size() == 2);
  open(2);
  CHECK(asked.size() == 3);
  open(3);
  CHECK(asked.size() == 3);
  CHECK(tunnels.open_now() == 3);
  runtime.advance(milliseconds{9'999});
  CHECK(ended.empty());
  runtime.advance(milliseconds{2});
  REQUIRE(ended.size() == 2);
  CHECK(ended[0] == Errc::queue_full);
  CHECK(ended[1] == Errc::queue_full);
  open(1);
  CHECK(asked.size() == 3);
  runtime.advance(milliseconds{5'000});  // the first three did not come in time
  CHECK(ended.size() == 5);
  CHECK(ended[2] == Errc::timeout);
  CHECK(asked.size() == 4);  // and it was the next one's turn
  tunnels.stop();
  runtime.run_ready();
  CHECK(ended.size() == 6);
  CHECK(ended[5] == Errc::unavailable);
  CHECK(tunnels.open_now() == 0);
  open(1);
  CHECK(asked.size() == 4);
}

}  // namespace atelier::gateway::test
