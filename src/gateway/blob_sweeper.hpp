// SPDX-License-Identifier: MIT
#pragma once
// Removes, while the server runs, the content that nothing has named for a day: gathers what core needs, then
// goes through blobs/ on the file pool, folder by folder. One thread.

#include <map>
#include <set>
#include <vector>

#include "files/files.hpp"
#include "runtime/task_group.hpp"
#include "workshop/workshop.hpp"

namespace atelier::gateway {

class BlobSweeper {
 public:
  BlobSweeper(Runtime& runtime, workshop::Workshop& workshop, files::Files& files)
      : runtime_(runtime), workshop_(workshop), files_(files), tasks_(runtime) {}

  /// Ten minutes from now for the first time, then once an hour.
  void start() { tasks_.spawn("sweep blobs", keep_sweeping()); }
  [[nodiscard]] awaitable<void> stop(Instant deadline);

  /// One round. Nothing is removed while the journal takes nothing: what core needs may not be known. Errors:
  /// io, forbidden; what was removed until then is counted.
  [[nodiscard]] awaitable<Result<files::SweptBlobs>> sweep();

 private:
  awaitable<void> keep_sweeping();
  awaitable<Result<std::set<Digest>>> needed_now();
  awaitable<Result<std::vector<Digest>>> pins_of(core::Attachment prompt);
  [[nodiscard]] bool may_sweep() const { return workshop_.accepting() && workshop_.refusal().empty(); }

  Runtime& runtime_;
  workshop::Workshop& workshop_;
  files::Files& files_;
  std::map<JobId, std::vector<Digest>> pins_;  // of live jobs, read once
  TaskGroup tasks_;
};

}  // namespace atelier::gateway
