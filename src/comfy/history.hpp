// SPDX-License-Identifier: MIT
#pragma once
// JSON of ComfyUI's /queue, /history and /api/jobs (comfyui-interface.md C4-C6). Big parts (prompt,
// extra_data, outputs) come in and go out as JSON text, so that stored attachments are joined without being
// parsed.

#include <boost/json/fwd.hpp>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "comfy/json.hpp"

namespace atelier::comfy {

/// ComfyUI's `number`: the server's own is an int, a client's is echoed as a float ("7" and "7.0").
struct QueueNumber {
  double value = 0;
  bool from_client = false;
  [[nodiscard]] std::string print() const;
};

/// `{"prompt_id":...,"number":...,"node_errors":...}`: the 200 of POST /prompt.
[[nodiscard]] std::string prompt_accepted(std::string_view prompt_id, QueueNumber number,
                                          std::string_view node_errors_json);
/// `{"exec_info":{"queue_remaining":n}}`: GET /prompt.
[[nodiscard]] std::string prompt_info(std::uint64_t queue_remaining);

/// `[number, prompt_id, prompt, extra_data, outputs_to_execute]`.
[[nodiscard]] std::string queue_tuple(QueueNumber number, std::string_view prompt_id,
                                      std::string_view prompt_json, std::string_view extra_data_json,
                                      const std::vector<std::string>& outputs);
/// `{"queue_running":[...],"queue_pending":[...]}` of tuples.
[[nodiscard]] std::string queue_answer(const std::vector<std::string>& running,
                                       const std::vector<std::string>& pending);

/// One of the status messages that history keeps: execution_start, execution_cached, execution_success,
/// execution_error, execution_interrupted.
struct HistoryMessage {
  std::string type, data_json;
};
/// `{"status_str":"success"|"error","completed":bool,"messages":[[type,data],...]}`.
[[nodiscard]] std::string history_status(bool success, const std::vector<HistoryMessage>& messages);
/// One node's entry in `meta`.
[[nodiscard]] std::string history_meta(std::string_view node, std::string_view display_node,
                                       std::optional<std::string_view> parent_node,
                                       std::string_view real_node);
/// `{"prompt":tuple,"outputs":...,"status":...,"meta":...}`.
[[nodiscard]] std::string history_item(std::string_view tuple_json, std::string_view outputs_json,
                                       std::string_view status_json, std::string_view meta_json);
/// `{"a":<json>,"b":<json>}` from (key, JSON text): outputs by node, history by prompt_id.
[[nodiscard]] std::string json_map(const std::vector<std::pair<std::string, std::string>>& members);

/// /api/jobs: what ComfyUI calls the states.
enum class JobsStatus : std::uint8_t { pending, in_progress, completed, failed, cancelled };
[[nodiscard]] std::string_view to_string(JobsStatus status);

/// What /api/jobs tells of a node's outputs.
struct OutputsSummary {
  std::uint32_t count = 0;              // list items that are objects, 3D file names and texts
  std::uint32_t previewable_count = 0;  // of those, the ones a browser can show
  std::optional<Json> preview;          // the chosen item + nodeId + mediaType
};
[[nodiscard]] OutputsSummary summarise_outputs(const boost::json::object& outputs);

/// One job of the list. Absent fields are not printed, as ComfyUI prunes nulls.
struct JobEntry {
  std::string id;
  JobsStatus status = JobsStatus::pending;
  QueueNumber number;
  std::optional<std::int64_t> create_time, execution_start_time, execution_end_time;  // unix ms
  std::optional<std::string> execution_error_json;
  std::uint32_t outputs_count = 0;
  std::optional<std::uint32_t> previewable_outputs_count;  // printed by ComfyUI 0.38, not by 0.21
  std::optional<std::string> preview_output_json;
  std::optional<std::string> workflow_id;
};
[[nodiscard]] std::string print_job(const JobEntry& job);
/// The answer of /api/jobs/{id}: the entry with outputs, execution_status and workflow. Of a job that has not
/// ended only `workflow` is known: leave the other two empty.
[[nodiscard]] std::string print_job_detail(const JobEntry& job, std::string_view outputs_json,
                                           std::string_view status_json, std::string_view prompt_json,
                                           std::string_view extra_data_json);

struct JobsQuery {
  std::optional<std::vector<JobsStatus>> statuses;  // absent = all
  std::optional<std::string> workflow_id;
  bool by_duration = false;  // sort_by=execution_duration, else created_at
  bool descending = true;
  std::optional<std::uint64_t> limit;
  std::uint64_t offset = 0;
  [[nodiscard]] bool wants(JobsStatus status) const;
};
/// From decoded query parameters (of equal names the first counts). The error is ComfyUI's sentence; its body
/// is jobs_error(sentence) with status 400.
[[nodiscard]] std::expected<JobsQuery, std::string> parse_jobs_query(
    const std::vector<std::pair<std::string, std::string>>& parameters);
[[nodiscard]] std::string jobs_error(std::string_view sentence);  // {"error":"..."}

/// `{"jobs":[...],"pagination":{offset,limit,total,has_more}}`. `jobs` in ComfyUI's base order (running,
/// pending, history oldest first); the sort is stable, descending keeps equal ones in base order, as Python's
/// does.
[[nodiscard]] std::string jobs_answer(const std::vector<JobEntry>& jobs, const JobsQuery& query);

}  // namespace atelier::comfy
