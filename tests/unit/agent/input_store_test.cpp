// SPDX-License-Identifier: MIT
// Inputs on their way from a gateway that breaks off whenever a test wants it.
#include "agent/input_store.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "files/part_file.hpp"
#include "files/safe_path.hpp"
#include "net/range.hpp"
#include "unit/files/temp_folder.hpp"
#include "unit/net/net_test_support.hpp"

namespace atelier::agent {
namespace {

constexpr RunKey kKey{JobId{7}, Epoch{1}};
constexpr std::size_t kAll = SIZE_MAX;

std::string noise(std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; text.size() < bytes; ++i) text += sha256(std::to_string(i)).hex();
  text.resize(bytes);
  return text;
}

/// A gateway with one input, which sends at most `cut_after` bytes of it over one connection.
struct FakeGateway : net::test::Loopback {
  explicit FakeGateway(std::string bytes)
      : Loopback([this](net::Request& request) { return answer(request); }), content(std::move(bytes)) {
    input.name = "cup.png";
    input.digest = sha256(content);
    input.size = content.size();
  }

  awaitable<net::Response> answer(net::Request& request) {
    ranges.emplace_back(request.headers.get("Range"));
    const net::RangeDecision decision = net::decide_range(request.headers, content.size(), "");
    const bool part = takes_ranges && decision.kind == net::RangeDecision::Kind::partial;
    net::Response response(part ? 206 : 200);
    if (part) response.headers.add("Content-Range", net::content_range(decision, content.size()));
    const std::size_t first = part ? decision.range.first : 0;
    std::string sent = content.substr(first, cut_after);
    const bool whole = sent.size() == content.size() - first;
    auto pull = [sent = std::move(sent), whole]() mutable -> awaitable<Result<std::string>> {
      if (sent.empty() && !whole) co_return fail(Errc::io, "as if the line had broken");
      co_return std::exchange(sent, {});
    };
    response.body = net::StreamBody(std::move(pull), content.size() - first);
    co_return response;
  }

  std::string content;
  link::InputRef input;
  std::size_t cut_after = kAll;
  bool takes_ranges = true;
  std::vector<std::string> ranges;  // of the requests
};

struct Worker {
  explicit Worker(FakeGateway& from) : gateway(from) {
    files::write_text(temp / "output/keep", "");
    folders = open_engine_folders(temp.path(), temp.path()).value();
    client.set_link(base(), LinkId{1});
  }
  [[nodiscard]] net::Url base() const { return net::Url{"http", "127.0.0.1", gateway.port, "/worker"}; }

  Result<void> place(const std::string& name) { return place(name, *store); }
  Result<void> place(const std::string& name, InputStore& by) {
    Result<void> result = fail(Errc::internal, "not run");
    auto work = [&]() -> awaitable<void> {
      result = co_await by.place(run, kKey, gateway.input, name, client, engine, &folders);
    };
    net::test::run_to_end(gateway.runtime, work());
    return result;
  }
  /// What is left when the process ends, however it ends.
  void restart_agent() { store = std::make_unique<InputStore>(gateway.runtime); }
  [[nodiscard]] std::filesystem::path incoming() const { return temp / "input/.atelier-incoming"; }
  [[nodiscard]] std::string placed(const std::string& name) const {
    return files::read_text(temp / ("input/" + name));
  }

  FakeGateway& gateway;
  files::TempFolder temp;
  EngineFolders folders;
  net::HttpClient http{gateway.runtime};
  Credentials credentials{gateway.runtime, http, base(), "gpu-1", std::string(64, 'b'), temp / "state"};
  GatewayClient client{gateway.runtime, http, credentials};
  EngineClient engine{gateway.runtime, http, net::parse_url("http://127.0.0.1:1").value(), "test"};
  std::unique_ptr<InputStore> store = std::make_unique<InputStore>(gateway.runtime);
  std::shared_ptr<RunFiles> run = std::make_shared<RunFiles>();
};

/// Where the requests after the first began: each further than the one before.
void check_continued(const FakeGateway& gateway) {
  REQUIRE_FALSE(gateway.ranges.empty());
  CHECK(gateway.ranges.front().empty());
  std::uint64_t before = 0;
  for (std::size_t i = 1; i < gateway.ranges.size(); ++i) {
    const net::HeaderList headers = [&] {
      net::HeaderList list;
      list.add("Range", gateway.ranges[i]);
      return list;
    }();
    const std::uint64_t first = net::decide_range(headers, gateway.content.size(), "").range.first;
    CHECK_MESSAGE(first > before, gateway.ranges[i]);
    before = first;
  }
}

}  // namespace

TEST_CASE("an input comes over a line that breaks again and again, and no byte of it twice") {
  FakeGateway gateway(noise(8u << 20));
  Worker worker(gateway);
  gateway.cut_after = 1u << 20;
  REQUIRE(worker.place("cup.png"));
  CHECK(gateway.ranges.size() == 8);
  check_continued(gateway);
  CHECK(worker.placed("cup.png") == gateway.content);
}

TEST_CASE("what came of an input is kept for the next try, if it is one soon") {
  FakeGateway gateway(noise(100'000));
  Worker worker(gateway);
  gateway.cut_after = 40'000;  // too few to go on at once
  for (int i = 0; i < 2; ++i) {
    const auto broken = worker.place("cup.png");
    REQUIRE_FALSE(broken);
    CHECK(broken.error().code == Errc::closed);
  }
  REQUIRE(worker.place("cup.png"));
  CHECK(gateway.ranges.size() == 3);
  check_continued(gateway);
  CHECK(worker.placed("cup.png") == gateway.content);
  CHECK(std::filesystem::is_empty(worker.incoming()));
}

TEST_CASE("what came of an input is continued by the agent's next process") {
  FakeGateway gateway(noise(100'000));
  Worker worker(gateway);
  gateway.cut_after = 40'000;
  for (int i = 0; i < 2; ++i) {
    REQUIRE_FALSE(worker.place("cup.png"));
    worker.restart_agent();
  }
  REQUIRE(worker.place("cup.png"));
  CHECK(gateway.ranges.size() == 3);
  check_continued(gateway);
  CHECK(worker.placed("cup.png") == gateway.content);
  CHECK(std::filesystem::is_empty(worker.incoming()));
}

TEST_CASE("what a former process left is fetched anew if it is wrong, and not at all if it is whole") {
  FakeGateway gateway(noise(100'000));
  Worker worker(gateway);
  std::string left = gateway.content;
  std::vector<std::string> ranges;
  SUBCASE("whole") {}
  SUBCASE("wrong") {
    left.back() ^= 1;
    ranges = {""};
  }
  SUBCASE("its beginning is wrong") {
    left = std::string(40'000, 'x');
    ranges = {"bytes=40000-", ""};
  }
  SUBCASE("too long") {
    left += 'x';
    ranges = {""};
  }
  files::write_text(worker.incoming() / (gateway.input.digest.hex() + "-t-1-0"), left);
  REQUIRE(worker.place("cup.png"));
  CHECK(gateway.ranges == ranges);
  CHECK(worker.placed("cup.png") == gateway.content);
  CHECK(std::filesystem::is_empty(worker.incoming()));
}

TEST_CASE("what another living agent has got of an input stays with it") {
  FakeGateway gateway(noise(100'000));
  Worker worker(gateway);
  InputStore other(gateway.runtime);
  gateway.cut_after = 40'000;
  REQUIRE_FALSE(worker.place("cup.png", other));
  const auto age = milliseconds(0);
  CHECK(files::sweep_parts(worker.folders.input_temp, WallTime{INT64_MAX / 2}, age) == 0U);
  gateway.cut_after = kAll;
  REQUIRE(worker.place("cup.png"));
  CHECK(gateway.ranges.back().empty());
  CHECK_FALSE(std::filesystem::is_empty(worker.incoming()));
  REQUIRE(worker.place("mug.png", other));
  CHECK(gateway.ranges.back() == "bytes=40000-");
  CHECK(worker.placed("mug.png") == gateway.content);
  CHECK(std::filesystem::is_empty(worker.incoming()));
}

TEST_CASE("an input begins anew at a gateway that knows no ranges") {
  FakeGateway gateway(noise(100'000));
  Worker worker(gateway);
  gateway.cut_after = 40'000;
  gateway.takes_ranges = false;
  REQUIRE_FALSE(worker.place("cup.png"));
  gateway.cut_after = kAll;
  REQUIRE(worker.place("cup.png"));
  CHECK(worker.placed("cup.png") == gateway.content);
}

TEST_CASE("an input that came damaged is thrown away, with what had come of it before") {
  FakeGateway gateway(noise(100'000));
  Worker worker(gateway);
  gateway.cut_after = 40'000;
  REQUIRE_FALSE(worker.place("cup.png"));
  gateway.cut_after = kAll;
  gateway.content.back() ^= 1;
  REQUIRE_FALSE(worker.place("cup.png"));
  CHECK(std::filesystem::is_empty(worker.incoming()));
  gateway.content.back() ^= 1;
  REQUIRE(worker.place("cup.png"));
  CHECK(gateway.ranges.back().empty());
  CHECK(worker.placed("cup.png") == gateway.content);
}

TEST_CASE("an input that lies there under another name is not fetched again") {
  FakeGateway gateway(noise(5u << 20));  // more than one turn of copying
  Worker worker(gateway);
  REQUIRE(worker.place("cup.png"));
  REQUIRE(worker.place("q/mug.png"));
  CHECK(gateway.ranges.size() == 1);
  CHECK(worker.placed("q/mug.png") == gateway.content);
  CHECK(std::filesystem::hard_link_count(worker.temp / "input/cup.png") == 1);
  CHECK(std::filesystem::is_empty(worker.incoming()));
}

TEST_CASE("an input that lies there since an earlier life of the agent is copied, too") {
  FakeGateway gateway(noise(100'000));
  Worker worker(gateway);
  files::write_text(worker.temp / "input/cup.png", gateway.content);
  REQUIRE(worker.place("cup.png"));
  REQUIRE(worker.place("mug.png"));
  CHECK(gateway.ranges.empty());
  CHECK(worker.placed("mug.png") == gateway.content);
}

TEST_CASE("a file that has changed since it was verified is no source for another name") {
  FakeGateway gateway(noise(100'000));
  Worker worker(gateway);
  REQUIRE(worker.place("cup.png"));
  std::filesystem::remove(worker.temp / "input/cup.png");
  SUBCASE("gone") {}
  SUBCASE("another of the same size") {
    files::write_text(worker.temp / "input/cup.png", std::string(gateway.content.size(), 'x'));
  }
  REQUIRE(worker.place("mug.png"));
  CHECK(gateway.ranges.size() == 2);
  CHECK(worker.placed("mug.png") == gateway.content);
}

}  // namespace atelier::agent
