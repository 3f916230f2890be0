// SPDX-License-Identifier: MIT
#pragma once
// Every SQL statement of the SQLite backend (style.md 8). A schema change is a new migration at the end of
// the list, never an edit of an old one.

#include <cstdint>
#include <iterator>

namespace atelier::journal::sqlite::sql {

/// "Atel": in the header of every database of ours (sqlite.org/fileformat2.html, offset 68).
inline constexpr std::int64_t kApplicationId = 0x4174656c;

/// Migration n brings user_version n to n + 1.
inline constexpr const char* kMigrations[] = {
    R"(
CREATE TABLE entries (
  sequence INTEGER PRIMARY KEY,
  time     INTEGER NOT NULL,  -- workshop time, ms
  wall     INTEGER NOT NULL,  -- Unix time, ms
  kind     INTEGER NOT NULL,
  gateway  INTEGER NOT NULL,
  ticket   INTEGER NOT NULL,
  crc      INTEGER NOT NULL,  -- CRC-32 of payload
  payload  BLOB    NOT NULL
) STRICT;
-- With a rowid: bytes are appended and only the small index takes new rows in the middle. WITHOUT ROWID was measured
-- at half the rate, and ids in time's order (new_attachment_id) help the index.
CREATE TABLE attachments (
  id    BLOB NOT NULL PRIMARY KEY,
  bytes BLOB NOT NULL
) STRICT;
CREATE TABLE checkpoints (
  id    INTEGER PRIMARY KEY,
  upto  INTEGER NOT NULL,     -- state after this entry
  time  INTEGER NOT NULL,     -- of that entry
  wall  INTEGER NOT NULL,
  valid INTEGER NOT NULL      -- 1: the one to start from; at most one
) STRICT;
CREATE TABLE checkpoint_records (
  checkpoint INTEGER NOT NULL REFERENCES checkpoints(id),
  row        INTEGER NOT NULL,
  crc        INTEGER NOT NULL,
  payload    BLOB    NOT NULL,
  PRIMARY KEY (checkpoint, row)
) STRICT, WITHOUT ROWID;
)",
    // 2: attachments may be packed (packing.hpp).
    R"(
-- How many bytes it was; 0: not packed.
ALTER TABLE attachments ADD COLUMN unpacked INTEGER NOT NULL DEFAULT 0;
)",
    // 3: checksums are of the whole row (row_check.hpp); rows of before keep theirs.
    R"(
-- Of the other columns but `valid`; 0: written by an older release.
ALTER TABLE checkpoints ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
)",
};
inline constexpr std::int64_t kSchemaVersion = std::size(kMigrations);

// The writing connection; WAL and FULL are the promise P1, the rest is reliability.md C2. Pages of 8 KB
// were measured at 36,000 submits/s of 2 KB in batches of 32 (bench_journal_append) against 21,000 with 4 KB,
// before attachments were packed; 16 KB gain nothing more. The automatic checkpoint comes after 4 MB of log,
// as 1,000 pages of 4 KB would be.
inline constexpr const char* kWriterSettings = R"(
PRAGMA page_size = 8192;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
PRAGMA trusted_schema = OFF;
PRAGMA wal_autocheckpoint = 500;
PRAGMA journal_size_limit = 67108864;
PRAGMA cache_size = -8000;
PRAGMA temp_store = MEMORY;
)";
inline constexpr const char* kReaderSettings = R"(
PRAGMA query_only = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cache_size = -2000;
)";

inline constexpr const char* kGetApplicationId = "PRAGMA application_id";
inline constexpr const char* kGetUserVersion = "PRAGMA user_version";
inline constexpr const char* kGetJournalMode = "PRAGMA journal_mode";
inline constexpr const char* kCountTables = "SELECT count(*) FROM sqlite_schema";
inline constexpr const char* kQuickCheck = "PRAGMA quick_check(100)";

inline constexpr const char* kBeginWrite = "BEGIN IMMEDIATE";
inline constexpr const char* kBeginRead = "BEGIN";
inline constexpr const char* kCommit = "COMMIT";
inline constexpr const char* kRollback = "ROLLBACK";

inline constexpr const char* kInsertEntry =
    "INSERT INTO entries (sequence, time, wall, kind, gateway, ticket, crc, payload) VALUES (?1, ?2, ?3, ?4, "
    "?5, ?6, ?7, ?8)";
inline constexpr const char* kInsertAttachment =
    "INSERT INTO attachments (id, bytes, unpacked) VALUES (?1, ?2, ?3)";
inline constexpr const char* kLastEntry =
    "SELECT sequence, time, wall, kind, gateway, ticket, crc, payload FROM entries ORDER BY sequence DESC "
    "LIMIT 1";
inline constexpr const char* kNumbersOfEntry = "SELECT time, wall FROM entries WHERE sequence = ?1";
inline constexpr const char* kFirstEntry = "SELECT sequence FROM entries ORDER BY sequence LIMIT 1";
inline constexpr const char* kEntriesAfter =
    "SELECT sequence, time, wall, kind, gateway, ticket, crc, payload FROM entries WHERE sequence > ?1 ORDER "
    "BY sequence LIMIT ?2";
inline constexpr const char* kAttachment = "SELECT bytes, unpacked FROM attachments WHERE id = ?1";

inline constexpr const char* kValidCheckpoint =
    "SELECT id, upto, time, wall, crc FROM checkpoints WHERE valid = 1";
inline constexpr const char* kInvalidCheckpoint =
    "SELECT id FROM checkpoints WHERE valid = 0 ORDER BY id LIMIT 1";
inline constexpr const char* kInsertCheckpoint =
    "INSERT INTO checkpoints (id, upto, time, wall, valid) "
    "SELECT (SELECT coalesce(max(id), 0) + 1 FROM checkpoints), sequence, time, wall, 0 FROM entries WHERE "
    "sequence = ?1 "
    "RETURNING id, time, wall";
inline constexpr const char* kSetChecksumOfCheckpoint = "UPDATE checkpoints SET crc = ?2 WHERE id = ?1";
inline constexpr const char* kInsertCheckpointRecord =
    "INSERT INTO checkpoint_records (checkpoint, row, crc, payload) VALUES (?1, ?2, ?3, ?4)";
inline constexpr const char* kFlipCheckpoint = "UPDATE checkpoints SET valid = (id = ?1)";
inline constexpr const char* kDeleteCheckpointRecords =
    "DELETE FROM checkpoint_records WHERE checkpoint = ?1 AND row IN "
    "(SELECT row FROM checkpoint_records WHERE checkpoint = ?1 ORDER BY row LIMIT ?2)";
inline constexpr const char* kDeleteCheckpoint = "DELETE FROM checkpoints WHERE id = ?1";
inline constexpr const char* kCheckpointRecords =
    "SELECT row, crc, payload FROM checkpoint_records WHERE checkpoint = ?1 AND row >= ?2 ORDER BY row LIMIT "
    "?3";

// Compaction: what no checkpoint needs is removed, and the space goes back to the file system.
inline constexpr const char* kMakeKeepTable = "CREATE TEMP TABLE keep (id BLOB PRIMARY KEY) WITHOUT ROWID";
inline constexpr const char* kKeepAttachment = "INSERT OR IGNORE INTO temp.keep (id) VALUES (?1)";
inline constexpr const char* kDeleteOldEntries =
    "DELETE FROM entries WHERE sequence IN (SELECT sequence FROM entries WHERE sequence < "
    "(SELECT upto FROM checkpoints WHERE valid = 1) ORDER BY sequence LIMIT ?1)";
inline constexpr const char* kDeleteUnnamed =
    "DELETE FROM attachments WHERE rowid IN "
    "(SELECT rowid FROM attachments WHERE id NOT IN (SELECT id FROM temp.keep) LIMIT ?1)";
inline constexpr const char* kCopyInto = "VACUUM INTO ?1";
inline constexpr const char* kTruncateLog = "PRAGMA wal_checkpoint(TRUNCATE)";
inline constexpr const char* kTemporaryFiles = "PRAGMA temp_store = FILE";
inline constexpr const char* kVacuum = "VACUUM";

}  // namespace atelier::journal::sqlite::sql
