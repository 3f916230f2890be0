// SPDX-License-Identifier: MIT
// /api/v1/workers.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/log.hpp"
#include "comfy/json.hpp"
#include "gateway/instructor/api_views.hpp"
#include "gateway/instructor/instructor_impl.hpp"
#include "gateway/worker_link/worker_link.hpp"

namespace atelier::gateway {

awaitable<net::Response> InstructorFace::Impl::get_workers(ApiCall& /*call*/) {
  std::vector<std::string> list;
  const core::Core& core = workshop.core();
  core.each_worker([&](const core::WorkerFacts& worker) { list.push_back(worker_view(core, worker)); });
  co_return api_json(200, fmt::format(R"({{"workers":[{}],{}}})", fmt::join(list, ","), tail()));
}

awaitable<net::Response> InstructorFace::Impl::get_worker(ApiCall& call) {
  const core::WorkerFacts* worker = workshop.core().worker(call.captures.front());
  if (worker == nullptr) {
    const Problem nothing(404,
                          fmt::format("No worker with the name {} has ever joined.", call.captures.front()));
    co_return problem_response(nothing);
  }
  co_return api_json(200,
                     fmt::format(R"({{"worker":{},{}}})", worker_view(workshop.core(), *worker), tail()));
}

awaitable<net::Response> InstructorFace::Impl::patch_worker(ApiCall& call) {
  const auto draining = call.fields.boolean("draining");
  const auto paused = call.fields.boolean("paused");
  auto tags = call.fields.words("tags", 16, 64);
  if (const auto wrong = call.fields.wrong()) co_return problem_response(*wrong);
  const core::WorkerFacts* worker = workshop.core().worker(call.captures.front());
  if (worker == nullptr) co_return co_await get_worker(call);  // which says so
  const WorkerId id = worker->worker;
  const std::string by = call.caller.name();
  std::vector<core::Event> wanted;
  std::vector<std::string> before;
  if (draining && *draining != worker->draining) {
    before.push_back(fmt::format(R"("draining":{})", worker->draining));
    wanted.emplace_back(core::WorkerDraining{id, *draining, by});
  }
  if (paused && *paused != worker->paused) {
    before.push_back(fmt::format(R"("paused":{})", worker->paused));
    wanted.emplace_back(core::WorkerPaused{id, *paused, by});
  }
  if (tags && *tags != worker->tags) {
    before.push_back(fmt::format(R"("tags":{})", comfy::quote_json_list(worker->tags)));
    wanted.emplace_back(core::WorkerTags{id, std::move(*tags)});
  }
  Done done;
  done.changed = !wanted.empty();
  if (done.changed)
    done.undo = Undo{"PATCH", "/workers/" + net::percent_encode(worker->name), object_of(before)};
  const auto recorded = co_await record(std::move(wanted));
  if (!recorded && recorded.error().code != Errc::conflict) {
    const Problem problem = problem_of(recorded.error());
    co_return problem_response(problem);
  }
  const core::WorkerFacts* after = workshop.core().worker(id);
  co_return done_answer("worker", after == nullptr ? "null" : worker_view(workshop.core(), *after), done);
}

awaitable<net::Response> InstructorFace::Impl::get_telemetry(ApiCall& call) {
  const std::string& name = call.captures.front();
  if (workshop.core().worker(name) == nullptr) co_return co_await get_worker(call);  // which says so
  const auto readings = worker_link == nullptr ? std::nullopt : worker_link->readings(name);
  co_return api_json(
      200, fmt::format(R"({{"telemetry":{},{}}})", readings ? readings_view(*readings) : "null", tail()));
}

awaitable<net::Response> InstructorFace::Impl::get_engine_log(ApiCall& call) {
  const std::string& name = call.captures.front();
  if (workshop.core().worker(name) == nullptr) co_return co_await get_worker(call);  // which says so
  std::vector<std::string> slots;
  if (worker_link != nullptr) {
    for (const EngineLines& engine : worker_link->engine_lines(name)) {
      slots.push_back(
          fmt::format(R"({{"slot":{},"lines":{}}})", engine.slot, comfy::quote_json_list(engine.lines)));
    }
  }
  co_return api_json(200, fmt::format(R"({{"slots":[{}],{}}})", fmt::join(slots, ","), tail()));
}

Result<void> InstructorFace::Impl::ask_worker(const std::string& name, WorkerAction action,
                                              std::uint32_t slot, std::uint16_t port) {
  if (worker_link == nullptr) return fail(Errc::conflict, name + " is not connected.");
  switch (action) {
    case WorkerAction::restart_engine:
      return worker_link->restart_engine(name, slot);
    case WorkerAction::free_memory:
      return worker_link->free_memory(name, slot);
    case WorkerAction::add_slot:
      return worker_link->add_slot(name, port);
    case WorkerAction::remove_slot:
      return worker_link->remove_slot(name, slot);
    case WorkerAction::revoke_key:
      break;  // not the agent's to do
  }
  return fail(Errc::internal, "an action without a meaning");
}

awaitable<net::Response> InstructorFace::Impl::post_worker_action(ApiCall& call) {
  call.fields.require("action");
  const auto action = call.fields.choice(
      "action", {WorkerAction::restart_engine, WorkerAction::free_memory, WorkerAction::add_slot,
                 WorkerAction::remove_slot, WorkerAction::revoke_key});
  const auto slot = call.fields.number("slot", 0, link::kSlotsMax - 1);
  const auto port = call.fields.number("port", 1, 65'535);
  const bool adds = action == WorkerAction::add_slot;
  const bool of_key = action == WorkerAction::revoke_key;
  if (of_key && slot) call.fields.complain("slot", "is none of the key's");
  if (adds && slot) call.fields.complain("slot", "is given by the worker when it adds one");
  if (action && !adds && !of_key) call.fields.require("slot");
  if (action && !adds && port) call.fields.complain("port", "belongs to add_slot");
  if (const auto wrong = call.fields.wrong()) co_return problem_response(*wrong);
  const std::string& name = call.captures.front();
  // A key may be there before its worker has ever joined.
  if (of_key && workshop.core().worker_key(name) != nullptr) co_return co_await revoke_key(call);
  if (workshop.core().worker(name) == nullptr) co_return co_await get_worker(call);  // which says so
  if (of_key) co_return co_await revoke_key(call);
  const auto index = static_cast<std::uint32_t>(slot.value_or(0));
  const Result<void> asked = ask_worker(name, *action, index, static_cast<std::uint16_t>(port.value_or(0)));
  if (!asked) {
    const Problem refused(asked.error().code == Errc::not_found ? 404 : 409, asked.error().what);
    co_return problem_response(refused);
  }
  log::info("worker_action",
            {{"worker", name}, {"slot", index}, {"action", to_string(*action)}, {"by", call.caller.name()}});
  co_return api_json(200, fmt::format(R"({{"asked":true,{}}})", tail()));
}

}  // namespace atelier::gateway
