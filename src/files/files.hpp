// SPDX-License-Identifier: MIT
#pragma once
// All stores of one DATA_DIR under one roof, and the forms that a coroutine awaits. Plain calls go through
// `run(work)`; what reads whole big files has a form of its own here that takes turns on the pool.
//
//   auto work = [this, participant, request = std::move(request)] { return
//   files_.participants().open_for_view(participant, request); }; ATELIER_CO_TRY(auto viewed, co_await
//   files_.run(std::move(work)));

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "files/blob_sweep.hpp"
#include "files/blobs.hpp"
#include "files/data_folder.hpp"
#include "files/digest_cache.hpp"
#include "files/output_names.hpp"
#include "files/participant_folder.hpp"
#include "files/quota.hpp"
#include "files/settings_store.hpp"
#include "files/staging.hpp"
#include "files/user_data.hpp"
#include "runtime/runtime.hpp"

namespace atelier::files {

class Files {
 public:
  /// Takes an opened DATA_DIR. `runtime` must outlive it.
  Files(Runtime& runtime, DataFolder data, const QuotaLimits& limits = {});
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;

  [[nodiscard]] const DataFolder& data() const { return data_; }
  [[nodiscard]] const Blobs& blobs() const { return blobs_; }
  [[nodiscard]] const Staging& staging() const { return staging_; }
  [[nodiscard]] const ParticipantFolders& participants() const { return participants_; }
  [[nodiscard]] const UserData& user_data() const { return user_data_; }
  [[nodiscard]] const SettingsStore& settings() const { return settings_; }
  [[nodiscard]] const OutputNames& output_names() const { return output_names_; }
  [[nodiscard]] QuotaBook& quota() { return quota_; }
  [[nodiscard]] const BlobSweep& blob_sweep() const { return blob_sweep_; }
  /// What sweeps have removed since the start; only for the loop's thread.
  [[nodiscard]] const SweptBlobs& swept_blobs() const { return swept_blobs_; }
  void add_swept(const SweptBlobs& swept) { swept_blobs_ += swept; }

  /// Runs `work()` on the file pool. The work must hold what it needs by value, or outlive the await.
  template <class F>
  [[nodiscard]] auto run(F work) {
    return run_blocking(runtime_.file_pool(), std::move(work));
  }

  /// Staging::commit in turns of at most 4 MB. Repeating it after success is success.
  [[nodiscard]] awaitable<Result<void>> commit_staged(StagedName name, BlobInfo expected);
  /// A reservation for the participant; measures the folders first if that was not done since the start.
  [[nodiscard]] awaitable<Result<Reservation>> reserve(ParticipantId participant, std::uint64_t bytes,
                                                       std::uint64_t count);
  /// Opens the file that a prompt names and pins its content as a blob (core.md 3). Errors as open_annotated
  /// and pin.
  [[nodiscard]] awaitable<Result<BlobInfo>> pin_input(ParticipantId participant, std::string annotated_name,
                                                      std::uint64_t bytes_max);

 private:
  awaitable<Result<BlobInfo>> hash_in_turns(const File& file);

  Runtime& runtime_;
  DataFolder data_;
  DigestCache cache_;
  Blobs blobs_;
  Staging staging_;
  ParticipantFolders participants_;
  UserData user_data_;
  SettingsStore settings_;
  OutputNames output_names_;
  QuotaBook quota_;
  BlobSweep blob_sweep_;
  SweptBlobs swept_blobs_;
};

}  // namespace atelier::files
