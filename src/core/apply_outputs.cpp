// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "core/application.hpp"

namespace atelier::core {
namespace {

/// Files of one commit with equal (type, folder, stem, number) share the new number (core.md 6).
using Group = std::tuple<OutputType, std::string, std::string, bool, std::uint64_t>;

Group group_of(const CommittedFile& file) {
  if (!file.numbered) return {file.type, file.folder, file.stem + file.rest, false, file.place};
  return {file.type, file.folder, file.stem, true, file.number};
}

bool sane(const CommittedFile& file) {
  return file.folder.size() <= 512 && file.stem.size() <= 255 && file.rest.size() <= 100 &&
         file.number <= 999'999'999 && file.seen >= -1 && file.seen <= 999'999'999;
}

/// "stem.ext" -> "stem (k).ext"; k = 0 leaves the name.
std::string with_suffix(const CommittedFile& file, std::int64_t k) {
  const std::string name = file.stem + file.rest;
  if (k == 0) return name;
  const std::size_t dot = name.rfind('.');
  if (dot == std::string::npos || dot == 0) return fmt::format("{} ({})", name, k);
  return fmt::format("{} ({}){}", name.substr(0, dot), k, name.substr(dot));
}

}  // namespace

std::string Application::give_name(ParticipantId participant, const CommittedFile& file,
                                   std::int64_t number) {
  auto& counters = state_.counters[participant];
  const std::string stem = file.numbered ? file.stem : file.stem + file.rest;
  const Core::State::CounterKey key{file.type, file.folder, stem, file.numbered};
  auto found = counters.find(key);
  if (found == counters.end()) {
    if (counters.size() >= state_.limits.name_counters_max) {
      // The least recently used goes; what it knew is in the participant's folder.
      auto oldest = std::ranges::min_element(counters, {}, [](const auto& c) { return c.second.used; });
      counters.erase(oldest);
    }
    NameCounter counter;
    counter.participant = participant;
    counter.type = file.type;
    counter.folder = file.folder;
    counter.stem = stem;
    counter.numbered = file.numbered;
    counter.last = -1;
    found = counters.emplace(key, std::move(counter)).first;
  }
  NameCounter& counter = found->second;
  counter.used = entry_.sequence;
  counter.last = std::max(counter.last, number);
  return file.numbered ? fmt::format("{}_{:05}{}", file.stem, number, file.rest) : with_suffix(file, number);
}

void Application::on(const Committed& event) {
  JobFacts* job = holder(event.job, event.epoch);
  if (job == nullptr) return;
  // The first commit of a (job, node) stands; a later epoch's is answered with the names given.
  const auto same = std::ranges::find(job->commits, event.node, &NodeCommit::node);
  if (same != job->commits.end()) {
    refuse(NoEffect::already_committed);
    return effect(CommitRepeated{event.job, event.epoch, event.node, same->names});
  }
  if (event.files.size() > state_.limits.files_per_commit_max || !std::ranges::all_of(event.files, sane)) {
    return refuse(NoEffect::bad_value);
  }
  if (job->commits.size() >= state_.limits.commits_per_job_max) return refuse(NoEffect::container_full);
  if (state_.unlinked.size() >= state_.limits.unlinked_commits_max) return refuse(NoEffect::container_full);

  const ParticipantId participant = job->submitted.participant;
  std::map<Group, std::int64_t> numbers;
  std::vector<std::string> names(event.files.size());
  std::vector<std::size_t> order(event.files.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(
      order, {}, [&](std::size_t i) { return std::tuple{event.files[i].number, event.files[i].place, i}; });
  for (std::size_t i : order) {
    const CommittedFile& file = event.files[i];
    auto [number, first_of_group] = numbers.try_emplace(group_of(file), 0);
    if (first_of_group) {
      const auto& counters = state_.counters[participant];
      const auto counter = counters.find(
          {file.type, file.folder, file.numbered ? file.stem : file.stem + file.rest, file.numbered});
      const std::int64_t own = counter == counters.end() ? -1 : counter->second.last;
      number->second = std::max(own + 1, file.seen + 1);
      if (file.numbered) {
        number->second = std::max<std::int64_t>(number->second, 1);
        if (file.in_job_folder)
          number->second = std::max(number->second, static_cast<std::int64_t>(file.number));
      }
    }
    names[i] = give_name(participant, file, number->second);
  }

  UnlinkedCommit commit;
  commit.job = event.job;
  commit.participant = participant;
  commit.node = event.node;
  commit.ui = event.ui;
  commit.files = event.files;
  commit.names = names;
  state_.unlinked.emplace(std::pair{event.job, event.node}, std::move(commit));
  NodeCommit node;
  node.node = event.node;
  node.epoch = event.epoch;
  node.ui = event.ui;
  node.names = std::move(names);
  job->commits.push_back(std::move(node));
  accept();
  effect(NodeCommitted{event.job, participant, event.epoch, event.node});
}

void Application::on(const Linked& event) {
  auto commit = state_.unlinked.find({event.job, event.node});
  if (commit == state_.unlinked.end()) return refuse(NoEffect::nothing_to_change);
  const ParticipantId participant = commit->second.participant;
  state_.unlinked.erase(commit);
  if (JobFacts* job = state_.find(event.job)) {
    for (NodeCommit& node : job->commits) {
      if (node.node != event.node) continue;
      node.linked = true;
      node.ui = event.ui;
      node.summary = event.summary;
    }
  }
  accept();
  effect(NodeLinked{event.job, participant, event.node, event.ui, event.summary});
}

void Application::on(const HistoryForgotten& event) {
  accept();
  effect(HistoryDropped{event.participant, event.jobs});
}

}  // namespace atelier::core
