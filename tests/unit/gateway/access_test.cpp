// SPDX-License-Identifier: MIT
#include "gateway/access.hpp"

#include <doctest/doctest.h>

namespace atelier::gateway {
namespace {

net::Request request(net::Method method, std::initializer_list<net::HeaderList::Field> headers) {
  net::Request made;
  made.method = method;
  made.host = "workshop.example:8443";
  made.headers = net::HeaderList(headers);
  return made;
}

TEST_CASE("a host is accepted if it is the domain, below it, an address or localhost") {
  for (const char* host : {"workshop.example", "WORKSHOP.example:8443", "a.workshop.example",
                           "127.0.0.1:8080", "[::1]:8080", "localhost", "10.0.0.7"}) {
    CHECK_MESSAGE(host_accepted(host, "workshop.example"), host);
  }
  for (const char* host : {"", "evil.example", "workshop.example.evil", "xworkshop.example", "1.2.3",
                           "1.2.3.4.5", "127.0.0.256", "localhost.evil"}) {
    CHECK_MESSAGE(!host_accepted(host, "workshop.example"), host);
  }
  CHECK(!host_accepted("workshop.example", ""));
}

TEST_CASE("a request that a page of another site makes a browser send is refused") {
  CHECK(!origin_accepted(request(net::Method::post, {{"Sec-Fetch-Site", "cross-site"}})));
  CHECK(!origin_accepted(request(net::Method::get, {{"Sec-Fetch-Site", "cross-site"}})));
  CHECK(!origin_accepted(request(net::Method::post, {{"Sec-Fetch-Site", "same-site"}})));
  CHECK(!origin_accepted(request(net::Method::post, {{"Origin", "https://evil.example"}})));
  CHECK(!origin_accepted(request(net::Method::post, {{"Origin", "null"}})));
}

TEST_CASE("the editor's own requests, links that are followed, and scripts pass") {
  CHECK(origin_accepted(request(net::Method::post, {})));
  CHECK(origin_accepted(request(net::Method::post, {{"Origin", "https://workshop.example:8443"}})));
  CHECK(origin_accepted(request(net::Method::get, {{"Sec-Fetch-Site", "same-origin"}})));
  CHECK(origin_accepted(request(
      net::Method::get,
      {{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "navigate"}, {"Sec-Fetch-Dest", "document"}})));
}

TEST_CASE("a page of the same site may not open a socket here") {
  const auto upgrade = request(net::Method::get, {{"Upgrade", "websocket"},
                                                  {"Connection", "Upgrade"},
                                                  {"Sec-WebSocket-Version", "13"},
                                                  {"Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="},
                                                  {"Sec-Fetch-Site", "same-site"}});
  REQUIRE(upgrade.wants_websocket());
  CHECK(!origin_accepted(upgrade));
}

TEST_CASE("a seat has one way to be written") {
  CHECK(parse_canonical("7", 20) == 7u);
  CHECK(parse_canonical("20", 20) == 20u);
  for (const char* text : {"", "0", "07", "21", "-1", "+7", "7 ", "7a", "99999999999999999999"}) {
    CHECK_MESSAGE(!parse_canonical(text, 20), text);
  }
}

}  // namespace
}  // namespace atelier::gateway
