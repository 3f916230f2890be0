// SPDX-License-Identifier: MIT
#pragma once
// Journal entries and checkpoint records as JSON text, one object on one line, members by their names in the
// source: for `atelier journal dump` and for people. Ids are numbers, digests and keys hex, times
// milliseconds, enumerators their wire names; bytes that are not UTF-8 are shown as U+FFFD. Not read back by
// anything.

#include <string>
#include <string_view>

#include "core/types/events.hpp"
#include "core/types/facts.hpp"

namespace atelier::journal {

/// {"sequence":1,"time":5,"wall":1800000000000,"gateway":1,"ticket":7,"kind":"submitted","version":1,"event":{...}}
[[nodiscard]] std::string to_json(const core::Entry& entry);
/// {"checkpoint":"job_state","version":1,"record":{...}}
[[nodiscard]] std::string to_json(const core::CheckpointRecord& record);
/// {"attachment":"<32 hex>","bytes":3,"text":"..."}
[[nodiscard]] std::string attachment_to_json(Key128 id, std::string_view bytes);

/// All attachments that the event names.
[[nodiscard]] std::vector<core::Attachment> attachments_of(const core::Event& event);
[[nodiscard]] std::vector<core::Attachment> attachments_of(const core::CheckpointRecord& record);

}  // namespace atelier::journal
