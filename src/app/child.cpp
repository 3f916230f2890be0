// SPDX-License-Identifier: MIT
#include "app/child.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace atelier::app {
namespace {

constexpr std::size_t kLineBytesMax = 64 << 10;

[[noreturn]] void become(const std::vector<std::string>& arguments, pid_t parent, int out, int err) {
  // Whatever way the parent goes, even by kill -9, the child gets SIGTERM.
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(0);  // it went before the line above
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::setpgid(0, 0);  // a Ctrl-C reaches the parent only, which stops all in order
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  std::vector<char*> words;
  std::string program = "/proc/self/exe";
  std::string shown = "atelier";
  words.push_back(shown.data());
  std::vector<std::string> copies = arguments;
  for (std::string& word : copies) words.push_back(word.data());
  words.push_back(nullptr);
  ::execv(program.c_str(), words.data());
  ::_exit(127);
}

}  // namespace

Result<void> Child::start() {
  std::array<int, 2> out_pipe{}, err_pipe{};
  if (::pipe2(out_pipe.data(), O_CLOEXEC) != 0) return std::unexpected(errno_error(errno, "pipe"));
  if (::pipe2(err_pipe.data(), O_CLOEXEC) != 0) return std::unexpected(errno_error(errno, "pipe"));
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return std::unexpected(errno_error(errno, "fork"));
  if (child == 0) become(arguments, parent, out_pipe[1], err_pipe[1]);
  ::close(out_pipe[1]);
  ::close(err_pipe[1]);
  ::fcntl(out_pipe[0], F_SETFL, O_NONBLOCK);
  ::fcntl(err_pipe[0], F_SETFL, O_NONBLOCK);
  close_pipes();
  out = out_pipe[0];
  err = err_pipe[0];
  pid = child;
  return {};
}

void Child::signal(int number) const {
  if (pid > 0) ::kill(pid, number);
}

void Child::close_pipes() {
  if (out >= 0) ::close(out);
  if (err >= 0) ::close(err);
  out = err = -1;
}

bool read_lines(int fd, std::string& rest, std::vector<std::string>& lines) {
  std::array<char, 16384> buffer{};
  while (true) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) {
      if (!rest.empty()) lines.push_back(std::move(rest));
      rest.clear();
      return false;
    }
    rest.append(buffer.data(), static_cast<std::size_t>(got));
    for (std::size_t end; (end = rest.find('\n')) != std::string::npos;) {
      lines.push_back(rest.substr(0, end));
      rest.erase(0, end + 1);
    }
    if (rest.size() > kLineBytesMax) {
      lines.push_back(std::move(rest));
      rest.clear();
    }
  }
}

}  // namespace atelier::app
