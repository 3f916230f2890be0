// SPDX-License-Identifier: MIT
#pragma once
// The members of a plain struct by name and order, written once: the journal's codec, `atelier journal dump`
// and the checkpoint use them. A record's fields are only ever added at the end, and then its kVersion is
// raised by one: an older record leaves the new members at their defaults, a newer one is refused.

#include <string_view>
#include <tuple>

namespace atelier::core {

template <class Record, class Member>
struct Field {
  std::string_view name;
  Member Record::* member;
};
template <class Record, class Member>
Field(const char*, Member Record::*) -> Field<Record, Member>;

}  // namespace atelier::core

#define ATELIER_FIELDS_PARENS_ ()
#define ATELIER_FIELDS_EXPAND_(...) \
  ATELIER_FIELDS_EXPAND3_(          \
      ATELIER_FIELDS_EXPAND3_(ATELIER_FIELDS_EXPAND3_(ATELIER_FIELDS_EXPAND3_(__VA_ARGS__))))
#define ATELIER_FIELDS_EXPAND3_(...) \
  ATELIER_FIELDS_EXPAND2_(           \
      ATELIER_FIELDS_EXPAND2_(ATELIER_FIELDS_EXPAND2_(ATELIER_FIELDS_EXPAND2_(__VA_ARGS__))))
#define ATELIER_FIELDS_EXPAND2_(...) \
  ATELIER_FIELDS_EXPAND1_(           \
      ATELIER_FIELDS_EXPAND1_(ATELIER_FIELDS_EXPAND1_(ATELIER_FIELDS_EXPAND1_(__VA_ARGS__))))
#define ATELIER_FIELDS_EXPAND1_(...) __VA_ARGS__
#define ATELIER_FIELDS_EACH_(member, ...) \
  ::atelier::core::Field{                 \
      #member, &Self::member} __VA_OPT__(, ATELIER_FIELDS_AGAIN_ ATELIER_FIELDS_PARENS_(__VA_ARGS__))
#define ATELIER_FIELDS_AGAIN_() ATELIER_FIELDS_EACH_

/// Inside a struct: ATELIER_FIELDS(Started, job, epoch) declares fields() and equality.
#define ATELIER_FIELDS(record, ...)                                                           \
  static constexpr auto fields() {                                                            \
    using Self [[maybe_unused]] = record;                                                     \
    return std::tuple{__VA_OPT__(ATELIER_FIELDS_EXPAND_(ATELIER_FIELDS_EACH_(__VA_ARGS__)))}; \
  }                                                                                           \
  bool operator==(const record&) const = default
