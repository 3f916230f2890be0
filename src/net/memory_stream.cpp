// SPDX-License-Identifier: MIT
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "net/byte_stream.hpp"
#include "net/wait_slot.hpp"

namespace atelier::net {
namespace {

class MemoryStream;

struct Pipe {
  std::string bytes;
  bool ended = false;   // the writer will send no more
  bool broken = false;  // the reader is gone
};

struct Shared {
  MemoryPairOptions options;
  std::array<Pipe, 2> pipes;  // pipes[i] is written by end i
  std::array<MemoryStream*, 2> ends{};
  std::shared_ptr<std::size_t> operations = std::make_shared<std::size_t>(0);
};

class MemoryStream final : public ByteStream {
 public:
  MemoryStream(Executor executor, std::shared_ptr<Shared> shared, std::size_t index)
      : executor_(executor),
        shared_(std::move(shared)),
        index_(index),
        readable_(executor),
        writable_(executor) {
    shared_->ends[index_] = this;
  }
  ~MemoryStream() override {
    close();
    shared_->ends[index_] = nullptr;
  }

  Transfer try_read(std::span<char> into) override {
    if (fails() || !open_) return Transfer::broken(ECONNRESET);
    Pipe& pipe = in();
    if (pipe.bytes.empty()) return pipe.ended ? Transfer::ended() : Transfer::blocked();
    const std::size_t count = std::min({into.size(), pipe.bytes.size(), shared_->options.read_bytes_max});
    std::copy_n(pipe.bytes.data(), count, into.data());
    pipe.bytes.erase(0, count);
    poke_peer();
    return Transfer::moved(count);
  }

  Transfer try_write(std::span<const std::string_view> buffers, More) override {
    if (fails() || !open_ || out().ended) return Transfer::broken(ECONNRESET);
    if (out().broken) return Transfer::broken(EPIPE);
    std::size_t room =
        std::min(shared_->options.write_bytes_max, shared_->options.pipe_bytes_max - out().bytes.size());
    if (room == 0) return Transfer::blocked();
    std::size_t taken = 0;
    for (std::string_view buffer : buffers) {
      const std::string_view piece = buffer.substr(0, room);
      out().bytes += piece;
      taken += piece.size();
      room -= piece.size();
    }
    poke_peer();
    return Transfer::moved(taken);
  }

  Transfer try_flush() override { return Transfer::moved(0); }

  Transfer try_file(int fd, std::uint64_t offset, std::size_t length, More more) override {
    std::string piece(std::min<std::size_t>(length, 16 << 10), '\0');
    const ssize_t count = ::pread(fd, piece.data(), piece.size(), static_cast<off_t>(offset));
    if (count < 0) return Transfer::broken(errno);
    if (count == 0) return Transfer::ended();
    const std::string_view view = std::string_view(piece).substr(0, static_cast<std::size_t>(count));
    return try_write({&view, 1}, more);
  }

  bool prefers_files() const override { return true; }
  std::size_t buffered() const override { return 0; }

  void async_wait(Wait what, WaitHandler handler) override {
    (what == Wait::readable ? readable_ : writable_).arm(std::move(handler));
    poke();
  }
  void interrupt() override {
    readable_.finish(asio::error::operation_aborted);
    writable_.finish(asio::error::operation_aborted);
  }
  void shutdown_send() override {
    out().ended = true;
    poke_peer();
  }
  void close() override {
    if (!open_) return;
    open_ = false;
    interrupt();
    out().ended = true;
    in().broken = true;
    poke_peer();
  }
  bool is_open() const override { return open_; }
  Executor executor() override { return executor_; }

 private:
  Pipe& in() { return shared_->pipes[1 - index_]; }
  Pipe& out() { return shared_->pipes[index_]; }

  bool fails() {
    if (index_ != 0) return false;
    const std::size_t operation = ++*shared_->operations;
    const std::size_t fail_at = shared_->options.fail_at;
    return fail_at != 0 && operation >= fail_at;
  }
  void poke() {
    if (!open_ || !in().bytes.empty() || in().ended) readable_.finish();
    if (!open_ || out().broken || out().bytes.size() < shared_->options.pipe_bytes_max) writable_.finish();
  }
  void poke_peer() {
    if (MemoryStream* peer = shared_->ends[1 - index_]) peer->poke();
  }

  Executor executor_;
  std::shared_ptr<Shared> shared_;
  std::size_t index_;
  WaitSlot readable_, writable_;
  bool open_ = true;
};

}  // namespace

MemoryPair make_memory_pair(Executor executor, MemoryPairOptions options) {
  auto shared = std::make_shared<Shared>();
  shared->options = options;
  MemoryPair pair;
  pair.first = std::make_unique<MemoryStream>(executor, shared, 0);
  pair.second = std::make_unique<MemoryStream>(executor, shared, 1);
  pair.operations = shared->operations;
  return pair;
}

}  // namespace atelier::net
