// SPDX-License-Identifier: MIT
// Core against random lists of events: what must hold after every step, and the order of fifo against an
// obvious model.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "support/core_world.hpp"

namespace atelier::core {
namespace {

/// Everything the invariants need to remember between steps.
struct Watch {
  std::map<JobId, Epoch> epochs;
  std::set<JobId> accepted, ended;
  std::set<std::pair<JobId, std::string>> committed;
  std::set<std::string> names;

  void look(const CoreWorld& world, const std::vector<Effect>& effects) {
    for (const Effect& effect : effects) {
      if (const auto* queued = std::get_if<JobQueued>(&effect)) accepted.insert(queued->job);
      if (const auto* leased = std::get_if<JobLeased>(&effect)) {
        RC_ASSERT(leased->epoch > epochs[leased->job]);
        epochs[leased->job] = leased->epoch;
      }
      if (const auto* end = std::get_if<JobEnded>(&effect)) RC_ASSERT(ended.insert(end->facts.job).second);
      if (const auto* commit = std::get_if<NodeCommitted>(&effect)) {
        RC_ASSERT(committed.insert({commit->job, commit->node}).second);
        for (const std::string& name : world.core.unlinked(commit->job, commit->node)->names) {
          RC_ASSERT(names.insert(std::to_string(commit->participant.value) + "/" + name).second);
        }
      }
    }
    std::set<SlotId> busy;
    world.core.each_job([&](const JobFacts& job) {
      RC_ASSERT(!ended.contains(job.job));
      const bool granted = job.state == JobState::leased || job.state == JobState::running;
      RC_ASSERT(granted == job.lease.has_value());
      if (job.lease && !job.lease->computed) RC_ASSERT(busy.insert(job.lease->slot).second);
    });
    for (JobId job : accepted) RC_ASSERT(ended.contains(job) || world.core.job(job) != nullptr);
  }
};

JobId any_job(const CoreWorld& world) {
  std::vector<JobId> jobs;
  world.core.each_job([&](const JobFacts& job) { jobs.push_back(job.job); });
  return jobs.empty() ? JobId{999} : *rc::gen::elementOf(jobs);
}

template <class E>
E about(const CoreWorld& world, JobId job) {
  E event;
  event.job = job;
  const JobFacts* facts = world.core.job(job);
  const std::uint64_t epoch = facts == nullptr ? 1 : facts->epoch.value;
  event.epoch =
      Epoch{epoch - (epoch > 1 && *rc::gen::weightedElement<bool>({{6, false}, {1, true}}) ? 1 : 0)};
  return event;
}

/// The i-th job, of one of three participants.
Submitted submit_of_anybody(int i) {
  Submitted event;
  event.participant = ParticipantId{*rc::gen::inRange<std::uint64_t>(1, 4)};
  event.prompt_id = "p" + std::to_string(i);
  event.classes = {"A"};
  return event;
}

/// What is granted, without what estimates say about it: they are not facts, and a checkpoint has no order of
/// runs of different signatures.
std::vector<std::tuple<JobId, SlotId, Epoch>> grants_of(const Decision& decision) {
  std::vector<std::tuple<JobId, SlotId, Epoch>> grants;
  for (const Event& proposal : decision.proposals) {
    if (const auto* leased = std::get_if<Leased>(&proposal))
      grants.emplace_back(leased->job, leased->slot, leased->epoch);
  }
  return grants;
}

std::vector<Effect> random_step(CoreWorld& world) {
  const JobId job = any_job(world);
  switch (*rc::gen::inRange(0, 16)) {
    case 0:
    case 1:
    case 2: {
      Submitted event;
      event.participant = ParticipantId{*rc::gen::inRange<std::uint64_t>(0, 4)};
      event.prompt_id = "p" + std::to_string(*rc::gen::inRange(0, 40));
      event.classes = {*rc::gen::element<std::string>("A", "B", "C")};
      event.front = *rc::gen::arbitrary<bool>();
      return world.post(event);
    }
    case 3: {
      world.join(*rc::gen::element<std::string>("w1", "w2"), *rc::gen::inRange<std::uint64_t>(1, 3), 2);
      return {};
    }
    case 4: {
      const WorkerFacts* worker = world.core.worker("w1");
      if (worker == nullptr) return {};
      WorkerLeft event;
      event.worker = worker->worker;
      event.link = worker->link;
      return world.post(event);
    }
    case 5:
      return world.post(about<Started>(world, job));
    case 6:
    case 7: {
      Computed event = about<Computed>(world, job);
      event.gpu_ms = *rc::gen::inRange<std::uint64_t>(0, 5000);
      return world.post(event, milliseconds{10});
    }
    case 8:
    case 9: {
      Ended event = about<Ended>(world, job);
      event.outcome = *rc::gen::element(Outcome::succeeded, Outcome::failed, Outcome::cancelled);
      return world.post(event);
    }
    case 10:
      return world.post(about<Returned>(world, job));
    case 11: {
      LeaseExpired event = about<LeaseExpired>(world, job);
      const JobFacts* facts = world.core.job(job);
      if (facts != nullptr && facts->lease) event.link = facts->lease->link;
      event.reason =
          *rc::gen::element(LossReason::link_expired, LossReason::restarted, LossReason::engine_died);
      return world.post(event);
    }
    case 12:
      return world.post(CancelRequested{.job = job, .by = "x"},
                        milliseconds{*rc::gen::inRange<std::int64_t>(1, 20'000)});
    case 13: {
      Committed event = about<Committed>(world, job);
      event.node = std::to_string(*rc::gen::inRange(0, 3));
      CommittedFile file;
      file.stem = *rc::gen::element<std::string>("cat", "dog");
      file.number = *rc::gen::inRange<std::uint64_t>(1, 4);
      file.rest = "_.png";
      event.files = {file};
      return world.post(event);
    }
    case 14: {
      const WorkerFacts* worker = world.core.worker(*rc::gen::element<std::string>("w1", "w2"));
      if (worker == nullptr) return {};
      const SlotId slot{worker->worker, *rc::gen::inRange<std::uint32_t>(0, 2)};
      if (*rc::gen::arbitrary<bool>()) return world.post(SlotIdle{.slot = slot, .link = worker->link});
      return world.post(EngineLost{.slot = slot, .link = worker->link});
    }
    default:
      return world.post(*rc::gen::arbitrary<bool>() ? Event{JobHeld{.job = job, .by = ""}}
                                                    : Event{JobReleased{.job = job, .by = ""}});
  }
}

TEST_CASE(
    "no job is lost, ended twice or run on a taken slot, no name given twice, whatever comes in whatever "
    "order") {
  CHECK(rc::check([] {
    CoreWorld world;
    Watch watch;
    const int steps = *rc::gen::inRange(1, 120);
    for (int i = 0; i < steps; ++i) {
      watch.look(world, random_step(world));
      watch.look(world, world.settle());
    }
  }));
}

TEST_CASE("the same entries give the same state, and a checkpoint read back goes on equally") {
  CHECK(rc::check([] {
    CoreWorld world;
    const int steps = *rc::gen::inRange(1, 80);
    for (int i = 0; i < steps; ++i) {
      random_step(world);
      world.settle();
    }
    Core replica;
    for (const Entry& entry : world.entries) replica.apply(entry);
    RC_ASSERT(replica.export_facts() == world.core.export_facts());
    Core restored;
    for (const CheckpointRecord& record : world.core.export_facts()) restored.import_fact(record);
    restored.finish_import();
    RC_ASSERT(restored.export_facts() == world.core.export_facts());
    const Time later = world.now + milliseconds{60'000};
    RC_ASSERT(grants_of(restored.decide(later)) == grants_of(world.core.decide(later)));
  }));
}

TEST_CASE("priority is fifo within each level") {
  CHECK(rc::check([] {
    CoreWorld world;
    world.post(ModeChanged{QueueMode::priority, "test"});
    std::vector<std::pair<PriorityLevel, JobId>> model;
    const int count = *rc::gen::inRange(1, 25);
    for (int i = 0; i < count; ++i) {
      Submitted event = submit_of_anybody(i);
      event.priority = *rc::gen::element(PriorityLevel::high, PriorityLevel::normal, PriorityLevel::low);
      model.emplace_back(event.priority, CoreWorld::find<Accepted>(world.post(event))->job);
    }
    world.join("gpu", 1, static_cast<std::uint32_t>(*rc::gen::inRange(1, 30)));
    std::ranges::sort(model);
    std::size_t next = 0;
    for (const Effect& effect : world.settle()) {
      const auto* leased = std::get_if<JobLeased>(&effect);
      if (leased != nullptr) RC_ASSERT(leased->job == model[next++].second);
    }
  }));
}

TEST_CASE("round_robin without models is: the least finish tag, then the older job") {
  CHECK(rc::check([] {
    CoreWorld world;
    world.post(ModeChanged{QueueMode::round_robin, "test"});
    struct Row {
      std::uint64_t owner;
      JobId job;
    };
    std::vector<Row> model;
    std::map<std::uint64_t, std::uint64_t> weights, tags;
    for (std::uint64_t owner = 1; owner <= 4; ++owner) {
      ParticipantLimits limits;
      limits.participant = ParticipantId{owner};
      limits.weight_milli = weights[owner] = *rc::gen::element<std::uint32_t>(500, 1000, 2000);
      world.post(limits);
    }
    const int count = *rc::gen::inRange(1, 40);
    for (int i = 0; i < count; ++i) {
      const auto owner = *rc::gen::inRange<std::uint64_t>(1, 5);
      model.push_back({owner, world.submit(owner)});
    }
    world.join("gpu", 1, static_cast<std::uint32_t>(*rc::gen::inRange(1, 50)));
    for (const Effect& effect : world.settle()) {
      const auto* leased = std::get_if<JobLeased>(&effect);
      if (leased == nullptr) continue;
      // The obvious way: each owner's oldest job; all are expected to take equally long.
      std::map<std::uint64_t, JobId> heads;
      for (const Row& row : model) heads.try_emplace(row.owner, row.job);
      constexpr std::uint64_t kRun = 20'000, kInOrder = kRun * 17 / 20;
      const auto best = std::ranges::min_element(heads, {}, [&](const auto& head) {
        return std::pair(tags[head.first] + kInOrder * 1000 / weights[head.first], head.second);
      });
      RC_ASSERT(best->second == leased->job);
      tags[best->first] += kRun * 1000 / weights[best->first];
      std::erase_if(model, [&](const Row& row) { return row.job == best->second; });
    }
  }));
}

TEST_CASE("affinity keeps its bound, and says whom it passed") {
  CHECK(rc::check([] {
    const Affinity affinity{.places_max = 2, .delay_max = milliseconds{60'000}};
    CoreWorld world;
    world.post(ModeChanged{QueueMode::round_robin, "test"});
    Capability capability;
    capability.hash = CoreWorld::digest(1);
    capability.classes = {"A"};
    capability.models = {"m1", "m2", "m3"};
    world.post(capability);
    for (int i = *rc::gen::inRange(1, 4); i > 0; --i) world.join("gpu" + std::to_string(i));
    std::map<JobId, int> places;
    std::vector<JobId> running;
    const int steps = *rc::gen::inRange(1, 60);
    for (int step = 0; step < steps; ++step) {
      if (*rc::gen::arbitrary<bool>() && !running.empty()) {
        const JobId job = running.front();
        running.erase(running.begin());
        world.computed(job, *rc::gen::inRange<std::uint64_t>(500, 90'000));
        world.ended(job);
      } else {
        Submitted event;
        event.participant = ParticipantId{*rc::gen::inRange<std::uint64_t>(1, 5)};
        event.prompt_id = "p" + std::to_string(step);
        event.classes = {"A"};
        event.models = {*rc::gen::element<std::string>("m1", "m2", "m3")};
        event.signature = *rc::gen::inRange<std::uint64_t>(1, 6);
        world.post(event);
      }
      while (true) {
        const Decision decision = world.core.decide(world.now, affinity);
        if (decision.proposals.empty()) break;
        for (const Event& proposal : decision.proposals) {
          const auto& leased = std::get<Leased>(proposal);
          const JobFacts granted = *world.core.job(leased.job);
          for (const JobId passed : leased.passed) RC_ASSERT(++places[passed] <= 2);
          world.core.each_job_of(granted.submitted.participant, [&](const JobFacts& job) {
            const bool before = job.state == JobState::queued && job.job < granted.job;
            if (before) RC_ASSERT(std::ranges::find(leased.passed, job.job) != leased.passed.end());
          });
          world.post(proposal, milliseconds{0});
          world.started(leased.job);
          running.push_back(leased.job);
        }
      }
    }
  }));
}

TEST_CASE("fifo is: the lane with the oldest place, and in it the lane's own first job") {
  CHECK(rc::check([] {
    CoreWorld world;
    struct Row {
      std::uint64_t owner;
      double number;
      JobId job;
    };
    std::vector<Row> model;
    const int count = *rc::gen::inRange(1, 25);
    for (int i = 0; i < count; ++i) {
      Submitted event = submit_of_anybody(i);
      event.numbered = *rc::gen::arbitrary<bool>();
      event.number = *rc::gen::inRange(-3, 30);
      const JobId job = CoreWorld::find<Accepted>(world.post(event))->job;
      model.push_back(
          {event.participant.value, event.numbered ? event.number : static_cast<double>(job.value), job});
    }
    world.join("gpu", 1, static_cast<std::uint32_t>(*rc::gen::inRange(1, 30)));
    std::vector<JobId> order;
    for (std::size_t ended = 0; ended <= order.size(); ++ended) {
      for (const Effect& effect : world.settle()) {
        if (const auto* leased = std::get_if<JobLeased>(&effect)) order.push_back(leased->job);
      }
      if (ended == order.size()) break;
      world.started(order[ended]);
      world.computed(order[ended], 10);
      world.ended(order[ended]);
    }
    RC_ASSERT(order.size() == model.size());
    // The obvious way: places are the ids, and are used up in order; each goes to its owner's least (number,
    // id).
    std::vector<Row> places = model;
    for (JobId got : order) {
      const auto owner = std::ranges::min_element(places, {}, &Row::job)->owner;
      Row best{};
      for (const Row& row : model) {
        if (row.owner != owner) continue;
        if (best.owner == 0 || std::pair{row.number, row.job} < std::pair{best.number, best.job}) best = row;
      }
      RC_ASSERT(best.job == got);
      places.erase(std::ranges::min_element(places, {}, &Row::job));
      std::erase_if(model, [&](const Row& row) { return row.job == best.job; });
    }
  }));
}

}  // namespace
}  // namespace atelier::core
