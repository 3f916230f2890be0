// SPDX-License-Identifier: MIT
// `atelier-worker`: the agent beside a ComfyUI (design.md 10).
#include "agent/cli.hpp"

int main(int argc, char** argv) { return atelier::agent::worker_main(argc, argv); }
