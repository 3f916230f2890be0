// SPDX-License-Identifier: MIT
#include "checkers.hpp"

#include <fmt/ranges.h>

#include <boost/json.hpp>
#include <fstream>
#include <sstream>

#include "base/match.hpp"
#include "comfy/json.hpp"
#include "journal/codec.hpp"
#include "journal/json.hpp"
#include "probe.hpp"

namespace atelier::sim {
namespace {

std::vector<std::string> encoded(const core::Core& core) {
  std::vector<std::string> lines;
  for (const core::CheckpointRecord& record : core.export_facts())
    journal::encode(record, lines.emplace_back());
  return lines;
}

}  // namespace

void Checker::step() {
  while (seen_ < store_.last()) {
    journal::ReplayCursor cursor;
    cursor.after = seen_;
    cursor.begun = true;
    auto page = store_.read(cursor);
    if (!page) world_.broken(fmt::format("the store cannot be read: {}", page.error().what));
    for (const core::Entry& entry : page->entries) {
      if (entry.sequence.value != seen_.value + 1) world_.broken("the journal has a gap");
      seen_ = entry.sequence;
      if (world_.tracing()) world_.trace("  {}", journal::to_json(entry));
      rules_.before(entry);
      const std::vector<core::Effect> effects = reference_.apply(entry);
      for (const core::Effect& effect : effects) on(entry, effect);
      rules_.after(entry, effects);
    }
  }
}

void Checker::on(const core::Entry& entry, const core::Effect& effect) {
  std::visit(
      Match{[&](const core::JobLeased& leased) { on_leased(leased); },
            [&](const core::NodeCommitted& committed) { on_committed(committed); },
            [&](const core::NodeLinked& linked) { on_linked(linked); },
            [&](const core::JobEnded& ended) { on_ended(ended); },
            [&](const core::LeaseDropped& dropped) { leased_.erase(dropped.job); },
            [&](const core::LeaseMoved& moved) {
              if (epochs_.contains(moved.job) && epochs_[moved.job] == moved.epoch) SIM_PROBE("lease_moved");
            },
            [&](const core::JobQueued& queued) {
              if (queued.cause == core::QueueCause::lease_lost) SIM_PROBE("lease_lost");
              if (queued.cause == core::QueueCause::returned) SIM_PROBE("job_returned");
            },
            [&](const core::CommitRepeated&) { SIM_PROBE("commit_repeated"); },
            [&](const core::Refused& refused) {
              world_.trace("  refused: {} ({})", journal::kind_of(entry.event),
                           core::to_string(refused.reason));
              if (refused.reason == core::NoEffect::stale_epoch) SIM_PROBE("stale_epoch_refused");
              if (refused.reason == core::NoEffect::stale_link) SIM_PROBE("stale_link_refused");
              if (refused.reason == core::NoEffect::already_ended) SIM_PROBE("second_end_refused");
            },
            [&](const core::LinkReplaced&) { SIM_PROBE("link_replaced"); },
            // Nothing to check in these by themselves.
            [](const core::Accepted&) {}, [](const core::JobMarked&) {}, [](const core::JobStarted&) {},
            [](const core::JobComputed&) {}, [](const core::StopWanted&) {},
            [](const core::HistoryDropped&) {}, [](const core::WorkshopChanged&) {}},
      effect);
}

void Checker::on_leased(const core::JobLeased& leased) {
  world_.trace("  leased job {} epoch {} to {}/{}", leased.job, leased.epoch, leased.slot.worker,
               leased.slot.index);
  Epoch& last = epochs_[leased.job];
  if (leased.epoch.value != last.value + 1)
    world_.broken(fmt::format("job {} got epoch {} after {}", leased.job, leased.epoch, last));
  last = leased.epoch;
  if (leased.epoch.value == 2) SIM_PROBE("second_epoch");
  if (leased_.contains(leased.job)) world_.broken(fmt::format("job {} has two leases", leased.job));
  // A job that is computed holds its lease but not its slot.
  for (const auto& [job, slot] : leased_) {
    const core::JobFacts* facts = reference_.job(job);
    if (slot == leased.slot && facts != nullptr && facts->lease && !facts->lease->computed)
      world_.broken(fmt::format("jobs {} and {} hold one slot", job, leased.job));
  }
  leased_[leased.job] = leased.slot;
}

void Checker::on_committed(const core::NodeCommitted& committed) {
  Output output;
  output.participant = committed.participant;
  const core::UnlinkedCommit* commit = reference_.unlinked(committed.job, committed.node);
  if (commit == nullptr) world_.broken("a commit is not in the list of unlinked ones");
  for (const core::CommittedFile& file : commit->files) output.digests.insert(file.digest);
  if (!outputs_.emplace(std::pair{committed.job, committed.node}, std::move(output)).second)
    world_.broken(fmt::format("job {} node {} was committed twice", committed.job, committed.node));
}

void Checker::on_linked(const core::NodeLinked& linked) {
  const auto found = outputs_.find({linked.job, linked.node});
  if (found == outputs_.end()) world_.broken("a node was linked before it was committed");
  if (reference_.job(linked.job) == nullptr) SIM_PROBE("linked_after_end");
  const auto bytes = store_.attachment(linked.ui.id);
  if (!bytes) world_.broken("the ui of a linked node is not stored");
  const auto ui = comfy::Json::parse(**bytes);
  if (!ui) world_.broken("the ui of a linked node is not JSON");
  const boost::json::value* images = ui->object().if_contains("images");
  if (images == nullptr) return;  // files without a ui entry
  for (const boost::json::value& image : images->as_array()) {
    const std::string folder(image.at("subfolder").as_string());
    const std::string name(image.at("filename").as_string());
    const std::string path = folder.empty() ? name : folder + "/" + name;
    if (!given_.emplace(found->second.participant, path).second)
      world_.broken(
          fmt::format("participant {} was given the name {} twice", found->second.participant, path));
    found->second.paths.insert(path);
  }
}

void Checker::on_ended(const core::JobEnded& ended) {
  world_.trace("  ended job {}: {}", ended.facts.job, core::to_string(ended.reason));
  leased_.erase(ended.facts.job);
  if (!ended_.insert(ended.facts.job).second)
    world_.broken(fmt::format("job {} ended twice", ended.facts.job));
  switch (ended.reason) {
    case core::EndReason::too_many_deaths:
      SIM_PROBE("too_many_deaths");
      break;
    case core::EndReason::too_many_returns:
      SIM_PROBE("too_many_returns");
      break;
    case core::EndReason::cancel_unanswered:
      SIM_PROBE("cancel_unanswered");
      break;
    case core::EndReason::cancelled_waiting:
      SIM_PROBE("cancelled_waiting");
      break;
    case core::EndReason::outputs_lost:
      SIM_PROBE("outputs_lost");
      break;
    case core::EndReason::refused:
      SIM_PROBE("refused_by_engine");
      break;
    default:
      break;
  }
  if (ended.outcome == core::Outcome::cancelled && ended.reason == core::EndReason::finished)
    SIM_PROBE("cancelled_by_engine");
  if (ended.outcome == core::Outcome::failed && ended.reason == core::EndReason::finished)
    SIM_PROBE("failed_by_engine");
}

void Checker::acknowledged(JobId job, ParticipantId participant, std::string prompt_id) {
  step();  // durable before the answer: it is in the store by now
  const bool known = ended_.contains(job) || reference_.job(job) != nullptr;
  if (!known)
    world_.broken(fmt::format("prompt {} was acknowledged as job {}, which is not recorded", prompt_id, job));
  if (const core::JobFacts* facts = reference_.job(job);
      facts != nullptr &&
      (facts->submitted.participant != participant || facts->submitted.prompt_id != prompt_id))
    world_.broken(fmt::format("prompt {} was acknowledged as job {}, which is another's", prompt_id, job));
  acknowledged_.try_emplace(job, participant, std::move(prompt_id));
}

void Checker::compare(const core::Core& live) const {
  const std::vector<std::string> facts = encoded(reference_);
  if (facts != encoded(live)) world_.broken("the server's state differs from a replay of its journal");
  core::Core imported;
  for (const core::CheckpointRecord& record : reference_.export_facts()) imported.import_fact(record);
  imported.finish_import();
  if (facts != encoded(imported)) world_.broken("a checkpoint does not give the same state again");
  SIM_PROBE("states_compared");
}

std::string Checker::open_jobs() const {
  std::string text;
  reference_.each_job([&](const core::JobFacts& job) {
    text += fmt::format(" job {} {} epoch {} deaths {} losses {};", job.job, core::to_string(job.state),
                        job.epoch, job.deaths, job.losses);
  });
  reference_.each_worker([&](const core::WorkerFacts& worker) {
    text += fmt::format(" worker {} link {} draining {}", worker.name, worker.link, worker.draining);
    for (const core::SlotFacts& slot : worker.slots)
      text += fmt::format(" slot {} {} job {}", slot.index, core::to_string(slot.state), slot.job);
  });
  return text;
}

void Checker::finish(const std::string& participants_folder) const {
  for (const auto& [job, owner] : acknowledged_) {
    if (!ended_.contains(job)) world_.broken(fmt::format("acknowledged job {} did not end", job));
  }
  for (const auto& [key, output] : outputs_) {
    if (reference_.unlinked(key.first, key.second) != nullptr)
      world_.broken(fmt::format("job {} node {} was never linked", key.first, key.second));
    for (const std::string& path : output.paths) {
      std::ifstream file(fmt::format("{}/{}/output/{}", participants_folder, output.participant, path),
                         std::ios::binary);
      std::ostringstream bytes;
      bytes << file.rdbuf();
      if (!file || !output.digests.contains(sha256(bytes.str())))
        world_.broken(fmt::format("participant {}: {} is not what job {} committed", output.participant, path,
                                  key.first));
    }
  }
}

}  // namespace atelier::sim
