// SPDX-License-Identifier: MIT
#include "link/codec.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <span>
#include <utility>

#include "link/fields.hpp"

namespace atelier::link {
namespace json = boost::json;

namespace wire {

// A string of another program may hold anything; a text frame must be UTF-8 or the peer closes the socket.
std::string clean_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    std::size_t length = lead < 0x80                   ? 1
                         : lead >= 0xc2 && lead < 0xe0 ? 2
                         : lead >= 0xe0 && lead < 0xf0 ? 3
                         : lead >= 0xf0 && lead < 0xf5 ? 4
                                                       : 0;
    bool good = length != 0 && i + length <= text.size();
    for (std::size_t k = 1; good && k < length; ++k) {
      const auto byte = static_cast<unsigned char>(text[i + k]);
      good = byte >= 0x80 && byte < 0xc0;
      if (k == 1 && good) {
        good = !(lead == 0xe0 && byte < 0xa0) && !(lead == 0xed && byte >= 0xa0) &&
               !(lead == 0xf0 && byte < 0x90) && !(lead == 0xf4 && byte >= 0x90);
      }
    }
    if (!good) {
      out += "\xef\xbf\xbd";
      ++i;
      continue;
    }
    out.append(text, i, length);
    i += length;
  }
  return out;
}

template <class E>
concept Enum = std::is_enum_v<E>;

class Writer {
 public:
  static constexpr bool kWrites = true;

  template <class T, class... Limits>
  void operator()(std::string_view name, const T& value, Limits...) {
    json::value printed = print(value);
    if (!printed.is_null()) out_.emplace(name, std::move(printed));
  }
  json::object take() { return std::move(out_); }

 private:
  static json::value print(bool value) { return value; }
  static json::value print(std::uint32_t value) { return static_cast<std::uint64_t>(value); }
  static json::value print(std::uint64_t value) { return value; }
  static json::value print(std::int64_t value) { return value; }
  static json::value print(const std::string& value) { return json::string(clean_utf8(value)); }
  template <class Tag>
  static json::value print(Id<Tag> id) {
    return id.value;
  }
  static json::value print(const Digest& digest) {
    return digest ? json::value(digest.hex()) : json::value("");
  }
  static json::value print(const Key128& key) { return json::value(key.hex()); }
  template <Enum E>
  static json::value print(E value) {
    return json::value(to_string(value));
  }
  template <class T>
  static json::value print(const std::optional<T>& value) {
    return value ? print(*value) : json::value();
  }
  template <class T>
  static json::value print(const std::vector<T>& list) {
    json::array out;
    out.reserve(list.size());
    for (const T& item : list) out.push_back(print(item));
    return out;
  }
  template <class T>
    requires std::is_class_v<T>
  static json::value print(const T& part) {
    Writer inner;
    fields(inner, part);
    return inner.take();
  }

  json::object out_;
};

class Reader {
 public:
  static constexpr bool kWrites = false;

  Reader(const json::object& in, std::string place) : in_(in), place_(std::move(place)) {}

  template <class T, class... Limits>
  void operator()(std::string_view name, T& value, Limits... limits) {
    if (error_) return;
    const json::value* found = in_.if_contains(name);
    if (found == nullptr) {
      missing(name, value);
      return;
    }
    read(name, *found, value, limits...);
  }
  std::optional<std::string> error() && { return std::move(error_); }

 private:
  template <class T>
  void missing(std::string_view name, T&) {
    wrong(name, "is missing");
  }
  template <class T>
  void missing(std::string_view, std::optional<T>& value) {
    value.reset();
  }

  void wrong(std::string_view name, std::string_view what) {
    if (!error_) error_ = fmt::format("{}.{} {}", place_, name, what);
  }

  std::optional<std::uint64_t> number(std::string_view name, const json::value& in, Range range) {
    std::uint64_t value = 0;
    if (in.is_int64() && in.get_int64() >= 0) {
      value = static_cast<std::uint64_t>(in.get_int64());
    } else if (in.is_uint64()) {
      value = in.get_uint64();
    } else {
      wrong(name, "is not a whole number of 0 or more");
      return std::nullopt;
    }
    if (value < range.least || value > range.most) {
      wrong(name, fmt::format("is not in {} .. {}", range.least, range.most));
      return std::nullopt;
    }
    return value;
  }
  void read(std::string_view name, const json::value& in, std::uint64_t& value, Range range = {}) {
    if (auto found = number(name, in, range)) value = *found;
  }
  void read(std::string_view name, const json::value& in, std::uint32_t& value, Range range) {
    if (auto found = number(name, in, range)) value = static_cast<std::uint32_t>(*found);
  }
  void read(std::string_view name, const json::value& in, std::int64_t& value) {
    if (!in.is_int64()) return wrong(name, "is not a whole number");
    value = in.get_int64();
  }
  template <class Tag>
  void read(std::string_view name, const json::value& in, Id<Tag>& id, Range range = {1, kIdMax}) {
    if (auto found = number(name, in, range)) id.value = *found;
  }
  void read(std::string_view name, const json::value& in, bool& value) {
    if (!in.is_bool()) return wrong(name, "is not true or false");
    value = in.get_bool();
  }
  void read(std::string_view name, const json::value& in, std::string& value, Bytes bytes = {}) {
    if (!in.is_string()) return wrong(name, "is not a string");
    if (in.get_string().size() > bytes.most)
      return wrong(name, fmt::format("is longer than {} bytes", bytes.most));
    value = std::string_view(in.get_string());
  }
  void read(std::string_view name, const json::value& in, Digest& digest) {
    if (!in.is_string()) return wrong(name, "is not a string");
    if (in.get_string().empty()) {
      digest = Digest{};
      return;
    }
    auto parsed = Digest::parse(in.get_string());
    if (!parsed) return wrong(name, "is not a SHA-256 of 64 hex digits");
    digest = *parsed;
  }
  void read(std::string_view name, const json::value& in, Key128& key) {
    if (!in.is_string()) return wrong(name, "is not a string");
    auto parsed = Key128::parse(in.get_string());
    if (!parsed) return wrong(name, "is not 32 hex digits");
    key = *parsed;
  }
  template <Enum E>
  void read(std::string_view name, const json::value& in, E& value) {
    if (!in.is_string()) return wrong(name, "is not a string");
    for (int i = 0; !to_string(static_cast<E>(i)).empty(); ++i) {
      if (to_string(static_cast<E>(i)) == std::string_view(in.get_string())) {
        value = static_cast<E>(i);
        return;
      }
    }
    wrong(name, "is not one of the known words");
  }
  template <class T, class... Limits>
  void read(std::string_view name, const json::value& in, std::optional<T>& value, Limits... limits) {
    if (in.is_null()) return value.reset();
    read(name, in, value.emplace(), limits...);
  }
  template <class T>
  void read(std::string_view name, const json::value& in, std::vector<T>& list, Count count) {
    if (!in.is_array()) return wrong(name, "is not a list");
    const json::array& items = in.get_array();
    if (items.size() > count.most) return wrong(name, fmt::format("has more than {} entries", count.most));
    list.clear();
    list.reserve(items.size());
    for (const json::value& item : items) {
      if constexpr (std::is_same_v<T, std::uint32_t>) {
        read(name, item, list.emplace_back(), kSlotRange);
      } else {
        read(name, item, list.emplace_back());
      }
      if (error_) return;
    }
  }
  template <class T>
    requires std::is_class_v<T>
  void read(std::string_view name, const json::value& in, T& part) {
    if (!in.is_object()) return wrong(name, "is not an object");
    Reader inner(in.get_object(), fmt::format("{}.{}", place_, name));
    fields(inner, part);
    if (auto error = std::move(inner).error()) error_ = std::move(*error);
  }

  const json::object& in_;
  std::string place_;
  std::optional<std::string> error_;
};

template <class M>
std::string encode_one(const M& message) {
  Writer writer;
  fields(writer, message);
  json::object out;
  out.emplace("type", TypeName<M>::value);
  for (auto& [key, value] : writer.take()) out.emplace(key, std::move(value));
  return json::serialize(out);
}

// Tries the alternatives of a variant one by one; there are fewer than twenty.
template <class Variant, std::size_t I = 0>
Result<Variant> decode_as(std::string_view type, const json::object& in) {
  if constexpr (I == std::variant_size_v<Variant>) {
    return fail(Errc::protocol, fmt::format("unknown message type \"{}\"", clean_utf8(type.substr(0, 64))));
  } else {
    using M = std::variant_alternative_t<I, Variant>;
    if constexpr (!std::is_same_v<M, Preview>) {
      if (type == TypeName<M>::value) {
        M message;
        Reader reader(in, std::string(type));
        fields(reader, message);
        if (auto error = std::move(reader).error()) return fail(Errc::protocol, std::move(*error));
        return Variant(std::move(message));
      }
    }
    return decode_as<Variant, I + 1>(type, in);
  }
}

template <class Variant>
Result<Variant> decode(std::string_view text) {
  if (text.size() > kTextBytesMax) {
    return fail(Errc::too_large,
                fmt::format("a text frame of {} bytes; the limit is {}", text.size(), kTextBytesMax));
  }
  json::parse_options options;
  options.max_depth = 16;
  json::error_code error;
  json::value parsed;
  try {
    parsed = json::parse(text, error, {}, options);
  } catch (const std::exception& e) {
    return fail(Errc::protocol, fmt::format("the text frame cannot be read: {}", e.what()));
  }
  if (error) return fail(Errc::protocol, fmt::format("the text frame is not JSON: {}", error.message()));
  if (!parsed.is_object()) return fail(Errc::protocol, "the text frame is not a JSON object");
  const json::value* type = parsed.get_object().if_contains("type");
  if (type == nullptr || !type->is_string()) return fail(Errc::protocol, "the text frame has no type");
  return decode_as<Variant>(type->get_string(), parsed.get_object());
}

void put(std::string& out, std::uint64_t value, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) out += static_cast<char>((value >> shift) & 0xff);
}

std::uint64_t take(std::string_view& in, std::size_t bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | static_cast<unsigned char>(in[i]);
  in.remove_prefix(bytes);
  return value;
}

constexpr std::size_t kPreviewHeaderBytes = 24;
constexpr std::uint64_t kPreviewFrame = 1, kPartFrame = 2;

}  // namespace wire

std::string encode(const AgentMessage& message) {
  return std::visit(
      []<class M>(const M& m) -> std::string {
        if constexpr (std::is_same_v<M, Preview>) {
          return encode_preview(m);
        } else {
          return wire::encode_one(m);
        }
      },
      message);
}

std::string encode(const GatewayMessage& message) {
  return std::visit([](const auto& m) { return wire::encode_one(m); }, message);
}

Result<AgentMessage> decode_agent(std::string_view text) { return wire::decode<AgentMessage>(text); }
Result<GatewayMessage> decode_gateway(std::string_view text) { return wire::decode<GatewayMessage>(text); }

std::string encode_preview(const Preview& preview) {
  std::string out;
  out.reserve(wire::kPreviewHeaderBytes + preview.frame.size());
  wire::put(out, preview.more ? wire::kPartFrame : wire::kPreviewFrame, 4);
  wire::put(out, preview.job.value, 8);
  wire::put(out, preview.epoch.value, 8);
  wire::put(out, preview.kind, 4);
  out += preview.frame;
  return out;
}

Result<Preview> decode_preview(std::string_view bytes) {
  if (bytes.size() > kPreviewBytesMax) {
    return fail(Errc::too_large,
                fmt::format("a binary frame of {} bytes; the limit is {}", bytes.size(), kPreviewBytesMax));
  }
  if (bytes.size() < wire::kPreviewHeaderBytes)
    return fail(Errc::protocol, "a binary frame shorter than its header");
  const auto kind = wire::take(bytes, 4);
  if (kind != wire::kPreviewFrame && kind != wire::kPartFrame)
    return fail(Errc::protocol, fmt::format("unknown binary frame kind {}", kind));
  Preview preview;
  preview.more = kind == wire::kPartFrame;
  preview.job.value = wire::take(bytes, 8);
  preview.epoch.value = wire::take(bytes, 8);
  preview.kind = static_cast<std::uint32_t>(wire::take(bytes, 4));
  if (preview.job.value == 0 || preview.job.value > kIdMax || preview.epoch.value == 0 ||
      preview.epoch.value > kIdMax) {
    return fail(Errc::protocol, "preview.job or preview.epoch is out of range");
  }
  preview.frame = bytes;
  return preview;
}

std::string_view type_of(const AgentMessage& message) {
  return std::visit([]<class M>(const M&) { return wire::TypeName<M>::value; }, message);
}
std::string_view type_of(const GatewayMessage& message) {
  return std::visit([]<class M>(const M&) { return wire::TypeName<M>::value; }, message);
}

}  // namespace atelier::link
