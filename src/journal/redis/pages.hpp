// SPDX-License-Identifier: MIT
#pragma once
// What is read from the store: pages of entries and of checkpoint records, attachments.

#include "journal/redis/asking.hpp"
#include "journal/redis/keys.hpp"

namespace atelier::journal::redis {

/// As Journal::read.
[[nodiscard]] awaitable<Result<ReplayPage>> read_page(Asking& redis, const Keys& keys, ReplayCursor cursor);
/// As Journal::attachment.
[[nodiscard]] awaitable<Result<std::shared_ptr<const std::string>>> read_attachment(Asking& redis,
                                                                                    const Keys& keys,
                                                                                    Key128 id);
/// How kAppend takes an attachment. Any thread.
[[nodiscard]] std::string stored_form(const std::string& bytes);
/// Attachments of more bytes than that are packed and unpacked beside the one thread (core.md 9).
inline constexpr std::size_t kPackedHere = 256 << 10;

/// An entry as it lies in the stream.
struct StoredEntry {
  core::Entry entry;
  Digest fingerprint;  // of all that is stored of it
};
/// `reply`: one element of what XRANGE gives. Errors: io (garbage), newer_version.
[[nodiscard]] Result<StoredEntry> entry_of(const redisReply& reply);
/// As entry_of makes it of what is recorded as `entry` with these bytes of its event.
[[nodiscard]] Digest fingerprint_of(const core::Entry& entry, std::string_view event);

}  // namespace atelier::journal::redis
