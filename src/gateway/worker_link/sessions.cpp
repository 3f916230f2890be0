// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>

#include "base/crash_point.hpp"
#include "base/log.hpp"
#include "base/match.hpp"
#include "gateway/worker_link/worker_link_impl.hpp"
#include "gateway/worker_link/worker_state.hpp"

namespace atelier::gateway {
namespace {

constexpr milliseconds kRenewPause{1'000};
// docs/protocol/worker-link.md, closing codes
constexpr std::uint16_t kReplaced = 4001;

}  // namespace

core::JoinedSlot joined_slot(const link::HelloSlot& slot, bool empty) {
  core::JoinedSlot joined;
  joined.index = slot.slot;
  joined.capability = slot.object_info;
  joined.engine_version = slot.comfy_version;
  joined.kind = slot.device;
  joined.vram_mib = slot.vram_total >> 20;
  joined.engine_start = slot.engine_start;
  joined.engine_alive = slot.engine == link::EngineState::ready;
  joined.empty = empty;
  return joined;
}

WorkerLink::WorkerLink(Runtime& runtime, workshop::Workshop& workshop, files::Files& files, Catalog& catalog,
                       LiveBus& live, WorkerLinkOptions options, ExpectEnding expect_ending)
    : impl_(std::make_unique<Impl>(runtime, workshop, files, catalog, live, std::move(options),
                                   std::move(expect_ending))) {}
WorkerLink::~WorkerLink() = default;

Key128 WorkerLink::run_id(Key128 workshop, JobId job, Epoch epoch) {
  const Digest digest = sha256(fmt::format("{}/{}/{}", workshop.hex(), job, epoch));
  Key128 id;
  for (std::size_t i = 0; i < 8; ++i) id.high = id.high << 8 | digest.bytes[i];
  for (std::size_t i = 8; i < 16; ++i) id.low = id.low << 8 | digest.bytes[i];
  // Version 4, variant 1: ComfyUI 0.38 takes canonical UUIDs only.
  id.high = (id.high & ~0xf000ULL) | 0x4000ULL;
  id.low = (id.low & ~(0xc0ULL << 56)) | (0x80ULL << 56);
  return id;
}

void WorkerLink::start() {
  Impl& self = *impl_;
  if (!self.workshop.accepting()) return;  // a damaged journal: nothing is linked, removed or leased
  self.workshop.core().each_unlinked([&self](const core::UnlinkedCommit& commit) {
    self.tasks.spawn("link names", self.link_names(commit.job, commit.node));
  });
  self.tasks.spawn("sweep staging", self.sweep_staging());
  self.tasks.spawn("hints", self.watch_hints());
}

awaitable<void> WorkerLink::Impl::sweep_staging() {
  do {
    auto work = [this] { return files.staging().sweep(runtime.wall()); };
    auto swept = co_await files.run(std::move(work));
    if (!swept) log::warn("staging_sweep_failed", {{"reason", swept.error().what}});
  } while (co_await runtime.sleep_for(milliseconds{3'600'000}));
}

awaitable<void> WorkerLink::Impl::tidy_staging(JobId job, Epoch epoch) {
  // A job that goes on may be run once more, and make the same: what has come of it is not sent again.
  const bool goes_on = workshop.core().job(job) != nullptr;
  auto remove = [this, job, epoch, goes_on] {
    return goes_on ? files.staging().keep_newest(job, epoch) : files.staging().remove_job(job, epoch);
  };
  if (auto removed = co_await files.run(std::move(remove)); !removed) {
    log::warn("staging_not_removed", {{"job", job}, {"reason", removed.error().what}});
  }
}

awaitable<void> WorkerLink::stop(Instant deadline) {
  impl_->stopping = true;
  impl_->tunnels.stop();
  for (const SessionPtr& session : impl_->sessions)
    session->outgoing.close(net::CloseCode::going_away, "the server stops");
  while (!impl_->sessions.empty() && impl_->runtime.now() < deadline) {
    if (!co_await impl_->linked.wait(std::min(deadline, impl_->runtime.now() + milliseconds{100}))) continue;
  }
  [[maybe_unused]] const bool ended = co_await impl_->tasks.stop(deadline);
}

awaitable<net::Response> WorkerLink::handle(net::Request& request) {
  const std::string_view path = request.path();
  if (path == "/worker/enrol") co_return co_await impl_->enrol(request);
  if (path == "/worker/challenge") co_return impl_->challenge(request);
  if (path == "/worker/session") co_return co_await impl_->open_session(request);
  auto identity = impl_->identity_of(request);
  if (!identity) {
    co_return net::Response::text(
        401,
        "This token is not one of this workshop's. Use the content of DATA_DIR/worker.token, or enrol with a "
        "token of POST /api/v1/enrolments.\n");
  }
  if (path == "/worker/link") co_return co_await impl_->open_link(request, std::move(*identity));
  co_return co_await impl_->serve_blob(request, std::move(*identity));
}

awaitable<net::Response> WorkerLink::Impl::open_link(net::Request& request, WorkerIdentity identity) {
  const std::string_view version = request.headers.get("Atelier-Protocol");
  if (version != fmt::format("{}", link::kProtocolVersion)) {
    co_return net::Response::text(
        426,
        fmt::format(
            "This server speaks version {} of the worker link, the worker speaks version {}. Install the "
            "atelier-worker that belongs to this server.\n",
            link::kProtocolVersion, version.empty() ? "unknown" : version.substr(0, 16)));
  }
  std::string name(request.headers.get("Atelier-Worker"));
  if (!is_worker_name(name)) {
    co_return net::Response::text(
        400, "A worker's name has 1 to 64 of A-Z a-z 0-9 . _ - (header Atelier-Worker).\n");
  }
  if (const auto may = may_link(identity, name); !may)
    co_return net::Response::text(403, may.error().what + "\n");
  if (!request.wants_websocket()) co_return net::Response::text(400, "This address is for WebSockets.\n");
  if (stopping || !workshop.accepting())
    co_return net::Response::text(
        503, workshop.refusal().empty() ? "The server is stopping; try again.\n" : workshop.refusal() + "\n");
  net::WebSocketLimits limits;
  limits.message_bytes_max = link::kTextBytesMax;  // a binary frame has a smaller limit of its own
  auto run = [this, name, identity](std::unique_ptr<net::WebSocket> socket) {
    return run_session(std::move(socket), name, identity);
  };
  co_return net::Response::websocket(std::move(run), limits);
}

SessionPtr WorkerLink::Impl::session_of(LinkId link) const {
  const auto found = by_link.find(link);
  return found == by_link.end() ? nullptr : found->second;
}

awaitable<void> WorkerLink::Impl::run_session(std::unique_ptr<net::WebSocket> socket, std::string name,
                                              WorkerIdentity identity) {
  auto session = std::make_shared<LinkSession>(runtime, std::move(socket));
  session->name = std::move(name);
  session->identity = std::move(identity);
  sessions.insert(session);
  TaskGroup writer(runtime);
  writer.spawn("link writer", session->outgoing.run());
  bool greeted = false;
  std::string reason = "closed";
  while (true) {
    // The agent sends a heartbeat every 5 s; a half-open connection is found by pings before this.
    auto message = co_await session->socket->read(runtime.now() + milliseconds{60'000});
    if (!message) {
      reason = message.error().what;
      break;
    }
    const bool present = greeted && session_of(session->link) == session;
    if (present && runtime.now() >= session->renew_at) {
      // Whatever it says, it lives: on a slow line its heartbeat waits behind results and events.
      workshop.leases().renew(session->link, runtime.now());
      session->renew_at = runtime.now() + kRenewPause;
    }
    Result<void> done;
    if (message->kind == net::MessageKind::binary) {
      if (present) done = on_binary(*session, message->view());
    } else {
      auto decoded = link::decode_agent(message->view());
      if (!decoded) {
        done = std::unexpected(decoded.error());
      } else if (!greeted) {
        const auto* hello = std::get_if<link::Hello>(&*decoded);
        if (hello == nullptr) {
          done = fail(Errc::protocol, "the first message must be hello");
        } else {
          done = co_await join(session, *hello);
          greeted = true;
        }
      } else {
        done = co_await on_message(session, std::move(*decoded));
      }
    }
    if (!done) {
      reason = done.error().what;
      session->outgoing.close(done.error().code == Errc::protocol || done.error().code == Errc::too_large
                                  ? net::CloseCode::protocol_error
                              : done.error().code == Errc::forbidden ? net::CloseCode::policy
                                                                     : net::CloseCode::try_again_later,
                              reason);
      break;
    }
  }
  log::info("worker_link_closed", {{"worker", session->name}, {"link", session->link}, {"reason", reason}});
  session->outgoing.close(net::CloseCode::normal, "");
  [[maybe_unused]] const bool written = co_await writer.stop(runtime.now() + milliseconds{5'000});
  if (const auto mine = joining.find(session->name); mine != joining.end() && mine->second == session)
    joining.erase(mine);
  if (session->link && by_link.erase(session->link) > 0 && !stopping) {
    core::WorkerLeft left;
    left.worker = session->worker;
    left.link = session->link;
    left.reason = reason.substr(0, 200);
    workshop.post(core::Event{std::move(left)});
  }
  sessions.erase(session);
  update_connected();
  linked.notify_all();
}

awaitable<Result<void>> WorkerLink::Impl::declare_capability(Digest hash) {
  const auto ability = catalog.ability(hash);
  if (!ability || workshop.core().knows_capability(hash)) co_return Result<void>{};
  core::Capability capability;
  capability.hash = hash;
  capability.classes = ability->classes;
  capability.models = ability->models;
  if (const auto sizes = model_sizes.find(hash); sizes != model_sizes.end()) {
    for (const std::string& model : capability.models) {
      const auto size = sizes->second.find(model);
      capability.model_bytes.push_back(size == sizes->second.end() ? 0 : size->second);
    }
  }
  auto recorded = co_await workshop.record(core::Event{std::move(capability)});
  if (!recorded && recorded.error().code != Errc::conflict) co_return std::unexpected(recorded.error());
  co_return Result<void>{};
}

void WorkerLink::Impl::expire_older_boot(const link::Hello& hello) {
  const core::WorkerFacts* worker = workshop.core().worker(hello.name);
  if (worker == nullptr || worker->boot == hello.boot) return;
  workshop.core().each_job([&](const core::JobFacts& job) {
    if (!job.lease || job.lease->slot.worker != worker->worker) return;
    const bool listed = std::ranges::any_of(hello.jobs, [&](const link::HelloJob& line) {
      return line.job == job.job && line.epoch == job.lease->epoch;
    });
    if (listed) return;
    core::LeaseExpired expired;
    expired.job = job.job;
    expired.epoch = job.lease->epoch;
    expired.link = job.lease->link;
    expired.reason = core::LossReason::restarted;
    workshop.post(core::Event{std::move(expired)});
  });
}

awaitable<Result<void>> WorkerLink::Impl::join(SessionPtr session, const link::Hello& hello) {
  if (hello.name != session->name)
    co_return fail(Errc::protocol, "the hello's name differs from the handshake's");
  if (hello.protocol != link::kProtocolVersion)
    co_return fail(Errc::protocol,
                   fmt::format("the hello speaks version {} of the worker link, this server {}",
                               hello.protocol, link::kProtocolVersion));
  ATELIER_CO_TRY_VOID(may_link(session->identity, session->name));  // it may be another's since the handshake
  core::WorkerJoined joined;
  joined.name = hello.name;
  joined.gateway = workshop.gateway();
  joined.boot = hello.boot;
  // A drain ends with the agent's process, not with its link.
  if (const auto* known = workshop.core().worker(hello.name); known != nullptr && known->boot == hello.boot)
    joined.draining = known->draining;
  for (const link::HelloSlot& slot : hello.slots) {
    const bool empty = std::ranges::none_of(hello.jobs, [&](const link::HelloJob& job) {
      return job.slot == slot.slot && job.state != link::JobState::computed;
    });
    joined.slots.push_back(joined_slot(slot, empty));
    if (slot.object_info && catalog.knows(slot.object_info)) {
      ATELIER_CO_TRY_VOID(co_await declare_capability(slot.object_info));
    }
  }
  session->boot = hello.boot;
  session->hello_jobs = hello.jobs;
  session->slots = hello.slots;
  session->launched = hello.launched.value_or(false);
  if (const auto rival = joining.find(hello.name); rival != joining.end()) {
    rival->second->outgoing.close(net::CloseCode{kReplaced}, "replaced by a newer link of this worker");
  }
  joining[hello.name] = session;
  expire_older_boot(hello);
  ATELIER_CO_TRY_VOID(co_await workshop.record(core::Event{std::move(joined)}));
  if (!session->link) co_return fail(Errc::unavailable, "replaced by a newer link of this worker");
  ATELIER_CO_TRY_VOID(may_link(session->identity, session->name));  // revoked while this was recorded

  link::Welcome welcome;
  welcome.link = session->link;
  welcome.workshop = workshop.id().hex();
  welcome.heartbeat_ms = static_cast<std::uint64_t>(options.heartbeat.count());
  welcome.lease_ttl_ms = static_cast<std::uint64_t>(options.lease_ttl.count());
  welcome.blob_url = "/worker";
  welcome.answers = session->answers;
  welcome.settings.json_bytes_max = link::kJsonBytesMax;
  welcome.settings.files_per_commit_max = link::kFilesPerCommitMax;
  welcome.settings.result_bytes_max = link::kResultBytesMax;
  for (const link::HelloSlot& slot : session->slots) {
    for (const Digest& hash : {slot.object_info, slot.models.value_or(Digest())}) {
      const bool lacked = hash && !catalog.expect(hash);
      if (lacked && std::ranges::find(welcome.want, hash) == welcome.want.end()) welcome.want.push_back(hash);
    }
  }
  session->welcome(welcome);
  update_connected();
  log::info("worker_joined", {{"worker", session->name},
                              {"link", session->link},
                              {"slots", session->slots.size()},
                              {"jobs", session->hello_jobs.size()},
                              {"same_boot", session->same_boot}});
  co_return Result<void>{};
}

void WorkerLink::Impl::on_joined(const core::WorkerJoined& event, const core::Accepted& accepted) {
  const auto found = joining.find(event.name);
  if (found == joining.end() || found->second->boot != event.boot) return;
  SessionPtr session = found->second;
  joining.erase(found);
  session->link = accepted.link;
  session->worker = accepted.worker;
  session->same_boot = accepted.same_boot;
  by_link[accepted.link] = session;
  answer_hello(*session);
  // What core says of this worker's leases, against the hello's lines (core.md 5).
  std::vector<const core::JobFacts*> leases;
  workshop.core().each_job([&](const core::JobFacts& job) {
    if (job.lease && job.lease->slot.worker == session->worker) leases.push_back(&job);
  });
  for (const core::JobFacts* job : leases) {
    const bool listed = std::ranges::any_of(session->hello_jobs, [&](const link::HelloJob& line) {
      return line.job == job->job && line.epoch == job->lease->epoch;
    });
    if (listed) {
      if (job->cancel_requested) {
        link::Stop stop;
        stop.job = job->job;
        stop.epoch = job->lease->epoch;
        stop.reason = "cancelled";
        session->send(link::GatewayMessage{stop});
      }
      continue;
    }
    if (accepted.same_boot && !job->lease->computed) {
      send_lease(session, job->job, job->lease->epoch, job->lease->slot.index);
    } else {
      core::LeaseExpired expired;
      expired.job = job->job;
      expired.epoch = job->lease->epoch;
      expired.link = session->link;
      expired.reason = core::LossReason::restarted;
      workshop.post(core::Event{std::move(expired)});
    }
  }
}

void WorkerLink::Impl::answer_hello(LinkSession& session) {
  for (const link::HelloJob& line : session.hello_jobs) {
    session.knows(line.job, line.epoch);
    link::Answer answer;
    answer.job = line.job;
    answer.epoch = line.epoch;
    const core::JobFacts* job = workshop.core().job(line.job);
    const bool holds = job != nullptr && job->lease && job->lease->epoch == line.epoch &&
                       job->lease->slot.worker == session.worker;
    answer.verdict = holds ? link::Verdict::keep : link::Verdict::drop;
    session.answers.push_back(answer);
  }
}

void WorkerLink::Impl::send_lease(SessionPtr session, JobId job, Epoch epoch, std::uint32_t slot) {
  tasks.spawn("lease", prepare_lease(std::move(session), job, epoch, slot));
}

constexpr milliseconds kReadAgain{1'000};

awaitable<void> WorkerLink::Impl::prepare_lease(SessionPtr session, JobId job, Epoch epoch,
                                                std::uint32_t slot) {
  auto form = co_await accepted_form(job);
  while (!form && form.error().code == Errc::unavailable) {  // the journal is out of reach for the moment
    if (!co_await runtime.sleep_for(kReadAgain)) co_return;
    form = co_await accepted_form(job);
  }
  const core::JobFacts* facts = workshop.core().job(job);
  if (facts == nullptr || !facts->lease || facts->lease->epoch != epoch) co_return;  // gone meanwhile
  if (!form) {
    log::error(
        "accepted_form_unreadable",
        {{"job", job},
         {"reason", form.error().what},
         {"what_to_do", "stop the server and see what `atelier journal check` says; a backup may have it"}});
    core::Ended ended;  // by the workshop: the worker is told to stop, and says that its slot is idle
    ended.job = job;
    ended.outcome = core::Outcome::failed;
    ended.reason = core::EndReason::refused;
    ended.sentence = "The server could not read this prompt back. Press Run again.";
    workshop.post(core::Event{std::move(ended)});
    co_return;
  }
  link::Lease lease;
  lease.job = job;
  lease.epoch = epoch;
  lease.slot = slot;
  lease.run_id = WorkerLink::run_id(workshop.id(), job, epoch);
  lease.prompt.bytes = facts->submitted.prompt.bytes;
  lease.prompt.digest = facts->submitted.prompt.digest;
  lease.inputs = (*form)->pins;
  lease.limit_ms = static_cast<std::uint64_t>(options.job_limit.count());
  lease.preview_method = (*form)->preview_method;
  session->knows(job, epoch);
  crash_point("lease_before_send");
  session->send(link::GatewayMessage{std::move(lease)});
}

void WorkerLink::Impl::update_connected() {
  std::map<std::string, std::set<Digest>> workers;
  for (const auto& [link, session] : by_link) {
    std::set<Digest>& hashes = workers[session->name];
    for (const link::HelloSlot& slot : session->slots) {
      if (slot.object_info) hashes.insert(slot.object_info);
      if (slot.models) hashes.insert(*slot.models);
    }
  }
  catalog.set_connected(std::move(workers));
}

void WorkerLink::on_effects(const core::Entry& entry, std::span<const core::Effect> effects) {
  Impl& self = *impl_;
  for (const core::Effect& effect : effects) {
    std::visit(
        Match{[&](const core::Accepted& accepted) {
                if (const auto* joined = std::get_if<core::WorkerJoined>(&entry.event))
                  self.on_joined(*joined, accepted);
                if (const auto* revoked = std::get_if<core::WorkerKeyRevoked>(&entry.event))
                  self.end_links_of_key(revoked->worker);
              },
              [&](const core::JobLeased& leased) {
                if (auto session = self.session_of(leased.link))
                  self.send_lease(session, leased.job, leased.epoch, leased.slot.index);
                self.hints_changed();
              },
              [&](const core::StopWanted& wanted) {
                auto session = self.session_of(wanted.link);
                if (!session) return;
                link::Stop stop;
                stop.job = wanted.job;
                stop.epoch = wanted.epoch;
                stop.reason = wanted.reason;
                session->send(link::GatewayMessage{std::move(stop)});
              },
              [&](const core::LinkReplaced& replaced) {
                auto session = self.session_of(replaced.link);
                if (!session) return;
                self.by_link.erase(replaced.link);
                const auto* joined = std::get_if<core::WorkerJoined>(&entry.event);
                if (joined != nullptr && joined->boot != session->boot) {
                  log::warn("worker_name_taken", {{"worker", session->name}, {"link", replaced.link}});
                  session->outgoing.close(net::CloseCode{link::kNameTakenCode},
                                          "another worker of this name has joined");
                  return;
                }
                session->outgoing.close(net::CloseCode{kReplaced}, "replaced by a newer link of this worker");
              },
              [&](const core::LeaseDropped& dropped) {
                const core::JobFacts* job = self.workshop.core().job(dropped.job);
                if (job == nullptr) self.forms.erase(dropped.job);
                if (job != nullptr)
                  self.tasks.spawn("tidy staging", self.tidy_staging(dropped.job, dropped.epoch));
              },
              [&](const core::JobEnded& ended) {
                self.live.forget(ended.facts.job);
                self.forms.erase(ended.facts.job);
                if (ended.facts.epoch)
                  self.tasks.spawn("tidy staging", self.tidy_staging(ended.facts.job, ended.facts.epoch));
                self.hints_changed();
              },
              [&](const core::NodeCommitted& committed) {
                // Not only by whoever brought it: after a slow commit nobody may be waiting any more.
                self.tasks.spawn("link names", self.link_names(committed.job, committed.node));
              },
              [&](const core::NodeLinked&) { self.linked.notify_all(); },
              [&](const core::JobQueued&) { self.hints_changed(); },
              [&](const core::JobMarked&) { self.hints_changed(); },
              [&](const core::JobComputed&) { self.hints_changed(); },
              [&](const core::WorkshopChanged&) { self.hints_changed(); },
              // Told to whoever posted them, or to participants.
              [](const core::Refused&) {}, [](const core::JobStarted&) {}, [](const core::CommitRepeated&) {},
              [](const core::LeaseMoved&) {}, [](const core::HistoryDropped&) {}},
        effect);
  }
}

std::vector<WorkerView> WorkerLink::workers() const {
  std::vector<WorkerView> views;
  impl_->workshop.core().each_worker([&](const core::WorkerFacts& worker) {
    const SessionPtr session = impl_->session_of(worker.link);
    if (!worker.link || !session) return;
    WorkerView view;
    view.name = worker.name;
    view.state = worker_state(worker);
    for (const core::SlotFacts& slot : worker.slots) {
      view.version = slot.engine_version;
      view.device = slot.kind;
      view.vram_total = slot.vram_mib << 20;
    }
    if (session->readings) {
      for (const link::TelemetrySlot& slot : session->readings->telemetry.slots)
        view.vram_free = slot.vram_free;
      view.readings = session->readings;
    }
    views.push_back(std::move(view));
  });
  std::ranges::sort(views, {}, &WorkerView::name);
  return views;
}

SessionPtr WorkerLink::Impl::session_named(std::string_view worker) const {
  const core::WorkerFacts* facts = workshop.core().worker(worker);
  return facts == nullptr ? nullptr : session_of(facts->link);
}

std::optional<WorkerReadings> WorkerLink::readings(std::string_view worker) const {
  const SessionPtr session = impl_->session_named(worker);
  return session ? session->readings : std::nullopt;
}

std::vector<EngineLines> WorkerLink::engine_lines(std::string_view worker) const {
  std::vector<EngineLines> all;
  const SessionPtr session = impl_->session_named(worker);
  if (!session) return all;
  for (const auto& [slot, lines] : session->printed)
    all.push_back({slot, std::vector<std::string>(lines.begin(), lines.end())});
  return all;
}

Result<SessionPtr> WorkerLink::Impl::session_with(std::string_view worker, std::uint32_t slot) const {
  SessionPtr session = session_named(worker);
  if (!session) return fail(Errc::conflict, fmt::format("{} is not connected.", worker));
  if (std::ranges::find(session->slots, slot, &link::HelloSlot::slot) == session->slots.end())
    return fail(Errc::not_found, fmt::format("{} has no slot {}.", worker, slot));
  return session;
}

Result<void> WorkerLink::restart_engine(std::string_view worker, std::uint32_t slot) {
  ATELIER_TRY(const SessionPtr session, impl_->session_with(worker, slot));
  if (!session->launched) {
    return fail(Errc::conflict,
                fmt::format("{} did not start its ComfyUI itself: restart it on that machine, or start the "
                            "worker with --launch.",
                            worker));
  }
  session->send(link::GatewayMessage{link::RestartEngine{slot}});
  return {};
}

Result<void> WorkerLink::add_slot(std::string_view worker, std::uint16_t port) {
  const SessionPtr session = impl_->session_named(worker);
  if (!session) return fail(Errc::conflict, fmt::format("{} is not connected.", worker));
  if (session->slots.size() >= link::kSlotsMax)
    return fail(Errc::conflict, fmt::format("A worker has {} slots at most.", link::kSlotsMax));
  if (port == 0 && !session->launched) {
    return fail(
        Errc::conflict,
        fmt::format("{} does not start its ComfyUIs itself: give the port of one that runs there.", worker));
  }
  session->send(link::GatewayMessage{link::AddSlot{port}});
  return {};
}

Result<void> WorkerLink::remove_slot(std::string_view worker, std::uint32_t slot) {
  ATELIER_TRY(const SessionPtr session, impl_->session_with(worker, slot));
  if (session->slots.size() == 1)
    return fail(Errc::conflict, fmt::format("It is the only slot of {}: drain the worker.", worker));
  session->send(link::GatewayMessage{link::RemoveSlot{slot}});
  return {};
}

Result<void> WorkerLink::has_slot(std::string_view worker, std::uint32_t slot) const {
  ATELIER_TRY_VOID(impl_->session_with(worker, slot));
  return {};
}

awaitable<Result<std::unique_ptr<net::ByteStream>>> WorkerLink::open_tunnel(std::string worker,
                                                                            std::uint32_t slot) {
  ATELIER_CO_TRY(const SessionPtr session, impl_->session_with(worker, slot));
  auto ask = [session, slot](Key128 id) { session->send(link::GatewayMessage{link::OpenTunnel{id, slot}}); };
  co_return co_await impl_->tunnels.open(session->worker, session->link, std::move(ask));
}

Result<void> WorkerLink::free_memory(std::string_view worker, std::uint32_t slot) {
  ATELIER_TRY(const SessionPtr session, impl_->session_with(worker, slot));
  session->send(link::GatewayMessage{link::Free{slot}});
  return {};
}

}  // namespace atelier::gateway
