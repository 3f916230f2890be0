// SPDX-License-Identifier: MIT
#include "net/socket_waits.hpp"

#include <boost/asio/detail/reactor.hpp>
#include <boost/asio/detail/reactor_op.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>

#include <array>
#include <utility>

#include "net/wait_slot.hpp"

namespace atelier::net {

// Asio's own wait re-arms its epoll instance each time (epoll_ctl). Its reactor can do without, for
// operations that say they are "done and exhausted": then it remembers whether an event came since
// (docs/decisions/net-2026-11-28-waits-without-rearming.md).
class SocketWaits::Registration {
 public:
  Registration(Executor executor, int fd)
      : reactor_(asio::use_service<asio::detail::reactor>(executor.context())),
        fd_(fd),
        directions_{Direction{*this, executor, asio::detail::reactor::read_op},
                    Direction{*this, executor, asio::detail::reactor::write_op}} {
    reactor_.init_task();
    failed_.assign(reactor_.register_descriptor(fd_, data_), boost::system::system_category());
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

  void exhausted(ByteStream::Wait what, bool yes) { at(what).exhausted = yes; }

  void async_wait(ByteStream::Wait what, ByteStream::WaitHandler handler) {
    Direction& direction = at(what);
    direction.slot.arm(std::move(handler));
    if (failed_) {
      direction.slot.finish(failed_);
    } else if (direction.queued) {
      if (!direction.exhausted) direction.slot.finish();
    } else if (direction.exhausted) {
      start(direction);
    } else {
      // The operation goes round the loop, not the handler: interrupt() still finds that.
      begin(direction);
      reactor_.post_immediate_completion(&direction, false);
    }
  }

  void interrupt() {
    for (Direction& direction : directions_) direction.slot.finish(asio::error::operation_aborted);
    reactor_.cancel_ops(fd_, data_);
  }

  void close() {
    closed_ = true;
    interrupt();
    reactor_.deregister_descriptor(fd_, data_, true);
    reactor_.cleanup_descriptor_data(data_);
    release();
  }

 private:
  struct Direction final : asio::detail::reactor_op {
    Direction(Registration& owner, Executor executor, int type)
        : reactor_op({}, &perform, &complete), registration(owner), slot(executor), reactor_type(type) {}
    static status perform(reactor_op*) { return done_and_exhausted; }
    static void complete(void* owner, asio::detail::operation* base, const boost::system::error_code&,
                         std::size_t) {
      auto& direction = *static_cast<Direction*>(base);
      direction.registration.completed(direction, owner != nullptr);
    }

    Registration& registration;
    WaitSlot slot;
    int reactor_type;
    bool queued = false;
    bool exhausted = false;
  };

  Direction& at(ByteStream::Wait what) { return directions_[what == ByteStream::Wait::readable ? 0 : 1]; }

  void begin(Direction& direction) {
    direction.queued = true;
    direction.ec_ = {};
    ++users_;
  }
  void start(Direction& direction) {
    begin(direction);
    reactor_.start_op(direction.reactor_type, fd_, data_, &direction, false, true);
  }

  void completed(Direction& direction, bool running) {
    direction.queued = false;
    ByteStream::WaitHandler handler;
    if (!running) {  // the loop ends: so does what waits, which may own the stream
      direction.slot.take().swap(handler);
      return release();
    }
    if (!closed_) {
      if (!direction.ec_) {
        direction.exhausted = false;
        direction.slot.take().swap(handler);
      } else if (direction.slot.armed()) {  // a new wait, begun after the interrupt of the last one
        start(direction);
      }
    }
    release();
    if (handler) std::move(handler)(boost::system::error_code());
  }

  void release() {
    if (--users_ == 0) delete this;
  }

  asio::detail::reactor& reactor_;
  int fd_;
  asio::detail::reactor::per_descriptor_data data_{};
  std::array<Direction, 2> directions_;
  int users_ = 1;
  bool closed_ = false;
  boost::system::error_code failed_;  // the kernel takes no more to watch
};

SocketWaits::SocketWaits(Executor executor, int fd) : registration_(new Registration(executor, fd)) {}
SocketWaits::~SocketWaits() { registration_->close(); }
void SocketWaits::exhausted(ByteStream::Wait what, bool yes) { registration_->exhausted(what, yes); }
void SocketWaits::async_wait(ByteStream::Wait what, ByteStream::WaitHandler handler) {
  registration_->async_wait(what, std::move(handler));
}
void SocketWaits::interrupt() { registration_->interrupt(); }

}  // namespace atelier::net
