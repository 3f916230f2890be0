// SPDX-License-Identifier: MIT
#include "runtime/child_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace atelier {
namespace {

constexpr std::size_t kReadBytes = 16 << 10;
constexpr int kOrphansLimitMs = 5'000;

/// Waits in the group until the parent has gone, then ends the group: PR_SET_PDEATHSIG would reach its leader
/// only, which may be a shell.
[[noreturn]] void guard(int parent_alive) {
  ::signal(SIGTERM, SIG_IGN);
  ::signal(SIGINT, SIG_IGN);
  ::dup2(parent_alive, STDIN_FILENO);
  ::close_range(STDIN_FILENO + 1, ~0U, 0);
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) < 0 && errno == EINTR) {
  }
  ::kill(0, SIGTERM);
  ::poll(nullptr, 0, kOrphansLimitMs);
  ::kill(0, SIGKILL);
  ::_exit(0);
}

/// All signals are blocked: until exec, handlers of this process would answer them.
[[noreturn]] void become(char* const* words, int output, int parent_alive) {
  ::setpgid(0, 0);
  struct sigaction usual{};
  usual.sa_handler = SIG_DFL;
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGCHLD}) ::sigaction(number, &usual, nullptr);
  if (::fork() == 0) guard(parent_alive);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  ::close_range(STDERR_FILENO + 1, ~0U, 0);
  ::execvp(words[0], words);
  ::_exit(127);
}

std::string end_in_words(const siginfo_t& end) {
  return fmt::format("{} {}", end.si_code == CLD_EXITED ? "exit code" : "signal", end.si_status);
}

}  // namespace

Result<std::unique_ptr<ChildProcess>> ChildProcess::start(Runtime& runtime,
                                                          std::vector<std::string> arguments) {
  std::array<int, 2> ends{}, alive{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return std::unexpected(errno_error(errno, "pipe"));
  if (::pipe2(alive.data(), O_CLOEXEC) != 0) {
    const int error = errno;
    ::close(ends[0]);
    ::close(ends[1]);
    return std::unexpected(errno_error(error, "pipe"));
  }
  std::vector<char*> words;
  for (std::string& word : arguments) words.push_back(word.data());
  words.push_back(nullptr);
  sigset_t all, before;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &before);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(alive[1]);
    become(words.data(), ends[1], alive[0]);
  }
  int error = errno;
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  ::close(ends[1]);
  ::close(alive[0]);
  if (child > 0) {
    ::setpgid(child, child);  // whoever is first
    const auto pid_fd = static_cast<int>(::syscall(SYS_pidfd_open, child, 0));
    if (pid_fd >= 0) {
      ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
      return std::unique_ptr<ChildProcess>(new ChildProcess(runtime, child, pid_fd, ends[0], alive[1]));
    }
    error = errno;
    ::kill(-child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  ::close(ends[0]);
  ::close(alive[1]);
  return std::unexpected(errno_error(error, "start a process"));
}

ChildProcess::~ChildProcess() {
  signal(SIGKILL);  // also what it has started and left behind: until now the group's number is nobody else's
  for (int i = 0; i < 50 && ::waitpid(pid_, nullptr, WNOHANG) == 0; ++i) ::poll(nullptr, 0, 10);
  ::close(alive_);
}

void ChildProcess::signal(int number) const { ::kill(-pid_, number); }

awaitable<Result<std::string>> ChildProcess::read() {
  std::string bytes(kReadBytes, '\0');
  while (reading_) {
    // First the wait, so that one that prints without end leaves room for everybody else.
    auto ready = co_await output_.async_wait(asio::posix::descriptor_base::wait_read, as_tuple_awaitable);
    if (!reading_) break;
    if (std::get<0>(ready)) co_return fail(Errc::cancelled, "the wait was cancelled");
    const ssize_t got = ::read(output_.native_handle(), bytes.data(), bytes.size());
    if (got >= 0) {
      bytes.resize(static_cast<std::size_t>(got));
      co_return bytes;
    }
    if (errno != EAGAIN && errno != EINTR) co_return std::unexpected(errno_error(errno, "read a pipe"));
  }
  co_return std::string();
}

void ChildProcess::stop_reading() {
  reading_ = false;
  output_.cancel();
}

awaitable<Result<std::string>> ChildProcess::wait() {
  auto ready = co_await ended_.async_wait(asio::posix::descriptor_base::wait_read, as_tuple_awaitable);
  if (std::get<0>(ready)) co_return fail(Errc::cancelled, "the wait was cancelled");
  siginfo_t end{};
  if (::waitid(P_PID, static_cast<id_t>(pid_), &end, WEXITED | WNOWAIT) != 0)
    co_return std::unexpected(errno_error(errno, "waitid"));
  co_return end_in_words(end);
}

}  // namespace atelier
