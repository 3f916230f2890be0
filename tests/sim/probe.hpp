// SPDX-License-Identifier: MIT
#pragma once
// SIM_PROBE("name") counts how often a rare branch was reached over all seeds; the run prints those never
// reached. A name must stand in kProbes: a misspelt one does not compile. Counters lie in memory shared with
// forked children.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace atelier::sim {

inline constexpr std::array kProbes{
    std::string_view{"agent_drained"},
    std::string_view{"agent_killed"},
    std::string_view{"agent_killed_without_fin"},
    std::string_view{"allowance_used_up"},
    std::string_view{"cancel_leased"},
    std::string_view{"cancel_running"},
    std::string_view{"cancel_scheduled"},
    std::string_view{"cancel_unanswered"},
    std::string_view{"cancel_undone"},
    std::string_view{"cancel_waiting"},
    std::string_view{"cancelled_after_delay"},
    std::string_view{"cancelled_by_engine"},
    std::string_view{"cancelled_waiting"},
    std::string_view{"checkpoint_written"},
    std::string_view{"commit_repeated"},
    std::string_view{"crash_after_commit"},
    std::string_view{"crash_before_commit"},
    std::string_view{"engine_error"},
    std::string_view{"engine_event_lost"},
    std::string_view{"engine_file_without_ui"},
    std::string_view{"engine_ignores_interrupt"},
    std::string_view{"engine_killed_idle"},
    std::string_view{"engine_killed_running"},
    std::string_view{"engine_output_missing"},
    std::string_view{"engine_poisoned"},
    std::string_view{"engine_post_answer_lost"},
    std::string_view{"engine_post_refused"},
    std::string_view{"engine_restarted"},
    std::string_view{"failed_by_engine"},
    std::string_view{"fair_grant"},
    std::string_view{"hint_received"},
    std::string_view{"http_answer_lost"},
    std::string_view{"http_body_cut"},
    std::string_view{"http_late_request"},
    std::string_view{"http_request_lost"},
    std::string_view{"input_fetched"},
    std::string_view{"instructor_grant"},
    std::string_view{"job_released"},
    std::string_view{"job_returned"},
    std::string_view{"journal_answer_lost"},
    std::string_view{"journal_full"},
    std::string_view{"journal_io_error"},
    std::string_view{"lag_checked"},
    std::string_view{"lease_lost"},
    std::string_view{"lease_moved"},
    std::string_view{"link_cut"},
    std::string_view{"link_half_open"},
    std::string_view{"link_replaced"},
    std::string_view{"linked_after_end"},
    std::string_view{"mode_switched"},
    std::string_view{"move_undone"},
    std::string_view{"moved_beside_another"},
    std::string_view{"moved_grant"},
    std::string_view{"opened_from_checkpoint"},
    std::string_view{"outputs_lost"},
    std::string_view{"participant_released"},
    std::string_view{"passed_again"},
    std::string_view{"passed_by_affinity"},
    std::string_view{"paused"},
    std::string_view{"pinned_grant"},
    std::string_view{"priority_grant"},
    std::string_view{"refused_by_engine"},
    std::string_view{"restored_run_handed_over"},
    std::string_view{"run_restored"},
    std::string_view{"running_cap_reached"},
    std::string_view{"second_end_refused"},
    std::string_view{"second_epoch"},
    std::string_view{"server_killed"},
    std::string_view{"server_killed_while_opening"},
    std::string_view{"slot_added"},
    std::string_view{"slot_not_added"},
    std::string_view{"slot_removed"},
    std::string_view{"stale_epoch_refused"},
    std::string_view{"stale_link_refused"},
    std::string_view{"states_compared"},
    std::string_view{"strict_order_passed"},
    std::string_view{"submit_conflict"},
    std::string_view{"submit_repeated"},
    std::string_view{"submit_repeated_ended"},
    std::string_view{"submit_repeated_unsure"},
    std::string_view{"time_limit_by_agent"},
    std::string_view{"time_limit_by_workshop"},
    std::string_view{"too_many_deaths"},
    std::string_view{"too_many_returns"},
    std::string_view{"upload_known_digest"},
    std::string_view{"upload_resumed"},
    std::string_view{"worker_paused"},
};

consteval std::size_t probe_index(std::string_view name) {
  for (std::size_t i = 0; i < kProbes.size(); ++i) {
    if (kProbes[i] == name) return i;
  }
  throw "this probe does not stand in kProbes";
}

/// Before the first fork.
void share_probes();
void reach(std::size_t probe);
[[nodiscard]] std::uint64_t reached(std::size_t probe);

}  // namespace atelier::sim

#define SIM_PROBE(name) ::atelier::sim::reach(::atelier::sim::probe_index(name))
