// SPDX-License-Identifier: MIT
#pragma once
// What main.cpp runs instead of the tests.

#include <string>

namespace atelier::journal {

/// Appends batches to the journal at `path`, with a checkpoint now and then, and writes the last sequence of
/// each acknowledged batch to standard output, for ever.
int append_until_killed(const std::string& path);

/// Writes `stem`.db and `stem`.json: a journal with every kind of event and of checkpoint record, and its
/// dump.
int make_golden(const std::string& stem);

}  // namespace atelier::journal
