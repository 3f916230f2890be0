// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "net/http.hpp"

using namespace atelier;       // NOLINT: tests
using namespace atelier::net;  // NOLINT: tests

TEST_CASE("header names compare without case and values cannot split the head") {
  HeaderList headers{{"Content-Type", "a"}, {"X-Two", "1"}, {"x-two", "2"}};
  CHECK(headers.get("content-TYPE") == "a");
  CHECK(headers.count("X-TWO") == 2);
  headers.set("X-Two", headers.get("Content-Type"));
  CHECK(headers.count("x-two") == 1);
  CHECK(headers.get("x-two") == "a");
  headers.add("Evil", "a\r\nSet-Cookie: b");
  CHECK(headers.wire() == "Content-Type: a\r\nX-Two: a\r\nEvil: a  Set-Cookie: b\r\n");
  headers.add("Connection", "keep-alive , Upgrade");
  CHECK(headers.has_token("connection", "upgrade"));
  CHECK_FALSE(headers.has_token("connection", "up"));
}

TEST_CASE("percent decoding happens once and refuses broken escapes") {
  CHECK(percent_decode("a%2Fb%252e+") == "a/b%2e+");
  CHECK_FALSE(percent_decode("a%2").has_value());
  CHECK_FALSE(percent_decode("%zz").has_value());
  CHECK(percent_encode("a b/\xc3\xa9~", "/") == "a%20b/%C3%A9~");
}

TEST_CASE("a query is split into decoded pairs") {
  const auto pairs = parse_query("a=1&b=%20+&&c&d=%zz=");
  REQUIRE(pairs.size() == 4);
  CHECK(pairs[1].second == "  ");
  CHECK(pairs[2] == std::pair<std::string, std::string>{"c", ""});
  CHECK(pairs[3].second == "%zz=");
  CHECK(parse_query(std::string(5000, '&') + "a").size() == 1);
}

TEST_CASE("a request shows its raw path and query") {
  Request request;
  request.target = "/user/1/a%2Fb?x=1&y=%2F";
  CHECK(request.path() == "/user/1/a%2Fb");
  CHECK(request.query() == "x=1&y=%2F");
  CHECK(request.parameter("y") == "/");
  CHECK_FALSE(request.parameter("z").has_value());
}

TEST_CASE("cookies are found by their whole name") {
  CHECK(cookie("a=1; atelier-7=x=y; b=2", "atelier-7") == "x=y");
  CHECK_FALSE(cookie("xatelier-7=1", "atelier-7").has_value());
}

TEST_CASE("content types follow the extension") {
  CHECK(content_type_of("x.PNG") == "image/png");
  CHECK(content_type_of("index.js") == "text/javascript; charset=utf-8");
  CHECK(content_type_of("noext") == "application/octet-stream");
}

TEST_CASE("HTTP dates are written and read back") {
  CHECK(http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT");
  for (const std::int64_t t : {0LL, 784111777LL, 951782400LL, 1893455999LL})
    CHECK(parse_http_date(http_date(t)) == t);
  CHECK_FALSE(parse_http_date("Sun, 31 Feb 1994 08:49:37 GMT").has_value());
  CHECK_FALSE(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT").has_value());
}

TEST_CASE("URLs are taken apart and odd ones refused") {
  const auto url = parse_url("HTTP://example.org:8188/a?b#c");
  REQUIRE(url.has_value());
  CHECK(url->host == "example.org");
  CHECK(url->port == 8188);
  CHECK(url->target == "/a?b");
  CHECK(parse_url("ws://[::1]:9?x")->target == "/?x");
  CHECK(parse_url("ws://[::1]:9?x")->authority() == "[::1]:9");
  CHECK(parse_url("https://h")->port == 443);
  for (const char* bad : {"h/x", "ftp://h/", "http://", "http://u:p@h/", "http://h:0/", "http://h:99999/",
                          "http://h x/", "http://h:1x/"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_url(bad).has_value());
  }
}
