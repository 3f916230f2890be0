// SPDX-License-Identifier: MIT
#include "comfy/output_name.hpp"

#include <fmt/format.h>

#include <cstdint>

#include "comfy/utf8.hpp"

namespace atelier::comfy {

namespace {

constexpr std::size_t kDigitsMin = 5, kDigitsMax = 9;

bool digit(char c) { return c >= '0' && c <= '9'; }

struct Run {
  std::size_t begin, end;
};

/// The last run of digits in [from, to), if it is a number of an output: 5-9 digits after a "_".
std::optional<Run> number_before(std::string_view name, std::size_t from, std::size_t to) {
  std::size_t end = to;
  while (end > from && !digit(name[end - 1])) --end;
  std::size_t begin = end;
  while (begin > from && digit(name[begin - 1])) --begin;
  const std::size_t length = end - begin;
  if (length < kDigitsMin || length > kDigitsMax || begin == 0 || name[begin - 1] != '_') return std::nullopt;
  return Run{begin, end};
}

}  // namespace

OutputName split_output_name(std::string_view name) {
  // What follows the number may hold digits only after the last dot. So the number is the last run of digits
  // of the whole name, where it then stands in the extension (the greedy stem wants that one first), or of
  // what is before it.
  const std::size_t dot = name.rfind('.');
  const std::size_t extension = dot == std::string_view::npos ? name.size() : dot;
  auto run = dot == std::string_view::npos ? std::nullopt : number_before(name, dot + 1, name.size());
  if (!run) run = number_before(name, 0, extension);
  if (!run) return {std::string(name), std::nullopt, {}};
  std::uint32_t number = 0;
  for (std::size_t at = run->begin; at < run->end; ++at)
    number = number * 10 + static_cast<std::uint32_t>(name[at] - '0');
  return {std::string(name.substr(0, run->begin - 1)), number, std::string(name.substr(run->end))};
}

std::string compose_output_name(std::string_view stem, std::uint32_t number, std::string_view rest) {
  return fmt::format("{}_{:05}{}", stem, number, rest);
}

std::string compose_output_name(const OutputName& name) {
  return name.number ? compose_output_name(name.stem, *name.number, name.rest) : name.stem + name.rest;
}

std::string copy_name(std::string_view name, std::uint32_t copy) {
  if (copy == 0) return std::string(name);
  const std::size_t slash = name.rfind('/');
  const std::size_t base = slash == std::string_view::npos ? 0 : slash + 1;
  std::size_t dot = name.rfind('.');
  // os.path.splitext: leading dots of the base name belong to the stem.
  if (dot == std::string_view::npos || dot < base || name.find_first_not_of('.', base) >= dot)
    dot = name.size();
  return fmt::format("{} ({}){}", name.substr(0, dot), copy, name.substr(dot));
}

std::string harmless_stem(std::string_view stem) {
  std::string out;
  for (std::size_t at = 0; at < stem.size();) {
    const auto code = read_utf8(stem, at);
    const bool control = code.value < 0x20 || (code.value >= 0x7F && code.value < 0xA0);
    if (control || code.value == '\\')
      out += '_';
    else
      out += stem.substr(at, code.bytes);
    at += code.bytes;
  }
  return out;
}

std::string harmless_name(std::string_view name) {
  std::string out = harmless_stem(name);
  const bool drive = out.size() == 2 && out[1] == ':' && (out[0] | 0x20) >= 'a' && (out[0] | 0x20) <= 'z';
  if (drive) out[1] = '_';
  for (std::size_t at = out.size(); at > 0 && (out[at - 1] == '.' || out[at - 1] == ' '); --at)
    out[at - 1] = '_';
  return out;
}

}  // namespace atelier::comfy
