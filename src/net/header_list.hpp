// SPDX-License-Identifier: MIT
#pragma once
// HTTP header fields in order, kept in wire form ("Name: value\r\n"), so that a head is written by one copy
// and a list has two allocations. Names compare without case.

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace atelier::net {

class HeaderList {
 public:
  struct Field {
    std::string_view name, value;
  };

  HeaderList() = default;
  HeaderList(std::initializer_list<Field> fields);

  /// CR, LF and NUL in a value become spaces: a value cannot split the head.
  void add(std::string_view name, std::string_view value);
  /// Makes room for that many fields, and bytes of all of them on the wire.
  void reserve(std::size_t bytes, std::size_t fields);
  /// Replaces all fields of this name.
  void set(std::string_view name, std::string_view value);
  void remove(std::string_view name);
  void clear();

  /// The first field of this name. Views live until the list changes.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
  /// Like find, "" if there is none.
  [[nodiscard]] std::string_view get(std::string_view name) const;
  [[nodiscard]] bool contains(std::string_view name) const { return find(name).has_value(); }
  [[nodiscard]] std::size_t count(std::string_view name) const;
  /// True if a comma-separated list of this name holds `token` (without case), e.g. Connection: keep-alive,
  /// Upgrade.
  [[nodiscard]] bool has_token(std::string_view name, std::string_view token) const;

  [[nodiscard]] std::size_t size() const { return places_.size(); }
  [[nodiscard]] bool empty() const { return places_.empty(); }
  [[nodiscard]] Field operator[](std::size_t index) const;
  /// All fields as they stand on the wire, each with its CRLF.
  [[nodiscard]] std::string_view wire() const { return wire_; }

  class Iterator {
   public:
    Iterator(const HeaderList* list, std::size_t index) : list_(list), index_(index) {}
    Field operator*() const { return (*list_)[index_]; }
    Iterator& operator++() {
      ++index_;
      return *this;
    }
    bool operator==(const Iterator&) const = default;

   private:
    const HeaderList* list_;
    std::size_t index_;
  };
  [[nodiscard]] Iterator begin() const { return {this, 0}; }
  [[nodiscard]] Iterator end() const { return {this, size()}; }

 private:
  struct Place {
    std::uint32_t name, name_bytes, value_bytes;  // the value starts at name + name_bytes + 2
  };
  std::string wire_;
  std::vector<Place> places_;
};

/// ASCII only.
[[nodiscard]] bool equal_without_case(std::string_view a, std::string_view b);

}  // namespace atelier::net
