// SPDX-License-Identifier: MIT
#include "runtime/task_group.hpp"

#include <list>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include "base/log.hpp"
#include "runtime/signal.hpp"

namespace atelier {

struct TaskGroup::Impl {
  explicit Impl(Runtime& r) : runtime(r), ended(r) {}
  struct Task {
    std::string name;
    asio::cancellation_signal cancel;
  };
  Runtime& runtime;
  Signal ended;
  std::list<Task> tasks;
  bool stopping = false;
};

TaskGroup::TaskGroup(Runtime& runtime) : impl_(std::make_shared<Impl>(runtime)) {}
TaskGroup::~TaskGroup() { cancel_all(); }

std::size_t TaskGroup::size() const { return impl_->tasks.size(); }

void TaskGroup::spawn(std::string name, awaitable<void> work) {
  if (impl_->stopping) return;
  auto task = impl_->tasks.emplace(impl_->tasks.end());
  task->name = std::move(name);
  auto finish = [impl = impl_, task](std::exception_ptr error) {
    if (error) {
      try {
        std::rethrow_exception(error);
      } catch (const boost::system::system_error& e) {
        if (e.code() != asio::error::operation_aborted) {
          log::error("task_failed", {{"task", task->name}, {"reason", e.what()}});
        }
      } catch (const std::exception& e) {
        log::error("task_failed", {{"task", task->name}, {"reason", e.what()}});
      }
    }
    impl->tasks.erase(task);
    impl->ended.notify_all();
  };
  asio::co_spawn(impl_->runtime.executor(), std::move(work),
                 asio::bind_cancellation_slot(task->cancel.slot(), std::move(finish)));
}

void TaskGroup::cancel_all() {
  impl_->stopping = true;
  // Posted, because a task may be the caller; by name of the list's elements, which stay until they have
  // ended.
  asio::post(impl_->runtime.executor(), [impl = impl_] {
    for (auto task = impl->tasks.begin(); task != impl->tasks.end();)
      (task++)->cancel.emit(asio::cancellation_type::terminal);
  });
}

awaitable<bool> TaskGroup::stop(Instant deadline) {
  cancel_all();
  while (!impl_->tasks.empty()) {
    if (!co_await impl_->ended.wait(deadline)) co_return impl_->tasks.empty();
  }
  co_return true;
}

}  // namespace atelier
