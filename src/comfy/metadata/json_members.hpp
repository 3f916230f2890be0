// SPDX-License-Identifier: MIT
#pragma once
// JSON text taken apart and laid out anew as text, so that every value keeps the very bytes that Python wrote
// (also NaN, which is no JSON).

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace atelier::comfy {

/// A member of an object, as views into its text.
struct JsonMember {
  std::string_view key;    // without quotes, escapes as they stand
  std::string_view value;  // without the space around it
};

/// Calls `use` with each member of the object that `text` is (with space around it), in their order. False if
/// the text is no object or is broken between its members. What stands inside of a value is not checked.
bool each_json_member(std::string_view text, const std::function<void(const JsonMember&)>& use);
/// The value of the last member of this name, or nothing.
[[nodiscard]] std::optional<std::string_view> json_member(std::string_view text, std::string_view key);

/// Text of json.dumps(value) as json.dumps(value, indent=2) has it `depth` levels deep, and back.
[[nodiscard]] std::string indent_json(std::string_view dumped, std::size_t depth);
[[nodiscard]] std::string join_json(std::string_view indented);

}  // namespace atelier::comfy
