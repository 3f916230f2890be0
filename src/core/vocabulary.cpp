// SPDX-License-Identifier: MIT
#include "core/types/vocabulary.hpp"

#include <array>
#include <cstddef>

#include "base/match.hpp"
#include "core/types/events.hpp"

namespace atelier::core {
namespace {

template <class Enum, std::size_t N>
std::string_view name_of(Enum value, const std::array<std::string_view, N>& names) {
  const auto index = static_cast<std::size_t>(value);
  return index < N ? names[index] : "unknown";
}

}  // namespace

std::string_view to_string(JobState value) {
  return name_of(value, std::array<std::string_view, 4>{"queued", "held", "leased", "running"});
}
std::string_view to_string(Outcome value) {
  return name_of(value, std::array<std::string_view, 3>{"succeeded", "failed", "cancelled"});
}
std::string_view to_string(QueueMode value) {
  return name_of(value, std::array<std::string_view, 3>{"fifo", "round_robin", "priority"});
}
std::string_view to_string(PriorityLevel value) {
  return name_of(value, std::array<std::string_view, 4>{"instructor", "high", "normal", "low"});
}
std::string_view to_string(SlotState value) {
  return name_of(value, std::array<std::string_view, 4>{"idle", "busy", "stopping", "engine_lost"});
}
std::string_view to_string(OutputType value) {
  return name_of(value, std::array<std::string_view, 3>{"output", "temp", "input"});
}
std::string_view to_string(MovePlace value) {
  return name_of(value, std::array<std::string_view, 4>{"first", "last", "before", "after"});
}
std::string_view to_string(LossReason value) {
  return name_of(value, std::array<std::string_view, 5>{"link_expired", "restarted", "engine_died", "evicted",
                                                        "worker_left"});
}
std::string_view to_string(ReturnReason value) {
  return name_of(value, std::array<std::string_view, 5>{"draining", "disk_full", "input_not_fetched",
                                                        "slot_removed", "refused_by_engine"});
}
std::string_view to_string(EndReason value) {
  return name_of(value, std::array<std::string_view, 8>{"finished", "cancel_unanswered", "cancelled_waiting",
                                                        "too_many_deaths", "too_many_returns", "time_limit",
                                                        "outputs_lost", "refused"});
}
std::string_view to_string(NoEffect value) {
  return name_of(
      value, std::array<std::string_view, 15>{
                 "unknown_job", "stale_epoch", "stale_link", "slot_taken", "job_not_queued", "already_ended",
                 "live_rival", "container_full", "already_committed", "unknown_worker", "unknown_slot",
                 "nothing_to_change", "bad_value", "unknown_enrolment", "enrolment_refused"});
}
std::string_view to_string(EnrolmentVerdict value) {
  return name_of(
      value, std::array<std::string_view, 10>{"accepted", "repeated", "unknown", "used", "expired", "revoked",
                                              "other_worker", "name_taken", "key_revoked", "full"});
}

bool is_misuse(EnrolmentVerdict verdict) {
  return verdict == EnrolmentVerdict::used || verdict == EnrolmentVerdict::expired ||
         verdict == EnrolmentVerdict::revoked || verdict == EnrolmentVerdict::other_worker ||
         verdict == EnrolmentVerdict::name_taken;
}

std::string_view kind_name(const Event& event) {
  using Name = std::string_view;
  return std::visit(Match{[](const Submitted&) -> Name { return "submitted"; },
                          [](const Leased&) -> Name { return "leased"; },
                          [](const Started&) -> Name { return "started"; },
                          [](const Computed&) -> Name { return "computed"; },
                          [](const Committed&) -> Name { return "committed"; },
                          [](const Linked&) -> Name { return "linked"; },
                          [](const Ended&) -> Name { return "ended"; },
                          [](const Returned&) -> Name { return "returned"; },
                          [](const LeaseExpired&) -> Name { return "lease_expired"; },
                          [](const CancelRequested&) -> Name { return "cancel_requested"; },
                          [](const CancelScheduled&) -> Name { return "cancel_scheduled"; },
                          [](const CancelUndone&) -> Name { return "cancel_undone"; },
                          [](const Moved&) -> Name { return "moved"; },
                          [](const MoveUndone&) -> Name { return "move_undone"; },
                          [](const JobHeld&) -> Name { return "job_held"; },
                          [](const JobReleased&) -> Name { return "job_released"; },
                          [](const JobChanged&) -> Name { return "job_changed"; },
                          [](const JobReordered&) -> Name { return "job_reordered"; },
                          [](const ParticipantHeld&) -> Name { return "participant_held"; },
                          [](const ParticipantLimits&) -> Name { return "participant_limits"; },
                          [](const ModeChanged&) -> Name { return "mode_changed"; },
                          [](const Paused&) -> Name { return "paused"; },
                          [](const WorkshopOpened&) -> Name { return "workshop_opened"; },
                          [](const TimetableDue&) -> Name { return "timetable_due"; },
                          [](const EveryoneHeld&) -> Name { return "everyone_held"; },
                          [](const WorkerJoined&) -> Name { return "worker_joined"; },
                          [](const WorkerLeft&) -> Name { return "worker_left"; },
                          [](const SlotIdle&) -> Name { return "slot_idle"; },
                          [](const SlotsChanged&) -> Name { return "slots_changed"; },
                          [](const EngineLost&) -> Name { return "engine_lost"; },
                          [](const EngineReady&) -> Name { return "engine_ready"; },
                          [](const Capability&) -> Name { return "capability"; },
                          [](const WorkerDraining&) -> Name { return "worker_draining"; },
                          [](const WorkerPaused&) -> Name { return "worker_paused"; },
                          [](const WorkerTags&) -> Name { return "worker_tags"; },
                          [](const GatewayJoined&) -> Name { return "gateway_joined"; },
                          [](const GatewayLost&) -> Name { return "gateway_lost"; },
                          [](const HistoryForgotten&) -> Name { return "history_forgotten"; },
                          [](const EnrolmentMade&) -> Name { return "enrolment_made"; },
                          [](const EnrolmentUsed&) -> Name { return "enrolment_used"; },
                          [](const EnrolmentRevoked&) -> Name { return "enrolment_revoked"; },
                          [](const EnrolmentMisused&) -> Name { return "enrolment_misused"; },
                          [](const WorkerKeyRevoked&) -> Name { return "worker_key_revoked"; }},
                    event);
}

}  // namespace atelier::core
