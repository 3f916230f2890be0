// SPDX-License-Identifier: MIT
#pragma once
// What people read when the server's disk is full, whichever part of it found out (people.md 5, 25).

namespace atelier::files {

inline constexpr const char* kDiskFullText =
    "The server's disk is full. Waiting jobs are kept; new ones are not taken until the instructor frees "
    "space.";

}  // namespace atelier::files
