// SPDX-License-Identifier: MIT
#pragma once
// Are the folders of --comfy-dir those of the ComfyUI that answers at --comfy?

#include <optional>
#include <string>

#include "agent/engine_client.hpp"
#include "agent/run_files.hpp"
#include "runtime/runtime.hpp"

namespace atelier::agent {

/// Lays a small file called `name` into each folder and asks ComfyUI for it (GET /view): "input", "output" or
/// "temp", the first of which it does not give the file; nothing if it gives all. A folder in which this user
/// may not write, or that is full, is passed over.
[[nodiscard]] awaitable<std::optional<std::string>> foreign_folder(Runtime& runtime, EngineClient& engine,
                                                                   const EngineFolders& folders,
                                                                   std::string name);

}  // namespace atelier::agent
