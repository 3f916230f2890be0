// SPDX-License-Identifier: MIT
#include "journal/codec.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "journal/json.hpp"
#include "journal/record_codec.hpp"
#include "random_records.hpp"

namespace atelier::journal {
namespace {

template <class Variant>
Result<Variant> decode_as(std::string_view bytes) {
  if constexpr (std::same_as<Variant, core::Event>) {
    return decode_event(bytes);
  } else {
    return decode_record(bytes);
  }
}

template <class Variant>
void every_kind(const std::function<void(RandomRecords&, const Variant&, const std::string&)>& check,
                int rounds) {
  RandomRecords random(20261);
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < std::variant_size_v<Variant>; ++i) {
      const auto record = random.alternative<Variant>(i);
      REQUIRE(record.index() == i);
      std::string bytes;
      encode(record, bytes);
      check(random, record, bytes);
    }
  }
}

template <class Variant>
void round_trip() {
  every_kind<Variant>(
      [](RandomRecords&, const Variant& record, const std::string& bytes) {
        auto decoded = decode_as<Variant>(bytes);
        REQUIRE(decoded);
        CHECK(*decoded == record);
        std::string again;
        encode(*decoded, again);
        CHECK(again == bytes);
      },
      200);
}

TEST_CASE("every event comes back as it was written, in one form") { round_trip<core::Event>(); }
TEST_CASE("every checkpoint record comes back as it was written, in one form") {
  round_trip<core::CheckpointRecord>();
}

template <class Variant>
void truncations() {
  every_kind<Variant>(
      [](RandomRecords&, const Variant&, const std::string& bytes) {
        for (std::size_t size = 0; size < bytes.size(); ++size) {
          auto decoded = decode_as<Variant>(std::string_view(bytes).substr(0, size));
          REQUIRE(!decoded);
          CHECK(decoded.error().code == Errc::io);
        }
        auto longer = decode_as<Variant>(bytes + '\0');
        REQUIRE(!longer);
        CHECK(longer.error().code == Errc::io);
      },
      3);
}

TEST_CASE("a record cut off anywhere, or with a byte too many, is refused") {
  truncations<core::Event>();
  truncations<core::CheckpointRecord>();
}

template <class Variant>
void garbage() {
  std::size_t accepted = 0;
  every_kind<Variant>(
      [&](RandomRecords& random, const Variant&, const std::string& bytes) {
        for (int change = 0; change < 20; ++change) {
          std::string broken = bytes;
          for (std::uint64_t flips = 1 + random.bits() % 3; flips > 0; --flips) {
            broken[random.bits() % broken.size()] = static_cast<char>(random.bits());
          }
          auto decoded = decode_as<Variant>(broken);
          if (!decoded) {
            CHECK((decoded.error().code == Errc::io || decoded.error().code == Errc::newer_version));
            continue;
          }
          ++accepted;  // then it means something: written anew it stays as it is (a nested record may have
                       // grown members)
          std::string once, twice;
          encode(*decoded, once);
          auto again = decode_as<Variant>(once);
          REQUIRE(again);
          encode(*again, twice);
          CHECK(once == twice);
        }
        std::string noise;
        for (std::uint64_t left = random.bits() % 300; left > 0; --left)
          noise.push_back(static_cast<char>(random.bits()));
        static_cast<void>(decode_as<Variant>(noise));
      },
      40);
  CHECK(accepted > 0);
}

TEST_CASE("garbage is refused or means something that can be written, and never crashes") {
  garbage<core::Event>();
  garbage<core::CheckpointRecord>();
}

TEST_CASE("a length above the bytes that are there is refused before anything is allocated") {
  std::string bytes;
  encode(core::Event{core::WorkshopOpened{}}, bytes);
  bytes.resize(bytes.size() - 1);  // the length of `release`
  record_codec::put(bytes, 1ULL << 40);
  auto decoded = decode_event(bytes);
  REQUIRE(!decoded);
  CHECK(decoded.error().code == Errc::io);
}

TEST_CASE("a kind or version that this release does not know is from a newer one") {
  std::string bytes;
  encode(core::Event{core::Started{{7}, {2}}}, bytes);
  std::string unknown = bytes;
  unknown[0] = '\x7f';
  CHECK(decode_event(unknown).error().code == Errc::newer_version);
  std::string version = bytes;
  version[2] = static_cast<char>(core::Started::kVersion + 1);
  CHECK(decode_event(version).error().code == Errc::newer_version);
  version[2] = 0;
  CHECK(decode_event(version).error().code == Errc::io);
}

TEST_CASE("an enumerator outside its range is refused") {
  std::string bytes;
  encode(core::Event{core::ModeChanged{core::QueueMode::priority, ""}}, bytes);
  REQUIRE(bytes.size() == 6);  // kind, version, count, mode, length of `by`
  bytes[4] = 3;
  CHECK(decode_event(bytes).error().code == Errc::io);
}

// The same record in two releases; the nested one got a member, too.
struct PartV1 {
  std::uint32_t first = 0;
  ATELIER_FIELDS(PartV1, first);
};
struct PartV2 {
  std::uint32_t first = 0;
  std::string second = "unset";
  ATELIER_FIELDS(PartV2, first, second);
};
struct RecordV1 {
  static constexpr std::uint16_t kKind = 999;
  static constexpr std::uint8_t kVersion = 1;
  JobId job;
  std::vector<PartV1> parts;
  ATELIER_FIELDS(RecordV1, job, parts);
};
struct RecordV2 {
  static constexpr std::uint16_t kKind = 999;
  static constexpr std::uint8_t kVersion = 2;
  JobId job;
  std::vector<PartV2> parts;
  std::int64_t added = -5;
  ATELIER_FIELDS(RecordV2, job, parts, added);
};

TEST_CASE("an older version leaves the members added since at their defaults, nested ones too") {
  std::string bytes;
  record_codec::encode(bytes, RecordV1{{4}, {{1}, {2}}});
  const std::string_view body = std::string_view(bytes).substr(record_codec::kHeadBytes);
  RecordV2 newer;
  REQUIRE(record_codec::decode(body, 1, newer) == record_codec::Fault::none);
  CHECK(newer == RecordV2{{4}, {{1, "unset"}, {2, "unset"}}, -5});
  // The same bytes that claim to be complete are cut off.
  CHECK(record_codec::decode(body, 2, newer) == record_codec::Fault::truncated);
}

TEST_CASE("more members than this release knows are from a newer one, nested ones too") {
  std::string bytes;
  record_codec::encode(bytes, RecordV2{{4}, {}, 1});
  RecordV1 older;
  CHECK(record_codec::decode(std::string_view(bytes).substr(3), 1, older) == record_codec::Fault::newer);
  std::string nested;
  record_codec::put(nested, 2);
  record_codec::put(nested, 4);
  record_codec::put(nested, 1);
  record_codec::write(nested, PartV2{1, "x"});
  CHECK(record_codec::decode(nested, 1, older) == record_codec::Fault::newer);
}

TEST_CASE("numbers keep their edges") {
  struct Numbers {
    std::uint64_t u64 = 0;
    std::int64_t i64 = 0;
    double real = 0;
    bool flag = false;
    std::uint8_t u8 = 0;
    ATELIER_FIELDS(Numbers, u64, i64, real, flag, u8);
  };
  using Limits = std::numeric_limits<std::int64_t>;
  for (const Numbers& numbers :
       {Numbers{~0ULL, Limits::min(), -0.0, true, 255}, Numbers{1ULL << 63, Limits::max(), 1e308, false, 0},
        Numbers{127, -1, 0.1, true, 127}, Numbers{128, 1, HUGE_VAL, true, 128}}) {
    std::string bytes;
    record_codec::write(bytes, numbers);
    record_codec::Source in(bytes);
    Numbers back;
    REQUIRE(record_codec::read(in, back));
    CHECK(back == numbers);
    CHECK(in.left() == 0);
  }
  std::string nan;
  record_codec::write(nan, std::nan(""));
  record_codec::Source in(nan);
  double back = 0;
  REQUIRE(record_codec::read(in, back));
  CHECK(std::isnan(back));
}

TEST_CASE("an entry prints as one line of JSON with wire names") {
  core::Entry entry{
      {3}, {1500}, {1'800'000'000'000}, {{1}, 9}, core::ModeChanged{core::QueueMode::fifo, "a\"\xff"}};
  CHECK(
      to_json(entry) ==
      R"({"sequence":3,"time":1500,"wall":1800000000000,"gateway":1,"ticket":9,"kind":"mode_changed","version":1,)"
      "\"event\":{\"mode\":\"fifo\",\"by\":\"a\\\"\xef\xbf\xbd\"}}");
}

TEST_CASE("every event and record prints, and names its attachments") {
  RandomRecords random(5);
  for (std::size_t i = 0; i < std::variant_size_v<core::Event>; ++i) {
    const auto event = random.alternative<core::Event>(i);
    const std::string line = to_json(core::Entry{{1}, {}, {}, {}, event});
    CHECK(line.find('\n') == std::string::npos);
    CHECK(line.find(std::string(core::kind_name(event))) != std::string::npos);
  }
  core::Summary summary;
  summary.prompt.id = {1, 2};
  summary.nodes = {{"9", {{3, 4}, {}, 5}, {}}, {"10", {}, {}}};
  const auto named = attachments_of(core::CheckpointRecord{summary});
  REQUIRE(named.size() == 2);
  CHECK(named[0].id == Key128{1, 2});
  CHECK(named[1].id == Key128{3, 4});
  CHECK(to_json(core::CheckpointRecord{summary})
            .starts_with(R"({"checkpoint":"summary","version":1,"record":{"job":0,)"));
}

}  // namespace
}  // namespace atelier::journal
