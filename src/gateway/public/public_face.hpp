// SPDX-License-Identifier: MIT
#pragma once
// What everybody may see: the start page, /health for people and machines, /health/ping, /api/queue/status,
// /metrics (design.md 9). One thread.

#include <functional>
#include <string>
#include <vector>

#include "files/files.hpp"
#include "gateway/worker_link/worker_link.hpp"
#include "net/http.hpp"
#include "workshop/workshop.hpp"

namespace atelier::gateway {

struct PublicFaceOptions {
  std::uint64_t num_users = 20;
};

class PublicFace {
 public:
  PublicFace(workshop::Workshop& workshop, files::Files& files, PublicFaceOptions options)
      : workshop_(workshop), files_(files), options_(options) {}
  void set_workers(std::function<std::vector<WorkerView>()> workers) { workers_ = std::move(workers); }

  /// Nothing if the path is none of its own.
  [[nodiscard]] awaitable<std::optional<net::Response>> handle(net::Request& request);

 private:
  net::Response start_page() const;
  net::Response health(const net::Request& request) const;
  net::Response queue_status() const;
  net::Response metrics() const;
  [[nodiscard]] std::size_t jobs_on_workers() const;
  /// Why nothing is recorded; empty while it is. `has_room`: the disk has some by now.
  [[nodiscard]] const std::string& refusal_of_journal(bool has_room) const;
  /// Refused uses of workers' enrolments, of the last day.
  [[nodiscard]] std::size_t alarms() const;

  workshop::Workshop& workshop_;
  files::Files& files_;
  PublicFaceOptions options_;
  std::function<std::vector<WorkerView>()> workers_;
};

}  // namespace atelier::gateway
