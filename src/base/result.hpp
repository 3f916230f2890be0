// SPDX-License-Identifier: MIT
#pragma once
// Expected failures are values: Result<T>, and the statement macros that pass an error on (style.md 4).

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace atelier {

/// What kind of failure it was, for programs. The gateway maps each to one HTTP status (gateway/http_errors).
enum class Errc {
  bad_request,   // malformed or meaningless input from a peer
  bad_prompt,    // a prompt that ComfyUI would refuse
  unauthorized,  // no or wrong credentials
  forbidden,     // known, but not allowed; also a path that leaves its folder
  not_found,
  conflict,     // exists already, or contradicts what is there
  too_large,    // above a byte, depth or count limit
  queue_full,   // a cap on waiting jobs
  disk_full,    // no space, no inodes, or a quota
  stale_epoch,  // the lease is not, or no longer, the caller's
  bad_hash,     // bytes differ from the promised digest
  unavailable,  // not now; try again
  timeout,
  cancelled,
  closed,    // the peer or this side closed the stream
  protocol,  // the peer broke the protocol
  unsupported,
  newer_version,  // data written by a newer Atelier
  config,         // wrong configuration: exit code 2
  io,             // the operating system failed
  internal,       // our own mistake, noticed
};

[[nodiscard]] std::string_view to_string(Errc code);

/// `code` for programs, `what` one sentence for the operator or the user.
struct Error {
  Error(Errc error_code, std::string sentence) : code(error_code), what(std::move(sentence)) {}
  Errc code;
  std::string what;
};

template <class T>
using Result = std::expected<T, Error>;

[[nodiscard]] inline std::unexpected<Error> fail(Errc code, std::string what) {
  return std::unexpected(Error{code, std::move(what)});
}

/// An Error from errno: ENOSPC, EDQUOT -> disk_full; ENOENT -> not_found; EACCES, EPERM, EXDEV, ELOOP ->
/// forbidden; EEXIST -> conflict; all else io. `doing` reads like "open /x/y".
[[nodiscard]] Error errno_error(int error_number, std::string_view doing);

}  // namespace atelier

#define ATELIER_CONCAT_(a, b) a##b
#define ATELIER_CONCAT(a, b) ATELIER_CONCAT_(a, b)

/// ATELIER_TRY(auto x, f()); in a function that returns Result.
#define ATELIER_TRY(declaration, ...) \
  ATELIER_TRY_(ATELIER_CONCAT(atelier_result_, __COUNTER__), declaration, return, __VA_ARGS__)
/// The same in a coroutine that returns awaitable<Result<...>>; the expression may hold co_await.
#define ATELIER_CO_TRY(declaration, ...) \
  ATELIER_TRY_(ATELIER_CONCAT(atelier_result_, __COUNTER__), declaration, co_return, __VA_ARGS__)
#define ATELIER_TRY_(name, declaration, leave, ...)          \
  auto name = __VA_ARGS__;                                   \
  if (!name) leave std::unexpected(std::move(name).error()); \
  declaration = std::move(*name)

#define ATELIER_TRY_VOID(...) \
  ATELIER_TRY_VOID_(ATELIER_CONCAT(atelier_result_, __COUNTER__), return, __VA_ARGS__)
#define ATELIER_CO_TRY_VOID(...) \
  ATELIER_TRY_VOID_(ATELIER_CONCAT(atelier_result_, __COUNTER__), co_return, __VA_ARGS__)
#define ATELIER_TRY_VOID_(name, leave, ...) \
  if (auto name = __VA_ARGS__; !name) leave std::unexpected(std::move(name).error())
