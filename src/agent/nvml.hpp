// SPDX-License-Identifier: MIT
#pragma once
// NVIDIA's management library, loaded when it is there: names, load, memory, heat and power of the GPUs.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "link/messages.hpp"

namespace atelier::agent {

/// The driver's own name for it (NVML API reference, "Linking").
inline constexpr const char* kNvmlLibrary = "libnvidia-ml.so.1";

class Nvml {
 public:
  /// Null where there is no such library, it is none of NVML's, or no driver answers it.
  [[nodiscard]] static std::unique_ptr<Nvml> load(const char* library);
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  /// All GPUs in the driver's order, at most link::kGpusMax; nothing if the driver does not answer. May take
  /// long: not for the loop's thread. Several threads may ask.
  [[nodiscard]] std::optional<std::vector<link::GpuReading>> read() const;

 private:
  struct Functions;
  explicit Nvml(std::unique_ptr<Functions> functions);
  std::unique_ptr<Functions> functions_;
};

}  // namespace atelier::agent
