// SPDX-License-Identifier: MIT
#include "journal/redis/pages.hpp"

#include <fmt/format.h>

#include <charconv>

#include "journal/codec.hpp"
#include "journal/packing.hpp"

namespace atelier::journal::redis {
namespace {

constexpr std::size_t kRowsAtOnce = 250;

std::unexpected<Error> at(std::string_view what, std::uint64_t number, Error error) {
  error.what = fmt::format("{} {} of the journal: {}", what, number, error.what);
  return std::unexpected(std::move(error));
}

awaitable<Result<void>> begin(Asking& redis, const Keys& keys, ReplayCursor& cursor) {
  cursor.begun = true;
  if (cursor.after) {
    std::vector<std::string_view> words{"XRANGE", keys.entries, "-", "+", "COUNT", "1"};
    ATELIER_CO_TRY(const Reply reply, co_await redis.ask(std::move(words)));
    if (elements_of(*reply).empty()) co_return Result<void>{};
    ATELIER_CO_TRY(const StoredEntry first, entry_of(*elements_of(*reply)[0]));
    if (first.entry.sequence.value > cursor.after.value + 1) {
      co_return fail(Errc::not_found, fmt::format("entries before {} are pruned: begin with the checkpoint",
                                                  first.entry.sequence));
    }
    co_return Result<void>{};
  }
  std::vector<std::string_view> words{"HMGET", keys.head, "checkpoint", "upto"};
  ATELIER_CO_TRY(const Reply reply, co_await redis.ask(std::move(words)));
  const auto fields = elements_of(*reply);
  if (fields.size() != 2 || number_of(*fields[0]) == 0) co_return Result<void>{};
  cursor.checkpoint = number_of(*fields[0]);
  cursor.after = {number_of(*fields[1])};
  cursor.gapless = true;
  co_return Result<void>{};
}

awaitable<Result<void>> read_records(Asking& redis, const Keys& keys, ReplayCursor& cursor,
                                     ReplayPage& page) {
  const std::string list = keys.checkpoint(cursor.checkpoint);
  std::size_t bytes = 0;
  while (page.records.size() < kPageRows && bytes < kPageBytes) {
    const std::string first = std::to_string(cursor.row);
    const std::size_t wanted = std::min(kRowsAtOnce, kPageRows - page.records.size());
    const std::string last = std::to_string(cursor.row + wanted - 1);
    std::vector<std::string_view> words{"LRANGE", list, first, last};
    ATELIER_CO_TRY(const Reply rows, co_await redis.ask(std::move(words)));
    // Asked afterwards: what was read is of this checkpoint only if it is still the valid one.
    std::vector<std::string_view> which{"HGET", keys.head, "checkpoint"};
    ATELIER_CO_TRY(const Reply present, co_await redis.ask(std::move(which)));
    if (number_of(*present) != cursor.checkpoint)
      co_return fail(Errc::conflict, "the checkpoint was replaced while it was read");
    for (const redisReply* row : elements_of(*rows)) {
      auto record = decode_record(text_of(*row));
      if (!record && !page.records.empty()) co_return Result<void>{};  // those first; then it is met again
      if (!record) co_return at("checkpoint record", cursor.row, std::move(record).error());
      page.records.push_back(std::move(*record));
      bytes += text_of(*row).size();
      ++cursor.row;
    }
    if (elements_of(*rows).size() < wanted) {
      cursor.checkpoint = 0;  // the entries are next
      break;
    }
  }
  co_return Result<void>{};
}

awaitable<Result<void>> read_entries(Asking& redis, const Keys& keys, ReplayCursor& cursor,
                                     ReplayPage& page) {
  std::size_t bytes = 0;
  while (page.entries.size() < kPageRows && bytes < kPageBytes) {
    const std::string first = fmt::format("({}-0", cursor.after.value);
    const std::size_t wanted = std::min(kRowsAtOnce, kPageRows - page.entries.size());
    const std::string count = std::to_string(wanted);
    std::vector<std::string_view> words{"XRANGE", keys.entries, first, "+", "COUNT", count};
    ATELIER_CO_TRY(const Reply rows, co_await redis.ask(std::move(words)));
    for (const redisReply* row : elements_of(*rows)) {
      auto stored = entry_of(*row);
      if (stored && cursor.gapless && stored->entry.sequence.value != cursor.after.value + 1)
        stored = at("entry", cursor.after.value + 1, {Errc::io, "it is missing"});
      if (!stored && !page.entries.empty()) co_return Result<void>{};
      if (!stored) co_return std::unexpected(std::move(stored).error());
      cursor.after = stored->entry.sequence;
      cursor.gapless = true;
      page.entries.push_back(std::move(stored->entry));
      bytes += row->element[1]->elements > 9 ? text_of(*row->element[1]->element[9]).size() : 0;
    }
    if (elements_of(*rows).size() < wanted) {
      page.end = true;
      break;
    }
  }
  co_return Result<void>{};
}

}  // namespace

Digest fingerprint_of(const core::Entry& entry, std::string_view event) {
  std::string text = fmt::format("{} {} {} {} {} ", entry.sequence, entry.time.ms, entry.wall.ms,
                                 entry.origin.gateway, entry.origin.ticket);
  text += event;
  return sha256(text);
}

Result<StoredEntry> entry_of(const redisReply& reply) {
  const auto row = elements_of(reply);
  const std::uint64_t sequence = row.size() == 2 ? number_of(*row[0]) : 0;  // "17-0": up to the hyphen
  const auto fields = row.size() == 2 ? elements_of(*row[1]) : row;
  constexpr std::string_view kNames = "twgne";
  bool known = sequence != 0 && fields.size() == 2 * kNames.size();
  for (std::size_t i = 0; known && i < kNames.size(); ++i)
    known = text_of(*fields[2 * i]) == kNames.substr(i, 1);
  if (!known) return at("entry", sequence, {Errc::io, "it holds fields that mean nothing"});
  const std::string_view payload = text_of(*fields[9]);
  auto event = decode_event(payload);
  if (!event) return at("entry", sequence, std::move(event).error());
  StoredEntry out;
  out.entry.sequence = {sequence};
  out.entry.time = {static_cast<std::int64_t>(number_of(*fields[1]))};
  out.entry.wall = {static_cast<std::int64_t>(number_of(*fields[3]))};
  out.entry.origin = {{number_of(*fields[5])}, number_of(*fields[7])};
  out.entry.event = std::move(*event);
  out.fingerprint = fingerprint_of(out.entry, payload);
  return out;
}

awaitable<Result<ReplayPage>> read_page(Asking& redis, const Keys& keys, ReplayCursor cursor) {
  ReplayPage page;
  if (!cursor.begun) ATELIER_CO_TRY_VOID(co_await begin(redis, keys, cursor));
  if (cursor.checkpoint != 0) {
    ATELIER_CO_TRY_VOID(co_await read_records(redis, keys, cursor, page));
  } else {
    ATELIER_CO_TRY_VOID(co_await read_entries(redis, keys, cursor, page));
  }
  page.next = cursor;
  co_return page;
}

std::string stored_form(const std::string& bytes) {
  Packer packer;
  const Packed packed = packer.pack(bytes);
  std::string out = fmt::format("{}:", packed.unpacked);
  out += packed.bytes;
  return out;
}

awaitable<Result<std::shared_ptr<const std::string>>> read_attachment(Asking& redis, const Keys& keys,
                                                                      Key128 id) {
  const std::string key = keys.attachment(id);
  std::vector<std::string_view> words{"GET", key};
  ATELIER_CO_TRY(const Reply reply, co_await redis.ask(std::move(words)));
  if (reply->type == REDIS_REPLY_NIL)
    co_return fail(Errc::not_found, fmt::format("there is no attachment {}", id.hex()));
  const std::string_view stored = text_of(*reply);
  Packed packed;
  const auto parsed = std::from_chars(stored.data(), stored.data() + stored.size(), packed.unpacked);
  const auto head = static_cast<std::size_t>(parsed.ptr - stored.data());
  if (parsed.ec != std::errc{} || head >= stored.size() || stored[head] != ':')
    co_return fail(Errc::io, fmt::format("attachment {} is damaged", id.hex()));
  packed.bytes = stored.substr(head + 1);
  auto work = [packed] { return unpack(packed); };
  Result<std::shared_ptr<const std::string>> content;
  if (stored.size() <= kPackedHere) {
    content = work();
  } else {
    content = co_await run_blocking(redis.runtime().compute_pool(), std::move(work));
  }
  if (!content) content.error().what = fmt::format("attachment {} {}", id.hex(), content.error().what);
  co_return content;
}

}  // namespace atelier::journal::redis
