// SPDX-License-Identifier: MIT
#pragma once
// What an engine can run, of all that its /object_info says.

#include <string>
#include <vector>

#include "comfy/object_info.hpp"

namespace atelier::comfy {

/// Sorted, each once. Files that participants upload are no part of it: they change with every job.
struct EngineAbility {
  std::vector<std::string> classes, models;
  bool operator==(const EngineAbility&) const = default;
};
[[nodiscard]] EngineAbility ability_of(const ObjectInfo& info);

}  // namespace atelier::comfy
