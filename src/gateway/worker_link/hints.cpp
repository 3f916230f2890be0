// SPDX-License-Identifier: MIT
// Hints: what each busy slot will probably run next, so that its agent may fetch inputs while the job before
// still runs (design.md 5.7). They bind nothing; a later one takes the place of an earlier one.
#include <algorithm>

#include "gateway/worker_link/worker_link_impl.hpp"

namespace atelier::gateway {
namespace {

constexpr milliseconds kPause{100};  // between two looks: a burst of submits is one change
constexpr milliseconds kIdle{3'600'000};

}  // namespace

awaitable<void> WorkerLink::Impl::watch_hints() {
  while (!stopping) {
    while (!hints_dirty) {
      [[maybe_unused]] const bool woken = co_await wake_hints.wait(runtime.now() + kIdle);
    }
    hints_dirty = false;
    const std::vector<core::LikelyNext> likely = workshop.core().likely_next(workshop.now());
    for (const auto& [link, session] : by_link) {
      for (const link::HelloSlot& slot : session->slots) {
        core::LikelyNext next;  // job 0: nothing
        next.slot = SlotId{session->worker, slot.slot};
        const auto found = std::ranges::find(likely, next.slot, &core::LikelyNext::slot);
        if (found != likely.end()) next = *found;
        core::LikelyNext& sent = session->hints[slot.slot];
        if (sent.job == next.job && sent.epoch == next.epoch) continue;
        sent = next;
        tasks.spawn("hint", send_hint(session, next));
      }
    }
    [[maybe_unused]] const bool slept = co_await runtime.sleep_for(kPause);
  }
}

awaitable<void> WorkerLink::Impl::send_hint(SessionPtr session, core::LikelyNext next) {
  link::Hint hint;
  hint.slot = next.slot.index;
  hint.job = next.job;
  hint.epoch = next.epoch;
  if (next.job) {
    const auto form = co_await accepted_form(next.job);
    if (!form) co_return;  // it has ended meanwhile
    const core::LikelyNext& sent = session->hints[hint.slot];
    if (sent.job != next.job || sent.epoch != next.epoch) co_return;  // a newer one is on its way
    hint.inputs = (*form)->pins;
  }
  session->send(link::GatewayMessage{std::move(hint)});
}

}  // namespace atelier::gateway
