// SPDX-License-Identifier: MIT
#include "agent/input_download.hpp"

#include <utility>
#include <vector>

namespace atelier::agent {
namespace {

constexpr milliseconds kSilence{60'000};            // of a line on which bytes should come
constexpr std::uint64_t kProgressBytes = 1u << 18;  // a connection that brought fewer brought nothing
constexpr int kVainMax = 4;                         // connections one after the other
constexpr milliseconds kAskAgain{1'000};

/// One connection.
awaitable<Result<void>> download_once(Runtime& runtime, GatewayClient& gateway, std::shared_ptr<RunFiles> run,
                                      RunKey key, const link::InputRef& input, IncomingInput& into) {
  if (into.size() == input.size && input.size > 0) co_return Result<void>();
  ATELIER_CO_TRY(net::ClientResponse response, co_await gateway.input(key, input.digest, into.size()));
  if (response.status == 200) {
    ATELIER_CO_TRY_VOID(co_await into.restart());
  }
  std::vector<char> buffer(256 << 10);
  for (;;) {
    auto bytes = co_await response.read(buffer, runtime.now() + kSilence);
    if (!bytes) co_return std::unexpected(std::move(bytes).error());
    if (*bytes == 0) break;
    if (run->forgotten) co_return fail(Errc::cancelled, "the run was forgotten");
    if (*bytes > input.size - into.size()) break;
    std::string more(buffer.data(), *bytes);
    ATELIER_CO_TRY_VOID(co_await into.write(std::move(more)));
  }
  co_return Result<void>();
}

}  // namespace

bool may_be_continued(Errc code) {
  return code == Errc::closed || code == Errc::timeout || code == Errc::unavailable;
}

awaitable<Result<void>> InputInMemory::write(std::string more) {
  bytes += more;
  co_return Result<void>();
}

awaitable<Result<void>> InputInMemory::restart() {
  bytes.clear();
  co_return Result<void>();
}

awaitable<Result<void>> InputOnDisk::write(std::string more) {
  auto chunk = std::make_shared<const std::string>(std::move(more));
  auto write = [to = file, chunk] { return to->write(*chunk); };
  co_return co_await run_blocking(runtime_.file_pool(), std::move(write));
}

awaitable<Result<void>> InputOnDisk::restart() {
  auto make = [former = std::exchange(file, nullptr), folder = folder_, digest = digest_, most = bytes_max_] {
    if (former) former->remove();
    return files::begin_part(folder, digest, most);
  };
  auto made = co_await run_blocking(runtime_.file_pool(), std::move(make));
  if (!made) co_return std::unexpected(std::move(made).error());
  file = std::make_shared<files::TempFile>(std::move(*made));
  co_return Result<void>();
}

awaitable<Result<void>> download_input(Runtime& runtime, GatewayClient& gateway,
                                       std::shared_ptr<RunFiles> run, RunKey key, link::InputRef input,
                                       IncomingInput& into) {
  bool moves = false;  // else it is for the caller to try again
  for (int vain = 0;;) {
    const std::uint64_t before = into.size();
    auto result = co_await download_once(runtime, gateway, run, key, input, into);
    if (result || !may_be_continued(result.error().code) || run->forgotten) co_return result;
    const bool brought = into.size() >= before + kProgressBytes;
    moves = moves || brought;
    vain = brought ? 0 : vain + 1;
    if (!moves || vain > kVainMax) co_return result;
    if (vain > 0 && !co_await runtime.sleep_for(kAskAgain * vain)) co_return result;
    if (run->forgotten) co_return fail(Errc::cancelled, "the run was forgotten");
  }
}

}  // namespace atelier::agent
