// SPDX-License-Identifier: MIT
// How a worker comes to be known by a key of its own: an enrolment's token has the key pinned to the worker's
// name, once; from then on a signature opens a session (docs/protocol/worker-link.md, "Enrolment").
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/log.hpp"
#include "base/signature.hpp"
#include "comfy/json.hpp"
#include "gateway/worker_link/worker_link_impl.hpp"
#include "link/enrolment.hpp"

namespace atelier::gateway {
namespace {

using core::EnrolmentVerdict;

constexpr std::size_t kBodyBytesMax = 4'096;
constexpr milliseconds kToldAgain{10'000};
constexpr std::string_view kMakeNew = "make a new one (POST /api/v1/enrolments)";

net::Response refuse(unsigned status, std::string_view sentence) {
  net::Response response = net::Response::text(status, fmt::format("{}\n", sentence));
  if (status == 503) response.headers.set("Retry-After", "5");
  return response;
}

net::Response only_post() {
  net::Response response = refuse(405, "This address is for POST.");
  response.headers.add("Allow", "POST");
  return response;
}

net::Response fresh_json(std::string text) {
  net::Response response = net::Response::json(200, std::move(text));
  response.headers.add("Cache-Control", "no-store");
  return response;
}

/// The string members of a small JSON object, "" for one that is missing.
class Members {
 public:
  static Result<Members> parse(std::string_view text) {
    auto json = comfy::Json::parse(text, {.bytes_max = kBodyBytesMax, .depth_max = 2});
    if (!json || !json->is_object()) return fail(Errc::bad_request, "The body is no JSON object.");
    return Members(std::move(*json));
  }
  [[nodiscard]] std::string text(std::string_view name) const {
    const boost::json::value* value = json_.object().if_contains(name);
    return value != nullptr && value->is_string() ? std::string(std::string_view(value->get_string()))
                                                  : std::string();
  }

 private:
  explicit Members(comfy::Json json) : json_(std::move(json)) {}
  comfy::Json json_;
};

awaitable<Result<Members>> members_of(net::Request& request) {
  auto body = co_await request.read_all(kBodyBytesMax);
  if (!body) co_return std::unexpected(body.error());
  co_return Members::parse(*body);
}

constexpr std::string_view kNameRule = "A worker's name has 1 to 64 of A-Z a-z 0-9 . _ -";

std::string sentence_of(EnrolmentVerdict verdict, const std::string& worker) {
  switch (verdict) {
    case EnrolmentVerdict::used:
      return fmt::format("This enrolment token has been used: {}.", kMakeNew);
    case EnrolmentVerdict::expired:
      return fmt::format("This enrolment token has expired: {}.", kMakeNew);
    case EnrolmentVerdict::revoked:
      return fmt::format("This enrolment token was revoked: {}.", kMakeNew);
    case EnrolmentVerdict::other_worker:
      return fmt::format(
          "This enrolment token is not for a worker called {}: start the worker with the --name that the "
          "token "
          "was made for.",
          worker);
    case EnrolmentVerdict::name_taken:
      return fmt::format(
          "The name {0} belongs to another machine: choose another --name, or revoke its key (POST "
          "/api/v1/workers/{0}/actions with revoke_key); if it has none, make a token for this name.",
          worker);
    case EnrolmentVerdict::key_revoked:
      return fmt::format("{}the worker has to make a new key.", link::kKeyRevoked);
    case EnrolmentVerdict::full:
      return "This workshop keeps no more keys of workers: revoke one that is not needed any more.";
    case EnrolmentVerdict::unknown:
    case EnrolmentVerdict::accepted:
    case EnrolmentVerdict::repeated:
      break;
  }
  return fmt::format("This enrolment token is not known here, or not any more: {}.", kMakeNew);
}

unsigned status_of(EnrolmentVerdict verdict) {
  if (verdict == EnrolmentVerdict::unknown) return 401;
  if (verdict == EnrolmentVerdict::key_revoked) return 409;
  return verdict == EnrolmentVerdict::full ? 503 : 403;
}

}  // namespace

bool is_worker_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

std::optional<std::string_view> bearer_token(const net::Request& request) {
  constexpr std::string_view kScheme = "Bearer ";
  const std::string_view value = request.headers.get("Authorization");
  return value.starts_with(kScheme) ? std::optional(value.substr(kScheme.size())) : std::nullopt;
}

std::optional<WorkerIdentity> WorkerLink::Impl::identity_of(const net::Request& request) const {
  const auto token = bearer_token(request);
  if (!token) return std::nullopt;
  if (equal_in_constant_time(*token, options.token)) return WorkerIdentity{};
  return credentials.identity_of(*token);
}

Result<void> WorkerLink::Impl::may_link(const WorkerIdentity& identity, const std::string& name) const {
  const bool pinned = holds_key(name);
  if (identity.worker.empty() ? !pinned : pinned && identity.worker == name) return {};
  if (identity.worker.empty()) {
    return fail(
        Errc::forbidden,
        fmt::format("The name {0} belongs to a machine with a key of its own: choose another --name, or "
                    "revoke that key (POST /api/v1/workers/{0}/actions with revoke_key).",
                    name));
  }
  return fail(Errc::forbidden, fmt::format("This session is that of another worker than {}.", name));
}

bool WorkerLink::Impl::may_tell_refusal() {
  const Instant now = runtime.now();
  if (refusal_told && now - *refusal_told < kToldAgain) return false;
  refusal_told = now;
  return true;
}

awaitable<net::Response> WorkerLink::Impl::enrol(net::Request& request) {
  if (request.method != net::Method::post) co_return only_post();
  const auto token = bearer_token(request);
  if (!token || !token->starts_with(link::kEnrolmentTokenPrefix))
    co_return refuse(401, "Send the enrolment token as Authorization: Bearer TOKEN.");
  const Digest digest = sha256(*token);
  const auto members = co_await members_of(request);
  if (!members) co_return refuse(400, members.error().what);
  core::EnrolmentUsed use;
  use.worker = members->text("worker");
  use.public_key = members->text("public_key");
  if (!is_worker_name(use.worker)) co_return refuse(400, kNameRule);
  if (!is_public_key(use.public_key)) co_return refuse(400, "public_key has 64 lowercase hex digits.");
  if (stopping || !workshop.accepting()) co_return refuse(503, "Not now; try again.");
  const core::EnrolmentFacts* enrolment = workshop.core().enrolment(digest);
  if (enrolment != nullptr) use.enrolment = enrolment->enrolment;
  EnrolmentVerdict verdict = workshop.core().judge(use, workshop.now());
  if (verdict == EnrolmentVerdict::accepted) {
    const auto recorded = co_await workshop.record(core::Event{use});
    if (recorded) {
      log::info("worker_enrolled", {{"worker", use.worker}, {"enrolment", use.enrolment}});
    } else {
      verdict = workshop.core().judge(use, workshop.now());  // somebody else may have been first
      if (verdict == EnrolmentVerdict::accepted) co_return refuse(503, recorded.error().what);
    }
  }
  if (verdict == EnrolmentVerdict::accepted || verdict == EnrolmentVerdict::repeated)
    co_return fresh_json(fmt::format(R"({{"worker":{}}})", comfy::quote_json(use.worker)));
  co_await tell_misuse(use, verdict);
  co_return refuse(status_of(verdict), sentence_of(verdict, use.worker));
}

awaitable<void> WorkerLink::Impl::tell_misuse(core::EnrolmentUsed use, core::EnrolmentVerdict verdict) {
  const core::EnrolmentFacts* enrolment = workshop.core().enrolment(use.enrolment);
  bool alarm = enrolment != nullptr && core::is_misuse(verdict);
  // Its own user's, whose key was revoked since.
  if (alarm && verdict == EnrolmentVerdict::used)
    alarm = enrolment->public_key != use.public_key || enrolment->used_by != use.worker;
  const auto known = [&] {
    return std::ranges::find(enrolment->misuses, verdict, &core::EnrolmentMisuse::verdict) !=
           enrolment->misuses.end();
  };
  const std::pair key{use.enrolment, verdict};
  const bool fresh = alarm && !known() && misuses_told.insert(key).second;
  if (fresh || may_tell_refusal()) {
    log::warn("enrolment_refused",
              {{"enrolment", use.enrolment}, {"worker", use.worker}, {"reason", core::to_string(verdict)}});
  }
  if (!fresh) co_return;
  core::EnrolmentMisused misused;
  misused.enrolment = use.enrolment;
  misused.verdict = verdict;
  misused.worker = use.worker;
  const auto recorded = co_await workshop.record(core::Event{std::move(misused)});
  if (!recorded) log::warn("alarm_not_recorded", {{"reason", recorded.error().what}});
  misuses_told.erase(key);
}

net::Response WorkerLink::Impl::challenge(const net::Request& request) {
  if (request.method != net::Method::post) return only_post();
  return fresh_json(fmt::format(R"({{"challenge":"{}","expires_in_ms":{}}})", credentials.make_challenge(),
                                WorkerCredentials::kChallengeLife.count()));
}

awaitable<net::Response> WorkerLink::Impl::open_session(net::Request& request) {
  if (request.method != net::Method::post) co_return only_post();
  const auto members = co_await members_of(request);
  if (!members) co_return refuse(400, members.error().what);
  const std::string worker = members->text("worker");
  const std::string challenge = members->text("challenge");
  if (!is_worker_name(worker)) co_return refuse(400, kNameRule);
  if (!credentials.take_challenge(challenge))
    co_return refuse(409, "This challenge was used, or is older than a minute: ask for another one.");
  const core::WorkerKeyFacts* key = workshop.core().worker_key(worker);
  const bool own = key != nullptr && is_signed_by(key->public_key, link::proof_text(worker, challenge),
                                                  members->text("signature"));
  if (own && !key->revoked) {
    co_return fresh_json(fmt::format(R"({{"token":"{}","expires_in_ms":{}}})",
                                     credentials.open_session(worker),
                                     WorkerCredentials::kSessionLife.count()));
  }
  if (may_tell_refusal())
    log::warn("worker_key_refused", {{"worker", worker}, {"reason", own ? "revoked" : "not pinned"}});
  co_return refuse(403,
                   own ? fmt::format("The key of {} was revoked: make a new enrolment token for it "
                                     "(POST /api/v1/enrolments) and join again.",
                                     worker)
                       : fmt::format("This machine's key does not belong to the name {} here: enrol with "
                                     "a token of POST /api/v1/enrolments.",
                                     worker));
}

bool WorkerLink::Impl::holds_key(const std::string& worker) const {
  const core::WorkerKeyFacts* key = workshop.core().worker_key(worker);
  return key != nullptr && !key->revoked;
}

void WorkerLink::Impl::end_links_of_key(const std::string& worker) {
  credentials.end_sessions(worker);
  for (const SessionPtr& session : sessions) {
    if (session->identity.worker != worker) continue;
    session->outgoing.close(net::CloseCode::policy, "the key of this worker was revoked");
    if (!session->link || by_link.erase(session->link) == 0) continue;
    core::WorkerLeft left;
    left.worker = session->worker;
    left.link = session->link;
    left.reason = "its key was revoked";
    workshop.post(core::Event{std::move(left)});
  }
  workshop.core().each_worker([&](const core::WorkerFacts& facts) {
    if (facts.name == worker) tunnels.end(facts.worker);
  });
  update_connected();
  catalog.forget(worker);
}

}  // namespace atelier::gateway
