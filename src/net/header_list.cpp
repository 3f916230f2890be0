// SPDX-License-Identifier: MIT
#include "net/header_list.hpp"

#include <algorithm>

namespace atelier::net {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }
bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

bool equal_without_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

HeaderList::HeaderList(std::initializer_list<Field> fields) {
  for (const Field& field : fields) add(field.name, field.value);
}

void HeaderList::add(std::string_view name, std::string_view value) {
  const std::size_t start = wire_.size();
  wire_.append(name).append(": ").append(value).append("\r\n");
  for (std::size_t i = start; i + 2 < wire_.size(); ++i) {
    if (wire_[i] == '\r' || wire_[i] == '\n' || wire_[i] == '\0') wire_[i] = ' ';
  }
  places_.push_back({static_cast<std::uint32_t>(start), static_cast<std::uint32_t>(name.size()),
                     static_cast<std::uint32_t>(value.size())});
}

void HeaderList::reserve(std::size_t bytes, std::size_t fields) {
  wire_.reserve(bytes);
  places_.reserve(fields);
}

void HeaderList::set(std::string_view name, std::string_view value) {
  const std::string copy(value);  // it may point into this list
  remove(name);
  add(name, copy);
}

void HeaderList::remove(std::string_view name) {
  if (!contains(name)) return;
  HeaderList kept;
  for (const Field field : *this) {
    if (!equal_without_case(field.name, name)) kept.add(field.name, field.value);
  }
  *this = std::move(kept);
}

void HeaderList::clear() {
  wire_.clear();
  places_.clear();
}

HeaderList::Field HeaderList::operator[](std::size_t index) const {
  const Place& place = places_[index];
  const std::string_view all = wire_;
  return {all.substr(place.name, place.name_bytes),
          all.substr(place.name + place.name_bytes + 2, place.value_bytes)};
}

std::optional<std::string_view> HeaderList::find(std::string_view name) const {
  for (const Field field : *this) {
    if (equal_without_case(field.name, name)) return field.value;
  }
  return std::nullopt;
}

std::string_view HeaderList::get(std::string_view name) const {
  return find(name).value_or(std::string_view());
}

std::size_t HeaderList::count(std::string_view name) const {
  std::size_t found = 0;
  for (const Field field : *this) found += equal_without_case(field.name, name) ? 1 : 0;
  return found;
}

bool HeaderList::has_token(std::string_view name, std::string_view token) const {
  for (const Field field : *this) {
    if (!equal_without_case(field.name, name)) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      if (equal_without_case(trimmed(rest.substr(0, comma)), token)) return true;
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  return false;
}

}  // namespace atelier::net
