// SPDX-License-Identifier: MIT
#include "base/config.hpp"

#include <doctest/doctest.h>

namespace atelier {
namespace {

Config::Outcome read_file(std::string text) {
  Config::Sources sources;
  sources.env_file_text = std::move(text);
  return Config::read(sources);
}

TEST_CASE("all mistakes of a file are reported together, each with its line") {
  const auto outcome =
      read_file("NUM_USERS=20\nLEASE_TTL=2s\n\nNUM_USER=3\nQUEUE_MODE=lifo\nHTTP_PORT=99999\n");
  REQUIRE(outcome.mistakes.size() == 4);
  CHECK(outcome.mistakes[0] == ".env:4: NUM_USER is not a key; did you mean NUM_USERS?");
  CHECK(outcome.mistakes[1] == ".env:6: HTTP_PORT: \"99999\" is above the maximum \"65535\"");
  CHECK(outcome.mistakes[2] ==
        ".env:5: QUEUE_MODE: \"lifo\" is none of fifo, round_robin, round-robin, priority");
  CHECK(outcome.mistakes[3] == ".env:2: LEASE_TTL: \"2s\" is below the minimum \"5s\"");
}

TEST_CASE("a key that is like none of ours is a warning") {
  const auto outcome = read_file("SOMETHING_ELSE=1\n");
  CHECK(outcome.mistakes.empty());
  REQUIRE(outcome.warnings.size() == 1);
  CHECK(outcome.warnings[0] == ".env:1: SOMETHING_ELSE is not a key of Atelier; the line is ignored");
}

TEST_CASE("a key that nothing reads yet is accepted with a warning") {
  const auto outcome = read_file("NUM_WORKERS=2\nQUEUE_MODE=fifo\n");
  CHECK(outcome.mistakes.empty());
  REQUIRE(outcome.warnings.size() == 1);
  CHECK(outcome.warnings[0] == ".env:1: NUM_WORKERS has no effect in this version");
}

TEST_CASE("the server is open to other machines only when that is asked for") {
  CHECK(read_file("LISTEN=127.0.0.1\n").mistakes.empty());
  CHECK(read_file("LISTEN=0.0.0.0\nACCESS=open\n").mistakes.empty());
  REQUIRE(read_file("LISTEN=0.0.0.0\n").mistakes.size() == 1);
  CHECK(read_file("LISTEN=0.0.0.0\n").mistakes[0] ==
        "LISTEN: whoever reaches 0.0.0.0 could use any seat; set ACCESS=token, or ACCESS=open if that is "
        "meant");
  CHECK(read_file("ACCESS=code\n").mistakes.size() == 1);
}

TEST_CASE("options win over the environment, which wins over the file") {
  Config::Sources sources;
  sources.env_file_text = "NUM_USERS=1\nHTTP_PORT=1000\nMAX_QUEUE_DEPTH=7 # comment\n";
  sources.environment = {{"NUM_USERS", "2"}, {"HTTP_PORT", "2000"}, {"HOME", "/root"}};
  sources.options = {{"NUM_USERS", "3"}};
  const auto outcome = Config::read(sources);
  CHECK(outcome.mistakes.empty());
  CHECK(outcome.config.number("NUM_USERS") == 3);
  CHECK(outcome.config.number("HTTP_PORT") == 2000);
  CHECK(outcome.config.number("MAX_QUEUE_DEPTH") == 7);
}

TEST_CASE("times and sizes carry their unit; old keys keep their old unit for plain numbers") {
  const auto outcome = read_file("JOB_TIMEOUT=90\nUSER_QUOTA=2.5GB\nLEASE_TTL=1min\n");
  CHECK(outcome.mistakes.empty());
  CHECK(outcome.config.duration("JOB_TIMEOUT") == milliseconds{90'000});
  CHECK(outcome.config.bytes("USER_QUOTA") == 2'500'000'000);
  CHECK(outcome.config.duration("LEASE_TTL") == milliseconds{60'000});
  CHECK(read_file("LEASE_TTL=30\n").mistakes.size() == 1);
}

TEST_CASE("every default of the table is valid and every key has a help sentence") {
  CHECK(Config::read({}).mistakes.empty());
  for (const KeySpec& key : config_keys()) CHECK(!key.help.empty());
}

TEST_CASE("the edit distance counts insertions, deletions and substitutions") {
  CHECK(edit_distance("NUM_USER", "NUM_USERS", 2) == 1);
  CHECK(edit_distance("HTTP_PROT", "HTTP_PORT", 2) == 2);
  CHECK(edit_distance("DOMAIN", "LISTEN", 2) == 3);
}

}  // namespace
}  // namespace atelier
