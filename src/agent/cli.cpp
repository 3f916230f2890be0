// SPDX-License-Identifier: MIT
#include "agent/cli.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/signal_set.hpp>
#include <climits>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "agent/agent.hpp"
#include "base/log.hpp"
#include "runtime/real_runtime.hpp"
#include "runtime/task_group.hpp"

namespace atelier::agent {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitConfig = 2;

struct Given {
  std::string join, token_file, ca_file, comfy = "http://127.0.0.1:8188", comfy_dir, name;
  int slots = 1;
  int drain_s = 600;
};

constexpr const char* kAbout =
    "Lets a ComfyUI work for an Atelier workshop. The worker dials the server, takes one job at a time, runs "
    "it on the\n"
    "ComfyUI at --comfy, and brings the pictures back. It opens no port and may be stopped and started at "
    "any time: a job\n"
    "in hand goes back to the head of its owner's queue.\n\n"
    "  atelier-worker --join https://workshop.example --token-file worker.token --comfy "
    "http://127.0.0.1:8188 "
    "\\\n"
    "                 --comfy-dir ~/ComfyUI\n\n"
    "The token lies on the server in DATA_DIR/worker.token. SIGTERM or Ctrl-C lets the running job finish "
    "and takes no\n"
    "more; a second one gives the job back and ends at once.\n"
    "Exit codes: 0 fine, 1 failed, 2 wrong options, token or protocol version.";

std::string host_name() {
  char name[HOST_NAME_MAX + 1] = {};
  if (::gethostname(name, sizeof name - 1) != 0) return "worker";
  std::string clean;
  for (char c : std::string_view(name)) {
    if (clean.size() == 64) break;
    clean += is_worker_name(std::string(1, c)) ? c : '-';
  }
  return clean.empty() ? "worker" : clean;
}

Result<std::string> read_token(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(Errc::config, fmt::format("--token-file: {} cannot be opened", path));
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const auto begin = text.find_first_not_of(" \t\r\n");
  const auto end = text.find_last_not_of(" \t\r\n");
  if (begin == std::string::npos) return fail(Errc::config, fmt::format("--token-file: {} is empty", path));
  text = text.substr(begin, end - begin + 1);
  for (char c : text) {
    if (c <= ' ' || c > '~')
      return fail(Errc::config, fmt::format("--token-file: {} does not hold a token", path));
  }
  return text;
}

// All mistakes together, one sentence each.
std::vector<std::string> check(const Given& given, AgentOptions& options) {
  std::vector<std::string> mistakes;
  auto url = [&](const char* option, const std::string& text, net::Url& into) {
    auto parsed = net::parse_url(text);
    if (!parsed) {
      mistakes.push_back(fmt::format("{}: \"{}\" is no address: {}", option, text, parsed.error().what));
    } else if (parsed->scheme != "http" && parsed->scheme != "https") {
      mistakes.push_back(fmt::format("{}: \"{}\" must begin with https:// or http://", option, text));
    } else {
      into = std::move(*parsed);
    }
  };
  url("--join", given.join, options.join);
  url("--comfy", given.comfy, options.comfy);
  if (auto token = read_token(given.token_file)) {
    options.token = std::move(*token);
  } else {
    mistakes.push_back(token.error().what);
  }
  if (!given.ca_file.empty()) {
    auto tls = net::TlsContext::client(given.ca_file);
    if (!tls) mistakes.push_back("--ca-file: " + tls.error().what);
    if (tls) options.tls = std::move(*tls);
  }
  options.name = given.name.empty() ? host_name() : given.name;
  if (!is_worker_name(options.name))
    mistakes.emplace_back("--name: 1 to 64 of letters, digits, '.', '_' and '-'");
  if (given.slots != 1)
    mistakes.emplace_back(
        "--slots: this version drives one ComfyUI per agent; start another agent for another one");
  if (given.drain_s < 0 || given.drain_s > 86'400) mistakes.emplace_back("--drain-limit: 0 to 86400 seconds");
  options.comfy_dir = given.comfy_dir;
  options.drain_limit = milliseconds(std::int64_t{given.drain_s} * 1000);
  return mistakes;
}

awaitable<void> watch_signals(Agent& agent) {
  asio::signal_set signals(co_await asio::this_coro::executor, SIGTERM, SIGINT);
  (void)co_await signals.async_wait(use_awaitable);
  agent.drain("asked to stop");
  (void)co_await signals.async_wait(use_awaitable);
  agent.stop();
  (void)co_await signals.async_wait(use_awaitable);
  ::_exit(kExitFailed);
}

awaitable<void> run_agent(RealRuntime& runtime, Agent& agent, int& code) {
  code = co_await agent.run();
  runtime.stop();
}

}  // namespace

int worker_main(int argc, char** argv) {
  Given given;
  CLI::App app(kAbout, "atelier-worker");
  app.add_option("--join", given.join, "Address of the server: https://host")->required();
  app.add_option("--token-file", given.token_file,
                 "File with the token for workers (server: DATA_DIR/worker.token)")
      ->required();
  app.add_option("--ca-file", given.ca_file,
                 "PEM file with the authority of the server's certificate, instead of the system's");
  app.add_option("--comfy", given.comfy, "Address of the ComfyUI that does the work")->capture_default_str();
  app.add_option("--comfy-dir", given.comfy_dir,
                 "ComfyUI's folder (with input, output and temp). Files then go by disk instead of ComfyUI's "
                 "upload and view");
  app.add_option(
      "--name", given.name,
      "What the workshop calls this worker [host name]. A second worker of the same name replaces it");
  app.add_option("--slots", given.slots, "ComfyUI processes to drive; only 1 in this version")
      ->capture_default_str();
  app.add_option("--drain-limit", given.drain_s, "Seconds that a running job gets to finish after SIGTERM")
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitConfig;
  }
  AgentOptions options;
  const std::vector<std::string> mistakes = check(given, options);
  for (const std::string& mistake : mistakes) fmt::print(stderr, "atelier-worker: {}\n", mistake);
  if (!mistakes.empty()) return kExitConfig;
  ::signal(SIGPIPE, SIG_IGN);
  RealRuntime runtime;
  auto agent = Agent::make(runtime, std::move(options));
  if (!agent) {
    fmt::print(stderr, "atelier-worker: {}\n", agent.error().what);
    return agent.error().code == Errc::config ? kExitConfig : kExitFailed;
  }
  int code = kExitFailed;
  TaskGroup group(runtime);
  group.spawn("watch signals", watch_signals(**agent));
  group.spawn("run agent", run_agent(runtime, **agent, code));
  runtime.run();
  group.cancel_all();
  runtime.context().restart();
  runtime.context().poll();  // what was cancelled ends before the agent does
  return code;
}

}  // namespace atelier::agent
