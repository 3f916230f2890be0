// SPDX-License-Identifier: MIT
// /api/jobs (CI C6): what the front end's queue panel lists.
#include <fmt/format.h>

#include <boost/json.hpp>

#include <algorithm>

#include "comfy/json.hpp"
#include "comfy/output_files.hpp"
#include "comfy/python_text.hpp"
#include "gateway/participant/face_impl.hpp"
#include "gateway/participant/history_parts.hpp"
#include "gateway/stock_uuid.hpp"

namespace atelier::gateway {
namespace json = boost::json;
namespace {

constexpr std::size_t kBodyBytesMax = 1 << 20;

comfy::JobsStatus status_of(core::Outcome outcome) {
  switch (outcome) {
    case core::Outcome::succeeded:
      return comfy::JobsStatus::completed;
    case core::Outcome::failed:
      return comfy::JobsStatus::failed;
    case core::Outcome::cancelled:
      return comfy::JobsStatus::cancelled;
  }
  return comfy::JobsStatus::failed;
}

comfy::JobEntry entry_of(const LiveJob& job) {
  comfy::JobEntry entry;
  entry.id = job.prompt_id;
  entry.status = job.running ? comfy::JobsStatus::in_progress : comfy::JobsStatus::pending;
  entry.number = {job.number, job.client_number};
  entry.create_time = job.created.ms;
  if (job.running && job.started.ms > 0) entry.execution_start_time = job.started.ms;
  if (!job.workflow_id.empty()) entry.workflow_id = job.workflow_id;
  entry.previewable_outputs_count = 0;
  return entry;
}

/// A file that /view would not find: its owner removed it, or it was lost (`atelier fsck`).
awaitable<std::string> with_missing(files::Files& files, ParticipantId participant, std::string outputs) {
  auto mark = [&files, participant, outputs = std::move(outputs)]() mutable {
    const auto is_missing = [&](const comfy::OutputFile& file) {
      files::ViewRequest wanted;
      wanted.filename = file.name;
      wanted.type = std::string(comfy::to_string(file.type));
      wanted.subfolder = file.folder;
      const auto viewed = files.participants().open_for_view(participant, wanted);
      return !viewed && viewed.error().code == Errc::not_found;
    };
    return comfy::mark_missing(std::move(outputs), is_missing);
  };
  co_return co_await files.run(std::move(mark));
}

}  // namespace

awaitable<comfy::JobEntry> ParticipantFace::Impl::job_entry(core::Summary summary) {
  comfy::JobEntry entry;
  entry.id = summary.prompt_id;
  entry.status = status_of(summary.outcome);
  // The summary does not say whose number it is; the server's own is the job's id or its negative.
  const double own = static_cast<double>(summary.job.value);
  entry.number = {summary.number, summary.number != own && summary.number != -own};
  entry.create_time = summary.created.ms;
  if (summary.started.ms > 0) {
    entry.execution_start_time = summary.started.ms;
    entry.execution_end_time = summary.ended.ms;
  }
  if (!summary.workflow_id.empty()) entry.workflow_id = summary.workflow_id;
  std::uint32_t previewable = 0;
  for (const core::HistoryNode& node : summary.nodes) {
    entry.outputs_count += node.summary.outputs;
    previewable += node.summary.previewable;
  }
  entry.previewable_outputs_count = previewable;
  const auto rank = [](const core::HistoryNode& node) {
    return node.summary.preview.empty() ? 0 : int{node.summary.preview_rank};
  };
  auto best = std::ranges::max_element(summary.nodes, {}, rank);  // the first of the best
  const bool any = best != summary.nodes.end() && rank(*best) > 0;
  // Of several the first counts, in the order in which they ran; they were stored as their files came.
  if (any && summary.report && std::ranges::count(summary.nodes, rank(*best), rank) > 1) {
    if (const auto report = co_await attachments.report(summary.report)) {
      put_in_order(summary.nodes, (*report)->nodes);
      best = std::ranges::max_element(summary.nodes, {}, rank);
    }
  }
  if (any) entry.preview_output_json = best->summary.preview;
  if (summary.outcome == core::Outcome::failed) {
    const HistoryParts parts = co_await history_parts(std::move(summary));
    if (!parts.error.empty()) entry.execution_error_json = parts.error;
  }
  co_return entry;
}

awaitable<net::Response> ParticipantFace::Impl::get_jobs(Call& call) {
  const auto query = comfy::parse_jobs_query(net::parse_query(call.request.query()));
  if (!query) co_return net::Response::json(400, comfy::jobs_error(query.error()));
  const std::vector<LiveJob> live_now = live_jobs(call.participant);
  std::vector<core::Summary> ended;
  for (const core::Summary* summary : workshop.history().of(call.participant)) {
    if (!never_ran(*summary) && query->wants(status_of(summary->outcome))) ended.push_back(*summary);
  }
  std::vector<comfy::JobEntry> entries;
  for (const bool running : {true, false}) {
    for (const LiveJob& job : live_now) {
      if (job.running == running) entries.push_back(entry_of(job));
    }
  }
  for (core::Summary& summary : ended) entries.push_back(co_await job_entry(std::move(summary)));
  co_return json_response(comfy::jobs_answer(entries, *query));
}

awaitable<net::Response> ParticipantFace::Impl::get_job(Call& call) {
  const std::string& id = call.captures.front();
  for (const LiveJob& job : live_jobs(call.participant)) {
    if (job.prompt_id != id) continue;
    const auto accepted = co_await attachments.accepted(job.prompt);
    if (!accepted) co_return error_response(accepted.error());
    co_return json_response(
        comfy::print_job_detail(entry_of(job), "", "", (*accepted)->prompt, (*accepted)->extra_data));
  }
  const core::Summary* found = workshop.history().find(call.participant, id);
  if (found == nullptr || never_ran(*found))
    co_return net::Response::json(404, comfy::jobs_error("Job not found"));
  const core::Summary summary = *found;
  HistoryParts parts = co_await history_parts(summary);
  parts.outputs = co_await with_missing(files, call.participant, std::move(parts.outputs));
  const comfy::JobEntry entry = co_await job_entry(summary);
  const AcceptedParts none;
  const AcceptedParts& accepted = parts.accepted ? *parts.accepted : none;
  co_return json_response(
      comfy::print_job_detail(entry, parts.outputs, parts.status, accepted.prompt, accepted.extra_data));
}

awaitable<net::Response> ParticipantFace::Impl::post_job_cancel(Call& call) {
  const core::JobFacts* job = workshop.core().live(call.participant, call.captures.front());
  if (job == nullptr || job->cancel_requested) co_return json_response(R"({"cancelled":false})");
  std::vector<JobId> one{job->job};
  co_await cancel(std::move(one));
  co_return json_response(R"({"cancelled":true})");
}

awaitable<net::Response> ParticipantFace::Impl::post_jobs_cancel(Call& call) {
  auto body = co_await call.request.read_all(kBodyBytesMax);
  if (!body) co_return error_response(body.error());
  const auto wanted = comfy::Json::parse(*body);
  if (!wanted) co_return net::Response::json(400, comfy::jobs_error("Request body must be valid JSON"));
  const json::value* ids = wanted->is_object() ? wanted->object().if_contains("job_ids") : nullptr;
  if (ids == nullptr || !ids->is_array())
    co_return net::Response::json(400, comfy::jobs_error("job_ids must be a list"));
  std::vector<JobId> jobs;
  json::array invalid;
  for (const json::value& id : ids->get_array()) {
    if (!id.is_string()) {
      invalid.emplace_back(comfy::python_repr(id));
      continue;
    }
    // A prompt_id that its client has chosen is none that ComfyUI takes, and a job's all the same.
    const std::string_view name = id.get_string();
    const core::JobFacts* job = workshop.core().live(call.participant, name);
    if (job == nullptr && !is_stock_uuid(name)) invalid.push_back(id);
    if (job != nullptr && !job->cancel_requested) jobs.push_back(job->job);
  }
  if (!invalid.empty()) {
    json::object error;
    error["error"] = "job_ids contains invalid id(s)";
    error["invalid_ids"] = std::move(invalid);
    co_return net::Response::json(400, comfy::print_json(json::value(std::move(error))));
  }
  const bool any = !jobs.empty();
  co_await cancel(std::move(jobs));
  co_return json_response(any ? R"({"cancelled":true})" : R"({"cancelled":false})");
}

}  // namespace atelier::gateway
