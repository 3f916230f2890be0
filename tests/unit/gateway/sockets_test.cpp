// SPDX-License-Identifier: MIT
// Opening, listening to and closing the sockets of participants.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <boost/json.hpp>

#include <algorithm>

#include "unit/gateway/fake_socket.hpp"

namespace atelier::gateway::test {
namespace {

using Texts = std::vector<std::string>;

boost::json::value read(std::string_view message) { return comfy::Json::parse(message).value().value(); }

TEST_CASE("the first message of a socket is the status with its own id") {
  Rig rig;
  rig.submit(7, uuid(1));
  rig.submit(8, uuid(2));
  Tab tab(rig, 7, "abc");
  auto first = read(tab.take().at(0));
  CHECK(first.at("type") == "status");
  CHECK(first.at("data").at("sid") == "abc");
  CHECK(first.at("data").at("status").at("exec_info").at("queue_remaining") == 1);
}

TEST_CASE("a socket without an id gets a fresh one of 32 hex digits") {
  Rig rig;
  Tab one(rig, 7, ""), two(rig, 7, "");
  const std::string first = text(read(one.take().at(0)).at("data").at("sid"));
  const std::string second = text(read(two.take().at(0)).at("data").at("sid"));
  CHECK(first.size() == 32);
  CHECK(first.find_first_not_of("0123456789abcdef") == std::string::npos);
  CHECK(first != second);
}

TEST_CASE("an id may be any text of at most 256 bytes") {
  Rig rig;
  Tab tab(rig, 7, "a%20b%2F%C3%A4%22");
  CHECK(read(tab.take().at(0)).at("data").at("sid") == "a b/ä\"");
  CHECK(rig.get("/user/7/ws?clientId=" + std::string(257, 'x')).status == 400);
}

TEST_CASE("feature_flags are answered as the first message only, with what /features says") {
  Rig rig;
  Tab tab(rig, 7, "abc");
  tab.take();
  const std::string flags = R"({"type":"feature_flags","data":{"supports_preview_metadata":true}})";
  tab.say(flags);
  const auto answers = tab.take();
  REQUIRE(answers.size() == 1);
  CHECK(read(answers[0]).at("type") == "feature_flags");
  CHECK(read(answers[0]).at("data") == rig.get("/user/7/features").json());
  tab.say(flags);
  CHECK(tab.take() == Texts{});
  Tab late(rig, 7, "def");
  late.take();
  late.say(R"({"type":"hello","data":{}})");
  late.say(flags);
  CHECK(late.take() == Texts{});
}

TEST_CASE("what else a client says is not listened to, and does not end its socket") {
  Rig rig;
  for (const std::string first : {"no JSON", "[]", "{}", R"({"type":7})", ""}) {
    CAPTURE(first);
    Tab tab(rig, 7, "abc");
    tab.take();
    tab.say(first);
    CHECK(tab.take() == Texts{});
    CHECK(tab.closed() == net::CloseCode::none);
  }
  Tab tab(rig, 7, "abc");
  tab.take();
  tab.say("\1\2", net::MessageKind::binary);
  for (const char* rubbish : {"no JSON", "", "[1]", "7"}) tab.say(rubbish);
  tab.say(R"({"type":"feature_flags","data":{}})");  // still the first object
  CHECK(tab.take_types() == Texts{"feature_flags"});
}

TEST_CASE("more than 20 messages in one second end a socket, the same number over two do not") {
  Rig rig;
  Tab calm(rig, 7, "calm");
  for (int i = 0; i < 40; ++i) {
    if (i == 20) rig.runtime.advance(milliseconds{1'000});
    calm.say("x");
  }
  CHECK(calm.closed() == net::CloseCode::none);
  Tab mad(rig, 7, "mad");
  for (int i = 0; i < 20; ++i) mad.say("x");
  CHECK(mad.closed() == net::CloseCode::none);
  mad.say("x");
  CHECK(mad.closed() == net::CloseCode::policy);
}

TEST_CASE("the ninth socket of a seat is refused with 1013, and there is room again when one has gone") {
  Rig rig;
  std::vector<std::unique_ptr<Tab>> tabs;
  for (int i = 0; i < 8; ++i) tabs.push_back(std::make_unique<Tab>(rig, 7, fmt::format("t{}", i)));
  Tab ninth(rig, 7, "t9");
  CHECK(ninth.closed() == net::CloseCode::try_again_later);
  CHECK(ninth.take() == Texts{});
  Tab other(rig, 8, "t9");
  CHECK(other.closed() == net::CloseCode::none);
  tabs.pop_back();
  Tab again(rig, 7, "t9");
  CHECK(again.closed() == net::CloseCode::none);
  CHECK(again.take_types() == Texts{"status"});
}

TEST_CASE("two sockets with one id both get its events, and the first one's end does not deafen the second") {
  Rig rig;
  auto first = std::make_unique<Tab>(rig, 7, "same");
  Tab second(rig, 7, "same");
  const JobId job = rig.submit(7, uuid(1), "same");
  rig.join();
  rig.started(job);
  first->take();
  second.take();
  rig.event(job, "executing", "9", R"({"node":"9","prompt_id":"RUN"})");
  CHECK(first->take_types() == Texts{"executing 9"});
  CHECK(second.take_types() == Texts{"executing 9"});
  first.reset();
  rig.event(job, "executing", "10", R"({"node":"10","prompt_id":"RUN"})");
  CHECK(second.take_types() == Texts{"executing 10"});
}

TEST_CASE("the server's stop closes every socket with 1001 and refuses new ones") {
  Rig rig;
  Tab one(rig, 7, "a"), two(rig, 8, "b");
  rig.run(rig.face->stop(rig.runtime.now() + milliseconds{10'000}));
  CHECK(one.closed() == net::CloseCode::going_away);
  CHECK(two.closed() == net::CloseCode::going_away);
  Tab late(rig, 7, "c");
  CHECK(late.closed() == net::CloseCode::going_away);
}

TEST_CASE("stop waits no longer than its deadline for a socket that does not end") {
  Rig rig;
  Tab tab(rig, 7, "a");
  tab.stall(true);
  rig.submit(7, uuid(1));
  const Instant before = rig.runtime.now();
  rig.run(rig.face->stop(before + milliseconds{2'000}));
  CHECK(rig.runtime.now() - before >= milliseconds{2'000});
  CHECK(rig.runtime.now() - before <= milliseconds{2'100});
  tab.stall(false);
}

TEST_CASE("a socket whose browser reads nothing is closed with 1013 when too much waits for it") {
  Rig rig;
  Tab slow(rig, 7, "same"), quick(rig, 7, "same");
  const JobId job = rig.submit(7, uuid(1), "same");
  rig.join();
  rig.started(job);
  slow.stall(true);
  const std::string megabyte(1 << 20, 'x');
  for (int i = 0; i < 10; ++i) rig.event(job, "custom", "", "{\"a\":\"" + megabyte + "\"}");
  slow.stall(false);
  CHECK(slow.closed() == net::CloseCode::try_again_later);
  CHECK(quick.closed() == net::CloseCode::none);
  CHECK(rig.facts(job).state == core::JobState::running);
}

TEST_CASE("a browser that is behind gets the newest progress only, however much there was") {
  Rig rig;
  Tab slow(rig, 7, "same");
  const JobId job = rig.submit(7, uuid(1), "same");
  rig.join();
  rig.started(job);
  slow.take();
  slow.stall(true);
  const std::string megabyte(1 << 20, 'x');
  rig.event(job, "custom", "", "{\"a\":\"" + megabyte.substr(0, 400'000) + "\"}");
  rig.event(job, "custom", "", "{\"a\":\"" + megabyte.substr(0, 400'000) + "\"}");
  for (int i = 0; i < 100; ++i) {
    rig.event(job, "progress_state", "", fmt::format(R"({{"nodes":{{"n":{}}},"a":"{}"}})", i, megabyte));
  }
  CHECK(slow.closed() == net::CloseCode::none);
  slow.stall(false);
  const auto types = slow.take_types();
  CHECK(std::ranges::count(types, "custom") == 2);
  CHECK(std::ranges::count(types, "progress_state") <= 1);
}

TEST_CASE("a page of another site is refused a socket before any handshake") {
  Rig rig;
  const net::HeaderList handshake{{"Connection", "Upgrade"},
                                  {"Upgrade", "websocket"},
                                  {"Sec-WebSocket-Version", "13"},
                                  {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
                                  {"Origin", "http://evil.test"}};
  CHECK(rig.get("/user/7/ws?clientId=a", handshake).status == 403);
  CHECK(rig.post("/user/7/ws").status == 405);
}

}  // namespace
}  // namespace atelier::gateway::test
