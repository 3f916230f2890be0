// SPDX-License-Identifier: MIT
// AgentMachine: what a run made, and the job's end.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "agent/json_text.hpp"
#include "agent/machine.hpp"
#include "base/duration_text.hpp"
#include "base/log.hpp"
#include "comfy/history.hpp"
#include "comfy/messages.hpp"

namespace atelier::agent {
namespace json = boost::json;
namespace {

constexpr int kBadHashesMax = 3;
constexpr int kUnreachableMax = 5;
constexpr int kChangesMax = 5;  // with the pauses between them 10 s
constexpr int kNoRoomMax = 6;
constexpr milliseconds kUploadAgain{1'000};
constexpr milliseconds kDiskAgain{5'000};
constexpr milliseconds kCollectAgain{2'000};
constexpr std::size_t kCommitFileBytes = 600;  // what one entry of commit.files takes in a frame, amply

bool settled(const NodeOutput& output) {
  return output.phase == NodePhase::committed || output.phase == NodePhase::failed;
}

}  // namespace

// ---- Collect, upload, commit ----

void AgentMachine::collect(HeldJob& job, std::string node, std::string display_node, std::string ui) {
  if (job.find(node) != nullptr || job.nodes.size() >= link::kNodesMax) return;
  NodeOutput output;
  output.node = std::move(node);
  output.display_node = std::move(display_node);
  output.ui = std::move(ui);
  out_.emplace_back(Collect{job.key, job.lease.slot, output.node, output.ui});
  job.nodes.push_back(std::move(output));
}

void AgentMachine::handle(const Collected& input) {
  HeldJob* job = find(input.key);
  if (job == nullptr || job->ghost) return;
  if (input.node.empty() && !job->rest_collected) {
    job->rest_collected = true;
    const bool no_room = !input.files && input.files.error().code == Errc::disk_full;
    if (!input.files)
      log::warn("rest_not_collected", {{"job", input.key.job}, {"why", input.files.error().what}});
    if (!no_room && (!input.files || input.files->empty())) {
      end_if_done(*job);
      return;
    }
    NodeOutput rest;
    rest.ui = "{}";
    job->nodes.push_back(std::move(rest));
  }
  NodeOutput* output = job->find(input.node);
  if (output == nullptr || output->phase != NodePhase::collecting) return;
  if (!input.files) {
    not_collected(*job, *output, input.files.error());
    return;
  }
  output->no_room = 0;
  if (input.node.empty() && input.files->empty()) {
    std::erase_if(job->nodes, [](const NodeOutput& one) { return one.node.empty(); });
    end_if_done(*job);
    return;
  }
  if (input.files->size() > files_per_commit_max() ||
      job->files + input.files->size() > link::kFilesPerJobMax + output->numbers.size()) {
    output->phase = NodePhase::failed;
    output->lost =
        fmt::format("node {} made {} files, more than can be kept", output->node, input.files->size());
    end_if_done(*job);
    return;
  }
  output->files = *input.files;
  // Those that are collected once more have the numbers that they had.
  for (link::CommitFile& file : output->files) {
    if (output->numbers.empty()) {
      file.file = job->files++;
    } else {
      file.file = output->numbers.front();
      output->numbers.pop_front();
    }
  }
  output->phase = NodePhase::uploading;
  if (linked_) upload(*job, *output, output->changes > 0);
  end_if_done(*job);  // with the last one it is to be kept
}

void AgentMachine::not_collected(HeldJob& job, NodeOutput& output, const Error& error) {
  const std::uint32_t slot = job.lease.slot;
  if (error.code == Errc::disk_full) {
    if (++output.no_room < kNoRoomMax || !linked_) {
      output.retry_at = now_ + kDiskAgain;
      return;
    }
    rest(job);
    give_back(job, link::ReturnReason::disk_full, error.what);
  } else if (error.code == Errc::unavailable) {
    // The engine may be well, and run the next job: nothing is said of its slot.
    if (job.computed() && linked_ && (!slots_[slot].up || ++output.unreachable >= kUnreachableMax)) {
      give_back(job, link::ReturnReason::refused_by_engine, error.what);
    } else {
      output.retry_at = now_ + kCollectAgain;
    }
  } else {
    output.phase = NodePhase::failed;
    output.lost = error.what;
    end_if_done(job);
  }
}

bool AgentMachine::out_of_room() const {
  const auto waits = [](const NodeOutput& output) { return output.no_room > 0; };
  return std::ranges::any_of(
      jobs_, [&](const auto& entry) { return std::ranges::any_of(entry.second.nodes, waits); });
}

void AgentMachine::upload(HeldJob& job, NodeOutput& output, bool anew) {
  bool complete = true;
  for (std::uint32_t i = 0; i < output.files.size(); ++i) {
    if (output.uploaded.contains(i)) continue;
    complete = false;
    if (!output.uploading.insert(i).second) continue;
    const link::CommitFile& file = output.files[i];
    out_.emplace_back(Upload{job.key, output.node, i, file.file, file.digest, file.size, anew});
  }
  if (complete) commit(job, output);
}

void AgentMachine::handle(const Uploaded& input) {
  HeldJob* job = find(input.key);
  NodeOutput* output = job == nullptr || job->ghost ? nullptr : job->find(input.node);
  if (output == nullptr || output->phase != NodePhase::uploading) return;
  output->uploading.erase(input.index);
  if (input.result) {
    output->uploaded.insert(input.index);
    if (output->changed) {
      take_anew(*job, *output);
    } else if (output->uploaded.size() == output->files.size()) {
      commit(*job, *output);
    }
    return;
  }
  const Error& error = input.result.error();
  switch (error.code) {
    case Errc::stale_epoch:
      drop(*job);
      return;
    case Errc::disk_full:
      output->retry_at = now_ + kDiskAgain;
      break;
    case Errc::closed:
    case Errc::timeout:
    case Errc::unavailable:
      output->retry_at = now_ + kUploadAgain;
      break;
    case Errc::bad_hash:
      if (!output->changed && ++output->bad_hashes < kBadHashesMax) {
        upload(*job, *output, true);
        return;
      }
      [[fallthrough]];
    case Errc::io:
      if (!job->restored && output->changes < kChangesMax) {
        output->changed = true;
        break;
      }
      [[fallthrough]];
    default:
      lose_files(*job, *output, error.what);
      return;
  }
  if (output->changed) take_anew(*job, *output);
}

void AgentMachine::take_anew(HeldJob& job, NodeOutput& output) const {
  if (!output.uploading.empty()) return;  // their answers would be taken for those of the new ones
  output.changed = false;
  ++output.changes;
  output.bad_hashes = 0;
  job.kept = false;
  for (const link::CommitFile& file : output.files) output.numbers.push_back(file.file);
  output.files.clear();
  output.uploaded.clear();
  output.phase = NodePhase::collecting;
  output.retry_at = now_ + kCollectAgain;
}

void AgentMachine::lose_files(HeldJob& job, NodeOutput& output, std::string why) {
  if (job.restored) {
    // They may have gone with the process that collected them, or with its engine: no fault of the job's.
    give_back(job, link::ReturnReason::refused_by_engine, std::move(why));
    return;
  }
  output.phase = NodePhase::failed;
  output.lost = std::move(why);
  end_if_done(job);
}

namespace {

/// Nothing if it is larger than can be sent.
std::optional<link::Commit> commit_of(const HeldJob& job, const NodeOutput& output, std::size_t json_max) {
  const std::size_t files = output.files.size() * kCommitFileBytes;
  std::size_t left = std::min(json_max, link::kTextBytesMax - std::min(files, link::kTextBytesMax));
  if (json_max <= link::kFormerJsonBytesMax && files > json_max) left = std::size_t{128} << 10;
  auto ui = shorten_json(job.names.restore(output.ui), left);
  if (!ui) return std::nullopt;
  link::Commit message;
  message.job = job.key.job;
  message.epoch = job.key.epoch;
  message.node = output.node;
  message.display_node = output.display_node;
  message.ui = std::move(*ui);
  message.files = output.files;
  return message;
}

}  // namespace

void AgentMachine::commit(HeldJob& job, NodeOutput& output) {
  output.phase = NodePhase::committing;
  if (!linked_) return;
  auto message = commit_of(job, output, json_bytes_max());
  if (message) {
    send(std::move(*message));
    return;
  }
  output.phase = NodePhase::failed;
  output.lost = fmt::format("the output of node {} is larger than can be sent", output.node);
  end_if_done(job);
}

void AgentMachine::answer(const link::Committed& message) {
  HeldJob* job = find(RunKey{message.job, message.epoch});
  NodeOutput* output = job == nullptr || job->ghost ? nullptr : job->find(message.node);
  if (output == nullptr || settled(*output)) return;
  output->phase = NodePhase::committed;
  output->retry_at.reset();
  end_if_done(*job);
}

void AgentMachine::answer(const link::Refused& message) {
  HeldJob* job = find(RunKey{message.job, message.epoch});
  NodeOutput* output = job == nullptr || job->ghost ? nullptr : job->find(message.node);
  if (output == nullptr || output->phase != NodePhase::committing) return;
  log::warn("commit_refused",
            {{"job", message.job}, {"epoch", message.epoch}, {"reason", link::to_string(message.reason)}});
  switch (message.reason) {
    case link::RefuseReason::stale:
      drop(*job);
      return;
    case link::RefuseReason::disk:
      output->retry_at = now_ + kDiskAgain;
      return;
    case link::RefuseReason::bad_hash:
      if (++output->bad_hashes >= kBadHashesMax) {
        lose_files(*job, *output, fmt::format("the files of node {} could not be transferred", output->node));
        return;
      }
      output->phase = NodePhase::uploading;
      output->uploaded.clear();
      upload(*job, *output, true);
  }
}

// ---- The end ----

void AgentMachine::compute_done(HeldJob& job) {
  job.phase = Phase::computed;
  job.ask_at.reset();
  job.waiting_preview.reset();
  // The end may be seen without the event that tells how it ended.
  if (job.started && !job.outcome) job.gpu_ms = static_cast<std::uint64_t>((now_ - job.started_at).count());
  send(link::Computed{job.key.job, job.key.epoch, job.gpu_ms});
  // A stop that was obeyed late: the workshop has ended the job, and `computed` frees no slot any more.
  if (job.stop_requested) {
    slots_[job.lease.slot].owes_idle = true;
    pay_idle(job.lease.slot);
  }
  if (!job.report) ask(job);
  if (!job.rest_asked) {
    job.rest_asked = true;
    out_.emplace_back(CollectRest{job.key, job.lease.slot});
  }
  end_if_done(job);
}

void AgentMachine::run_is_done(HeldJob& job, const RunHistory& history) {
  if (!job.started) {
    job.started = true;
    job.started_at = now_ - milliseconds(history.gpu_ms);
    send(link::Started{job.key.job, job.key.epoch});
  }
  if (!job.outcome) {  // the ending events were missed
    job.outcome = history.outcome;
    job.end_event = history.event;
    job.gpu_ms = history.gpu_ms;
  }
  job.report = shorten_json(history.report, json_bytes_max()).value_or("");
  for (const auto& [node, ui] : history.outputs) collect(job, node, node, ui);
  if (job.computed()) {
    end_if_done(job);
  } else {
    compute_done(job);
  }
}

void AgentMachine::end_without_run(HeldJob& job) {
  job.phase = Phase::computed;
  job.ask_at.reset();
  job.rest_collected = true;
  if (!job.report) job.report.emplace();
  job.ended_without_run = true;
  end_if_done(job);
}

void AgentMachine::end_if_done(HeldJob& job) {
  if (job.ended_sent || !job.computed() || !job.report || !job.rest_collected) return;
  keep(job);
  if (!std::ranges::all_of(job.nodes, settled)) return;
  decide_end(job);
  send_ended(job);
}

void AgentMachine::decide_end(HeldJob& job) const {
  if (!job.outcome) {
    fail(job, link::EndCause::engine, "", "", "ComfyUI ended the run without saying how");
  } else if (job.over_limit && *job.outcome == link::Outcome::cancelled && !job.stop_requested) {
    fail(job, link::EndCause::time_limit, "", "",
         time_limit_text(milliseconds{static_cast<std::int64_t>(job.lease.limit_ms)}));
  } else if (*job.outcome == link::Outcome::succeeded) {
    const auto lost =
        std::ranges::find_if(job.nodes, [](const NodeOutput& o) { return o.phase == NodePhase::failed; });
    if (lost != job.nodes.end()) {
      fail(job, link::EndCause::outputs_lost, lost->node, "", lost->lost);
    } else if (const auto& refusal = job.refused_in_part) {
      // Known to a node's own code alone: nobody was told of it when the prompt was sent (design.md 5.2).
      fail(job, link::EndCause::refused, refusal->node, refusal->node_type, refusal->sentence);
    }
  }
}

void AgentMachine::fail(HeldJob& job, link::EndCause cause, std::string node, std::string node_type,
                        std::string reason) const {
  comfy::ExecutionError error;
  error.node_id = std::move(node);
  error.node_type = std::move(node_type);
  error.exception_message = reason;
  error.exception_type = "AtelierWorkerError";
  const std::string run_id = job.lease.run_id.uuid();
  job.outcome = link::Outcome::failed;
  job.cause = cause;
  job.reason = std::move(reason);
  job.end_event = comfy::execution_error_message(run_id, error, unix_ms());
  std::erase_if(job.messages,
                [](const auto& m) { return m.first != "execution_start" && m.first != "execution_cached"; });
  job.messages.emplace_back("execution_error", comfy::execution_error_data(run_id, error, unix_ms()));
}

namespace {

/// A report of the agent's own where ComfyUI's is missing or tells another end.
void complete_report(HeldJob& job) {
  if (job.messages.empty() || (!job.report->empty() && job.cause == link::EndCause::engine)) return;
  std::vector<comfy::HistoryMessage> messages;
  for (const auto& [type, data] : job.messages) messages.push_back({type, data});
  std::string meta = "{}";
  if (auto parsed = comfy::Json::parse(*job.report); parsed && parsed->is_object()) {
    const json::value* found = std::as_const(*parsed).object().if_contains("meta");
    if (found != nullptr && found->is_object()) meta = comfy::print_json(*found);
  }
  const bool success = *job.outcome == link::Outcome::succeeded;
  job.report = fmt::format("{{\"status\":{},\"meta\":{}}}", comfy::history_status(success, messages), meta);
}

link::Ended ended_of(const HeldJob& job, std::size_t json_max) {
  link::Ended message;
  message.job = job.key.job;
  message.epoch = job.key.epoch;
  message.outcome = *job.outcome;
  message.cause = job.cause;
  message.reason = job.names.restore(job.reason).substr(0, link::kTextFieldBytesMax);
  message.event = shorten_json(job.names.restore(job.end_event), json_max).value_or("");
  message.report = shorten_json(job.names.restore(*job.report), json_max).value_or("");
  return message;
}

}  // namespace

void AgentMachine::send_ended(HeldJob& job) {
  if (!std::exchange(job.ended_sent, true)) complete_report(job);
  if (!linked_) return;
  log::info("ended", {{"job", job.key.job},
                      {"epoch", job.key.epoch},
                      {"outcome", link::to_string(*job.outcome)},
                      {"cause", link::to_string(job.cause)},
                      {"gpu_ms", job.gpu_ms}});
  send(ended_of(job, json_bytes_max()));
}

// ---- For the agent's next process ----

void AgentMachine::keep(HeldJob& job) {
  const auto collecting = [](const NodeOutput& output) { return output.phase == NodePhase::collecting; };
  // What has not begun costs nothing to do again.
  if (job.kept || !job.started || std::ranges::any_of(job.nodes, collecting)) return;
  job.kept = true;
  HeldJob end = job;  // as it will be
  decide_end(end);
  complete_report(end);
  FinishedRun run;
  run.key = job.key;
  run.slot = job.lease.slot;
  run.workshop = job.workshop;
  run.started = job.started;
  run.gpu_ms = job.gpu_ms;
  run.ended = ended_of(end, json_bytes_max());
  for (const NodeOutput& output : job.nodes) {
    if (output.phase == NodePhase::failed) continue;
    auto message = commit_of(job, output, json_bytes_max());
    if (!message) return;  // too large to be sent: the end will be another one
    run.commits.push_back(std::move(*message));
  }
  out_.emplace_back(Keep{std::move(run)});
}

void AgentMachine::restore(FinishedRun run) {
  const auto [place, is_new] = jobs_.try_emplace(run.key);
  if (!is_new) return;
  HeldJob& job = place->second;
  job.key = run.key;
  job.lease.job = run.key.job;
  job.lease.epoch = run.key.epoch;
  job.lease.slot = run.slot;
  job.workshop = std::move(run.workshop);
  job.kept = job.restored = true;
  job.phase = Phase::computed;
  job.started = run.started;
  job.gpu_ms = run.gpu_ms;
  job.rest_asked = job.rest_collected = true;
  job.outcome = run.ended.outcome;
  job.cause = run.ended.cause;
  job.reason = std::move(run.ended.reason);
  job.end_event = std::move(run.ended.event);
  job.report = std::move(run.ended.report);
  for (link::Commit& commit : run.commits) {
    NodeOutput output;
    output.node = std::move(commit.node);
    output.display_node = std::move(commit.display_node);
    output.ui = std::move(commit.ui);
    output.files = std::move(commit.files);
    output.phase = NodePhase::uploading;  // the gateway knows what it has
    job.nodes.push_back(std::move(output));
  }
}

void AgentMachine::answer(const link::EndedOk& message) {
  HeldJob* job = find(RunKey{message.job, message.epoch});
  if (job == nullptr || !job->ended_sent) return;
  const std::uint32_t slot = job->lease.slot;
  // Not sooner: an idle slot is no news while the end of its job is not recorded.
  if (job->ended_without_run) slots_[slot].owes_idle = true;  // a restored one's slot may be no more
  erase(*job);
  pay_idle(slot);
}

}  // namespace atelier::agent
