// SPDX-License-Identifier: MIT
#pragma once
// Time of the simulation: an agenda of what happens outside of the server, and the virtual runtime of the
// server that lives now, in lock step. Everything on one thread; same seed, same run.

#include <fmt/format.h>

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "runtime/virtual_runtime.hpp"

namespace atelier::sim {

class World {
 public:
  World(std::uint64_t run_seed, bool print_trace) : seed_(run_seed), tracing_(print_trace) {}

  [[nodiscard]] std::uint64_t seed() const { return seed_; }
  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] bool tracing() const { return tracing_; }
  /// Runs `what` later; equal instants in the order of the calls.
  void after(milliseconds delay, std::function<void()> what) { at(now_ + delay, std::move(what)); }
  void at(Instant when, std::function<void()> what);

  /// The server's clock is set to the world's; from now on both move together. Null: there is no server.
  void set_server(VirtualRuntime* runtime);
  /// One agenda entry, or one instant of the server's timers, whichever is first; false if nothing is left.
  bool step();

  template <class... Args>
  void trace(fmt::format_string<Args...> format, Args&&... args) {
    if (tracing_) print(fmt::format(format, std::forward<Args>(args)...));
  }
  /// An invariant does not hold: says so with the command that replays the run, and ends the process with
  /// status 1.
  [[noreturn]] void broken(std::string_view what);

 private:
  void print(std::string_view line) const;

  std::uint64_t seed_;
  bool tracing_;
  Instant now_{1'000'000};  // where a VirtualRuntime begins
  std::uint64_t counter_ = 0;
  std::map<std::pair<Instant, std::uint64_t>, std::function<void()>> agenda_;
  VirtualRuntime* server_ = nullptr;
};

}  // namespace atelier::sim
