// SPDX-License-Identifier: MIT
#include "image/render.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "image/decode.hpp"
#include "image/encode.hpp"

namespace atelier::image {
namespace {

constexpr std::size_t kInputBytesMax = 256u << 20;
constexpr rlim_t kMemoryBytesMax = 2ULL << 30;
constexpr rlim_t kAnswerBytesMax = 512u << 20;

Picture8 without_alpha(const Picture8& picture) {
  if (picture.channels == 3) return picture;
  Picture8 out{picture.width, picture.height, 1, 3, {}};
  out.samples.reserve(out.frame_length());
  for (std::size_t i = 0; i + 3 < picture.samples.size(); i += 4)
    out.samples.insert(out.samples.end(),
                       {picture.samples[i], picture.samples[i + 1], picture.samples[i + 2]});
  return out;
}

Picture8 alpha_only(const Picture8& picture) {
  Picture8 out{picture.width, picture.height, 1, 4, {}};
  out.samples.assign(out.frame_length(), 0);
  for (std::size_t pixel = 0; pixel < out.samples.size() / 4; ++pixel)
    out.samples[4 * pixel + 3] = picture.channels == 4 ? picture.samples[4 * pixel + 3] : 255;
  return out;
}

/// One request with its two descriptors; false at the end of the stream.
bool receive(int socket, std::string& message, std::array<int, 2>& fds) {
  std::array<char, 64> bytes{};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(2 * sizeof(int))> control{};
  iovec part{bytes.data(), bytes.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  const ssize_t got = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  if (got <= 0) return false;
  message.assign(bytes.data(), static_cast<std::size_t>(got));
  const cmsghdr* rights = CMSG_FIRSTHDR(&header);
  if (rights != nullptr && rights->cmsg_type == SCM_RIGHTS && rights->cmsg_len == CMSG_LEN(2 * sizeof(int)))
    std::memcpy(fds.data(), CMSG_DATA(rights), 2 * sizeof(int));
  return true;
}

Result<void> answer(const std::string& message, const std::array<int, 2>& fds) {
  const auto request = decode_request(message);
  if (!request || fds[0] < 0 || fds[1] < 0) return fail(Errc::internal, "not a request");
  struct stat status{};
  if (::fstat(fds[0], &status) != 0) return fail(Errc::io, "the picture cannot be read");
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0) return fail(Errc::bad_request, "the picture is empty");
  if (size > kInputBytesMax) return fail(Errc::too_large, "the picture is larger than 256 MB");
  void* memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fds[0], 0);
  if (memory == MAP_FAILED) return fail(Errc::io, "the picture cannot be read");
  auto rendered = render(std::string_view(static_cast<const char*>(memory), size), *request);
  ::munmap(memory, size);
  if (!rendered) return std::unexpected(rendered.error());
  for (std::size_t done = 0; done < rendered->size();) {
    const ssize_t written = ::write(fds[1], rendered->data() + done, rendered->size() - done);
    if (written <= 0) return fail(Errc::io, "the answer cannot be written");
    done += static_cast<std::size_t>(written);
  }
  return {};
}

void give_up_rights() {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  ::prctl(PR_SET_DUMPABLE, 0);
  const auto limit = [](__rlimit_resource what, rlim_t most) {
    const rlimit value{most, most};
    ::setrlimit(what, &value);
  };
  limit(RLIMIT_AS, kMemoryBytesMax);
  limit(RLIMIT_FSIZE, kAnswerBytesMax);
  limit(RLIMIT_NOFILE, 64);
  limit(RLIMIT_CORE, 0);
}

}  // namespace

Result<std::string> render(std::string_view bytes, const RenderRequest& request) {
  ATELIER_TRY(const Picture8 picture, decode_first(bytes));
  switch (request.form) {
    case RenderForm::webp:
      return encode_webp(view(request.drop_alpha ? without_alpha(picture) : picture), request.quality);
    case RenderForm::jpeg:
      return encode_jpeg(view(without_alpha(picture)), request.quality);
    case RenderForm::png_rgb:
      return encode_png(view(without_alpha(picture)));
    case RenderForm::png_alpha:
      return encode_png(view(alpha_only(picture)));
  }
  return fail(Errc::internal, "an unknown form");
}

int serve_render_requests(int socket) {
  give_up_rights();
  std::string message;
  while (true) {
    std::array<int, 2> fds{-1, -1};
    if (!receive(socket, message, fds)) return 0;
    Result<void> result;
    try {
      result = answer(message, fds);
    } catch (const std::bad_alloc&) {
      result = fail(Errc::too_large, "the picture needs too much memory");
    }
    for (const int fd : fds) {
      if (fd >= 0) ::close(fd);
    }
    const std::string bytes = encode_answer(result);
    if (::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) return 0;
  }
}

}  // namespace atelier::image
