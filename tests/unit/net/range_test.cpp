// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "net/range.hpp"

using namespace atelier::net;  // NOLINT: tests

namespace {
using Kind = RangeDecision::Kind;
RangeDecision decide(std::string_view value, std::uint64_t size) {
  return decide_range(HeaderList{{"Range", value}}, size, "\"e\"");
}
TEST_CASE("a precondition that does not hold is told by tag, and without a tag by time") {
  const auto fails = [](const HeaderList& headers) {
    return precondition_fails(headers, "\"a\"", 784111777);
  };
  CHECK_FALSE(fails({}));
  CHECK_FALSE(fails({{"If-Match", "\"b\", \"a\""}}));
  CHECK_FALSE(fails({{"If-Match", "*"}}));
  CHECK(fails({{"If-Match", "\"b\""}}));
  CHECK(fails({{"If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:36 GMT"}}));
  CHECK_FALSE(fails({{"If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"}}));
  CHECK_FALSE(fails({{"If-Unmodified-Since", "nonsense"}}));
  CHECK_FALSE(fails({{"If-Match", "\"a\""}, {"If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:36 GMT"}}));
}

}  // namespace

TEST_CASE("one byte range is served, everything else as a whole") {
  struct Row {
    std::string_view value;
    std::uint64_t size;
    Kind kind;
    ByteRange range;
  };
  const Row rows[] = {
      {"bytes=0-0", 10, Kind::partial, {0, 1}},
      {"bytes=0-", 10, Kind::partial, {0, 10}},
      {"bytes=2-5", 10, Kind::partial, {2, 4}},
      {"Bytes= 2-99 ", 10, Kind::partial, {2, 8}},
      {"bytes=-3", 10, Kind::partial, {7, 3}},
      {"bytes=-30", 10, Kind::partial, {0, 10}},
      {"bytes=9-", 10, Kind::partial, {9, 1}},
      {"bytes=10-", 10, Kind::unsatisfiable, {0, 0}},
      {"bytes=-0", 10, Kind::unsatisfiable, {0, 0}},
      {"bytes=0-", 0, Kind::unsatisfiable, {0, 0}},
      {"bytes=99999999999999999999999-", 10, Kind::unsatisfiable, {0, 0}},
      {"bytes=0-99999999999999999999999", 10, Kind::partial, {0, 10}},
      {"bytes=5-2", 10, Kind::whole, {0, 10}},
      {"bytes=0-1,3-4", 10, Kind::whole, {0, 10}},
      {"bytes=a-", 10, Kind::whole, {0, 10}},
      {"bytes=-", 10, Kind::whole, {0, 10}},
      {"bytes=", 10, Kind::whole, {0, 10}},
      {"lines=0-1", 10, Kind::whole, {0, 10}},
      {"bytes=+1-2", 10, Kind::whole, {0, 10}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.value);
    CHECK(decide(row.value, row.size) == RangeDecision{row.kind, row.range});
  }
  CHECK(decide_range(HeaderList{}, 5, "").kind == Kind::whole);
  CHECK(content_range(decide("bytes=2-5", 10), 10) == "bytes 2-5/10");
  CHECK(content_range(decide("bytes=10-", 10), 10) == "bytes */10");
}

TEST_CASE("If-Range compares strongly") {
  const auto with = [](std::string_view condition, std::string_view etag) {
    return decide_range(HeaderList{{"Range", "bytes=0-0"}, {"If-Range", condition}}, 10, etag, 784111777)
        .kind;
  };
  CHECK(with("\"e\"", "\"e\"") == Kind::partial);
  CHECK(with("\"f\"", "\"e\"") == Kind::whole);
  CHECK(with("W/\"e\"", "W/\"e\"") == Kind::whole);
  CHECK(with("Sun, 06 Nov 1994 08:49:37 GMT", "\"e\"") == Kind::partial);
  CHECK(with("Sun, 06 Nov 1994 08:49:38 GMT", "\"e\"") == Kind::whole);
}

TEST_CASE("entity tags compare weakly for 304") {
  CHECK(etag_in_list("\"a\", W/\"b,c\"", "\"b,c\""));
  CHECK(etag_in_list("\"a\"", "W/\"a\""));
  CHECK(etag_in_list(" * ", "\"x\""));
  CHECK_FALSE(etag_in_list("\"ab\"", "\"a\""));
  CHECK_FALSE(etag_in_list("a", "\"a\""));
  CHECK(is_not_modified(HeaderList{{"If-None-Match", "\"a\""}}, "\"a\""));
  CHECK(is_not_modified(HeaderList{{"If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"}}, "", 784111777));
  CHECK_FALSE(
      is_not_modified(HeaderList{{"If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"}}, "", 784111778));
  CHECK_FALSE(is_not_modified(
      HeaderList{{"If-None-Match", "\"b\""}, {"If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"}}, "\"a\"",
      0));
}
