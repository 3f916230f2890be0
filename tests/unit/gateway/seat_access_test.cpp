// SPDX-License-Identifier: MIT
// Tokens for scripts, and addresses of one seat without its path prefix.
#include "gateway/seat_access.hpp"

#include <doctest/doctest.h>

#include "unit/gateway/rig.hpp"

namespace atelier::gateway::test {
namespace {

const std::string kKey(64, 'a');

SeatTokens tokens() { return {kKey, 20}; }
std::string token_of(std::uint64_t n) { return tokens().token_of(ParticipantId{n}); }

void guard(Rig& rig, SeatAccess::Rule rule) {
  rig.face->set_access([access = SeatAccess(tokens(), rule)](const net::Request& request, ParticipantId n) {
    return access.refuse(request, n);
  });
}

net::HeaderList authorization(const std::string& value) { return {{"Authorization", value}}; }

TEST_CASE("a token belongs to one seat of one workshop, and to nobody once the key is another") {
  CHECK(token_of(7).starts_with("7-"));
  CHECK(token_of(7).size() == 34);
  CHECK(tokens().owner_of(token_of(7)) == ParticipantId{7});
  CHECK_FALSE(SeatTokens(std::string(64, 'b'), 20).owner_of(token_of(7)).has_value());
  CHECK_FALSE(SeatTokens(kKey, 6).owner_of(token_of(7)).has_value());
  for (const std::string& wrong :
       {std::string(), std::string("7"), std::string("7-"), "07" + token_of(7).substr(1),
        "8" + token_of(7).substr(1), token_of(7) + "0", token_of(7).substr(0, 33)}) {
    CAPTURE(wrong);
    CHECK_FALSE(tokens().owner_of(wrong).has_value());
  }
}

TEST_CASE(
    "Bearer, and Basic with the token as password, open the seat; in the address only a socket's does") {
  Rig rig;
  guard(rig, SeatAccess::Rule::token);
  CHECK(rig.get("/user/2/queue", authorization("Bearer " + token_of(2))).status == 200);
  CHECK(rig.get("/user/2/queue", authorization("bearer  " + token_of(2) + " ")).status == 200);
  // base64 of "any:" + the token, made with another tool for key aaaa...
  const std::string basic = "Basic YW55OjItMWE=";
  CHECK(rig.get("/user/2/queue", authorization(basic)).status == 401);
  CHECK(rig.get("/user/2/queue?token=" + token_of(2)).status == 401);
  net::HeaderList handshake{{"Upgrade", "websocket"},
                            {"Connection", "Upgrade"},
                            {"Sec-WebSocket-Version", "13"},
                            {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}};
  CHECK(rig.get("/user/2/ws?clientId=a&token=" + token_of(2), handshake).status != 401);
  CHECK(rig.get("/user/2/ws?clientId=a&token=" + token_of(3), handshake).status == 403);
  CHECK(rig.get("/user/2/ws?clientId=a", handshake).status == 401);
}

TEST_CASE("a seat that needs a token says how to bring it, and which seat a token is for") {
  Rig rig;
  guard(rig, SeatAccess::Rule::token);
  const Reply none = rig.get("/user/2/queue");
  CHECK(none.status == 401);
  CHECK(none.headers.get("WWW-Authenticate") == "Basic realm=\"Atelier seat 2\", charset=\"UTF-8\"");
  CHECK(rig.get("/user/2/queue", authorization("Bearer " + token_of(3))).status == 403);
  for (const std::string wrong : {"Bearer x", "Bearer", "Basic ???", "Digest a=b", ""}) {
    CAPTURE(wrong);
    CHECK(rig.get("/user/2/queue", authorization(wrong)).status == 401);
  }
  CHECK(rig.get("/api/view?filename=a.png", {{"Referer", "http://localhost:8188/user/2/"}}).status == 401);
}

TEST_CASE("where seats are open a request without a token passes, one with a wrong token does not") {
  Rig rig;
  guard(rig, SeatAccess::Rule::open);
  CHECK(rig.get("/user/2/queue").status == 200);
  CHECK(rig.get("/user/2/queue", authorization("Bearer " + token_of(2))).status == 200);
  CHECK(rig.get("/user/2/queue", authorization("Bearer " + token_of(3))).status == 403);
  CHECK(rig.get("/user/2/queue", authorization("Bearer old")).status == 401);
}

TEST_CASE("the password of Basic may hold colons, and its name is anything") {
  net::Request request;
  const auto presented = [&request](const std::string& value) {
    request.headers = authorization(value);
    return presented_token(request);
  };
  CHECK(presented("Basic YTpiOmM=") == "b:c");    // a:b:c
  CHECK(presented("Basic OnRva2Vu") == "token");  // :token
  CHECK(presented("Basic OnRva2Vu==") == "token");
  CHECK(presented("Basic dG9rZW4=") == "");  // no colon
  CHECK(presented("Bearer abc") == "abc");
  request.headers = {};
  CHECK_FALSE(presented_token(request).has_value());
}

TEST_CASE("a seat's own port serves its routes without a prefix, and with its own prefix only") {
  Rig rig;
  rig.submit(3, uuid(1));
  rig.listener_mark = 3;
  CHECK(rig.get("/queue").json().at("queue_pending").as_array().size() == 1);
  CHECK(rig.get("/api/queue").status == 200);
  CHECK(rig.get("/user/3/queue").json().at("queue_pending").as_array().size() == 1);
  CHECK(rig.get("/user/3").headers.get("Location") == "/user/3/");
  CHECK(rig.get("/user/4/queue").status == 404);
  CHECK(rig.get("/user/03/queue").status == 404);
  CHECK(rig.get("/health").status == 404);
  CHECK(rig.get("/health/ping").status == 200);
  CHECK(rig.post("/prompt", prompt_body(uuid(2))).status == 200);
  CHECK(rig.get("/queue", {{"Sec-Fetch-Site", "cross-site"}}).status == 403);
}

TEST_CASE("a seat's own host name does the same below the domain and below localhost") {
  RigOptions options;
  options.domain = "atelier.test";
  Rig rig(options);
  rig.submit(3, uuid(1));
  const auto ask = [&rig](const char* host, const char* target = "/queue") {
    return rig.send(net::Method::get, target, {}, {}, host);
  };
  for (const char* host : {"3.atelier.test", "3.ATELIER.test:8188", "3.localhost", "3.localhost:8188"}) {
    CAPTURE(host);
    CHECK(ask(host).json().at("queue_pending").as_array().size() == 1);
  }
  CHECK(ask("3.atelier.test", "/user/3/queue").status == 200);
  CHECK(ask("3.atelier.test", "/user/4/queue").status == 404);
  CHECK(ask("03.atelier.test").status == 404);  // a name of the workshop, but no seat's
  CHECK(ask("21.atelier.test").status == 404);
  CHECK(ask("3.evil.test").status == 421);
  CHECK(ask("3.xatelier.test").status == 421);
}

}  // namespace
}  // namespace atelier::gateway::test
