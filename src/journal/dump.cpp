// SPDX-License-Identifier: MIT
#include "journal/dump.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "journal/json.hpp"

namespace atelier::journal {
namespace {

constexpr std::size_t kProblemsMax = 100;

/// Where a reading of entries alone begins: before the first one, whatever checkpoint there is.
ReplayCursor entries_after(Sequence after) {
  ReplayCursor cursor;
  cursor.begun = true;
  cursor.after = after;
  return cursor;
}

template <class Recorded>
Result<void> dump_one(StoreReader& reader, const DumpOptions& options, const Recorded& recorded,
                      const std::vector<core::Attachment>& named,
                      const std::function<Result<void>(std::string_view line)>& write) {
  ATELIER_TRY_VOID(write(to_json(recorded)));
  if (!options.attachments) return {};
  for (const core::Attachment& attachment : named) {
    auto bytes = reader.attachment(attachment.id);
    if (!bytes && bytes.error().code == Errc::not_found) continue;  // pruned: `check` tells
    if (!bytes) return std::unexpected(std::move(bytes).error());
    ATELIER_TRY_VOID(write(attachment_to_json(attachment.id, **bytes)));
  }
  return {};
}

class Checker {
 public:
  explicit Checker(StoreReader& reader) : reader_(reader) {}

  CheckReport run() {
    read_all(entries_after({}));
    read_all({});
    if (auto store = reader_.verify(); !store) {
      problem(store.error().what);
    } else {
      for (std::string& sentence : *store) problem(std::move(sentence));
    }
    return std::move(report_);
  }

 private:
  void read_all(ReplayCursor cursor) {
    const bool only_records = !cursor.begun;
    while (true) {
      auto page = reader_.read(cursor);
      if (!page) return problem(page.error().what);
      for (const auto& record : page->records) {
        ++report_.records;
        look_at(record, page->next.after);
        for (const core::Attachment& attachment : attachments_of(record))
          look_at(attachment, "a checkpoint record");
      }
      if (only_records && !page->entries.empty()) return;
      for (const core::Entry& entry : page->entries) look_at(entry);
      if (page->end) return;
      cursor = page->next;
    }
  }

  void look_at(const core::CheckpointRecord& record, Sequence upto) {
    const auto* workshop = std::get_if<core::WorkshopFacts>(&record);
    if (workshop == nullptr || workshop->last_sequence == upto) return;
    problem(fmt::format("the checkpoint is the state after entry {}, its records say after entry {}", upto,
                        workshop->last_sequence));
  }

  void look_at(const core::Entry& entry) {
    const std::uint64_t sequence = entry.sequence.value;
    if (report_.entries > 0 && sequence != report_.last.value + 1) {
      problem(fmt::format("entry {} follows entry {}", sequence, report_.last));
    }
    if (report_.entries > 0 && entry.time < last_time_)
      problem(fmt::format("at entry {} time goes back", sequence));
    ++report_.entries;
    report_.last = entry.sequence;
    last_time_ = entry.time;
    for (const core::Attachment& attachment : attachments_of(entry.event)) {
      look_at(attachment, fmt::format("entry {}", sequence));
    }
  }

  void look_at(const core::Attachment& attachment, std::string_view named_by) {
    auto bytes = reader_.attachment(attachment.id);
    if (!bytes) {
      return problem(
          fmt::format("attachment {} named by {}: {}", attachment.id.hex(), named_by, bytes.error().what));
    }
    ++report_.attachments;
    if ((*bytes)->size() != attachment.bytes || sha256(**bytes) != attachment.digest) {
      problem(fmt::format("attachment {} is not what {} says", attachment.id.hex(), named_by));
    }
  }

  void problem(std::string sentence) {
    // The same place is read twice: as one of all entries, and as one after the checkpoint.
    if (std::ranges::find(report_.problems, sentence) != report_.problems.end()) return;
    if (report_.problems.size() < kProblemsMax) report_.problems.push_back(std::move(sentence));
  }

  StoreReader& reader_;
  CheckReport report_;
  Time last_time_;
};

}  // namespace

Result<void> dump(StoreReader& reader, const DumpOptions& options,
                  const std::function<Result<void>(std::string_view line)>& write) {
  ReplayCursor cursor = options.checkpoint ? ReplayCursor{} : entries_after(options.after);
  while (true) {
    ATELIER_TRY(ReplayPage page, reader.read(cursor));
    for (const auto& record : page.records) {
      ATELIER_TRY_VOID(dump_one(reader, options, record, attachments_of(record), write));
    }
    for (const auto& entry : page.entries) {
      if (entry.sequence <= options.after) continue;
      ATELIER_TRY_VOID(dump_one(reader, options, entry, attachments_of(entry.event), write));
    }
    if (page.end) return {};
    cursor = page.next;
  }
}

CheckReport check(StoreReader& reader) { return Checker(reader).run(); }

}  // namespace atelier::journal
