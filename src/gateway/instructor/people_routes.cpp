// SPDX-License-Identifier: MIT
// /api/v1/participants.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "comfy/json.hpp"
#include "gateway/access.hpp"
#include "gateway/instructor/api_views.hpp"
#include "gateway/instructor/instructor_impl.hpp"
#include "runtime/let_others_run.hpp"

namespace atelier::gateway {
namespace {

constexpr std::uint64_t kJobsMax = 200'000, kWeekMs = 7ULL * 24 * 3'600'000;
constexpr std::size_t kKeepMax = 4'096;

/// Jobs that had what the participant gets now before that: their own.
struct Own {
  std::vector<std::uint64_t> priority, pinned_worker;
};

/// Their waiting jobs get the participant's new level and worker, unless the instructor gave them one of
/// their own.
Own add_job_changes(const core::Core& core, const core::ParticipantFacts& before,
                    const core::ParticipantLimits& now, const ParticipantChange& change,
                    std::vector<core::Event>& wanted) {
  Own own;
  core.each_job_of(before.participant, [&](const core::JobFacts& job) {
    const auto gets = [&job](const auto& has, const auto& old, const auto& given, const std::set<JobId>& keep,
                             std::vector<std::uint64_t>& theirs) {
      if (given != old && has == given) theirs.push_back(job.job.value);
      return has == old && !keep.contains(job.job) ? given : has;
    };
    core::JobChanged event;
    event.job = job.job;
    event.priority =
        gets(job.submitted.priority, before.priority, now.priority, change.keep_priority, own.priority);
    event.pinned_worker = gets(job.submitted.pinned_worker, before.pinned_worker, now.pinned_worker,
                               change.keep_pinned_worker, own.pinned_worker);
    if (job.lease) return;
    event.tags = job.submitted.tags;
    event.by = now.by;
    if (event.priority != job.submitted.priority || event.pinned_worker != job.submitted.pinned_worker)
      wanted.emplace_back(std::move(event));
  });
  return own;
}

std::set<JobId> kept_of(BodyFields& fields, std::string_view name) {
  const std::vector<JobId> jobs = fields.jobs(name, kKeepMax);
  return {jobs.begin(), jobs.end()};
}

void add_keep(std::vector<std::string>& members, std::string_view name,
              const std::vector<std::uint64_t>& jobs) {
  if (!jobs.empty()) members.push_back(fmt::format(R"("{}":[{}])", name, fmt::join(jobs, ",")));
}

}  // namespace

std::string object_of(const std::vector<std::string>& members) {
  return fmt::format("{{{}}}", fmt::join(members, ","));
}

awaitable<net::Response> InstructorFace::Impl::get_participants(ApiCall& call) {
  std::vector<std::string> list;
  for (std::uint64_t n = 1; n <= options.num_users; ++n) {
    if (!call.caller.owns(ParticipantId{n})) continue;
    if (n % kSlice == 0) co_await let_others_run();
    list.push_back(participant_view(workshop.core(), ParticipantId{n}));
  }
  co_return api_json(200, fmt::format(R"({{"participants":[{}],{}}})", fmt::join(list, ","), tail()));
}

awaitable<net::Response> InstructorFace::Impl::get_participant(ApiCall& call) {
  const auto number = parse_canonical(call.captures.front(), options.num_users);
  const ParticipantId id{number.value_or(0)};
  if (!number || !call.caller.owns(id)) {
    const std::string& name = call.captures.front();
    const Problem nobody(404, number
                                  ? fmt::format("Participant {} is somebody else.", name)
                                  : fmt::format("There is no participant {}; they are numbered from 1 to {}.",
                                                name, options.num_users));
    co_return problem_response(nobody);
  }
  co_return api_json(
      200, fmt::format(R"({{"participant":{},{}}})", participant_view(workshop.core(), id), tail()));
}

awaitable<net::Response> InstructorFace::Impl::patch_participant(ApiCall& call) {
  using core::PriorityLevel;
  BodyFields& fields = call.fields;
  ParticipantChange change;
  change.held = fields.boolean("held");
  change.waiting_max = fields.number("waiting_max", 0, kJobsMax);
  change.running_max = fields.number("running_max", 0, kJobsMax);
  change.weight_milli = fields.number("weight_milli", 1, core::kMilliMax);
  change.allowance_ms = fields.number("allowance_ms", 0, kWeekMs);
  change.priority = fields.choice("priority", {PriorityLevel::instructor, PriorityLevel::high,
                                               PriorityLevel::normal, PriorityLevel::low});
  change.pinned_worker = worker_of(fields);
  change.keep_priority = kept_of(fields, "keep_priority");
  change.keep_pinned_worker = kept_of(fields, "keep_pinned_worker");
  if (const auto wrong = fields.wrong()) co_return problem_response(*wrong);
  const auto number = parse_canonical(call.captures.front(), options.num_users);
  if (!number) co_return co_await get_participant(call);  // which says that there is nobody
  co_return co_await change_participant(call.caller, ParticipantId{*number}, std::move(change));
}

awaitable<net::Response> InstructorFace::Impl::get_worker_choice(ApiCall& call) {
  const auto number = parse_canonical(call.captures.front(), options.num_users);
  if (!number || !call.caller.owns(ParticipantId{*number})) co_return co_await get_participant(call);
  const core::Core& core = workshop.core();
  const core::ParticipantFacts* facts = core.participant(ParticipantId{*number});
  std::vector<std::string> workers;
  core.each_worker([&](const core::WorkerFacts& worker) {
    workers.push_back(fmt::format(R"({{"worker":{},"connected":{},"draining":{},"paused":{}}})",
                                  comfy::quote_json(worker.name), static_cast<bool>(worker.link),
                                  worker.draining, worker.paused));
  });
  const bool may = call.caller.is_instructor() || options.participants_choose_worker;
  co_return api_json(
      200, fmt::format(R"({{"pinned_worker":{},"may_choose":{},"workers":[{}],{}}})",
                       comfy::quote_json(facts == nullptr ? std::string() : facts->pinned_worker), may,
                       fmt::join(workers, ","), tail()));
}

awaitable<net::Response> InstructorFace::Impl::patch_worker_choice(ApiCall& call) {
  call.fields.require("pinned_worker");
  ParticipantChange change;
  change.pinned_worker = worker_of(call.fields);
  change.keep_pinned_worker = kept_of(call.fields, "keep_pinned_worker");
  if (const auto wrong = call.fields.wrong()) co_return problem_response(*wrong);
  const auto number = parse_canonical(call.captures.front(), options.num_users);
  if (!number || !call.caller.owns(ParticipantId{*number})) co_return co_await get_participant(call);
  if (!call.caller.is_instructor() && !options.participants_choose_worker) {
    const Problem refused(409, "In this workshop the instructor chooses the workers (WORKER_CHOICE).");
    co_return problem_response(refused);
  }
  co_return co_await change_participant(call.caller, ParticipantId{*number}, std::move(change));
}

std::optional<std::string> InstructorFace::Impl::worker_of(BodyFields& fields) const {
  auto name = fields.text("pinned_worker", 64);
  if (name && !name->empty() && workshop.core().worker(*name) == nullptr)
    fields.complain("pinned_worker", "is no worker that has ever joined; \"\" lets any worker take the jobs");
  return name;
}

awaitable<net::Response> InstructorFace::Impl::change_participant(Caller caller, ParticipantId id,
                                                                  ParticipantChange change) {
  const Turn turn = co_await turn_to_edit(fmt::format("participant {}", id));
  core::ParticipantFacts now;
  now.participant = id;
  if (const auto* known = workshop.core().participant(id)) now = *known;

  core::ParticipantLimits limits;
  limits.participant = id;
  limits.by = caller.name();
  std::vector<std::string> before;
  const auto set = [&](auto& member, const auto& old, const auto& wanted, std::string_view name) {
    member = old;
    if (!wanted || *wanted == old) return;
    member = static_cast<std::remove_reference_t<decltype(member)>>(*wanted);
    if constexpr (std::is_enum_v<std::remove_cvref_t<decltype(old)>>) {
      before.push_back(fmt::format(R"("{}":"{}")", name, to_string(old)));
    } else {
      before.push_back(fmt::format(R"("{}":{})", name, old));
    }
  };
  set(limits.waiting_max, now.waiting_max, change.waiting_max, "waiting_max");
  set(limits.running_max, now.running_max, change.running_max, "running_max");
  set(limits.weight_milli, now.weight_milli, change.weight_milli, "weight_milli");
  set(limits.allowance_ms, now.allowance_ms, change.allowance_ms, "allowance_ms");
  set(limits.priority, now.priority, change.priority, "priority");
  limits.pinned_worker = change.pinned_worker.value_or(now.pinned_worker);
  if (limits.pinned_worker != now.pinned_worker)
    before.push_back(fmt::format(R"("pinned_worker":{})", comfy::quote_json(now.pinned_worker)));
  std::vector<core::Event> wanted;
  const Own own = add_job_changes(workshop.core(), now, limits, change, wanted);
  add_keep(before, "keep_priority", own.priority);
  add_keep(before, "keep_pinned_worker", own.pinned_worker);
  const std::string by = limits.by;
  if (!before.empty()) wanted.emplace_back(std::move(limits));
  if (change.held && *change.held != now.held) {
    wanted.emplace_back(core::ParticipantHeld{id, *change.held, by});
    before.push_back(fmt::format(R"("held":{})", now.held));
  }
  Done done;
  done.changed = !wanted.empty();
  // Jobs that an undo cannot name, it would change: then there is none.
  if (done.changed && std::max(own.priority.size(), own.pinned_worker.size()) <= kKeepMax) {
    done.undo = Undo{"PATCH", fmt::format("/participants/{}{}", id, caller.is_instructor() ? "" : "/worker"),
                     object_of(before)};
  }
  const auto recorded = co_await record(std::move(wanted));
  // Conflicts: somebody did the same just now, or one of the jobs has started meanwhile.
  if (!recorded && recorded.error().code != Errc::conflict && recorded.error().code != Errc::not_found) {
    const Problem problem = problem_of(recorded.error());
    co_return problem_response(problem);
  }
  co_return done_answer("participant", participant_view(workshop.core(), id), done);
}

}  // namespace atelier::gateway
