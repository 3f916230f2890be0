// SPDX-License-Identifier: MIT
#include "agent/engine_answers.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <cstdlib>

#include "comfy/json.hpp"
#include "comfy/python_text.hpp"

namespace atelier::agent {
namespace json = boost::json;
namespace {

Result<comfy::Json> parse_big(std::string_view body) {
  comfy::JsonLimits limits;
  limits.bytes_max = 256u << 20;
  limits.depth_max = 128;
  auto parsed = comfy::Json::parse(body, limits);
  if (parsed || parsed.error().code != Errc::bad_request) return parsed;
  return comfy::Json::parse(comfy::strict_json(body), limits);
}

const json::value* member(const json::value& value, std::string_view key) {
  return value.is_object() ? value.get_object().if_contains(key) : nullptr;
}

std::string text(const json::value* value) {
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::uint64_t whole(const json::value* value) {
  if (value == nullptr) return 0;
  if (value->is_uint64()) return value->get_uint64();
  if (value->is_int64() && value->get_int64() > 0) return static_cast<std::uint64_t>(value->get_int64());
  if (value->is_double() && value->get_double() > 0 && value->get_double() < 9e15) {
    return static_cast<std::uint64_t>(value->get_double());
  }
  return 0;
}

double seconds(const json::value* value) {
  return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

}  // namespace

Result<EngineStats> read_stats(std::string_view body) {
  ATELIER_TRY(const comfy::Json parsed, comfy::Json::parse(body));
  EngineStats stats;
  if (const json::value* system = member(parsed.value(), "system"))
    stats.comfy_version = text(member(*system, "comfyui_version"));
  const json::value* devices = member(parsed.value(), "devices");
  if (devices != nullptr && devices->is_array() && !devices->get_array().empty()) {
    const json::value& device = devices->get_array()[0];
    stats.device = text(member(device, "name"));
    stats.vram_total = whole(member(device, "vram_total"));
    stats.vram_free = whole(member(device, "vram_free"));
  }
  return stats;
}

Result<std::uint64_t> read_queue_remaining(std::string_view body) {
  ATELIER_TRY(const comfy::Json parsed, comfy::Json::parse(body));
  const json::value* info = member(parsed.value(), "exec_info");
  const json::value* remaining = info == nullptr ? nullptr : member(*info, "queue_remaining");
  if (remaining == nullptr || !remaining->is_number())
    return fail(Errc::bad_request, "ComfyUI's /prompt has no queue_remaining");
  return whole(remaining);
}

std::optional<std::uint64_t> read_upload_limit(std::string_view body) {
  const auto parsed = comfy::Json::parse(body);
  const json::value* limit = parsed ? member(parsed->value(), "max_upload_size") : nullptr;
  if (limit == nullptr || !limit->is_number()) return std::nullopt;
  const std::uint64_t bytes = whole(limit);
  return bytes == 0 ? std::nullopt : std::optional(bytes);
}

Result<std::vector<std::string>> read_model_folders(std::string_view body) {
  ATELIER_TRY(const comfy::Json parsed, comfy::Json::parse(body));
  if (!parsed.value().is_array()) return fail(Errc::bad_request, "ComfyUI's list of model folders is none");
  comfy::ModelLists taken;  // knows what a folder may be called, and how many there may be
  std::vector<std::string> names;
  for (const json::value& folder : parsed.value().get_array()) {
    std::string name = text(folder.is_string() ? &folder : member(folder, "name"));
    if (taken.find(name) == nullptr && taken.add(name)) names.push_back(std::move(name));
  }
  return names;
}

Result<void> read_models(std::string_view body, std::string_view folder, comfy::ModelLists& lists) {
  ATELIER_TRY(const comfy::Json parsed, parse_big(body));
  if (!parsed.value().is_array()) return fail(Errc::bad_request, "ComfyUI's list of models is none");
  lists.add(folder);
  for (const json::value& file : parsed.value().get_array()) {
    comfy::ModelFile facts;
    facts.bytes = whole(member(file, "size"));
    facts.modified = seconds(member(file, "modified"));
    facts.created = seconds(member(file, "created"));
    lists.add(folder, text(file.is_string() ? &file : member(file, "name")), facts);
  }
  return {};
}

std::string print_model_sizes(const comfy::ModelLists& lists) {
  json::object sizes;
  for (const auto& [folder, files] : lists.folders()) {
    for (const auto& [name, file] : files) {
      if (file.bytes == 0) continue;
      json::value& bytes = sizes[name];
      if (bytes.is_null() || bytes.get_uint64() < file.bytes) bytes = file.bytes;
    }
  }
  return comfy::print_json(sizes);
}

Result<RunPlace> find_in_queue(std::string_view body, std::string_view run_id) {
  ATELIER_TRY(const comfy::Json parsed, parse_big(body));
  for (const auto& [list, place] :
       {std::pair{"queue_running", RunPlace::running}, std::pair{"queue_pending", RunPlace::pending}}) {
    const json::value* tuples = member(parsed.value(), list);
    if (tuples == nullptr || !tuples->is_array())
      return fail(Errc::bad_request, "ComfyUI's /queue has no lists");
    for (const json::value& tuple : tuples->get_array()) {
      if (tuple.is_array() && tuple.get_array().size() > 1 && text(&tuple.get_array()[1]) == run_id)
        return place;
    }
  }
  return RunPlace::absent;
}

Result<std::vector<std::string>> runs_of(std::string_view body, std::string_view client_prefix) {
  ATELIER_TRY(const comfy::Json parsed, parse_big(body));
  std::vector<std::string> runs;
  for (const char* list : {"queue_running", "queue_pending"}) {
    const json::value* tuples = member(parsed.value(), list);
    if (tuples == nullptr || !tuples->is_array())
      return fail(Errc::bad_request, "ComfyUI's /queue has no lists");
    for (const json::value& tuple : tuples->get_array()) {
      if (!tuple.is_array() || tuple.get_array().size() < 4) continue;
      if (text(member(tuple.get_array()[3], "client_id")).starts_with(client_prefix))
        runs.push_back(text(&tuple.get_array()[1]));
    }
  }
  return runs;
}

Result<std::optional<RunHistory>> read_history(std::string_view body, std::string_view run_id) {
  ATELIER_TRY(const comfy::Json parsed, parse_big(body));
  const json::value* item = member(parsed.value(), run_id);
  if (item == nullptr) return std::optional<RunHistory>();
  RunHistory history;
  json::object report;
  const json::value* status = member(*item, "status");
  if (status != nullptr) report["status"] = *status;
  if (const json::value* meta = member(*item, "meta")) report["meta"] = *meta;
  history.report = comfy::print_json(report);
  const bool success = status != nullptr && text(member(*status, "status_str")) == "success";
  history.outcome = success ? link::Outcome::succeeded : link::Outcome::failed;
  const json::value* messages = status == nullptr ? nullptr : member(*status, "messages");
  std::uint64_t began = 0;
  for (const json::value& message :
       messages != nullptr && messages->is_array() ? messages->get_array() : json::array()) {
    if (!message.is_array() || message.get_array().size() != 2) continue;
    const std::string type = text(&message.get_array()[0]);
    const std::uint64_t at = whole(member(message.get_array()[1], "timestamp"));
    if (type == "execution_start") began = at;
    if (type == "execution_success" || type == "execution_error" || type == "execution_interrupted") {
      if (type == "execution_interrupted") history.outcome = link::Outcome::cancelled;
      history.event = comfy::print_json(json::object{{"type", type}, {"data", message.get_array()[1]}});
      if (began != 0 && at > began) history.gpu_ms = at - began;
    }
  }
  const json::value* outputs = member(*item, "outputs");
  if (outputs != nullptr && outputs->is_object()) {
    for (const auto& entry : outputs->get_object()) {
      if (entry.value().is_object())
        history.outputs.emplace_back(std::string(entry.key()), comfy::print_json(entry.value()));
    }
  }
  return std::optional<RunHistory>(std::move(history));
}

}  // namespace atelier::agent
