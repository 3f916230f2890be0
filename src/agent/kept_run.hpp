// SPDX-License-Identifier: MIT
#pragma once
// A run that is done and not yet handed over, as the agent writes it into its spool folder for its next
// process: what is to be said, and where the files lie.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/vocabulary.hpp"
#include "files/file_descriptor.hpp"

namespace atelier::agent {

/// Where a file lies: in the spool folder, or in one of the ComfyUI of the run's slot.
enum class KeptPlace { spool, output, temp, input };

struct KeptFile {
  std::string node;
  std::uint32_t index = 0;  // in the commit of `node`
  KeptPlace place = KeptPlace::spool;
  std::string path;
  files::FileKey key;  // as it was when it was written down; without the device, which may get another number
  bool operator==(const KeptFile&) const = default;
};

struct KeptRun {
  FinishedRun run;
  std::string machine_start;    // of machine_start() when it was written
  std::vector<KeptFile> files;  // one for each file of each commit
};

/// Larger ones are not kept.
inline constexpr std::size_t kKeptBytesMax = 64u << 20;

/// "run-12-3.json"
[[nodiscard]] std::string kept_name(RunKey key);
[[nodiscard]] bool is_kept_name(std::string_view name);

/// JSON text.
[[nodiscard]] std::string encode_kept(const KeptRun& kept);
/// Errors: bad_request, protocol, too_large: it is damaged, or of an agent that writes another form.
[[nodiscard]] Result<KeptRun> decode_kept(std::string_view text);

/// Another text after each start of the machine, "" if it cannot be known: what a process wrote shortly
/// before the machine died may not have come to the disk.
[[nodiscard]] std::string machine_start();

}  // namespace atelier::agent
