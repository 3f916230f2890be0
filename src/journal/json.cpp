// SPDX-License-Identifier: MIT
#include "journal/json.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <fmt/format.h>

#include <cmath>

#include "journal/codec.hpp"
#include "journal/record_codec.hpp"

namespace atelier::journal {
namespace {

namespace json = boost::json;
using record_codec::HasFields;

/// The length of the UTF-8 sequence at the start of `text`; 0 if there is none (Unicode 15, table 3-7).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t at) { return static_cast<std::uint8_t>(text[at]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xc2 && lead <= 0xdf   ? 2
                             : (lead & 0xf0) == 0xe0        ? 3
                             : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                            : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const std::uint8_t second = byte(1);
  const bool wrong = (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
                     (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f);
  return wrong ? 0 : length;
}

json::string printable(std::string_view text) {
  json::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) {
      out.append("\xef\xbf\xbd");
    } else {
      out.append(json::string_view(text.data(), length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

json::value value_of(const std::string& value);
json::value value_of(const Key128& value);
json::value value_of(const Digest& value);
json::value value_of(const SlotId& value);
template <class Tag>
json::value value_of(const Id<Tag>& value);
template <class Tag>
json::value value_of(const TimePoint<Tag>& value);
template <class T>
json::value value_of(const std::vector<T>& values);
template <class T>
json::value value_of(const std::optional<T>& value);
template <class T>
json::value value_of(const T& value);

template <class Record>
json::object object_of(const Record& record) {
  json::object out;
  std::apply(
      [&](const auto&... field) {
        (out.emplace(json::string_view(field.name.data(), field.name.size()), value_of(record.*field.member)),
         ...);
      },
      Record::fields());
  return out;
}

json::value value_of(const std::string& value) { return printable(value); }
json::value value_of(const Key128& value) { return printable(value ? value.hex() : ""); }
json::value value_of(const Digest& value) { return printable(value ? value.hex() : ""); }
json::value value_of(const SlotId& value) { return printable(fmt::format("{}", value)); }
template <class Tag>
json::value value_of(const Id<Tag>& value) {
  return value.value;
}
template <class Tag>
json::value value_of(const TimePoint<Tag>& value) {
  return value.ms;
}
template <class T>
json::value value_of(const std::vector<T>& values) {
  json::array out;
  for (const T& value : values) out.push_back(value_of(value));
  return out;
}
template <class T>
json::value value_of(const std::optional<T>& value) {
  return value ? value_of(*value) : json::value(nullptr);
}
template <class T>
json::value value_of(const T& value) {
  if constexpr (HasFields<T>) {
    return object_of(value);
  } else if constexpr (requires { core::to_string(value); }) {
    return printable(core::to_string(value));
  } else if constexpr (std::is_enum_v<T>) {
    return static_cast<std::uint64_t>(value);
  } else if constexpr (std::same_as<T, double>) {
    return std::isfinite(value) ? json::value(value) : printable(fmt::format("{}", value));
  } else {
    return value;
  }
}

template <class T>
void collect(const T& value, std::vector<core::Attachment>& out) {
  if constexpr (std::same_as<T, core::Attachment>) {
    if (value) out.push_back(value);
  } else if constexpr (HasFields<T>) {
    std::apply([&](const auto&... field) { (collect(value.*field.member, out), ...); }, T::fields());
  } else if constexpr (requires {
                         value.begin();
                         requires HasFields<typename T::value_type>;
                       }) {
    for (const auto& element : value) collect(element, out);
  }
}

template <class Variant>
std::vector<core::Attachment> attachments_of_variant(const Variant& variant) {
  std::vector<core::Attachment> out;
  std::visit([&](const auto& record) { collect(record, out); }, variant);
  return out;
}

}  // namespace

std::string to_json(const core::Entry& entry) {
  json::object out;
  out["sequence"] = entry.sequence.value;
  out["time"] = entry.time.ms;
  out["wall"] = entry.wall.ms;
  out["gateway"] = entry.origin.gateway.value;
  out["ticket"] = entry.origin.ticket;
  out["kind"] = printable(core::kind_name(entry.event));
  std::visit(
      [&]<class Record>(const Record& record) {
        out["version"] = Record::kVersion;
        out["event"] = object_of(record);
      },
      entry.event);
  return json::serialize(out);
}

std::string to_json(const core::CheckpointRecord& record) {
  json::object out;
  out["checkpoint"] = printable(kind_name(record));
  std::visit(
      [&]<class Record>(const Record& alternative) {
        out["version"] = Record::kVersion;
        out["record"] = object_of(alternative);
      },
      record);
  return json::serialize(out);
}

std::string attachment_to_json(Key128 id, std::string_view bytes) {
  json::object out;
  out["attachment"] = printable(id.hex());
  out["bytes"] = bytes.size();
  out["text"] = printable(bytes);
  return json::serialize(out);
}

std::vector<core::Attachment> attachments_of(const core::Event& event) {
  return attachments_of_variant(event);
}
std::vector<core::Attachment> attachments_of(const core::CheckpointRecord& record) {
  return attachments_of_variant(record);
}

}  // namespace atelier::journal
