// SPDX-License-Identifier: MIT
#include "base/result.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

namespace atelier {

std::string_view to_string(Errc code) {
  switch (code) {
    case Errc::bad_request:
      return "bad_request";
    case Errc::bad_prompt:
      return "bad_prompt";
    case Errc::unauthorized:
      return "unauthorized";
    case Errc::forbidden:
      return "forbidden";
    case Errc::not_found:
      return "not_found";
    case Errc::conflict:
      return "conflict";
    case Errc::too_large:
      return "too_large";
    case Errc::queue_full:
      return "queue_full";
    case Errc::disk_full:
      return "disk_full";
    case Errc::stale_epoch:
      return "stale_epoch";
    case Errc::bad_hash:
      return "bad_hash";
    case Errc::unavailable:
      return "unavailable";
    case Errc::timeout:
      return "timeout";
    case Errc::cancelled:
      return "cancelled";
    case Errc::closed:
      return "closed";
    case Errc::protocol:
      return "protocol";
    case Errc::unsupported:
      return "unsupported";
    case Errc::newer_version:
      return "newer_version";
    case Errc::config:
      return "config";
    case Errc::io:
      return "io";
    case Errc::internal:
      return "internal";
  }
  return "internal";
}

Error errno_error(int error_number, std::string_view doing) {
  Errc code = Errc::io;
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      code = Errc::disk_full;
      break;
    case ENOENT:
    case ENOTDIR:
      code = Errc::not_found;
      break;
    case EACCES:
    case EPERM:
    case EXDEV:
    case ELOOP:
      code = Errc::forbidden;
      break;
    case EEXIST:
      code = Errc::conflict;
      break;
    default:
      break;
  }
  return Error{code, fmt::format("{}: {}", doing, std::strerror(error_number))};
}

}  // namespace atelier
