// SPDX-License-Identifier: MIT
#include <algorithm>

#include "base/assert.hpp"
#include "core/application.hpp"

namespace atelier::core {

std::vector<Effect> Application::run() {
  WorkshopFacts& workshop = state_.workshop;
  ATELIER_ASSERT(entry_.sequence > workshop.last_sequence);
  ATELIER_ASSERT(entry_.time >= workshop.last_time);
  workshop.last_sequence = entry_.sequence;
  workshop.last_time = entry_.time;
  workshop.last_wall = entry_.wall;
  std::visit([this](const auto& event) { on(event); }, entry_.event);
  return std::move(effects_);
}

void Application::accept(Accepted accepted) {
  accepted.origin = entry_.origin;
  effect(accepted);
}

void Application::refuse(NoEffect reason, JobId rival) { effect(Refused{entry_.origin, reason, rival}); }

void Application::on(const ParticipantHeld& event) {
  ParticipantFacts& participant = state_.participant(event.participant);
  if (participant.held == event.held) return refuse(NoEffect::nothing_to_change);
  participant.held = event.held;
  if (!event.held) participant.floor = state_.workshop.virtual_time;
  state_.turn_changed(event.participant);
  accept();
  effect(WorkshopChanged{});
}

void Application::on(const ParticipantLimits& event) {
  if (event.weight_milli == 0 || event.weight_milli > kMilliMax) return refuse(NoEffect::bad_value);
  ParticipantFacts& participant = state_.participant(event.participant);
  participant.waiting_max = event.waiting_max;
  participant.running_max = event.running_max;
  participant.weight_milli = event.weight_milli;
  state_.weight_milli_max = std::max(state_.weight_milli_max, event.weight_milli);
  participant.allowance_ms = event.allowance_ms;
  participant.priority = event.priority;
  participant.pinned_worker = event.pinned_worker;
  accept();
  effect(WorkshopChanged{});
}

void Application::on(const ModeChanged& event) {
  if (state_.workshop.mode == event.mode) return refuse(NoEffect::nothing_to_change);
  state_.workshop.mode = event.mode;
  state_.index_waiting();
  accept();
  effect(WorkshopChanged{});
}

void Application::on(const Paused& event) {
  if (state_.workshop.paused == event.paused) return refuse(NoEffect::nothing_to_change);
  state_.workshop.paused = event.paused;
  accept();
  effect(WorkshopChanged{});
}

void Application::on(const EveryoneHeld& event) {
  if (state_.workshop.everyone_held == event.held) return refuse(NoEffect::nothing_to_change);
  state_.workshop.everyone_held = event.held;
  accept();
  effect(WorkshopChanged{});
}

void Application::on(const WorkshopOpened& event) {
  if (state_.workshop.workshop) return refuse(NoEffect::nothing_to_change);
  state_.workshop.workshop = event.workshop;
  accept();
}

void Application::on(const TimetableDue& event) {
  std::vector<std::string>& done = state_.workshop.timetable;
  std::string line = event.date + " " + event.entry;
  if (std::ranges::find(done, line) != done.end()) return refuse(NoEffect::nothing_to_change);
  if (done.size() >= state_.limits.timetable_max) done.erase(done.begin());
  done.push_back(std::move(line));
  accept();
}

void Application::on(const GatewayJoined& event) {
  if (event.alone) {
    // One writer: whoever wrote before is gone, and with it every link.
    state_.gateways.clear();
    for (auto& [id, worker] : state_.workers) worker.link = {};
  }
  const GatewayId id{++state_.workshop.last_gateway};
  GatewayFacts gateway;
  gateway.gateway = id;
  gateway.boot = event.boot;
  state_.gateways.emplace(id, gateway);
  Accepted accepted;
  accepted.gateway = id;
  accept(accepted);
}

void Application::on(const GatewayLost& event) {
  if (state_.gateways.erase(event.gateway) == 0) return refuse(NoEffect::nothing_to_change);
  for (auto& [id, worker] : state_.workers) {
    if (worker.gateway == event.gateway) worker.link = {};
  }
  accept();
  effect(WorkshopChanged{});
}

}  // namespace atelier::core
