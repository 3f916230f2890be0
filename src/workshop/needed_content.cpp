// SPDX-License-Identifier: MIT
#include "workshop/needed_content.hpp"

namespace atelier::workshop {

NeededContent needed_content(const core::Core& core) {
  NeededContent needed;
  core.each_unlinked([&](const core::UnlinkedCommit& commit) {
    for (const core::CommittedFile& file : commit.files) needed.unlinked.insert(file.digest);
  });
  core.each_job([&](const core::JobFacts& job) {
    if (job.submitted.input_count == 0) return;
    needed.pinning.push_back({job.job, job.submitted.participant, job.submitted.prompt});
  });
  return needed;
}

}  // namespace atelier::workshop
