// SPDX-License-Identifier: MIT
#include "link/codec.hpp"

#include <doctest/doctest.h>

#include <random>

#include "link/fields.hpp"

namespace atelier::link {
namespace {

using wire::fields;

// Fills every field of a message with random values inside its limits, through the codec's own list of
// fields.
class Filler {
 public:
  static constexpr bool kWrites = false;
  explicit Filler(std::uint64_t seed) : random_(seed) {}

  void operator()(std::string_view, std::uint64_t& value, wire::Range range = {}) { value = number(range); }
  void operator()(std::string_view, std::uint32_t& value, wire::Range range) {
    value = static_cast<std::uint32_t>(number(range));
  }
  void operator()(std::string_view, std::int64_t& value) { value = static_cast<std::int64_t>(random_()); }
  template <class Tag>
  void operator()(std::string_view, Id<Tag>& id, wire::Range range = {1, kIdMax}) {
    id.value = number(range);
  }
  void operator()(std::string_view, bool& value) { value = random_() % 2 == 0; }
  void operator()(std::string_view, std::string& value, wire::Bytes bytes = {}) {
    static constexpr std::string_view kPieces[] = {
        "a", "/", "\"", "\\", "\n", "\x01", "\xc3\xa9", "\xf0\x9f\x8e\xa8", "{", " "};
    value.clear();
    for (std::uint64_t left = random_() % 12; left > 0 && value.size() + 4 <= bytes.most; --left)
      value += kPieces[random_() % 10];
  }
  void operator()(std::string_view, Digest& digest) { digest = sha256(std::to_string(random_())); }
  void operator()(std::string_view, Key128& key) { key = Key128{random_(), random_()}; }
  template <class E>
    requires std::is_enum_v<E>
  void operator()(std::string_view, E& value) {
    int count = 0;
    while (!to_string(static_cast<E>(count)).empty()) ++count;
    value = static_cast<E>(random_() % static_cast<unsigned>(count));
  }
  template <class T, class... Limits>
  void operator()(std::string_view name, std::optional<T>& value, Limits... limits) {
    if (random_() % 2 == 0) (*this)(name, value.emplace(), limits...);
  }
  template <class T>
  void operator()(std::string_view name, std::vector<T>& list, wire::Count) {
    for (std::uint64_t left = random_() % 4; left > 0; --left) {
      if constexpr (std::is_same_v<T, std::uint32_t>) {
        (*this)(name, list.emplace_back(), wire::kSlotRange);
      } else {
        (*this)(name, list.emplace_back());
      }
    }
  }
  template <class T>
    requires std::is_class_v<T>
  void operator()(std::string_view, T& part) {
    fields(*this, part);
  }

 private:
  std::uint64_t number(wire::Range range) { return range.least + random_() % (range.most - range.least + 1); }
  std::mt19937_64 random_;
};

template <class Variant, std::size_t I = 0, class F>
void for_each_message(F&& f) {
  if constexpr (I < std::variant_size_v<Variant>) {
    f.template operator()<std::variant_alternative_t<I, Variant>>();
    for_each_message<Variant, I + 1>(f);
  }
}

// Damages a frame at a few places; the decoders may refuse it, but must return.
std::string damaged(std::string frame, std::mt19937_64& random) {
  for (int i = 0; i < 3 && !frame.empty(); ++i) {
    const std::size_t at = random() % frame.size();
    switch (random() % 4) {
      case 0:
        frame[at] = static_cast<char>(random());
        break;
      case 1:
        frame.erase(at, random() % 8);
        break;
      case 2:
        frame.insert(at, frame.substr(random() % frame.size(), random() % 16));
        break;
      default:
        frame.insert(at, "[{\"-1e999");
        break;
    }
  }
  return frame;
}

}  // namespace

TEST_CASE("every message comes back from its frame as it was") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    for_each_message<AgentMessage>([&]<class M>() {
      if constexpr (!std::is_same_v<M, Preview>) {
        M message;
        Filler filler(seed);
        fields(filler, message);
        auto back = decode_agent(encode(AgentMessage(message)));
        REQUIRE_MESSAGE(back, wire::TypeName<M>::value, ": ", back ? "" : back.error().what);
        CHECK(*back == AgentMessage(message));
      }
    });
    for_each_message<GatewayMessage>([&]<class M>() {
      M message;
      Filler filler(seed);
      fields(filler, message);
      auto back = decode_gateway(encode(GatewayMessage(message)));
      REQUIRE_MESSAGE(back, wire::TypeName<M>::value, ": ", back ? "" : back.error().what);
      CHECK(*back == GatewayMessage(message));
    });
  }
}

TEST_CASE("a preview comes back from its binary frame as it was") {
  Preview preview;
  preview.job = JobId{7};
  preview.epoch = Epoch{2};
  preview.kind = 4;
  preview.frame = std::string("\0\0\0\x02{}\xff\xd8", 8);
  const std::string bytes = encode_preview(preview);
  CHECK(bytes.size() == 24 + 8);
  auto back = decode_preview(bytes);
  REQUIRE(back);
  CHECK(*back == preview);
  preview.more = true;
  back = decode_preview(encode_preview(preview));
  REQUIRE(back);
  CHECK(*back == preview);
  for (std::size_t cut = 0; cut < 24; ++cut)
    CHECK_FALSE(decode_preview(std::string_view(bytes).substr(0, cut)));
  CHECK(decode_preview(std::string(kPreviewBytesMax + 1, '\0')).error().code == Errc::too_large);
}

TEST_CASE("damaged frames are refused or read, and never more") {
  std::mt19937_64 random(20265);
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    for_each_message<AgentMessage>([&]<class M>() {
      if constexpr (!std::is_same_v<M, Preview>) {
        M message;
        Filler filler(seed);
        fields(filler, message);
        const std::string frame = encode(AgentMessage(message));
        for (int i = 0; i < 10; ++i) {
          auto back = decode_agent(damaged(frame, random));
          if (!back) CHECK_FALSE(back.error().what.empty());
        }
      }
    });
    for_each_message<GatewayMessage>([&]<class M>() {
      M message;
      Filler filler(seed);
      fields(filler, message);
      const std::string frame = encode(GatewayMessage(message));
      for (int i = 0; i < 10; ++i) {
        auto back = decode_gateway(damaged(frame, random));
        if (!back) CHECK_FALSE(back.error().what.empty());
      }
    });
  }
}

TEST_CASE("a frame that breaks a limit is refused with the message and the field") {
  auto why = [](std::string_view text) {
    auto result = decode_agent(text);
    REQUIRE_FALSE(result);
    return result.error().what;
  };
  CHECK(why(R"({"type":"bogus"})") == "unknown message type \"bogus\"");
  CHECK(why(R"({"type":"started","job":1})") == "started.epoch is missing");
  CHECK(why(R"({"type":"started","job":0,"epoch":1})").starts_with("started.job is not in 1"));
  CHECK(why(R"({"type":"started","job":-1,"epoch":1})").starts_with("started.job is not a whole number"));
  CHECK(why(R"({"type":"started","job":1.5,"epoch":1})").starts_with("started.job is not a whole number"));
  CHECK(why(R"({"type":"started","job":9007199254740992,"epoch":1})").starts_with("started.job is not in"));
  CHECK(why(R"({"type":"slot_idle","slot":64})").starts_with("slot_idle.slot is not in"));
  CHECK(why(R"([1])") == "the text frame is not a JSON object");
  CHECK(why(R"({"a":1})") == "the text frame has no type");
  std::string slots;
  for (int i = 0; i < 65; ++i) slots += R"({"slot":0,"engine_answered_ms":0},)";
  slots.pop_back();
  CHECK(why(R"({"type":"heartbeat","slots":[)" + slots + "]}") == "heartbeat.slots has more than 64 entries");
  CHECK(decode_agent(std::string(kTextBytesMax + 1, ' ')).error().code == Errc::too_large);
  CHECK_FALSE(decode_agent(std::string(100'000, '[')));
}

TEST_CASE("unknown fields are ignored") {
  auto back = decode_gateway(R"({"type":"ended_ok","job":3,"epoch":1,"later":{"x":[1]}})");
  REQUIRE(back);
  CHECK(std::get<EndedOk>(*back) == EndedOk{JobId{3}, Epoch{1}});
}

TEST_CASE("a string that is not UTF-8 is repaired, so that the socket is not closed for it") {
  Draining message{"bad \xff\xc3 end"};
  auto back = decode_agent(encode(AgentMessage(message)));
  REQUIRE(back);
  CHECK(std::get<Draining>(*back).reason == "bad \xef\xbf\xbd\xef\xbf\xbd end");
}

}  // namespace atelier::link
