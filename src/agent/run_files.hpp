// SPDX-License-Identifier: MIT
#pragma once
// What the agent keeps on its disk and in memory for one run, and the folders of an engine that it may read.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/hash.hpp"
#include "comfy/metadata/restore.hpp"
#include "files/directory.hpp"

namespace atelier::agent {

/// The folders of a ComfyUI whose --comfy-dir is known.
struct EngineFolders {
  files::Directory output, temp, input;
  files::Directory input_temp;  // below input: downloads under way
};
/// Opens DIR/output, DIR/input and TEMP_PARENT/temp, making what is missing. Errors: config, with the
/// folder's name.
[[nodiscard]] Result<EngineFolders> open_engine_folders(const std::string& comfy_dir,
                                                        const std::string& temp_parent);

/// A file whose bytes stay as they are until the run is forgotten.
struct LocalFile {
  files::Directory folder;
  std::string path;
  Digest digest;
  std::uint64_t size = 0;
};

struct RunFiles {
  bool forgotten = false;  // looked at by what is under way
  std::string post_body;
  comfy::PromptTexts prompt_texts;                                       // empty until the prompt was fetched
  std::map<std::pair<std::string, std::uint32_t>, LocalFile> collected;  // (node, index)
  std::map<std::string, std::string> output_paths;      // relative to the output folder -> who named it first
  std::map<std::string, files::FileKey> older_outputs;  // in its folder before it ran: none of its own
  std::map<std::string, std::string> input_names;       // worker's name -> the participant's
  std::set<Digest> input_digests;
  std::vector<std::string> spooled;  // names in the spool folder
};

}  // namespace atelier::agent
