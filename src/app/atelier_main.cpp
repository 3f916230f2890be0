// SPDX-License-Identifier: MIT
// `atelier`: the server and its helpers. Options are configuration keys (base/config_keys.cpp).
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "app/commands.hpp"
#include "app/options.hpp"

namespace {

/// The subcommand's own arguments, for the programs that parse them themselves.
std::vector<std::string> rest_of(int argc, char** argv) {
  std::vector<std::string> rest;
  for (int i = 2; i < argc; ++i) rest.emplace_back(argv[i]);
  return rest;
}

int run(int argc, char** argv) {
  using namespace std::string_view_literals;
  const std::string_view first = argc > 1 ? argv[1] : "";
  // These two are programs of their own, beside this one: the worker needs nothing of the server, and the
  // engine links the image library, which the server never does.
  if (first == "worker"sv) return atelier::app::exec_beside("atelier-worker", rest_of(argc, argv));
  if (first == "rehearsal"sv) return atelier::app::exec_beside("atelier-rehearsal", rest_of(argc, argv));

  CLI::App program{
      "Atelier gives a class its own ComfyUI.\n\n"
      "Options are configuration keys; each may also stand in the environment or in a file .env\n"
      "(KEY=value) in the working folder. 'atelier check-config' says what would be used."};
  program.require_subcommand(1);
  program.set_version_flag("--version", "atelier 0.1.0");
  atelier::app::Options options;
  int exit_code = 0;
  const auto add = [&](const char* name, const char* help, int (*command)(const atelier::app::Options&)) {
    CLI::App* sub = program.add_subcommand(name, help);
    atelier::app::add_config_options(*sub, options);
    sub->callback([&exit_code, &options, command] { exit_code = command(options); });
  };
  add("up",
      "Starts everything on this machine: the server, one worker, and the rehearsal engine, which makes "
      "pictures "
      "without a GPU. Ctrl-C stops all of it.",
      atelier::app::up);
  add("serve",
      "Starts the server alone. Workers dial in with 'atelier worker --join URL'; the token for workers of "
      "your "
      "own is in DATA_DIR/worker.token.",
      atelier::app::serve);
  add("check-config", "Checks the configuration and prints what would be used.", atelier::app::check_config);
  CLI::App* tokens = program.add_subcommand(
      "tokens",
      "Prints the token of each seat, one per line: for scripts (Authorization: Bearer TOKEN, or as "
      "password), and with ACCESS=token for people.");
  bool instructor = false;
  tokens->add_flag("--instructor", instructor, "The instructor's token for /api/v1 instead.");
  atelier::app::add_config_options(*tokens, options);
  tokens->callback([&] { exit_code = atelier::app::tokens(options, instructor); });
  program.add_subcommand(
      "worker",
      "Joins a server with a ComfyUI: --join URL --token-file F --comfy URL (see 'atelier worker --help').");
  program.add_subcommand(
      "rehearsal",
      "Starts the CPU engine with ComfyUI's interface: --port P (see 'atelier rehearsal --help').");
  program.add_subcommand("config-example", "Prints .env.example: every key with its default.")->callback([] {
    fmt::print("{}", atelier::Config::env_example());
  });
  program.add_subcommand("config-reference", "Prints the reference page of all keys.")->callback([] {
    fmt::print("{}", atelier::Config::reference_page());
  });
  CLI::App* journal = program.add_subcommand("journal", "Looks into the journal (DATA_DIR/atelier.db).");
  journal->require_subcommand(1);
  const auto add_journal = [&](const char* name, const char* help,
                               int (*command)(const atelier::app::Options&)) {
    CLI::App* sub = journal->add_subcommand(name, help);
    atelier::app::add_config_options(*sub, options);
    sub->callback([&exit_code, &options, command] { exit_code = command(options); });
  };
  add_journal("dump", "Prints every entry as one line of JSON.", atelier::app::journal_dump);
  add_journal("check", "Reads all of it and says what is wrong.", atelier::app::journal_check);
  add_journal("compact",
              "Keeps the present state and history, removes all entries before it, and gives the space back. "
              "Only while no server runs; needs as much free disk as is left of it.",
              atelier::app::journal_compact);
  std::string backup;
  const auto add_journal_with_file = [&](const char* name, const char* help,
                                         int (*command)(const atelier::app::Options&, const std::string&)) {
    CLI::App* sub = journal->add_subcommand(name, help);
    sub->add_option("FILE", backup, "The backup.")->required();
    atelier::app::add_config_options(*sub, options);
    sub->callback([&, command] { exit_code = command(options, backup); });
  };
  add_journal_with_file("backup",
                        "Writes a copy of the journal at one moment into a new FILE and checks it. A server "
                        "may run. Copy the rest of DATA_DIR after it: then all that it names is there.",
                        atelier::app::journal_backup);
  add_journal_with_file(
      "restore",
      "Puts FILE in the place of the journal and keeps what was there beside it. Only while "
      "no server runs.",
      atelier::app::journal_restore);

  atelier::app::FsckOptions wanted;
  CLI::App* fsck = program.add_subcommand(
      "fsck",
      "Compares the files in DATA_DIR with the journal, for instance when the two come from different "
      "backups: "
      "one line for each that is missing, damaged or without a row. Only while no server runs. The exit "
      "status is 1 if something is wrong and was not mended.");
  fsck->add_flag("--repair", wanted.repair,
                 "Gives committed outputs the names that they lack, and moves what has no row, is damaged or "
                 "left over to DATA_DIR/quarantine/DATE, with a list. Nothing is removed.");
  fsck->add_flag("--digests", wanted.digests,
                 "Reads and hashes all that the journal names, instead of comparing sizes.");
  atelier::app::add_config_options(*fsck, options);
  fsck->callback([&] { exit_code = atelier::app::fsck(wanted, options); });

  atelier::app::SimulateOptions simulation;
  CLI::App* simulate = program.add_subcommand("simulate",
                                              "Replays a recorded workshop (--trace FILE) through the real "
                                              "queue on a virtual clock and prints what it "
                                              "was worth, as JSON.");
  simulate->add_option("--trace", simulation.trace, "The recording (format atelier-trace/1).");
  simulate->add_option("--policy", simulation.policy, "The queue's mode: fifo, priority or round_robin.")
      ->check(CLI::IsMember({"fifo", "priority", "round_robin"}));
  simulate
      ->add_option("--affinity", simulation.affinity,
                   "How far a job that needs no load may go before others: strict (--affinity-places, "
                   "--affinity-delay-s) or product (as the server does it).")
      ->check(CLI::IsMember({"strict", "product"}));
  simulate->add_option("--affinity-places", simulation.affinity_places, "How often a job may be passed.");
  simulate->add_option("--affinity-delay-s", simulation.affinity_delay_s, "For how long in all.");
  simulate->add_flag("--etas", simulation.etas, "Foretell when each job will be ready, and judge it.");
  simulate->add_option("--seed", simulation.seed, "Of the numbers drawn for that.");
  simulate->add_option("--schedule", simulation.schedule,
                       "Also writes who ran when into this file (format atelier-schedule/1).");
  simulate
      ->add_option(
          "--what-if", simulation.what_if,
          "Instead of a trace: workers=N or mode=M (may be repeated): how the journal's last day and "
          "its present queue would be.")
      ->excludes("--trace");
  atelier::app::add_config_options(*simulate, options);
  simulate->callback([&exit_code, &simulation, &options] {
    exit_code = simulation.what_if.empty() ? atelier::app::simulate(simulation)
                                           : atelier::app::what_if(simulation, options);
  });

  try {
    program.parse(argc, argv);
  } catch (const CLI::ExtrasError& error) {
    std::string text = error.what();
    const std::size_t at = text.find("--");
    const std::string option =
        at == std::string::npos ? "" : text.substr(at, text.find_first_of(" ]\n", at) - at);
    const std::string meant = option.empty() ? "" : atelier::app::near_option(option);
    if (option.empty()) {
      fmt::print(stderr, "{}\n", text);
    } else {
      fmt::print(stderr, "{} is not an option{}\n", option,
                 meant.empty() ? "; see --help" : fmt::format("; did you mean {}?", meant));
    }
    return atelier::app::kExitConfig;
  } catch (const CLI::ParseError& error) {
    const int code = program.exit(error);
    return code == 0 ? 0 : atelier::app::kExitConfig;
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "atelier: {}\n", error.what());
    return atelier::app::kExitFailed;
  }
}
