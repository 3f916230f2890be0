// SPDX-License-Identifier: MIT
#include "image/render.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "image/decode.hpp"
#include "image/encode.hpp"
#include "image/mask.hpp"

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

constexpr std::size_t kDescriptorsMax = 3;
using Descriptors = std::array<int, kDescriptorsMax>;  // picture, answer, second picture; -1 = not sent

/// One request with its descriptors; false at the end of the stream.
bool receive(int socket, std::string& message, Descriptors& fds) {
  std::array<char, 64> bytes{};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kDescriptorsMax * sizeof(int))> control{};
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
  if (rights != nullptr && rights->cmsg_type == SCM_RIGHTS)
    std::memcpy(fds.data(), CMSG_DATA(rights), std::min(rights->cmsg_len - CMSG_LEN(0), sizeof fds));
  return true;
}

/// A picture's file in memory, for as long as it is looked at.
class Mapped {
 public:
  [[nodiscard]] static Result<Mapped> open(int fd) {
    struct stat status{};
    if (fd < 0) return fail(Errc::internal, "not a request");
    if (::fstat(fd, &status) != 0) return fail(Errc::io, "the picture cannot be read");
    const auto size = static_cast<std::size_t>(status.st_size);
    if (size == 0) return fail(Errc::bad_request, "the picture is empty");
    if (size > kInputBytesMax) return fail(Errc::too_large, "the picture is larger than 256 MB");
    void* memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (memory == MAP_FAILED) return fail(Errc::io, "the picture cannot be read");
    return Mapped(memory, size);
  }
  Mapped(Mapped&& other) noexcept : memory_(std::exchange(other.memory_, nullptr)), size_(other.size_) {}
  Mapped& operator=(Mapped&&) = delete;
  ~Mapped() {
    if (memory_ != nullptr) ::munmap(memory_, size_);
  }
  [[nodiscard]] std::string_view bytes() const { return {static_cast<const char*>(memory_), size_}; }

 private:
  Mapped(void* memory, std::size_t size) : memory_(memory), size_(size) {}
  void* memory_;
  std::size_t size_;
};

Result<std::string> make(const RenderRequest& request, const Descriptors& fds) {
  ATELIER_TRY(const Mapped picture, Mapped::open(fds[0]));
  if (request.form != RenderForm::masked) return render(picture.bytes(), request);
  ATELIER_TRY(const Mapped mask, Mapped::open(fds[2]));
  return with_alpha_of(picture.bytes(), mask.bytes());
}

Result<void> answer(const std::string& message, const Descriptors& fds) {
  const auto request = decode_request(message);
  if (!request || fds[1] < 0) return fail(Errc::internal, "not a request");
  ATELIER_TRY(const std::string made, make(*request, fds));
  for (std::size_t done = 0; done < made.size();) {
    const ssize_t written = ::write(fds[1], made.data() + done, made.size() - done);
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
    case RenderForm::masked:
      break;  // needs two pictures
  }
  return fail(Errc::internal, "an unknown form");
}

int serve_render_requests(int socket) {
  give_up_rights();
  std::string message;
  while (true) {
    Descriptors fds{-1, -1, -1};
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
