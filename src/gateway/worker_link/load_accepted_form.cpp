// SPDX-License-Identifier: MIT
#include "gateway/worker_link/load_accepted_form.hpp"

#include "workshop/read_attachment.hpp"

namespace atelier::gateway {

awaitable<Result<AcceptedForm>> load_accepted_form(Runtime& runtime, workshop::Workshop& workshop,
                                                   core::Attachment prompt) {
  ATELIER_CO_TRY(auto bytes, co_await workshop::read_attachment(runtime, workshop, prompt));
  auto read = [bytes] { return read_accepted_form(bytes); };
  co_return co_await workshop::run_by_size(runtime, bytes->size(), std::move(read));
}

}  // namespace atelier::gateway
