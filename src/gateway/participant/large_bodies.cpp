// SPDX-License-Identifier: MIT
#include "gateway/participant/large_bodies.hpp"

namespace atelier::gateway {
namespace {

// 8 MB in about two minutes and a half: more than the slowest line of a workshop needs.
constexpr milliseconds kHeadStart{30'000};
constexpr std::uint64_t kBytesPerSecondMin = 64 << 10;

}  // namespace

LargeBodies::Room::~Room() {
  if (bodies_ == nullptr) return;
  bodies_->in_work_ -= bytes_;
  bodies_->freed_.notify_all();
}

awaitable<Result<LargeBodies::Room>> LargeBodies::room_for(const net::Request& request,
                                                           std::uint64_t bytes_max) {
  const std::uint64_t bytes = request.content_length.value_or(bytes_max);
  Room room;
  if (bytes <= kSmall || bytes > bytes_max) co_return room;
  const Instant patience = runtime_.now() + kPatience;
  while (in_work_ > 0 && in_work_ + bytes > kInWorkMax) {
    if (!co_await freed_.wait(patience)) {
      co_return fail(Errc::unavailable,
                     "Too many large files and workflows come in at once. Try again in a few seconds.");
    }
  }
  in_work_ += bytes;
  room.bodies_ = this;
  room.bytes_ = bytes;
  room.deadline_ = runtime_.now() + kHeadStart +
                   milliseconds{static_cast<std::int64_t>(bytes * 1000 / kBytesPerSecondMin)};
  co_return room;
}

}  // namespace atelier::gateway
