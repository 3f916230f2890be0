// SPDX-License-Identifier: MIT
// /api/v1/jobs/actions: one command for many jobs, with a result for each.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

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

Action inverse_of(Action action) {
  switch (action) {
    case Action::hold:
      return Action::release;
    case Action::release:
      return Action::hold;
    case Action::cancel:
      return Action::undo_cancel;
    case Action::undo_cancel:
      return Action::cancel;
    case Action::move:
    case Action::undo_move:
      return Action::undo_move;
    case Action::change:
      break;
  }
  return Action::change;
}

/// What the body asks for.
struct Wanted {
  Action action = Action::hold;
  std::vector<JobId> jobs;
  JobChange change;
  JobMove move;
  MoveList before;  // of undo_move: how jobs stood before they were moved
  milliseconds undo{0};
};

std::expected<Wanted, Problem> wanted_of(ApiCall& call, const core::Core& core) {
  using enum Action;
  BodyFields& fields = call.fields;
  Wanted wanted;
  const auto action = fields.choice("action", {hold, release, cancel, undo_cancel, move, undo_move, change});
  wanted.jobs = fields.jobs("jobs", kJobsMax);
  fields.require("action");
  fields.require("jobs");
  if (action) wanted.action = *action;
  if (wanted.action == move) wanted.move = move_of(fields);
  if (wanted.action == undo_move) {
    wanted.before.jobs = fields.jobs("list", kMoveListMax);
    wanted.before.along = fields.jobs("along", kJobsMax);
  }
  if (wanted.action == cancel) wanted.undo = undo_of(fields);
  if (wanted.action == change) wanted.change = change_of(fields, core);
  if (wanted.action == hold || wanted.action == release) wanted.change.held = wanted.action == hold;
  if (wanted.move.anchor && std::ranges::find(wanted.jobs, wanted.move.anchor) != wanted.jobs.end())
    fields.complain("anchor", "is one of the jobs itself");
  if (auto wrong = fields.wrong()) return std::unexpected(std::move(*wrong));
  const bool instructors = wanted.action == hold || wanted.action == release || wanted.action == change ||
                           (wanted.action == undo_move && wanted.before.jobs.empty());
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
  MoveList before;  // as it is before anything is moved
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

bool stand_last(const std::vector<JobId>& list, const std::vector<JobId>& jobs) {
  return jobs.size() <= list.size() && std::equal(jobs.rbegin(), jobs.rend(), list.rbegin());
}

/// One after the other, so that the jobs stand in the order in which they were named, each beside the one
/// before: what stands so already is not moved again.
awaitable<void> move_all(InstructorFace::Impl& face, Caller caller, std::shared_ptr<Results> results) {
  using core::MovePlace;
  const JobMove wanted = results->wanted.move;
  const std::vector<JobId>& jobs = results->wanted.jobs;
  // Among a participant's own there is room at the end for any number, but not between two.
  const bool own_last = wanted.place == MovePlace::last && !caller.is_instructor();
  if (own_last && stand_last(results->before.jobs, jobs)) {
    for (auto& outcome : results->outcomes) outcome = Done{false};
    co_return;
  }
  const bool forwards = own_last || wanted.place == MovePlace::first || wanted.place == MovePlace::after;
  std::vector<JobId> placed;  // that went in, the last one last
  for (std::size_t turn = 0; turn < jobs.size(); ++turn) {
    const std::size_t index = forwards ? turn : jobs.size() - 1 - turn;
    std::optional<CommandOutcome>& outcome = results->outcomes[index];
    while (true) {
      // One that went in before may start meanwhile: then the one before it is as good.
      while (!placed.empty() && !face.waiting_job(caller, placed.back())) placed.pop_back();
      const bool beside = !placed.empty() && !own_last;
      const JobMove move =
          beside ? JobMove{forwards ? MovePlace::after : MovePlace::before, placed.back()} : wanted;
      outcome = co_await face.move_job(caller, jobs[index], move);
      const bool anchor_gone = beside && !face.waiting_job(caller, move.anchor);
      if (*outcome || !anchor_gone || !face.waiting_job(caller, jobs[index])) break;
    }
    if (*outcome) placed.push_back(jobs[index]);
  }
}

/// What is not in the list leaves it, the last first; then those who were moved take their places, the first
/// first; then those who came along with them.
awaitable<void> put_all_back(InstructorFace::Impl& face, Caller caller, std::shared_ptr<Results> results) {
  const MoveList& before = results->wanted.before;
  const std::ptrdiff_t size = std::ssize(before.jobs);
  std::vector<std::pair<std::ptrdiff_t, std::size_t>> turns;  // with the index of the result
  std::set<JobId> later;
  for (std::size_t i = 0; i < results->wanted.jobs.size(); ++i) {
    const JobId job = results->wanted.jobs[i];
    const auto place = std::ranges::find(before.jobs, job) - before.jobs.begin();
    const bool along = std::ranges::find(before.along, job) != before.along.end();
    const bool listed = place < size;
    turns.emplace_back(listed ? place + (along ? size : 0) : -1 - static_cast<std::ptrdiff_t>(i), i);
    if (listed) later.insert(job);
  }
  std::ranges::sort(turns);
  for (const auto& [turn, index] : turns) {
    later.erase(results->wanted.jobs[index]);
    results->outcomes[index] = co_await face.put_back(caller, results->wanted.jobs[index], before, later);
  }
}

/// What each change takes back, if that is the same for all.
std::optional<std::string> common_change(const Results& results) {
  std::optional<std::string> common;
  for (const auto& outcome : results.outcomes) {
    if (!*outcome || !(*outcome)->undo) continue;
    const std::string& body = (*outcome)->undo->body;
    if (common && *common != body) return std::nullopt;
    common = body;
  }
  return common;
}

/// The one command that takes all of it back; "null" if there is none.
std::string undo_of_all(const Results& results) {
  const Action action = results.wanted.action, inverse = inverse_of(action);
  const bool moves = inverse == Action::undo_move;
  std::vector<JobId> jobs;
  for (std::size_t i = 0; i < results.outcomes.size(); ++i) {
    const CommandOutcome& outcome = *results.outcomes[i];
    if (outcome && (moves ? outcome->changed : outcome->undo.has_value()))
      jobs.push_back(results.wanted.jobs[i]);
  }
  if (jobs.empty()) return "null";
  if (moves) {
    const auto undo = undo_of_moves(jobs, results.before);
    return undo ? undo_json(*undo) : "null";
  }
  std::string more;
  if (action == Action::change) {
    const auto before = common_change(results);
    if (!before) return "null";
    more = "," + before->substr(1, before->size() - 2);
  }
  return undo_json(
      {"POST", "/jobs/actions",
       fmt::format(R"({{"action":"{}","jobs":[{}]{}}})", to_string(inverse), fmt::join(jobs, ","), more)});
}

std::string answer_json(const Results& results) {
  std::vector<std::string> lines;
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
  }
  const std::size_t not_done = lines.size() - done;
  std::string detail = fmt::format("{} {}", done, past_of(results.wanted.action));
  detail += not_done == 0 ? "." : fmt::format(", {} not: {}", not_done, why);
  return fmt::format(R"({{"action":"{}","done":{},"not_done":{},"detail":{},"undo":{},"results":[{}])",
                     to_string(results.wanted.action), done, not_done, comfy::quote_json(detail),
                     undo_of_all(results), fmt::join(lines, ","));
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
  results->before = list_of(call.caller);
  if (results->wanted.action == Action::move) {
    co_await move_all(*this, call.caller, results);
  } else if (results->wanted.action == Action::undo_move) {
    co_await put_all_back(*this, call.caller, results);
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
