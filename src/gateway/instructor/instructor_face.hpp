// SPDX-License-Identifier: MIT
#pragma once
// The API: /api/v1/... and /api/openapi.json (docs/protocol/api.md). It translates and decides nothing:
// commands become events of the workshop, effects become deltas. One thread.

#include <functional>
#include <memory>
#include <vector>

#include "gateway/instructor/api_access.hpp"
#include "net/http.hpp"
#include "runtime/runtime.hpp"
#include "workshop/outlook.hpp"
#include "workshop/workshop.hpp"

namespace atelier::gateway {

class EnginePages;
class WorkerLink;

struct InstructorFaceOptions {
  std::uint64_t num_users = 20;
  std::size_t body_bytes_max = 64u << 10;
  bool participants_choose_worker = false;
  std::size_t ahead_max = 1'024;  // jobs that one move may take along
};

class InstructorFace final : public workshop::EffectSink {
 public:
  /// Everything outlives the face.
  InstructorFace(Runtime& runtime, workshop::Workshop& workshop, ApiAccess access,
                 InstructorFaceOptions options);
  ~InstructorFace() override;

  /// The jobs that wait, as they would start; by default present_order(). Jobs may be missing: they count as
  /// coming last.
  void set_order(std::function<std::vector<JobId>()> order);

  /// For when jobs will be ready; until then it is unknown.
  void set_outlook(const workshop::Outlook& outlook);
  /// For what workers say of themselves; until then it is unknown.
  void set_worker_link(WorkerLink& link);
  /// For tickets to workers' own pages; until then they are off.
  void set_engine_pages(EnginePages& pages);

  /// True for the paths that are its own.
  [[nodiscard]] static bool owns(std::string_view path);
  [[nodiscard]] awaitable<net::Response> handle(net::Request& request);
  void on_effects(const core::Entry& entry, std::span<const core::Effect> effects) override;
  /// Closes all sockets with 1001 and waits for them.
  [[nodiscard]] awaitable<void> stop(Instant deadline);

  struct Impl;  // internal to instructor

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace atelier::gateway
