// SPDX-License-Identifier: MIT
#include "runtime/child_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace atelier {
namespace {

constexpr std::size_t kReadBytes = 16 << 10;

[[noreturn]] void become(char* const* words, pid_t parent, int output) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(0);  // it went before the line above
  ::setpgid(0, 0);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
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
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return std::unexpected(errno_error(errno, "pipe"));
  std::vector<char*> words;
  for (std::string& word : arguments) words.push_back(word.data());
  words.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) become(words.data(), parent, ends[1]);
  int error = errno;
  ::close(ends[1]);
  if (child < 0) {
    ::close(ends[0]);
    return std::unexpected(errno_error(error, "fork"));
  }
  ::setpgid(child, child);  // whoever is first
  const auto pid_fd = static_cast<int>(::syscall(SYS_pidfd_open, child, 0));
  if (pid_fd < 0) {
    error = errno;
    ::close(ends[0]);
    ::kill(-child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    return std::unexpected(errno_error(error, "pidfd_open"));
  }
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return std::unique_ptr<ChildProcess>(new ChildProcess(runtime, child, pid_fd, ends[0]));
}

ChildProcess::~ChildProcess() {
  signal(SIGKILL);  // also what it has started and left behind: until now the group's number is nobody else's
  ::waitpid(pid_, nullptr, 0);
}

void ChildProcess::signal(int number) const { ::kill(-pid_, number); }

awaitable<Result<std::string>> ChildProcess::read() {
  std::string bytes(kReadBytes, '\0');
  while (true) {
    const ssize_t got = ::read(output_.native_handle(), bytes.data(), bytes.size());
    if (got >= 0) {
      bytes.resize(static_cast<std::size_t>(got));
      co_return bytes;
    }
    if (errno != EAGAIN && errno != EINTR) co_return std::unexpected(errno_error(errno, "read a pipe"));
    auto ready = co_await output_.async_wait(asio::posix::descriptor_base::wait_read, as_tuple_awaitable);
    if (std::get<0>(ready)) co_return fail(Errc::cancelled, "the wait was cancelled");
  }
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
