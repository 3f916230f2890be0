// SPDX-License-Identifier: MIT
#pragma once
// The reservation book: bytes and files per participant, and the file system's free space, reserved before
// the first byte comes (design.md 8; reliability.md B4 81). What counts: every file in the participant's four
// folders, outputs of jobs too (which are never refused), and content that an upload of theirs has replaced,
// as long as the store keeps it. Any thread: one small mutex. Reserving does not block on the disk but for
// one statvfs.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

#include "base/hash.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "files/blobs.hpp"
#include "files/data_folder.hpp"

namespace atelier::files {

struct QuotaLimits {
  std::uint64_t bytes = 20ULL << 30;  // per participant (USER_QUOTA); 0 = no limit
  std::uint64_t files = 100'000;      // per participant; 0 = no limit
  // What stays free on the file system, so that journal and logs go on; on a small one at most a twentieth.
  std::uint64_t free_bytes_min = 256ULL << 20;
  std::uint64_t free_files_min = 1'000;
};

struct QuotaUsage {
  std::uint64_t bytes = 0, files = 0;                    // what lies there
  std::uint64_t reserved_bytes = 0, reserved_files = 0;  // promised, not yet settled
};

/// A look through all blobs, for content that nobody has a name for any more and that is still counted.
class KeptRound {
 public:
  /// This blob is still there.
  void saw(const Digest& digest, const FileKey& key);

 private:
  friend class QuotaBook;
  std::map<Digest, std::uint64_t> by_digest_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint64_t> by_inode_;
  std::set<std::uint64_t> not_seen_;  // numbers of charges
};

class QuotaBook;

/// Gives back what was not settled when it goes away. The book must outlive it.
class Reservation {
 public:
  Reservation() = default;
  Reservation(Reservation&& other) noexcept;
  Reservation& operator=(Reservation&& other) noexcept;
  ~Reservation() { release(); }
  /// What really came to lie there (0, 0 = nothing); ends the reservation.
  void settle(std::uint64_t bytes, std::uint64_t files);
  void release() { settle(0, 0); }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  friend class QuotaBook;
  Reservation(QuotaBook& book, ParticipantId participant, std::uint64_t bytes, std::uint64_t files)
      : book_(&book), participant_(participant), bytes_(bytes), files_(files) {}

  QuotaBook* book_ = nullptr;
  ParticipantId participant_;
  std::uint64_t bytes_ = 0, files_ = 0;
};

class QuotaBook {
 public:
  using FreeSpaceProbe = std::function<Result<FreeSpace>()>;
  QuotaBook(const QuotaLimits& limits, FreeSpaceProbe probe) : limits_(limits), probe_(std::move(probe)) {}

  /// True once set_usage was called for the participant.
  [[nodiscard]] bool is_measured(ParticipantId participant) const;
  /// From ParticipantFolders::measure. Only the first call for a participant counts: a second measure that
  /// was under way could miss what was settled meanwhile.
  void set_usage(ParticipantId participant, std::uint64_t bytes, std::uint64_t files);
  /// A file was removed or replaced by a smaller one.
  void give_back(ParticipantId participant, std::uint64_t bytes, std::uint64_t files);
  /// A file came without a reservation: an output. Nothing if the participant is not measured yet.
  void count(ParticipantId participant, std::uint64_t bytes, std::uint64_t files);

  /// Instead of give_back: the file was replaced, and its content stays. It counts until a whole round has
  /// not seen it; content that is counted already is given back at once, and so is what goes beyond kKeptMax.
  /// A restart forgets it.
  void keep(ParticipantId participant, std::uint64_t bytes, const KeptContent& content);
  [[nodiscard]] KeptRound begin_round() const;
  /// After the round has been through all blobs: gives back what it did not see.
  void end_round(const KeptRound& round);
  static constexpr std::size_t kKeptMax = 100'000;

  /// Error disk_full with a sentence for the person: over the participant's quota, or the disk is nearly
  /// full. The sum of usage and reservations never passes a limit, whatever runs in parallel.
  [[nodiscard]] Result<Reservation> reserve(ParticipantId participant, std::uint64_t bytes,
                                            std::uint64_t files = 1);
  /// Only the free space of the file system, e.g. before a prompt is journaled. Error disk_full.
  [[nodiscard]] Result<void> check_free_space(std::uint64_t bytes) const;
  [[nodiscard]] QuotaUsage usage(ParticipantId participant) const;

 private:
  friend class Reservation;
  void settle(ParticipantId participant, std::uint64_t reserved_bytes, std::uint64_t reserved_files,
              std::uint64_t bytes, std::uint64_t files);
  Result<void> check_free_space_locked(std::uint64_t bytes, std::uint64_t files) const;

  struct Account {
    QuotaUsage usage;
    bool measured = false;
  };
  struct Kept {
    ParticipantId participant;
    std::uint64_t bytes = 0;
    KeptContent content;
  };
  void give_back_locked(ParticipantId participant, std::uint64_t bytes, std::uint64_t files);

  const QuotaLimits limits_;
  const FreeSpaceProbe probe_;
  mutable std::mutex mutex_;
  std::map<ParticipantId, Account> accounts_;
  std::map<std::uint64_t, Kept> kept_;  // by number
  KeptRound all_kept_;                  // the same by content
  std::uint64_t last_kept_ = 0;
  std::uint64_t reserved_bytes_ = 0, reserved_files_ = 0;
};

}  // namespace atelier::files
