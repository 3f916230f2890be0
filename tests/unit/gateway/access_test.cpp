// SPDX-License-Identifier: MIT
#include "gateway/access.hpp"

#include <doctest/doctest.h>

#include <string>

namespace atelier::gateway {
namespace {

net::Request request_with(net::Method method, net::HeaderList headers, std::string host = "atelier.test") {
  net::Request request;
  request.method = method;
  request.target = "/user/7/api/queue";
  request.host = std::move(host);
  request.headers = std::move(headers);
  return request;
}

net::HeaderList handshake() {
  return {{"Connection", "Upgrade"},
          {"Upgrade", "websocket"},
          {"Sec-WebSocket-Version", "13"},
          {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}};
}

bool get_with(net::HeaderList headers) {
  return origin_accepted(request_with(net::Method::get, std::move(headers)));
}
bool post_with(net::HeaderList headers) {
  return origin_accepted(request_with(net::Method::post, std::move(headers)));
}
bool socket_with(const net::HeaderList& more) {
  net::HeaderList headers = handshake();
  for (const auto field : more) headers.add(field.name, field.value);
  return origin_accepted(request_with(net::Method::get, std::move(headers)));
}

TEST_CASE("a host is accepted if it is the domain, below it, an IP literal or localhost, whatever the port") {
  for (const std::string host :
       {"atelier.test", "ATELIER.Test", "atelier.test:8188", "class.atelier.test", "a.b.atelier.test:443",
        "localhost", "LOCALHOST:8188", "127.0.0.1", "192.0.2.7:8188", "255.255.255.255", "[::1]",
        "[::1]:8188", "[2001:db8::7]", "[::ffff:192.0.2.1]:1"}) {
    CAPTURE(host);
    CHECK(host_accepted(host, "atelier.test"));
  }
}

TEST_CASE("a host that only looks like the domain, an address or localhost is refused") {
  for (const std::string host : {"",
                                 ":8188",
                                 "evil.test",
                                 "evilatelier.test",
                                 "atelier.test.evil.test",
                                 ".atelier.test",
                                 "atelier.test.",
                                 "localhost.evil.test",
                                 "notlocalhost",
                                 "127.0.0.1.evil.test",
                                 "127.0.0.256",
                                 "1.2.3",
                                 "1.2.3.4.",
                                 "1.2.3.4.5",
                                 "1..2.3",
                                 "0x7f.0.0.1",
                                 "1.2.3.-4",
                                 "::1",
                                 "[]",
                                 "[::1",
                                 "[evil.test]",
                                 "[::1].evil.test"}) {
    CAPTURE(host);
    CHECK_FALSE(host_accepted(host, "atelier.test"));
  }
}

TEST_CASE("without a domain only addresses and localhost are accepted") {
  CHECK(host_accepted("10.0.0.1:8188", ""));
  CHECK(host_accepted("localhost", ""));
  CHECK_FALSE(host_accepted("atelier.test", ""));
  CHECK_FALSE(host_accepted("", ""));
}

TEST_CASE("a request without any browser header passes, whatever it does") {
  CHECK(get_with({}));
  CHECK(post_with({}));
  CHECK(origin_accepted(request_with(net::Method::delete_, {})));
  CHECK(socket_with({}));
}

TEST_CASE("what the page itself asks for passes") {
  for (const auto method : {net::Method::get, net::Method::post, net::Method::delete_, net::Method::patch,
                            net::Method::options}) {
    CHECK(origin_accepted(
        request_with(method, {{"Sec-Fetch-Site", "same-origin"}, {"Origin", "http://atelier.test"}})));
  }
  CHECK(socket_with({{"Sec-Fetch-Site", "same-origin"}, {"Origin", "http://atelier.test"}}));
  CHECK(get_with({{"Sec-Fetch-Site", "none"}}));   // typed into the address line
  CHECK(post_with({{"Sec-Fetch-Site", "none"}}));  // a form sent again
}

TEST_CASE("another site's page may not fetch, embed, post or open a socket") {
  CHECK_FALSE(get_with({{"Sec-Fetch-Site", "cross-site"}}));
  CHECK_FALSE(get_with(
      {{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "navigate"}, {"Sec-Fetch-Dest", "iframe"}}));
  CHECK_FALSE(get_with(
      {{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "no-cors"}, {"Sec-Fetch-Dest", "image"}}));
  CHECK_FALSE(get_with(
      {{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "cors"}, {"Sec-Fetch-Dest", "document"}}));
  CHECK_FALSE(post_with({{"Sec-Fetch-Site", "cross-site"}}));
  CHECK_FALSE(socket_with({{"Sec-Fetch-Site", "cross-site"}}));
  CHECK_FALSE(origin_accepted(request_with(net::Method::options, {{"Sec-Fetch-Site", "cross-site"}})));
}

TEST_CASE("a link on another site may be followed, but not to change anything or to open a socket") {
  const net::HeaderList link{{"Sec-Fetch-Site", "cross-site"},
                             {"Sec-Fetch-Mode", "navigate"},
                             {"Sec-Fetch-Dest", "document"},
                             {"Origin", "null"}};
  CHECK(get_with(link));
  CHECK_FALSE(post_with(link));  // a form on another site
  CHECK_FALSE(socket_with(link));
}

TEST_CASE("another host of the same site may read what is public, and nothing more") {
  CHECK(get_with({{"Sec-Fetch-Site", "same-site"}}));
  CHECK_FALSE(post_with({{"Sec-Fetch-Site", "same-site"}}));
  CHECK_FALSE(socket_with({{"Sec-Fetch-Site", "same-site"}}));
}

TEST_CASE("an Origin must be this very host with this very port") {
  CHECK(post_with({{"Origin", "https://ATELIER.test"}}));
  for (const std::string origin :
       {"http://evil.test", "http://atelier.test:81", "http://sub.atelier.test", "null", "atelier.test", "",
        "http://atelier.test.evil.test", "http://atelier.test/", "http://"}) {
    CAPTURE(origin);
    CHECK_FALSE(post_with({{"Origin", origin}}));
    CHECK_FALSE(get_with({{"Origin", origin}}));
    CHECK_FALSE(socket_with({{"Origin", origin}}));
    CHECK_FALSE(post_with({{"Origin", origin}, {"Sec-Fetch-Site", "same-origin"}}));
  }
  CHECK(origin_accepted(
      request_with(net::Method::post, {{"Origin", "http://127.0.0.1:8188"}}, "127.0.0.1:8188")));
  CHECK_FALSE(
      origin_accepted(request_with(net::Method::post, {{"Origin", "http://127.0.0.1"}}, "127.0.0.1:8188")));
}

TEST_CASE("a number counts only in its one canonical form and up to the largest allowed") {
  CHECK(parse_canonical("1", 20) == 1U);
  CHECK(parse_canonical("20", 20) == 20U);
  CHECK(parse_canonical("9999999999999999999", UINT64_MAX) == 9'999'999'999'999'999'999U);
  for (const std::string text : {"", "0", "21", "07", "+7", "-7", " 7", "7 ", "7.0", "7a", "0x7", "%37",
                                 "99999999999999999999", "18446744073709551617"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_canonical(text, 20).has_value());
  }
}

}  // namespace
}  // namespace atelier::gateway
