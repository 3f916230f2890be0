// SPDX-License-Identifier: MIT
// /api/v1/jobs/actions: one command for many jobs, with a result for each.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "comfy/json.hpp"
#include "gateway/instructor/instructor_impl.hpp"

namespace atelier::gateway {
namespace {

constexpr std::size_t kJobsMax = 1'000;

enum class Action : std::uint8_t { hold, release, cancel, undo_cancel, move, undo_move, change };

std::string_view to_string(Action action) {
  switch (action) {
    case Action::hold:
      return "hold";
    case Action::release:
      return "release";
    case Action::cancel:
      return "cancel";
    case Action::undo_cancel:
      return "undo_cancel";
    case Action::move:
      return "move";
    case Action::undo_move:
      return "undo_move";
    case Action::change:
      return "change";
  }
  return "change";
}

std::string_view past_of(Action action) {
  switch (action) {
    case Action::hold:
      return "held";
    case Action::release:
      return "released";
    case Action::cancel:
      return "cancelled";
    case Action::undo_cancel:
      return "no longer cancelled";
    case Action::move:
      return "moved";
    case Action::undo_move:
      return "moved back";
    case Action::change:
      return "changed";
  }
  return "done";
}

/// The one that takes it back; nothing: each result has its own undo.
std::optional<Action> inverse_of(Action action) {
  switch (action) {
    case Action::hold:
      return Action::release;
    case Action::release:
      return Action::hold;
    case Action::cancel:
      return Action::undo_cancel;
    case Action::undo_cancel:
      return Action::cancel;
    case Action::move:  // of some it is out of the list, of others back to where they stood
    case Action::undo_move:
    case Action::change:
      break;
  }
  return std::nullopt;
}

/// What the body asks for.
struct Wanted {
  Action action = Action::hold;
  std::vector<JobId> jobs;
  JobChange change;
  JobMove move;
  milliseconds undo{0};
};

std::expected<Wanted, Problem> wanted_of(ApiCall& call, const core::Core& core) {
  using enum Action;
  BodyFields& fields = call.fields;
  Wanted wanted;
  const auto action = fields.choice("action", {hold, release, cancel, undo_cancel, move, undo_move, change});
  const auto jobs = fields.numbers("jobs", kJobsMax);
  fields.require("action");
  fields.require("jobs");
  if (action) wanted.action = *action;
  for (const std::uint64_t job : jobs.value_or(std::vector<std::uint64_t>{}))
    wanted.jobs.push_back(JobId{job});
  if (wanted.action == move) wanted.move = move_of(fields);
  if (wanted.action == cancel) wanted.undo = undo_of(fields);
  if (wanted.action == change) wanted.change = change_of(fields, core);
  if (wanted.action == hold || wanted.action == release) wanted.change.held = wanted.action == hold;
  if (wanted.move.anchor && std::ranges::find(wanted.jobs, wanted.move.anchor) != wanted.jobs.end())
    fields.complain("anchor", "is one of the jobs itself");
  if (auto wrong = fields.wrong()) return std::unexpected(std::move(*wrong));
  const bool instructors = wanted.action == hold || wanted.action == release || wanted.action == change ||
                           wanted.action == undo_move;
  if (instructors && !call.caller.is_instructor())
    return std::unexpected(Problem(403, fmt::format("{} is the instructor's.", to_string(wanted.action))));
  return wanted;
}

std::string result_json(JobId job, const CommandOutcome& outcome) {
  if (!outcome)
    return fmt::format(R"({{"job":{},"done":false,"changed":false,"undo":null,"problem":{}}})", job,
                       problem_json(outcome.error()));
  return fmt::format(R"({{"job":{},"done":true,"changed":{},"undo":{},"problem":null}})", job,
                     outcome->changed, outcome->undo ? undo_json(*outcome->undo) : "null");
}

struct Results {
  Wanted wanted;
  std::vector<std::optional<CommandOutcome>> outcomes;
  std::size_t left = 0;
  Answer<bool> all;
};

awaitable<CommandOutcome> act(InstructorFace::Impl& face, Caller caller, JobId job, const Wanted& wanted) {
  switch (wanted.action) {
    case Action::hold:
    case Action::release:
    case Action::change:
      return face.change_job(caller, job, wanted.change);
    case Action::cancel:
      return face.cancel_job(caller, job, wanted.undo);
    case Action::undo_cancel:
      return face.undo_cancel(caller, job);
    case Action::move:
      return face.move_job(caller, job, wanted.move);
    case Action::undo_move:
      break;
  }
  return face.undo_move(caller, job);
}

awaitable<void> act_on_one(InstructorFace::Impl& face, Caller caller, std::shared_ptr<Results> results,
                           std::size_t index) {
  results->outcomes[index] = co_await act(face, caller, results->wanted.jobs[index], results->wanted);
  if (--results->left == 0) results->all.give(true);
}

/// One after the other, so that the jobs stand in the order in which they were named.
awaitable<void> move_all(InstructorFace::Impl& face, Caller caller, std::shared_ptr<Results> results) {
  using core::MovePlace;
  const JobMove wanted = results->wanted.move;
  const bool chained = wanted.place == MovePlace::first || wanted.place == MovePlace::after;
  std::vector<JobId> placed;  // that went in, the last one last
  for (std::size_t i = 0; i < results->wanted.jobs.size(); ++i) {
    const JobId job = results->wanted.jobs[i];
    std::optional<CommandOutcome>& outcome = results->outcomes[i];
    while (true) {
      // One that went in before may start meanwhile: then the one before it is as good.
      while (!placed.empty() && !face.waiting_job(caller, placed.back())) placed.pop_back();
      const bool behind = chained && !placed.empty();
      const JobMove move = behind ? JobMove{MovePlace::after, placed.back()} : wanted;
      outcome = co_await face.move_job(caller, job, move);
      const bool anchor_gone = behind && !face.waiting_job(caller, move.anchor);
      if (*outcome || !anchor_gone || !face.waiting_job(caller, job)) break;
    }
    if (*outcome) placed.push_back(job);
  }
}

std::string answer_json(const Results& results) {
  std::vector<std::string> lines;
  std::vector<JobId> changed;
  std::size_t done = 0;
  std::string why;
  for (std::size_t i = 0; i < results.outcomes.size(); ++i) {
    const CommandOutcome& outcome = *results.outcomes[i];
    lines.push_back(result_json(results.wanted.jobs[i], outcome));
    if (!outcome) {
      if (why.empty()) why = outcome.error().detail;
      continue;
    }
    ++done;
    if (outcome->changed) changed.push_back(results.wanted.jobs[i]);
  }
  const std::size_t not_done = lines.size() - done;
  std::string detail = fmt::format("{} {}", done, past_of(results.wanted.action));
  detail += not_done == 0 ? "." : fmt::format(", {} not: {}", not_done, why);
  std::string undo = "null";
  if (const auto inverse = inverse_of(results.wanted.action); inverse && !changed.empty()) {
    std::vector<std::uint64_t> ids;
    for (const JobId job : changed) ids.push_back(job.value);
    undo = undo_json(
        {"POST", "/jobs/actions",
         fmt::format(R"({{"action":"{}","jobs":[{}]}})", to_string(*inverse), fmt::join(ids, ","))});
  }
  return fmt::format(R"({{"action":"{}","done":{},"not_done":{},"detail":{},"undo":{},"results":[{}])",
                     to_string(results.wanted.action), done, not_done, comfy::quote_json(detail), undo,
                     fmt::join(lines, ","));
}

}  // namespace

awaitable<net::Response> InstructorFace::Impl::post_actions(ApiCall& call) {
  auto wanted = wanted_of(call, workshop.core());
  if (!wanted) co_return problem_response(wanted.error());
  if (stopping) {
    const Problem later(503, "The server stops; send this again in a few seconds.");
    co_return problem_response(later);
  }
  auto results = std::make_shared<Results>();
  results->wanted = std::move(*wanted);
  results->left = results->wanted.jobs.size();
  results->outcomes.resize(results->left);
  if (results->wanted.action == Action::move) {
    co_await move_all(*this, call.caller, results);
  } else {
    for (std::size_t i = 0; i < results->outcomes.size(); ++i)
      tasks.spawn("api action", act_on_one(*this, call.caller, results, i));
    if (const auto all = co_await results->all.wait(); !all) {
      const Problem problem = problem_of(all.error());
      co_return problem_response(problem);
    }
  }
  co_return api_json(200, fmt::format("{},{}}}", answer_json(*results), tail()));
}

}  // namespace atelier::gateway
