// SPDX-License-Identifier: MIT
// What jemalloc reads at its start (jemalloc(3), TUNING). A few threads allocate, one of them nearly all: two
// arenas do, and what a burst of prompts needed goes back to the system within seconds.
extern "C" {
// NOLINTNEXTLINE(misc-use-internal-linkage)
extern const char* const malloc_conf;
const char* const malloc_conf = "narenas:2,dirty_decay_ms:2000,muzzy_decay_ms:0,background_thread:true";
}
