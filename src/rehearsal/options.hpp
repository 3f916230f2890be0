// SPDX-License-Identifier: MIT
#pragma once
// The command line of atelier-rehearsal.

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "base/time.hpp"

namespace atelier::rehearsal {

struct CommandLine {
  std::string listen = "127.0.0.1";
  std::uint16_t port = 8188;
  std::string directory;    // "" = a fresh temporary one, removed at the end
  std::string temp_parent;  // "" = the directory
  std::string name = "rehearsal";
  milliseconds step_time{0};
  bool with_parent = false;
  bool help = false;
};

/// All mistakes at once, one sentence each. "--key value" and "--key=value".
[[nodiscard]] std::expected<CommandLine, std::vector<std::string>> parse_command_line(
    const std::vector<std::string>& arguments);
[[nodiscard]] std::string help_text();  // with the names of all nodes

}  // namespace atelier::rehearsal
