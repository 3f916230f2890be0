// SPDX-License-Identifier: MIT
#include "runtime/signal.hpp"

#include <algorithm>

namespace atelier {

awaitable<bool> Signal::wait(Instant deadline) {
  auto timer = runtime_.make_timer();
  timer->expires_at(deadline);
  waiting_.push_back(timer.get());
  // The frame may be destroyed while it waits (shutdown): leave the list then, too.
  struct Leave {
    Signal& signal;
    Timer* timer;
    ~Leave() { std::erase(signal.waiting_, timer); }
  } leave{*this, timer.get()};
  const bool timed_out = co_await timer->wait();
  if (timed_out) co_return false;
  // notify_all() takes its timers out of the list before it cancels them; a cancelled coroutine's is still
  // there.
  co_return std::ranges::find(waiting_, timer.get()) == waiting_.end();
}

void Signal::notify_all() {
  std::vector<Timer*> woken;
  woken.swap(waiting_);
  for (Timer* timer : woken) timer->cancel();
}

}  // namespace atelier
