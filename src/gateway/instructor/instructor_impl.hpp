// SPDX-License-Identifier: MIT
#pragma once
// Internal to instructor: the parts of the API and what its routes share.

#include <deque>
#include <expected>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "gateway/instructor/api_events.hpp"
#include "gateway/instructor/api_waiting.hpp"
#include "gateway/instructor/body_fields.hpp"
#include "gateway/instructor/idempotency.hpp"
#include "gateway/instructor/instructor_face.hpp"
#include "gateway/instructor/problem.hpp"
#include "runtime/signal.hpp"
#include "runtime/task_group.hpp"

namespace atelier::gateway {

/// One request on its way through the API.
struct ApiCall {
  net::Request& request;
  Caller caller;
  std::vector<std::string> captures;  // of the path's {...}, decoded once
  BodyFields fields;                  // of commands
};

/// A command that takes back what another did, as the client would send it.
struct Undo {
  std::string_view method;
  std::string path;       // below /api/v1
  std::string body = {};  // JSON, "" = none
};
struct Done {
  bool changed = true;  // false: it was so already, and nothing was recorded
  std::optional<Undo> undo = std::nullopt;
};
using CommandOutcome = std::expected<Done, Problem>;

/// What a command asks of one job; what is absent stays.
struct JobChange {
  std::optional<bool> held;
  std::optional<core::PriorityLevel> priority;
  std::optional<std::string> pinned_worker;
  std::optional<std::vector<std::string>> tags;
  [[nodiscard]] bool any() const { return held || priority || pinned_worker || tags; }
};
/// What a command asks of one participant; what is absent stays.
struct ParticipantChange {
  std::optional<bool> held;
  std::optional<std::uint64_t> waiting_max, running_max, weight_milli, allowance_ms;
  std::optional<core::PriorityLevel> priority;
  std::optional<std::string> pinned_worker;  // "": any
  // Jobs that keep the level or worker that they have: of an undo.
  std::set<JobId> keep_priority, keep_pinned_worker;
};
struct JobMove {
  core::MovePlace place = core::MovePlace::first;
  JobId anchor;  // of before and after
};
/// What moves put in order: the instructor's list, or a participant's own jobs that wait.
struct MoveList {
  std::vector<JobId> jobs;
  std::vector<JobId> along;  // of the instructor's: came along, were not moved themselves
};

/// One line of the table that the router and the OpenAPI document are both made of.
struct ApiRoute {
  net::Method method;
  std::string_view path;  // below /api/v1: "/jobs/{job}"
  Role least;             // who may
  std::string_view id, summary;
  std::string_view query;  // names of parameters, separated by spaces
  std::string_view body;   // names of schemas; "" = none
  std::string_view answer;
  std::string_view refusals;  // statuses beside 401, 403 and what every command may get
  awaitable<net::Response> (InstructorFace::Impl::*handler)(ApiCall&);
  [[nodiscard]] bool is_command() const { return method != net::Method::get; }
  /// Else an empty one stands for the members' defaults.
  [[nodiscard]] bool body_required() const {
    return !body.empty() && body != "JobCancel" && body != "EnrolmentWanted";
  }
};
[[nodiscard]] std::span<const ApiRoute> api_routes();
/// OpenAPI 3.1.
[[nodiscard]] std::string openapi_document();
/// Members of components/schemas, and of components/parameters, as JSON text without braces.
extern const std::string_view kOpenApiSchemas, kOpenApiParameters;

/// What an agent can be asked to do with the ComfyUI of a slot, and with its slots; and what becomes of its
/// key.
enum class WorkerAction { restart_engine, free_memory, add_slot, remove_slot, revoke_key };
[[nodiscard]] constexpr std::string_view to_string(WorkerAction action) {
  switch (action) {
    case WorkerAction::restart_engine:
      return "restart_engine";
    case WorkerAction::free_memory:
      return "free_memory";
    case WorkerAction::add_slot:
      return "add_slot";
    case WorkerAction::remove_slot:
      return "remove_slot";
    case WorkerAction::revoke_key:
      return "revoke_key";
  }
  return "";
}
/// What a ticket opens: the socket of events, or a worker's own ComfyUI.
enum class TicketUse { events, engine };
[[nodiscard]] constexpr std::string_view to_string(TicketUse use) {
  return use == TicketUse::events ? "events" : "engine";
}
/// `{"gpu":1}` of the members given.
[[nodiscard]] std::string object_of(const std::vector<std::string>& members);

// What a body says about jobs: the same members in the routes of one job and in actions.
[[nodiscard]] JobChange change_of(BodyFields& fields, const core::Core& core);
[[nodiscard]] JobMove move_of(BodyFields& fields);
[[nodiscard]] milliseconds undo_of(BodyFields& fields);

/// The command that puts moved jobs back to where they stood; nothing if no body has room for that.
[[nodiscard]] std::optional<Undo> undo_of_moves(const std::vector<JobId>& jobs, const MoveList& before);
inline constexpr std::size_t kMoveListMax = 4'096;  // jobs in the list of such a command

inline constexpr std::string_view kApiRoot = "/api/v1";

struct InstructorFace::Impl {
  Impl(Runtime& r, workshop::Workshop& w, ApiAccess a, InstructorFaceOptions o);

  awaitable<net::Response> handle(net::Request& request);
  awaitable<net::Response> run_command(ApiCall& call, const ApiRoute& route);
  /// Of one path: the routes that have it, and what its {...} stand for.
  struct Found {
    const ApiRoute* route = nullptr;
    std::string allow;  // of other methods; "" = no such path
    std::vector<std::string> captures;
  };
  static Found find(net::Method method, std::string_view path);

  // routes
  awaitable<net::Response> get_queue(ApiCall& call);
  awaitable<net::Response> patch_queue(ApiCall& call);
  awaitable<net::Response> get_jobs(ApiCall& call);
  awaitable<net::Response> get_job(ApiCall& call);
  awaitable<net::Response> patch_job(ApiCall& call);
  awaitable<net::Response> post_move(ApiCall& call);
  awaitable<net::Response> delete_move(ApiCall& call);
  awaitable<net::Response> post_cancel(ApiCall& call);
  awaitable<net::Response> delete_cancel(ApiCall& call);
  awaitable<net::Response> post_actions(ApiCall& call);
  awaitable<net::Response> get_participants(ApiCall& call);
  awaitable<net::Response> get_participant(ApiCall& call);
  awaitable<net::Response> patch_participant(ApiCall& call);
  awaitable<net::Response> get_worker_choice(ApiCall& call);
  awaitable<net::Response> patch_worker_choice(ApiCall& call);
  std::optional<std::string> worker_of(BodyFields& fields) const;
  awaitable<net::Response> change_participant(Caller caller, ParticipantId id, ParticipantChange change);
  awaitable<net::Response> get_workers(ApiCall& call);
  awaitable<net::Response> get_worker(ApiCall& call);
  awaitable<net::Response> patch_worker(ApiCall& call);
  awaitable<net::Response> get_telemetry(ApiCall& call);
  awaitable<net::Response> get_engine_log(ApiCall& call);
  awaitable<net::Response> post_worker_action(ApiCall& call);
  /// Errors: not_found, conflict, with a sentence for people.
  Result<void> ask_worker(const std::string& name, WorkerAction action, std::uint32_t slot,
                          std::uint16_t port);
  awaitable<net::Response> get_enrolments(ApiCall& call);
  awaitable<net::Response> post_enrolment(ApiCall& call);
  awaitable<net::Response> delete_enrolment(ApiCall& call);
  awaitable<net::Response> revoke_key(ApiCall& call);
  awaitable<net::Response> post_ticket(ApiCall& call);
  net::Response post_engine_ticket(ApiCall& call);
  awaitable<net::Response> get_events(ApiCall& call);

  /// One command at a time about one job or participant: it is told whole, as it stood before.
  class Turn {
   public:
    Turn(Impl& impl, std::string what) : impl_(&impl), what_(std::move(what)) {}
    Turn(Turn&& other) noexcept : impl_(std::exchange(other.impl_, nullptr)), what_(std::move(other.what_)) {}
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (impl_ == nullptr) return;
      impl_->edited.erase(what_);
      impl_->edit_over.notify_all();
    }

   private:
    Impl* impl_;
    std::string what_;
  };
  awaitable<Turn> turn_to_edit(std::string what);

  // commands about one job (job_commands.cpp, moves.cpp); moves have no undo of their own: undo_of_moves()
  awaitable<CommandOutcome> change_job(Caller caller, JobId job, JobChange change);
  awaitable<CommandOutcome> move_job(Caller caller, JobId job, JobMove move);
  awaitable<CommandOutcome> undo_move(Caller caller, JobId job);
  awaitable<CommandOutcome> cancel_job(Caller caller, JobId job, milliseconds undo);
  awaitable<CommandOutcome> undo_cancel(Caller caller, JobId job);
  /// Among its owner's jobs only.
  awaitable<CommandOutcome> reorder_job(Caller caller, JobId job, JobMove move);
  /// As it is now.
  MoveList list_of(const Caller& caller) const;
  /// To where it stood in such a list, or out of the instructor's, if it was not there. `later`: jobs that
  /// will be put back after it. `before` outlives the call.
  awaitable<CommandOutcome> put_back(Caller caller, JobId job, const MoveList& before, std::set<JobId> later);
  /// The same for one that had only come along: it leaves the list again with those who were moved.
  awaitable<CommandOutcome> put_along(Caller caller, JobId job, const std::vector<JobId>& list,
                                      std::set<JobId> later);
  JobMove place_in(const Caller& caller, JobId job, const std::vector<JobId>& list,
                   const std::set<JobId>& later) const;
  /// The job if it waits and the caller may see it.
  std::expected<const core::JobFacts*, Problem> waiting_job(const Caller& caller, JobId job) const;
  Problem not_waiting(const Caller& caller, JobId job) const;
  std::expected<std::vector<JobId>, Problem> ahead_of(JobId job, const JobMove& move) const;
  std::vector<JobId> whole_order() const;

  /// Records the events together; the first error, if there is one.
  awaitable<Result<void>> record(std::vector<core::Event> events);
  /// Events about one job; a problem that says how the job stands.
  awaitable<std::optional<Problem>> record_for(const Caller& caller, JobId job,
                                               std::vector<core::Event> events);
  static std::vector<core::Event> one(core::Event event) {
    std::vector<core::Event> list;
    list.push_back(std::move(event));
    return list;
  }

  // answers
  [[nodiscard]] std::string tail() const;  // `"sequence":..,"time":..`
  [[nodiscard]] net::Response job_answer(JobId job, const CommandOutcome& outcome) const;
  [[nodiscard]] net::Response done_answer(std::string_view member, std::string_view value,
                                          const Done& done) const;
  [[nodiscard]] std::optional<std::string> view_of(const Caller& caller, JobId job) const;

  // the socket's ways in
  awaitable<void> serve_events(std::unique_ptr<net::WebSocket> socket, std::optional<Caller> caller,
                               std::optional<std::uint64_t> since);
  struct Ticket {
    Caller caller;
    Instant until;
  };
  std::optional<Caller> take_ticket(const std::string& ticket);

  Runtime& runtime;
  workshop::Workshop& workshop;
  ApiAccess access;
  InstructorFaceOptions options;
  std::function<std::vector<JobId>()> order;
  WorkerLink* worker_link = nullptr;
  EnginePages* engine_pages = nullptr;
  std::set<std::string> edited;  // what is being edited now
  Signal edit_over;
  Idempotency idempotency;
  ApiWaiting waiting;
  mutable WallClock wall_clock;  // what was told once stays
  ApiEvents events;
  std::map<std::string, Ticket, std::less<>> tickets;
  bool stopping = false;
  std::size_t strangers = 0;    // sockets that have not said who they are
  std::set<JobId> own_cancels;  // scheduled by the job's owner: theirs to undo
  std::shared_ptr<const std::string> openapi;
  TaskGroup tasks;
};

/// "412" -> 412; nothing for what is no id.
[[nodiscard]] std::optional<JobId> parse_job(std::string_view text);
[[nodiscard]] net::Response api_json(unsigned status, std::string body);
[[nodiscard]] std::string undo_json(const Undo& undo);

}  // namespace atelier::gateway
