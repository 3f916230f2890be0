// SPDX-License-Identifier: MIT
#include "workshop/fold.hpp"

namespace atelier::workshop {

void Fold::apply(const journal::ReplayPage& page) {
  for (const core::CheckpointRecord& record : page.records) {
    importing_ = true;
    core.import_fact(record);
    if (const auto* summary = std::get_if<core::Summary>(&record)) history.import_summary(*summary);
  }
  if (!page.entries.empty()) finish();
  for (const core::Entry& entry : page.entries) {
    history.apply(core.apply(entry));
    ++entries;
  }
}

void Fold::finish() {
  if (importing_) core.finish_import();
  importing_ = false;
}

std::vector<core::CheckpointRecord> Fold::records() const {
  std::vector<core::CheckpointRecord> records = core.export_facts();
  for (const core::Summary* summary : history.all()) records.emplace_back(*summary);
  return records;
}

}  // namespace atelier::workshop
