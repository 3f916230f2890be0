// SPDX-License-Identifier: MIT
#include "journal/journal.hpp"

#include <fmt/format.h>

namespace atelier::journal {

Key128 new_attachment_id(Runtime& runtime) {
  Key128 id = runtime.random_key();
  id.high = (id.high & 0xffff) | static_cast<std::uint64_t>(runtime.wall().ms) << 16;
  return id;
}

Result<void> check_batch(const Batch& batch) {
  for (const NewEntry& entry : batch) {
    for (const NewAttachment& attachment : entry.attachments) {
      if (!attachment.ref.id || !attachment.bytes || attachment.bytes->size() != attachment.ref.bytes) {
        return fail(Errc::internal, fmt::format("attachment {} has no id or not the bytes it promises",
                                                attachment.ref.id.hex()));
      }
      if (attachment.bytes->size() > kAttachmentBytesMax) {
        return fail(Errc::too_large, fmt::format("attachment {} has {} bytes", attachment.ref.id.hex(),
                                                 attachment.bytes->size()));
      }
    }
  }
  return {};
}

awaitable<Result<void>> Journal::replay(std::function<Result<void>(ReplayPage&)> on_page) {
  ReplayCursor cursor;
  while (true) {
    ATELIER_CO_TRY(ReplayPage page, co_await read(cursor));
    cursor = page.next;
    const bool end = page.end;
    const Sequence given = cursor.after;
    ATELIER_CO_TRY_VOID(on_page(page));
    mark_given(given);
    if (end) co_return Result<void>{};
  }
}

}  // namespace atelier::journal
