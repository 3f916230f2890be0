// SPDX-License-Identifier: MIT
#pragma once
// `atelier journal compact`: a database that holds the present state and nothing else (core.md 7).

#include <functional>
#include <string>
#include <vector>

#include "journal/journal.hpp"

namespace atelier::journal::sqlite {

/// The records of the state that the whole store comes to; also the entry that they are the state after.
struct State {
  Sequence upto;
  std::vector<core::CheckpointRecord> records;
};
using StateOf = std::function<Result<State>(StoreReader&)>;

struct CompactReport {
  std::uint64_t records = 0, entries_removed = 0, attachments_removed = 0;
  std::uint64_t bytes_before = 0, bytes_after = 0;  // of the database and its log
};

/// Writes the state as a checkpoint, removes the entries before it but the newest, and the attachments that
/// neither it nor that entry names, and gives the space back. Only while no server runs. Needs about as much
/// free disk as the database has after it. A crash at any moment leaves a journal of the same meaning, and
/// the next call goes on. Blocks. Errors: config (in use by a server, not a journal), newer_version,
/// not_found (no journal there), disk_full, io; those of `state_of`.
[[nodiscard]] Result<CompactReport> compact(const std::string& path, const StateOf& state_of);

}  // namespace atelier::journal::sqlite
