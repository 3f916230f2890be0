// SPDX-License-Identifier: MIT
#pragma once
// A job's accepted form, out of the journal. Apart from accepted_form.hpp, whose parsers need no workshop.

#include "gateway/worker_link/accepted_form.hpp"
#include "workshop/workshop.hpp"

namespace atelier::gateway {

/// The one that `prompt` of a job names, large ones read on the compute pool. Errors: as read_attachment and
/// read_accepted_form.
[[nodiscard]] awaitable<Result<AcceptedForm>> load_accepted_form(Runtime& runtime,
                                                                 workshop::Workshop& workshop,
                                                                 core::Attachment prompt);

}  // namespace atelier::gateway
