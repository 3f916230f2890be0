// SPDX-License-Identifier: MIT
// How the keys of workers come to be known: once per enrolment, for one name, until they are revoked.
#include <doctest/doctest.h>

#include "support/core_world.hpp"

namespace atelier::core {
namespace {

constexpr milliseconds kMinute{60'000};

std::string key(int n) { return std::string(60, 'a') + std::to_string(1000 + n); }

EnrolmentId enrol(CoreWorld& world, std::uint8_t token, std::string worker = {}, std::uint64_t minutes = 10) {
  world.post(EnrolmentMade{CoreWorld::digest(token), std::move(worker), minutes * 60'000, "instructor"});
  const EnrolmentFacts* made = world.core.enrolment(CoreWorld::digest(token));
  return made == nullptr ? EnrolmentId{} : made->enrolment;
}

const Refused* use(CoreWorld& world, EnrolmentId enrolment, std::string worker, std::string public_key) {
  static std::vector<Effect> effects;
  effects = world.post(EnrolmentUsed{enrolment, std::move(worker), std::move(public_key)});
  return CoreWorld::find<Refused>(effects);
}

EnrolmentVerdict judge(const CoreWorld& world, EnrolmentId enrolment, std::string worker, std::string key) {
  return world.core.judge(EnrolmentUsed{enrolment, std::move(worker), std::move(key)}, world.now);
}

std::vector<CheckpointRecord> facts(const Core& core) { return core.export_facts(); }

TEST_CASE("an enrolment pins one key to one name: the first in the journal, and no second changes anything") {
  CoreWorld world;
  const EnrolmentId enrolment = enrol(world, 1);
  REQUIRE(enrolment);
  CHECK(judge(world, enrolment, "gpu-1", key(1)) == EnrolmentVerdict::accepted);
  CHECK(use(world, enrolment, "gpu-1", key(1)) == nullptr);
  REQUIRE(world.core.worker_key("gpu-1") != nullptr);
  CHECK(world.core.worker_key("gpu-1")->public_key == key(1));
  const EnrolmentFacts before = *world.core.enrolment(enrolment);
  CHECK(before.state == EnrolmentState::used);
  CHECK(before.used_by == "gpu-1");
  for (const auto& [worker, other] : std::vector<std::pair<std::string, std::string>>{
           {"gpu-1", key(2)}, {"gpu-2", key(2)}, {"gpu-2", key(1)}}) {
    CAPTURE(worker);
    CHECK(judge(world, enrolment, worker, other) == EnrolmentVerdict::used);
    CHECK(use(world, enrolment, worker, other)->reason == NoEffect::enrolment_refused);
  }
  // Its own answer was lost.
  CHECK(judge(world, enrolment, "gpu-1", key(1)) == EnrolmentVerdict::repeated);
  CHECK(use(world, enrolment, "gpu-1", key(1))->reason == NoEffect::nothing_to_change);
  CHECK(*world.core.enrolment(enrolment) == before);
  CHECK(world.core.worker_key("gpu-1")->public_key == key(1));
  CHECK(world.core.worker_key("gpu-2") == nullptr);
}

TEST_CASE("an enrolment that is over, revoked, unknown or for another name pins nothing") {
  CoreWorld world;
  const EnrolmentId late = enrol(world, 1, "", 1), void_one = enrol(world, 2),
                    bound = enrol(world, 3, "gpu-3");
  world.post(EnrolmentRevoked{void_one, "instructor"});
  CHECK(judge(world, late, "gpu-1", key(1)) == EnrolmentVerdict::accepted);
  world.now = world.core.enrolment(late)->expires - milliseconds{1};  // the next entry is 1 ms later
  CHECK(judge(world, late, "gpu-1", key(1)) == EnrolmentVerdict::accepted);
  CHECK(use(world, late, "gpu-1", key(1))->reason == NoEffect::enrolment_refused);
  CHECK(judge(world, late, "gpu-1", key(1)) == EnrolmentVerdict::expired);
  CHECK(judge(world, void_one, "gpu-1", key(1)) == EnrolmentVerdict::revoked);
  CHECK(use(world, void_one, "gpu-1", key(1))->reason == NoEffect::enrolment_refused);
  CHECK(judge(world, bound, "gpu-1", key(1)) == EnrolmentVerdict::other_worker);
  CHECK(use(world, bound, "gpu-1", key(1))->reason == NoEffect::enrolment_refused);
  CHECK(judge(world, EnrolmentId{999}, "gpu-1", key(1)) == EnrolmentVerdict::unknown);
  CHECK(use(world, EnrolmentId{999}, "gpu-1", key(1))->reason == NoEffect::unknown_enrolment);
  CHECK(world.core.worker_key("gpu-1") == nullptr);
  CHECK(use(world, bound, "gpu-3", key(1)) == nullptr);
}

TEST_CASE("the name of a worker that has joined without a key needs a token for that name") {
  CoreWorld world;
  world.join("gpu-1");
  const EnrolmentId any = enrol(world, 1);
  CHECK(judge(world, any, "gpu-1", key(1)) == EnrolmentVerdict::name_taken);
  CHECK(judge(world, any, "gpu-2", key(1)) == EnrolmentVerdict::accepted);
  CHECK(judge(world, enrol(world, 2, "gpu-1"), "gpu-1", key(1)) == EnrolmentVerdict::accepted);
}

TEST_CASE("a name with a key is nobody else's until the key is revoked, and a revoked key comes not again") {
  CoreWorld world;
  use(world, enrol(world, 1), "gpu-1", key(1));
  const EnrolmentId second = enrol(world, 2);
  CHECK(judge(world, second, "gpu-1", key(2)) == EnrolmentVerdict::name_taken);
  CHECK(use(world, second, "gpu-1", key(2))->reason == NoEffect::enrolment_refused);
  // Its own holder needs no second one, and does not use it up.
  CHECK(judge(world, second, "gpu-1", key(1)) == EnrolmentVerdict::repeated);
  world.post(WorkerKeyRevoked{"gpu-1", "instructor"});
  CHECK(world.core.worker_key("gpu-1")->revoked);
  CHECK(judge(world, second, "gpu-1", key(1)) == EnrolmentVerdict::key_revoked);
  CHECK(use(world, second, "gpu-1", key(1))->reason == NoEffect::enrolment_refused);
  CHECK(use(world, second, "gpu-1", key(2)) == nullptr);
  CHECK(world.core.worker_key("gpu-1")->public_key == key(2));
  CHECK_FALSE(world.core.worker_key("gpu-1")->revoked);
  const auto refused = [&](Event event) {
    const auto effects = world.post(std::move(event));
    const auto* found = CoreWorld::find<Refused>(effects);
    return found == nullptr ? std::optional<NoEffect>() : found->reason;
  };
  CHECK(refused(WorkerKeyRevoked{"gpu-9", "instructor"}) == NoEffect::unknown_worker);
  CHECK_FALSE(refused(WorkerKeyRevoked{"gpu-1", "instructor"}));
  CHECK(refused(WorkerKeyRevoked{"gpu-1", "instructor"}) == NoEffect::nothing_to_change);
  CHECK(refused(EnrolmentRevoked{second, "instructor"}) == NoEffect::nothing_to_change);  // used
  CHECK(refused(EnrolmentRevoked{EnrolmentId{999}, "instructor"}) == NoEffect::unknown_enrolment);
}

TEST_CASE("an enrolment that makes no sense is none, and of each kind of misuse the first is kept") {
  CoreWorld world;
  CHECK_FALSE(enrol(world, 1, "", 0));
  CHECK_FALSE(enrol(world, 1, "", 1441));
  CHECK_FALSE(enrol(world, 1, std::string(65, 'x')));
  const EnrolmentId enrolment = enrol(world, 1, "", 1440);
  REQUIRE(enrolment);
  CHECK(enrol(world, 1) == enrolment);  // the same token: the first stands
  CHECK(use(world, enrolment, "", key(1))->reason == NoEffect::bad_value);
  CHECK(use(world, enrolment, "gpu-1", "short")->reason == NoEffect::bad_value);
  world.post(EnrolmentMisused{enrolment, EnrolmentVerdict::used, "gpu-7"});
  world.post(EnrolmentMisused{enrolment, EnrolmentVerdict::used, "gpu-8"});
  world.post(EnrolmentMisused{enrolment, EnrolmentVerdict::expired, "gpu-8"});
  world.post(EnrolmentMisused{enrolment, EnrolmentVerdict::accepted, "gpu-8"});
  const auto& misuses = world.core.enrolment(enrolment)->misuses;
  REQUIRE(misuses.size() == 2);
  CHECK(misuses[0].worker == "gpu-7");
  CHECK(misuses[1].verdict == EnrolmentVerdict::expired);
}

TEST_CASE("enrolments and keys are bounded: what is over makes room, what is open or in force does not") {
  Limits limits;
  limits.enrolments_max = 2;
  limits.worker_keys_max = 2;
  CoreWorld world(limits);
  const EnrolmentId first = enrol(world, 1), second = enrol(world, 2);
  CHECK_FALSE(enrol(world, 3));  // both are open
  use(world, first, "gpu-1", key(1));
  const EnrolmentId third = enrol(world, 3);
  CHECK(third);
  CHECK(world.core.enrolment(first) == nullptr);
  CHECK(world.core.enrolment(CoreWorld::digest(1)) == nullptr);
  CHECK(world.core.worker_key("gpu-1") != nullptr);  // the key outlives its enrolment
  use(world, second, "gpu-2", key(2));
  CHECK(judge(world, third, "gpu-3", key(3)) == EnrolmentVerdict::full);
  CHECK(use(world, third, "gpu-3", key(3))->reason == NoEffect::container_full);
  world.post(WorkerKeyRevoked{"gpu-2", "instructor"});
  CHECK(use(world, third, "gpu-3", key(3)) == nullptr);
  CHECK(world.core.worker_key("gpu-2") == nullptr);
  CHECK(world.core.worker_key("gpu-1") != nullptr);
}

TEST_CASE("a checkpoint holds enrolments and keys, and a core made of it judges as before") {
  CoreWorld world;
  const EnrolmentId open = enrol(world, 1, "gpu-2"), used = enrol(world, 2);
  use(world, used, "gpu-1", key(1));
  world.post(EnrolmentMisused{used, EnrolmentVerdict::used, "gpu-9"});
  Core restored;
  for (const CheckpointRecord& record : facts(world.core)) restored.import_fact(record);
  restored.finish_import();
  CHECK(facts(restored) == facts(world.core));
  CHECK(restored.enrolment(CoreWorld::digest(1))->enrolment == open);
  CHECK(restored.judge(EnrolmentUsed{used, "gpu-1", key(2)}, world.now) == EnrolmentVerdict::used);
  CHECK(restored.judge(EnrolmentUsed{open, "gpu-2", key(2)}, world.now) == EnrolmentVerdict::accepted);
  CHECK(restored.judge(EnrolmentUsed{open, "gpu-2", key(2)}, world.now + 10 * kMinute) ==
        EnrolmentVerdict::expired);
}

}  // namespace
}  // namespace atelier::core
