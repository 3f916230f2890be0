// SPDX-License-Identifier: MIT
#pragma once
// Random instances of every event and checkpoint record, from a seed: for round trips, and for the golden
// journal.

#include <array>
#include <random>
#include <variant>

#include "journal/record_codec.hpp"

namespace atelier::journal {

class RandomRecords {
 public:
  explicit RandomRecords(std::uint64_t seed) : engine_(seed) {}

  /// An instance of the alternative `I` of an event or record variant.
  template <class Variant, std::size_t I = 0>
  Variant alternative(std::size_t index) {
    if constexpr (I == std::variant_size_v<Variant>) {
      return Variant{};
    } else {
      if (index != I) return alternative<Variant, I + 1>(index);
      std::variant_alternative_t<I, Variant> record;
      fill(record);
      return record;
    }
  }

  template <class T>
  void fill(T& value) {
    if constexpr (record_codec::HasFields<T>) {
      std::apply([&](const auto&... field) { (fill(value.*field.member), ...); }, T::fields());
    } else if constexpr (std::is_enum_v<T>) {
      value = static_cast<T>(engine_() % (static_cast<std::uint64_t>(record_codec::LastOf<T>::value) + 1));
    } else if constexpr (std::same_as<T, bool>) {
      value = engine_() % 2 == 0;
    } else if constexpr (std::same_as<T, double>) {
      value = static_cast<double>(static_cast<std::int64_t>(number())) / 8;
    } else {
      value = static_cast<T>(number());
    }
  }
  void fill(std::string& value) {
    value.clear();
    for (std::uint64_t left = engine_() % 12; left > 0; --left)
      value.push_back(static_cast<char>('a' + engine_() % 26));
  }
  void fill(Key128& value) { value = {engine_(), engine_()}; }
  void fill(Digest& value) {
    for (std::uint8_t& byte : value.bytes) byte = static_cast<std::uint8_t>(engine_());
  }
  void fill(SlotId& value) {
    fill(value.worker);
    fill(value.index);
  }
  template <class Tag>
  void fill(Id<Tag>& value) {
    value.value = number();
  }
  template <class Tag>
  void fill(TimePoint<Tag>& value) {
    value.ms = static_cast<std::int64_t>(number());
  }
  template <class T>
  void fill(std::vector<T>& values) {
    values.clear();
    for (std::uint64_t left = engine_() % 4; left > 0; --left) fill(values.emplace_back());
  }
  template <class T>
  void fill(std::optional<T>& value) {
    value.reset();
    if (engine_() % 2 == 0) fill(value.emplace());
  }

  /// Small ones often, all 64 bits sometimes, the edges of the variable length, too.
  std::uint64_t number() { return engine_() >> (engine_() % 64); }
  std::uint64_t bits() { return engine_(); }

 private:
  std::mt19937_64 engine_;
};

}  // namespace atelier::journal
