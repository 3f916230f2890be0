// SPDX-License-Identifier: MIT
#include "probe.hpp"

#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace atelier::sim {
namespace {

using Counter = std::atomic<std::uint64_t>;
Counter* counters = nullptr;

}  // namespace

void share_probes() {
  void* memory = ::mmap(nullptr, kProbes.size() * sizeof(Counter), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  counters = static_cast<Counter*>(memory);
  for (std::size_t i = 0; i < kProbes.size(); ++i) new (counters + i) Counter(0);
}

void reach(std::size_t probe) { counters[probe].fetch_add(1, std::memory_order_relaxed); }
std::uint64_t reached(std::size_t probe) { return counters[probe].load(std::memory_order_relaxed); }

}  // namespace atelier::sim
