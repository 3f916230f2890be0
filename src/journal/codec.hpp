// SPDX-License-Identifier: MIT
#pragma once
// The one binary form of events and checkpoint records (the layout is in record_codec.hpp). Pure functions,
// any thread.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "core/types/events.hpp"
#include "core/types/facts.hpp"

namespace atelier::journal {

[[nodiscard]] std::uint16_t kind_of(const core::Event& event);
[[nodiscard]] std::uint16_t kind_of(const core::CheckpointRecord& record);

/// The name of a checkpoint record's kind ("job_state"), for dumps.
[[nodiscard]] std::string_view kind_name(const core::CheckpointRecord& record);

/// Appends to `out`.
void encode(const core::Event& event, std::string& out);
void encode(const core::CheckpointRecord& record, std::string& out);

/// Errors: newer_version (unknown kind, higher version, more members), io (truncated or garbage bytes).
[[nodiscard]] Result<core::Event> decode_event(std::string_view bytes);
[[nodiscard]] Result<core::CheckpointRecord> decode_record(std::string_view bytes);

}  // namespace atelier::journal
