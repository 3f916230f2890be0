// SPDX-License-Identifier: MIT
#pragma once
// The engine behind ComfyUI's interface: takes prompts from the queue, one at a time, runs their nodes on the
// compute pool, and sends ComfyUI's events in ComfyUI's order (comfyui-interface.md B3, B5).
//
// Nothing is kept from one prompt to the next: every node of every prompt runs, execution_cached always has
// an empty list. A node's tensors are dropped as soon as nobody needs them any more. No previews are made.
// `progress` events come from slow pictures (more than 50 ms) and from --step-ms, never from quick ones.
// All member functions belong to the io thread.

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "comfy/object_info.hpp"
#include "rehearsal/clients.hpp"
#include "rehearsal/folders.hpp"
#include "rehearsal/node.hpp"
#include "rehearsal/prompt_queue.hpp"
#include "runtime/runtime.hpp"
#include "runtime/signal.hpp"

namespace atelier::rehearsal {

struct EngineOptions {
  Folders folders;
  milliseconds step_time{0};  // added to every node, in ten steps with a progress event each
};

class Engine {
 public:
  Engine(Runtime& runtime, EngineOptions options, Clients& clients);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Runs prompts until stop(). Spawn it once.
  [[nodiscard]] awaitable<void> run();
  /// Interrupts the running prompt and ends run() after it.
  void stop();

  /// What POST /prompt answers: status and body.
  struct Answer {
    unsigned status = 200;
    std::string body;
  };
  [[nodiscard]] Answer submit(std::string_view body);

  /// Empty = whatever runs; else only if that prompt runs now. True if something was told to stop.
  bool interrupt(std::string_view prompt_id);
  /// Waiting or running (0.38's /api/jobs/{id}/cancel): true if there was something to cancel.
  bool cancel(std::string_view prompt_id);
  void clear_queue();
  void remove_from_queue(std::string_view prompt_id);

  [[nodiscard]] PromptQueue& queue();
  [[nodiscard]] const comfy::ObjectInfo& object_info() const;
  /// With the file lists of the input folder as they are now.
  [[nodiscard]] comfy::ObjectInfoView info_view() const;
  /// The node that runs for this client now (ComfyUI tells a socket that connects in mid-run); nullopt if
  /// none.
  [[nodiscard]] std::optional<std::string> current_node(std::string_view sid) const;
  [[nodiscard]] const Folders& folders() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace atelier::rehearsal
