// SPDX-License-Identifier: MIT
// `atelier up`: three children of one command, one log with a prefix each, one clean stop.
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>

#include "app/child.hpp"
#include "app/commands.hpp"
#include "app/options.hpp"

namespace atelier::app {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kStopPatience = std::chrono::seconds{12};  // then SIGKILL
constexpr auto kReadyPatience =
    std::chrono::seconds{20};  // for the worker, before "ready" is said without it
constexpr auto kRestartPauseMax = std::chrono::seconds{10};

class Supervisor {
 public:
  Supervisor(const Config& config, const Options& options);
  int run();

 private:
  enum Role : std::size_t { server, engine, worker, roles };

  void start(Role role);
  void on_output(Role role, const std::string& line);
  void on_exit(Role role, int status);
  void reap();
  void restart_due();
  void start_worker_if_possible();
  void say_ready_if_so();
  void begin_stop(int exit_code);
  [[nodiscard]] bool all_gone() const;
  void wait_for_events();
  void drain(Role role);

  const Config& config_;
  std::array<Child, roles> children_;
  std::array<Clock::time_point, roles> restart_at_{};
  std::array<std::chrono::milliseconds, roles> pause_{};
  std::string server_url_, https_url_, engine_url_;
  bool worker_ready_ = false, said_ready_ = false, stopping_ = false;
  Clock::time_point ready_deadline_{}, stop_deadline_{};
  int exit_code_ = 0;
  int signals_ = -1;
};

Supervisor::Supervisor(const Config& config, const Options& options) : config_(config) {
  children_[server].name = "serve    ";
  children_[server].arguments = {"serve"};
  for (const auto& [key, value] : options) {
    children_[server].arguments.push_back("--" + option_name(key));
    children_[server].arguments.push_back(value);
  }
  children_[engine].name = "rehearsal";
  children_[engine].arguments = {"rehearsal", "--port", "0", "--with-parent"};
  children_[worker].name = "worker   ";
  pause_.fill(std::chrono::milliseconds{200});
}

void Supervisor::start(Role role) {
  restart_at_[role] = {};
  if (auto started = children_[role].start(); !started) {
    fmt::print(stderr, "{}\n", started.error().what);
    begin_stop(kExitFailed);
  }
}

void Supervisor::on_output(Role role, const std::string& line) {
  constexpr std::string_view kReady = "ready ";
  constexpr std::string_view kHttps = "https ";
  constexpr std::string_view kWorkerReady = "worker_ready ";
  if (role == server && line.starts_with(kReady)) {
    const bool first = server_url_.empty();
    server_url_ = line.substr(kReady.size());
    if (first) {
      // A restart after a crash takes the same port, whatever port 0 gave the first time.
      std::string port = server_url_.substr(server_url_.rfind(':') + 1);
      port = port.substr(0, port.find('/'));
      auto& arguments = children_[server].arguments;
      arguments.push_back("--port");
      arguments.push_back(port);
      ready_deadline_ = Clock::now() + kReadyPatience;
    }
    start_worker_if_possible();
    return;
  }
  if (role == server && line.starts_with(kHttps)) {
    https_url_ = line.substr(kHttps.size());
    return;
  }
  if (role == server && line.starts_with(kWorkerReady)) {
    worker_ready_ = true;
    return;
  }
  if (role == engine && line.starts_with(kReady)) {
    const bool first = engine_url_.empty();
    engine_url_ = line.substr(kReady.size());
    if (first) {
      std::string port = engine_url_.substr(engine_url_.rfind(':') + 1);
      children_[engine].arguments[2] = port.substr(0, port.find('/'));
    }
    start_worker_if_possible();
    return;
  }
  fmt::print(stderr, "{} | {}\n", children_[role].name, line);
}

void Supervisor::start_worker_if_possible() {
  if (children_[worker].running() || restart_at_[worker] != Clock::time_point{}) return;
  if (server_url_.empty() || engine_url_.empty()) return;
  children_[worker].arguments = {
      "worker",  "--join",    server_url_, "--token-file", config_.text("DATA_DIR") + "/worker.token",
      "--comfy", engine_url_, "--name",    "rehearsal"};
  start(worker);
}

void Supervisor::on_exit(Role role, int status) {
  Child& child = children_[role];
  drain(role);
  child.close_pipes();
  child.pid = -1;
  if (stopping_) return;
  const bool crashed = WIFSIGNALED(status);
  const int code = crashed ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  if (role == server && (!crashed || server_url_.empty())) {
    begin_stop(code);  // it said why: wrong configuration, a disk error, newer data
    return;
  }
  fmt::print(stderr, "{} | ended with {} {}; starts again in {} ms\n", child.name,
             crashed ? "signal" : "code", crashed ? WTERMSIG(status) : code, pause_[role].count());
  restart_at_[role] = Clock::now() + pause_[role];
  pause_[role] = std::min<std::chrono::milliseconds>(pause_[role] * 2, kRestartPauseMax);
}

void Supervisor::reap() {
  int status = 0;
  for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    for (std::size_t role = 0; role < roles; ++role) {
      if (children_[role].pid == pid) on_exit(static_cast<Role>(role), status);
    }
  }
}

void Supervisor::restart_due() {
  for (std::size_t role = 0; role < roles && !stopping_; ++role) {
    if (restart_at_[role] != Clock::time_point{} && Clock::now() >= restart_at_[role])
      start(static_cast<Role>(role));
  }
}

void Supervisor::say_ready_if_so() {
  if (said_ready_ || stopping_ || server_url_.empty()) return;
  if (!worker_ready_ && Clock::now() < ready_deadline_) return;
  said_ready_ = true;
  const std::string& url = https_url_.empty() ? server_url_ : https_url_;
  std::error_code ignored;
  const std::string data =
      std::filesystem::absolute(config_.text("DATA_DIR"), ignored).lexically_normal().string();
  fmt::print(
      "\n  Atelier is running{}\n"
      "    editors   {}user/1/  to  {}user/{}/\n"
      "    health    {}health\n"
      "    data      {}\n"
      "    steering  {}api/v1/queue, with the token of: atelier tokens --instructor --data {}\n"
      "    stop      Ctrl-C\n\n"
      "ready {}\n",
      worker_ready_ ? "." : ", but the worker has not joined yet; jobs are kept.", url, url,
      config_.number("NUM_USERS"), url, data, url, data, server_url_);
  std::fflush(stdout);
}

void Supervisor::begin_stop(int exit_code) {
  if (stopping_) {
    for (const Child& child : children_) child.signal(SIGKILL);  // the second Ctrl-C
    return;
  }
  stopping_ = true;
  exit_code_ = exit_code;
  stop_deadline_ = Clock::now() + kStopPatience;
  for (const Child& child : children_) child.signal(SIGTERM);
}

bool Supervisor::all_gone() const {
  return std::ranges::none_of(children_, [](const Child& child) { return child.running(); });
}

void Supervisor::drain(Role role) {
  Child& child = children_[role];
  std::vector<std::string> lines;
  if (child.out >= 0) read_lines(child.out, child.out_rest, lines);
  for (const std::string& line : lines) on_output(role, line);
  lines.clear();
  if (child.err >= 0) read_lines(child.err, child.err_rest, lines);
  for (const std::string& line : lines) fmt::print(stderr, "{} | {}\n", child.name, line);
}

void Supervisor::wait_for_events() {
  std::array<pollfd, 1 + 2 * roles> polled{};
  polled[0] = {.fd = signals_, .events = POLLIN, .revents = 0};
  for (std::size_t role = 0; role < roles; ++role) {
    polled[1 + 2 * role] = {.fd = children_[role].out, .events = POLLIN, .revents = 0};
    polled[2 + 2 * role] = {.fd = children_[role].err, .events = POLLIN, .revents = 0};
  }
  ::poll(polled.data(), polled.size(), 100);
  for (std::size_t role = 0; role < roles; ++role) {
    if (polled[1 + 2 * role].revents != 0 || polled[2 + 2 * role].revents != 0)
      drain(static_cast<Role>(role));
  }
  signalfd_siginfo info{};
  while (::read(signals_, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo != SIGCHLD) begin_stop(0);
  }
}

int Supervisor::run() {
  sigset_t mask;
  ::sigemptyset(&mask);
  for (int number : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) ::sigaddset(&mask, number);
  ::sigprocmask(SIG_BLOCK, &mask, nullptr);
  signals_ = ::signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
  start(server);
  start(engine);
  while (!(stopping_ && all_gone())) {
    wait_for_events();
    reap();
    restart_due();
    say_ready_if_so();
    if (stopping_ && Clock::now() > stop_deadline_) {
      for (const Child& child : children_) child.signal(SIGKILL);
    }
  }
  ::close(signals_);
  return exit_code_;
}

}  // namespace

int up(const Options& options) {
  const auto config = read_config(options);
  if (!config) return kExitConfig;
  return Supervisor(*config, options).run();
}

}  // namespace atelier::app
