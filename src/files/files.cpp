// SPDX-License-Identifier: MIT
#include "files/files.hpp"

namespace atelier::files {

Files::Files(Runtime& runtime, DataFolder data, const QuotaLimits& limits)
    : runtime_(runtime),
      data_(std::move(data)),
      blobs_(data_.blobs(), data_.temp(), cache_),
      staging_(data_.staging()),
      participants_(data_, blobs_),
      user_data_(data_),
      settings_(data_),
      output_names_(data_, blobs_),
      quota_(limits, [this] { return data_.free_space(); }),
      blob_sweep_(data_, blobs_) {}

awaitable<Result<BlobInfo>> Files::hash_in_turns(const File& file) {
  FileHash hash(file);
  while (true) {
    auto step = [&hash] { return hash.step(); };
    ATELIER_CO_TRY(const bool at_end, co_await run(std::move(step)));
    if (at_end) co_return hash.finish();
  }
}

awaitable<Result<void>> Files::commit_staged(StagedName name, BlobInfo expected) {
  auto open = [this, name] { return staging_.open(name); };
  auto staged = co_await run(std::move(open));
  if (!staged && staged.error().code == Errc::not_found) {
    auto require = [this, expected] { return blobs_.require(expected); };
    co_return co_await run(std::move(require));
  }
  if (!staged) co_return std::unexpected(std::move(staged).error());
  bool is_right = staged->file.size() == expected.size;
  if (is_right) {
    ATELIER_CO_TRY(const BlobInfo found, co_await hash_in_turns(staged->file));
    is_right = found.size == expected.size && found.digest == expected.digest;
  }
  if (!is_right) {
    auto remove = [this, name] { return staging_.remove(name); };
    ATELIER_CO_TRY_VOID(co_await run(std::move(remove)));
    co_return fail(Errc::bad_hash, "the uploaded bytes differ from the promised digest");
  }
  auto adopt = [this, &staged, expected] {
    return blobs_.adopt_verified(staged->folder, staged->name, staged->file, expected);
  };
  auto adopted = co_await run(std::move(adopt));
  if (!adopted && adopted.error().code == Errc::not_found) {  // another call for it was quicker
    auto require = [this, expected] { return blobs_.require(expected); };
    co_return co_await run(std::move(require));
  }
  co_return adopted;
}

awaitable<Result<Reservation>> Files::reserve(ParticipantId participant, std::uint64_t bytes,
                                              std::uint64_t count) {
  if (!quota_.is_measured(participant)) {
    auto measure = [this, participant] { return participants_.measure(participant); };
    ATELIER_CO_TRY(const FolderUsage usage, co_await run(std::move(measure)));
    quota_.set_usage(participant, usage.bytes, usage.files);
  }
  co_return quota_.reserve(participant, bytes, count);
}

awaitable<Result<BlobInfo>> Files::pin_input(ParticipantId participant, std::string annotated_name,
                                             std::uint64_t bytes_max) {
  auto open = [this, participant, &annotated_name] {
    return participants_.open_annotated(participant, annotated_name);
  };
  ATELIER_CO_TRY(const ViewedFile viewed, co_await run(std::move(open)));
  auto pin = [this, &viewed, bytes_max] { return blobs_.pin(viewed.opened, bytes_max); };
  co_return co_await run(std::move(pin));
}

}  // namespace atelier::files
