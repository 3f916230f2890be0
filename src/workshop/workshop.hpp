// SPDX-License-Identifier: MIT
#pragma once
// The single writer: one loop of append -> apply -> act -> decide (design.md 3, style.md 6). Faces post
// events into its bounded inbox and read its state directly between two co_awaits. One thread; a crash
// between any two steps is harmless.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/runtime.hpp"
#include "runtime/signal.hpp"
#include "workshop/effect_sink.hpp"
#include "workshop/fold.hpp"
#include "workshop/lease_table.hpp"

namespace atelier::workshop {

struct WorkshopOptions {
  core::AdmissionLimits admission;
  core::Limits limits;
  core::PolicySettings policy;
  core::QueueMode first_mode = core::QueueMode::fifo;  // of a new workshop; later the journal's stands
  HistoryLimits history;
  milliseconds lease_ttl{30'000};
  milliseconds restart_grace{60'000};   // every lease found in the journal at start
  milliseconds commit_patience{5'000};  // a longer commit answers `unavailable`; the job may still appear
  std::size_t inbox_max = 100'000;      // events; above: unavailable
  std::size_t batch_events_max = 1'024;
  std::size_t batch_bytes_max = 32 << 20;  // of attachments
  /// Entries after which the state is written as a checkpoint, beside the loop; more if the last one had more
  /// than half as many records. 0 = never.
  std::uint64_t checkpoint_entries = 100'000;
  std::string release = "0.1.0";
  /// No other process writes this journal: what held links before is gone. Off: what others record is
  /// applied, too, and a worker's leases have their clocks where its link is.
  bool alone = true;
  /// With others: what is theirs to propose is proposed here after so long without any entry (core.md 7). 0:
  /// everybody proposes everything, and the first stands.
  milliseconds others_patience{1'000};
};

/// What became of a posted event.
struct Posted {
  core::Accepted accepted;
};
/// What became of a submit.
struct Submission {
  JobId job;
  double number = 0;
  bool repeated = false;  // this very body was accepted before; nothing new was made
  bool ended = false;     // ... and that job has ended: send its last events again
};

class Workshop {
 public:
  /// `journal` and `runtime` outlive the workshop.
  Workshop(Runtime& runtime, journal::Journal& journal, WorkshopOptions options);
  ~Workshop();
  Workshop(const Workshop&) = delete;
  Workshop& operator=(const Workshop&) = delete;

  /// Before start(). Sinks are called in this order.
  void add_sink(EffectSink& sink);
  /// Called once, when the journal has failed for good: stop taking requests and end with exit code 74.
  void on_fatal(std::function<void(const Error&)> handler);

  /// Replays the journal, records workshop_opened (once) and gateway_joined. If a part of it cannot be read,
  /// what stands before that part is shown, and nothing is recorded: see refusal(). Errors: io (nothing can
  /// be read), newer_version.
  [[nodiscard]] awaitable<Result<void>> open();
  /// Runs the loop until stop().
  void start();
  /// Takes nothing new, records what is in the inbox (up to `deadline`), ends the loop.
  [[nodiscard]] awaitable<void> stop(Instant deadline);

  // -- reading; references are void after the next co_await
  // -------------------------------------------------------
  [[nodiscard]] const core::Core& core() const;
  [[nodiscard]] const History& history() const;
  [[nodiscard]] LeaseTable& leases();
  [[nodiscard]] Time now() const;
  [[nodiscard]] GatewayId gateway() const;
  [[nodiscard]] Key128 id() const;
  /// False after a fatal error, while stopping, or for good when the journal is damaged.
  [[nodiscard]] bool accepting() const;
  /// Why nothing is recorded, for people; empty while it is, and while the server only stops.
  [[nodiscard]] const std::string& refusal() const;
  /// The last commit found no room on the journal's disk. It stays until one succeeds.
  [[nodiscard]] bool found_full() const;

  // -- writing
  // ----------------------------------------------------------------------------------------------------
  /// Admits and records a prompt; returns when it is durable and applied (P1). The same prompt_id while that
  /// job waits or runs: byte-equal body -> the same answer, another -> conflict. After it ended: byte-equal
  /// within 10 min -> the same answer, else a new job. `event.prompt` is filled in from `prompt`; a
  /// digest that stands in it already is taken for that of `prompt`. Errors: queue_full (429), conflict
  /// (409), disk_full (507), unavailable (503; at once while the journal is out of reach), bad_request.
  [[nodiscard]] awaitable<Result<Submission>> submit(core::Submitted event,
                                                     std::shared_ptr<const std::string> prompt);
  /// Records an event and waits until it is applied. Errors: stale_epoch, conflict, not_found, ... as core
  /// refuses it (see error_of), disk_full, unavailable.
  [[nodiscard]] awaitable<Result<Posted>> record(core::Event event,
                                                 std::vector<journal::NewAttachment> attachments = {});
  /// Records an event without waiting; kept and tried again while the disk is full.
  void post(core::Event event, std::vector<journal::NewAttachment> attachments = {});
  /// Makes an attachment of `bytes` with a fresh id. `digest`: that of `bytes`, where it is known already.
  [[nodiscard]] journal::NewAttachment attach(std::shared_ptr<const std::string> bytes, Digest digest = {});
  /// Bytes of an attachment. Errors: not_found, io.
  [[nodiscard]] awaitable<Result<std::shared_ptr<const std::string>>> attachment(Key128 id);

  struct Counters {
    std::uint64_t commits = 0, events = 0, submitted = 0, refused = 0;
    std::size_t inbox = 0;
    milliseconds longest_commit{0};
    Sequence checkpoint;  // the last one written by this process
  };
  [[nodiscard]] Counters counters() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The Error that a caller gets for an event without effect.
[[nodiscard]] Error error_of(core::NoEffect reason);

}  // namespace atelier::workshop
