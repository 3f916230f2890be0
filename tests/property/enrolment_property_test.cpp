// SPDX-License-Identifier: MIT
// Enrolments and keys against random makers, users, thieves and revokers.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <map>

#include "support/core_world.hpp"

namespace atelier::core {
namespace {

std::string any_name() { return "gpu-" + std::to_string(*rc::gen::inRange(1, 4)); }
std::string any_key() { return std::string(63, 'k') + std::to_string(*rc::gen::inRange(0, 4)); }

EnrolmentId any_enrolment(const CoreWorld& world) {
  std::vector<EnrolmentId> all{EnrolmentId{999'999}};
  world.core.each_enrolment([&](const EnrolmentFacts& facts) { all.push_back(facts.enrolment); });
  return *rc::gen::elementOf(all);
}

/// What was pinned by whom, remembered beside core.
struct Watch {
  std::map<EnrolmentId, EnrolmentUsed> used;
  std::map<std::string, std::string> keys;  // in force, by name

  void use(CoreWorld& world) {
    const EnrolmentUsed event{any_enrolment(world), any_name(), any_key()};
    const EnrolmentVerdict foretold = world.core.judge(event, world.now + milliseconds{1});
    const auto effects = world.post(event);
    const bool accepted = CoreWorld::find<Accepted>(effects) != nullptr;
    RC_ASSERT(accepted == (foretold == EnrolmentVerdict::accepted));
    if (!accepted) return;
    RC_ASSERT(used.emplace(event.enrolment, event).second);          // no second time
    RC_ASSERT(keys.emplace(event.worker, event.public_key).second);  // nobody's name is taken
  }
  void revoke_key(CoreWorld& world) {
    const std::string name = any_name();
    const auto effects = world.post(WorkerKeyRevoked{name, "test"});
    RC_ASSERT((CoreWorld::find<Accepted>(effects) != nullptr) == (keys.erase(name) == 1));
  }
  void check(const Core& core) const {
    for (const std::string name : {"gpu-1", "gpu-2", "gpu-3"}) {
      const WorkerKeyFacts* key = core.worker_key(name);
      const auto expected = keys.find(name);
      RC_ASSERT((key != nullptr && !key->revoked) == (expected != keys.end()));
      if (expected == keys.end()) continue;
      RC_ASSERT(key->public_key == expected->second);
      RC_ASSERT(used.at(key->enrolment).worker == name);
    }
    core.each_enrolment([&](const EnrolmentFacts& facts) {
      const auto by = used.find(facts.enrolment);
      RC_ASSERT((facts.state == EnrolmentState::used) == (by != used.end()));
      if (by == used.end()) return;
      RC_ASSERT(facts.worker.empty() || facts.worker == by->second.worker);
      RC_ASSERT(facts.public_key == by->second.public_key);
    });
  }
};

void random_step(CoreWorld& world, Watch& watch, std::uint8_t step) {
  switch (*rc::gen::inRange(0, 8)) {
    case 0:
    case 1:
      world.post(EnrolmentMade{CoreWorld::digest(step), *rc::gen::arbitrary<bool>() ? any_name() : "",
                               *rc::gen::inRange<std::uint64_t>(1, 20), "test"});
      break;
    case 2:
    case 3:
    case 4:
      watch.use(world);
      break;
    case 5:
      watch.revoke_key(world);
      break;
    case 6:
      world.post(EnrolmentRevoked{any_enrolment(world), "test"});
      break;
    default:
      world.post(EnrolmentMisused{any_enrolment(world), EnrolmentVerdict::used, any_name()});
  }
}

TEST_CASE("an enrolment pins one key once, a name has one key, and a core made of its facts judges alike") {
  CHECK(rc::check([] {
    Limits limits;
    limits.enrolments_max = 8;
    CoreWorld world(limits);
    Watch watch;
    for (std::uint8_t step = *rc::gen::inRange<std::uint8_t>(1, 120); step > 0; --step) {
      random_step(world, watch, step);
      watch.check(world.core);
    }
    Core restored(limits);
    for (const CheckpointRecord& record : world.core.export_facts()) restored.import_fact(record);
    restored.finish_import();
    const EnrolmentUsed use{any_enrolment(world), any_name(), any_key()};
    RC_ASSERT(restored.judge(use, world.now) == world.core.judge(use, world.now));
    RC_ASSERT(restored.export_facts() == world.core.export_facts());
  }));
}

}  // namespace
}  // namespace atelier::core
