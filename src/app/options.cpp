// SPDX-License-Identifier: MIT
#include "app/options.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

extern char** environ;

namespace atelier::app {
namespace {

std::optional<std::string> read_env_file() {
  std::ifstream file{".env"};
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string first_folder(const Config& config, std::string_view key,
                         std::initializer_list<std::string_view> places) {
  if (config.is_set(key)) return config.text(key);
  for (std::string_view place : places) {
    std::error_code ignored;
    const std::filesystem::path folder = std::filesystem::path(program_folder()) / place;
    if (std::filesystem::is_directory(folder, ignored))
      return std::filesystem::weakly_canonical(folder, ignored).string();
  }
  return {};
}

}  // namespace

int exit_code_of(const Error& error) {
  switch (error.code) {
    case Errc::config:
      return kExitConfig;
    case Errc::newer_version:
      return kExitNewerData;
    case Errc::io:
    case Errc::disk_full:
      return kExitDisk;
    default:
      return kExitFailed;
  }
}

files::DataFolderOptions folder_options(const Config& config) {
  files::DataFolderOptions options;
  options.data_dir = config.text("DATA_DIR");
  options.inputs_path = config.text("INPUTS_PATH");
  options.outputs_path = config.text("OUTPUTS_PATH");
  options.workflows_path = config.text("WORKFLOWS_PATH");
  options.models_path = config.text("MODELS_PATH");
  return options;
}

void add_config_options(CLI::App& command, std::map<std::string, std::string>& values) {
  for (const KeySpec& key : config_keys()) {
    std::string names = "--" + option_name(key.name);
    if (!key.option.empty()) names += ",--" + std::string(key.option);
    std::string help = help_of(key);
    if (!key.choices.empty()) help += fmt::format(" One of {}.", key.choices);
    if (!key.fallback.empty()) help += fmt::format(" [{}]", key.fallback);
    auto store = [&values, name = std::string(key.name)](const std::string& value) { values[name] = value; };
    command.add_option_function<std::string>(names, store, help)->type_name("");
  }
}

std::optional<Config> read_config(const std::map<std::string, std::string>& options) {
  Config::Sources sources;
  sources.env_file_text = read_env_file();
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos || equals == 0) continue;
    sources.environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  sources.options = options;
  Config::Outcome outcome = Config::read(sources);
  for (const std::string& warning : outcome.warnings) fmt::print(stderr, "warning: {}\n", warning);
  for (const std::string& mistake : outcome.mistakes) fmt::print(stderr, "{}\n", mistake);
  if (!outcome.mistakes.empty()) return std::nullopt;
  return std::move(outcome.config);
}

std::string near_option(std::string_view option) {
  const std::string_view name =
      option.substr(std::min<std::size_t>(option.find_first_not_of('-'), option.size()));
  std::string nearest;
  std::size_t least = 3;
  for (const KeySpec& key : config_keys()) {
    for (const std::string& candidate : {option_name(key.name), std::string(key.option)}) {
      if (candidate.empty()) continue;
      const std::size_t distance = edit_distance(name.substr(0, name.find('=')), candidate, 2);
      if (distance < least) {
        least = distance;
        nearest = "--" + candidate;
      }
    }
  }
  return nearest;
}

std::string program_folder() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path().string();
}

std::string frontend_folder(const Config& config) {
  return first_folder(config, "FRONTEND_DIR", {"../../vendor/frontend", "../share/atelier/frontend"});
}
std::string vendored_folder(const Config& config, const std::string& name) {
  const std::string frontend = frontend_folder(config);
  if (frontend.empty()) return {};
  const std::filesystem::path folder = std::filesystem::path(frontend).parent_path() / name;
  std::error_code ignored;
  return std::filesystem::is_directory(folder, ignored) ? folder.string() : std::string();
}
std::string web_folder(const Config& config) {
  return first_folder(config, "WEB_DIR", {"../web/editor", "../share/atelier/web"});
}
std::string image_program() {
  std::string place = program_folder() + "/atelier-image";
  return ::access(place.c_str(), X_OK) == 0 ? place : std::string();
}
std::string welcome_folder(const Config& config) {
  const std::string web = web_folder(config);
  std::error_code ignored;
  for (const std::string& place : {web + "/welcome", program_folder() + "/../../web/editor/welcome"}) {
    if (std::filesystem::is_directory(place, ignored)) return place;
  }
  return {};
}

}  // namespace atelier::app
