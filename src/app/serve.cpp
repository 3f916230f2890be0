// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdio>

#include "app/commands.hpp"
#include "app/options.hpp"
#include "app/server.hpp"
#include "base/log.hpp"

namespace atelier::app {
namespace {

log::Level level_of(std::string_view name) {
  if (name == "debug") return log::Level::debug;
  if (name == "warn") return log::Level::warn;
  if (name == "error") return log::Level::error;
  return log::Level::info;
}

/// Every tab has some connections, and bytes that are kept to be sent have a file each: the 1,024 that a
/// system gives at first are soon used up.
void raise_limit_of_open_files() {
  constexpr rlim_t kEnough = 1 << 17;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = std::max(limit.rlim_cur, std::min(limit.rlim_max, kEnough));
  ::setrlimit(RLIMIT_NOFILE, &limit);
  constexpr rlim_t kFew = 4'096;
  if (limit.rlim_cur < kFew) log::warn("few_open_files", {{"limit", limit.rlim_cur}, {"wanted", kFew}});
}

awaitable<int> serve_until_stopped(Server& server) {
  if (auto opened = co_await server.open(); !opened) {
    fmt::print(stderr, "{}\n", opened.error().what);
    co_return exit_code_of(opened.error());
  }
  if (!server.https_url().empty()) fmt::print("https {}\n", server.https_url());
  fmt::print("ready {}\n", server.url());
  std::fflush(stdout);
  co_return co_await server.run();
}

}  // namespace

int serve(const Options& options) {
  const auto config = read_config(options);
  if (!config) return kExitConfig;
  log::set_level(level_of(config->text("LOG_LEVEL")));
  ::prctl(PR_SET_DUMPABLE, 0);  // secrets stay out of core files and of other processes of this user (P7)
  ::signal(SIGPIPE, SIG_IGN);
  raise_limit_of_open_files();

  // Forecasts of a long queue take a core for a while: whoever waits for the one thread goes first.
  RealRuntime runtime({.compute_niceness = 5});
  Server server(runtime, *config);
  int exit_code = 0;
  asio::signal_set signals(runtime.context(), SIGINT, SIGTERM);
  signals.async_wait([&](const boost::system::error_code& error, int) {
    if (!error) server.request_stop(0);
  });
  asio::co_spawn(runtime.executor(), serve_until_stopped(server), [&](std::exception_ptr failure, int code) {
    exit_code = code;
    if (failure) {
      exit_code = kExitFailed;
      try {
        std::rethrow_exception(failure);
      } catch (const std::exception& error) {
        log::error("serve_failed", {{"reason", error.what()}});
      }
    }
    signals.cancel();
    runtime.stop();
  });
  runtime.run();
  return exit_code;
}

}  // namespace atelier::app
