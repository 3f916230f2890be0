// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "app/commands.hpp"
#include "app/journals.hpp"
#include "app/options.hpp"
#include "simulate/recording.hpp"
#include "simulate/replay.hpp"
#include "simulate/report.hpp"
#include "simulate/what_if.hpp"
#include "workshop/fold.hpp"

namespace atelier::app {
namespace {

core::QueueMode mode_of(std::string_view policy) {
  for (const auto mode : {core::QueueMode::fifo, core::QueueMode::priority}) {
    if (policy == core::to_string(mode)) return mode;
  }
  return core::QueueMode::round_robin;
}

/// All entries, if none was pruned; else the checkpoint and what follows.
Result<void> read_journal(journal::StoreReader& reader, workshop::Fold& fold,
                          simulate::Recording& recording) {
  journal::ReplayCursor cursor;
  cursor.begun = true;
  ATELIER_TRY(journal::ReplayPage page, reader.read(cursor));
  if (page.entries.empty() || page.entries.front().sequence != Sequence{1}) {
    ATELIER_TRY(page, reader.read({}));
  }
  while (true) {
    if (page.entries.empty()) {
      ATELIER_TRY_VOID(fold.apply(page));
    } else {
      for (core::Entry& entry : page.entries) {
        journal::ReplayPage one;
        one.entries.push_back(std::move(entry));
        ATELIER_TRY_VOID(fold.finish());
        recording.see(one.entries.front(), fold.core);
        ATELIER_TRY_VOID(fold.apply(one));
      }
    }
    if (page.end) break;
    ATELIER_TRY(page, reader.read(page.next));
  }
  return fold.finish();
}

}  // namespace

int what_if(const SimulateOptions& simulation, const Options& options) {
  simulate::WhatIf what;
  for (const std::string& text : simulation.what_if) {
    if (const auto read = simulate::read_what_if(text, what); !read) {
      fmt::print(stderr, "--what-if: {}.\n", read.error().what);
      return kExitConfig;
    }
  }
  const auto config = read_config(options);
  if (!config) return kExitConfig;
  const auto reader = open_journal_reader(*config);
  workshop::Fold fold;
  simulate::Recording recording;
  auto read = reader ? read_journal(**reader, fold, recording) : std::unexpected(reader.error());
  const auto day = read ? recording.last_day() : std::unexpected(read.error());
  // `journal compact` leaves no entry of the day: what waits is known all the same.
  const bool queue_alone = read && !day && day.error().code == Errc::not_found && fold.core.jobs_live() > 0;
  if (!day && !queue_alone) {
    fmt::print(stderr, "{}.\n", day.error().what);
    return exit_code_of(day.error());
  }
  fmt::print("{}", simulate::answer_what_if(day ? &*day : nullptr, fold.core, what));
  return 0;
}

int simulate(const SimulateOptions& options) {
  if (options.trace.empty()) {
    fmt::print(stderr, "--trace FILE or --what-if workers=N is missing; see --help\n");
    return kExitConfig;
  }
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
