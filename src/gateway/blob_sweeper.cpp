// SPDX-License-Identifier: MIT
#include "gateway/blob_sweeper.hpp"

#include "base/log.hpp"
#include "gateway/worker_link/load_accepted_form.hpp"
#include "workshop/needed_content.hpp"

namespace atelier::gateway {
namespace {

constexpr milliseconds kFirst{600'000}, kEvery{3'600'000};
constexpr milliseconds kBetweenFolders{20};  // the disk is everybody's
/// Ages of files are wall time; what somebody has just touched must not look a day old.
constexpr milliseconds kJumpMax{3'600'000};

}  // namespace

awaitable<void> BlobSweeper::stop(Instant deadline) {
  [[maybe_unused]] const bool all = co_await tasks_.stop(deadline);
}

awaitable<void> BlobSweeper::keep_sweeping() {
  milliseconds pause = kFirst;
  Instant not_before{};
  while (true) {
    const Instant before = runtime_.now();
    const WallTime wall_before = runtime_.wall();
    if (!co_await runtime_.sleep_for(pause)) co_return;
    pause = kEvery;
    const milliseconds jump = (runtime_.wall() - wall_before) - (runtime_.now() - before);
    if (jump > kJumpMax) {
      log::warn("blob_sweep_put_off",
                {{"reason", "the wall clock was set forward"}, {"by_ms", jump.count()}});
      not_before = runtime_.now() + files::BlobSweep::kUnusedFor;  // what is on its way now is done by then
    }
    if (runtime_.now() < not_before) continue;
    const auto swept = co_await sweep();
    if (!swept) log::warn("blob_sweep_failed", {{"reason", swept.error().what}});
  }
}

awaitable<Result<files::SweptBlobs>> BlobSweeper::sweep() {
  files::SweptBlobs all;
  if (!may_sweep()) co_return all;
  ATELIER_CO_TRY(const std::set<Digest> needed, co_await needed_now());
  files::KeptRound kept = files_.quota().begin_round();
  Result<void> done;
  for (unsigned folder = 0; done && folder < files::BlobSweep::kFolders; ++folder) {
    if (!may_sweep()) break;
    files::SweptBlobs swept;
    auto work = [this, folder, &needed, &kept, &swept, now = runtime_.wall()] {
      return files_.blob_sweep().sweep(folder, needed, now, kept, swept);
    };
    done = co_await files_.run(std::move(work));
    files_.add_swept(swept);
    all += swept;
    if (!co_await runtime_.sleep_for(kBetweenFolders)) break;
    if (done && folder + 1 == files::BlobSweep::kFolders) files_.quota().end_round(kept);
  }
  if (all.blobs > 0) log::info("blobs_removed", {{"blobs", all.blobs}, {"bytes", all.bytes}});
  if (!done) co_return std::unexpected(done.error());
  co_return all;
}

awaitable<Result<std::set<Digest>>> BlobSweeper::needed_now() {
  workshop::NeededContent needed = workshop::needed_content(workshop_.core());
  std::map<JobId, std::vector<Digest>> pins;
  for (const workshop::PinningJob& job : needed.pinning) {
    if (auto known = pins_.extract(job.job); !known.empty()) {
      pins.insert(std::move(known));
      continue;
    }
    auto read = co_await pins_of(job.prompt);
    if (!read && workshop_.core().job(job.job) == nullptr)
      continue;  // it has ended, and its prompt may be gone
    if (!read) co_return std::unexpected(std::move(read).error());
    pins.emplace(job.job, std::move(*read));
  }
  pins_ = std::move(pins);
  for (const auto& [job, digests] : pins_) needed.unlinked.insert(digests.begin(), digests.end());
  co_return std::move(needed.unlinked);
}

awaitable<Result<std::vector<Digest>>> BlobSweeper::pins_of(core::Attachment prompt) {
  ATELIER_CO_TRY(const AcceptedForm form, co_await load_accepted_form(runtime_, workshop_, prompt));
  std::vector<Digest> digests;
  for (const link::InputRef& pin : form.pins) digests.push_back(pin.digest);
  co_return digests;
}

}  // namespace atelier::gateway
