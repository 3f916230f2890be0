// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "app/commands.hpp"
#include "app/options.hpp"
#include "simulate/replay.hpp"
#include "simulate/report.hpp"

namespace atelier::app {
namespace {

core::QueueMode mode_of(std::string_view policy) {
  for (const auto mode : {core::QueueMode::fifo, core::QueueMode::priority}) {
    if (policy == core::to_string(mode)) return mode;
  }
  return core::QueueMode::round_robin;
}

}  // namespace

int simulate(const SimulateOptions& options) {
  std::ifstream file(options.trace, std::ios::binary);
  std::string text;
  if (file && !std::filesystem::is_directory(options.trace))
    text.assign(std::istreambuf_iterator<char>(file), {});
  if (text.empty()) {
    fmt::print(stderr, "{} cannot be read.\n", options.trace);
    return kExitConfig;
  }
  const auto trace = simulate::parse_trace(text);
  if (!trace) {
    fmt::print(stderr, "{}: {}.\n", options.trace, trace.error().what);
    return kExitConfig;
  }
  simulate::ReplayOptions replay;
  replay.mode = mode_of(options.policy);
  replay.etas = options.etas;
  replay.seed = options.seed;
  if (options.affinity == "strict") {
    replay.affinity.places_max = options.affinity_places;
    replay.affinity.delay_max = milliseconds{std::int64_t{options.affinity_delay_s} * 1000};
  }
  const simulate::Schedule schedule = simulate::replay(*trace, replay);
  const simulate::Report report = simulate::make_report(*trace, schedule);
  if (!options.schedule.empty()) {
    std::ofstream out(options.schedule, std::ios::binary);
    out << simulate::print_schedule(*trace, schedule);
    if (!out.flush()) {
      fmt::print(stderr, "{} cannot be written.\n", options.schedule);
      return kExitFailed;
    }
  }
  fmt::print("{}", simulate::print_report(report, schedule));
  return report.errors.empty() ? 0 : kExitFailed;
}

}  // namespace atelier::app
