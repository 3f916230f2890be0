// SPDX-License-Identifier: MIT
#pragma once
// Inside src/workshop only: what the Workshop's calls and its loop share. One thread.

#include <deque>
#include <map>

#include "files/disk_full_text.hpp"
#include "runtime/task_group.hpp"
#include "workshop/workshop.hpp"

namespace atelier::workshop {

/// The journal is out of reach, and nothing of what was asked for is in it.
[[nodiscard]] inline Error not_taken() {
  return {Errc::unavailable,
          "the queue cannot be written for the moment, and nothing was taken; try again in a minute"};
}

/// The journal's disk has no room for a prompt, or for what else people ask.
[[nodiscard]] inline Error no_room_for_prompt() { return {Errc::disk_full, files::kDiskFullText}; }
[[nodiscard]] inline Error no_room_for_command() {
  return {Errc::disk_full, "The server's disk is full, and nothing was changed. Make room, then try again."};
}

/// A command of a person, not a report of a worker.
[[nodiscard]] bool asked_by_people(const core::Event& event);

struct Workshop::Impl {
  struct InFlightPrompt {
    Digest body;
    std::vector<std::shared_ptr<Answer<Posted>>> followers;
  };
  using PromptKey = std::pair<ParticipantId, std::string>;

  Impl(Runtime& r, journal::Journal& j, WorkshopOptions o)
      : runtime(r),
        journal(j),
        options(std::move(o)),
        fold(options.limits, options.history),
        leases(options.lease_ttl),
        arrived(r),
        idle(r),
        caught_up(r),
        tasks(r) {}

  awaitable<void> loop();
  /// What decide is given.
  [[nodiscard]] core::PolicySettings policy_now() const;
  awaitable<void> watch_leases();
  awaitable<void> watch_others();
  /// Whose link that is; 0: nobody's.
  [[nodiscard]] GatewayId holder_of(LinkId link) const;
  void leave_to_others();
  /// Of what has not been sent to the journal: prompts, and what else somebody waits for. What workers report
  /// is kept.
  void refuse_what_people_ask(const Error& error);
  /// Shows what stands before the damage; nothing is recorded any more.
  awaitable<Result<void>> open_damaged(Error damage);
  [[nodiscard]] std::unexpected<Error> refuse() const;
  void checkpoint_if_due();
  awaitable<void> write_checkpoint();
  awaitable<Result<std::size_t>> fold_and_store(std::shared_ptr<Fold> copy);
  journal::Batch next_batch();
  /// False: the journal is gone for good.
  awaitable<bool> run_batch();
  /// The commit failed: new prompts are refused, all else is tried again (nothing is lost on a full disk).
  awaitable<void> on_append_failed(Error error, journal::Batch batch);
  void fail_for_good(const Error& error, const journal::Batch& batch);
  void refuse_prompt(const journal::NewEntry& entry, const core::Submitted& submitted, const Error& error);
  void lose_patience();
  void apply(const core::Entry& entry, bool live);
  /// Applies what the journal gave. False: an entry before it was not given, and nothing is right any more.
  bool take(const core::Entry& entry);
  void answer(const core::Origin& origin, Result<Posted> result);
  void settle_submitted(ParticipantId participant);
  void enqueue(core::Event event, std::vector<journal::NewAttachment> attachments,
               std::shared_ptr<Answer<Posted>> answer);

  Runtime& runtime;
  journal::Journal& journal;
  WorkshopOptions options;
  Fold fold;
  core::Core& core = fold.core;
  History& history = fold.history;
  LeaseTable leases;
  std::vector<EffectSink*> sinks;
  std::function<void(const Error&)> fatal;
  GatewayId gateway;

  std::deque<journal::NewEntry> inbox;
  std::vector<core::Event> proposals;
  std::optional<Time> next_at;
  Instant limit_from;  // before that no job has run too long: this process has only begun, or stood still
  std::map<std::uint64_t, std::shared_ptr<Answer<Posted>>> waiters;
  std::map<PromptKey, InFlightPrompt> prompts;
  std::map<ParticipantId, std::uint32_t> in_flight_of;
  std::uint32_t in_flight = 0;
  std::uint64_t last_ticket = 0;

  std::optional<Instant> commit_begun;
  std::vector<core::Origin> committing;
  Signal arrived, idle, caught_up;
  Instant last_applied;          // an entry of anybody
  bool others_recorded = false;  // something that this process has not applied
  bool out_of_reach = false;     // the journal, for now
  bool found_full = false;       // its disk, by the last commit
  bool stopping = false, failed = false, ended = false, started = false;
  std::string refusal;                 // why nothing is recorded
  std::uint64_t since_checkpoint = 0;  // entries
  std::uint64_t checkpoint_due = 0;    // at that many; 0: not before the one under way is written
  Counters counters;
  TaskGroup tasks;
};

}  // namespace atelier::workshop
