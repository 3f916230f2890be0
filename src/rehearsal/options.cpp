// SPDX-License-Identifier: MIT
#include "rehearsal/options.hpp"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "rehearsal/node.hpp"

namespace atelier::rehearsal {
namespace {

std::optional<std::uint32_t> number(std::string_view text, std::uint32_t max) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value > max) return std::nullopt;
  return value;
}

// Sets one option that takes a value; false if there is no such option.
bool set_value(CommandLine& line, const std::string& key, const std::string& value,
               std::vector<std::string>& mistakes) {
  if (key == "--listen") {
    line.listen = value;
  } else if (key == "--dir") {
    line.directory = value;
  } else if (key == "--name") {
    line.name = value;
  } else if (key == "--database-url") {
    // ComfyUI's: there is no database here
  } else if (key == "--temp-directory") {
    line.temp_parent = value;
  } else if (key == "--port") {
    const auto port = number(value, 65535);
    if (port)
      line.port = static_cast<std::uint16_t>(*port);
    else
      mistakes.push_back(fmt::format("--port must be a number from 0 to 65535, not \"{}\"", value));
  } else if (key == "--step-ms") {
    const auto time = number(value, 3'600'000);
    if (time)
      line.step_time = milliseconds{*time};
    else
      mistakes.push_back(fmt::format("--step-ms must be a number from 0 to 3600000, not \"{}\"", value));
  } else {
    return false;
  }
  return true;
}

// All nodes, a space between, in lines that a terminal holds.
std::string node_list() {
  constexpr std::size_t kColumns = 100;
  std::string list, line = "Nodes:";
  for (const NodeClass& node : node_classes()) {
    if (line.size() + 1 + node.name.size() > kColumns) {
      list += line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + std::string(node.name);
  }
  return list + line + ".";
}

}  // namespace

std::expected<CommandLine, std::vector<std::string>> parse_command_line(
    const std::vector<std::string>& arguments) {
  CommandLine line;
  std::vector<std::string> mistakes;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--help" || argument == "-h") {
      line.help = true;
      continue;
    }
    if (argument == "--with-parent") {
      line.with_parent = true;
      continue;
    }
    const auto equals = argument.find('=');
    const std::string key = argument.substr(0, equals);
    std::string value;
    if (equals != std::string::npos) {
      value = argument.substr(equals + 1);
    } else if (i + 1 < arguments.size()) {
      value = arguments[i + 1];
    }
    CommandLine ignored;
    std::vector<std::string> none;
    if (!set_value(ignored, key, "0", none)) {
      mistakes.push_back(fmt::format("there is no option {}", argument));
    } else if (value.empty()) {
      mistakes.push_back(fmt::format("{} needs a value", key));
    } else {
      set_value(line, key, value, mistakes);
      if (equals == std::string::npos) ++i;
    }
  }
  if (!mistakes.empty()) return std::unexpected(std::move(mistakes));
  return line;
}

std::string help_text() {
  constexpr std::string_view kBeginning =
      R"(atelier-rehearsal: a small image engine on the CPU with ComfyUI's HTTP and WebSocket interface.

It stands where a ComfyUI with a GPU will stand, so that everything can be tried without one: point a worker
at it (atelier-worker --comfy http://127.0.0.1:8188), or any client that speaks to ComfyUI.

)";
  constexpr std::string_view kEnd = R"(
Each is described at /object_info. Pictures of PNG, JPEG, WebP, GIF and TIFF, and videos; at most 100 million
pixels at once. It has no models and does not pretend to. It keeps nothing between prompts: a repeated one
runs again.

  --port P        TCP port, 0 for any free one (default 8188)
  --listen A      address to listen on (default 127.0.0.1; there is no password: keep it local)
  --dir DIR       folder for input/, output/ and temp/ (default: a fresh one that is removed at the end)
  --temp-directory P  keep temp/ in the folder P, as ComfyUI's option does (default: in DIR)
  --step-ms N     let every node take N milliseconds longer, with progress, to show what a class will see
                  (default 0)
  --name TEXT     how it calls itself (default rehearsal)
  --with-parent   end when the process that started it ends
  --help          this text

When it serves it prints a line "ready http://127.0.0.1:8188/" on standard output.
Ctrl-C or SIGTERM stop it cleanly.
Exit codes: 0 stopped, 1 failed, 2 wrong option or port in use.
)";
  return fmt::format("{}{}{}", kBeginning, node_list(), kEnd);
}

}  // namespace atelier::rehearsal
