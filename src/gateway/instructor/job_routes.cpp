// SPDX-License-Identifier: MIT
// /api/v1/queue and /api/v1/jobs.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "comfy/json.hpp"
#include "gateway/access.hpp"
#include "gateway/instructor/api_views.hpp"
#include "gateway/instructor/instructor_impl.hpp"
#include "runtime/let_others_run.hpp"

namespace atelier::gateway {
namespace {

using core::JobState;
using core::MovePlace;
using core::PriorityLevel;

constexpr std::uint64_t kUndoDefaultMs = 10'000, kUndoMaxMs = 60'000;
constexpr std::uint64_t kListDefault = 100, kListMax = 1'000;
constexpr std::uint64_t kQueueDefault = 1'000, kQueueMax = 10'000;

constexpr std::initializer_list<PriorityLevel> kLevels = {PriorityLevel::instructor, PriorityLevel::high,
                                                          PriorityLevel::normal, PriorityLevel::low};

/// Of a query; a problem 400 unless it is a whole number in its range.
std::expected<std::uint64_t, Problem> number_of(const net::Request& request, std::string_view name,
                                                std::uint64_t fallback, std::uint64_t max) {
  const auto given = request.parameter(name);
  if (!given) return fallback;
  const auto number = parse_canonical(*given, max);
  if (number) return *number;
  return std::unexpected(Problem(400, fmt::format("{} must be a whole number from 1 to {}.", name, max)));
}

/// The states that a list asks for; empty: all.
std::expected<std::set<std::string>, Problem> states_of(const net::Request& request) {
  std::vector<std::string> known;
  for (const JobState state : {JobState::queued, JobState::held, JobState::leased, JobState::running})
    known.emplace_back(core::to_string(state));
  for (const core::Outcome outcome :
       {core::Outcome::succeeded, core::Outcome::failed, core::Outcome::cancelled})
    known.emplace_back(core::to_string(outcome));
  std::set<std::string> states;
  std::string rest = request.parameter("state").value_or("");
  while (!rest.empty()) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    std::string word = rest.substr(0, comma);
    rest.erase(0, comma + 1);
    if (std::ranges::find(known, word) == known.end())
      return std::unexpected(
          Problem(400, fmt::format("state \"{}\" is none of {}.", word, fmt::join(known, ", "))));
    states.insert(std::move(word));
  }
  return states;
}

std::string joined(const std::vector<std::string>& texts) { return fmt::format("{}", fmt::join(texts, ",")); }

}  // namespace

awaitable<net::Response> InstructorFace::Impl::get_queue(ApiCall& call) {
  const auto limit = number_of(call.request, "limit", kQueueDefault, kQueueMax);
  if (!limit) co_return problem_response(limit.error());
  const core::Core& core = workshop.core();
  // What runs comes first, then what waits, with its place among all that wait.
  std::vector<std::pair<JobId, std::size_t>> shown;
  const auto add = [&](const core::JobFacts& job, std::size_t place) {
    if (shown.size() < *limit && call.caller.owns(job.submitted.participant))
      shown.emplace_back(job.job, place);
  };
  core.each_job([&](const core::JobFacts& job) {
    if (job.lease) add(job, 0);
  });
  std::size_t next = 0;
  for (const JobId id : whole_order()) {
    if (const core::JobFacts* job = core.job(id)) add(*job, has_turn(core, *job) ? ++next : 0);
  }
  std::string jobs;
  std::size_t written = 0;
  const std::string as_of_now = tail();
  const std::string queue = queue_view(core, options.num_users);
  for (const auto& [id, place] : shown) {
    if (++written % kSlice == 0) co_await let_others_run();
    const core::JobFacts* job = core.job(id);
    if (job == nullptr) continue;  // it has ended meanwhile
    if (!jobs.empty()) jobs += ',';
    jobs += job_view(core, *job, wall_clock);
    jobs.back() = ',';
    jobs += fmt::format(R"("place":{},{}}})", place == 0 ? "null" : fmt::format("{}", place),
                        waiting.members_of(*job));
  }
  co_return api_json(200, fmt::format(R"({{"queue":{},"jobs":[{}],{}}})", queue, jobs, as_of_now));
}

awaitable<net::Response> InstructorFace::Impl::patch_queue(ApiCall& call) {
  using core::QueueMode;
  const auto mode =
      call.fields.choice("mode", {QueueMode::fifo, QueueMode::round_robin, QueueMode::priority});
  const auto paused = call.fields.boolean("paused");
  const auto held = call.fields.boolean("held");
  if (const auto wrong = call.fields.wrong()) co_return problem_response(*wrong);
  const core::WorkshopFacts& now = workshop.core().workshop();
  std::vector<core::Event> wanted;
  std::vector<std::string> before;
  const std::string by = call.caller.name();
  if (mode && *mode != now.mode) {
    wanted.emplace_back(core::ModeChanged{*mode, by});
    before.push_back(fmt::format(R"("mode":"{}")", core::to_string(now.mode)));
  }
  if (paused && *paused != now.paused) {
    wanted.emplace_back(core::Paused{*paused, by});
    before.push_back(fmt::format(R"("paused":{})", now.paused));
  }
  if (held && *held != now.everyone_held) {
    wanted.emplace_back(core::EveryoneHeld{*held, by});
    before.push_back(fmt::format(R"("held":{})", now.everyone_held));
  }
  Done done;
  done.changed = !wanted.empty();
  if (done.changed) done.undo = Undo{"PATCH", "/queue", "{" + joined(before) + "}"};
  const auto recorded = co_await record(std::move(wanted));
  // A conflict says that somebody else did the same just now.
  if (!recorded && recorded.error().code != Errc::conflict) {
    const Problem problem = problem_of(recorded.error());
    co_return problem_response(problem);
  }
  co_return done_answer("queue", queue_view(workshop.core(), options.num_users), done);
}

awaitable<net::Response> InstructorFace::Impl::get_jobs(ApiCall& call) {
  const auto limit = number_of(call.request, "limit", kListDefault, kListMax);
  const auto cursor = number_of(call.request, "cursor", INT64_MAX, INT64_MAX);
  const auto wanted = number_of(call.request, "participant", 0, options.num_users);
  const auto states = states_of(call.request);
  for (const auto* number : {&limit, &cursor, &wanted}) {
    if (!*number) co_return problem_response(number->error());
  }
  if (!states) co_return problem_response(states.error());
  const core::Core& core = workshop.core();
  const auto asked = [&](JobId job, ParticipantId owner, std::string_view state) {
    return job.value < *cursor && call.caller.owns(owner) && (*wanted == 0 || owner.value == *wanted) &&
           (states->empty() || states->contains(std::string(state)));
  };
  std::vector<JobId> found;
  core.each_job([&](const core::JobFacts& job) {
    if (asked(job.job, job.submitted.participant, core::to_string(shown_state(core, job))))
      found.push_back(job.job);
  });
  for (const core::Summary* summary : workshop.history().all()) {
    if (asked(summary->job, summary->participant, core::to_string(summary->outcome)))
      found.push_back(summary->job);
  }
  std::ranges::sort(found, std::greater<>());  // the newest first
  const bool more = found.size() > *limit;
  if (more) found.resize(*limit);
  std::vector<std::string> jobs;
  const std::string as_of_now = tail();
  for (const JobId job : found) {
    if (jobs.size() % kSlice == kSlice - 1) co_await let_others_run();
    if (auto view = view_of(call.caller, job)) jobs.push_back(std::move(*view));
  }
  co_return api_json(
      200, fmt::format(R"({{"jobs":[{}],"next_cursor":{},{}}})", joined(jobs),
                       more ? comfy::quote_json(fmt::format("{}", found.back())) : "null", as_of_now));
}

awaitable<net::Response> InstructorFace::Impl::get_job(ApiCall& call) {
  const auto job = parse_job(call.captures.front());
  const auto view = job ? view_of(call.caller, *job) : std::nullopt;
  if (!view) {
    const Problem nothing(404, fmt::format("There is no job {}.", call.captures.front()));
    co_return problem_response(nothing);
  }
  co_return api_json(200, fmt::format(R"({{"job":{},{}}})", *view, tail()));
}

JobChange change_of(BodyFields& fields, const core::Core& core) {
  JobChange change;
  change.priority = fields.choice("priority", kLevels);
  change.pinned_worker = fields.text("pinned_worker", 64);
  if (change.pinned_worker && !change.pinned_worker->empty() && core.worker(*change.pinned_worker) == nullptr)
    fields.complain("pinned_worker", "is no worker that has ever joined; \"\" lets any worker take the job");
  change.tags = fields.words("tags", 16, 64);
  return change;
}

JobMove move_of(BodyFields& fields) {
  JobMove move;
  const auto place =
      fields.choice("place", {MovePlace::first, MovePlace::last, MovePlace::before, MovePlace::after});
  const auto anchor = fields.number("anchor", 1, INT64_MAX);
  fields.require("place");
  if (place) move.place = *place;
  if (anchor) move.anchor = JobId{*anchor};
  const bool needs = move.place == MovePlace::before || move.place == MovePlace::after;
  if (needs && !anchor) fields.complain("anchor", "must be given with before and after");
  if (!needs && anchor) fields.complain("anchor", "is for before and after only");
  return move;
}

milliseconds undo_of(BodyFields& fields) {
  return milliseconds{
      static_cast<std::int64_t>(fields.number("undo_ms", 0, kUndoMaxMs).value_or(kUndoDefaultMs))};
}

awaitable<net::Response> InstructorFace::Impl::patch_job(ApiCall& call) {
  const JobId job = parse_job(call.captures.front()).value_or(JobId{});
  JobChange change = change_of(call.fields, workshop.core());
  change.held = call.fields.boolean("held");
  if (const auto wrong = call.fields.wrong()) co_return problem_response(*wrong);
  const CommandOutcome outcome = co_await change_job(call.caller, job, std::move(change));
  co_return job_answer(job, outcome);
}

awaitable<net::Response> InstructorFace::Impl::post_move(ApiCall& call) {
  const JobId job = parse_job(call.captures.front()).value_or(JobId{});
  const JobMove move = move_of(call.fields);
  if (move.anchor && move.anchor == job) call.fields.complain("anchor", "is the job itself");
  if (const auto wrong = call.fields.wrong()) co_return problem_response(*wrong);
  const MoveList before = list_of(call.caller);
  CommandOutcome outcome = co_await move_job(call.caller, job, move);
  if (outcome && outcome->changed) outcome->undo = undo_of_moves({job}, before);
  co_return job_answer(job, outcome);
}

awaitable<net::Response> InstructorFace::Impl::delete_move(ApiCall& call) {
  const JobId job = parse_job(call.captures.front()).value_or(JobId{});
  if (const auto wrong = call.fields.wrong()) co_return problem_response(*wrong);
  const MoveList before = list_of(call.caller);
  CommandOutcome outcome = co_await undo_move(call.caller, job);
  if (outcome && outcome->changed) outcome->undo = undo_of_moves({job}, before);
  co_return job_answer(job, outcome);
}

awaitable<net::Response> InstructorFace::Impl::post_cancel(ApiCall& call) {
  const JobId job = parse_job(call.captures.front()).value_or(JobId{});
  const milliseconds undo = undo_of(call.fields);
  if (const auto wrong = call.fields.wrong()) co_return problem_response(*wrong);
  const CommandOutcome outcome = co_await cancel_job(call.caller, job, undo);
  co_return job_answer(job, outcome);
}

awaitable<net::Response> InstructorFace::Impl::delete_cancel(ApiCall& call) {
  const JobId job = parse_job(call.captures.front()).value_or(JobId{});
  if (const auto wrong = call.fields.wrong()) co_return problem_response(*wrong);
  const CommandOutcome outcome = co_await undo_cancel(call.caller, job);
  co_return job_answer(job, outcome);
}

}  // namespace atelier::gateway
