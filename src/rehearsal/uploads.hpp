// SPDX-License-Identifier: MIT
#pragma once
// POST /upload/image and /upload/mask (comfyui-interface.md D1, D2) without the HTTP around them. Blocks:
// file pool.

#include <map>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "rehearsal/folders.hpp"

namespace atelier::rehearsal {

/// The parts of the form.
struct UploadForm {
  bool has_file = false;
  std::string filename, bytes;                             // of the part "image"
  std::map<std::string, std::string, std::less<>> fields;  // type, subfolder, overwrite, original_ref

  [[nodiscard]] std::string field(std::string_view name, std::string_view fallback = {}) const;
};

/// What the client is told: `{"name","subfolder","type"}`.
struct StoredUpload {
  std::string name, subfolder, type;
  [[nodiscard]] std::string json() const;
};

/// Stores the file. A taken name with the same bytes is used as it is, with other bytes " (1)", " (2)" ... is
/// added, unless `overwrite` is "true" or "1". Errors: bad_request (no file, a path that leaves the folder,
/// an unknown type).
[[nodiscard]] Result<StoredUpload> store_image(const Folders& folders, const UploadForm& form);

/// The original named by `original_ref` with the alpha of the upload, as PNG with the original's text chunks.
/// If the original is missing nothing is written and the name comes back all the same, as in ComfyUI. Errors:
/// as store_image; forbidden (subfolder of the original leaves its folder); bad_request (no picture, other
/// size).
[[nodiscard]] Result<StoredUpload> store_mask(const Folders& folders, const UploadForm& form);

}  // namespace atelier::rehearsal
