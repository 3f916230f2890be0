// SPDX-License-Identifier: MIT
#include "comfy/history.hpp"

#include <fmt/format.h>

#include "comfy/number_text.hpp"
#include "comfy/python_text.hpp"

namespace atelier::comfy {

namespace {

std::string join(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const auto& text : texts) {
    if (out.size() > 1) out += ',';
    out += text;
  }
  return out += ']';
}

}  // namespace

std::string QueueNumber::print() const { return from_client ? python_float_repr(value) : number_text(value); }

std::string prompt_accepted(std::string_view prompt_id, QueueNumber number,
                            std::string_view node_errors_json) {
  return fmt::format(R"({{"prompt_id":{},"number":{},"node_errors":{}}})", quote_json(prompt_id),
                     number.print(), node_errors_json.empty() ? "{}" : node_errors_json);
}

std::string prompt_info(std::uint64_t queue_remaining) {
  return fmt::format(R"({{"exec_info":{{"queue_remaining":{}}}}})", queue_remaining);
}

std::string queue_tuple(QueueNumber number, std::string_view prompt_id, std::string_view prompt_json,
                        std::string_view extra_data_json, const std::vector<std::string>& outputs) {
  std::string out = "[";
  out += number.print();
  const std::string id = quote_json(prompt_id);
  for (const std::string_view part : {std::string_view(id), prompt_json, extra_data_json}) {
    out += ',';
    out += part;
  }
  out += ',';
  out += quote_json_list(outputs);
  return out += ']';
}

std::string queue_answer(const std::vector<std::string>& running, const std::vector<std::string>& pending) {
  return fmt::format(R"({{"queue_running":{},"queue_pending":{}}})", join(running), join(pending));
}

std::string history_status(bool success, const std::vector<HistoryMessage>& messages) {
  std::vector<std::string> pairs;
  pairs.reserve(messages.size());
  for (const auto& one : messages)
    pairs.push_back(fmt::format("[{},{}]", quote_json(one.type), one.data_json));
  return fmt::format(R"({{"status_str":"{}","completed":{},"messages":{}}})", success ? "success" : "error",
                     success, join(pairs));
}

std::string history_meta(std::string_view node, std::string_view display_node,
                         std::optional<std::string_view> parent_node, std::string_view real_node) {
  return fmt::format(R"({{"node_id":{},"display_node":{},"parent_node":{},"real_node_id":{}}})",
                     quote_json(node), quote_json(display_node),
                     parent_node ? quote_json(*parent_node) : "null", quote_json(real_node));
}

std::string history_item(std::string_view tuple_json, std::string_view outputs_json,
                         std::string_view status_json, std::string_view meta_json) {
  std::string out;
  out.reserve(tuple_json.size() + outputs_json.size() + status_json.size() + meta_json.size() + 48);
  out += R"({"prompt":)";
  out += tuple_json;
  out += R"(,"outputs":)";
  out += outputs_json.empty() ? "{}" : outputs_json;
  out += R"(,"status":)";
  out += status_json;
  out += R"(,"meta":)";
  out += meta_json.empty() ? "{}" : meta_json;
  return out += '}';
}

std::string json_map(const std::vector<std::pair<std::string, std::string>>& members) {
  std::string out = "{";
  for (const auto& [key, text] : members) {
    if (out.size() > 1) out += ',';
    out += quote_json(key);
    out += ':';
    out += text;
  }
  return out += '}';
}

}  // namespace atelier::comfy
