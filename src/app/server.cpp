// SPDX-License-Identifier: MIT
#include "app/server.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "app/journals.hpp"
#include "app/listeners.hpp"
#include "app/options.hpp"
#include "base/log.hpp"
#include "files/files.hpp"
#include "gateway/blob_sweeper.hpp"
#include "gateway/catalog/catalog.hpp"
#include "gateway/engine_pages/engine_pages.hpp"
#include "gateway/fresh_secret.hpp"
#include "gateway/gateway.hpp"
#include "gateway/instructor/api_views.hpp"
#include "gateway/instructor/instructor_face.hpp"
#include "gateway/live/live_bus.hpp"
#include "gateway/seat_access.hpp"
#include "gateway/worker_link/worker_download.hpp"
#include "gateway/worker_link/worker_link.hpp"
#include "net/http_server.hpp"
#include "net/kept_bytes.hpp"
#include "runtime/signal.hpp"
#include "workshop/outlook.hpp"
#include "workshop/workshop.hpp"

namespace atelier::app {
namespace {

constexpr milliseconds kGraceful{5'000};  // for requests in flight; then hard (style.md 5)

core::QueueMode configured_mode(const Config& config) {
  const std::string mode = config.text("QUEUE_MODE");
  if (mode == "priority" || (!config.is_set("QUEUE_MODE") && config.flag("ENABLE_PRIORITY")))
    return core::QueueMode::priority;
  return mode == "fifo" ? core::QueueMode::fifo : core::QueueMode::round_robin;
}

workshop::WorkshopOptions workshop_options(const Config& config) {
  workshop::WorkshopOptions options;
  options.admission.waiting_per_participant_max =
      static_cast<std::uint32_t>(config.number("MAX_WAITING_PER_USER"));
  options.admission.waiting_max = static_cast<std::uint32_t>(config.number("MAX_QUEUE_DEPTH"));
  options.policy.running_per_participant_max =
      static_cast<std::uint32_t>(config.number("MAX_RUNNING_PER_USER"));
  options.first_mode = configured_mode(config);
  options.lease_ttl = config.duration("LEASE_TTL");
  options.policy.job_limit = config.duration("JOB_TIMEOUT");
  options.checkpoint_entries = static_cast<std::uint64_t>(config.number("CHECKPOINT_ENTRIES"));
  return options;
}

/// The mode is the workshop's own, once there is one.
void tell_mode(const Config& config, core::QueueMode mode) {
  if (mode == configured_mode(config) || !(config.is_set("QUEUE_MODE") || config.is_set("ENABLE_PRIORITY")))
    return;
  log::warn("queue_mode_kept",
            {{"mode", core::to_string(mode)},
             {"configured", core::to_string(configured_mode(config))},
             {"why", "QUEUE_MODE is that of a new workshop; change this one's with PATCH /api/v1/queue"}});
}

gateway::ApiAccessOptions api_access(const Config& config) {
  gateway::ApiAccessOptions options;
  options.admin_username = config.text("ADMIN_USERNAME");
  options.admin_password = config.text("ADMIN_PASSWORD");
  // Where only this machine can reach the server, and nobody has asked for more.
  const std::string listen = config.text("LISTEN");
  const bool loopback = listen == "localhost" || listen == "::1" || listen.starts_with("127.");
  options.local_is_instructor = loopback && config.text("DOMAIN").empty() &&
                                config.text("ACCESS") != "token" && options.admin_password.empty();
  return options;
}

}  // namespace

struct Server::Impl {
  Impl(RealRuntime& r, const Config& c) : runtime(r), config(c), stop_signal(r) {}

  void make_faces(std::string seat_key);
  /// Errors: config.
  Result<void> serve_engine_pages();
  void report_workers();

  RealRuntime& runtime;
  const Config& config;
  Signal stop_signal;
  bool stopping = false;
  int exit_code = 0;
  bool worker_announced = false;

  // In the order in which they are made; destroyed the other way round.
  std::unique_ptr<Listeners> listeners;
  std::unique_ptr<files::Files> files;
  std::unique_ptr<journal::Journal> journal;
  std::unique_ptr<workshop::Workshop> workshop;
  std::unique_ptr<gateway::Catalog> catalog;
  std::unique_ptr<workshop::Outlook> outlook;
  gateway::LiveBus live;
  std::unique_ptr<gateway::ParticipantFace> participants;
  std::unique_ptr<gateway::InstructorFace> instructor;
  std::unique_ptr<gateway::PublicFace> everybody;
  std::unique_ptr<gateway::WorkerLink> workers;
  std::unique_ptr<gateway::BlobSweeper> blob_sweeper;
  std::unique_ptr<gateway::WorkerDownload> worker_download;
  std::unique_ptr<gateway::Gateway> gateway;
  std::unique_ptr<net::HttpServer> http;
  std::unique_ptr<gateway::EnginePages> engine_pages;
  std::unique_ptr<net::HttpServer> engine_http;
};

Server::Server(RealRuntime& runtime, const Config& config) : impl_(std::make_unique<Impl>(runtime, config)) {}
Server::~Server() = default;

std::string Server::url() const { return impl_->listeners->http_url(); }
std::string Server::https_url() const { return impl_->listeners->https_url(); }

awaitable<Result<void>> Server::open() {
  Impl& self = *impl_;
  const Config& config = self.config;
  // What may be wrong with the machine is found before anything is written or can be connected to, and told
  // together.
  auto bound = Listeners::bind(config);
  auto opened = files::DataFolder::open(folder_options(config));
  if (!opened) {
    Error error = opened.error();
    if (!bound) error.what = bound.error().what + "\n" + error.what;
    co_return std::unexpected(std::move(error));
  }
  if (!bound) co_return std::unexpected(bound.error());
  self.listeners = std::make_unique<Listeners>(std::move(*bound));
  files::DataFolder data = std::move(*opened);
  ATELIER_CO_TRY(const std::string token, data.worker_token(gateway::fresh_secret(self.runtime)));
  ATELIER_CO_TRY(std::string seat_key, data.seat_key(gateway::fresh_secret(self.runtime)));
  net::KeptBytes::use_folder(data.path());
  files::QuotaLimits quota;
  quota.bytes = config.bytes("USER_QUOTA");
  self.files = std::make_unique<files::Files>(self.runtime, std::move(data), quota);
  ATELIER_CO_TRY(self.journal, co_await open_journal(self.runtime, config));
  self.workshop = std::make_unique<workshop::Workshop>(self.runtime, *self.journal, workshop_options(config));
  self.workshop->on_fatal([&self](const Error& error) {
    log::error("stopping", {{"reason", error.what}});
    self.stopping = true;
    self.exit_code = kExitDisk;
    self.stop_signal.notify_all();
  });
  self.catalog = std::make_unique<gateway::Catalog>(self.runtime, *self.files);
  ATELIER_CO_TRY_VOID(co_await self.catalog->load());
  ATELIER_CO_TRY_VOID(co_await self.workshop->open());
  tell_mode(config, self.workshop->core().workshop().mode);

  gateway::WorkerLinkOptions link;
  link.token = token;
  link.lease_ttl = config.duration("LEASE_TTL");
  link.job_limit = config.duration("JOB_TIMEOUT");
  auto expect = [&self](JobId job, Epoch epoch, std::string event) {
    self.participants->expect_ending(job, epoch, std::move(event));
  };
  self.workers =
      std::make_unique<gateway::WorkerLink>(self.runtime, *self.workshop, *self.files, *self.catalog,
                                            self.live, std::move(link), std::move(expect));
  self.blob_sweeper = std::make_unique<gateway::BlobSweeper>(self.runtime, *self.workshop, *self.files);
  self.worker_download =
      std::make_unique<gateway::WorkerDownload>(self.runtime, program_folder() + "/atelier-worker");
  self.make_faces(std::move(seat_key));
  self.workshop->add_sink(*self.workers);
  self.workshop->add_sink(*self.participants);
  self.workshop->add_sink(*self.instructor);
  self.workshop->add_sink(*self.outlook);

  auto handler = [&self](net::Request& request) { return self.gateway->handle(request); };
  net::ServerLimits limits;
  limits.connections_per_address_max = static_cast<std::size_t>(config.number("MAX_CONNECTIONS_PER_ADDRESS"));
  if (limits.connections_per_address_max == 0) {
    limits.connections_per_address_max = 16 + 16 * static_cast<std::size_t>(config.number("NUM_USERS"));
  }
  self.http = std::make_unique<net::HttpServer>(self.runtime, limits, std::move(handler));
  self.http->set_quick_handler([&self](net::Request& request, net::Response& response) {
    return self.gateway->answers_quickly(request, response);
  });
  self.workshop->start();
  ATELIER_CO_TRY_VOID(self.listeners->listen(*self.http));
  if (self.listeners->has_engine_pages()) ATELIER_CO_TRY_VOID(self.serve_engine_pages());
  self.workers->start();
  self.blob_sweeper->start();
  if (self.workshop->accepting()) self.outlook->start();  // else nothing will start: a damaged journal
  co_return Result<void>{};
}

void Server::Impl::make_faces(std::string seat_key) {
  auto views = [this] { return workers->workers(); };
  const auto num_users = static_cast<std::uint64_t>(config.number("NUM_USERS"));
  gateway::ParticipantFaceOptions options;
  options.num_users = num_users;
  options.frontend_folder = frontend_folder(config);
  options.web_folder = web_folder(config);
  options.welcome_folder = welcome_folder(config);
  options.templates_folder = vendored_folder(config, "templates");
  options.docs_folder = vendored_folder(config, "docs");
  options.image_program = image_program();
  participants = std::make_unique<gateway::ParticipantFace>(runtime, *workshop, *files, *catalog, live,
                                                            std::move(options));
  participants->set_workers(views);
  const core::PolicySettings policy = workshop_options(config).policy;
  outlook = std::make_unique<workshop::Outlook>(runtime, *workshop, policy);
  participants->set_outlook(*outlook);
  using Rule = gateway::SeatAccess::Rule;
  const gateway::SeatTokens tokens(std::move(seat_key), num_users);
  const gateway::ApiAccess callers(tokens, api_access(config));
  participants->set_access(
      [seats = gateway::SeatAccess(tokens, config.text("ACCESS") == "token" ? Rule::token : Rule::open),
       callers](const net::Request& request, ParticipantId participant) {
        return participant ? seats.refuse(request, participant) : callers.refuse_at_own_seat(request);
      });
  gateway::InstructorFaceOptions api_options;
  api_options.num_users = num_users;
  api_options.participants_choose_worker = config.text("WORKER_CHOICE") == "participants";
  instructor = std::make_unique<gateway::InstructorFace>(runtime, *workshop, callers, api_options);
  gateway::PublicFaceOptions public_options;
  public_options.num_users = num_users;
  everybody = std::make_unique<gateway::PublicFace>(*workshop, *files, public_options);
  everybody->set_workers(views);
  gateway::GatewayOptions gateway_options;
  gateway_options.domain = config.text("DOMAIN");
  gateway_options.num_users = num_users;
  gateway = std::make_unique<gateway::Gateway>(*participants, *everybody, std::move(gateway_options));
  instructor->set_outlook(*outlook);
  instructor->set_worker_link(*workers);
  // Exact where the order is a list; fair turns are foretold, for few jobs at once, for many as last seen.
  instructor->set_order([this, policy] {
    constexpr std::size_t kManyJobs = 500;
    const core::Core& core = workshop->core();
    if (core.workshop().mode != core::QueueMode::round_robin) return gateway::present_order(core);
    if (core.jobs_waiting() > kManyJobs) return outlook->view()->order;
    return core::starting_order(core.copy_queue(workshop->now(), {}, policy));
  });
  gateway->set_api_handler([this](net::Request& request) { return instructor->handle(request); });
  gateway->set_worker_handler([this](net::Request& request) -> awaitable<net::Response> {
    if (auto response = co_await worker_download->handle(request)) co_return std::move(*response);
    co_return co_await workers->handle(request);
  });
}

Result<void> Server::Impl::serve_engine_pages() {
  auto handler = [this](net::Request& request) { return engine_pages->handle(request); };
  net::ServerLimits limits;
  limits.connections_max = 256;  // of one browser or a few
  limits.connections_per_address_max = 64;
  engine_http = std::make_unique<net::HttpServer>(runtime, limits, std::move(handler));
  gateway::EnginePagesOptions options;
  ATELIER_TRY(options.url, listeners->listen_for_engine_pages(*engine_http));
  log::info("engine_pages", {{"scheme", options.url.scheme}, {"at", options.url.authority()}});
  engine_pages = std::make_unique<gateway::EnginePages>(runtime, *workers, std::move(options));
  instructor->set_engine_pages(*engine_pages);
  return {};
}

void Server::Impl::report_workers() {
  if (worker_announced || catalog->object_info()->size() == 0) return;
  for (const gateway::WorkerView& worker : workers->workers()) {
    // `atelier up` waits for this line before it says that everything is ready.
    fmt::print("worker_ready {}\n", worker.name);
    std::fflush(stdout);
    worker_announced = true;
    return;
  }
}

awaitable<int> Server::run() {
  Impl& self = *impl_;
  while (!self.stopping) {
    self.report_workers();
    [[maybe_unused]] const bool notified = co_await self.stop_signal.wait(
        self.runtime.now() + milliseconds{self.worker_announced ? 3'600'000 : 50});
  }
  log::info("stopping", {});
  const Instant deadline = self.runtime.now() + kGraceful;
  co_await self.participants->stop(deadline);  // 1001 to every editor: they reconnect by themselves
  co_await self.instructor->stop(deadline);
  co_await self.outlook->stop(deadline);
  co_await self.blob_sweeper->stop(deadline);
  co_await self.workers->stop(deadline);
  if (self.engine_http) {
    [[maybe_unused]] const bool over = co_await self.engine_http->stop(deadline);
  }
  [[maybe_unused]] const bool graceful = co_await self.http->stop(deadline);
  co_await self.workshop->stop(deadline);
  co_return self.exit_code;
}

void Server::request_stop(int exit_code) {
  impl_->stopping = true;
  impl_->exit_code = exit_code;
  impl_->stop_signal.notify_all();
}

}  // namespace atelier::app
