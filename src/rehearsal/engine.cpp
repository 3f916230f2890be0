// SPDX-License-Identifier: MIT
#include "rehearsal/engine.hpp"

#include <boost/json.hpp>

#include "base/log.hpp"
#include "comfy/prompt.hpp"
#include "comfy/validate.hpp"
#include "rehearsal/prompt_run.hpp"

namespace atelier::rehearsal {
namespace {

constexpr Instant kFar{INT64_MAX / 4};

std::string new_uuid(Runtime& runtime) {
  Key128 key = runtime.random_key();
  key.high = (key.high & ~0xF000ULL) | 0x4000ULL;                             // version 4
  key.low = (key.low & 0x3FFF'FFFF'FFFF'FFFFULL) | 0x8000'0000'0000'0000ULL;  // variant of RFC 4122
  return key.uuid();
}

comfy::ObjectInfo parse_own_info() {
  auto info = comfy::ObjectInfo::parse(object_info_text());
  if (!info) log::error("object_info_broken", {{"why", info.error().what}});  // a test parses it, too
  return info ? std::move(*info) : comfy::ObjectInfo();
}

}  // namespace

struct Engine::Impl {
  Impl(Runtime& r, EngineOptions o, Clients& c)
      : runtime(r), options(std::move(o)), clients(c), info(parse_own_info()), interrupt(r), wake(r) {}

  void broadcast_status() { clients.send(std::nullopt, comfy::status_message(queue.remaining())); }

  Runtime& runtime;
  EngineOptions options;
  Clients& clients;
  comfy::ObjectInfo info;
  PromptQueue queue;
  InterruptFlag interrupt;
  Signal wake;
  bool stopping = false;
  std::int64_t counter = 0;  // ComfyUI's `number`
  PromptRun* running = nullptr;
  std::optional<std::string> running_client;
};

Engine::Engine(Runtime& runtime, EngineOptions options, Clients& clients)
    : impl_(std::make_shared<Impl>(runtime, std::move(options), clients)) {}
Engine::~Engine() = default;

awaitable<void> Engine::run() {
  const auto impl = impl_;
  while (!impl->stopping) {
    auto item = impl->queue.take();
    if (!item) {
      static_cast<void>(co_await impl->wake.wait(kFar));
      continue;
    }
    impl->broadcast_status();
    impl->interrupt.wanted = false;
    impl->running_client = item->client_id();
    PromptRun run(impl->runtime, impl->options, impl->clients, impl->info, impl->interrupt, item);
    impl->running = &run;
    const Instant start = impl->runtime.now();
    const Outcome outcome = co_await run.run();
    impl->running = nullptr;
    impl->queue.finish(outcome);
    impl->broadcast_status();
    // ComfyUI: the last word on a prompt, sent after its history can be read (main.py, prompt_worker).
    if (impl->running_client) {
      impl->clients.send(impl->running_client, comfy::executing_end_message(item->prompt_id));
    }
    log::info("prompt_done", {{"prompt_id", item->prompt_id},
                              {"success", outcome.success},
                              {"ms", (impl->runtime.now() - start).count()}});
  }
}

void Engine::stop() {
  impl_->stopping = true;
  impl_->interrupt.set();
  impl_->wake.notify_all();
}

Engine::Answer Engine::submit(std::string_view body) {
  comfy::PromptLimits limits;
  limits.bytes_max = 32u << 20;
  auto request = comfy::parse_prompt_request(body, limits);
  if (!request) return {request.error().code == Errc::too_large ? 413u : 400u, request.error().body()};
  comfy::QueueNumber number;
  if (request->number) {
    number = {*request->number, true};
  } else {  // the counter moves on even if validation refuses the prompt (server.py, post_prompt)
    const auto own = static_cast<double>(impl_->counter++);
    number = {request->front && own != 0 ? -own : own, false};
  }
  const auto exists = [this](comfy::FileType type, std::string_view name) {
    return impl_->options.folders.exists(type, name);
  };
  const auto checked = comfy::validate(*request, impl_->info, exists);
  if (!checked.accepted) return {400, checked.error_body()};
  QueueItem item;
  item.number = number;
  item.prompt_id = request->prompt_id ? *request->prompt_id : new_uuid(impl_->runtime);
  item.workflow_id = request->workflow_id();
  item.create_time = impl_->runtime.wall().ms;
  request->set_create_time(item.create_time);
  item.prompt = std::move(request->prompt);
  item.extra_data = std::move(request->extra_data);
  item.outputs_to_execute = checked.outputs_to_execute;
  Answer answer{200, comfy::prompt_accepted(item.prompt_id, number, checked.node_errors.print())};
  if (!impl_->queue.put(std::move(item))) return {429, R"({"error":"the queue is full"})"};
  impl_->broadcast_status();
  impl_->wake.notify_all();
  return answer;
}

bool Engine::interrupt(std::string_view prompt_id) {
  if (!prompt_id.empty() && !impl_->queue.is_running(prompt_id)) return false;
  impl_->interrupt.set();
  return impl_->running != nullptr;
}

bool Engine::cancel(std::string_view prompt_id) {
  if (impl_->queue.is_running(prompt_id)) return interrupt(prompt_id);
  const auto removed = impl_->queue.remove(prompt_id);
  if (removed == PromptQueue::Removed::no) return false;
  impl_->broadcast_status();
  return true;
}

void Engine::clear_queue() {
  impl_->queue.clear();
  impl_->broadcast_status();
}

void Engine::remove_from_queue(std::string_view prompt_id) {
  const auto removed = impl_->queue.remove(prompt_id);
  if (removed == PromptQueue::Removed::no) return;
  // The last one is removed by wiping the queue, which tells of itself as well (execution.py,
  // delete_queue_item).
  if (removed == PromptQueue::Removed::last) impl_->broadcast_status();
  impl_->broadcast_status();
}

PromptQueue& Engine::queue() { return impl_->queue; }
const comfy::ObjectInfo& Engine::object_info() const { return impl_->info; }
const Folders& Engine::folders() const { return impl_->options.folders; }

comfy::ObjectInfoView Engine::info_view() const {
  comfy::ObjectInfoView view;
  view.files = [impl = impl_](const comfy::FileListKey& key) {
    return impl->options.folders.list(key.folder, key.content, key.subfolder);
  };
  return view;
}

std::optional<std::string> Engine::current_node(std::string_view sid) const {
  if (impl_->running == nullptr || impl_->running_client != sid || impl_->running->current_node().empty()) {
    return std::nullopt;
  }
  return impl_->running->current_node();
}

}  // namespace atelier::rehearsal
