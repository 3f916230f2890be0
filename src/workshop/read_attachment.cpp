// SPDX-License-Identifier: MIT
#include "workshop/read_attachment.hpp"

#include <fmt/format.h>

namespace atelier::workshop {

awaitable<Result<std::shared_ptr<const std::string>>> read_attachment(Runtime& runtime, Workshop& workshop,
                                                                      core::Attachment attachment) {
  ATELIER_CO_TRY(auto bytes, co_await workshop.attachment(attachment.id));
  auto is_whole = [bytes, attachment] {
    return bytes->size() == attachment.bytes && sha256(*bytes) == attachment.digest;
  };
  const bool whole = co_await run_by_size(runtime, bytes->size(), std::move(is_whole));
  if (whole) co_return bytes;
  co_return fail(Errc::io,
                 fmt::format("attachment {} is damaged; see `atelier journal check`", attachment.id.hex()));
}

}  // namespace atelier::workshop
