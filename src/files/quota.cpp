// SPDX-License-Identifier: MIT
#include "files/quota.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "files/disk_full_text.hpp"

namespace atelier::files {
namespace {

std::uint64_t minus(std::uint64_t a, std::uint64_t b) { return a - std::min(a, b); }

/// True if `used` + `more` stays within `limit` (0 = none), without overflow.
bool fits(std::uint64_t used, std::uint64_t more, std::uint64_t limit) {
  return limit == 0 || (used <= limit && more <= limit - used);
}

/// A fixed minimum would leave nothing to work with on a small disk.
std::uint64_t kept_free(std::uint64_t least, std::uint64_t total) {
  return total == 0 ? least : std::min(least, total / 20);
}

std::string megabytes(std::uint64_t bytes) { return fmt::format("{} MB", bytes >> 20); }

}  // namespace

Reservation::Reservation(Reservation&& other) noexcept
    : book_(std::exchange(other.book_, nullptr)),
      participant_(other.participant_),
      bytes_(std::exchange(other.bytes_, 0)),
      files_(std::exchange(other.files_, 0)) {}

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  if (this == &other) return *this;
  release();
  book_ = std::exchange(other.book_, nullptr);
  participant_ = other.participant_;
  bytes_ = std::exchange(other.bytes_, 0);
  files_ = std::exchange(other.files_, 0);
  return *this;
}

void Reservation::settle(std::uint64_t bytes, std::uint64_t files) {
  if (book_ == nullptr) return;
  std::exchange(book_, nullptr)
      ->settle(participant_, std::exchange(bytes_, 0), std::exchange(files_, 0), bytes, files);
}

bool QuotaBook::is_measured(ParticipantId participant) const {
  const std::scoped_lock lock(mutex_);
  const auto found = accounts_.find(participant);
  return found != accounts_.end() && found->second.measured;
}

void QuotaBook::set_usage(ParticipantId participant, std::uint64_t bytes, std::uint64_t files) {
  const std::scoped_lock lock(mutex_);
  Account& account = accounts_[participant];
  if (std::exchange(account.measured, true)) return;
  account.usage.bytes = bytes;
  account.usage.files = files;
}

void KeptRound::saw(const Digest& digest, const FileKey& key) {
  if (not_seen_.empty()) return;
  if (const auto same = by_digest_.find(digest); same != by_digest_.end()) not_seen_.erase(same->second);
  if (const auto same = by_inode_.find({key.device, key.inode}); same != by_inode_.end())
    not_seen_.erase(same->second);
}

void QuotaBook::count(ParticipantId participant, std::uint64_t bytes, std::uint64_t files) {
  const std::scoped_lock lock(mutex_);
  const auto found = accounts_.find(participant);
  if (found == accounts_.end() || !found->second.measured) return;
  found->second.usage.bytes += bytes;
  found->second.usage.files += files;
}

void QuotaBook::keep(ParticipantId participant, std::uint64_t bytes, const KeptContent& content) {
  const std::scoped_lock lock(mutex_);
  if (kept_.size() >= kKeptMax) return give_back_locked(participant, bytes, 1);
  const std::pair inode(content.device, content.inode);
  if ((content.digest && all_kept_.by_digest_.contains(content.digest)) ||
      (content.inode != 0 && all_kept_.by_inode_.contains(inode)))
    return give_back_locked(participant, bytes, 1);
  const std::uint64_t number = ++last_kept_;
  if (content.digest) all_kept_.by_digest_.emplace(content.digest, number);
  if (content.inode != 0) all_kept_.by_inode_.emplace(inode, number);
  kept_.emplace(number, Kept{participant, bytes, content});
  all_kept_.not_seen_.insert(number);
}

KeptRound QuotaBook::begin_round() const {
  const std::scoped_lock lock(mutex_);
  return all_kept_;
}

void QuotaBook::end_round(const KeptRound& round) {
  const std::scoped_lock lock(mutex_);
  for (const std::uint64_t number : round.not_seen_) {
    const auto gone = kept_.find(number);
    if (gone == kept_.end()) continue;
    const Kept& kept = gone->second;
    give_back_locked(kept.participant, kept.bytes, 1);
    if (kept.content.digest) all_kept_.by_digest_.erase(kept.content.digest);
    if (kept.content.inode != 0) all_kept_.by_inode_.erase({kept.content.device, kept.content.inode});
    all_kept_.not_seen_.erase(number);
    kept_.erase(gone);
  }
}

void QuotaBook::give_back(ParticipantId participant, std::uint64_t bytes, std::uint64_t files) {
  const std::scoped_lock lock(mutex_);
  give_back_locked(participant, bytes, files);
}

void QuotaBook::give_back_locked(ParticipantId participant, std::uint64_t bytes, std::uint64_t files) {
  const auto found = accounts_.find(participant);
  if (found == accounts_.end()) return;
  found->second.usage.bytes = minus(found->second.usage.bytes, bytes);
  found->second.usage.files = minus(found->second.usage.files, files);
}

Result<Reservation> QuotaBook::reserve(ParticipantId participant, std::uint64_t bytes, std::uint64_t files) {
  const std::scoped_lock lock(mutex_);
  const auto found = accounts_.find(participant);
  const QuotaUsage usage = found == accounts_.end() ? QuotaUsage{} : found->second.usage;
  if (!fits(usage.bytes + usage.reserved_bytes, bytes, limits_.bytes)) {
    return fail(
        Errc::disk_full,
        fmt::format(
            "Your folder is full: {} of {} are used and {} more were asked for. Remove some files first.",
            megabytes(usage.bytes + usage.reserved_bytes), megabytes(limits_.bytes), megabytes(bytes)));
  }
  if (!fits(usage.files + usage.reserved_files, files, limits_.files)) {
    return fail(Errc::disk_full,
                fmt::format("Your folder holds {} of at most {} files. Remove some files first.",
                            usage.files + usage.reserved_files, limits_.files));
  }
  ATELIER_TRY_VOID(check_free_space_locked(bytes, files));
  QuotaUsage& booked = accounts_[participant].usage;
  booked.reserved_bytes += bytes;
  booked.reserved_files += files;
  reserved_bytes_ += bytes;
  reserved_files_ += files;
  return Reservation(*this, participant, bytes, files);
}

Result<void> QuotaBook::check_free_space(std::uint64_t bytes) const {
  const std::scoped_lock lock(mutex_);
  return check_free_space_locked(bytes, 1);
}

Result<void> QuotaBook::check_free_space_locked(std::uint64_t bytes, std::uint64_t files) const {
  ATELIER_TRY(const FreeSpace space, probe_());
  const std::uint64_t kept_bytes = kept_free(limits_.free_bytes_min, space.total_bytes);
  const std::uint64_t kept_files = kept_free(limits_.free_files_min, space.total_files);
  const std::uint64_t free_bytes = minus(minus(space.bytes, kept_bytes), reserved_bytes_);
  const std::uint64_t free_files = minus(minus(space.files, kept_files), reserved_files_);
  if (bytes <= free_bytes && files <= free_files && (free_bytes > 0 || limits_.free_bytes_min == 0))
    return {};
  return fail(Errc::disk_full, kDiskFullText);
}

QuotaUsage QuotaBook::usage(ParticipantId participant) const {
  const std::scoped_lock lock(mutex_);
  const auto found = accounts_.find(participant);
  return found == accounts_.end() ? QuotaUsage{} : found->second.usage;
}

void QuotaBook::settle(ParticipantId participant, std::uint64_t reserved_bytes, std::uint64_t reserved_files,
                       std::uint64_t bytes, std::uint64_t files) {
  const std::scoped_lock lock(mutex_);
  QuotaUsage& usage = accounts_[participant].usage;
  usage.reserved_bytes = minus(usage.reserved_bytes, reserved_bytes);
  usage.reserved_files = minus(usage.reserved_files, reserved_files);
  usage.bytes += bytes;
  usage.files += files;
  reserved_bytes_ = minus(reserved_bytes_, reserved_bytes);
  reserved_files_ = minus(reserved_files_, reserved_files);
}

}  // namespace atelier::files
