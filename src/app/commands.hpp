// SPDX-License-Identifier: MIT
#pragma once
// The subcommands of `atelier`. Each gives the process's exit code.

#include <map>
#include <string>
#include <vector>

namespace atelier::app {

using Options = std::map<std::string, std::string>;  // configuration keys given on the command line

/// The server, until SIGTERM or SIGINT.
[[nodiscard]] int serve(const Options& options);
/// serve, one worker and one rehearsal engine as children of this process.
[[nodiscard]] int up(const Options& options);
/// Replaces this process by a program beside it (atelier-worker, atelier-rehearsal). Returns only on failure.
[[nodiscard]] int exec_beside(const std::string& program, const std::vector<std::string>& arguments);
/// Checks the configuration and says what the server would use.
[[nodiscard]] int check_config(const Options& options);
/// Prints the token of each seat, one per line, seat 1 first; or the instructor's alone.
[[nodiscard]] int tokens(const Options& options, bool instructor);
struct SimulateOptions {
  std::string trace, schedule;  // files; the schedule goes nowhere if empty
  std::string policy = "round_robin", affinity = "strict";
  std::uint32_t affinity_places = 2, affinity_delay_s = 60;  // of strict
  bool etas = false;
  std::uint64_t seed = 1;
  std::vector<std::string> what_if;  // instead of a trace: of the journal in DATA_DIR
};
/// Replays a trace and prints its report. 0 if the schedule is valid, 1 if not, 2 for a bad trace.
[[nodiscard]] int simulate(const SimulateOptions& options);
/// Prints what the journal's last day and present queue would be like with other workers or in another mode.
[[nodiscard]] int what_if(const SimulateOptions& simulation, const Options& options);
/// `journal dump`, `journal check`, `journal compact`, `journal backup FILE` and `journal restore FILE`.
[[nodiscard]] int journal_dump(const Options& options);
[[nodiscard]] int journal_check(const Options& options);
[[nodiscard]] int journal_compact(const Options& options);
[[nodiscard]] int journal_backup(const Options& options, const std::string& file);
[[nodiscard]] int journal_restore(const Options& options, const std::string& file);

struct FsckOptions {
  bool repair = false;   // else nothing is changed
  bool digests = false;  // hash what the journal names, instead of comparing sizes
};
/// Compares the files in DATA_DIR with the journal. 0 if nothing is wrong, or all of it was mended.
[[nodiscard]] int fsck(const FsckOptions& wanted, const Options& options);

}  // namespace atelier::app
