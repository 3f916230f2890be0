// SPDX-License-Identifier: MIT
#pragma once
// From the command line, the environment and .env to a checked Config, for every subcommand in the same way.

#include <span>
#include <string>

#include "base/config.hpp"
#include "files/data_folder.hpp"

namespace CLI {
class App;
}

namespace atelier::app {

/// Exit codes (design.md 15).
inline constexpr int kExitFailed = 1;
inline constexpr int kExitConfig = 2;
inline constexpr int kExitNewerData = 3;
inline constexpr int kExitDisk = 74;

/// The exit code that an Error at start ends with.
[[nodiscard]] int exit_code_of(const Error& error);

/// Adds one option per configuration key to a subcommand; values land in `values` by key.
void add_config_options(CLI::App& command, std::map<std::string, std::string>& values);

/// Reads all sources. On mistakes prints each on a line of its own to standard error and returns nothing
/// (exit 2).
[[nodiscard]] std::optional<Config> read_config(const std::map<std::string, std::string>& options);

/// For an option that is not ours: the one it was probably meant to be ("--num-user" -> "--num-users"), or
/// "".
[[nodiscard]] std::string near_option(std::string_view option);

/// DATA_DIR, and the folders that may lie elsewhere.
[[nodiscard]] files::DataFolderOptions folder_options(const Config& config);

/// Folders of the front end and of our own web files: the configured one, else beside the program
/// (build/<preset>/atelier -> vendor/frontend, build/web/editor). Empty if there is none.
[[nodiscard]] std::string frontend_folder(const Config& config);
/// What else came with the front end and lies beside its folder ("templates", "docs"); "" if it is not there.
[[nodiscard]] std::string vendored_folder(const Config& config, const std::string& name);
[[nodiscard]] std::string web_folder(const Config& config);
/// atelier-image beside this program; "" if it is not there.
[[nodiscard]] std::string image_program();
[[nodiscard]] std::string welcome_folder(const Config& config);
/// The folder of the running program.
[[nodiscard]] std::string program_folder();

}  // namespace atelier::app
