// SPDX-License-Identifier: MIT
// atelier-rehearsal: the rehearsal engine as a process of its own, so that nothing else links an image
// library.
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include "base/log.hpp"
#include "rehearsal/options.hpp"
#include "rehearsal/server.hpp"
#include "runtime/real_runtime.hpp"

namespace atelier::rehearsal {
namespace {

// A folder that is removed at the end, or the given one.
struct Home {
  std::string path;
  bool temporary = false;
  Home(const Home&) = delete;
  explicit Home(const std::string& wanted) {
    std::error_code error;
    if (!wanted.empty()) {
      path = std::filesystem::absolute(wanted, error).lexically_normal().string();
      while (path.size() > 1 && path.ends_with('/')) path.pop_back();
      return;
    }
    std::string pattern = std::filesystem::temp_directory_path(error).string() + "/atelier-rehearsal-XXXXXX";
    temporary = ::mkdtemp(pattern.data()) != nullptr;
    path = pattern;
  }
  ~Home() {
    std::error_code ignored;
    if (temporary) std::filesystem::remove_all(path, ignored);
  }
};

awaitable<void> stop_all(RealRuntime& runtime, Server& server) {
  co_await server.stop(runtime.now() + milliseconds{5000});
  runtime.stop();
}

int serve(const CommandLine& line) {
  if (line.with_parent) {
    const pid_t parent = ::getppid();
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) return 1;  // it ended just now
  }
  std::signal(SIGPIPE, SIG_IGN);
  ::setenv("SVT_LOG", "1", 0);  // else the AV1 encoder tells of itself on standard error
  const Home home(line.directory);
  ServerOptions options;
  options.name = line.name;
  options.engine.folders.root = home.path;
  options.engine.folders.temp_parent = line.temp_parent;
  options.engine.step_time = line.step_time;
  if (auto made = options.engine.folders.create(); !made) {
    fmt::print(stderr, "atelier-rehearsal: {}\n", made.error().what);
    return 2;
  }
  RealRuntime runtime;
  boost::asio::signal_set signals(runtime.context(), SIGINT, SIGTERM);
  Server server(runtime, std::move(options));
  const auto port = server.start(line.listen, line.port);
  if (!port) {
    fmt::print(stderr, "atelier-rehearsal: {}\n", port.error().what);
    return 2;
  }
  signals.async_wait([&](boost::system::error_code error, int) {
    if (error) return;
    boost::asio::co_spawn(runtime.executor(), stop_all(runtime, server), boost::asio::detached);
  });
  const bool ipv6 = line.listen.find(':') != std::string::npos;
  fmt::print("ready http://{}{}{}:{}/\n", ipv6 ? "[" : "", line.listen, ipv6 ? "]" : "", *port);
  std::fflush(stdout);
  runtime.run();
  log::info("rehearsal_stopped");
  return 0;
}

}  // namespace
}  // namespace atelier::rehearsal

int main(int count, char** values) {
  const auto line =
      atelier::rehearsal::parse_command_line(std::vector<std::string>(values + 1, values + count));
  if (!line) {
    for (const auto& mistake : line.error()) fmt::print(stderr, "atelier-rehearsal: {}\n", mistake);
    fmt::print(stderr, "atelier-rehearsal --help lists the options.\n");
    return 2;
  }
  if (line->help) {
    fmt::print("{}", atelier::rehearsal::help_text());
    return 0;
  }
  return atelier::rehearsal::serve(*line);
}
