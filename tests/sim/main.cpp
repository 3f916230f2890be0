// SPDX-License-Identifier: MIT
// sim_workshop [--seeds N] [--first N] [--seed N] [--trace]: runs seeds one by one in child processes, as
// many at once as there are processors; ends with 1 at the first that breaks an invariant and says how to
// replay it.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <thread>

#include "base/log.hpp"
#include "probe.hpp"
#include "simulation.hpp"

namespace atelier::sim {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::uint64_t seeds = 500, first = 1;
  bool trace = false;
};

Options read_options(int argc, char** argv) {
  Options options;
  const char* mode = std::getenv("ATELIER_TEST_MODE");
  if (mode != nullptr && std::string_view(mode) == "long") options.seeds = 10'000;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    const auto number = [&] { return i + 1 < argc ? std::strtoull(argv[++i], nullptr, 10) : 0; };
    if (name == "--seeds") {
      options.seeds = number();
    } else if (name == "--first") {
      options.first = number();
    } else if (name == "--seed") {
      options.first = number();
      options.seeds = 1;
    } else if (name == "--trace") {
      options.trace = true;
    } else {
      fmt::print(stderr, "sim_workshop [--seeds N] [--first N] [--seed N] [--trace]\n");
      std::exit(2);
    }
  }
  return options;
}

/// A folder in memory if there is one: the simulation is about order, not about disks.
std::string fresh_folder() {
  const std::string base = fs::is_directory("/dev/shm") ? "/dev/shm" : fs::temp_directory_path().string();
  std::string name = base + "/atelier-sim-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) std::abort();
  return name;
}

[[noreturn]] void run_child(std::uint64_t seed, bool trace, const std::string& folder) {
  fs::create_directory(folder);
  log::set_level(trace ? log::Level::debug : log::Level::error);
  if (!trace && std::freopen("/dev/null", "w", stderr) == nullptr) std::abort();
  const Report report = simulate(seed, trace, folder);
  if (trace) fmt::print("{} entries, {} jobs, {} servers\n", report.entries, report.jobs, report.servers);
  std::fflush(stdout);
  ::_exit(0);  // dead servers are not destroyed
}

int run(const Options& options) {
  const std::string folder = fresh_folder();
  const auto begun = std::chrono::steady_clock::now();
  const std::size_t processors = std::max(1u, std::thread::hardware_concurrency());
  std::map<pid_t, std::uint64_t> running;
  std::uint64_t next = options.first, failed = 0;
  const std::uint64_t end = options.first + options.seeds;
  while (next < end || !running.empty()) {
    if (next < end && failed == 0 && running.size() < processors) {
      std::fflush(stdout);
      const pid_t child = ::fork();
      if (child == 0) run_child(next, options.trace, fmt::format("{}/{}", folder, next));
      running[child] = next++;
      continue;
    }
    if (running.empty()) break;
    int status = 0;
    const pid_t child = ::waitpid(-1, &status, 0);
    const std::uint64_t seed = running[child];
    running.erase(child);
    fs::remove_all(fmt::format("{}/{}", folder, seed));
    if (status != 0 && failed == 0) failed = seed;
  }
  fs::remove_all(folder);
  if (failed != 0) {
    fmt::print("seed {} broke an invariant\nreplay: sim_workshop --seed {} --trace\n", failed, failed);
    return 1;
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  fmt::print("{} seeds in {:.1f} s\n", options.seeds, seconds);
  for (std::size_t i = 0; i < kProbes.size(); ++i) {
    if (reached(i) == 0) fmt::print("never reached: {}\n", kProbes[i]);
  }
  return 0;
}

}  // namespace
}  // namespace atelier::sim

int main(int argc, char** argv) {
  atelier::sim::share_probes();
  return atelier::sim::run(atelier::sim::read_options(argc, argv));
}
