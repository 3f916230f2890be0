// SPDX-License-Identifier: MIT
#pragma once
// GET /metrics: Prometheus' text format, version 0.0.4. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "files/blob_sweep.hpp"
#include "gateway/worker_link/worker_link.hpp"

namespace atelier::gateway {

/// What a worker's ComfyUI holds in its memory.
struct LoadedModels {
  std::string worker;
  std::uint32_t slot = 0;
  std::vector<std::string> models;  // references
};

struct MetricsSource {
  bool accepting = false;  // the journal takes prompts
  std::size_t waiting = 0, on_workers = 0;
  std::optional<std::uint64_t> disk_free;  // bytes
  files::SweptBlobs swept;                 // since the start
  std::vector<WorkerView> workers;         // the connected ones
  std::vector<LoadedModels> loaded;        // of their slots
};

/// Every family has its HELP and TYPE, also when nothing stands in it. What nobody measured has no line.
[[nodiscard]] std::string metrics_text(const MetricsSource& source);

}  // namespace atelier::gateway
