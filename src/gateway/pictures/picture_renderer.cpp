// SPDX-License-Identifier: MIT
#include "gateway/pictures/picture_renderer.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.hpp"
#include "net/owned_fd.hpp"

namespace atelier::gateway {
namespace {

Result<std::string> read_whole(int fd) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return fail(Errc::io, "a rendered picture cannot be read");
  std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t got = ::pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (got <= 0) return fail(Errc::io, "a rendered picture cannot be read");
    done += static_cast<std::size_t>(got);
  }
  return bytes;
}

}  // namespace

awaitable<Result<std::string>> PictureRenderer::render(files::File picture, image::RenderRequest request) {
  std::vector<int> pictures{picture.fd()};
  co_return co_await in_turn(std::move(pictures), request);
}

awaitable<Result<std::string>> PictureRenderer::masked(files::File picture, files::File mask) {
  std::vector<int> pictures{picture.fd(), mask.fd()};
  image::RenderRequest request;
  request.form = image::RenderForm::masked;
  co_return co_await in_turn(std::move(pictures), request);
}

awaitable<Result<std::string>> PictureRenderer::in_turn(std::vector<int> pictures,
                                                        image::RenderRequest request) {
  if (!available()) co_return fail(Errc::unsupported, "this server cannot render pictures");
  if (waiting_ >= kWaitingMax) co_return fail(Errc::unavailable, "too many pictures are being rendered");
  ++waiting_;
  struct Leave {
    PictureRenderer& self;
    bool holds = false;
    ~Leave() {
      --self.waiting_;
      if (!holds) return;
      self.busy_ = false;
      self.free_.notify_all();
    }
  } leave{*this};
  const Instant patience = runtime_.now() + kLimit;
  while (busy_) {
    if (!co_await free_.wait(patience))
      co_return fail(Errc::unavailable, "too many pictures are being rendered");
  }
  busy_ = leave.holds = true;
  const bool used = process_ != nullptr;
  auto rendered = co_await render_now(pictures, request);
  // One that died before this request, or of what an earlier one left behind: another one gets a try.
  if (!rendered && rendered.error().code == Errc::closed && used) {
    rendered = co_await render_now(pictures, request);
  }
  co_return rendered;
}

awaitable<Result<std::string>> PictureRenderer::render_now(std::vector<int> pictures,
                                                           image::RenderRequest request) {
  if (!process_) {
    ATELIER_CO_TRY(process_, HelperProcess::start(runtime_, program_, {"--socket=3"}));
  }
  net::OwnedFd out(::memfd_create("picture", MFD_CLOEXEC));
  if (!out) co_return fail(Errc::io, "there is no memory for a picture");
  overdue_ = false;
  tasks_.spawn("picture limit", watch(++serial_));
  std::vector<int> descriptors{pictures.front(), out.get()};
  descriptors.insert(descriptors.end(), pictures.begin() + 1, pictures.end());
  auto answered = co_await process_->exchange(image::encode(request), std::move(descriptors));
  ++serial_;  // the watch has nothing to do any more
  if (!answered) {
    log::warn("image_process_died", {{"reason", overdue_ ? "it took too long" : answered.error().what}});
    process_.reset();  // the next request starts another one
    if (overdue_) co_return fail(Errc::timeout, "the picture took too long");
    co_return std::unexpected(answered.error());
  }
  ATELIER_CO_TRY_VOID(image::decode_answer(*answered));
  auto read = [fd = out.get()] { return read_whole(fd); };
  co_return co_await run_blocking(runtime_.file_pool(), std::move(read));
}

awaitable<void> PictureRenderer::watch(std::uint64_t serial) {
  if (!co_await runtime_.sleep_for(kLimit)) co_return;
  if (serial != serial_ || !process_) co_return;
  overdue_ = true;
  process_->kill();
}

awaitable<void> PictureRenderer::stop(Instant deadline) {
  process_.reset();
  [[maybe_unused]] const bool ended = co_await tasks_.stop(deadline);
}

}  // namespace atelier::gateway
