// SPDX-License-Identifier: MIT
#pragma once
// The journal: the one ordered list of facts of a workshop, with the attachments that its events name and the
// checkpoints of its state (design.md 7, core.md 7). The workshop's loop is: append -> apply each entry ->
// act -> decide. One Journal belongs to the one thread of its Runtime; what blocks runs on threads of the
// backend's own.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "core/types/events.hpp"
#include "core/types/facts.hpp"
#include "runtime/runtime.hpp"

namespace atelier::journal {

/// Bytes to store in the same transaction as the event that names them. `bytes` holds exactly `ref.bytes`
/// bytes.
struct NewAttachment {
  core::Attachment ref;
  std::shared_ptr<const std::string> bytes;
};

/// One event to record. `attachments`: all that `event` names and that are not stored yet.
struct NewEntry {
  core::Event event;
  core::Origin origin;
  std::vector<NewAttachment> attachments;
};

/// What one commit records, in this order.
using Batch = std::vector<NewEntry>;

/// Where a reading stands: default for the start, else taken from the page before.
struct ReplayCursor {
  std::uint64_t checkpoint = 0;  // whose records are being read; 0 = none, or they have been read
  std::uint64_t row = 0;         // next record of it
  Sequence after;                // entries above this one follow
  bool begun = false;            // set: no checkpoint any more but the one above, whatever entries there are
  bool gapless = false;          // set: the entry after `after` is the next one, or it is missing
};

/// At most 1,000 records or entries (fewer if they are large: about 4 MB; or if the next one is damaged).
struct ReplayPage {
  std::vector<core::CheckpointRecord> records;  // all pages of records come before the first entry
  std::vector<core::Entry> entries;             // by sequence, without gaps
  ReplayCursor next;
  bool end = false;  // nothing was recorded beyond this page when it was read
};

inline constexpr std::size_t kAttachmentBytesMax = 512u << 20;
inline constexpr std::size_t kPageRows = 1'000;
inline constexpr std::size_t kPageBytes = 4u << 20;
/// Slices in which a checkpoint is written, and an old one removed, between commits.
inline constexpr std::size_t kSliceRows = 125;
inline constexpr std::size_t kSliceBytes = 1u << 20;

/// An id for a new attachment: 48 bits of wall time in milliseconds, then 80 random bits (the layout of UUID
/// version 7, RFC 9562, without its marks). In time's order the store's index grows at its end, where wholly
/// random ids, which are just as valid, write pages all over it.
[[nodiscard]] Key128 new_attachment_id(Runtime& runtime);

/// What every backend asks before it stores: each attachment has an id and the bytes that it promises.
/// Errors: internal, too_large (above kAttachmentBytesMax).
[[nodiscard]] Result<void> check_batch(const Batch& batch);

class Journal {
 public:
  virtual ~Journal() = default;

  /// Records `batch` in one commit: all of it or nothing. Durable when it returns. Gives every entry recorded
  /// since the last one that this Journal gave (by append or replay), own ones included, in order; after a
  /// replay to its end that is the batch itself and what other gateways recorded meanwhile. An empty batch
  /// only fetches those. One call at a time keeps the order of the workshop's loop; several are carried out
  /// one after the other. Not cancellable: it waits for the commit. Errors, with nothing of the batch stored:
  ///   disk_full  no space; the next append may succeed
  ///   conflict   an attachment's id is stored already;  too_large, internal  an attachment the store cannot
  ///   take unavailable  the answer was lost or the store was busy: the batch may be stored, the next append
  ///   tells io         the disk failed: latched, every later call fails too, the process must end with code
  ///   74
  [[nodiscard]] virtual awaitable<Result<std::vector<core::Entry>>> append(Batch batch) = 0;

  /// One page from `cursor` (default: from the start). `after` above 0 in a fresh cursor: no checkpoint, only
  /// entries above it; not_found if those are pruned. Errors: newer_version, io (also for garbage in the
  /// store; from then on the journal records nothing), conflict (the checkpoint was replaced meanwhile: begin
  /// again).
  [[nodiscard]] virtual awaitable<Result<ReplayPage>> read(ReplayCursor cursor) = 0;

  /// Reads everything: the valid checkpoint's records, then the entries after it, page by page on this
  /// thread; what it gave is not given by `append` again. Called before the first append. Errors as `read`,
  /// and what `on_page` returns.
  [[nodiscard]] awaitable<Result<void>> replay(std::function<Result<void>(ReplayPage&)> on_page);

  /// The bytes stored under `id`. Errors: not_found, io. Read on a thread of its own where the store has one.
  [[nodiscard]] virtual awaitable<Result<std::shared_ptr<const std::string>>> attachment(Key128 id) = 0;

  /// Returns true when others may have recorded something (then append, if need be an empty batch); false
  /// when the coroutine is cancelled. With a store of one writer it never returns true.
  [[nodiscard]] virtual awaitable<bool> wait() = 0;

  /// Stores `records`, the state after the entry `upto`, in slices between commits, and makes them the valid
  /// checkpoint; the one before is removed in slices. Entries stay. One call at a time, else conflict.
  /// Errors as append; the old checkpoint stays valid then. not_found: `upto` is not recorded.
  [[nodiscard]] virtual awaitable<Result<void>> checkpoint(Sequence upto,
                                                           std::vector<core::CheckpointRecord> records) = 0;

  /// Workshop time now: last recorded + elapsed CLOCK_BOOTTIME. Never goes back.
  [[nodiscard]] virtual Time time() const = 0;
  /// The last entry that this Journal gave, by append or replay (a checkpoint counts as its entry); 0 = none.
  [[nodiscard]] virtual Sequence last() const = 0;
  /// io, newer_version: latched, the process must stop (exit code 74). unavailable: out of reach for now.
  [[nodiscard]] virtual Result<void> healthy() const = 0;

 protected:
  /// replay() has given everything up to `sequence`.
  virtual void mark_given(Sequence sequence) = 0;
};

/// Reads a store page by page without a Runtime: `journal dump`, `journal check`, and the backend's own
/// reader. Blocking; one thread at a time.
class StoreReader {
 public:
  virtual ~StoreReader() = default;
  /// As Journal::read.
  [[nodiscard]] virtual Result<ReplayPage> read(ReplayCursor cursor) = 0;
  /// As Journal::attachment.
  [[nodiscard]] virtual Result<std::shared_ptr<const std::string>> attachment(Key128 id) = 0;
  /// The store's own full check: one sentence for each thing that is wrong. Slow.
  [[nodiscard]] virtual Result<std::vector<std::string>> verify() = 0;
};

}  // namespace atelier::journal
