// SPDX-License-Identifier: MIT
#pragma once
// The journal of tests and simulation: the contract of journal.hpp over a MemoryStore, on any Runtime.
// Several may be open on one store, as several gateways on a shared journal.

#include <memory>

#include "journal/memory/memory_store.hpp"

namespace atelier::journal::memory {

/// `runtime` and `store` outlive it. A coroutine that still waits in it when it is destroyed stores nothing
/// and gets Errc::cancelled: the process it belonged to is dead.
[[nodiscard]] std::unique_ptr<Journal> open(Runtime& runtime, MemoryStore& store);

}  // namespace atelier::journal::memory
