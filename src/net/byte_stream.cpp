// SPDX-License-Identifier: MIT
#include "net/byte_stream.hpp"

namespace atelier::net {

awaitable<bool> ByteStream::wait(Wait what) {
  auto initiate = [this, what](auto handler) { async_wait(what, WaitHandler(std::move(handler))); };
  auto result = co_await asio::async_initiate<decltype(as_tuple_awaitable), void(boost::system::error_code)>(
      initiate, as_tuple_awaitable);
  co_return !std::get<0>(result);
}

}  // namespace atelier::net
