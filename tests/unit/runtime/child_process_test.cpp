// SPDX-License-Identifier: MIT
#include "runtime/child_process.hpp"

#include <doctest/doctest.h>
#include <signal.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "runtime/real_runtime.hpp"

namespace atelier {
namespace {

struct Seen {
  std::string output, end;
};

awaitable<void> watch(RealRuntime& runtime, std::vector<std::string> arguments, int number, Seen& seen) {
  auto child = ChildProcess::start(runtime, std::move(arguments));
  REQUIRE(child);
  while (true) {
    auto bytes = co_await (*child)->read();
    if (!bytes || bytes->empty()) break;
    seen.output += *bytes;
    if (number != 0) (*child)->signal(number);
  }
  auto end = co_await (*child)->wait();
  seen.end = end ? *end : end.error().what;
  runtime.stop();
}

Seen run(std::vector<std::string> arguments, int number = 0) {
  RealRuntime runtime;
  Seen seen;
  asio::co_spawn(runtime.executor(), watch(runtime, std::move(arguments), number, seen), asio::detached);
  runtime.run();
  return seen;
}

TEST_CASE("a child's output comes whole, from both of its streams, and how it ended") {
  const Seen seen = run({"/bin/sh", "-c", "echo one; echo two >&2; exit 3"});
  CHECK(seen.output == "one\ntwo\n");
  CHECK(seen.end == "exit code 3");
}

TEST_CASE("a signal goes to all that a child has started") {
  // The pipe ends only with the inner one, which would wait for ever.
  const Seen seen = run({"/bin/sh", "-c", "cat /dev/zero >/dev/null & echo started; wait"}, SIGTERM);
  CHECK(seen.output == "started\n");
  CHECK(seen.end == "signal 15");
}

TEST_CASE("a program that is not there ends with 127") {
  CHECK(run({"/no/such/program"}).end == "exit code 127");
}

}  // namespace
}  // namespace atelier
