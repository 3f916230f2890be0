// SPDX-License-Identifier: MIT
// /api/v1/enrolments: tokens by which workers come to have keys of their own.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/log.hpp"
#include "comfy/json.hpp"
#include "gateway/access.hpp"
#include "gateway/fresh_secret.hpp"
#include "gateway/instructor/api_views.hpp"
#include "gateway/instructor/instructor_impl.hpp"
#include "gateway/worker_link/worker_download.hpp"
#include "link/enrolment.hpp"

namespace atelier::gateway {
namespace {

constexpr std::uint64_t kMinutesMax = 1'440, kMinutesDefault = 10;
constexpr std::uint64_t kMinuteMs = 60'000;

/// What a rented machine runs; "null" if this server's address is none that a shell may be given.
std::string join_command(const net::Request& request, const std::string& token, const std::string& worker) {
  const auto server = server_address(request);
  if (!server) return "null";
  const std::string name = worker.empty() ? "" : " -s -- --name " + worker;
  return comfy::quote_json(
      fmt::format("curl -fsSL {}/worker/join.sh | ATELIER_ENROL={} sh{}", *server, token, name));
}

}  // namespace

awaitable<net::Response> InstructorFace::Impl::get_enrolments(ApiCall& /*call*/) {
  std::vector<std::string> list;
  workshop.core().each_enrolment([&](const core::EnrolmentFacts& enrolment) {
    list.push_back(enrolment_view(enrolment, workshop.now()));
  });
  co_return api_json(200, fmt::format(R"({{"enrolments":[{}],{}}})", fmt::join(list, ","), tail()));
}

awaitable<net::Response> InstructorFace::Impl::post_enrolment(ApiCall& call) {
  const std::string worker = call.fields.text("worker", 64).value_or("");
  const std::uint64_t minutes = call.fields.number("minutes", 1, kMinutesMax).value_or(kMinutesDefault);
  if (!worker.empty() && !is_worker_name(worker))
    call.fields.complain("worker", "must be 1 to 64 of A-Z a-z 0-9 . _ -");
  if (const auto wrong = call.fields.wrong()) co_return problem_response(*wrong);
  const core::WorkerKeyFacts* key = workshop.core().worker_key(worker);
  if (key != nullptr && !key->revoked) {
    const Problem pinned(409, fmt::format("{} has a key already: revoke it first (the action revoke_key of "
                                          "this worker), or choose another name.",
                                          worker));
    co_return problem_response(pinned);
  }
  const std::string token = std::string(link::kEnrolmentTokenPrefix) + fresh_secret(runtime);
  core::EnrolmentMade made;
  made.token = sha256(token);
  made.worker = worker;
  made.lifetime_ms = minutes * kMinuteMs;
  made.by = call.caller.name();
  const Digest digest = made.token;
  const auto recorded = co_await record(one(std::move(made)));
  const core::EnrolmentFacts* enrolment = workshop.core().enrolment(digest);
  if (!recorded || enrolment == nullptr) {
    const Problem problem =
        recorded ? Problem(503, "It is over already; try again.") : problem_of(recorded.error());
    co_return problem_response(problem);
  }
  log::info("enrolment_made",
            {{"enrolment", enrolment->enrolment}, {"worker", worker}, {"by", call.caller.name()}});
  co_return api_json(201, fmt::format(R"({{"enrolment":{},"token":"{}","command":{},{}}})",
                                      enrolment_view(*enrolment, workshop.now()), token,
                                      join_command(call.request, token, worker), tail()));
}

awaitable<net::Response> InstructorFace::Impl::delete_enrolment(ApiCall& call) {
  const auto number = parse_canonical(call.captures.front(), INT64_MAX);
  const EnrolmentId id{number.value_or(0)};
  const core::EnrolmentFacts* enrolment = workshop.core().enrolment(id);
  if (enrolment == nullptr) {
    const Problem nothing(404,
                          fmt::format("There is no enrolment {}, or not any more.", call.captures.front()));
    co_return problem_response(nothing);
  }
  if (enrolment->state == core::EnrolmentState::used) {
    const Problem used(409,
                       fmt::format("{} has used it: revoke the key of that worker (its action revoke_key).",
                                   enrolment->used_by));
    co_return problem_response(used);
  }
  Done done;
  core::EnrolmentRevoked revoked;
  revoked.enrolment = id;
  revoked.by = call.caller.name();
  const auto recorded = co_await record(one(std::move(revoked)));
  if (!recorded && recorded.error().code != Errc::conflict) {
    const Problem problem = problem_of(recorded.error());
    co_return problem_response(problem);
  }
  enrolment = workshop.core().enrolment(id);
  if (enrolment != nullptr && enrolment->state == core::EnrolmentState::used)
    co_return co_await delete_enrolment(call);  // just now: which says so
  done.changed = recorded.has_value();
  if (done.changed) log::info("enrolment_revoked", {{"enrolment", id}, {"by", call.caller.name()}});
  co_return done_answer("enrolment",
                        enrolment == nullptr ? "null" : enrolment_view(*enrolment, workshop.now()), done);
}

awaitable<net::Response> InstructorFace::Impl::revoke_key(ApiCall& call) {
  const std::string& name = call.captures.front();
  const core::WorkerKeyFacts* key = workshop.core().worker_key(name);
  if (key == nullptr) {
    const Problem none(409,
                       fmt::format("{} has no key of its own: it uses the content of worker.token.", name));
    co_return problem_response(none);
  }
  core::WorkerKeyRevoked revoked;
  revoked.worker = name;
  revoked.by = call.caller.name();
  const auto recorded = co_await record(one(std::move(revoked)));
  if (!recorded && recorded.error().code != Errc::conflict) {
    const Problem problem = problem_of(recorded.error());
    co_return problem_response(problem);
  }
  log::info("worker_action", {{"worker", name}, {"action", "revoke_key"}, {"by", call.caller.name()}});
  co_return api_json(200, fmt::format(R"({{"asked":true,{}}})", tail()));
}

}  // namespace atelier::gateway
