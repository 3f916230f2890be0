// SPDX-License-Identifier: MIT
#include "comfy/metadata/json_members.hpp"

namespace atelier::comfy {
namespace {

constexpr auto kNone = std::string_view::npos;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::size_t skip_space(std::string_view text, std::size_t at) {
  while (at < text.size() && is_space(text[at])) ++at;
  return at;
}

/// Behind the string that begins at `at`, or kNone.
std::size_t skip_string(std::string_view text, std::size_t at) {
  if (at >= text.size() || text[at] != '"') return kNone;
  for (++at; at < text.size(); ++at) {
    if (text[at] == '\\')
      ++at;
    else if (text[at] == '"')
      return at + 1;
  }
  return kNone;
}

/// Behind the value that begins at `at`, or kNone.
std::size_t skip_value(std::string_view text, std::size_t at) {
  const std::size_t begin = at;
  std::size_t depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = skip_string(text, at);
      if (at == kNone || depth == 0) return at;
      continue;
    }
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') {
      if (depth == 0) return at == begin ? kNone : at;
      if (--depth == 0) return at + 1;
    }
    if (depth == 0 && (c == ',' || is_space(c))) return at == begin ? kNone : at;
    ++at;
  }
  return kNone;
}

void new_line(std::size_t depth, std::string& out) {
  out += '\n';
  out.append(2 * depth, ' ');
}

}  // namespace

bool each_json_member(std::string_view text, const std::function<void(const JsonMember&)>& use) {
  std::size_t at = skip_space(text, 0);
  if (at >= text.size() || text[at] != '{') return false;
  at = skip_space(text, at + 1);
  if (at < text.size() && text[at] == '}') return true;
  while (true) {
    const std::size_t key = at;
    at = skip_string(text, at);
    if (at == kNone) return false;
    JsonMember member{text.substr(key + 1, at - key - 2), {}};
    at = skip_space(text, at);
    if (at >= text.size() || text[at] != ':') return false;
    const std::size_t value = skip_space(text, at + 1);
    at = skip_value(text, value);
    if (at == kNone) return false;
    member.value = text.substr(value, at - value);
    use(member);
    at = skip_space(text, at);
    if (at >= text.size()) return false;
    if (text[at] == '}') return true;
    if (text[at] != ',') return false;
    at = skip_space(text, at + 1);
  }
}

std::optional<std::string_view> json_member(std::string_view text, std::string_view key) {
  std::optional<std::string_view> value;
  const bool whole = each_json_member(text, [&](const JsonMember& member) {
    if (member.key == key) value = member.value;
  });
  return whole ? value : std::nullopt;
}

std::string indent_json(std::string_view dumped, std::size_t depth) {
  std::string out;
  out.reserve(2 * dumped.size());
  for (std::size_t at = 0; at < dumped.size();) {
    const char c = dumped[at];
    if (c == '"') {
      const std::size_t end = skip_string(dumped, at);
      out += dumped.substr(at, end - at);
      at = end == kNone ? dumped.size() : end;
      continue;
    }
    ++at;
    if (c == '{' || c == '[') {
      out += c;
      if (at < dumped.size() && (dumped[at] == '}' || dumped[at] == ']')) {
        out += dumped[at++];
      } else {
        new_line(++depth, out);
      }
    } else if (c == '}' || c == ']') {
      if (depth > 0) --depth;
      new_line(depth, out);
      out += c;
    } else if (c == ',') {
      out += c;
      new_line(depth, out);
      at = skip_space(dumped, at);
    } else {
      out += c;
    }
  }
  return out;
}

std::string join_json(std::string_view indented) {
  std::string out;
  out.reserve(indented.size());
  for (std::size_t at = 0; at < indented.size();) {
    const char c = indented[at];
    if (c == '"') {
      const std::size_t end = skip_string(indented, at);
      out += indented.substr(at, end - at);
      at = end == kNone ? indented.size() : end;
    } else if (c == ',') {
      out += ", ";
      at = skip_space(indented, at + 1);
    } else if (c == '\n' || c == '\r') {
      at = skip_space(indented, at);
    } else {
      out += c;
      ++at;
    }
  }
  return out;
}

}  // namespace atelier::comfy
