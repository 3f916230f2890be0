// SPDX-License-Identifier: MIT
#pragma once
// The members of a request's JSON body: every one that is asked for is known, all others are refused; all
// mistakes are told together, with their pointers.

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "comfy/json.hpp"
#include "gateway/instructor/problem.hpp"

namespace atelier::gateway {

class BodyFields {
 public:
  /// An empty text is an empty object. Errors: 400 for what is no JSON object.
  [[nodiscard]] static std::expected<BodyFields, Problem> parse(std::string_view text);

  // Nothing if the member is absent; also, with an error noted, if it is not what it should be.
  std::optional<bool> boolean(std::string_view name);
  std::optional<std::uint64_t> number(std::string_view name, std::uint64_t min, std::uint64_t max);
  std::optional<std::string> text(std::string_view name, std::size_t bytes_max);
  /// Sorted, each once.
  std::optional<std::vector<std::string>> words(std::string_view name, std::size_t count_max,
                                                std::size_t bytes_max);
  /// In the order given, each once; none if the member is absent or wrong.
  std::vector<JobId> jobs(std::string_view name, std::size_t count_max);
  /// One of core's words: the value whose name it is.
  template <class Enum>
  std::optional<Enum> choice(std::string_view name, std::initializer_list<Enum> values) {
    std::vector<std::string> names;
    for (const Enum value : values) names.emplace_back(to_string(value));
    const auto index = index_of(name, names);
    return index ? std::optional(*(values.begin() + *index)) : std::nullopt;
  }
  void complain(std::string_view name, std::string detail);
  /// Of a member that was asked for.
  void require(std::string_view name);

  /// After the last question. A problem 422 if anything is wrong.
  [[nodiscard]] std::optional<Problem> wrong();

 private:
  const boost::json::value* find(std::string_view name);
  std::optional<std::size_t> index_of(std::string_view name, const std::vector<std::string>& names);

  comfy::Json body_;
  std::vector<std::string> known_;
  std::vector<FieldError> errors_;
};

}  // namespace atelier::gateway
