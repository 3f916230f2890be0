// SPDX-License-Identifier: MIT
#include "journal/sqlite/lane.hpp"

#include <pthread.h>

namespace atelier::journal::sqlite {

Lane::Lane(std::string name) : thread_([this] { run(); }) {
  pthread_setname_np(thread_.native_handle(), name.c_str());
}

Lane::~Lane() {
  {
    std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Lane::post(std::move_only_function<void()> work) {
  {
    std::scoped_lock lock(mutex_);
    waiting_.push_back(std::move(work));
  }
  wake_.notify_one();
}

void Lane::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    auto work = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    work();
    work = nullptr;  // what it owns goes here, not under the lock
    lock.lock();
  }
}

}  // namespace atelier::journal::sqlite
