// SPDX-License-Identifier: MIT
#include "agent/cli.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/signal_set.hpp>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "agent/agent.hpp"
#include "agent/credentials.hpp"
#include "base/log.hpp"
#include "link/messages.hpp"
#include "runtime/real_runtime.hpp"
#include "runtime/task_group.hpp"

namespace atelier::agent {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitConfig = 2;

struct Given {
  std::string join, token_file, ca_file, comfy_dir, launch, log_dir;
  std::optional<std::string> name;
  std::vector<std::string> comfy;
  std::optional<int> slots;
  int drain_s = 600;
  int hang_limit_s = 90;
  int look_again_s = 60;
  bool enrol_only = false;
  bool check_only = false;
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
    "It can start ComfyUI itself, and start it again when it dies; several share a large GPU:\n\n"
    "  atelier-worker --join https://workshop.example --token-file worker.token --comfy-dir ~/ComfyUI \\\n"
    "                 --launch \"python ~/ComfyUI/main.py\" --slots 3\n\n"
    "The token is one of POST /api/v1/enrolments, good for one machine and once: with it the worker makes a "
    "key of its own\n"
    "known to the server, and does not need the token again. Or it is the content of the server's "
    "DATA_DIR/worker.token, for\n"
    "machines of your own. SIGTERM or Ctrl-C lets the running job finish and takes no more; a second one "
    "gives the job back\n"
    "and ends at once.\n"
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

/// Where outputs lie on their way, and logs and temp folders of launched ComfyUIs if nothing is said.
std::string state_dir_of(const std::string& name) {
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && *state == '/') return fmt::format("{}/atelier-worker/{}", state, name);
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home == '/') return fmt::format("{}/.local/state/atelier-worker/{}", home, name);
  return fmt::format("/var/tmp/atelier-worker/{}", name);
}

/// The addresses of all slots: those given, or as many as wanted at ports in a row.
void spread_over_ports(std::size_t slots, std::vector<net::Url>& comfy, std::vector<std::string>& mistakes) {
  if (comfy.empty() || comfy.size() == slots) return;
  if (comfy.size() > 1) {
    mistakes.push_back(fmt::format(
        "--slots {}: --comfy is given {} times; give it once, or once for each slot", slots, comfy.size()));
  } else if (comfy[0].port + slots - 1 > 65'535) {
    mistakes.push_back(
        fmt::format("--slots {}: there are not so many ports from {} on", slots, comfy[0].port));
  } else {
    while (comfy.size() < slots) {
      comfy.push_back(comfy.back());
      ++comfy.back().port;
    }
  }
}

/// Where a $(...) or a `...` that begins at `at` ends; npos if it does not.
std::size_t end_of_substitution(std::string_view line, std::size_t at) {
  if (line[at] == '`') return line.find('`', at + 1);
  std::size_t open = 0;
  for (std::size_t i = at + 1; i < line.size(); ++i) {
    if (line[i] == '(') ++open;
    if (line[i] == ')' && --open == 0) return i;
  }
  return std::string_view::npos;
}

/// What keeps the line from being one command for a shell; empty if nothing does.
std::string mistake_in_command(std::string_view line) {
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i], before = i > 0 ? line[i - 1] : ' ';
    if (quote != '\'' && (c == '`' || line.substr(i).starts_with("$("))) {
      i = end_of_substitution(line, i);
      if (i == std::string_view::npos)
        return fmt::format("what {} begins is not closed", c == '`' ? "`" : "$(");
    } else if (c == '\\' && quote != '\'') {
      ++i;
    } else if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if ((c == '&' && (before == '>' || before == '<')) || (c == '|' && before == '>')) {
      continue;  // 2>&1, >|
    } else if (std::string_view(";&|()\n").find(c) != std::string_view::npos) {
      return "it must be one command; put several into a script, and give that";
    }
  }
  if (quote != 0) return fmt::format("the quote {} is not closed", quote);
  return line.find_first_not_of(' ') == std::string_view::npos ? "it names no command" : "";
}

/// Of a worker that has enrolled the token may be gone.
void take_token(const Given& given, AgentOptions& options, std::vector<std::string>& mistakes) {
  const auto key = KeyFile(options.state_dir).read();
  if (!key) mistakes.push_back(key.error().what);
  const bool enrolled = key && key->has_value();
  if (given.token_file.empty()) {
    if (key && !enrolled)
      mistakes.emplace_back("--token-file: must be given, this machine has not enrolled under this --name");
    return;
  }
  auto token = read_token(given.token_file);
  if (token) {
    options.token = std::move(*token);
  } else if (!enrolled) {
    mistakes.push_back(token.error().what);
  }
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
  if (options.join.target.starts_with("/user/"))
    mistakes.emplace_back("--join: the server's address alone, without /user/ and what follows");
  for (const std::string& address : given.comfy) url("--comfy", address, options.comfy.emplace_back());
  const int slots = given.slots.value_or(static_cast<int>(given.comfy.size()));
  if (slots < 1 || slots > static_cast<int>(link::kSlotsMax)) {
    mistakes.push_back(fmt::format("--slots: 1 to {}", link::kSlotsMax));
  } else {
    spread_over_ports(static_cast<std::size_t>(slots), options.comfy, mistakes);
  }
  if (!given.ca_file.empty()) {
    auto tls = net::TlsContext::client(given.ca_file);
    if (!tls) mistakes.push_back("--ca-file: " + tls.error().what);
    if (tls) options.tls = std::move(*tls);
  }
  options.name = given.name.value_or(host_name());
  if (!is_worker_name(options.name))
    mistakes.emplace_back("--name: 1 to 64 of letters, digits, '.', '_' and '-'");
  std::set<std::string> addresses;
  for (const net::Url& comfy : options.comfy) {
    if (!addresses.insert(comfy.authority() + comfy.target).second)
      mistakes.push_back(fmt::format("--comfy: {} is given twice", comfy.authority()));
  }
  if (options.comfy.size() > 1 && given.launch.empty() && !given.comfy_dir.empty()) {
    mistakes.emplace_back(
        "--comfy-dir: of several ComfyUIs that the worker does not start it cannot know the temp folders; "
        "use "
        "--launch, or leave --comfy-dir out");
  }
  if (std::error_code error;
      !given.comfy_dir.empty() && !std::filesystem::is_directory(given.comfy_dir, error))
    mistakes.push_back(fmt::format("--comfy-dir: {} is no folder", given.comfy_dir));
  if (!given.launch.empty()) {
    for (const net::Url& comfy : options.comfy) {
      if (comfy.host == "127.0.0.1" || comfy.host == "localhost" || comfy.host == "::1") continue;
      mistakes.push_back(
          fmt::format("--launch starts ComfyUI on this machine: --comfy cannot be at {}", comfy.host));
    }
  } else if (!given.log_dir.empty()) {
    mistakes.emplace_back("--log-dir is for what --launch starts");
  }
  options.state_dir = state_dir_of(options.name);
  take_token(given, options, mistakes);
  options.launch = given.launch;
  options.log_dir = given.log_dir.empty() ? options.state_dir : given.log_dir;
  if (given.drain_s < 0 || given.drain_s > 86'400) mistakes.emplace_back("--drain-limit: 0 to 86400 seconds");
  if (given.hang_limit_s < 6 || given.hang_limit_s > 86'400)
    mistakes.emplace_back("--hang-limit: 6 to 86400 seconds");
  options.hang_limit = milliseconds(std::int64_t{given.hang_limit_s} * 1000);
  if (given.look_again_s < 1 || given.look_again_s > 86'400)
    mistakes.emplace_back("--look-again: 1 to 86400 seconds");
  options.look_again = milliseconds(std::int64_t{given.look_again_s} * 1000);
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

awaitable<void> show_credentials(RealRuntime& runtime, const AgentOptions& options, int& code) {
  net::HttpClient http(runtime, {}, options.tls);
  Credentials credentials(runtime, http, options.join, options.name, options.token, options.state_dir);
  const auto bearer = co_await credentials.bearer();
  if (!bearer) fmt::print(stderr, "atelier-worker: {}\n", bearer.error().what);
  const bool refused =
      !bearer && (bearer.error().code == Errc::forbidden || bearer.error().code == Errc::config);
  code = bearer ? 0 : refused ? kExitConfig : kExitFailed;
  runtime.stop();
}

int enrol_only(const AgentOptions& options) {
  RealRuntime runtime;
  int code = kExitFailed;
  TaskGroup group(runtime);
  group.spawn("enrol", show_credentials(runtime, options, code));
  runtime.run();
  return code;
}

awaitable<void> run_agent(RealRuntime& runtime, Agent& agent, int& code) {
  code = co_await agent.run();
  runtime.stop();
}

}  // namespace

int worker_main(int argc, char** argv) {
  Given given;
  CLI::App app(kAbout, "atelier-worker");
  app.set_version_flag("--version", std::string(kAgentVersion));
  app.add_option("--join", given.join, "Address of the server: https://host")->required();
  app.add_option(
      "--token-file", given.token_file,
      "File with the token: of an enrolment, or the server's DATA_DIR/worker.token; may be missing "
      "once the worker has enrolled");
  app.add_flag("--enrol-only", given.enrol_only,
               "Only make sure that the server knows this worker, enrolling it if need be");
  app.add_flag("--check-only", given.check_only, "Only look whether the options are right");
  app.add_option("--ca-file", given.ca_file,
                 "PEM file with the authority of the server's certificate, instead of the system's");
  app.add_option(
         "--comfy", given.comfy,
         "Address of the ComfyUI that does the work [http://127.0.0.1:8188]; may be given several times")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--launch", given.launch,
                 "One command that starts a ComfyUI. The worker runs it, with --port, at the "
                 "address of --comfy, and starts it again when it ends");
  app.add_option("--log-dir", given.log_dir,
                 "Folder for what launched ComfyUIs print [~/.local/state/atelier-worker/NAME]");
  app.add_option("--comfy-dir", given.comfy_dir,
                 "ComfyUI's folder (with input, output and temp), or its --base-directory. Files then go by "
                 "disk instead of ComfyUI's upload and view, if that ComfyUI sees what lies there");
  app.add_option(
      "--name", given.name,
      "What the workshop calls this worker [host name]. A second worker of the same name replaces it");
  app.add_option("--slots", given.slots,
                 "ComfyUI processes to drive, at ports in a row [as many as --comfy is given]");
  app.add_option("--drain-limit", given.drain_s, "Seconds that a running job gets to finish after SIGTERM")
      ->capture_default_str();
  app.add_option("--hang-limit", given.hang_limit_s,
                 "Seconds without any sign after which a ComfyUI hangs: its job goes back, and with --launch "
                 "it is started again")
      ->capture_default_str();
  app.add_option("--look-again", given.look_again_s,
                 "Seconds until a running ComfyUI is asked again for its nodes and models, which may have "
                 "become more")
      ->capture_default_str();
  app.get_option("--launch")->check([](const std::string& command) { return mistake_in_command(command); });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitConfig;
  }
  if (given.comfy.empty()) given.comfy.emplace_back("http://127.0.0.1:8188");
  AgentOptions options;
  const std::vector<std::string> mistakes = check(given, options);
  for (const std::string& mistake : mistakes) fmt::print(stderr, "atelier-worker: {}\n", mistake);
  if (!mistakes.empty()) return kExitConfig;
  if (given.check_only) return 0;
  ::signal(SIGPIPE, SIG_IGN);
  if (given.enrol_only) return enrol_only(options);
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
