// SPDX-License-Identifier: MIT
#pragma once
// /api/v1/events: a snapshot, then numbered deltas of what changed, at most ten per second; the last ones are
// kept, so that who was away for a moment goes on where it was (docs/protocol/api.md). One thread.

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gateway/instructor/api_access.hpp"
#include "gateway/instructor/api_views.hpp"
#include "gateway/instructor/api_waiting.hpp"
#include "net/websocket.hpp"
#include "runtime/runtime.hpp"
#include "runtime/signal.hpp"
#include "runtime/task_group.hpp"
#include "workshop/workshop.hpp"

namespace atelier::gateway {

struct ApiEventLimits {
  std::size_t instructors_max = 32;
  std::size_t sockets_per_participant_max = 4;
  std::size_t snapshot_jobs_max = 10'000;
  std::size_t kept_deltas_max = 1'024;
  std::size_t kept_bytes_max = 4u << 20;
  std::size_t changed_jobs_max = 10'000;  // that wait to be told; above: everybody gets a snapshot
  std::size_t jobs_per_delta_max = 250;   // the rest follows in the next ones
  std::size_t ordered_jobs_max = 1'000;   // ids in `order`
  milliseconds pause{100};                // between two deltas
  milliseconds tick{1'000};               // with nothing new, too
  milliseconds order_pause{1'000};
  milliseconds kept_without_readers{60'000};
};

class ApiEvents {
 public:
  /// `order`: the jobs that wait as they would start.
  using Order = std::function<std::vector<JobId>()>;

  ApiEvents(Runtime& runtime, workshop::Workshop& workshop, std::uint64_t num_users, ApiWaiting& waiting,
            WallClock& wall_clock, Order order, ApiEventLimits limits = {});

  /// Of every applied entry.
  void on_effects(const core::Entry& entry, std::span<const core::Effect> effects);
  /// Serves one socket until it ends. `since`: the last sequence that its reader has.
  [[nodiscard]] awaitable<void> run(std::unique_ptr<net::WebSocket> socket, Caller caller,
                                    std::optional<std::uint64_t> since);
  /// Closes everything with 1001.
  [[nodiscard]] awaitable<void> stop(Instant deadline);
  [[nodiscard]] std::size_t size() const { return readers_.size(); }

 private:
  struct Reader {
    Reader(Runtime& runtime, std::unique_ptr<net::WebSocket> ws, Caller who)
        : socket(std::move(ws)),
          outgoing(runtime, *socket, {.bytes_max = 16u << 20, .messages_max = 10'000}),
          caller(who) {}
    std::unique_ptr<net::WebSocket> socket;
    net::OutgoingQueue outgoing;
    Caller caller;
    std::uint64_t said = 0;  // the last sequence: it never goes back
    bool greeted = false;    // it gets deltas
    bool written = false;
  };
  /// One member of `changes`, and who may see it.
  struct Change {
    enum class For : std::uint8_t { everybody, owner, instructors } audience = For::instructors;
    ParticipantId owner;
    std::string text;
    [[nodiscard]] bool is_for(const Caller& caller) const;
  };
  struct Delta {
    std::uint64_t to = 0;  // all that happened up to this sequence is told with it
    WallTime time;
    std::vector<Change> jobs;     // and of these, what happened
    std::uint64_t jobs_upto = 0;  // up to this one
    std::vector<Change> changes;
    std::uint64_t upto = 0;  // the same of all else
    // Of these the newest are kept elsewhere.
    std::string order;  // "": the same as before
    std::vector<ApiWaiting::Row> waiting;
    std::size_t bytes = 0;
    [[nodiscard]] bool empty() const {
      return jobs.empty() && changes.empty() && order.empty() && waiting.empty();
    }
    /// What came after `since`, as after entry `sequence` of the journal; "" if nothing is for the caller.
    [[nodiscard]] std::string print(const Caller& caller, std::uint64_t sequence,
                                    std::uint64_t since = 0) const;
  };

  bool refuses(const Caller& caller) const;
  /// What it missed, or a snapshot; then it is greeted.
  awaitable<void> greet(std::shared_ptr<Reader> reader, std::optional<std::uint64_t> since);
  /// False if some of it is not kept any more.
  bool send_kept(Reader& reader, std::uint64_t since);
  void begin_watching();
  void forget_all();
  /// In slices, so that nobody waits for it; of the state from `sequence` on: deltas since then must follow.
  awaitable<std::string> snapshot(Caller caller) const;
  void mark(const core::Effect& effect, std::uint64_t sequence);
  void mark_job(JobId job, ParticipantId owner, std::uint64_t sequence);
  /// A hold of their owner, or of everybody, changes how jobs are shown.
  void mark_waiting_of(ParticipantId owner, std::uint64_t sequence);
  awaitable<void> watch();
  /// What changed since the last one becomes a delta; false if nothing did.
  bool flush();
  void add_jobs(Delta& delta);
  void add_people(Delta& delta);
  void add_workers(Delta& delta);
  void add_enrolments(Delta& delta);
  void add_order(Delta& delta);
  void send(const Delta& delta);
  void keep(std::shared_ptr<Delta> delta);
  void tick();
  awaitable<void> write_loop(std::shared_ptr<Reader> reader);
  awaitable<void> read_loop(Reader& reader) const;

  Runtime& runtime_;
  workshop::Workshop& workshop_;
  std::uint64_t num_users_;
  ApiWaiting& waiting_;
  WallClock& wall_clock_;
  Order order_;
  ApiEventLimits limits_;
  std::vector<std::shared_ptr<Reader>> readers_;
  bool watching_ = false, stopping_ = false;
  Instant last_reader_left_;

  // Since the last delta.
  bool dirty_ = false, workers_dirty_ = false, enrolments_dirty_ = false;
  struct Changed {
    ParticipantId owner;
    std::uint64_t at = 0;  // the last sequence that changed it
  };
  std::map<JobId, Changed> jobs_;
  std::set<std::pair<std::uint64_t, JobId>> jobs_by_change_;
  std::set<ParticipantId> people_;
  // As sent last.
  std::string queue_text_, order_text_;
  std::map<std::string, std::string> worker_texts_;
  std::map<EnrolmentId, std::string> enrolment_texts_;
  std::map<ParticipantId, std::string> people_texts_;
  std::uint64_t order_told_ = 0;  // the sequence at which it was
  Instant order_sent_;
  bool order_changed_ = false;  // by a person, or by workers
  std::uint64_t flushed_ = 0;   // the sequence up to which all is in deltas
  std::uint64_t oldest_ = 0;    // the sequence since which all of them are kept
  std::deque<std::shared_ptr<const Delta>> kept_;
  std::size_t kept_bytes_ = 0;

  Signal changed_, ended_;
  TaskGroup tasks_;
};

}  // namespace atelier::gateway
