// SPDX-License-Identifier: MIT
#pragma once
// The journal's binary form of any record that names its members with ATELIER_FIELDS. Private to the codec
// and its tests; everybody else uses codec.hpp.
//
//   record   kind u16 (little endian), version u8, members
//   members  varint count, then each in the order of ATELIER_FIELDS; a nested record is its members
//   integer  varint (LEB128); signed: zigzag varint; bool: 0 or 1; enum: varint of its value; double: 8
//   bytes, little endian string   varint length, bytes;  list: varint count, elements;  optional: 0, or 1 and
//   the value Key128   16 bytes (high, low, little endian);  Digest 32 bytes;  Id, TimePoint: their number
//
// `count` lets an older record leave the members added since at their defaults, in nested records too; a
// count or a version above ours is newer_version. Nothing is allocated from a length before that many bytes
// are known to be there. A new enumerator raises the version of the records that hold it, as a new member
// does.

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/hash.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "core/types/vocabulary.hpp"

namespace atelier::journal::record_codec {

template <class T>
concept HasFields = requires { T::fields(); };

/// The highest enumerator of each stored enum; a value above it is garbage.
template <class E>
struct LastOf;
#define ATELIER_LAST_OF(Enum, last)                       \
  template <>                                             \
  struct LastOf<core::Enum> {                             \
    static constexpr core::Enum value = core::Enum::last; \
  }
ATELIER_LAST_OF(JobState, running);
ATELIER_LAST_OF(Outcome, cancelled);
ATELIER_LAST_OF(QueueMode, priority);
ATELIER_LAST_OF(PriorityLevel, low);
ATELIER_LAST_OF(SlotState, engine_lost);
ATELIER_LAST_OF(OutputType, input);
ATELIER_LAST_OF(MovePlace, after);
ATELIER_LAST_OF(LossReason, worker_left);
ATELIER_LAST_OF(ReturnReason, refused_by_engine);
ATELIER_LAST_OF(EndReason, refused);
ATELIER_LAST_OF(EnrolmentState, revoked);
ATELIER_LAST_OF(EnrolmentVerdict, full);
#undef ATELIER_LAST_OF

// ---- Writing ----

inline void put(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}
inline void put_fixed64(std::string& out, std::uint64_t value) {
  for (int shift = 0; shift < 64; shift += 8) out.push_back(static_cast<char>(value >> shift));
}

inline void write(std::string& out, const std::string& value);
inline void write(std::string& out, const Key128& value);
inline void write(std::string& out, const Digest& value);
inline void write(std::string& out, const SlotId& value);
template <class Tag>
void write(std::string& out, const Id<Tag>& value);
template <class Tag>
void write(std::string& out, const TimePoint<Tag>& value);
template <class T>
void write(std::string& out, const std::vector<T>& values);
template <class T>
void write(std::string& out, const std::optional<T>& value);
template <class T>
void write(std::string& out, const T& value);

template <class Record>
void write_members(std::string& out, const Record& record) {
  constexpr auto fields = Record::fields();
  put(out, std::tuple_size_v<decltype(fields)>);
  std::apply([&](const auto&... field) { (write(out, record.*field.member), ...); }, fields);
}

inline void write(std::string& out, const std::string& value) {
  put(out, value.size());
  out.append(value);
}
inline void write(std::string& out, const Key128& value) {
  put_fixed64(out, value.high);
  put_fixed64(out, value.low);
}
inline void write(std::string& out, const Digest& value) {
  out.append(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size());
}
template <class Tag>
void write(std::string& out, const Id<Tag>& value) {
  put(out, value.value);
}
template <class Tag>
void write(std::string& out, const TimePoint<Tag>& value) {
  write(out, value.ms);
}
inline void write(std::string& out, const SlotId& value) {
  put(out, value.worker.value);
  put(out, value.index);
}
template <class T>
void write(std::string& out, const std::vector<T>& values) {
  put(out, values.size());
  for (const T& value : values) write(out, value);
}
template <class T>
void write(std::string& out, const std::optional<T>& value) {
  put(out, value ? 1 : 0);
  if (value) write(out, *value);
}
template <class T>
void write(std::string& out, const T& value) {
  if constexpr (HasFields<T>) {
    write_members(out, value);
  } else if constexpr (std::is_enum_v<T>) {
    static_assert(requires { LastOf<T>::value; }, "name the last enumerator above");
    put(out, static_cast<std::uint64_t>(value));
  } else if constexpr (std::same_as<T, double>) {
    put_fixed64(out, std::bit_cast<std::uint64_t>(value));
  } else if constexpr (std::signed_integral<T>) {
    const auto wide = static_cast<std::int64_t>(value);
    put(out, (static_cast<std::uint64_t>(wide) << 1) ^ static_cast<std::uint64_t>(wide >> 63));
  } else {
    static_assert(std::unsigned_integral<T>);
    put(out, static_cast<std::uint64_t>(value));
  }
}

// ---- Reading ----

enum class Fault : std::uint8_t { none, truncated, garbage, newer };

/// Reads values from bytes it does not own; after the first fault everything fails.
class Source {
 public:
  explicit Source(std::string_view bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  [[nodiscard]] Fault fault() const { return fault_; }
  [[nodiscard]] std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  bool stop(Fault fault) {
    if (fault_ == Fault::none) fault_ = fault;
    return false;
  }

  /// An unsigned number of at most `most`; its only accepted form is the shortest.
  bool get(std::uint64_t& value, std::uint64_t most) {
    value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) return stop(Fault::truncated);
      const auto byte = static_cast<std::uint8_t>(*at_++);
      if (shift == 63 && byte > 1) return stop(Fault::garbage);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) {
        const bool padded = byte == 0 && shift > 0;
        return (padded || value > most) ? stop(Fault::garbage) : true;
      }
    }
    return stop(Fault::garbage);
  }
  /// A count of things of which each takes at least one byte.
  bool get_count(std::uint64_t& count) {
    if (!get(count, ~std::uint64_t{0})) return false;
    return count > left() ? stop(Fault::truncated) : true;
  }
  bool get_bytes(std::string_view& bytes, std::size_t count) {
    if (count > left()) return stop(Fault::truncated);
    bytes = {at_, count};
    at_ += count;
    return true;
  }
  bool get_fixed64(std::uint64_t& value) {
    std::string_view bytes;
    if (!get_bytes(bytes, 8)) return false;
    value = 0;
    for (std::size_t i = 0; i < 8; ++i) {
      value |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(bytes[i])) << (8 * i);
    }
    return true;
  }

 private:
  const char* at_;
  const char* end_;
  Fault fault_ = Fault::none;
};

inline bool read(Source& in, std::string& value);
inline bool read(Source& in, Key128& value);
inline bool read(Source& in, Digest& value);
inline bool read(Source& in, SlotId& value);
template <class Tag>
bool read(Source& in, Id<Tag>& value);
template <class Tag>
bool read(Source& in, TimePoint<Tag>& value);
template <class T>
bool read(Source& in, std::vector<T>& values);
template <class T>
bool read(Source& in, std::optional<T>& value);
template <class T>
bool read(Source& in, T& value);

/// `count` gives how many members the bytes had.
template <class Record>
bool read_members(Source& in, Record& record, std::uint64_t& count) {
  constexpr auto fields = Record::fields();
  constexpr std::uint64_t known = std::tuple_size_v<decltype(fields)>;
  if (!in.get_count(count)) return false;
  if (count > known) return in.stop(Fault::newer);
  std::uint64_t place = 0;
  return std::apply(
      [&](const auto&... field) { return ((place++ >= count || read(in, record.*field.member)) && ...); },
      fields);
}

inline bool read(Source& in, std::string& value) {
  std::uint64_t size = 0;
  std::string_view bytes;
  if (!in.get_count(size) || !in.get_bytes(bytes, size)) return false;
  value.assign(bytes);
  return true;
}
inline bool read(Source& in, Key128& value) {
  return in.get_fixed64(value.high) && in.get_fixed64(value.low);
}
inline bool read(Source& in, Digest& value) {
  std::string_view bytes;
  if (!in.get_bytes(bytes, value.bytes.size())) return false;
  std::memcpy(value.bytes.data(), bytes.data(), bytes.size());
  return true;
}
template <class Tag>
bool read(Source& in, Id<Tag>& value) {
  return in.get(value.value, ~std::uint64_t{0});
}
template <class Tag>
bool read(Source& in, TimePoint<Tag>& value) {
  return read(in, value.ms);
}
inline bool read(Source& in, SlotId& value) { return read(in, value.worker) && read(in, value.index); }
template <class T>
bool read(Source& in, std::vector<T>& values) {
  std::uint64_t count = 0;
  if (!in.get_count(count)) return false;
  values.clear();
  for (std::uint64_t i = 0; i < count; ++i) {
    if (!read(in, values.emplace_back()))
      return false;  // grows with the bytes read, not with the count claimed
  }
  return true;
}
template <class T>
bool read(Source& in, std::optional<T>& value) {
  std::uint64_t present = 0;
  if (!in.get(present, 1)) return false;
  value.reset();
  return present == 0 || read(in, value.emplace());
}
template <class T>
bool read(Source& in, T& value) {
  std::uint64_t raw = 0;
  if constexpr (HasFields<T>) {
    return read_members(in, value, raw);
  } else if constexpr (std::is_enum_v<T>) {
    if (!in.get(raw, static_cast<std::uint64_t>(LastOf<T>::value))) return false;
    value = static_cast<T>(raw);
    return true;
  } else if constexpr (std::same_as<T, double>) {
    if (!in.get_fixed64(raw)) return false;
    value = std::bit_cast<double>(raw);
    return true;
  } else if constexpr (std::signed_integral<T>) {
    if (!in.get(raw, ~std::uint64_t{0})) return false;
    const auto wide = static_cast<std::int64_t>(raw >> 1) ^ -static_cast<std::int64_t>(raw & 1);
    if (!std::in_range<T>(wide)) return in.stop(Fault::garbage);
    value = static_cast<T>(wide);
    return true;
  } else {
    static_assert(std::unsigned_integral<T>);
    if (!in.get(raw, std::uint64_t{std::numeric_limits<T>::max()})) return false;
    value = static_cast<T>(raw);
    return true;
  }
}

// ---- Whole records ----

inline constexpr std::size_t kHeadBytes = 3;

template <class Record>
void encode(std::string& out, const Record& record) {
  out.push_back(static_cast<char>(Record::kKind & 0xff));
  out.push_back(static_cast<char>(Record::kKind >> 8));
  out.push_back(static_cast<char>(Record::kVersion));
  write_members(out, record);
}

/// `bytes` begins after the head.
template <class Record>
Fault decode(std::string_view bytes, std::uint8_t version, Record& record) {
  if (version > Record::kVersion) return Fault::newer;
  if (version == 0) return Fault::garbage;
  Source in(bytes);
  std::uint64_t count = 0;
  if (!read_members(in, record, count)) return in.fault();
  if (in.left() != 0) return Fault::garbage;
  const bool all = count == std::tuple_size_v<decltype(Record::fields())>;
  return version == Record::kVersion && !all ? Fault::truncated : Fault::none;
}

}  // namespace atelier::journal::record_codec
