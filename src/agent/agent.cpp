// SPDX-License-Identifier: MIT
#include "agent/agent.hpp"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <filesystem>

#include "agent/agent_impl.hpp"
#include "base/log.hpp"

namespace atelier::agent {
namespace {

constexpr int kUploadsAtOnce = 4;
constexpr std::size_t kLogBytesWaitingMax = 256 << 10;
constexpr Instant kFar{INT64_MAX / 4};

net::ClientLimits gateway_limits() {
  net::ClientLimits limits;
  limits.idle_connections_per_origin_max = 8;
  return limits;
}

Result<Spool> make_spool(const std::string& state_dir, const std::string& owner) {
  auto spool = Spool::make(state_dir, owner);
  if (spool) return spool;
  log::warn("state_folder_not_used", {{"folder", state_dir}, {"why", spool.error().what}});
  return Spool::make(std::filesystem::temp_directory_path().string(), owner);
}

net::ClientLimits engine_limits() {
  net::ClientLimits limits;
  limits.stall = milliseconds(300'000);  // ComfyUI may be silent while a model loads
  return limits;
}

}  // namespace

bool is_worker_name(std::string_view name) {
  if (name.empty() || name.size() > 64) return false;
  for (char c : name) {
    const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '.' || c == '_' || c == '-';
    if (!good) return false;
  }
  return true;
}

Result<net::Url> resolve_blob_url(const net::Url& join, std::string_view blob_url) {
  if (blob_url.starts_with("http://") || blob_url.starts_with("https://")) return net::parse_url(blob_url);
  net::Url url = join;
  while (url.target.ends_with('/')) url.target.pop_back();
  if (!blob_url.starts_with('/')) url.target += '/';
  url.target += blob_url;
  return url;
}

awaitable<bool> Turns::take() {
  while (free_ == 0) {
    if (!co_await changed_.wait(runtime_.now() + milliseconds(3'600'000))) co_return false;
  }
  --free_;
  co_return true;
}

Agent::Agent(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Agent::~Agent() = default;

Result<std::unique_ptr<Agent>> Agent::make(Runtime& runtime, AgentOptions options) {
  if (!is_worker_name(options.name))
    return fail(Errc::config, "--name: 1 to 64 of letters, digits, '.', '_' and '-'");
  const std::string gateway = options.join.authority() + options.join.target;
  ATELIER_TRY(Spool spool, make_spool(options.state_dir, spool_owner(options.name, gateway)));
  MachineOptions machine;
  machine.name = options.name;
  machine.version = std::string(kAgentVersion);
  machine.boot = runtime.random_key();
  machine.seed = runtime.random();
  machine.drain_limit = options.drain_limit;
  machine.slots = static_cast<std::uint32_t>(options.comfy.size());
  machine.launched = !options.launch.empty();
  auto impl = std::make_unique<Impl>(runtime, std::move(options), std::move(spool), std::move(machine));
  for (std::uint32_t slot = 0; slot < impl->engines.size(); ++slot) {
    ATELIER_TRY_VOID(impl->prepare_engine(slot));
  }
  impl->restore();
  return std::unique_ptr<Agent>(new Agent(std::move(impl)));
}

awaitable<int> Agent::run() { return impl_->run(); }
void Agent::drain(std::string reason) { impl_->feed(DrainRequested{std::move(reason)}); }
void Agent::stop() { impl_->feed(StopRequested{}); }

Agent::Impl::Impl(Runtime& runtime_in, AgentOptions options_in, Spool spool_in,
                  MachineOptions machine_options)
    : runtime(runtime_in),
      options(std::move(options_in)),
      spool(std::move(spool_in)),
      gateway_http(runtime, gateway_limits(), options.tls),
      engine_http(runtime, engine_limits()),
      credentials(runtime, gateway_http, options.join, options.name, options.token, options.state_dir),
      gateway(runtime, gateway_http, credentials),
      collector(runtime, spool),
      uploads(runtime, kUploadsAtOnce),
      machine(std::move(machine_options)),
      timer(runtime.make_timer()),
      changed(runtime),
      tasks(runtime) {
  for (const net::Url& comfy : options.comfy) engines.push_back(make_engine(comfy));
}

awaitable<int> Agent::Impl::run() {
  for (std::uint32_t slot = 0; slot < engines.size(); ++slot) watch(slot);
  tasks.spawn("measure", measure());
  tasks.spawn("keep time", keep_time());
  for (Action& action : machine.start(runtime.now())) perform(std::move(action));
  while (!exit_code) (void)co_await changed.wait(kFar);
  // What was said last, and the close frame, still go out; then everything ends.
  const Instant deadline = runtime.now() + milliseconds(3'000);
  while (!link_over && runtime.now() < deadline) (void)co_await changed.wait(deadline);
  co_await stop_processes();
  for (const auto& engine : engines) (void)co_await engine->life.stop(runtime.now() + milliseconds(5'000));
  (void)co_await tasks.stop(runtime.now() + milliseconds(5'000));
  co_return *exit_code;
}

void Agent::Impl::feed(Input input) {
  inputs.push_back(std::move(input));
  if (feeding) return;
  feeding = true;
  while (!inputs.empty()) {
    const Input next = std::move(inputs.front());
    inputs.pop_front();
    for (Action& action : machine.on(runtime.now(), next)) perform(std::move(action));
  }
  feeding = false;
  timer->expires_at(machine.next_at());
}

awaitable<void> Agent::Impl::keep_time() {
  for (;;) {
    const Instant next = machine.next_at();
    if (next <= runtime.now()) {
      feed(Tick{});
      continue;
    }
    timer->expires_at(next);
    (void)co_await timer->wait();  // false: the time was changed, or this task is cancelled
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) co_return;
  }
}

void Agent::Impl::perform(Action action) {
  std::visit([this](auto&& one) { do_action(std::move(one)); }, std::move(action));
}

std::shared_ptr<RunFiles> Agent::Impl::files_of(RunKey key) {
  auto& run = runs[key];
  if (!run) run = std::make_shared<RunFiles>();
  return run;
}

std::uint64_t Agent::Impl::disk_free() const {
  struct statvfs status{};
  const int fd = engines[0]->folders ? engines[0]->folders->output.fd() : spool.folder().fd();
  if (::fstatvfs(fd, &status) != 0) return 0;
  return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

void Agent::Impl::do_action(Dial&&) { tasks.spawn("link", dial()); }

void Agent::Impl::do_action(CloseLink&& action) {
  if (outgoing != nullptr) outgoing->close(net::CloseCode{action.code}, std::move(action.reason));
}

void Agent::Impl::do_action(Send&& action) {
  if (outgoing == nullptr) return;
  // Lines of a log may be lost; what must arrive shall not wait behind a flood of them.
  if (std::holds_alternative<link::LogLines>(action.message) &&
      outgoing->bytes_waiting() > kLogBytesWaitingMax)
    return;
  auto pushed = net::OutgoingQueue::Pushed::queued;
  if (const auto* preview = std::get_if<link::Preview>(&action.message)) {
    net::Message message = net::Message::binary(link::encode_preview(*preview));
    pushed = action.newest_only ? outgoing->push_latest(std::move(message), preview->job.value)
                                : outgoing->push_large(std::move(message));
  } else {
    std::string text = link::encode(action.message);
    if (text.size() > link::kTextBytesMax) {
      // Only texts full of control characters grow so much in JSON; the peer would close the link for it.
      log::error("message_too_large", {{"type", link::type_of(action.message)}, {"bytes", text.size()}});
      return;
    }
    pushed = outgoing->push(net::Message::text(std::move(text)));
  }
  if (pushed == net::OutgoingQueue::Pushed::dropped) log::debug("preview_dropped");
}

void Agent::Impl::do_action(FetchJob&& action) {
  auto run = files_of(action.key);
  tasks.spawn("fetch job", fetch(std::move(action), std::move(run)));
}
void Agent::Impl::do_action(Prefetch&& action) {
  Engine& engine = *engines[action.slot];
  // What is on its way for a job that has come is waited for by its FetchJob.
  if (engine.hinted_files && !runs.contains(engine.hinted)) engine.hinted_files->forgotten = true;
  engine.hinted = action.key;
  engine.hinted_files.reset();
  if (action.inputs.empty()) return;
  engine.hinted_files = std::make_shared<RunFiles>();
  auto files = engine.hinted_files;
  tasks.spawn("prefetch inputs", prefetch(std::move(action), std::move(files)));
}
void Agent::Impl::do_action(PostRun&& action) {
  auto run = files_of(action.key);
  tasks.spawn("post run", post(action, std::move(run)));
}
void Agent::Impl::do_action(AskRun&& action) { tasks.spawn("ask run", ask(action)); }
void Agent::Impl::do_action(InterruptRun&& action) {
  tasks.spawn("interrupt run", engines[action.slot]->client.interrupt(action.run_id.uuid()));
}
void Agent::Impl::do_action(Collect&& action) {
  auto run = files_of(action.key);
  Collector::note(*run, action.key, action.node, action.ui);
  tasks.spawn("collect outputs", collect(std::move(action), std::move(run)));
}
void Agent::Impl::do_action(CollectRest&& action) {
  auto run = files_of(action.key);
  tasks.spawn("collect rest", collect_rest(action, std::move(run)));
}
void Agent::Impl::do_action(Upload&& action) {
  auto run = files_of(action.key);
  tasks.spawn("upload output", upload(std::move(action), std::move(run)));
}
void Agent::Impl::do_action(PublishObjectInfo&& action) {
  tasks.spawn("publish object_info", publish(action));
}
void Agent::Impl::do_action(FreeEngine&& action) {
  tasks.spawn("free memory", engines[action.slot]->client.free_memory());
}

void Agent::Impl::do_action(Forget&& action) {
  const auto found = runs.find(action.key);
  if (found == runs.end()) return;
  collector.forget(*found->second);
  runs.erase(found);
}

void Agent::Impl::do_action(Exit&& action) {
  if (action.code == 0) {
    log::info("leaving", {{"why", action.why}});
  } else {
    log::error("refused", {{"why", action.why}});
  }
  exit_code = action.code;
  changed.notify_all();
}

}  // namespace atelier::agent
