// SPDX-License-Identifier: MIT
#include "gateway/engine_pages/engine_pages.hpp"

#include <doctest/doctest.h>

#include <fmt/format.h>

#include "gateway/engine_pages/forward.hpp"
#include "unit/gateway/far_end.hpp"

namespace atelier::gateway::test {
namespace {

constexpr auto kPost = net::Method::post;
constexpr std::string_view kHere = "127.0.0.1:8190";

net::Request request_of(std::string target, net::HeaderList headers = {},
                        net::Method method = net::Method::get) {
  net::Request request;
  request.method = method;
  request.target = std::move(target);
  request.host = kHere;
  request.headers = std::move(headers);
  return request;
}

/// A request whose answer may have to wait for an agent.
struct Asked {
  std::optional<net::Response> response;
  net::Request request;
};

struct PagesRig : LinkRig {
  explicit PagesRig(std::string_view url = "http://127.0.0.1:8190")
      : pages(runtime, *link, {net::parse_url(url).value()}) {
    instructor->set_engine_pages(pages);
  }
  Reply ticket(std::string body = R"({"use":"engine","worker":"gpu-1","slot":0})",
               std::string token = kInstructor) {
    return api(kPost, "/tickets", std::move(body), std::move(token));
  }
  std::shared_ptr<Asked> ask(net::Request request) {
    auto asked = std::make_shared<Asked>();
    asked->request = std::move(request);
    auto work = [](PagesRig& rig, std::shared_ptr<Asked> into) -> awaitable<void> {
      into->response = co_await rig.pages.handle(into->request);
    };
    asio::co_spawn(runtime.executor(), work(*this, asked), asio::detached);
    runtime.run_ready();
    return asked;
  }
  /// A session's cookie, as the browser sends it back.
  std::string cookie() {
    const std::string path = text(ticket().json().at("path"));
    const auto opened = ask(request_of(path));
    REQUIRE(opened->response);
    REQUIRE(opened->response->status == 200);
    const std::string set(opened->response->headers.get("Set-Cookie"));
    return set.substr(0, set.find(';'));
  }

  EnginePages pages;
};

}  // namespace

TEST_CASE("a ticket for a worker's own page is the instructor's, for a slot that is there") {
  PagesRig rig;
  CHECK(rig.ticket().status == 404);  // it never joined
  {
    Agent agent(rig);
    const auto made = rig.ticket();
    CHECK(made.status == 201);
    const std::string path = text(made.json().at("path"));
    CHECK(path.starts_with("/open?ticket="));
    CHECK(text(made.json().at("url")) == "http://127.0.0.1:8190" + path);
    CHECK(rig.ticket(R"({"use":"engine","worker":"gpu-1","slot":0})", Rig::kTokens.token_of(ParticipantId{7}))
              .status == 403);
    CHECK(rig.ticket(R"({"use":"engine","worker":"gpu-1","slot":1})").status == 404);
    CHECK(rig.ticket(R"({"use":"engine","worker":"gpu-2","slot":0})").status == 404);
    CHECK(rig.ticket(R"({"use":"engine","worker":"gpu-1"})").status == 422);
    CHECK(rig.ticket(R"({"use":"events","worker":"gpu-1","slot":0})").status == 422);
  }
  const Reply gone = rig.ticket();
  CHECK(gone.status == 409);
  CHECK(gone.body.find("not connected") != std::string::npos);
}

TEST_CASE("without a listener the ticket's refusal says what to set") {
  LinkRig rig;
  Agent agent(rig);
  const Reply off = rig.api(kPost, "/tickets", R"({"use":"engine","worker":"gpu-1","slot":0})");
  CHECK(off.status == 409);
  CHECK(off.body.find("ENGINE_PAGES_LISTEN") != std::string::npos);
}

TEST_CASE("a listener on every address is called as the API was, and never shares its origin") {
  PagesRig rig("http://0.0.0.0:8190");
  Agent agent(rig);
  CHECK(text(rig.ticket().json().at("url")).starts_with("http://localhost:8190/open?"));
  PagesRig same("http://localhost:8188");
  Agent other(same);
  const Reply refused = same.ticket();
  CHECK(refused.status == 409);
  CHECK(refused.body.find("another host name or port") != std::string::npos);
}

TEST_CASE("a ticket opens one session within a minute, with a cookie that other sites cannot use") {
  PagesRig rig;
  Agent agent(rig);
  const std::string path = text(rig.ticket().json().at("path"));
  net::Request head = request_of(path);
  head.is_head = true;
  CHECK(rig.ask(head)->response->status == 405);  // and is not spent
  const auto opened = rig.ask(request_of(path));
  REQUIRE(opened->response->status == 200);
  const std::string set(opened->response->headers.get("Set-Cookie"));
  CHECK(set.starts_with("atelier-engine="));
  CHECK(set.ends_with("; Path=/; HttpOnly; SameSite=Strict"));
  CHECK(set.find(';') == std::string("atelier-engine=").size() + 64);
  CHECK(opened->response->headers.get("Referrer-Policy") == "no-referrer");
  CHECK(rig.ask(request_of(path))->response->status == 403);
  CHECK(rig.ask(request_of("/open"))->response->status == 403);
  CHECK(rig.ask(request_of("/"))->response->status == 403);
  CHECK(rig.ask(request_of("/", {{"Cookie", "atelier-engine=0"}}))->response->status == 403);
  const std::string late = text(rig.ticket().json().at("path"));
  rig.runtime.advance(milliseconds{60'001});
  CHECK(rig.ask(request_of(late))->response->status == 403);
  CHECK(agent.take<link::OpenTunnel>().empty());
}

TEST_CASE("a browser shows one slot at a time, and another only after the first one's session has ended") {
  PagesRig rig;
  Agent agent(rig, "gpu-1", 1, 2);
  const auto path_of = [&](std::string_view slot) {
    return text(
        rig.ticket(fmt::format(R"({{"use":"engine","worker":"gpu-1","slot":{}}})", slot)).json().at("path"));
  };
  const std::string cookie = rig.cookie();  // of slot 0
  const auto again = rig.ask(request_of(path_of("0"), {{"Cookie", cookie}}));
  REQUIRE(again->response->status == 200);
  CHECK(again->response->headers.get("Clear-Site-Data") == R"("cache", "storage")");
  CHECK(rig.ask(request_of("/", {{"Cookie", cookie}}))->response->status == 403);  // it has a new one
  const std::string set(again->response->headers.get("Set-Cookie"));
  const std::string newer = set.substr(0, set.find(';'));

  const std::string other = path_of("1");
  const auto asked = rig.ask(request_of(other, {{"Cookie", newer}}));
  REQUIRE(asked->response->status == 409);
  CHECK_FALSE(asked->response->headers.contains("Set-Cookie"));
  const std::string page = read_body(rig.runtime, asked->response->body);
  const std::string close = "/close" + other.substr(other.find('?'));
  CHECK(page.find("href=\"" + close + "\"") != std::string::npos);
  CHECK(rig.ask(request_of("/close", {{"Cookie", newer}}))->response->status == 403);
  CHECK(rig.ask(request_of(close, {{"Cookie", newer}, {"Sec-Fetch-Site", "cross-site"}}))->response->status ==
        403);
  CHECK(agent.take<link::OpenTunnel>().empty());
  const auto opened = rig.ask(request_of(close, {{"Cookie", newer}, {"Sec-Fetch-Site", "same-origin"}}));
  REQUIRE(opened->response->status == 200);
  CHECK(opened->response->headers.contains("Set-Cookie"));
  CHECK(rig.ask(request_of("/", {{"Cookie", newer}}))->response->status == 403);
}

TEST_CASE("over https the cookie is bound to the host and to https") {
  PagesRig rig("https://gpu.example");
  Agent agent(rig);
  const auto opened = rig.ask(request_of(text(rig.ticket().json().at("path"))));
  const std::string set(opened->response->headers.get("Set-Cookie"));
  CHECK(set.starts_with("__Host-atelier-engine="));
  CHECK(set.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"));
}

TEST_CASE("sessions are bounded in number and in time") {
  VirtualRuntime runtime;
  EngineSessions sessions(runtime);
  const auto open = [&] {
    return sessions.open(sessions.make_ticket({"gpu-1", 2, "instructor"}).value()).value().secret;
  };
  const std::string first = open();
  CHECK(sessions.find(first)->place.worker == "gpu-1");
  CHECK(sessions.find(first)->place.slot == 2);
  CHECK_FALSE(sessions.find("0"));
  std::vector<std::string> more;
  for (std::size_t i = 1; i < EngineSessions::kSessionsMax; ++i) {
    runtime.advance(milliseconds{1});
    more.push_back(open());
  }
  runtime.advance(milliseconds{1});
  CHECK(sessions.find(first));  // used: the second one is the oldest now
  const std::string last = open();
  CHECK(sessions.open_now() == EngineSessions::kSessionsMax);
  CHECK(sessions.find(first));
  CHECK_FALSE(sessions.find(more.front()));
  CHECK(sessions.find(last));
  for (int i = 0; i < 15; ++i) {  // seven and a half hours with something every half hour
    runtime.advance(milliseconds{1'800'000});
    REQUIRE(sessions.find(first));
  }
  CHECK_FALSE(sessions.find(last));  // an hour without a request
  runtime.advance(milliseconds{1'800'000});
  CHECK_FALSE(sessions.find(first));  // eight hours
  for (std::size_t i = 0; i < EngineSessions::kTicketsMax; ++i) REQUIRE(sessions.make_ticket({}));
  CHECK(sessions.make_ticket({}).error().code == Errc::queue_full);
  runtime.advance(EngineSessions::kTicketLife);
  CHECK(sessions.make_ticket({}));
}

TEST_CASE("only the address's own pages may ask") {
  const std::string own = fmt::format("http://{}", kHere);
  const auto asks = [](const net::HeaderList& headers, std::string target = "/",
                       net::Method method = net::Method::get, std::string_view url = "") {
    return own_page_asks(request_of(std::move(target), headers, method), url);
  };
  CHECK(asks({{"Sec-Fetch-Site", "none"}}, "/queue"));
  CHECK(asks({{"Sec-Fetch-Site", "same-origin"}}, "/queue"));
  CHECK_FALSE(asks({{"Sec-Fetch-Site", "same-site"}}, "/queue"));  // another port of this host
  CHECK_FALSE(asks({{"Sec-Fetch-Site", "cross-site"}}, "/queue"));
  const net::HeaderList link{
      {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "navigate"}, {"Sec-Fetch-Dest", "document"}};
  CHECK(asks(link));
  CHECK_FALSE(asks(link, "/manager/reboot"));
  CHECK_FALSE(
      asks({{"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Mode", "navigate"}, {"Sec-Fetch-Dest", "iframe"}}));
  // Plain HTTP to another machine: browsers say less.
  CHECK(asks({}, "/queue"));
  CHECK(asks({{"Referer", own + "/x"}}, "/queue"));
  CHECK_FALSE(asks({{"Referer", "http://127.0.0.1:8080/user/1/"}}, "/queue"));
  CHECK(asks({{"Referer", "http://127.0.0.1:8080/user/1/"}}));
  CHECK_FALSE(asks({{"Origin", "http://127.0.0.1:8080"}}, "/queue"));
  for (const auto method : {net::Method::post, net::Method::delete_, net::Method::options}) {
    CHECK(asks({{"Origin", own}}, "/prompt", method));
    CHECK(asks({{"Sec-Fetch-Site", "same-origin"}}, "/prompt", method));
    CHECK(asks({{"Origin", "https://gpu.example"}}, "/prompt", method, "https://gpu.example"));
    CHECK_FALSE(asks({}, "/prompt", method));
    CHECK_FALSE(asks({{"Origin", "null"}}, "/prompt", method));
    CHECK_FALSE(asks({{"Origin", "https://127.0.0.1:8190"}}, "/prompt", method));
    CHECK_FALSE(asks({{"Origin", "http://127.0.0.1:8080"}}, "/prompt", method));
    CHECK_FALSE(asks({{"Origin", own}, {"Sec-Fetch-Site", "same-site"}}, "/prompt", method));
  }
  CHECK(asks(with_handshake({{"Origin", own}}), "/ws"));
  CHECK_FALSE(asks(with_handshake({}), "/ws"));
  CHECK_FALSE(asks(with_handshake({{"Origin", "http://evil.example"}}), "/ws"));
  CHECK_FALSE(asks({{"Sec-Fetch-Site", "same-origin"}, {"Service-Worker", "script"}}, "/sw.js"));
}

TEST_CASE("what ComfyUI must know is passed on, and nothing about people and other services") {
  const net::HeaderList sent = headers_to_engine(
      request_of("/", with_handshake({{"Host", "gpu.example"},
                                      {"Origin", "http://gpu.example"},
                                      {"Referer", "http://gpu.example/"},
                                      {"Sec-Fetch-Site", "same-origin"},
                                      {"X-Forwarded-For", "10.1.2.3"},
                                      {"Cookie", "a=1; atelier-engine=secret;atelier-7=seat; b=2"},
                                      {"Authorization", "Bearer the instructor's"},
                                      {"Cf-Access-Jwt-Assertion", "who"},
                                      {"Keep-Alive", "5"},
                                      {"Connection", "X-Hop, Range"},
                                      {"X-Hop", "1"},
                                      {"Range", "bytes=0-1"},
                                      {"Expect", "100-continue"},
                                      {"comfy-user", "me"},
                                      {"Content-Type", "text/plain"}})));
  CHECK(sent.wire() == "comfy-user: me\r\nContent-Type: text/plain\r\n");
  const net::HeaderList back = headers_from_engine({{"Transfer-Encoding", "chunked"},
                                                    {"Connection", "close"},
                                                    {"Set-Cookie", "login=1"},
                                                    {"set-cookie", "=atelier-7=x"},
                                                    {"WWW-Authenticate", "Basic realm=\"the workshop\""},
                                                    {"Strict-Transport-Security", "max-age=1"},
                                                    {"Clear-Site-Data", "\"cookies\""},
                                                    {"nel", "{}"},
                                                    {"Cache-Control", "public, max-age=31536000, immutable"},
                                                    {"ETag", "\"1\""}});
  CHECK(back.wire() == "ETag: \"1\"\r\nCache-Control: no-store\r\n");
}

TEST_CASE("a request goes through a tunnel that the agent opens, and its answer comes back") {
  PagesRig rig;
  Agent agent(rig, "gpu-1", 1, 2);
  const std::string cookie = rig.cookie();
  const auto asked = rig.ask(request_of("/view?a=%2F", {{"Cookie", cookie}, {"Accept", "*/*"}}));
  CHECK_FALSE(asked->response);
  const auto wanted = agent.take<link::OpenTunnel>();
  REQUIRE(wanted.size() == 1);
  CHECK(wanted.front().slot == 0);
  FarEnd far(rig, agent, wanted.front().tunnel);
  CHECK(far.status == 101);
  CHECK(far.heard() ==
        "GET /view?a=%2F HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nConnection: close\r\n\r\n");
  FarEnd second(rig, agent, wanted.front().tunnel);
  CHECK(second.status == 404);  // for one use
  far.say("HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n");
  far.say("Content-Length: 6\r\n\r\nabc");
  REQUIRE(asked->response);
  CHECK(asked->response->status == 200);
  CHECK(asked->response->headers.get("Content-Type") == "image/png");
  far.say("def");
  CHECK(read_body(rig.runtime, asked->response->body) == "abcdef");
  asked->response.reset();
  rig.runtime.run_ready();
  CHECK(far.wire->over());  // the tunnel ended with its request
}

TEST_CASE("a body is passed on in pieces, and an answer before its end is heard") {
  PagesRig rig;
  Agent agent(rig);
  net::Request request = request_of(
      "/upload/image", {{"Cookie", rig.cookie()}, {"Origin", fmt::format("http://{}", kHere)}}, kPost);
  net::StringReader body(std::string(300'000, 'x'));
  request.content_length = 300'000;
  request.body = &body;
  const auto asked = rig.ask(std::move(request));
  const auto wanted = agent.take<link::OpenTunnel>();
  REQUIRE(wanted.size() == 1);
  FarEnd far(rig, agent, wanted.front().tunnel);
  const std::string heard = far.heard();
  CHECK(
      heard.starts_with("POST /upload/image HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
                        "Content-Length: 300000\r\n\r\nxxx"));
  CHECK(heard.size() == heard.find("\r\n\r\n") + 4 + 300'000);
  far.say("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
  REQUIRE(asked->response);
  CHECK(asked->response->status == 413);
}

TEST_CASE("who cannot be reached is told in a sentence") {
  PagesRig rig;
  auto agent = std::make_unique<Agent>(rig);
  const std::string cookie = rig.cookie();
  const auto silent = rig.ask(request_of("/", {{"Cookie", cookie}}));
  const auto wanted = agent->take<link::OpenTunnel>();
  REQUIRE(wanted.size() == 1);
  rig.runtime.advance(milliseconds{16'000});
  REQUIRE(silent->response);
  CHECK(silent->response->status == 502);
  FarEnd late(rig, *agent, wanted.front().tunnel);
  CHECK(late.status == 404);
  const auto closed = rig.ask(request_of("/", {{"Cookie", cookie}}));
  FarEnd far(rig, *agent, agent->take<link::OpenTunnel>().at(0).tunnel);
  far.leave();  // its ComfyUI does not run
  REQUIRE(closed->response);
  CHECK(closed->response->status == 502);
  agent.reset();
  const auto gone = rig.ask(request_of("/", {{"Cookie", cookie}}));
  REQUIRE(gone->response);
  CHECK(gone->response->status == 502);
  CHECK(read_body(rig.runtime, gone->response->body).find("not connected") != std::string::npos);
}

TEST_CASE("a tunnel is for the link that was asked, with the workers' token") {
  PagesRig rig;
  Agent agent(rig), other(rig, "gpu-2", 2);
  const auto asked = rig.ask(request_of("/", {{"Cookie", rig.cookie()}}));
  const Key128 id = agent.take<link::OpenTunnel>().at(0).tunnel;
  FarEnd foreign(rig, other, id);
  CHECK(foreign.status == 404);
  net::Request stranger;
  stranger.target = "/worker/tunnel/" + id.hex();
  stranger.headers = with_handshake({{"Atelier-Link", fmt::format("{}", agent.number())}});
  CHECK(rig.run(rig.link->handle(stranger)).status == 401);
  CHECK(agent.send(net::Method::get, "/worker/tunnel/nonsense").status == 400);
  CHECK(agent.send(net::Method::get, "/worker/tunnel/" + id.hex()).status == 400);  // no WebSocket
  FarEnd right(rig, agent, id);
  CHECK(right.status == 101);
  CHECK(right.heard().starts_with("GET / HTTP/1.1\r\n"));
}

}  // namespace atelier::gateway::test
