// SPDX-License-Identifier: MIT
// Functions, structures and numbers as in NVIDIA's NVML API reference.
#include "agent/nvml.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <array>

namespace atelier::agent {
namespace {

using Device = struct OpaqueDevice*;  // nvmlDevice_t
constexpr int kSuccess = 0;           // NVML_SUCCESS
constexpr int kCoreSensor = 0;        // NVML_TEMPERATURE_GPU
constexpr unsigned kNameBytes = 96;   // NVML_DEVICE_NAME_V2_BUFFER_SIZE

struct Utilization {  // nvmlUtilization_t, percent
  unsigned gpu = 0, memory = 0;
};
struct Memory {  // nvmlMemory_t, bytes
  unsigned long long total = 0, free = 0, used = 0;
};

std::optional<std::uint64_t> number_from(int (*ask)(Device, unsigned*), Device device) {
  unsigned value = 0;
  if (ask == nullptr || ask(device, &value) != kSuccess) return std::nullopt;
  return value;
}

}  // namespace

struct Nvml::Functions {
  void* library = nullptr;
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  int (*count)(unsigned*) = nullptr;
  int (*handle)(unsigned, Device*) = nullptr;
  int (*name)(Device, char*, unsigned) = nullptr;
  int (*memory)(Device, Memory*) = nullptr;
  // What an older driver, or a part of a GPU, may lack.
  int (*utilization)(Device, Utilization*) = nullptr;
  int (*temperature)(Device, int, unsigned*) = nullptr;
  int (*power)(Device, unsigned*) = nullptr;
  int (*power_limit)(Device, unsigned*) = nullptr;

  ~Functions() {
    if (library != nullptr) ::dlclose(library);
  }
  template <class F>
  bool find(F& function, const char* symbol) {
    function = reinterpret_cast<F>(::dlsym(library, symbol));
    return function != nullptr;
  }
};

Nvml::Nvml(std::unique_ptr<Functions> functions) : functions_(std::move(functions)) {}
Nvml::~Nvml() { functions_->shutdown(); }

std::unique_ptr<Nvml> Nvml::load(const char* library) {
  auto f = std::make_unique<Functions>();
  f->library = ::dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (f->library == nullptr) return nullptr;
  const bool whole = f->find(f->init, "nvmlInit_v2") && f->find(f->shutdown, "nvmlShutdown") &&
                     f->find(f->count, "nvmlDeviceGetCount_v2") &&
                     f->find(f->handle, "nvmlDeviceGetHandleByIndex_v2") &&
                     f->find(f->name, "nvmlDeviceGetName") && f->find(f->memory, "nvmlDeviceGetMemoryInfo");
  if (!whole) return nullptr;
  f->find(f->utilization, "nvmlDeviceGetUtilizationRates");
  f->find(f->temperature, "nvmlDeviceGetTemperature");
  f->find(f->power, "nvmlDeviceGetPowerUsage");
  f->find(f->power_limit, "nvmlDeviceGetEnforcedPowerLimit");
  if (f->init() != kSuccess) return nullptr;
  return std::unique_ptr<Nvml>(new Nvml(std::move(f)));
}

std::optional<std::vector<link::GpuReading>> Nvml::read() const {
  const Functions& f = *functions_;
  unsigned count = 0;
  if (f.count(&count) != kSuccess) return std::nullopt;
  std::vector<link::GpuReading> gpus;
  for (unsigned i = 0; i < std::min<unsigned>(count, link::kGpusMax); ++i) {
    Device device = nullptr;
    if (f.handle(i, &device) != kSuccess) continue;
    link::GpuReading gpu;
    std::array<char, kNameBytes> name{};
    if (f.name(device, name.data(), kNameBytes - 1) == kSuccess) gpu.name = name.data();
    Memory memory;
    if (f.memory(device, &memory) == kSuccess) {
      gpu.memory_total = memory.total;
      gpu.memory_used = memory.used;
    }
    Utilization load;
    if (f.utilization != nullptr && f.utilization(device, &load) == kSuccess) gpu.load_percent = load.gpu;
    unsigned celsius = 0;
    if (f.temperature != nullptr && f.temperature(device, kCoreSensor, &celsius) == kSuccess)
      gpu.temperature_celsius = celsius;
    gpu.power_milliwatts = number_from(f.power, device);
    gpu.power_limit_milliwatts = number_from(f.power_limit, device);
    gpus.push_back(std::move(gpu));
  }
  return gpus;
}

}  // namespace atelier::agent
