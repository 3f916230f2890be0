// SPDX-License-Identifier: MIT
// AgentMachine: a lease on its way through the engine.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "agent/json_text.hpp"
#include "agent/machine.hpp"
#include "base/log.hpp"
#include "comfy/messages.hpp"
#include "comfy/python_text.hpp"

namespace atelier::agent {
namespace json = boost::json;
namespace {

constexpr std::size_t kPostedRunsMax = 1024;
constexpr int kFetchTriesMax = 5;
constexpr milliseconds kAskAgain{1'000};
constexpr milliseconds kAskUnreachable{5'000};

bool is_passing(Errc code) {
  return code == Errc::closed || code == Errc::timeout || code == Errc::unavailable;
}

std::string string_in(const comfy::Event& event, std::string_view key) {
  const json::value* found = std::as_const(event.data).object().if_contains(key);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

/// In the order in which ComfyUI says them.
constexpr std::array kWhereabouts{"execution_start", "execution_cached", "executing"};

}  // namespace

HeldJob* AgentMachine::find(RunKey key) {
  const auto found = jobs_.find(key);
  return found == jobs_.end() ? nullptr : &found->second;
}

HeldJob* AgentMachine::find_run(std::uint32_t slot, std::string_view run_id) {
  for (auto& [key, job] : jobs_) {
    if (job.lease.slot == slot && job.lease.run_id.uuid() == run_id) return &job;
  }
  return nullptr;
}

HeldJob* AgentMachine::running_in(std::uint32_t slot) {
  for (auto& [key, job] : jobs_) {
    if (job.lease.slot == slot && job.phase == Phase::running) return &job;
  }
  return nullptr;
}

// ---- From lease to post ----

void AgentMachine::take(const link::Lease& lease) {
  const RunKey key{lease.job, lease.epoch};
  if (find(key) != nullptr) return;
  std::vector<RunKey> older;
  for (const auto& [held, job] : jobs_) {
    if (held.job == lease.job && !job.ghost) older.push_back(held);
  }
  for (const RunKey& held : older) {
    if (held.epoch > lease.epoch) return;  // a lease out of the past
    drop(*find(held));
  }
  HeldJob& job = jobs_[key];
  job.key = key;
  job.lease = lease;
  job.workshop = workshop_;
  job.names = OwnNames(lease);
  if (!listed(lease.slot) || slots_[lease.slot].place == Place::leaving) {
    give_back(job, link::ReturnReason::slot_removed, fmt::format("there is no slot {}", lease.slot));
  } else if (draining_) {
    give_back(job, link::ReturnReason::draining, "the agent is draining");
  } else if (out_of_room()) {
    give_back(job, link::ReturnReason::disk_full, "what an earlier job made waits for room on the disk");
  } else {
    fetch(job);
  }
}

void AgentMachine::fetch(HeldJob& job) {
  job.fetch_at.reset();
  ++job.fetch_tries;
  out_.emplace_back(FetchJob{job.key, job.lease, job.inputs_placed_anew});
}

void AgentMachine::prefetch(const link::Hint& hint) {
  if (!listed(hint.slot)) return;
  const RunKey key{hint.job, hint.epoch};
  if (find(key) != nullptr) return;  // its lease came first
  Prefetch action;
  action.slot = hint.slot;
  if (!draining_) {
    action.key = key;
    action.inputs = hint.inputs;
  }
  out_.emplace_back(std::move(action));
}

void AgentMachine::handle(const JobFetched& input) {
  HeldJob* job = find(input.key);
  if (job == nullptr || job->ghost || job->phase != Phase::fetching) return;
  if (input.result) {
    job->phase = Phase::fetched;
    post_if_ready(*job);
    return;
  }
  const Error& error = input.result.error();
  if (error.code == Errc::stale_epoch) {
    drop(*job);
  } else if (error.code == Errc::disk_full) {
    rest(*job);
    give_back(*job, link::ReturnReason::disk_full, error.what);
  } else if (error.code == Errc::too_large || error.code == Errc::bad_prompt) {
    fail(*job, link::EndCause::refused, "", "", error.what);  // it will be so at the next try
    end_without_run(*job);
  } else if (is_passing(error.code) && (!linked_ || job->fetch_tries < kFetchTriesMax)) {
    job->fetch_at = now_ + kAskAgain * job->fetch_tries;
  } else {
    if (is_passing(error.code)) rest(*job);  // else it may be the input's fault
    give_back(*job, link::ReturnReason::input_not_fetched, error.what);
  }
}

void AgentMachine::post_if_ready(HeldJob& job) {
  if (job.phase != Phase::fetched || job.ghost || !slots_[job.lease.slot].up) return;
  if (std::ranges::find(posted_runs_, job.lease.run_id) != posted_runs_.end()) {
    job.phase = Phase::asking;  // a lease that was sent again: ComfyUI may have it
    ask(job);
    return;
  }
  posted_runs_.push_back(job.lease.run_id);
  if (posted_runs_.size() > kPostedRunsMax) posted_runs_.pop_front();
  job.phase = Phase::posting;
  out_.emplace_back(PostRun{job.key, job.lease.slot, job.lease.run_id});
}

void AgentMachine::handle(const RunPosted& input) {
  HeldJob* job = find(input.key);
  if (job == nullptr) return;
  if (job->ghost) {
    if (input.result == PostResult::accepted) {
      interrupt(*job);
    } else {
      run_is_gone(*job);
    }
    return;
  }
  job->seen_at = now_;
  switch (input.result) {
    case PostResult::accepted:
      slots_[job->lease.slot].pause = milliseconds(0);
      job->refused_in_part = read_refusal_in_part(input.body);
      if (job->phase == Phase::posting) job->phase = Phase::posted;  // its events may have come first
      if (job->stop_requested && job->in_engine()) interrupt(*job);
      return;
    case PostResult::refused: {
      if (job->phase != Phase::posting) return;
      if (!job->inputs_placed_anew && !job->stop_requested && job->names.names_input(input.body)) {
        // The participant has the file: it is this machine that lost it.
        job->inputs_placed_anew = true;
        job->phase = Phase::fetching;
        fetch(*job);
        return;
      }
      const Refusal refusal = read_refusal(input.body);
      fail(*job, link::EndCause::refused, refusal.node, refusal.node_type, refusal.sentence);
      end_without_run(*job);
      return;
    }
    case PostResult::failed:
    case PostResult::unreachable:
      if (job->phase != Phase::posting) return;
      out_.emplace_back(
          InterruptRun{job->lease.slot, job->lease.run_id});  // it may have taken it all the same
      if (job->stop_requested) {
        run_is_gone(*job);
      } else {
        // An answer may be the prompt's fault: other people's jobs do not wait for that.
        if (input.result == PostResult::unreachable) rest(*job);
        job->phase = Phase::posted;  // the answer has come: what is left of it is asked for until it is gone
        give_back(*job, link::ReturnReason::refused_by_engine, input.body);
      }
      return;
  }
}

// ---- Asking, stopping, dropping ----

void AgentMachine::ask(HeldJob& job) {
  job.ask_at.reset();
  if (job.asking) return;
  job.asking = true;
  out_.emplace_back(AskRun{job.key, job.lease.slot, job.lease.run_id});
}

void AgentMachine::handle(const RunAsked& input) {
  HeldJob* job = find(input.key);
  if (job == nullptr) return;
  job->asking = false;
  const bool here = input.place == RunPlace::pending || input.place == RunPlace::running;
  if (job->computed()) {
    if (job->report) return;
    // The end was seen; only the report is wanted, and without ComfyUI's the agent's own notes serve.
    if (input.place == RunPlace::done && input.history) {
      run_is_done(*job, *input.history);
    } else {
      if (job->event_unreadable && job->outcome == link::Outcome::succeeded) {
        fail(*job, link::EndCause::outputs_lost, "", "",
             "what ComfyUI told of this job's results cannot be read");
      }
      job->report.emplace();
      end_if_done(*job);
    }
  } else if (input.place == RunPlace::unreachable) {
    job->ask_at = now_ + kAskUnreachable;
  } else if (here) {
    job->seen_at = now_;
    job->times_absent = 0;
    if (!job->ghost && job->phase == Phase::asking) job->phase = Phase::posted;
    if (!job->ghost && input.place == RunPlace::running && !job->started) {
      job->phase = Phase::running;
      job->started = true;
      job->started_at = now_;
      send(link::Started{job->key.job, job->key.epoch});
    }
    if (job->ghost || job->stop_requested || job->over_limit) {
      interrupt(*job);
      lose_patience(*job);
    }
  } else if (job->ghost) {
    if (job->phase != Phase::posting) run_is_gone(*job);
  } else if (input.place == RunPlace::done && input.history) {
    if (job->phase == Phase::asking && !job->stop_requested &&
        input.history->outcome == link::Outcome::cancelled) {
      // This agent interrupted it when it gave the job back, and that was never recorded: nobody has
      // cancelled.
      give_back(*job, link::ReturnReason::refused_by_engine, "the run had been interrupted");
    } else {
      run_is_done(*job, *input.history);
    }
  } else if (job->phase == Phase::asking && !job->stop_requested) {
    job->phase = Phase::posting;
    out_.emplace_back(PostRun{job->key, job->lease.slot, job->lease.run_id});
  } else if (job->phase == Phase::posting) {
    job->ask_at = now_ + kAskAgain;
  } else if (job->stop_requested || ++job->times_absent >= 2) {
    run_is_gone(*job);
  } else {
    job->ask_at = now_ + kAskAgain;  // it may have been between queue and history
  }
}

void AgentMachine::interrupt(HeldJob& job) {
  out_.emplace_back(InterruptRun{job.lease.slot, job.lease.run_id});
  job.ask_at = now_ + kAskAgain;
  if (!job.interrupted_at) job.interrupted_at = now_;
}

void AgentMachine::lose_patience(HeldJob& job) {
  // A node that never looks whether it shall stop would keep the GPU until it is done.
  if (now_ - *job.interrupted_at < kInterruptPatience) return;
  Slot& slot = slots_[job.lease.slot];
  const bool is_over = job.ghost || job.stop_requested;  // at the gateway, which waits for the slot alone
  if (!options_.launched && (!is_over || slot.stands_still)) return;
  log::warn("interrupt_ignored", {{"job", job.key.job},
                                  {"slot", job.lease.slot},
                                  {"then", options_.launched ? "restart" : "no more jobs until it ends"}});
  job.interrupted_at = now_;
  if (options_.launched) {
    out_.emplace_back(RestartEngine{job.lease.slot});
    return;
  }
  const std::string why = "ComfyUI goes on with a job that was stopped; if it does not end, restart it there";
  slot.stands_still = true;
  slot.announced = false;
  slot.owes_idle = false;  // engine_ready will say that it is idle
  send(link::EngineLost{job.lease.slot, JobId{}, Epoch{}, why});
  note(job.lease.slot, why);
}

void AgentMachine::stop(const link::Stop& message) {
  HeldJob* job = find(RunKey{message.job, message.epoch});
  if (job == nullptr) {
    own_idle_slots();
    for (std::uint32_t i = 0; i < slots_.size(); ++i) pay_idle(i);
    return;
  }
  if (job->ghost) return;
  if (job->computed()) {
    // The workshop may have ended the job before `computed` came: its slot waits for this.
    if (!busy(job->lease.slot)) send(link::SlotIdle{job->lease.slot});
    return;
  }
  log::info("stopping", {{"job", message.job}, {"epoch", message.epoch}, {"why", message.reason}});
  job->stop_requested = true;
  if (job->reason.empty()) job->reason = message.reason;
  if (job->phase == Phase::fetching || job->phase == Phase::fetched) {
    run_is_gone(*job);
  } else if (job->phase == Phase::posted || job->phase == Phase::running) {
    interrupt(*job);
  }
}

void AgentMachine::run_is_gone(HeldJob& job) {
  if (job.ghost) {
    const std::uint32_t slot = job.lease.slot;
    erase(job);
    pay_idle(slot);
  } else if (job.stop_requested) {
    job.outcome = link::Outcome::cancelled;
    end_without_run(job);
  } else {
    give_back(job, link::ReturnReason::refused_by_engine, "ComfyUI does not know the run any more");
  }
}

void AgentMachine::give_back(HeldJob& job, link::ReturnReason reason, std::string detail) {
  log::warn(
      "returned",
      {{"job", job.key.job}, {"epoch", job.key.epoch}, {"reason", link::to_string(reason)}, {"why", detail}});
  const auto rests = std::ranges::find(slots_, job.key, &Slot::rests_after);
  if (rests != slots_.end()) rests->returned_for = reason;
  detail.resize(std::min(detail.size(), link::kTextFieldBytesMax));
  send(link::Returned{job.key.job, job.key.epoch, reason, std::move(detail)});
  drop(job);
}

void AgentMachine::drop(HeldJob& job) {
  const std::uint32_t slot = job.lease.slot;
  if (job.in_engine()) {
    job.ghost = true;
    job.unsent.clear();
    job.unsent_bytes = job.unsent_event_bytes = 0;
    job.waiting_preview.reset();
    job.nodes.clear();
    out_.emplace_back(Forget{job.key});
    interrupt(job);
    slots_[slot].owes_idle = true;
    return;
  }
  if (slot < slots_.size() && !job.computed()) slots_[slot].owes_idle = true;
  erase(job);
  pay_idle(slot);
}

void AgentMachine::erase(HeldJob& job) {
  const RunKey key = job.key;
  out_.emplace_back(Forget{key});
  jobs_.erase(key);
}

// ---- Events of the engine ----

void AgentMachine::handle(const EngineEvent& input) {
  auto parsed = comfy::parse_event(input.text);
  if (!parsed && parsed.error().code == Errc::bad_request) {
    EngineEvent strict{input.slot, comfy::strict_json(input.text)};
    if (strict.text != input.text) return handle(strict);
  }
  if (!parsed) {
    log::warn("engine_event_unreadable", {{"slot", input.slot}, {"why", parsed.error().what}});
    if (HeldJob* job = running_in(input.slot)) job->event_unreadable = true;
    return;
  }
  const comfy::Event& event = *parsed;
  // Without one: status, feature_flags, logs, `executing` at a reconnect, and what custom nodes send.
  if (!event.prompt_id) return relay_nameless(input.slot, event.type, input.text);
  HeldJob* job = find_run(input.slot, *event.prompt_id);
  if (job == nullptr) return;
  if (comfy::is_stock_event(event.type))
    slots_[input.slot].speaks = event.ends_prompt() ? std::string() : *event.prompt_id;
  if (job->computed()) return;
  job->seen_at = now_;
  job->times_absent = 0;
  const bool ends = event.ends_prompt();
  if (job->ghost) {
    if (ends) run_is_gone(*job);
    return;
  }
  const std::string& type = event.type;
  const bool blocked = type == "execution_error" &&
                       string_in(event, "exception_type") == "ExecutionBlocked" &&
                       std::as_const(event.data).object().if_contains("timestamp") == nullptr;
  const bool end_event = !blocked && (type == "execution_success" || type == "execution_error" ||
                                      type == "execution_interrupted");
  if (type == "execution_start" && !job->started) {
    job->started = true;
    job->started_at = now_;
    job->phase = Phase::running;
    send(link::Started{job->key.job, job->key.epoch});
  }
  if (end_event || type == "execution_start" || type == "execution_cached") {
    // ComfyUI says each once. One that repeats itself may not fill the memory.
    std::erase_if(job->messages, [&](const auto& message) { return message.first == type; });
    job->messages.emplace_back(type, event.data.print());
  }
  if (end_event) {
    job->outcome = type == "execution_success" ? link::Outcome::succeeded
                   : type == "execution_error" ? link::Outcome::failed
                                               : link::Outcome::cancelled;
    job->end_event = input.text;
    if (type == "execution_error") job->reason = string_in(event, "exception_message");
    if (job->started) job->gpu_ms = static_cast<std::uint64_t>((now_ - job->started_at).count());
  } else if (ends) {
    compute_done(*job);
  } else if (comfy::is_stock_event(type) || may_talk(*job, type, input.text.size())) {
    relay(*job, type, input.text);
    const json::value* output =
        type == "executed" ? std::as_const(event.data).object().if_contains("output") : nullptr;
    if (output != nullptr && output->is_object()) {
      const std::string node = string_in(event, "node");
      const std::string display = string_in(event, "display_node");
      collect(*job, node, display.empty() ? node : display, comfy::print_json(*output));
    }
  }
}

// ---- After a reconnect, and time ----

void AgentMachine::repeat(HeldJob& job) {
  if (job.started) send(link::Started{job.key.job, job.key.epoch});
  // A gateway that was started again has forgotten what its pages show; another has seen these numbers.
  std::uint64_t unsent = UINT64_MAX;
  for (const Unsent& one : job.unsent) {
    if (const auto* event = std::get_if<link::Event>(&one.message)) unsent = std::min(unsent, event->n);
  }
  for (const char* type : kWhereabouts) {
    const auto known = job.whereabouts.find(type);
    if (known != job.whereabouts.end() && known->second.n < unsent && !job.computed()) send(known->second);
  }
  send_unsent(job);
  if (job.phase == Phase::fetching && job.fetch_at) {
    job.fetch_tries = 0;
    fetch(job);
  }
  if (job.computed() && job.started) send(link::Computed{job.key.job, job.key.epoch, job.gpu_ms});
  for (NodeOutput& output : job.nodes) {
    if (output.phase == NodePhase::uploading && !output.changed) upload(job, output, output.changes > 0);
    if (output.phase == NodePhase::committing) commit(job, output);
  }
  if (job.ended_sent) {
    send_ended(job);
  } else {
    end_if_done(job);
  }
}

void AgentMachine::tick(HeldJob& job) {
  if (linked_ && job.fetch_at && now_ >= *job.fetch_at) fetch(job);
  if (linked_ && job.waiting_preview && now_ >= job.preview_at) {
    job.preview_at = now_ + milliseconds(1000 / std::max(1u, settings_.previews_per_second_max));
    send(std::move(*job.waiting_preview), true);
    job.waiting_preview.reset();
  }
  for (NodeOutput& output : job.nodes) {
    if (!output.retry_at || now_ < *output.retry_at) continue;
    if (output.phase == NodePhase::collecting) {
      output.retry_at.reset();
      if (output.node.empty()) {
        out_.emplace_back(CollectRest{job.key, job.lease.slot});
      } else {
        out_.emplace_back(Collect{job.key, job.lease.slot, output.node, output.ui});
      }
    } else if (linked_) {
      output.retry_at.reset();
      if (output.phase == NodePhase::uploading && !output.changed) upload(job, output, output.changes > 0);
      if (output.phase == NodePhase::committing) commit(job, output);
    }
  }
  if (job.phase == Phase::running && !job.ghost && !job.over_limit && job.lease.limit_ms != 0 &&
      now_ >= job.started_at + milliseconds(job.lease.limit_ms)) {
    job.over_limit = true;
    interrupt(job);
  }
  if (job.ask_at && now_ >= *job.ask_at) {
    ask(job);
  } else if ((job.phase == Phase::posted || job.phase == Phase::running) && !job.asking && !job.ask_at &&
             now_ >= job.seen_at + kSilence) {
    ask(job);
  }
}

}  // namespace atelier::agent
