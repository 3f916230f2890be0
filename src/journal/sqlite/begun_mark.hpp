// SPDX-License-Identifier: MIT
#pragma once
// A small file beside the database, NAME-begun: that a journal has begun there, and how far it had come. So a
// database that was emptied or removed is not taken for a new workshop, and one whose log was cut, or that an
// older copy replaced, is not taken for whole. It may be behind the database, never ahead: it is written
// after the commit, and synced only when it is made. Blocking; one thread.

#include <string>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "journal/sqlite/lock_file.hpp"

namespace atelier::journal::sqlite {

class BegunMark {
 public:
  BegunMark() = default;
  /// Looks at the mark of `database`; makes none. One that cannot be read is one of a first entry.
  explicit BegunMark(const std::string& database);

  /// The entry up to which the database has been seen; 0: no journal has begun there.
  [[nodiscard]] Sequence upto() const { return upto_; }

  /// Entries up to `sequence` are in the database for good. What cannot be written is left for the next call.
  void raise_to(Sequence sequence);

  /// The database is to be replaced by one that ends with `sequence`: it is so before, and after it. Synced.
  /// Errors: disk_full, io.
  [[nodiscard]] Result<void> lower_to(Sequence sequence);

  /// Before SQLite opens the database, which would make it. Errors: config (it is gone or empty, but had
  /// begun).
  [[nodiscard]] Result<void> refuse_lost_file() const;

  /// What is there ends with `last`, before the mark; 0: it is empty or gone. With what to do.
  [[nodiscard]] std::string lost_after(Sequence last) const;

 private:
  [[nodiscard]] Result<void> make(Sequence sequence);

  std::string database_, path_;
  Sequence upto_;
  OwnedDescriptor file_;  // once something was written
};

}  // namespace atelier::journal::sqlite
