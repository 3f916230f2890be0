// SPDX-License-Identifier: MIT
// /history (CI C5): summaries from memory, the rest from their attachments, item by item.
#include <fmt/format.h>

#include <boost/json.hpp>

#include <algorithm>
#include <charconv>
#include <map>

#include "comfy/json.hpp"
#include "comfy/messages.hpp"
#include "gateway/participant/face_impl.hpp"
#include "gateway/participant/history_parts.hpp"

namespace atelier::gateway {
namespace json = boost::json;
namespace {

/// A query number; nothing if it is absent.
Result<std::optional<std::int64_t>> number_of(const net::Request& request, std::string_view name) {
  const auto text = request.parameter(name);
  if (!text) return std::optional<std::int64_t>{};
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error == std::errc::result_out_of_range && end == text->data() + text->size()) {
    return std::optional(text->starts_with('-') ? INT64_MIN : INT64_MAX);
  }
  if (error != std::errc{} || end != text->data() + text->size()) {
    return fail(Errc::bad_request, fmt::format("{} is not a whole number.", name));
  }
  return std::optional(value);
}

}  // namespace

std::string ending_event_of(const core::Summary& summary) {
  if (summary.reason == core::EndReason::cancelled_waiting) return {};
  switch (summary.outcome) {
    case core::Outcome::succeeded:
      return comfy::execution_success_message(summary.prompt_id, summary.ended.ms);
    case core::Outcome::cancelled:
      return comfy::execution_interrupted_message(summary.prompt_id, "", "", {}, summary.ended.ms);
    case core::Outcome::failed:
      break;
  }
  comfy::ExecutionError error;
  error.exception_type = "Atelier";
  error.exception_message = summary.sentence.empty() ? "The job could not be run." : summary.sentence;
  return comfy::execution_error_message(summary.prompt_id, error, summary.ended.ms);
}

void put_in_order(std::vector<core::HistoryNode>& nodes, const std::vector<std::string>& order) {
  std::map<std::string_view, std::size_t> ran;
  for (const std::string& node : order) ran.emplace(node, ran.size());
  std::map<std::pair<std::size_t, std::size_t>, core::HistoryNode>
      sorted;  // by place of the run, then as it was
  for (core::HistoryNode& node : nodes) {
    const auto found = ran.find(node.node);
    const std::size_t place = found == ran.end() ? ran.size() : found->second;
    sorted.emplace(std::pair(place, sorted.size()), std::move(node));
  }
  nodes.clear();
  for (auto& [place, node] : sorted) nodes.push_back(std::move(node));
}

awaitable<ParticipantFace::Impl::HistoryParts> ParticipantFace::Impl::history_parts(core::Summary summary) {
  HistoryParts parts;
  if (const auto accepted = co_await attachments.accepted(summary.prompt)) parts.accepted = *accepted;
  std::shared_ptr<const ReportParts> report;
  if (summary.report) {
    if (auto read = co_await attachments.report(summary.report)) report = std::move(*read);
  }
  if (report) put_in_order(summary.nodes, report->nodes);
  std::vector<std::pair<std::string, std::string>> outputs, meta;
  for (const core::HistoryNode& node : summary.nodes) {
    if (node.node.empty() || !node.ui) continue;  // files that no node's ui names
    const auto ui = co_await attachments.raw(node.ui);
    if (!ui) continue;
    outputs.emplace_back(node.node, **ui);
    meta.emplace_back(node.node, comfy::history_meta(node.node, node.node, std::nullopt, node.node));
  }
  parts.outputs = comfy::json_map(outputs);
  if (report) {
    parts.status = report->status;
    parts.meta = report->meta;
    if (report->event_type == "execution_error") parts.error = report->event_data;
  }
  if (parts.meta.empty()) parts.meta = comfy::json_map(meta);
  if (parts.status.empty()) {
    std::vector<comfy::HistoryMessage> messages;
    if (const auto event = comfy::parse_event(ending_event_of(summary))) {
      messages.push_back({event->type, event->data.print()});
      if (event->type == "execution_error" && parts.error.empty()) parts.error = event->data.print();
    }
    parts.status = comfy::history_status(summary.outcome == core::Outcome::succeeded, messages);
  }
  co_return parts;
}

namespace {

std::string item_of(const core::Summary& summary, const ParticipantFace::Impl::HistoryParts& parts) {
  const AcceptedParts none;
  const AcceptedParts& accepted = parts.accepted ? *parts.accepted : none;
  const std::string tuple = comfy::queue_tuple({summary.number, accepted.client_number}, summary.prompt_id,
                                               accepted.prompt, accepted.extra_data, accepted.outputs);
  return comfy::history_item(tuple, parts.outputs, parts.status, parts.meta);
}

}  // namespace

/// A listing under way: one item per piece, so that memory stays flat and the client sets the pace.
struct ParticipantFace::Impl::HistoryListing {
  std::vector<core::Summary> summaries;
  std::size_t next = 0;
  bool ended = false;
};

awaitable<Result<std::string>> ParticipantFace::Impl::next_history_piece(
    std::shared_ptr<HistoryListing> listing) {
  if (listing->ended) co_return std::string();
  std::string piece = listing->next == 0 ? "{" : ",";
  if (listing->next == listing->summaries.size()) {
    listing->ended = true;
    co_return listing->next == 0 ? std::string("{}") : std::string("}");
  }
  const core::Summary summary = listing->summaries[listing->next++];
  const HistoryParts parts = co_await history_parts(summary);
  piece += comfy::quote_json(summary.prompt_id);
  piece += ':';
  piece += item_of(summary, parts);
  co_return piece;
}

awaitable<net::Response> ParticipantFace::Impl::get_history(Call& call) {
  const auto max_items = number_of(call.request, "max_items");
  const auto offset = number_of(call.request, "offset");
  if (!max_items) co_return error_response(max_items.error());
  if (!offset) co_return error_response(offset.error());
  auto listing = std::make_shared<HistoryListing>();
  std::vector<const core::Summary*> all = workshop.history().of(call.participant);
  std::erase_if(all, [](const core::Summary* summary) { return never_ran(*summary); });
  // max_items alone: the last ones, oldest first; with an offset from 0 on: from there (CI C5).
  const auto count = static_cast<std::int64_t>(all.size());
  const std::int64_t wanted = max_items->value_or(count);
  std::int64_t begin = offset->value_or(-1);
  if (begin < 0) begin = std::max<std::int64_t>(0, count - std::max<std::int64_t>(wanted, 0));
  for (std::int64_t i = begin; i < count && i - begin < wanted; ++i)
    listing->summaries.push_back(*all[static_cast<std::size_t>(i)]);
  net::Response response = json_response("");
  auto next = [this, listing] { return next_history_piece(listing); };
  response.body = net::StreamBody(std::move(next));
  co_return response;
}

awaitable<net::Response> ParticipantFace::Impl::get_history_item(Call& call) {
  const core::Summary* found = workshop.history().find(call.participant, call.captures.front());
  if (found == nullptr || never_ran(*found)) co_return json_response("{}");
  const core::Summary summary = *found;
  const HistoryParts parts = co_await history_parts(summary);
  co_return json_response(comfy::json_map({{summary.prompt_id, item_of(summary, parts)}}));
}

awaitable<net::Response> ParticipantFace::Impl::post_history(Call& call) {
  const auto wanted = co_await read_json_object(call);
  if (!wanted) co_return error_response(wanted.error());
  const json::value* clear = wanted->object().if_contains("clear");
  core::HistoryForgotten event;
  event.participant = call.participant;
  if (clear == nullptr || !clear->is_bool() || !clear->get_bool()) {
    const json::value* ids = wanted->object().if_contains("delete");
    if (ids != nullptr && ids->is_array()) {
      for (const json::value& id : ids->get_array()) {
        if (!id.is_string()) continue;
        const core::Summary* summary =
            workshop.history().find(call.participant, std::string_view(id.get_string()));
        if (summary != nullptr) event.jobs.push_back(summary->job);
      }
    }
    if (event.jobs.empty()) co_return empty_response();  // an empty list would mean all
  }
  auto recorded = co_await workshop.record(core::Event{std::move(event)});
  if (!recorded && recorded.error().code != Errc::conflict) co_return error_response(recorded.error());
  co_return empty_response();
}

}  // namespace atelier::gateway
