// SPDX-License-Identifier: MIT
#include "workshop/history.hpp"

#include "base/match.hpp"

namespace atelier::workshop {
namespace {

core::Summary summary_of(const core::JobEnded& ended) {
  const core::JobFacts& job = ended.facts;
  core::Summary summary;
  summary.job = job.job;
  summary.participant = job.submitted.participant;
  summary.prompt_id = job.submitted.prompt_id;
  summary.client_id = job.submitted.client_id;
  summary.workflow_id = job.submitted.workflow_id;
  summary.number = job.number;
  summary.outcome = ended.outcome;
  summary.reason = ended.reason;
  summary.sentence = ended.sentence;
  summary.created = job.submitted_wall;
  if (job.lease && job.lease->started) summary.started = job.lease->started_wall;
  summary.ended = ended.wall;
  summary.ended_at = ended.time;
  summary.body = job.submitted.body;
  summary.prompt = job.submitted.prompt;
  summary.report = ended.report;
  for (const core::NodeCommit& commit : job.commits) {
    core::HistoryNode node;
    node.node = commit.node;
    if (commit.linked) {
      node.ui = commit.ui;
      node.summary = commit.summary;
    }  // else its linked entry follows
    summary.nodes.push_back(std::move(node));
  }
  return summary;
}

}  // namespace

void History::apply(std::span<const core::Effect> effects) {
  for (const core::Effect& effect : effects) {
    if (const auto* ended = std::get_if<core::JobEnded>(&effect)) {
      add(summary_of(*ended));
    } else if (const auto* linked = std::get_if<core::NodeLinked>(&effect)) {
      const auto found = summaries_.find(linked->job);
      if (found == summaries_.end()) continue;
      for (core::HistoryNode& node : found->second.nodes) {
        if (node.node != linked->node) continue;
        node.ui = linked->ui;
        node.summary = linked->summary;
      }
    } else if (const auto* dropped = std::get_if<core::HistoryDropped>(&effect)) {
      std::vector<JobId> jobs = dropped->jobs;
      if (jobs.empty()) {
        for (const core::Summary* summary : of(dropped->participant)) jobs.push_back(summary->job);
      }
      for (JobId job : jobs) {
        const auto found = summaries_.find(job);
        if (found != summaries_.end() && found->second.participant == dropped->participant) remove(job);
      }
    }
  }
}

void History::import_summary(const core::Summary& summary) { add(summary); }

void History::add(core::Summary summary) {
  Owner& owner = owners_[summary.participant];
  std::uint64_t place = next_place_;
  if (const auto same = owner.place_of.find(summary.prompt_id); same != owner.place_of.end()) {
    // ComfyUI overwrites the history entry of a reused prompt_id but keeps its position (comfyui-interface.md
    // G16).
    place = same->second;
    remove(owner.places.at(place));
  } else {
    ++next_place_;
  }
  Owner& again = owners_[summary.participant];  // remove() may have dropped it
  again.place_of[summary.prompt_id] = place;
  again.places[place] = summary.job;
  by_place_.insert({place, summary.job});
  const JobId job = summary.job;
  summaries_[job] = std::move(summary);
  if (again.places.size() > limits_.per_participant_max) remove(again.places.begin()->second);
  if (summaries_.size() > limits_.in_all_max) remove(by_place_.begin()->second);
}

void History::remove(JobId job) {
  const auto found = summaries_.find(job);
  if (found == summaries_.end()) return;
  const auto owner = owners_.find(found->second.participant);
  const auto place = owner->second.place_of.find(found->second.prompt_id);
  by_place_.erase({place->second, job});
  owner->second.places.erase(place->second);
  owner->second.place_of.erase(place);
  if (owner->second.places.empty()) owners_.erase(owner);
  summaries_.erase(found);
}

const core::Summary* History::find(ParticipantId participant, std::string_view prompt_id) const {
  const auto owner = owners_.find(participant);
  if (owner == owners_.end()) return nullptr;
  const auto place = owner->second.place_of.find(prompt_id);
  return place == owner->second.place_of.end() ? nullptr : find(owner->second.places.at(place->second));
}

const core::Summary* History::find(JobId job) const {
  const auto found = summaries_.find(job);
  return found == summaries_.end() ? nullptr : &found->second;
}

std::vector<const core::Summary*> History::of(ParticipantId participant) const {
  std::vector<const core::Summary*> list;
  const auto owner = owners_.find(participant);
  if (owner == owners_.end()) return list;
  for (const auto& [place, job] : owner->second.places) list.push_back(&summaries_.at(job));
  return list;
}

std::vector<const core::Summary*> History::all() const {
  std::vector<const core::Summary*> list;
  for (const auto& [place, job] : by_place_) list.push_back(&summaries_.at(job));
  return list;
}

}  // namespace atelier::workshop
