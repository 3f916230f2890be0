// SPDX-License-Identifier: MIT
#include "gateway/public/metrics.hpp"

#include <fmt/format.h>

namespace atelier::gateway {
namespace {

/// In label values backslash, quote and line feed are escaped.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

class Families {
 public:
  void family(std::string_view name, std::string_view help, std::string_view type = "gauge") {
    name_ = name;
    text_ += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
  }
  void add(double value, std::string_view labels = "") {
    text_ += labels.empty() ? fmt::format("{} {}\n", name_, value)
                            : fmt::format("{}{{{}}} {}\n", name_, labels, value);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string_view name_;
  std::string text_;
};

double number(std::uint64_t value) { return static_cast<double>(value); }

}  // namespace

std::string metrics_text(const MetricsSource& source) {
  Families out;
  out.family("atelier_journal_accepting", "1 while prompts are taken and kept.");
  out.add(source.accepting ? 1 : 0);
  out.family("atelier_jobs", "Jobs that have not ended.");
  out.add(number(source.waiting), R"(state="waiting")");
  out.add(number(source.on_workers), R"(state="on_worker")");
  out.family("atelier_disk_free_bytes", "Free space of the server's data folder.");
  if (source.disk_free) out.add(number(*source.disk_free));
  out.family("atelier_blobs_removed_total", "Contents removed since the start: nothing named them for a day.",
             "counter");
  out.add(number(source.swept.blobs));
  out.family("atelier_blobs_removed_bytes_total", "Bytes of them.", "counter");
  out.add(number(source.swept.bytes));
  out.family("atelier_worker_busy", "Of each connected worker: 1 while a job runs.");
  for (const WorkerView& worker : source.workers)
    out.add(worker.state == "busy" ? 1 : 0, fmt::format(R"(worker="{}")", worker.name));

  const auto of_workers = [&](std::string_view name, std::string_view help, auto&& value_of) {
    out.family(name, help);
    for (const WorkerView& worker : source.workers) {
      if (!worker.readings) continue;
      if (const std::optional<double> value = value_of(*worker.readings))
        out.add(*value, fmt::format(R"(worker="{}")", worker.name));
    }
  };
  of_workers("atelier_worker_disk_free_bytes", "Free space where the worker keeps outputs.",
             [](const WorkerReadings& readings) -> std::optional<double> {
               return number(readings.telemetry.disk_free);
             });
  of_workers("atelier_worker_clock_ahead_seconds", "The worker's clock minus the server's.",
             [](const WorkerReadings& readings) -> std::optional<double> {
               if (!readings.ahead_ms) return std::nullopt;
               return static_cast<double>(*readings.ahead_ms) / 1000;
             });

  const auto of_slots = [&](std::string_view name, std::string_view help, auto&& value_of) {
    out.family(name, help);
    for (const WorkerView& worker : source.workers) {
      if (!worker.readings) continue;
      for (const link::TelemetrySlot& slot : worker.readings->telemetry.slots) {
        if (const std::optional<double> value = value_of(slot))
          out.add(*value, fmt::format(R"(worker="{}",slot="{}")", worker.name, slot.slot));
      }
    }
  };
  of_slots("atelier_comfyui_queue", "Runs that a ComfyUI has, the running one included.",
           [](const link::TelemetrySlot& slot) -> std::optional<double> {
             return slot.queue_remaining ? std::optional(number(*slot.queue_remaining)) : std::nullopt;
           });
  of_slots("atelier_comfyui_vram_free_bytes", "Memory of its device that a ComfyUI sees as free.",
           [](const link::TelemetrySlot& slot) -> std::optional<double> { return number(slot.vram_free); });

  of_slots("atelier_comfyui_vram_total_bytes", "Memory of its device that a ComfyUI sees.",
           [](const link::TelemetrySlot& slot) -> std::optional<double> { return number(slot.vram_total); });
  out.family("atelier_comfyui_model_loaded", "1 for each model that a ComfyUI holds in its memory.");
  for (const LoadedModels& slot : source.loaded)
    for (const std::string& model : slot.models)
      out.add(1, fmt::format(R"(worker="{}",slot="{}",model="{}")", slot.worker, slot.slot, escaped(model)));

  const auto of_gpus = [&](std::string_view name, std::string_view help, auto&& value_of) {
    out.family(name, help);
    for (const WorkerView& worker : source.workers) {
      if (!worker.readings || !worker.readings->telemetry.gpus) continue;
      std::size_t index = 0;
      for (const link::GpuReading& gpu : *worker.readings->telemetry.gpus) {
        if (const std::optional<double> value = value_of(gpu)) {
          out.add(*value,
                  fmt::format(R"(worker="{}",gpu="{}",name="{}")", worker.name, index, escaped(gpu.name)));
        }
        ++index;
      }
    }
  };
  const auto scaled = [](const std::optional<std::uint64_t>& value, double by) -> std::optional<double> {
    return value ? std::optional(number(*value) / by) : std::nullopt;
  };
  // No memory in all: the driver did not say.
  const auto memory = [](const link::GpuReading& gpu, std::uint64_t bytes) {
    return gpu.memory_total == 0 ? std::nullopt : std::optional(number(bytes));
  };
  of_gpus("atelier_gpu_memory_total_bytes", "Memory of a GPU.",
          [&](const link::GpuReading& gpu) { return memory(gpu, gpu.memory_total); });
  of_gpus("atelier_gpu_memory_used_bytes", "Memory of a GPU that is in use.",
          [&](const link::GpuReading& gpu) { return memory(gpu, gpu.memory_used); });
  of_gpus("atelier_gpu_load_ratio", "Share of the last moment in which the GPU computed.",
          [&](const link::GpuReading& gpu) { return scaled(gpu.load_percent, 100); });
  of_gpus("atelier_gpu_temperature_celsius", "How warm a GPU is.",
          [&](const link::GpuReading& gpu) { return scaled(gpu.temperature_celsius, 1); });
  of_gpus("atelier_gpu_power_watts", "What a GPU draws.",
          [&](const link::GpuReading& gpu) { return scaled(gpu.power_milliwatts, 1000); });
  of_gpus("atelier_gpu_power_limit_watts", "What a GPU may draw.",
          [&](const link::GpuReading& gpu) { return scaled(gpu.power_limit_milliwatts, 1000); });
  return out.take();
}

}  // namespace atelier::gateway
