// SPDX-License-Identifier: MIT
// /api/jobs (facts: ComfyUI 0.21.0, comfy_execution/jobs.py and server.py, get_jobs).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "comfy/coerce.hpp"
#include "comfy/history.hpp"
#include "comfy/python_text.hpp"
#include "comfy/utf8.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

constexpr std::size_t kTextPreviewMax = 1024;  // code points
constexpr std::array<std::string_view, 5> kPreviewableLists{"images", "video", "audio", "3d", "text"};
constexpr std::array<std::string_view, 5> kMeshEnds{".obj", ".fbx", ".gltf", ".glb", ".usdz"};
constexpr std::array kStatuses{JobsStatus::pending, JobsStatus::in_progress, JobsStatus::completed,
                               JobsStatus::failed, JobsStatus::cancelled};

std::string_view view(const json::string& text) { return {text.data(), text.size()}; }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string_view strip(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || (text.front() >= '\t' && text.front() <= '\r')))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || (text.back() >= '\t' && text.back() <= '\r')))
    text.remove_suffix(1);
  return text;
}

bool is_mesh(std::string_view name) {
  const std::string small = lower(name);
  return std::any_of(kMeshEnds.begin(), kMeshEnds.end(), [&](auto end) { return small.ends_with(end); });
}

std::string_view text_of(const json::object& item, json::string_view name) {
  const auto* value = item.if_contains(name);
  return value != nullptr && value->is_string() ? view(value->get_string()) : std::string_view();
}

bool previewable(std::string_view list, const json::object& item) {
  if (std::find(kPreviewableLists.begin(), kPreviewableLists.end(), list) != kPreviewableLists.end())
    return true;
  const auto format = text_of(item, "format");
  return format.starts_with("video/") || format.starts_with("audio/") || is_mesh(text_of(item, "filename"));
}

json::object text_preview(std::string_view text) {
  std::size_t points = 0, at = 0;
  while (at < text.size() && points < kTextPreviewMax) {
    at += read_utf8(text, at).bytes;
    ++points;
  }
  json::object preview{{"content", json::string_view(text.data(), at)}};
  if (at < text.size()) preview["truncated"] = true;
  return preview;
}

/// What a 3D file that is named by a text becomes.
json::object mesh_file(const json::string& name) {
  return {{"filename", name}, {"type", "output"}, {"subfolder", ""}, {"mediaType", "3d"}};
}

class Summary {
 public:
  void add(json::string_view node, json::string_view list, const json::value& item) {
    if (const auto* object = item.if_object()) return add_file(node, list, *object);
    const std::string_view name(list.data(), list.size());
    if (const auto* text = item.if_string(); text != nullptr && is_mesh(view(*text)))
      return add_file(node, list, mesh_file(*text));
    if (name == "text") add_text(node, list, python_str(item));
  }

  OutputsSummary finish() && {
    OutputsSummary out{count_, previewable_, std::nullopt};
    if (!chosen_.empty())
      out.preview = Json(std::move(chosen_));
    else if (!fallback_.empty())
      out.preview = Json(std::move(fallback_));
    return out;
  }

 private:
  void add_file(json::string_view node, json::string_view list, const json::object& item) {
    ++count_;
    if (!previewable({list.data(), list.size()}, item)) return;
    ++previewable_;
    const bool saved = text_of(item, "type") == "output";
    if (!chosen_.empty() || (!saved && !fallback_.empty())) return;
    json::object preview = item;
    preview["nodeId"] = node;
    if (!item.contains("mediaType")) preview["mediaType"] = list;
    (saved ? chosen_ : fallback_) = std::move(preview);
  }

  void add_text(json::string_view node, json::string_view list, std::string_view text) {
    ++count_;
    ++previewable_;
    if (!chosen_.empty() || !fallback_.empty()) return;
    fallback_ = text_preview(text);
    fallback_["nodeId"] = node;
    fallback_["mediaType"] = list;
  }

  std::uint32_t count_ = 0, previewable_ = 0;
  json::object chosen_, fallback_;
};

/// 3D files that are named by texts as the files they are, and no nulls.
std::string job_outputs(std::string_view outputs_json) {
  auto parsed = Json::parse(outputs_json, {.bytes_max = 64u << 20, .depth_max = 80});
  if (!parsed || !parsed->is_object()) return std::string(outputs_json);
  for (auto& node : parsed->object()) {
    auto* lists = node.value().if_object();
    if (lists == nullptr) continue;
    for (auto& list : *lists) {
      auto* items = list.value().if_array();
      if (items == nullptr || list.key() == "animated") continue;
      json::array kept;
      for (auto& item : *items) {
        if (item.is_null()) continue;
        const auto* text = item.if_string();
        if (text != nullptr && is_mesh(view(*text)))
          kept.push_back(mesh_file(*text));
        else
          kept.push_back(std::move(item));
      }
      *items = std::move(kept);
    }
  }
  return parsed->print();
}

void add_number(std::string& out, std::string_view name, const std::optional<std::int64_t>& value) {
  if (value) out += fmt::format(R"(,"{}":{})", name, *value);
}
void add_json(std::string& out, std::string_view name, const std::optional<std::string>& text) {
  if (text) out += fmt::format(R"(,"{}":{})", name, *text);
}

/// The members of a job without the braces.
std::string members_of(const JobEntry& job) {
  std::string out = fmt::format(R"("id":{},"status":"{}","priority":{})", quote_json(job.id),
                                to_string(job.status), job.number.print());
  add_number(out, "create_time", job.create_time);
  add_number(out, "execution_start_time", job.execution_start_time);
  add_number(out, "execution_end_time", job.execution_end_time);
  add_json(out, "execution_error", job.execution_error_json);
  out += fmt::format(R"(,"outputs_count":{})", job.outputs_count);
  if (job.previewable_outputs_count)
    out += fmt::format(R"(,"previewable_outputs_count":{})", *job.previewable_outputs_count);
  add_json(out, "preview_output", job.preview_output_json);
  if (job.workflow_id) out += fmt::format(R"(,"workflow_id":{})", quote_json(*job.workflow_id));
  return out;
}

const std::string* parameter(const std::vector<std::pair<std::string, std::string>>& parameters,
                             std::string_view name) {
  for (const auto& [key, value] : parameters)
    if (key == name) return &value;
  return nullptr;
}

std::expected<std::vector<JobsStatus>, std::string> read_statuses(std::string_view text) {
  std::vector<JobsStatus> statuses;
  std::string invalid;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string word = lower(strip(text.substr(at, comma - at)));
    at = comma + 1;
    if (word.empty()) continue;
    const auto known =
        std::find_if(kStatuses.begin(), kStatuses.end(), [&](JobsStatus s) { return to_string(s) == word; });
    if (known != kStatuses.end()) {
      statuses.push_back(*known);
      continue;
    }
    if (!invalid.empty()) invalid += ", ";
    invalid += word;
  }
  if (!invalid.empty())
    return std::unexpected(fmt::format(
        "Invalid status value(s): {}. Valid values: pending, in_progress, completed, failed, cancelled",
        invalid));
  return statuses;
}

/// Python's int() of a parameter; absent if it is none. Beyond 64 bits it is as far as it goes.
std::optional<std::int64_t> read_int(const std::string& text) {
  const auto number = python_int(json::value(json::string(text)));
  if (!number) return std::nullopt;
  if (number->value.is_int64()) return number->value.get_int64();
  constexpr std::int64_t kFar = std::int64_t{1} << 62;
  return number->as_double() < 0 ? -kFar : kFar;
}

std::int64_t sort_key(const JobEntry& job, bool by_duration) {
  if (!by_duration) return job.create_time.value_or(0);
  const std::int64_t start = job.execution_start_time.value_or(0), end = job.execution_end_time.value_or(0);
  return start != 0 && end != 0 ? end - start : 0;
}

}  // namespace

std::string_view to_string(JobsStatus status) {
  switch (status) {
    case JobsStatus::pending:
      return "pending";
    case JobsStatus::in_progress:
      return "in_progress";
    case JobsStatus::completed:
      return "completed";
    case JobsStatus::failed:
      return "failed";
    case JobsStatus::cancelled:
      return "cancelled";
  }
  return "pending";
}

OutputsSummary summarise_outputs(const json::object& outputs) {
  Summary summary;
  for (const auto& node : outputs) {
    if (!node.value().is_object()) continue;
    for (const auto& list : node.value().get_object()) {
      if (list.key() == "animated" || !list.value().is_array()) continue;
      for (const auto& item : list.value().get_array()) summary.add(node.key(), list.key(), item);
    }
  }
  return std::move(summary).finish();
}

std::string print_job(const JobEntry& job) { return fmt::format("{{{}}}", members_of(job)); }

std::string print_job_detail(const JobEntry& job, std::string_view outputs_json, std::string_view status_json,
                             std::string_view prompt_json, std::string_view extra_data_json) {
  std::string out = "{";
  out += members_of(job);
  if (!outputs_json.empty()) {
    out += R"(,"outputs":)";
    out += job_outputs(outputs_json);
  }
  if (!status_json.empty()) {
    out += R"(,"execution_status":)";
    out += status_json;
  }
  out += R"(,"workflow":{"prompt":)";
  out += prompt_json;
  out += R"(,"extra_data":)";
  out += extra_data_json;
  return out += "}}";
}

bool JobsQuery::wants(JobsStatus status) const {
  return !statuses || std::find(statuses->begin(), statuses->end(), status) != statuses->end();
}

std::expected<JobsQuery, std::string> parse_jobs_query(
    const std::vector<std::pair<std::string, std::string>>& parameters) {
  JobsQuery query;
  if (const auto* text = parameter(parameters, "status"); text != nullptr && !text->empty()) {
    auto statuses = read_statuses(*text);
    if (!statuses) return std::unexpected(std::move(statuses.error()));
    query.statuses = std::move(*statuses);
  }
  if (const auto* text = parameter(parameters, "workflow_id"); text != nullptr && !text->empty())
    query.workflow_id = *text;
  const auto* sort_by = parameter(parameters, "sort_by");
  const std::string by = sort_by != nullptr ? lower(*sort_by) : "created_at";
  if (by != "created_at" && by != "execution_duration")
    return std::unexpected("sort_by must be 'created_at' or 'execution_duration'");
  query.by_duration = by == "execution_duration";
  const auto* sort_order = parameter(parameters, "sort_order");
  const std::string order = sort_order != nullptr ? lower(*sort_order) : "desc";
  if (order != "asc" && order != "desc") return std::unexpected("sort_order must be 'asc' or 'desc'");
  query.descending = order == "desc";
  if (const auto* text = parameter(parameters, "limit")) {
    const auto limit = read_int(*text);
    if (!limit) return std::unexpected("limit must be an integer");
    if (*limit <= 0) return std::unexpected("limit must be a positive integer");
    query.limit = static_cast<std::uint64_t>(*limit);
  }
  if (const auto* text = parameter(parameters, "offset")) {
    const auto offset = read_int(*text);
    if (!offset) return std::unexpected("offset must be an integer");
    query.offset = *offset < 0 ? 0 : static_cast<std::uint64_t>(*offset);
  }
  return query;
}

std::string jobs_error(std::string_view sentence) {
  return fmt::format(R"({{"error":{}}})", quote_json(sentence));
}

std::string jobs_answer(const std::vector<JobEntry>& jobs, const JobsQuery& query) {
  std::vector<const JobEntry*> chosen;
  for (const auto& job : jobs)
    if (query.wants(job.status) && (!query.workflow_id || job.workflow_id == query.workflow_id))
      chosen.push_back(&job);
  std::sort(chosen.begin(), chosen.end(), [&](const JobEntry* a, const JobEntry* b) {
    const auto x = sort_key(*a, query.by_duration), y = sort_key(*b, query.by_duration);
    if (x == y) return a < b;  // in one vector: base order
    return query.descending ? x > y : x < y;
  });
  const std::uint64_t total = chosen.size();
  const std::uint64_t begin = std::min(query.offset, total);
  const std::uint64_t end = query.limit ? begin + std::min(*query.limit, total - begin) : total;
  std::string out = R"({"jobs":[)";
  for (std::uint64_t i = begin; i < end; ++i) {
    if (i != begin) out += ',';
    out += print_job(*chosen[i]);
  }
  out += fmt::format(R"(],"pagination":{{"offset":{},"limit":{},"total":{},"has_more":{}}}}})", query.offset,
                     query.limit ? fmt::to_string(*query.limit) : "null", total,
                     query.offset < total && query.offset + (end - begin) < total);
  return out;
}

}  // namespace atelier::comfy
