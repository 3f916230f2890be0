// SPDX-License-Identifier: MIT
#include "runtime/helper_process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace atelier {
namespace {

constexpr std::size_t kAnswerBytesMax = 64 << 10;
constexpr std::size_t kDescriptorsMax = 8;
constexpr int kSocketNumber = 3;

[[noreturn]] void become(const char* program, char* const* words, int socket) {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null = ::open("/dev/null", O_RDWR);
  ::dup2(null, STDIN_FILENO);
  ::dup2(null, STDOUT_FILENO);
  if (socket == kSocketNumber) {
    ::fcntl(socket, F_SETFD, 0);
  } else {
    ::dup2(socket, kSocketNumber);
  }
  ::close_range(kSocketNumber + 1, ~0U, 0);
  std::array<char*, 1> environment{nullptr};
  ::execve(program, words, environment.data());
  ::_exit(127);
}

}  // namespace

Result<std::unique_ptr<HelperProcess>> HelperProcess::start(Runtime& runtime, const std::string& program,
                                                            const std::vector<std::string>& arguments) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return std::unexpected(errno_error(errno, "socketpair"));
  std::string name = program;
  std::vector<std::string> copies = arguments;
  std::vector<char*> words{name.data()};
  for (std::string& word : copies) words.push_back(word.data());
  words.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) become(program.c_str(), words.data(), ends[1]);
  const int error = errno;
  ::close(ends[1]);
  if (child < 0) {
    ::close(ends[0]);
    return std::unexpected(errno_error(error, "fork"));
  }
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return std::unique_ptr<HelperProcess>(new HelperProcess(runtime, child, ends[0]));
}

HelperProcess::~HelperProcess() {
  kill();
  ::waitpid(pid_, nullptr, 0);  // it has been killed: this does not wait for its work
}

void HelperProcess::kill() { ::kill(pid_, SIGKILL); }

awaitable<Result<std::string>> HelperProcess::exchange(std::string message, std::vector<int> descriptors) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kDescriptorsMax * sizeof(int))> control{};
  iovec part{message.data(), message.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  const std::size_t bytes = std::min(descriptors.size(), kDescriptorsMax) * sizeof(int);
  if (bytes > 0) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(bytes);
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(bytes);
    std::memcpy(CMSG_DATA(rights), descriptors.data(), bytes);
  }
  // One small message at a time: there is always room for it.
  if (::sendmsg(socket_.native_handle(), &header, MSG_NOSIGNAL) < 0)
    co_return fail(Errc::closed, "the helper process has ended");
  std::string answer(kAnswerBytesMax, '\0');
  while (true) {
    const ssize_t got = ::recv(socket_.native_handle(), answer.data(), answer.size(), 0);
    if (got > 0) {
      answer.resize(static_cast<std::size_t>(got));
      co_return answer;
    }
    if (got == 0 || (errno != EAGAIN && errno != EINTR))
      co_return fail(Errc::closed, "the helper process died");
    auto ready = co_await socket_.async_wait(asio::posix::descriptor_base::wait_read, as_tuple_awaitable);
    if (std::get<0>(ready)) co_return fail(Errc::cancelled, "the wait was cancelled");
  }
}

}  // namespace atelier
