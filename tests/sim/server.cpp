// SPDX-License-Identifier: MIT
#include "server.hpp"

#include <unistd.h>

#include <boost/asio/co_spawn.hpp>

#include "probe.hpp"

namespace atelier::sim {
namespace {

gateway::WorkerLinkOptions link_options() {
  gateway::WorkerLinkOptions options;
  options.token = kToken;
  options.job_limit = kJobLimit;
  return options;
}

workshop::WorkshopOptions workshop_options() {
  workshop::WorkshopOptions options;
  options.policy.job_limit = kJobLimit;
  return options;
}

/// A body that breaks off after some bytes.
class CutReader final : public net::BodyReader {
 public:
  CutReader(std::string bytes, std::size_t cut_at) : bytes_(std::move(bytes)), cut_at_(cut_at) {}
  awaitable<Result<std::size_t>> read(std::span<char> into, Instant) override {
    const std::size_t count = std::min(into.size(), cut_at_ - next_);
    if (count == 0) co_return fail(Errc::closed, "the connection broke");
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(next_), count, into.begin());
    next_ += count;
    co_return count;
  }

 private:
  std::string bytes_;
  std::size_t cut_at_, next_ = 0;
};

awaitable<std::string> body_of(net::Response& response) {
  std::string out;
  if (auto* text = std::get_if<std::string>(&response.body)) out = std::move(*text);
  if (auto* shared = std::get_if<net::SharedBody>(&response.body)) out = shared->view();
  if (auto* file = std::get_if<net::FileBody>(&response.body)) {
    out.resize(file->length);
    const ssize_t got = ::pread(file->fd.get(), out.data(), out.size(), static_cast<off_t>(file->offset));
    out.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  }
  if (auto* stream = std::get_if<net::StreamBody>(&response.body)) {
    while (true) {
      auto piece = co_await stream->next();
      if (!piece || piece->empty()) break;
      out += *piece;
    }
  }
  co_return out;
}

net::Request request_of(HttpRequest& from) {
  net::Request request;
  request.method = from.method;
  request.is_head = from.is_head;
  request.target = std::move(from.target);
  request.host = "server";
  request.headers = std::move(from.headers);
  request.content_length = from.body.size();
  return request;
}

}  // namespace

Server::Server(World& world, journal::memory::MemoryStore& store, const files::DataFolder& data,
               std::uint64_t seed)
    : world_(world),
      runtime_(seed),
      journal_(journal::memory::open(runtime_, store)),
      files_(runtime_, data),
      catalog_(runtime_, files_),
      workshop_(runtime_, *journal_, workshop_options()),
      workers_(runtime_, workshop_, files_, catalog_, live_, link_options(),
               [](JobId, Epoch, std::string) {}) {}
Server::~Server() = default;

void Server::start(awaitable<void> work) {
  asio::co_spawn(runtime_.executor(), std::move(work), [this](std::exception_ptr failure) {
    if (!failure) return;
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& error) {
      world_.broken(fmt::format("the server threw: {}", error.what()));
    }
  });
  runtime_.run_ready();
}

void Server::open(std::function<void()> opened) {
  auto work = [](Server& self, std::function<void()> done) -> awaitable<void> {
    if (auto loaded = co_await self.catalog_.load(); !loaded) self.world_.broken(loaded.error().what);
    auto replayed = co_await self.workshop_.open();
    if (!replayed) {
      // A fault of the disk met the start: the process ends and is started again.
      self.world_.trace("server does not open: {}", replayed.error().what);
      co_return;
    }
    self.workshop_.add_sink(self.workers_);
    self.workshop_.start();
    self.workers_.start();
    self.open_ = true;
    done();
  };
  start(work(*this, std::move(opened)));
}

void Server::kill() {
  open_ = false;
  runtime_.halt();
}

void Server::serve(HttpRequest request, std::optional<std::size_t> cut_at, Answered answered) {
  auto work = [](Server& self, HttpRequest from, std::optional<std::size_t> cut,
                 Answered done) -> awaitable<void> {
    from.headers.set("Authorization", fmt::format("Bearer {}", kToken));
    net::Request incoming = request_of(from);
    net::StringReader whole(from.body);
    CutReader broken(from.body, cut.value_or(0));
    incoming.body = cut ? static_cast<net::BodyReader*>(&broken) : &whole;
    net::Response response = co_await self.workers_.handle(incoming);
    HttpAnswer answer;
    answer.status = response.status;
    answer.headers = response.headers;
    if (!incoming.is_head) answer.body = co_await body_of(response);
    done(std::move(answer));
  };
  start(work(*this, std::move(request), cut_at, std::move(answered)));
}

void Server::accept(net::HeaderList headers, std::shared_ptr<Pipe> pipe,
                    std::function<void(unsigned, std::string)> answer) {
  auto work = [](Server& self, net::HeaderList given, std::shared_ptr<Pipe> link,
                 std::function<void(unsigned, std::string)> done) -> awaitable<void> {
    HttpRequest from;
    from.target = "/worker/link";
    from.headers = std::move(given);
    from.headers.set("Authorization", fmt::format("Bearer {}", kToken));
    from.headers.set("Upgrade", "websocket");
    from.headers.set("Connection", "Upgrade");
    from.headers.set("Sec-WebSocket-Version", "13");
    from.headers.set("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==");
    net::Request incoming = request_of(from);
    net::StringReader none("");
    incoming.body = &none;
    net::Response response = co_await self.workers_.handle(incoming);
    if (!response.upgrade) {
      done(response.status, co_await body_of(response));
      co_return;
    }
    auto socket = std::make_unique<SimSocket>(self.runtime_, link);
    link->attach(*socket);
    done(101, "");
    co_await response.upgrade(std::move(socket));
  };
  start(work(*this, std::move(headers), std::move(pipe), std::move(answer)));
}

void Server::submit(core::Submitted event, std::shared_ptr<const std::string> form,
                    std::function<void(Result<workshop::Submission>)> done) {
  auto work = [](Server& self, core::Submitted submitted, std::shared_ptr<const std::string> bytes,
                 std::function<void(Result<workshop::Submission>)> answered) -> awaitable<void> {
    answered(co_await self.workshop_.submit(std::move(submitted), std::move(bytes)));
  };
  start(work(*this, std::move(event), std::move(form), std::move(done)));
}

void Server::cancel(JobId job) {
  core::CancelRequested event;
  event.job = job;
  event.by = "participant";
  post(core::Event{std::move(event)});
}

void Server::post(core::Event event) {
  workshop_.post(std::move(event));
  runtime_.run_ready();
}

void Server::add_slot(std::string_view worker) {
  (void)workers_.add_slot(worker, 0);
  runtime_.run_ready();
}

void Server::remove_slot(std::string_view worker, std::uint32_t slot) {
  (void)workers_.remove_slot(worker, slot);
  runtime_.run_ready();
}

void Server::checkpoint() {
  auto work = [](Server& self) -> awaitable<void> {
    std::vector<core::CheckpointRecord> records = self.workshop_.core().export_facts();
    for (const core::Summary* summary : self.workshop_.history().all()) records.emplace_back(*summary);
    const auto written = co_await self.journal_->checkpoint(self.journal_->last(), std::move(records));
    if (written) SIM_PROBE("checkpoint_written");
  };
  start(work(*this));
}

}  // namespace atelier::sim
