// SPDX-License-Identifier: MIT
#pragma once
// One thread that carries out what it is given in order: the journal's writer, and its reader (core.md 9).

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

#include "runtime/runtime.hpp"

namespace atelier::journal::sqlite {

class Lane final : public BlockingPool {
 public:
  /// `name` of the thread, at most 15 bytes, as `top -H` shows it.
  explicit Lane(std::string name);
  /// Carries out what waits, then joins.
  ~Lane() override;
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;
  /// Any thread.
  void post(std::move_only_function<void()> work) override;

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::move_only_function<void()>> waiting_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace atelier::journal::sqlite
