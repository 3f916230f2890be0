// SPDX-License-Identifier: MIT
#include "workshop/workshop.hpp"

namespace atelier::workshop {

Error error_of(core::NoEffect reason) {
  using core::NoEffect;
  const std::string name(core::to_string(reason));
  switch (reason) {
    case NoEffect::unknown_job:
    case NoEffect::already_ended:
      return {Errc::not_found, "this job has ended or never was (" + name + ")"};
    case NoEffect::stale_epoch:
    case NoEffect::stale_link:
      return {Errc::stale_epoch, "the lease is not the caller's any more (" + name + ")"};
    case NoEffect::unknown_worker:
    case NoEffect::unknown_slot:
      return {Errc::not_found, "no such worker or slot (" + name + ")"};
    case NoEffect::unknown_enrolment:
      return {Errc::not_found, "no such enrolment (" + name + ")"};
    case NoEffect::container_full:
      return {Errc::unavailable, "a limit of the workshop is reached (" + name + ")"};
    case NoEffect::bad_value:
      return {Errc::bad_request, "a value is outside its range (" + name + ")"};
    case NoEffect::live_rival:
    case NoEffect::slot_taken:
    case NoEffect::job_not_queued:
    case NoEffect::already_committed:
    case NoEffect::nothing_to_change:
    case NoEffect::enrolment_refused:
      return {Errc::conflict, "nothing was changed (" + name + ")"};
  }
  return {Errc::internal, name};
}

}  // namespace atelier::workshop
