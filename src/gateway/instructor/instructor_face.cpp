// SPDX-License-Identifier: MIT
#include "gateway/instructor/instructor_face.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "comfy/json.hpp"
#include "gateway/access.hpp"
#include "gateway/instructor/api_views.hpp"
#include "gateway/instructor/instructor_impl.hpp"

namespace atelier::gateway {
namespace {

constexpr std::string_view kOpenApiPath = "/api/openapi.json";
constexpr std::size_t kKeyBytesMax = 200;

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> parts;
  while (path.starts_with('/')) {
    path.remove_prefix(1);
    parts.push_back(path.substr(0, path.find('/')));
    path.remove_prefix(parts.back().size());
  }
  return parts;
}

std::optional<std::vector<std::string>> match(std::string_view pattern, std::string_view path) {
  const auto wanted = split(pattern), given = split(path);
  if (wanted.size() != given.size()) return std::nullopt;
  std::vector<std::string> captures;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (!wanted[i].starts_with('{')) {
      if (wanted[i] != given[i]) return std::nullopt;
      continue;
    }
    auto decoded = net::percent_decode(given[i]);
    if (!decoded || decoded->empty()) return std::nullopt;
    captures.push_back(std::move(*decoded));
  }
  return captures;
}

bool is_json(std::string_view content_type) {
  const std::string_view type = content_type.substr(0, content_type.find(';'));
  const std::string_view trimmed = type.substr(0, type.find_last_not_of(" \t") + 1);
  return net::equal_without_case(trimmed, "application/json") ||
         net::equal_without_case(trimmed, "application/merge-patch+json");
}

}  // namespace

InstructorFace::Impl::Impl(Runtime& r, workshop::Workshop& w, ApiAccess a, InstructorFaceOptions o)
    : runtime(r),
      workshop(w),
      access(std::move(a)),
      options(o),
      order([this] { return present_order(workshop.core()); }),
      edit_over(r),
      idempotency(r),
      waiting(r, w),
      events(r, w, o.num_users, waiting, wall_clock, [this] { return order(); }),
      openapi(std::make_shared<const std::string>(openapi_document())),
      tasks(r) {}

InstructorFace::InstructorFace(Runtime& runtime, workshop::Workshop& workshop, ApiAccess access,
                               InstructorFaceOptions options)
    : impl_(std::make_unique<Impl>(runtime, workshop, std::move(access), options)) {}
InstructorFace::~InstructorFace() = default;

void InstructorFace::set_order(std::function<std::vector<JobId>()> order) { impl_->order = std::move(order); }
void InstructorFace::set_outlook(const workshop::Outlook& outlook) { impl_->waiting.set_outlook(outlook); }
void InstructorFace::set_worker_link(WorkerLink& link) { impl_->worker_link = &link; }
void InstructorFace::set_engine_pages(EnginePages& pages) { impl_->engine_pages = &pages; }
bool InstructorFace::owns(std::string_view path) {
  return path == kOpenApiPath || path == kApiRoot ||
         (path.starts_with(kApiRoot) && path.substr(kApiRoot.size()).starts_with('/'));
}
awaitable<net::Response> InstructorFace::handle(net::Request& request) { return impl_->handle(request); }

void InstructorFace::on_effects(const core::Entry& entry, std::span<const core::Effect> effects) {
  const bool refused = std::ranges::any_of(
      effects, [](const core::Effect& effect) { return std::holds_alternative<core::Refused>(effect); });
  if (const auto* scheduled = std::get_if<core::CancelScheduled>(&entry.event)) {
    const core::JobFacts* job = impl_->workshop.core().job(scheduled->job);
    const bool own =
        job != nullptr && scheduled->by == Caller{Role::participant, job->submitted.participant}.name();
    // The instructor's cancel stands, also where the owner's came first.
    if (!own) impl_->own_cancels.erase(scheduled->job);
    if (own && !refused) impl_->own_cancels.insert(scheduled->job);
  } else if (const auto* undone = std::get_if<core::CancelUndone>(&entry.event)) {
    impl_->own_cancels.erase(undone->job);
  } else if (const auto* ended = std::get_if<core::Ended>(&entry.event)) {
    impl_->own_cancels.erase(ended->job);
  }
  impl_->events.on_effects(entry, effects);
}

awaitable<void> InstructorFace::stop(Instant deadline) {
  impl_->stopping = true;
  co_await impl_->events.stop(deadline);
  [[maybe_unused]] const bool over = co_await impl_->tasks.stop(deadline);
}

InstructorFace::Impl::Found InstructorFace::Impl::find(net::Method method, std::string_view path) {
  Found found;
  // "/jobs/actions" is no job: a path without {...} goes before one with it (OpenAPI 3.1, path templating).
  for (const bool templated : {false, true}) {
    for (const ApiRoute& route : api_routes()) {
      if ((route.path.find('{') != std::string_view::npos) != templated) continue;
      auto captures = match(route.path, path);
      if (!captures) continue;
      if (route.method == method) {
        found.route = &route;
        found.captures = std::move(*captures);
        return found;
      }
      if (!found.allow.empty()) found.allow += ", ";
      found.allow += net::to_string(route.method);
      if (route.method == net::Method::get) found.allow += ", HEAD";
    }
    if (!found.allow.empty()) break;
  }
  return found;
}

awaitable<net::Response> InstructorFace::Impl::handle(net::Request& request) {
  const std::string_view path = request.path();
  if (path == kOpenApiPath && request.method == net::Method::get) {
    net::Response response(200, "application/json", net::SharedBody(openapi));
    response.headers.add("Cache-Control", "no-cache");
    co_return response;
  }
  Found found = path == kOpenApiPath ? Found{nullptr, "GET, HEAD", {}}
                                     : find(request.method, path.substr(kApiRoot.size()));
  if (found.route == nullptr && found.allow.empty()) {
    const Problem nothing(404, "There is nothing at this address; /api/openapi.json lists what there is.");
    co_return problem_response(nothing);
  }
  if (found.route == nullptr) {  // also of methods that nobody knows
    const Problem method(405, fmt::format("This address takes {} only.", found.allow));
    net::Response response = problem_response(method);
    response.headers.add("Allow", found.allow);
    co_return response;
  }
  ApiCall call{request, {}, std::move(found.captures), {}};
  // A browser's socket cannot bring a header: it may say who it is later (get_events).
  const bool later = request.wants_websocket() && !request.headers.contains("Authorization");
  if (later && found.route->id == "events") co_return co_await get_events(call);
  const auto caller = access.caller_of(request);
  if (!caller) {
    const Problem problem = problem_of(caller.error());
    co_return problem_response(problem);
  }
  call.caller = *caller;
  if (call.caller.role < found.route->least) {
    const Problem forbidden(403, "This is the instructor's; the token that was sent is a participant's.");
    co_return problem_response(forbidden);
  }
  if (found.route->is_command()) co_return co_await run_command(call, *found.route);
  co_return co_await (this->*found.route->handler)(call);
}

awaitable<net::Response> InstructorFace::Impl::run_command(ApiCall& call, const ApiRoute& route) {
  auto body = co_await call.request.read_all(options.body_bytes_max);
  if (!body) {
    Problem problem = problem_of(body.error());
    if (problem.status == 413)
      problem.detail = fmt::format("The body may have {} bytes at most.", options.body_bytes_max);
    co_return problem_response(problem);
  }
  if (body->empty() && route.body_required()) {
    const Problem empty(400, fmt::format("The body is empty: send a JSON object (the schema {} of "
                                         "/api/openapi.json). Nothing was changed.",
                                         route.body));
    co_return problem_response(empty);
  }
  if (!body->empty() && !is_json(call.request.headers.get("Content-Type"))) {
    const Problem type(415, "Send the body as Content-Type: application/json.");
    co_return problem_response(type);
  }
  auto fields = BodyFields::parse(*body);
  if (!fields) co_return problem_response(fields.error());
  call.fields = std::move(*fields);
  const auto given = call.request.headers.find("Idempotency-Key");
  if (!given) co_return co_await (this->*route.handler)(call);
  const bool visible = std::ranges::all_of(*given, [](char c) { return c > ' ' && c < 127; });
  if (given->empty() || given->size() > kKeyBytesMax || !visible) {
    const Problem key(400,
                      fmt::format("Idempotency-Key must have 1 to {} visible characters.", kKeyBytesMax));
    co_return problem_response(key);
  }
  // A key is its sender's own: nobody else's command is answered by it.
  std::string key = fmt::format("{} {}", call.caller.name(), *given);
  const Digest request =
      sha256(fmt::format("{} {}\n{}", net::to_string(call.request.method), call.request.target, *body));
  auto work = [this, &call, &route] { return (this->*route.handler)(call); };
  co_return co_await idempotency.run(std::move(key), request, std::move(work));
}

// ---- answers

net::Response api_json(unsigned status, std::string body) {
  net::Response response = net::Response::json(status, std::move(body));
  response.headers.add("Cache-Control", "no-store");
  return response;
}

std::optional<JobId> parse_job(std::string_view text) {
  const auto number = parse_canonical(text, INT64_MAX);
  return number ? std::optional(JobId{*number}) : std::nullopt;
}

std::string undo_json(const Undo& undo) {
  return fmt::format(R"({{"method":"{}","path":{},"body":{}}})", undo.method,
                     comfy::quote_json(std::string(kApiRoot) + undo.path),
                     undo.body.empty() ? "null" : undo.body);
}

std::string InstructorFace::Impl::tail() const { return as_of(workshop.core()); }

net::Response InstructorFace::Impl::done_answer(std::string_view member, std::string_view value,
                                                const Done& done) const {
  return api_json(200, fmt::format(R"({{"{}":{},"changed":{},"undo":{},{}}})", member, value, done.changed,
                                   done.undo ? undo_json(*done.undo) : "null", tail()));
}

std::optional<std::string> InstructorFace::Impl::view_of(const Caller& caller, JobId id) const {
  if (const core::JobFacts* job = workshop.core().job(id)) {
    if (caller.owns(job->submitted.participant)) return job_view(workshop.core(), *job, wall_clock);
  } else if (const core::Summary* summary = workshop.history().find(id)) {
    if (caller.owns(summary->participant)) return job_view(*summary);
  }
  return std::nullopt;
}

net::Response InstructorFace::Impl::job_answer(JobId job, const CommandOutcome& outcome) const {
  if (!outcome) return problem_response(outcome.error());
  const auto view = view_of(Caller{Role::instructor, {}}, job);
  return done_answer("job", view ? *view : "null", *outcome);
}

// ---- recording

awaitable<Result<void>> InstructorFace::Impl::record(std::vector<core::Event> wanted) {
  struct Shared {
    std::size_t left = 0;
    Result<void> result;
    Answer<bool> all;
  };
  if (wanted.empty()) co_return Result<void>{};
  if (stopping) co_return fail(Errc::unavailable, "The server stops; send this again in a few seconds.");
  auto shared = std::make_shared<Shared>();
  shared->left = wanted.size();
  const auto one = [](workshop::Workshop& to, core::Event event,
                      std::shared_ptr<Shared> into) -> awaitable<void> {
    auto posted = co_await to.record(std::move(event));
    if (!posted && into->result) into->result = std::unexpected(posted.error());
    if (--into->left == 0) into->all.give(true);
  };
  for (core::Event& event : wanted) tasks.spawn("api command", one(workshop, std::move(event), shared));
  [[maybe_unused]] const auto done = co_await shared->all.wait();
  co_return shared->result;
}

}  // namespace atelier::gateway
