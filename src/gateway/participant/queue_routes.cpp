// SPDX-License-Identifier: MIT
// /queue, /interrupt, /free (CI C4): always about the participant's own jobs only (reliability.md 114, 115).
#include <fmt/format.h>

#include <boost/json.hpp>

#include "comfy/json.hpp"
#include "gateway/participant/face_impl.hpp"

namespace atelier::gateway {
namespace json = boost::json;
namespace {

constexpr std::size_t kBodyBytesMax = 1 << 20;

std::vector<std::string> strings_of(const json::object& object, std::string_view key) {
  std::vector<std::string> texts;
  const json::value* list = object.if_contains(key);
  if (list == nullptr || !list->is_array()) return texts;
  for (const json::value& entry : list->get_array()) {
    if (entry.is_string()) texts.emplace_back(std::string_view(entry.get_string()));
  }
  return texts;
}

}  // namespace

std::vector<LiveJob> ParticipantFace::Impl::live_jobs(ParticipantId participant) const {
  std::vector<LiveJob> jobs;
  workshop.core().each_job_of(participant, [&jobs](const core::JobFacts& facts) {
    const bool running = facts.state == core::JobState::running;
    if (!running && facts.cancel_requested) return;
    LiveJob job;
    job.job = facts.job;
    job.prompt_id = facts.submitted.prompt_id;
    job.workflow_id = facts.submitted.workflow_id;
    job.number = facts.number;
    job.client_number = facts.submitted.numbered;
    job.running = running;
    job.leased = facts.state == core::JobState::leased;
    job.created = facts.submitted_wall;
    if (running && facts.lease) job.started = facts.lease->started_wall;
    job.prompt = facts.submitted.prompt;
    jobs.push_back(std::move(job));
  });
  return jobs;
}

awaitable<net::Response> ParticipantFace::Impl::get_queue(Call& call) {
  std::vector<std::string> running, pending;
  for (const LiveJob& job : live_jobs(call.participant)) {
    const auto accepted = co_await attachments.accepted(job.prompt);
    if (!accepted && workshop.core().job(job.job) == nullptr) continue;  // it ended and was pruned meanwhile
    // One that cannot be read is shown without its graph: when it is its turn it ends with that reason.
    const AcceptedParts unreadable;
    const AcceptedParts& parts = accepted ? **accepted : unreadable;
    (job.running ? running : pending)
        .push_back(comfy::queue_tuple({job.number, job.client_number}, job.prompt_id, parts.prompt,
                                      parts.extra_data, parts.outputs));
  }
  co_return json_response(comfy::queue_answer(running, pending));
}

awaitable<void> ParticipantFace::Impl::cancel(std::vector<JobId> jobs) {
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    core::CancelRequested event;
    event.job = jobs[i];
    event.by = "participant";
    if (i + 1 < jobs.size()) {
      workshop.post(core::Event{std::move(event)});
    } else {
      // In order, so all have been applied when the last one is. A job that ended meanwhile needs no cancel.
      [[maybe_unused]] const auto recorded = co_await workshop.record(core::Event{std::move(event)});
    }
  }
}

awaitable<net::Response> ParticipantFace::Impl::post_queue(Call& call) {
  const auto wanted = co_await read_json_object(call);
  if (!wanted) co_return error_response(wanted.error());
  const json::value* clear = wanted->object().if_contains("clear");
  const bool clear_all = clear != nullptr && clear->is_bool() && clear->get_bool();
  const auto ids = strings_of(wanted->object(), "delete");
  std::vector<JobId> jobs;
  for (const LiveJob& job : live_jobs(call.participant)) {
    if (job.running) continue;  // a queue deletion never touches what runs (CI C4)
    if (clear_all || std::ranges::find(ids, job.prompt_id) != ids.end()) jobs.push_back(job.job);
  }
  co_await cancel(std::move(jobs));
  co_return empty_response();
}

awaitable<net::Response> ParticipantFace::Impl::post_interrupt(Call& call) {
  auto body = co_await call.request.read_all(kBodyBytesMax);
  if (!body) co_return error_response(body.error());
  std::optional<std::string> only;
  if (const auto wanted = comfy::Json::parse(*body)) {  // a body that is no JSON counts as none (CI G30)
    if (!wanted->is_object()) co_return error_response({Errc::bad_request, "The body is not a JSON object."});
    const json::value* id = wanted->object().if_contains("prompt_id");
    if (id != nullptr && id->is_string()) only = std::string_view(id->get_string());
  }
  std::vector<JobId> jobs;
  for (const LiveJob& job : live_jobs(call.participant)) {
    if ((job.running || job.leased) && (!only || *only == job.prompt_id)) jobs.push_back(job.job);
  }
  co_await cancel(std::move(jobs));
  co_return empty_response();
}

awaitable<net::Response> ParticipantFace::Impl::post_free(Call&) {
  co_return empty_response();  // a GPU's memory is everybody's: the workshop looks after it (CI C4)
}

}  // namespace atelier::gateway
