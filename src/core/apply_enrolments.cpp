// SPDX-License-Identifier: MIT
// How the keys of workers come to be known, and cease to be (reliability.md 42, C8).
#include <algorithm>

#include "core/application.hpp"

namespace atelier::core {
namespace {

constexpr std::size_t kNameBytesMax = 64, kPublicKeyDigits = 64;

bool is_over(const EnrolmentFacts& enrolment, Time now) {
  return enrolment.state != EnrolmentState::open || now >= enrolment.expires;
}

EnrolmentVerdict judge_use(const Core::State& state, const EnrolmentUsed& use, Time now) {
  const auto found = state.enrolments.find(use.enrolment);
  if (found == state.enrolments.end()) return EnrolmentVerdict::unknown;
  const EnrolmentFacts& enrolment = found->second;
  const auto key = state.worker_keys.find(use.worker);
  const bool known = key != state.worker_keys.end();
  const bool pinned = known && !key->second.revoked;
  const bool own = known && key->second.public_key == use.public_key;
  if (pinned && own) return EnrolmentVerdict::repeated;
  if (enrolment.state == EnrolmentState::used) return EnrolmentVerdict::used;
  if (enrolment.state == EnrolmentState::revoked) return EnrolmentVerdict::revoked;
  if (is_over(enrolment, now)) return EnrolmentVerdict::expired;
  if (!enrolment.worker.empty() && enrolment.worker != use.worker) return EnrolmentVerdict::other_worker;
  // Nor does any token take the name of a worker that has joined without a key.
  const bool joined = !known && state.worker_names.contains(use.worker);
  if (pinned || (joined && enrolment.worker.empty())) return EnrolmentVerdict::name_taken;
  if (own) return EnrolmentVerdict::key_revoked;
  const bool room = known || state.worker_keys.size() < state.limits.worker_keys_max ||
                    std::ranges::any_of(state.worker_keys, [](const auto& e) { return e.second.revoked; });
  return room ? EnrolmentVerdict::accepted : EnrolmentVerdict::full;
}

}  // namespace

EnrolmentVerdict Core::judge(const EnrolmentUsed& use, Time now) const {
  return judge_use(*state_, use, now);
}

bool Application::make_room_for_enrolment() {
  if (state_.enrolments.size() < state_.limits.enrolments_max) return true;
  const auto old = std::ranges::find_if(
      state_.enrolments, [this](const auto& entry) { return is_over(entry.second, entry_.time); });
  if (old == state_.enrolments.end()) return false;
  state_.enrolment_tokens.erase(old->second.token);
  state_.enrolments.erase(old);
  return true;
}

void Application::on(const EnrolmentMade& event) {
  if (!event.token || event.worker.size() > kNameBytesMax || event.lifetime_ms == 0 ||
      event.lifetime_ms > kEnrolmentLifetimeMaxMs || state_.enrolment_tokens.contains(event.token))
    return refuse(NoEffect::bad_value);
  if (!make_room_for_enrolment()) return refuse(NoEffect::container_full);
  const milliseconds lifetime{static_cast<std::int64_t>(event.lifetime_ms)};
  EnrolmentFacts facts;
  facts.enrolment = EnrolmentId{entry_.sequence.value};
  facts.token = event.token;
  facts.worker = event.worker;
  facts.by = event.by;
  facts.expires = entry_.time + lifetime;
  facts.made_wall = entry_.wall;
  facts.expires_wall = entry_.wall + lifetime;
  state_.enrolment_tokens.emplace(event.token, facts.enrolment);
  state_.enrolments.emplace(facts.enrolment, std::move(facts));
  accept();
  effect(WorkshopChanged{});
}

void Application::on(const EnrolmentUsed& event) {
  if (event.worker.empty() || event.worker.size() > kNameBytesMax ||
      event.public_key.size() != kPublicKeyDigits)
    return refuse(NoEffect::bad_value);
  switch (judge_use(state_, event, entry_.time)) {
    case EnrolmentVerdict::accepted:
      break;
    case EnrolmentVerdict::repeated:
      return refuse(NoEffect::nothing_to_change);
    case EnrolmentVerdict::unknown:
      return refuse(NoEffect::unknown_enrolment);
    case EnrolmentVerdict::full:
      return refuse(NoEffect::container_full);
    case EnrolmentVerdict::used:
    case EnrolmentVerdict::expired:
    case EnrolmentVerdict::revoked:
    case EnrolmentVerdict::other_worker:
    case EnrolmentVerdict::name_taken:
    case EnrolmentVerdict::key_revoked:
      return refuse(NoEffect::enrolment_refused);
  }
  EnrolmentFacts& enrolment = state_.enrolments.at(event.enrolment);
  enrolment.state = EnrolmentState::used;
  enrolment.used_by = event.worker;
  enrolment.public_key = event.public_key;
  enrolment.over_wall = entry_.wall;
  if (!state_.worker_keys.contains(event.worker) &&
      state_.worker_keys.size() >= state_.limits.worker_keys_max) {
    // There is one: the verdict says so.
    state_.worker_keys.erase(
        std::ranges::find_if(state_.worker_keys, [](const auto& entry) { return entry.second.revoked; }));
  }
  WorkerKeyFacts key;
  key.worker = event.worker;
  key.public_key = event.public_key;
  key.enrolment = event.enrolment;
  key.pinned_wall = entry_.wall;
  state_.worker_keys.insert_or_assign(event.worker, std::move(key));
  accept();
  effect(WorkshopChanged{});
}

void Application::on(const EnrolmentRevoked& event) {
  const auto found = state_.enrolments.find(event.enrolment);
  if (found == state_.enrolments.end()) return refuse(NoEffect::unknown_enrolment);
  if (is_over(found->second, entry_.time)) return refuse(NoEffect::nothing_to_change);
  found->second.state = EnrolmentState::revoked;
  found->second.over_wall = entry_.wall;
  accept();
  effect(WorkshopChanged{});
}

void Application::on(const EnrolmentMisused& event) {
  if (!is_misuse(event.verdict) || event.worker.size() > kNameBytesMax) return refuse(NoEffect::bad_value);
  const auto found = state_.enrolments.find(event.enrolment);
  if (found == state_.enrolments.end()) return refuse(NoEffect::unknown_enrolment);
  std::vector<EnrolmentMisuse>& misuses = found->second.misuses;
  if (std::ranges::find(misuses, event.verdict, &EnrolmentMisuse::verdict) != misuses.end())
    return refuse(NoEffect::nothing_to_change);
  misuses.push_back({event.verdict, event.worker, entry_.wall});
  accept();
  effect(WorkshopChanged{});
}

void Application::on(const WorkerKeyRevoked& event) {
  const auto found = state_.worker_keys.find(event.worker);
  if (found == state_.worker_keys.end()) return refuse(NoEffect::unknown_worker);
  if (found->second.revoked) return refuse(NoEffect::nothing_to_change);
  found->second.revoked = true;
  found->second.revoked_wall = entry_.wall;
  accept();
  effect(WorkshopChanged{});
}

}  // namespace atelier::core
