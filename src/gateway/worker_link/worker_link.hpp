// SPDX-License-Identifier: MIT
#pragma once
// The gateway's end of the worker link (docs/protocol/worker-link.md): what agents say becomes events of the
// workshop, what the workshop's effects mean for a worker becomes messages. It decides nothing. One thread.

#include <functional>
#include <memory>
#include <string>

#include "files/files.hpp"
#include "gateway/catalog/catalog.hpp"
#include "gateway/live/live_bus.hpp"
#include "link/messages.hpp"
#include "net/http.hpp"
#include "runtime/runtime.hpp"
#include "workshop/workshop.hpp"

namespace atelier::gateway {

struct WorkerLinkOptions {
  std::string token;  // the long-lived one of DATA_DIR/worker.token
  milliseconds lease_ttl{30'000};
  milliseconds heartbeat{5'000};
  milliseconds job_limit{0};  // wall-clock limit of a job on the worker; 0 = none
  std::uint64_t output_bytes_max = 20'000'000'000;
};

/// What a connected worker said of itself last. Never journaled.
struct WorkerReadings {
  link::Telemetry telemetry;
  WallTime at;  // when it came
  std::optional<std::int64_t>
      ahead_ms;  // the worker's clock minus this machine's, the message's way included
};

/// True for 1 to 64 of A-Z a-z 0-9 . _ -
[[nodiscard]] bool is_worker_name(std::string_view name);

/// One connected worker, for /health, /metrics, /api/queue/status and /system_stats.
struct WorkerView {
  std::string name;
  std::string version;  // of its engine
  std::string device;
  std::uint64_t vram_total = 0, vram_free = 0;
  std::string_view state = "engine_lost";  // as worker_state() tells it
  /// It has taken a job or would take one.
  [[nodiscard]] bool works() const { return state == "busy" || state == "idle" || state == "stopping"; }
  std::optional<WorkerReadings> readings;
};

/// The last lines that the ComfyUI of a slot printed, the oldest first.
struct EngineLines {
  std::uint32_t slot = 0;
  std::vector<std::string> lines;
};
inline constexpr std::size_t kEngineLinesMax = 300;  // of each slot

class WorkerLink final : public workshop::EffectSink {
 public:
  /// Called before the end of a job is recorded, with the ending frame to show (prompt_id replaced already).
  using ExpectEnding = std::function<void(JobId, Epoch, std::string event_json)>;

  WorkerLink(Runtime& runtime, workshop::Workshop& workshop, files::Files& files, Catalog& catalog,
             LiveBus& live, WorkerLinkOptions options, ExpectEnding expect_ending);
  ~WorkerLink() override;

  /// After Workshop::open: gives the names of commits that a crash left unlinked, and sweeps staging.
  void start();
  /// Everything under /worker/.
  [[nodiscard]] awaitable<net::Response> handle(net::Request& request);
  void on_effects(const core::Entry& entry, std::span<const core::Effect> effects) override;
  /// Closes all links with 1001.
  [[nodiscard]] awaitable<void> stop(Instant deadline);

  /// Connected workers by name.
  [[nodiscard]] std::vector<WorkerView> workers() const;
  /// Nothing if it is not connected, or has not said anything yet.
  [[nodiscard]] std::optional<WorkerReadings> readings(std::string_view worker) const;
  /// Of the engines that a connected worker started itself; slots that printed nothing are missing.
  [[nodiscard]] std::vector<EngineLines> engine_lines(std::string_view worker) const;
  /// Asks the agent to do it; what comes of it is seen in the worker's slots. Errors: conflict (not
  /// connected, or the agent did not start this ComfyUI), not_found (no such slot).
  [[nodiscard]] Result<void> restart_engine(std::string_view worker, std::uint32_t slot);
  [[nodiscard]] Result<void> free_memory(std::string_view worker, std::uint32_t slot);
  /// `port` 0: the agent starts one more. Errors also: conflict (it starts none, or has 64).
  [[nodiscard]] Result<void> add_slot(std::string_view worker, std::uint16_t port);
  /// After what runs there. Errors also: conflict (it is the last one).
  [[nodiscard]] Result<void> remove_slot(std::string_view worker, std::uint32_t slot);
  /// Errors: conflict (not connected), not_found (no such slot).
  [[nodiscard]] Result<void> has_slot(std::string_view worker, std::uint32_t slot) const;
  /// A connection to the ComfyUI of a slot, by way of its agent. Errors: as has_slot, and those of
  /// Tunnels::open (tunnels.hpp).
  [[nodiscard]] awaitable<Result<std::unique_ptr<net::ByteStream>>> open_tunnel(std::string worker,
                                                                                std::uint32_t slot);
  /// ComfyUI's prompt_id for one epoch of a job, the same after every restart.
  [[nodiscard]] static Key128 run_id(Key128 workshop, JobId job, Epoch epoch);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace atelier::gateway
