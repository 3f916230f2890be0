// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "cutting_proxy.hpp"
#include "journal/redis/connection.hpp"
#include "journal/redis/keys.hpp"
#include "journal/redis/redis_journal.hpp"
#include "journal/redis/scripts.hpp"
#include "redis_server.hpp"
#include "runtime/real_runtime.hpp"
#include "runtime/task_group.hpp"
#include "suite.hpp"

using namespace std::chrono_literals;

namespace atelier::journal::redis {
namespace {

/// Each has keys of its own in one server.
class RedisRig final : public Rig {
 public:
  explicit RedisRig(RedisServer& server) {
    static int count = 0;
    options.port = server.port();
    options.prefix = fmt::format("test-{}", ++count);
    options.writer_ttl = 600ms;
    options.mark_path = folder.file("redis.seen");
    reconnect();
  }

  Runtime& runtime() override { return real_runtime; }
  Result<std::unique_ptr<Journal>> open() override {
    if (broken) say({"RENAME", away(), keys().head});
    broken = false;
    return get(redis::open(real_runtime, options));
  }
  std::unique_ptr<StoreReader> reader() override {
    auto opened = open_reader(options);
    REQUIRE_MESSAGE(opened, opened.error().what);
    return std::move(*opened);
  }
  void run_until(const bool& done) override {
    real_runtime.context().restart();
    while (!done) REQUIRE(real_runtime.context().run_one() == 1);
  }
  void set_full(bool full) override { say({"CONFIG", "SET", "maxmemory", full ? "1" : "0"}); }
  /// What a journal knows of it is gone.
  void break_disk() override {
    say({"RENAME", keys().head, away()});
    broken = true;
  }

  Reply say(const std::vector<std::string>& words) {
    auto reply = try_to_say(words);
    REQUIRE_MESSAGE(reply, reply.error().what);
    return std::move(*reply);
  }
  Result<Reply> try_to_say(const std::vector<std::string>& words) {
    return get(connection->command({words.begin(), words.end()}, 5'000ms));
  }
  void reconnect() {
    auto opened = get(Connection::open(real_runtime, net::DeadlineSweep::make(real_runtime), options));
    REQUIRE_MESSAGE(opened, opened.error().what);
    connection = std::move(*opened);
  }
  /// Every connection but this one ends.
  void cut() { say({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"}); }

  [[nodiscard]] Keys keys() const { return Keys(options.prefix); }
  [[nodiscard]] std::string away() const { return keys().head + ".away"; }

  TempFolder folder;
  RealRuntime real_runtime;
  Options options;
  std::unique_ptr<Connection> connection;
  bool broken = false;
};

RedisServer& common_server() {
  static RedisServer server;
  return server;
}

Errc code_of(const auto& result) {
  REQUIRE(!result);
  return result.error().code;
}

TEST_CASE("the Redis journal keeps the contract") {
  journal_suite([] { return std::make_unique<RedisRig>(common_server()); });
}

TEST_CASE("two gateways on one Redis see each other's entries, in one order") {
  RedisRig rig(common_server());
  rig.options.alone = false;
  const auto [one, two] = open_two_that_see_each_other(rig);

  bool woken = false;
  TaskGroup group(rig.real_runtime);
  auto wait = [&]() -> awaitable<void> { woken = co_await two->wait(); };
  group.spawn("wait", wait());
  REQUIRE(rig.get(one->append(submits(3, 1, 0))));
  rig.run_until(woken);
}

TEST_CASE("only one server writes alone: a living one is not disturbed, one that is gone runs out") {
  RedisRig rig(common_server());
  std::vector<core::Entry> entries;
  auto journal = open_and_replay(rig, entries);
  REQUIRE(rig.get(journal->append(submits(1, 1, 0))));
  SUBCASE("alive") {
    const auto second = rig.open();
    CHECK(code_of(second) == Errc::config);
    CHECK(second.error().what.find("another server") != std::string::npos);
    CHECK(rig.get(journal->append(submits(2, 1, 0))));
  }
  SUBCASE("killed: its mark is there, and nobody renews it") {
    journal.reset();
    rig.say({"SET", rig.keys().writer, "a server that was killed", "PX", "300"});
    journal = open_and_replay(rig, entries);
    CHECK(rig.get(journal->append(submits(2, 1, 0)))->front().sequence == Sequence{2});
  }
  SUBCASE("stood still for long: the one that took over stays alone") {
    rig.say({"SET", rig.keys().writer, "another server"});
    const auto refused = rig.get(journal->append(submits(2, 1, 0)));
    CHECK(code_of(refused) == Errc::io);
    CHECK(!journal->healthy());
    CHECK(number_of(*rig.say({"HGET", rig.keys().head, "last"})) == 1);
  }
}

TEST_CASE("a lost connection is made again, and nothing is stored twice") {
  RedisRig rig(common_server());
  std::vector<core::Entry> entries;
  auto journal = open_and_replay(rig, entries);
  REQUIRE(rig.get(journal->append(submits(1, 2, 10))));
  const std::string session =
      std::string(text_of(*rig.say({"KEYS", "{" + rig.options.prefix + "}:session:*"})->element[0]));
  const std::string before(text_of(*rig.say({"GET", session})));
  rig.cut();
  CHECK(code_of(rig.get(journal->append(submits(2, 1, 10)))) == Errc::unavailable);
  auto read_back = rig.get(journal->append({}));
  REQUIRE(read_back);
  CHECK(read_back->empty());
  // What was on its way when the connection was lost, and comes only now.
  const Keys keys = rig.keys();
  const auto late = rig.try_to_say({"EVAL", std::string(kAppend), "4", keys.head, session, keys.writer,
                                    keys.entries, before, std::string(kFormat), "2", "", "0", "0", "0", "0"});
  REQUIRE(!late);
  CHECK(late.error().what == "GONE by now");
  CHECK(rig.get(journal->append(submits(2, 1, 10)))->front().sequence == Sequence{3});
  CHECK(rig.get(journal->attachment({3, 1})));
}

TEST_CASE("what was read back is given once, also if the connection breaks during it") {
  for (int cut_at = 1; cut_at <= 3; ++cut_at) {
    CAPTURE(cut_at);
    RedisRig rig(common_server());
    rig.options.alone = false;
    std::vector<core::Entry> entries;
    auto other = open_and_replay(rig, entries);
    CuttingProxy proxy(rig.options.port);
    rig.options.port = proxy.port();
    auto journal = open_and_replay(rig, entries);
    REQUIRE(rig.get(other->append(submits(1, 300, 0))));  // more than is read at once
    proxy.cut_at("XRANGE", cut_at);
    CHECK(code_of(rig.get(journal->append({}))) == Errc::unavailable);
    CHECK(journal->last() == Sequence{0});
    auto next = rig.get(journal->append(submits(2, 1, 0)));
    REQUIRE_MESSAGE(next, next.error().what);
    REQUIRE(next->size() == 301);
    for (std::size_t i = 0; i < next->size(); ++i) REQUIRE((*next)[i].sequence.value == i + 1);
  }
}

TEST_CASE("what answers but is no Redis of ours is refused in words") {
  for (const char* answer : {"+OK\r\n", ":1\r\n", "*0\r\n", "$-1\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n"}) {
    CAPTURE(answer);
    const AnsweringServer server(answer);
    RealRuntime runtime;
    Options options;
    options.port = server.port();
    options.patience = 2'000ms;
    std::optional<Result<std::unique_ptr<Journal>>> opened;
    asio::co_spawn(runtime.executor(), redis::open(runtime, options),
                   [&](std::exception_ptr error, auto result) {
                     if (!error) opened.emplace(std::move(result));
                     runtime.stop();
                   });
    runtime.run();
    REQUIRE(opened);
    CHECK(code_of(*opened) == Errc::unavailable);
  }
}

TEST_CASE("while Redis is gone appends say so; what was answered is there when it is back") {
  RedisServer server;
  RedisRig rig(server);
  std::vector<core::Entry> entries;
  auto journal = open_and_replay(rig, entries);
  for (std::uint64_t seed = 1; seed <= 20; ++seed) REQUIRE(rig.get(journal->append(submits(seed, 3, 200))));
  server.kill();
  for (int i = 0; i < 3; ++i)
    CHECK(code_of(rig.get(journal->append(submits(30, 1, 10)))) == Errc::unavailable);
  CHECK(code_of(rig.get(journal->attachment({2, 1}))) == Errc::unavailable);
  CHECK(code_of(journal->healthy()) == Errc::unavailable);
  server.start();
  auto read_back = rig.get(journal->append({}));
  REQUIRE_MESSAGE(read_back, read_back.error().what);
  CHECK(read_back->empty());
  CHECK(journal->healthy());
  CHECK(rig.get(journal->append(submits(31, 1, 10)))->front().sequence == Sequence{61});
  CHECK(rig.get(journal->attachment({2, 1})));
  journal.reset();
  entries.clear();
  journal = open_and_replay(rig, entries);
  CHECK(entries.size() == 61);
}

/// The store's keys as they are now; put back, they are an older copy.
class Copy {
 public:
  explicit Copy(RedisRig& rig) : rig_(rig) {
    for (const std::string& key : {rig.keys().head, rig.keys().entries})
      dumps_.emplace_back(key, std::string(text_of(*rig.say({"DUMP", key}))));
  }
  void put_back() {
    for (const auto& [key, dump] : dumps_) rig_.say({"RESTORE", key, "0", dump, "REPLACE"});
  }

 private:
  RedisRig& rig_;
  std::vector<std::pair<std::string, std::string>> dumps_;
};

TEST_CASE("a Redis that lost entries is not written on") {
  RedisRig rig(common_server());
  std::vector<core::Entry> entries;
  auto journal = open_and_replay(rig, entries);
  REQUIRE(rig.get(journal->append(submits(1, 2, 0))));
  Copy older(rig);
  REQUIRE(rig.get(journal->append(submits(2, 2, 0))));
  SUBCASE("noticed by the server that runs, and by the next one, until somebody decides") {
    older.put_back();
    rig.cut();
    static_cast<void>(rig.get(journal->append(submits(3, 1, 0))));  // finds the connection lost
    const auto refused = rig.get(journal->append(submits(3, 1, 0)));
    CHECK(code_of(refused) == Errc::io);
    CHECK(refused.error().what.find("ends at entry 2, but entry 4 was recorded here") != std::string::npos);
    CHECK(number_of(*rig.say({"HGET", rig.keys().head, "last"})) == 2);
    journal.reset();
    for (int i = 0; i < 2; ++i) {
      const auto next = rig.open();
      CHECK(code_of(next) == Errc::config);
      CHECK(next.error().what.find(rig.options.mark_path) != std::string::npos);
    }
    std::filesystem::remove(rig.options.mark_path);
    entries.clear();
    journal = open_and_replay(rig, entries);
    CHECK(entries.size() == 2);
  }
  SUBCASE("at once, without any break of the line") {
    older.put_back();
    CHECK(code_of(rig.get(journal->append(submits(3, 1, 0)))) == Errc::io);
  }
  SUBCASE("another one has written on meanwhile") {
    older.put_back();
    const std::string mark = rig.options.mark_path;
    rig.options.alone = false;
    rig.options.mark_path.clear();
    std::vector<core::Entry> of_other;
    auto other = open_and_replay(rig, of_other);
    REQUIRE(rig.get(other->append(submits(4, 5, 0))));
    rig.cut();
    static_cast<void>(rig.get(journal->append(submits(5, 1, 0))));
    const auto refused = rig.get(journal->append(submits(5, 1, 0)));
    CHECK(code_of(refused) == Errc::io);
    CHECK(refused.error().what.find("holds another entry 4") != std::string::npos);
  }
}

TEST_CASE("another journal than that of this server's files is not taken for it") {
  RedisRig rig(common_server());
  std::vector<core::Entry> entries;
  auto journal = open_and_replay(rig, entries);
  REQUIRE(rig.get(journal->append(submits(1, 2, 0))));
  SUBCASE("at the start") {
    journal.reset();
    rig.options.prefix += "-other";
    const auto refused = rig.open();
    CHECK(code_of(refused) == Errc::config);
    CHECK(refused.error().what.find("is another one than that of this DATA_DIR") != std::string::npos);
  }
  SUBCASE("emptied while the server runs") {
    rig.say({"DEL", rig.keys().head, rig.keys().entries});
    CHECK(code_of(rig.get(journal->append(submits(2, 1, 0)))) == Errc::io);
  }
}

TEST_CASE("what is damaged in Redis is found where it lies") {
  RedisRig rig(common_server());
  std::vector<core::Entry> entries;
  auto journal = open_and_replay(rig, entries);
  REQUIRE(rig.get(journal->append(submits(1, 3, 0))));
  rig.say({"XDEL", rig.keys().entries, "2-0"});
  journal.reset();
  CHECK(rig.reader()->verify()->front() == "3 entries were recorded, 2 are there");
  auto reader = rig.reader();
  ReplayCursor cursor;
  const auto page = reader->read(cursor);
  REQUIRE(page);
  CHECK(page->entries.size() == 1);
  const auto next = reader->read(page->next);
  CHECK(code_of(next) == Errc::io);
  CHECK(next.error().what == "entry 2 of the journal: it is missing");
}

TEST_CASE("a Redis that would not keep what it is given is refused, with what to set") {
  RedisServer server({"--appendfsync", "everysec", "--maxmemory-policy", "allkeys-lru",
                      "--no-appendfsync-on-rewrite", "yes"});
  RedisRig rig(server);
  const auto refused = rig.open();
  CHECK(code_of(refused) == Errc::config);
  CHECK(refused.error().what.find("appendfsync always") != std::string::npos);
  CHECK(refused.error().what.find("maxmemory-policy noeviction") != std::string::npos);
  CHECK(refused.error().what.find("no-appendfsync-on-rewrite no") != std::string::npos);
  CHECK(refused.error().what.find("appendonly") == std::string::npos);
}

TEST_CASE("a password that is wrong, missing or not wanted is said") {
  RedisServer server({"--requirepass", "secret"});
  Options options;
  options.port = server.port();
  options.demand_durable = false;
  RealRuntime runtime;
  const auto try_password = [&](const std::string& password) {
    options.password = password;
    auto opened = open_reader(options);
    return opened ? std::string("opened") : opened.error().what;
  };
  CHECK(try_password("wrong").starts_with("Redis does not know this password"));
  CHECK(try_password("").starts_with("Redis wants a password"));
  CHECK(try_password("secret").starts_with("there is no journal of Atelier in Redis"));
  options.port = common_server().port();
  CHECK(try_password("secret").starts_with("Redis wants no password"));
}

}  // namespace
}  // namespace atelier::journal::redis
