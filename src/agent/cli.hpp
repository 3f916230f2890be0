// SPDX-License-Identifier: MIT
#pragma once
// The command line of `atelier-worker`.

namespace atelier::agent {

/// Runs the worker until SIGTERM or SIGINT (the second one ends at once). Exit codes: 0 fine, 1 failed, 2
/// configuration, which includes a token or protocol version that the gateway refuses at the first join.
int worker_main(int argc, char** argv);

}  // namespace atelier::agent
