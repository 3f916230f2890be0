// SPDX-License-Identifier: MIT
#pragma once
// The parts of WorkerLink, over several files: enrolment.cpp (keys), sessions.cpp (opening, effects),
// reports.cpp (what agents say), commits.cpp (outputs), blobs.cpp (HTTP). Internal to worker_link.

#include <map>
#include <memory>
#include <set>
#include <string>

#include "gateway/worker_link/accepted_form.hpp"
#include "gateway/worker_link/credentials.hpp"
#include "gateway/worker_link/session.hpp"
#include "gateway/worker_link/tunnels.hpp"
#include "gateway/worker_link/worker_link.hpp"
#include "runtime/signal.hpp"
#include "runtime/task_group.hpp"

namespace atelier::gateway {

using SessionPtr = std::shared_ptr<LinkSession>;
using ModelSizes = std::map<std::string, std::uint64_t, std::less<>>;  // bytes, by name

/// Of `Authorization: Bearer TOKEN`.
[[nodiscard]] std::optional<std::string_view> bearer_token(const net::Request& request);
/// A slot as the agent tells of it. `empty`: nothing of this workshop runs in it.
[[nodiscard]] core::JoinedSlot joined_slot(const link::HelloSlot& slot, bool empty);

struct WorkerLink::Impl {
  Impl(Runtime& r, workshop::Workshop& w, files::Files& f, Catalog& c, LiveBus& l, WorkerLinkOptions o,
       ExpectEnding e)
      : runtime(r),
        workshop(w),
        files(f),
        catalog(c),
        live(l),
        options(std::move(o)),
        expect_ending(std::move(e)),
        linked(r),
        wake_hints(r),
        tunnels(r),
        credentials(r),
        tasks(r) {}

  // enrolment.cpp
  [[nodiscard]] std::optional<WorkerIdentity> identity_of(const net::Request& request) const;
  /// Errors: forbidden, with a sentence: the name is not this caller's.
  [[nodiscard]] Result<void> may_link(const WorkerIdentity& identity, const std::string& name) const;
  awaitable<net::Response> enrol(net::Request& request);
  net::Response challenge(const net::Request& request);
  awaitable<net::Response> open_session(net::Request& request);
  /// Into the log, and as an alarm into the journal if there is none like it.
  awaitable<void> tell_misuse(core::EnrolmentUsed use, core::EnrolmentVerdict verdict);
  /// Whoever has no token could fill the log.
  bool may_tell_refusal();
  /// A key is pinned to this worker's name.
  bool holds_key(const std::string& worker) const;
  void end_links_of_key(const std::string& worker);

  // sessions.cpp
  awaitable<net::Response> open_link(net::Request& request, WorkerIdentity identity);
  awaitable<void> run_session(std::unique_ptr<net::WebSocket> socket, std::string name,
                              WorkerIdentity identity);
  awaitable<Result<void>> join(SessionPtr session, const link::Hello& hello);
  /// What an earlier process of this worker held ends before the new link begins: a server that died between
  /// the two would find the new boot recorded, take those leases for its own, and send them again.
  void expire_older_boot(const link::Hello& hello);
  void on_joined(const core::WorkerJoined& event, const core::Accepted& accepted);
  void answer_hello(LinkSession& session);
  void send_lease(SessionPtr session, JobId job, Epoch epoch, std::uint32_t slot);
  awaitable<void> prepare_lease(SessionPtr session, JobId job, Epoch epoch, std::uint32_t slot);
  void update_connected();
  awaitable<Result<void>> declare_capability(Digest hash);
  SessionPtr session_of(LinkId link) const;
  SessionPtr session_named(std::string_view worker) const;
  /// Errors: conflict (not connected), not_found (no such slot).
  Result<SessionPtr> session_with(std::string_view worker, std::uint32_t slot) const;
  awaitable<void> sweep_staging();
  /// After the end of a lease: what this epoch brought stays while the job goes on.
  awaitable<void> tidy_staging(JobId job, Epoch epoch);

  // hints.cpp
  void hints_changed() {
    hints_dirty = true;
    wake_hints.notify_all();
  }
  awaitable<void> watch_hints();
  awaitable<void> send_hint(SessionPtr session, core::LikelyNext next);

  // reports.cpp
  awaitable<Result<void>> on_message(SessionPtr session, link::AgentMessage message);
  /// Errors: protocol.
  Result<void> on_slots_changed(LinkSession& session, const link::SlotsChanged& message);
  /// The job if this session's worker holds a lease of it with this epoch.
  const core::JobFacts* held(const LinkSession& session, JobId job, Epoch epoch) const;
  /// Errors: forbidden after too many messages about jobs that the worker does not hold.
  static Result<void> check_unheld(const LinkSession& session);
  void on_event(LinkSession& session, link::Event event);
  /// The named job loses its lease; the slot its engine, unless it has gone on since that job.
  void on_engine_lost(LinkSession& session, const link::EngineLost& message);
  /// A binary frame, or a part of one. Errors: protocol, too_large, forbidden.
  Result<void> on_binary(LinkSession& session, std::string_view bytes);
  void on_preview(LinkSession& session, link::Preview preview);
  awaitable<void> finish(SessionPtr session, link::Ended ended);

  // commits.cpp
  awaitable<void> commit(SessionPtr session, link::Commit commit);
  awaitable<Result<std::vector<std::string>>> record_commit(const LinkSession& session, link::Commit commit);
  awaitable<Result<core::Committed>> committed_event(ParticipantId participant, const link::Commit& commit);
  /// Ends a job whose output has a name that can never be given. Error unavailable: the job goes on.
  awaitable<Result<void>> end_without_place(JobId job, std::string node, std::string why);
  /// Gives the names in the participant's folder, records `linked`, shows the node.
  awaitable<void> link_names(JobId job, std::string node);
  awaitable<Result<void>> link_once(JobId job, const std::string& node);
  /// The name, or the next best one: what is recorded is given some name.
  awaitable<Result<GivenName>> give_name(ParticipantId participant, core::CommittedFile file,
                                         std::string name);

  // blobs.cpp
  awaitable<net::Response> serve_blob(net::Request& request, WorkerIdentity identity);
  awaitable<net::Response> get_prompt(JobId job);
  awaitable<net::Response> get_input(net::Request& request, JobId job, Digest digest);
  awaitable<net::Response> end_without_input(JobId job, std::string name, std::string what);
  awaitable<net::Response> head_output(files::StagedName name, std::uint64_t size);
  /// All bytes are staged: verifies them and makes them a blob.
  awaitable<Result<void>> complete_output(files::StagedName name, std::uint64_t size);
  awaitable<net::Response> put_output(SessionPtr session, net::Request& request, files::StagedName name,
                                      std::uint64_t size);
  /// Answers, and tells the operator if the disk is full.
  net::Response not_stored(const files::StagedName& name, const Error& error);
  enum class CatalogEntry : std::uint8_t { object_info, models };
  awaitable<net::Response> take_catalog_entry(net::Request& request, CatalogEntry kind, std::string_view hex);
  /// Kept until the capability of this object_info is declared, and for the next one that says the same.
  awaitable<net::Response> take_model_sizes(net::Request& request, std::string_view hex);
  awaitable<Result<std::shared_ptr<const AcceptedForm>>> accepted_form(JobId job);

  Runtime& runtime;
  workshop::Workshop& workshop;
  files::Files& files;
  Catalog& catalog;
  LiveBus& live;
  WorkerLinkOptions options;
  ExpectEnding expect_ending;

  std::set<SessionPtr> sessions;              // every open socket
  std::map<std::string, SessionPtr> joining;  // by name, between hello and worker_joined
  std::map<LinkId, SessionPtr> by_link;
  std::map<JobId, std::shared_ptr<const AcceptedForm>> forms;  // of jobs with a lease
  std::set<std::pair<JobId, std::string>> linking;             // commits whose names are being given
  std::set<std::pair<JobId, Epoch>> finishing;                 // ends that wait for their outputs
  std::map<Digest, ModelSizes> model_sizes;                    // by object_info
  std::optional<Instant> full_disk_told;                       // when the log last said it
  std::optional<Instant> refusal_told;
  std::set<std::pair<EnrolmentId, core::EnrolmentVerdict>> misuses_told;  // alarms that are being recorded
  bool hints_dirty = false;
  Signal linked;  // after each linked commit
  Signal wake_hints;
  Tunnels tunnels;
  WorkerCredentials credentials;
  bool stopping = false;
  TaskGroup tasks;
};

}  // namespace atelier::gateway
