// SPDX-License-Identifier: MIT
#include "world.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace atelier::sim {

void World::at(Instant when, std::function<void()> what) {
  agenda_.emplace(std::pair{std::max(when, now_), ++counter_}, std::move(what));
}

void World::set_server(VirtualRuntime* runtime) {
  server_ = runtime;
  if (server_ != nullptr) server_->advance(now_ - server_->now());
}

bool World::step() {
  const auto server_next = server_ == nullptr ? std::optional<Instant>() : server_->next_at();
  if (agenda_.empty() && !server_next) return false;
  if (server_next && (agenda_.empty() || *server_next <= agenda_.begin()->first.first)) {
    VirtualRuntime& runtime = *server_;
    now_ = std::max(now_, *server_next);
    runtime.advance(now_ - runtime.now());
    return true;
  }
  const auto first = agenda_.begin();
  now_ = first->first.first;
  if (server_ != nullptr) server_->advance(now_ - server_->now());
  const auto what = std::move(first->second);
  agenda_.erase(first);
  what();
  if (server_ != nullptr) server_->run_ready();
  return true;
}

void World::print(std::string_view line) const {
  std::fprintf(stderr, "%10.3f  %.*s\n", static_cast<double>(now_.ms - 1'000'000) / 1000.0,
               static_cast<int>(line.size()), line.data());
}

void World::broken(std::string_view what) {
  std::fflush(stdout);
  print(fmt::format("BROKEN: {}", what));
  std::fprintf(stderr, "replay: sim_workshop --seed %llu --trace\n", static_cast<unsigned long long>(seed_));
  std::fflush(stderr);
  ::_exit(1);
}

}  // namespace atelier::sim
