// SPDX-License-Identifier: MIT
#include "journal/redis/asking.hpp"

namespace atelier::journal::redis {

awaitable<Turnstile::Pass> Turnstile::enter(Instant deadline) {
  const std::uint64_t ticket = ++last_;
  queue_.push_back(ticket);
  while (taken_ || queue_.front() != ticket) {
    if (co_await free_.wait(deadline)) continue;
    std::erase(queue_, ticket);
    free_.notify_all();
    co_return Pass(nullptr);
  }
  queue_.pop_front();
  taken_ = true;
  co_return Pass(this);
}

void Turnstile::leave() {
  taken_ = false;
  free_.notify_all();
}

awaitable<Result<Reply>> Asking::ask(std::vector<std::string_view> words) {
  const Instant deadline = runtime_.now() + options_.patience;
  const Turnstile::Pass pass = co_await turnstile_.enter(deadline);
  if (!pass) co_return fail(Errc::unavailable, "Redis does not answer those who asked before");
  const bool kept = connection_ && connection_->is_open();
  for (const bool last : {!kept, true}) {
    if (closed_) break;
    if (!connection_ || !connection_->is_open()) {
      ATELIER_CO_TRY(connection_, co_await Connection::open(runtime_, sweep_, options_));
      if (closed_) break;
    }
    const milliseconds left = std::max(deadline - runtime_.now(), milliseconds{1});
    auto reply = co_await connection_->command(words, left);
    if (reply || last || connection_->is_open()) co_return reply;
  }
  co_return fail(Errc::unavailable, "the connection to Redis was closed here");
}

void Asking::close() {
  closed_ = true;
  if (connection_) connection_->close();
}

}  // namespace atelier::journal::redis
