// SPDX-License-Identifier: MIT
#include "comfy/prompt.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <utility>

#include "comfy/coerce.hpp"
#include "comfy/python_text.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

// ComfyUI 0.21.0, execution.py: what is taken out of extra_data before it is stored or shown.
constexpr std::string_view kSecretKeys[] = {"auth_token_comfy_org", "api_key_comfy_org"};

std::string_view view(json::string_view text) { return {text.data(), text.size()}; }

PromptError error(Errc code, std::string type, std::string message, std::string details) {
  return {code,
          std::move(type),
          std::move(message),
          std::move(details),
          Json(json::object()),
          Json(json::object())};
}

std::unexpected<PromptError> refuse(std::string type, std::string message, std::string details) {
  return std::unexpected(error(Errc::bad_prompt, std::move(type), std::move(message), std::move(details)));
}

using Outcome = std::expected<void, PromptError>;

Outcome read_number(const json::object& body, PromptRequest& request) {
  if (const auto* front = body.if_contains("front")) request.front = python_truth(*front);
  const auto* number = body.if_contains("number");
  if (number == nullptr) return {};
  const auto value = python_float(*number);
  if (!value) return refuse("invalid_number", "The number of a prompt must be a number", value.error().text);
  request.number = value->as_double();
  return {};
}

Outcome check_graph(const json::object& body, const PromptLimits& limits) {
  const auto* prompt = body.if_contains("prompt");
  if (prompt == nullptr) return refuse("no_prompt", "No prompt provided", "No prompt provided");
  const auto* graph = prompt->if_object();
  if (graph == nullptr)
    return refuse("invalid_prompt", "The prompt is not an object",
                  fmt::format("got {}", python_type_name(*prompt)));
  if (graph->size() > limits.nodes_max)
    return std::unexpected(error(Errc::too_large, "prompt_too_large", "The prompt has too many nodes",
                                 fmt::format("{} nodes, the limit is {}", graph->size(), limits.nodes_max)));
  for (const auto& node : *graph)
    if (!node.value().is_object())
      return refuse("invalid_prompt", fmt::format("Node '{}' is not an object", view(node.key())),
                    fmt::format("got {}", python_type_name(node.value())));
  return {};
}

Outcome read_prompt_id(const json::object& body, const PromptLimits& limits, PromptRequest& request) {
  const auto* id = body.if_contains("prompt_id");
  if (id == nullptr || id->is_null()) return {};
  std::string text = python_str(*id);
  if (text.empty() || text.size() > limits.prompt_id_bytes_max)
    return refuse("invalid_prompt_id", "The prompt_id is not usable",
                  fmt::format("{} bytes, must be 1 to {}", text.size(), limits.prompt_id_bytes_max));
  request.prompt_id = std::move(text);
  return {};
}

Outcome read_extra_data(const Json& parsed, json::object& body, PromptRequest& request) {
  request.extra_data = Json(json::object());
  request.secrets = Json(json::object());
  if (auto* extra = body.if_contains("extra_data"); extra != nullptr && !extra->is_null()) {
    if (!extra->is_object())
      return refuse("invalid_extra_data", "extra_data is not an object",
                    fmt::format("got {}", python_type_name(*extra)));
    request.extra_data = parsed.part(std::move(*extra));
  }
  auto& data = request.extra_data.object();
  if (auto* client = body.if_contains("client_id")) data["client_id"] = *client;
  if (const auto* client = data.if_contains("client_id"); client != nullptr && client->is_string())
    request.client_id = std::string(view(client->get_string()));
  for (const auto key : kSecretKeys) {
    const json::string_view name(key.data(), key.size());
    if (auto* secret = data.if_contains(name)) {
      request.secrets.object()[name] = std::move(*secret);
      data.erase(name);
    }
  }
  return {};
}

Outcome read_targets(const json::object& body, PromptRequest& request) {
  const auto* targets = body.if_contains("partial_execution_targets");
  if (targets == nullptr || targets->is_null()) return {};
  const auto* list = targets->if_array();
  if (list == nullptr)
    return refuse("invalid_partial_execution_targets", "partial_execution_targets is not a list",
                  fmt::format("got {}", python_type_name(*targets)));
  auto& names = request.partial_execution_targets.emplace();
  for (const auto& item : *list)
    if (item.is_string())
      names.emplace_back(view(item.get_string()));  // node ids are strings; nothing else is equal
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return {};
}

/// ComfyUI takes what Python does: NaN, and the half of an emoji that a browser sends.
bool has_more_than_json(std::string_view body) {
  return std::ranges::any_of(std::array<std::string_view, 4>{"NaN", "Infinity", "\\ud", "\\uD"},
                             [body](std::string_view each) { return body.contains(each); });
}

}  // namespace

std::string PromptError::body() const {
  std::string out = R"({"error":{"type":)";
  out += quote_json(type);
  out += R"(,"message":)";
  out += quote_json(message);
  out += R"(,"details":)";
  out += quote_json(details);
  out += R"(,"extra_info":)";
  out += extra_info.is_null() ? "{}" : extra_info.print();
  out += R"(},"node_errors":)";
  out += node_errors.is_null() ? "{}" : node_errors.print();
  return out += '}';
}

std::optional<std::string> PromptRequest::workflow_id() const {
  const json::value* at = &extra_data.value();
  for (const char* key : {"extra_pnginfo", "workflow", "id"}) {
    const auto* object = at->if_object();
    at = object != nullptr ? object->if_contains(key) : nullptr;
    if (at == nullptr) return std::nullopt;
  }
  if (!at->is_string()) return std::nullopt;
  return std::string(view(at->get_string()));
}

void PromptRequest::set_create_time(std::int64_t unix_ms) { extra_data.object()["create_time"] = unix_ms; }

std::expected<PromptRequest, PromptError> parse_prompt_request(std::string_view body,
                                                               const PromptLimits& limits) {
  const JsonLimits json_limits{.bytes_max = limits.bytes_max, .depth_max = limits.depth_max, .arena = true};
  auto parsed = Json::parse(body, json_limits);
  if (!parsed && parsed.error().code == Errc::bad_request && has_more_than_json(body)) {
    auto strict = Json::parse(strict_json(body), json_limits);
    if (strict || strict.error().code == Errc::too_large) parsed = std::move(strict);
  }
  if (!parsed) {
    if (parsed.error().code == Errc::too_large)
      return std::unexpected(
          error(Errc::too_large, "prompt_too_large", "The prompt is too large", parsed.error().what));
    return refuse("invalid_json", "The request is not valid JSON", parsed.error().what);
  }
  auto* object = parsed->value().if_object();
  if (object == nullptr)
    return refuse("invalid_request", "The request is not a JSON object",
                  fmt::format("got {}", python_type_name(parsed->value())));
  PromptRequest request;
  Outcome outcome = read_number(*object, request);
  if (outcome) outcome = check_graph(*object, limits);
  if (outcome) outcome = read_prompt_id(*object, limits, request);
  if (outcome) outcome = read_extra_data(*parsed, *object, request);
  if (outcome) outcome = read_targets(*object, request);
  if (!outcome) return std::unexpected(std::move(outcome.error()));
  request.prompt = parsed->part(std::move((*object)["prompt"]));
  return request;
}

}  // namespace atelier::comfy
