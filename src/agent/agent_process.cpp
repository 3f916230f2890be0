// SPDX-License-Identifier: MIT
// Agent: the ComfyUI processes that it started itself (--launch): restarted when they end, their output kept.
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>

#include "agent/agent_impl.hpp"
#include "base/log.hpp"

namespace atelier::agent {
namespace {

constexpr milliseconds kPauseLeast{1'000}, kPauseMost{60'000};
/// Who has lived so long did not fail to start.
constexpr milliseconds kLivedWell{60'000};
/// From SIGTERM to SIGKILL.
constexpr milliseconds kStopLimit{10'000};
/// From SIGKILL to its end: a driver can hold a process.
constexpr milliseconds kKillLimit{5'000};
/// For what ComfyUI has started, after its own end.
constexpr milliseconds kOthersLimit{500};

}  // namespace

bool Agent::Impl::can_listen(std::string_view host, std::uint16_t port) {
  const bool six = host == "::1";
  const files::FileDescriptor socket(::socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  v6.sin6_addr = in6addr_loopback;
  const auto* address = six ? reinterpret_cast<const sockaddr*>(&v6) : reinterpret_cast<const sockaddr*>(&v4);
  return ::bind(socket.get(), address, six ? sizeof v6 : sizeof v4) == 0 || errno != EADDRINUSE;
}

awaitable<void> Agent::Impl::keep_process(std::uint32_t slot) {
  Engine& engine = *engines[slot];
  milliseconds pause = kPauseLeast;
  while (!stopping && !engine.leaving) {
    const Instant begun = runtime.now();
    std::string why;
    // A shell, because the command is a line as people write it; "exec", so that ComfyUI itself gets the
    // signals, also when this process is killed; "env" for lines like "CUDA_VISIBLE_DEVICES=1 python
    // main.py".
    Result<std::unique_ptr<ChildProcess>> started =
        fail(Errc::conflict, fmt::format("another program listens at port {}", engine.client.port()));
    if (can_listen(engine.client.base().host, engine.client.port()))
      started = ChildProcess::start(runtime, {"/bin/sh", "-c", "exec env " + engine.command});
    if (started) {
      log::info("engine_started", {{"slot", slot}, {"command", engine.command}, {"log", engine.log->path()}});
      why = co_await live_with_process(slot, std::shared_ptr<ChildProcess>(std::move(*started)));
    } else {
      why = started.error().what;
      tell(slot, why);
    }
    if (stopping || engine.leaving) co_return;
    if (runtime.now() - begun > kLivedWell) pause = kPauseLeast;
    log::warn("engine_ended", {{"slot", slot},
                               {"how", why},
                               {"last_line", engine.log->last_words()},
                               {"again_in_s", engine.start_now ? 0 : pause.count() / 1000}});
    const Instant again_at = runtime.now() + pause;
    pause = engine.start_now ? kPauseLeast : std::min(pause * 2, kPauseMost);
    while (!engine.start_now && runtime.now() < again_at) {
      const bool woken = co_await changed.wait(again_at);
      if (!woken && runtime.now() < again_at) co_return;
    }
    engine.start_now = false;
  }
}

awaitable<std::string> Agent::Impl::live_with_process(std::uint32_t slot,
                                                      std::shared_ptr<ChildProcess> process) {
  Engine& engine = *engines[slot];
  engine.process = process;
  TaskGroup watcher(runtime);
  watcher.spawn("watch engine", end_its_group(process));
  while (true) {
    auto bytes = co_await process->read();
    if (!bytes || bytes->empty()) break;
    std::vector<std::string> lines = engine.log->add(*bytes);
    if (!lines.empty()) feed(EnginePrinted{slot, std::move(lines)});
  }
  auto ended = co_await process->wait();
  (void)co_await watcher.stop(runtime.now() + kStopLimit);
  engine.process.reset();
  changed.notify_all();
  co_return ended ? std::move(*ended) : ended.error().what;
}

awaitable<void> Agent::Impl::end_its_group(std::shared_ptr<ChildProcess> process) {
  // What ComfyUI had started would keep its GPU memory, and the pipe open.
  if (!co_await process->wait()) co_return;
  if (!co_await runtime.sleep_for(kOthersLimit)) co_return;
  process->signal(SIGKILL);
  process->stop_reading();
}

awaitable<void> Agent::Impl::stop_processes() {
  stopping = true;
  const Instant deadline = runtime.now() + kStopLimit;
  for (const auto& engine : engines) {
    if (engine->process != nullptr) engine->process->signal(SIGTERM);
  }
  const auto runs_on = [this] {
    return std::ranges::any_of(engines, [](const auto& engine) { return engine->process != nullptr; });
  };
  while (runs_on() && runtime.now() < deadline) (void)co_await changed.wait(deadline);
}

void Agent::Impl::do_action(RestartEngine&& action) {
  Engine& engine = *engines[action.slot];
  engine.start_now = true;  // who asks for it does not want to wait as after a crash
  changed.notify_all();
  if (engine.process != nullptr) tasks.spawn("end process", end_process(action.slot));
}

awaitable<void> Agent::Impl::end_process(std::uint32_t slot) {
  const Engine& engine = *engines[slot];
  const std::shared_ptr<ChildProcess> process = engine.process;
  if (process == nullptr) co_return;
  for (const auto& [signal, limit] : {std::pair(SIGTERM, kStopLimit), std::pair(SIGKILL, kKillLimit)}) {
    process->signal(signal);
    const Instant deadline = runtime.now() + limit;
    while (engine.process == process && runtime.now() < deadline) (void)co_await changed.wait(deadline);
    if (engine.process != process) co_return;
  }
}

}  // namespace atelier::agent
