// SPDX-License-Identifier: MIT
#include "agent/json_text.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "comfy/json.hpp"

namespace atelier::agent {
namespace json = boost::json;
namespace {

void cut_strings(json::value& value, std::size_t most) {
  if (value.is_string()) {
    json::string& text = value.get_string();
    if (text.size() <= most + 40) return;
    std::size_t keep = most;
    while (keep > 0 && (static_cast<unsigned char>(text[keep]) & 0xc0) == 0x80)
      --keep;  // whole characters only
    const std::size_t left_out = text.size() - keep;
    text.resize(keep);
    text += fmt::format("... ({} bytes left out)", left_out);
  } else if (value.is_array()) {
    for (json::value& item : value.get_array()) cut_strings(item, most);
  } else if (value.is_object()) {
    for (auto& member : value.get_object()) cut_strings(member.value(), most);
  }
}

std::string text_of(const json::object& object, std::string_view key) {
  const json::value* found = object.if_contains(key);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

}  // namespace

std::optional<std::string> shorten_json(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return std::string(text);
  comfy::JsonLimits limits;
  limits.bytes_max = 64u << 20;
  auto parsed = comfy::Json::parse(text, limits);
  if (!parsed) return std::nullopt;
  for (std::size_t most :
       {std::size_t{1 << 20}, std::size_t{256 << 10}, std::size_t{64 << 10}, std::size_t{16 << 10},
        std::size_t{4 << 10}, std::size_t{1 << 10}, std::size_t{256}}) {
    cut_strings(parsed->value(), most);
    std::string shorter = parsed->print();
    if (shorter.size() <= bytes_max) return shorter;
  }
  return std::nullopt;
}

std::optional<Refusal> read_refusal_in_part(std::string_view body) {
  Refusal refusal = read_refusal(body);
  if (refusal.node.empty()) return std::nullopt;
  return refusal;
}

Refusal read_refusal(std::string_view body) {
  Refusal refusal;
  refusal.type = "prompt_refused";
  refusal.sentence = "ComfyUI did not take the prompt";
  auto parsed = comfy::Json::parse(body);
  if (!parsed || !parsed->is_object()) return refusal;
  const json::object& root = std::as_const(*parsed).object();
  if (const json::value* error = root.if_contains("error"); error != nullptr && error->is_object()) {
    refusal.type = text_of(error->get_object(), "type");
    refusal.sentence = text_of(error->get_object(), "message");
    if (auto details = text_of(error->get_object(), "details"); !details.empty())
      refusal.sentence += ": " + details;
  }
  const json::value* nodes = root.if_contains("node_errors");
  if (nodes == nullptr || !nodes->is_object() || nodes->get_object().empty()) return refusal;
  const auto& first = *nodes->get_object().begin();
  refusal.node = first.key();
  if (!first.value().is_object()) return refusal;
  refusal.node_type = text_of(first.value().get_object(), "class_type");
  const json::value* errors = first.value().get_object().if_contains("errors");
  if (errors == nullptr || !errors->is_array() || errors->get_array().empty()) return refusal;
  const json::value& why = errors->get_array()[0];
  if (!why.is_object()) return refusal;
  refusal.type = text_of(why.get_object(), "type");
  refusal.sentence = text_of(why.get_object(), "message");
  if (auto details = text_of(why.get_object(), "details"); !details.empty())
    refusal.sentence += ": " + details;
  return refusal;
}

}  // namespace atelier::agent
