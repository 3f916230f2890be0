// SPDX-License-Identifier: MIT
#pragma once
// Every spawned coroutine belongs to a group that can cancel it and waits for it at stop (style.md 5).

#include <memory>
#include <string>

#include "runtime/runtime.hpp"

namespace atelier {

class TaskGroup {
 public:
  explicit TaskGroup(Runtime& runtime);
  /// Cancels what still runs; does not wait (frames are destroyed with the io_context).
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  /// Starts `work`; an exception ends it and is logged as `task_failed` with `name` (cancellation is silent).
  /// After stop() nothing new is started.
  void spawn(std::string name, awaitable<void> work);
  /// Cancels all and waits until they have ended or `deadline` came; true if all have ended.
  [[nodiscard]] awaitable<bool> stop(Instant deadline);
  void cancel_all();
  [[nodiscard]] std::size_t size() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace atelier
