// SPDX-License-Identifier: MIT
#include "gateway/participant/attachments.hpp"

#include <boost/json.hpp>

#include "comfy/json.hpp"
#include "workshop/read_attachment.hpp"

namespace atelier::gateway {
namespace json = boost::json;
namespace {

constexpr comfy::JsonLimits kOwnJson{.bytes_max = 64u << 20,
                                     .depth_max = 80};  // the prompt's 64 and some of our own

std::string part(const json::object& object, std::string_view key, std::string_view fallback) {
  const json::value* value = object.if_contains(key);
  return value == nullptr || value->is_null() ? std::string(fallback) : comfy::print_json(*value);
}

}  // namespace

Result<AcceptedParts> parse_accepted(std::string_view bytes) {
  ATELIER_TRY(const auto form, comfy::Json::parse(bytes, kOwnJson));
  const json::object& object = form.object();
  AcceptedParts parts;
  parts.prompt = part(object, "prompt", "{}");
  parts.extra_data = part(object, "extra_data", "{}");
  parts.node_errors = part(object, "node_errors", "{}");
  if (const json::value* outputs = object.if_contains("outputs"); outputs != nullptr && outputs->is_array()) {
    for (const json::value& output : outputs->get_array()) {
      if (output.is_string()) parts.outputs.emplace_back(std::string_view(output.get_string()));
    }
  }
  if (const json::value* own = object.if_contains("client_number"))
    parts.client_number = own->is_bool() && own->get_bool();
  return parts;
}

Result<ReportParts> parse_report(std::string_view bytes) {
  ATELIER_TRY(const auto report, comfy::Json::parse(bytes, kOwnJson));
  const json::object& object = report.object();
  ReportParts parts;
  parts.event = part(object, "event", "");
  if (const json::value* event = object.if_contains("event"); event != nullptr && event->is_object()) {
    if (const json::value* type = event->get_object().if_contains("type");
        type != nullptr && type->is_string()) {
      parts.event_type = std::string_view(type->get_string());
    }
    parts.event_data = part(event->get_object(), "data", "");
  }
  parts.status = part(object, "status", "");
  parts.meta = part(object, "meta", "");
  if (const json::value* meta = object.if_contains("meta"); meta != nullptr && meta->is_object()) {
    for (const auto& node : meta->get_object()) parts.nodes.emplace_back(std::string_view(node.key()));
  }
  return parts;
}

awaitable<Result<std::shared_ptr<const std::string>>> Attachments::raw(core::Attachment attachment) {
  if (!attachment) co_return fail(Errc::not_found, "there is no such attachment");
  if (auto known = raw_.find(attachment.id)) co_return known;
  ATELIER_CO_TRY(auto bytes, co_await workshop::read_attachment(runtime_, workshop_, attachment));
  raw_.put(attachment.id, bytes, bytes->size() + 64);
  co_return bytes;
}

template <class Parts>
awaitable<Result<std::shared_ptr<const Parts>>> Attachments::parsed(
    ByteLru<Key128, Parts>& cache, core::Attachment attachment, Result<Parts> (*parse)(std::string_view)) {
  if (!attachment) co_return fail(Errc::not_found, "there is no such attachment");
  if (auto known = cache.find(attachment.id)) co_return known;
  ATELIER_CO_TRY(const auto bytes, co_await workshop::read_attachment(runtime_, workshop_, attachment));
  auto work = [bytes, parse] { return parse(*bytes); };
  Result<Parts> parts = co_await workshop::run_by_size(runtime_, bytes->size(), std::move(work));
  if (!parts) co_return std::unexpected(parts.error());
  auto shared = std::make_shared<const Parts>(std::move(*parts));
  cache.put(attachment.id, shared, bytes->size() + 256);
  co_return std::shared_ptr<const Parts>(shared);
}

awaitable<Result<std::shared_ptr<const AcceptedParts>>> Attachments::accepted(core::Attachment attachment) {
  return parsed<AcceptedParts>(accepted_, attachment, &parse_accepted);
}
awaitable<Result<std::shared_ptr<const ReportParts>>> Attachments::report(core::Attachment attachment) {
  return parsed<ReportParts>(reports_, attachment, &parse_report);
}

}  // namespace atelier::gateway
