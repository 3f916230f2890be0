// SPDX-License-Identifier: MIT
#include "agent/input_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "agent/collector.hpp"
#include "files/safe_path.hpp"
#include "files/temp_file.hpp"

namespace atelier::agent {
namespace {

constexpr std::uint64_t kUploadBytesMax = 512u << 20;  // without --comfy-dir an input passes through memory
constexpr milliseconds kDownloadLimit{6 * 3600 * 1000};
constexpr milliseconds kUploadedLimit{1800 * 1000};
constexpr milliseconds kSilence{60'000};    // of a line on which bytes should come
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
  if (known_.contains(name)) co_return true;
  auto file = std::make_shared<const files::File>(std::move(*opened));
  auto digest = co_await hash_file(runtime_, file);
  co_return digest && *digest == input.digest;
}

awaitable<Result<void>> InputStore::place(std::shared_ptr<RunFiles> run, RunKey key, link::InputRef input,
                                          std::string name, GatewayClient& gateway, EngineClient& engine,
                                          const EngineFolders* folders) {
  ATELIER_CO_TRY_VOID(files::check_path(name));
  while (placing_.contains(name)) {
    if (!co_await placed_.wait(runtime_.now() + kDownloadLimit))
      co_return fail(Errc::cancelled, "the wait for an input was cancelled");
  }
  if (run->forgotten) co_return fail(Errc::cancelled, "the run was forgotten");
  placing_.insert(name);
  auto result = co_await place_now(std::move(run), key, std::move(input), name, gateway, engine, folders);
  placing_.erase(name);
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
    ATELIER_CO_TRY(net::ClientResponse response, co_await gateway.input(key, input.digest));
    auto bytes = co_await response.read_all(input.size, runtime_.now() + kUploadedLimit);
    if (!bytes && bytes.error().code != Errc::too_large) co_return std::unexpected(std::move(bytes).error());
    if (!bytes || bytes->size() != input.size || sha256(*bytes) != input.digest)
      co_return fail(Errc::closed, "an input came damaged");
    auto uploaded = co_await engine.upload_input(name, std::move(*bytes));
    if (!uploaded && uploaded.error().code == Errc::too_large) {
      limit = co_await engine.upload_limit();
      co_return std::unexpected(too_large(input, limit));
    }
    if (!uploaded) co_return std::unexpected(std::move(uploaded).error());
    known_.insert(name);
    co_return Result<void>();
  }
  if (co_await lies_there(folders->input, name, input)) {
    known_.insert(name);
    co_return Result<void>();
  }
  ATELIER_CO_TRY(net::ClientResponse response, co_await gateway.input(key, input.digest));
  auto make = [folder = folders->input_temp, size = input.size] {
    return files::TempFile::create(folder, size);
  };
  auto made = co_await run_blocking(runtime_.file_pool(), std::move(make));
  if (!made) co_return std::unexpected(std::move(made).error());
  auto temp = std::make_shared<files::TempFile>(std::move(*made));
  std::vector<char> buffer(256 << 10);
  for (;;) {
    auto bytes = co_await response.read(buffer, runtime_.now() + kSilence);
    if (!bytes) co_return std::unexpected(std::move(bytes).error());
    if (*bytes == 0) break;
    if (run->forgotten) co_return fail(Errc::cancelled, "the run was forgotten");
    auto chunk = std::make_shared<std::string>(buffer.data(), *bytes);
    auto write = [temp, chunk] { return temp->write(*chunk); };
    auto written = co_await run_blocking(runtime_.file_pool(), std::move(write));
    if (!written) co_return std::unexpected(std::move(written).error());
  }
  auto publish = [temp, input, folder = folders->input, name]() -> Result<void> {
    ATELIER_TRY_VOID(temp->finish(files::FileMode::read_only));
    if (temp->digest() != input.digest) return fail(Errc::closed, "an input came damaged");
    const files::SplitPath split = files::split_path(name);
    ATELIER_TRY(const files::Directory target, folder.make_folder(split.folder));
    return temp->publish(target, split.name, files::Replace::yes);
  };
  auto published = co_await run_blocking(runtime_.file_pool(), std::move(publish));
  if (!published) co_return std::unexpected(std::move(published).error());
  known_.insert(name);
  co_return Result<void>();
}

}  // namespace atelier::agent
