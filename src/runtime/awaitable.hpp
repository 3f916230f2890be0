// SPDX-License-Identifier: MIT
#pragma once
// The coroutine type of the whole program: asio::awaitable over the concrete executor of one io_context
// (any_io_executor costs up to 8 % per request, net.md 1).

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace atelier {

namespace asio = boost::asio;

using Executor = asio::io_context::executor_type;

template <class T = void>
using awaitable = asio::awaitable<T, Executor>;

/// Throws boost::system::system_error on failure; inside src/net prefer `as_tuple_awaitable`.
inline constexpr asio::use_awaitable_t<Executor> use_awaitable{};
/// co_await op(as_tuple_awaitable) gives a std::tuple<error_code, ...> and does not throw.
inline constexpr asio::as_tuple_t<asio::use_awaitable_t<Executor>> as_tuple_awaitable{
    asio::use_awaitable_t<Executor>{}};

}  // namespace atelier
