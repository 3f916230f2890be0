// SPDX-License-Identifier: MIT
#pragma once
// What `atelier journal dump` and `atelier journal check` do, over any store that can be read page by page.
// Blocking.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "journal/journal.hpp"

namespace atelier::journal {

struct DumpOptions {
  Sequence after;            // entries above it; 0: from the start
  bool checkpoint = false;   // the valid checkpoint's records first, then only the entries after it
  bool attachments = false;  // each attachment's bytes on a line of its own after what names it
};

/// Writes one JSON object per line (json.hpp) to `write`, which may stop the dump with its own error.
/// Errors: those of the reader; the lines before it were written.
[[nodiscard]] Result<void> dump(StoreReader& reader, const DumpOptions& options,
                                const std::function<Result<void>(std::string_view line)>& write);

struct CheckReport {
  std::uint64_t entries = 0, records = 0, attachments = 0;
  Sequence last;                      // the newest entry that could be read
  std::vector<std::string> problems;  // one sentence each, at most 100; empty: all is well
};

/// Reads everything: every record decodes, sequences have no gaps, time never goes back, every attachment
/// that is named is there with its size and digest; and the store's own full check. What is wrong is in the
/// report.
[[nodiscard]] CheckReport check(StoreReader& reader);

}  // namespace atelier::journal
