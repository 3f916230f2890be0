// SPDX-License-Identifier: MIT
// A libnvidia-ml.so of two GPUs, of which the second one says less, for nvml_test.cpp.
#include <cstdio>

namespace {
struct Gpu {
  const char* name;
  int number;
};
Gpu gpus[2] = {{"Fake H200", 0}, {"Fake slice", 1}};
}  // namespace

extern "C" {

int nvmlInit_v2() { return 0; }
int nvmlShutdown() { return 0; }
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = 2;
  return 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, Gpu** gpu) {
  if (index > 1) return 2;
  *gpu = &gpus[index];
  return 0;
}
int nvmlDeviceGetName(Gpu* gpu, char* name, unsigned length) {
  return std::snprintf(name, length, "%s", gpu->name) < static_cast<int>(length) ? 0 : 7;
}
int nvmlDeviceGetMemoryInfo(Gpu* gpu, unsigned long long* total_free_used) {
  total_free_used[0] = gpu->number == 0 ? 150000000000ULL : 20000000000ULL;
  total_free_used[1] = 100000000000ULL;
  total_free_used[2] = gpu->number == 0 ? 50000000000ULL : 1000000000ULL;
  return 0;
}
int nvmlDeviceGetUtilizationRates(Gpu* gpu, unsigned* gpu_memory) {
  if (gpu->number == 1) return 3;  // NVML_ERROR_NOT_SUPPORTED
  gpu_memory[0] = 97;
  gpu_memory[1] = 40;
  return 0;
}
int nvmlDeviceGetTemperature(Gpu* gpu, int sensor, unsigned* celsius) {
  if (sensor != 0) return 2;
  *celsius = gpu->number == 0 ? 71 : 45;
  return 0;
}
int nvmlDeviceGetPowerUsage(Gpu* gpu, unsigned* milliwatts) {
  if (gpu->number == 1) return 3;
  *milliwatts = 612345;
  return 0;
}
}
