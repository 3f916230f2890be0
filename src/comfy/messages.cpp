// SPDX-License-Identifier: MIT
#include "comfy/messages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "comfy/number_text.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

std::string optional_text(const std::optional<std::string>& text) {
  return text ? quote_json(*text) : "null";
}

std::optional<std::string> text_member(const json::object& object, json::string_view name) {
  const auto* value = object.if_contains(name);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return std::string(value->get_string().data(), value->get_string().size());
}

}  // namespace

std::string message(std::string_view type, std::string_view data_json) {
  return fmt::format(R"({{"type":{},"data":{}}})", quote_json(type), data_json);
}

std::string status_message(std::uint64_t queue_remaining, std::optional<std::string_view> sid) {
  const std::string tail = sid ? fmt::format(R"(,"sid":{})", quote_json(*sid)) : std::string();
  return message("status", fmt::format(R"({{"status":{{"exec_info":{{"queue_remaining":{}}}}}{}}})",
                                       queue_remaining, tail));
}

std::string feature_flags_message(std::string_view flags_json) {
  return message("feature_flags", flags_json);
}

std::string execution_start_message(std::string_view prompt_id, std::int64_t timestamp) {
  return message("execution_start",
                 fmt::format(R"({{"prompt_id":{},"timestamp":{}}})", quote_json(prompt_id), timestamp));
}

std::string execution_cached_message(std::string_view prompt_id, const std::vector<std::string>& nodes,
                                     std::int64_t timestamp) {
  return message("execution_cached", fmt::format(R"({{"nodes":{},"prompt_id":{},"timestamp":{}}})",
                                                 quote_json_list(nodes), quote_json(prompt_id), timestamp));
}

std::string executing_message(std::string_view prompt_id, std::string_view node,
                              std::string_view display_node) {
  return message("executing", fmt::format(R"({{"node":{},"display_node":{},"prompt_id":{}}})",
                                          quote_json(node), quote_json(display_node), quote_json(prompt_id)));
}

std::string executing_end_message(std::string_view prompt_id) {
  return message("executing", fmt::format(R"({{"node":null,"prompt_id":{}}})", quote_json(prompt_id)));
}

std::string executing_on_connect_message(std::string_view node) {
  return message("executing", fmt::format(R"({{"node":{}}})", quote_json(node)));
}

std::string progress_message(std::string_view prompt_id, std::string_view node, double value, double max) {
  return message("progress",
                 fmt::format(R"({{"value":{},"max":{},"prompt_id":{},"node":{}}})", number_text(value),
                             number_text(max), quote_json(prompt_id), quote_json(node)));
}

std::string executed_message(std::string_view prompt_id, std::string_view node, std::string_view display_node,
                             std::string_view output_json) {
  return message("executed",
                 fmt::format(R"({{"node":{},"display_node":{},"output":{},"prompt_id":{}}})",
                             quote_json(node), quote_json(display_node), output_json, quote_json(prompt_id)));
}

std::string execution_success_message(std::string_view prompt_id, std::int64_t timestamp) {
  return message("execution_success",
                 fmt::format(R"({{"prompt_id":{},"timestamp":{}}})", quote_json(prompt_id), timestamp));
}

std::string progress_state_message(std::string_view prompt_id, const std::vector<NodeProgress>& nodes) {
  const std::string id = quote_json(prompt_id);
  std::string list;
  for (const auto& node : nodes) {
    if (!list.empty()) list += ',';
    const std::string name = quote_json(node.node_id);
    list += fmt::format(
        R"({}:{{"value":{},"max":{},"state":{},"node_id":{},"prompt_id":{},"display_node_id":{},"parent_node_id":{},"real_node_id":{}}})",
        name, number_text(node.value), number_text(node.max), quote_json(node.state), name, id,
        quote_json(node.display_node_id), optional_text(node.parent_node_id), quote_json(node.real_node_id));
  }
  return message("progress_state", fmt::format(R"({{"prompt_id":{},"nodes":{{{}}}}})", id, list));
}

std::string execution_error_data(std::string_view prompt_id, const ExecutionError& error,
                                 std::int64_t timestamp) {
  return fmt::format(
      R"({{"prompt_id":{},"node_id":{},"node_type":{},"executed":{},"exception_message":{},"exception_type":{},)"
      R"("traceback":{},"current_inputs":{},"current_outputs":{},"timestamp":{}}})",
      quote_json(prompt_id), quote_json(error.node_id), quote_json(error.node_type),
      quote_json_list(error.executed), quote_json(error.exception_message), quote_json(error.exception_type),
      quote_json_list(error.traceback), error.current_inputs.is_null() ? "{}" : error.current_inputs.print(),
      quote_json_list(error.current_outputs), timestamp);
}

std::string execution_error_message(std::string_view prompt_id, const ExecutionError& error,
                                    std::int64_t timestamp) {
  return message("execution_error", execution_error_data(prompt_id, error, timestamp));
}

std::string execution_interrupted_data(std::string_view prompt_id, std::string_view node_id,
                                       std::string_view node_type, const std::vector<std::string>& executed,
                                       std::int64_t timestamp) {
  return fmt::format(R"({{"prompt_id":{},"node_id":{},"node_type":{},"executed":{},"timestamp":{}}})",
                     quote_json(prompt_id), quote_json(node_id), quote_json(node_type),
                     quote_json_list(executed), timestamp);
}

std::string execution_interrupted_message(std::string_view prompt_id, std::string_view node_id,
                                          std::string_view node_type,
                                          const std::vector<std::string>& executed, std::int64_t timestamp) {
  return message("execution_interrupted",
                 execution_interrupted_data(prompt_id, node_id, node_type, executed, timestamp));
}

bool Event::ends_prompt() const {
  if (type != "executing") return false;
  const auto* value = std::as_const(data).object().if_contains("node");
  return value != nullptr && value->is_null();
}

bool is_stock_event(std::string_view type) {
  constexpr std::array kWhole{std::string_view("status"),
                              std::string_view("feature_flags"),
                              std::string_view("logs"),
                              std::string_view("executing"),
                              std::string_view("executed"),
                              std::string_view("progress"),
                              std::string_view("progress_state"),
                              std::string_view("progress_text"),
                              std::string_view("notification"),
                              std::string_view("asset_download"),
                              std::string_view("asset_export"),
                              std::string_view("agent_status"),
                              std::string_view("promptQueued"),
                              std::string_view("graphChanged"),
                              std::string_view("autoQueueGraphChanged"),
                              std::string_view("reconnecting"),
                              std::string_view("reconnected")};
  constexpr std::array kBeginnings{std::string_view("execution_"), std::string_view("assets."),
                                   std::string_view("b_preview"),  std::string_view("cm-"),
                                   std::string_view("manager-"),   std::string_view("atelier.")};
  return std::ranges::find(kWhole, type) != kWhole.end() ||
         std::ranges::any_of(kBeginnings, [&](std::string_view begin) { return type.starts_with(begin); });
}

std::string Event::print() const { return message(type, data.print()); }

void Event::set_prompt_id(std::string_view id) {
  if (!data.is_object()) return;
  const json::string_view text(id.data(), id.size());
  auto& object = data.object();
  if (object.contains("prompt_id")) object["prompt_id"] = text;
  if (prompt_id) prompt_id = std::string(id);
  auto* nodes = type == "progress_state" ? object.if_contains("nodes") : nullptr;
  if (nodes == nullptr || !nodes->is_object()) return;
  for (auto& member : nodes->get_object())
    if (auto* state = member.value().if_object(); state != nullptr && state->contains("prompt_id"))
      (*state)["prompt_id"] = text;
}

Result<Event> parse_event(std::string_view text, const JsonLimits& limits) {
  ATELIER_TRY(Json parsed, Json::parse(text, limits));
  auto* object = parsed.value().if_object();
  auto type = object != nullptr ? text_member(*object, "type") : std::nullopt;
  if (!type) return fail(Errc::bad_request, "a ComfyUI message without a type");
  Event event;
  event.type = std::move(*type);
  if (auto* data = object->if_contains("data")) event.data = Json(std::move(*data));
  const auto& members = std::as_const(event.data).object();
  event.prompt_id = text_member(members, "prompt_id");
  event.node = text_member(members, "node");
  if (!event.node) event.node = text_member(members, "node_id");
  return event;
}

}  // namespace atelier::comfy
