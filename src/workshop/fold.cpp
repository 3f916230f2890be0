// SPDX-License-Identifier: MIT
#include "workshop/fold.hpp"

#include <fmt/format.h>

namespace atelier::workshop {

Result<void> Fold::apply(const journal::ReplayPage& page) {
  for (const core::CheckpointRecord& record : page.records) {
    importing_ = true;
    upto_ = page.next.after;
    core.import_fact(record);
    if (const auto* summary = std::get_if<core::Summary>(&record)) history.import_summary(*summary);
  }
  if (!page.entries.empty()) ATELIER_TRY_VOID(finish());
  for (const core::Entry& entry : page.entries) {
    ATELIER_TRY_VOID(check(entry));
    history.apply(core.apply(entry));
    ++entries;
  }
  return {};
}

Result<void> Fold::finish() {
  if (!importing_) return {};
  const Sequence last = core.workshop().last_sequence;
  if (upto_ && upto_ != last) {
    return fail(Errc::io, fmt::format("the checkpoint of the journal: it is the state after entry {}, its "
                                      "records say after entry {}",
                                      upto_, last));
  }
  core.finish_import();
  importing_ = false;
  return {};
}

/// What no store gives that is whole: core would take it for a mistake of ours.
Result<void> Fold::check(const core::Entry& entry) const {
  const core::WorkshopFacts& workshop = core.workshop();
  if (workshop.last_sequence && entry.sequence.value != workshop.last_sequence.value + 1)
    return fail(Errc::io, fmt::format("entry {} of the journal follows entry {}", entry.sequence,
                                      workshop.last_sequence));
  if (entry.time >= workshop.last_time) return {};
  return fail(Errc::io, fmt::format("entry {} of the journal: its time is before that of the entry before it",
                                    entry.sequence));
}

std::vector<core::CheckpointRecord> Fold::records() const {
  std::vector<core::CheckpointRecord> records = core.export_facts();
  for (const core::Summary* summary : history.all()) records.emplace_back(*summary);
  return records;
}

}  // namespace atelier::workshop
