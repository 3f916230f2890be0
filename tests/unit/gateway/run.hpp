// SPDX-License-Identifier: MIT
#pragma once
// Runs coroutines to their end on the virtual clock, and reads the bodies of responses.

#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "net/http.hpp"
#include "runtime/virtual_runtime.hpp"

namespace atelier::gateway::test {

/// The result of `work`, which ends at this very instant or as soon as timers let it (60 s at most).
template <class T>
T run(VirtualRuntime& runtime, awaitable<T> work) {
  std::exception_ptr failure;
  std::optional<std::conditional_t<std::is_void_v<T>, bool, T>> result;
  if constexpr (std::is_void_v<T>) {
    asio::co_spawn(runtime.executor(), std::move(work), [&](std::exception_ptr error) {
      failure = error;
      result.emplace(true);
    });
  } else {
    asio::co_spawn(runtime.executor(), std::move(work), [&](std::exception_ptr error, T value) {
      failure = error;
      result.emplace(std::move(value));
    });
  }
  runtime.run_ready();
  for (int i = 0; i < 6'000 && !result; ++i) runtime.advance(milliseconds{10});
  if (failure) std::rethrow_exception(failure);
  if (!result) throw std::runtime_error("the coroutine did not end");
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// All bytes of a body, whatever form it has.
inline std::string read_body(VirtualRuntime& runtime, net::Body& body) {
  if (auto* text = std::get_if<std::string>(&body)) return *text;
  if (auto* shared = std::get_if<net::SharedBody>(&body)) return std::string(shared->view());
  std::string bytes;
  if (auto* file = std::get_if<net::FileBody>(&body)) {
    bytes.resize(file->length);
    const auto read = ::pread(file->fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(file->offset));
    bytes.resize(read < 0 ? 0 : static_cast<std::size_t>(read));
  }
  if (auto* stream = std::get_if<net::StreamBody>(&body)) {
    while (true) {
      auto piece = run(runtime, stream->next());
      if (!piece) throw std::runtime_error(piece.error().what);
      if (piece->empty()) break;
      bytes += *piece;
    }
  }
  return bytes;
}

}  // namespace atelier::gateway::test
