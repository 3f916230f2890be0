// SPDX-License-Identifier: MIT
#include "agent/input_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "agent/collector.hpp"
#include "agent/input_download.hpp"
#include "base/log.hpp"
#include "files/safe_path.hpp"

namespace atelier::agent {
namespace {

constexpr std::uint64_t kUploadBytesMax = 512u << 20;  // without --comfy-dir an input passes through memory
constexpr milliseconds kDownloadLimit{6 * 3600 * 1000};
constexpr milliseconds kViewLimit{120'000};
constexpr std::size_t kCopyTurnBytes = 4u << 20;
constexpr std::size_t kPartsMax = 2;        // they take room on the disk
constexpr std::uint64_t kFormBytes = 4096;  // what an upload has beside the file's bytes, amply
constexpr std::uint64_t kAlwaysTaken = 8u << 20;

std::uint64_t megabytes(std::uint64_t bytes) { return (bytes + (1u << 20) - 1) >> 20; }

Error too_large(const link::InputRef& input, std::optional<std::uint64_t> limit) {
  const std::string most = limit ? fmt::format("{} MB", *limit >> 20) : "smaller";
  return Error(Errc::too_large, fmt::format("{} has {} MB; the limit of this worker is {}.", input.name,
                                            megabytes(input.size), most));
}

}  // namespace

awaitable<bool> InputStore::lies_there(files::Directory folder, std::string name,
                                       const link::InputRef& input) {
  auto open = [folder, name] { return folder.open_file(name); };
  auto opened = co_await run_blocking(runtime_.file_pool(), std::move(open));
  if (!opened || opened->size() != input.size) co_return false;
  const files::FileKey key = opened->stat().key;
  if (!known_.contains(name)) {
    auto file = std::make_shared<const files::File>(std::move(*opened));
    auto digest = co_await hash_file(runtime_, file);
    if (!digest || *digest != input.digest) co_return false;
    known_.insert(name);
    placed_files_[input.digest] = PlacedFile{std::move(name), key};
  }
  co_return true;
}

awaitable<bool> InputStore::copy_placed(EngineFolders folders, std::string name,
                                        const link::InputRef& input) {
  const auto found = placed_files_.find(input.digest);
  if (found == placed_files_.end()) co_return false;
  const PlacedFile placed = found->second;
  auto open = [folder = folders.input, path = placed.name] { return folder.open_file(path); };
  auto opened = co_await run_blocking(runtime_.file_pool(), std::move(open));
  if (!opened || opened->stat().key != placed.key) co_return false;
  auto from = std::make_shared<const files::File>(std::move(*opened));
  InputOnDisk copy(runtime_, folders.input_temp, input, nullptr);
  if (!co_await copy.restart()) co_return false;
  // No hard link: a custom node that writes into one of its inputs would change the other.
  auto clone = [from, to = copy.file, digest = input.digest] { return to->share_blocks(*from, digest); };
  const auto cloned = co_await run_blocking(runtime_.file_pool(), std::move(clone));
  if (!cloned && cloned.error().code != Errc::unsupported) {
    co_await remove(std::move(copy.file));
    co_return false;
  }
  while (copy.size() < from->size()) {
    auto turn = [from, to = copy.file]() -> Result<void> {
      std::string bytes(kCopyTurnBytes, '\0');
      ATELIER_TRY(const std::size_t count,
                  from->read_at(to->size(), std::as_writable_bytes(std::span(bytes))));
      if (count == 0) return fail(Errc::io, "an input was cut while it was copied");
      return to->write(std::string_view(bytes).substr(0, count));
    };
    if (!co_await run_blocking(runtime_.file_pool(), std::move(turn))) {
      co_await remove(std::move(copy.file));
      co_return false;
    }
  }
  co_return (co_await publish(std::move(copy.file), std::move(folders), std::move(name), input)).has_value();
}

awaitable<std::string> InputStore::bytes_uploaded(const link::InputRef& input, EngineClient& engine) {
  const auto found = uploaded_.find(input.digest);
  if (found == uploaded_.end()) co_return std::string();
  const files::SplitPath split = files::split_path(found->second);
  UiFile file;
  file.filename = split.name;
  file.subfolder = split.folder;
  file.type = "input";
  auto answer = co_await engine.view(file);
  if (!answer) co_return std::string();
  auto bytes = co_await answer->read_all(input.size, runtime_.now() + kViewLimit);
  if (!bytes || bytes->size() != input.size || sha256(*bytes) != input.digest) co_return std::string();
  co_return std::move(*bytes);
}

awaitable<Result<void>> InputStore::publish(std::shared_ptr<files::TempFile> temp, EngineFolders folders,
                                            std::string name, const link::InputRef& input) {
  auto move = [temp, digest = input.digest, folder = folders.input, name]() -> Result<files::FileKey> {
    ATELIER_TRY_VOID(temp->finish(files::FileMode::read_only));
    if (temp->digest() != digest) return fail(Errc::closed, "an input came damaged");
    ATELIER_TRY(const files::FileKey key, temp->key());
    const files::SplitPath split = files::split_path(name);
    ATELIER_TRY(const files::Directory target, folder.make_folder(split.folder));
    ATELIER_TRY_VOID(temp->publish(target, split.name, files::Replace::yes));
    return key;
  };
  auto key = co_await run_blocking(runtime_.file_pool(), std::move(move));
  if (!key) {
    co_await remove(std::move(temp));
    co_return std::unexpected(std::move(key).error());
  }
  known_.insert(name);
  placed_files_[input.digest] = PlacedFile{std::move(name), *key};
  co_return Result<void>();
}

awaitable<void> InputStore::remove(std::shared_ptr<files::TempFile> part) {
  if (!part) co_return;
  auto now = [part = std::move(part)] { part->remove(); };
  co_await run_blocking(runtime_.file_pool(), std::move(now));
}

std::shared_ptr<files::TempFile> InputStore::take_part(const Digest& digest) {
  const auto found = std::ranges::find(parts_, digest, &Part::digest);
  if (found == parts_.end()) return nullptr;
  auto file = std::move(found->file);
  parts_.erase(found);
  return file;
}

awaitable<std::shared_ptr<files::TempFile>> InputStore::take_left_part(const files::Directory& folder,
                                                                       const link::InputRef& input,
                                                                       std::shared_ptr<RunFiles> run) {
  auto take = [folder, digest = input.digest, most = input.size] {
    return files::take_part(folder, digest, most);
  };
  auto taken = co_await run_blocking(runtime_.file_pool(), std::move(take));
  if (!taken || !*taken) co_return nullptr;
  auto part = std::make_shared<files::TempFile>(std::move(**taken));
  for (;;) {
    auto turn = [part] { return part->read_back(kCopyTurnBytes); };
    const auto more = co_await run_blocking(runtime_.file_pool(), std::move(turn));
    if (!more) {
      co_await remove(std::move(part));
      co_return nullptr;
    }
    if (!*more) break;
    if (run->forgotten) co_return nullptr;
  }
  log::info("input_continued", {{"input", input.digest.hex().substr(0, 16)}, {"bytes", part->size()}});
  co_return part;
}

awaitable<void> InputStore::keep_part(const Digest& digest, std::shared_ptr<files::TempFile> file) {
  if (!file || file->size() == 0) co_return;
  std::shared_ptr<files::TempFile> oldest;
  if (parts_.size() == kPartsMax) {
    oldest = std::move(parts_.front().file);
    parts_.pop_front();
  }
  parts_.push_back(Part{digest, std::move(file)});
  co_await remove(std::move(oldest));
}

awaitable<void> InputStore::make_room(const files::Directory& folder) {
  while (!parts_.empty()) {
    auto file = std::move(parts_.front().file);
    parts_.pop_front();
    co_await remove(std::move(file));
  }
  auto sweep = [folder, now = runtime_.wall()] { return files::sweep_parts(folder, now, milliseconds(0)); };
  (void)co_await run_blocking(runtime_.file_pool(), std::move(sweep));
}

awaitable<Result<void>> InputStore::place(std::shared_ptr<RunFiles> run, RunKey key, link::InputRef input,
                                          std::string name, GatewayClient& gateway, EngineClient& engine,
                                          const EngineFolders* folders) {
  ATELIER_CO_TRY_VOID(files::check_path(name));
  while (placing_.contains(input.digest)) {
    if (!co_await placed_.wait(runtime_.now() + kDownloadLimit))
      co_return fail(Errc::cancelled, "the wait for an input was cancelled");
  }
  if (run->forgotten) co_return fail(Errc::cancelled, "the run was forgotten");
  const Digest digest = input.digest;
  placing_.insert(digest);
  auto result = co_await place_now(std::move(run), key, std::move(input), name, gateway, engine, folders);
  placing_.erase(digest);
  placed_.notify_all();
  co_return result;
}

awaitable<Result<void>> InputStore::place_now(std::shared_ptr<RunFiles> run, RunKey key, link::InputRef input,
                                              std::string name, GatewayClient& gateway, EngineClient& engine,
                                              const EngineFolders* folders) {
  if (folders == nullptr) {
    if (known_.contains(name)) co_return Result<void>();
    // Asked before: an engine that has read enough answers 413 and hangs up, and may not be heard.
    auto limit = input.size > kAlwaysTaken ? co_await engine.upload_limit() : std::nullopt;
    const std::uint64_t most = std::min(limit.value_or(kUploadBytesMax), kUploadBytesMax);
    if (input.size > kAlwaysTaken && input.size + kFormBytes > most)
      co_return std::unexpected(too_large(input, most));
    std::string bytes = co_await bytes_uploaded(input, engine);
    if (bytes.empty()) {
      InputInMemory incoming(input.size);
      ATELIER_CO_TRY_VOID(co_await download_input(runtime_, gateway, std::move(run), key, input, incoming));
      if (incoming.bytes.size() != input.size || sha256(incoming.bytes) != input.digest)
        co_return fail(Errc::closed, "an input came damaged");
      bytes = std::move(incoming.bytes);
    }
    auto uploaded = co_await engine.upload_input(name, std::move(bytes));
    if (!uploaded && uploaded.error().code == Errc::too_large) {
      limit = co_await engine.upload_limit();
      co_return std::unexpected(too_large(input, limit));
    }
    if (!uploaded) co_return std::unexpected(std::move(uploaded).error());
    known_.insert(name);
    uploaded_[input.digest] = std::move(name);
    co_return Result<void>();
  }
  if (co_await lies_there(folders->input, name, input)) co_return Result<void>();
  if (co_await copy_placed(*folders, name, input)) co_return Result<void>();
  std::shared_ptr<files::TempFile> begun = take_part(input.digest);
  bool left = false;  // by another agent, or a former one
  if (!begun) {
    begun = co_await take_left_part(folders->input_temp, input, run);
    left = begun != nullptr;
    if (run->forgotten) co_return fail(Errc::cancelled, "the run was forgotten");
  }
  for (;;) {
    InputOnDisk incoming(runtime_, folders->input_temp, input, std::exchange(begun, nullptr));
    auto came = co_await download_input(runtime_, gateway, run, key, input, incoming);
    if (!came) {
      const Errc code = came.error().code;
      // A run that was forgotten may come again, and an agent that ends be followed by another.
      if (may_be_continued(code)) {
        co_await keep_part(input.digest, std::move(incoming.file));
      } else if (code != Errc::cancelled) {  // that one stays on the disk, for whoever wants it
        co_await remove(std::move(incoming.file));
      }
      if (code == Errc::disk_full) co_await make_room(folders->input_temp);
      co_return came;
    }
    Result<void> placed = fail(Errc::closed, "an input came damaged");
    if (incoming.size() == input.size) {
      placed = co_await publish(std::move(incoming.file), *folders, name, input);
    } else {
      co_await remove(std::move(incoming.file));
    }
    if (placed || placed.error().code != Errc::closed || !std::exchange(left, false)) co_return placed;
  }
}

}  // namespace atelier::agent
