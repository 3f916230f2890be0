// SPDX-License-Identifier: MIT
#include "network.hpp"

#include <algorithm>
#include <vector>

#include "probe.hpp"
#include "server.hpp"

namespace atelier::sim {
namespace {

constexpr milliseconds kCallLimit{30'000};   // as the agent's own
constexpr milliseconds kAgentPings{45'000};  // two unanswered pings
constexpr milliseconds kServerPings{60'000};

}  // namespace

SimSocket::~SimSocket() {
  if (open_ && pipe_) pipe_->server_closed();
}

awaitable<Result<net::Message>> SimSocket::read(Instant deadline) {
  while (inbox_.empty()) {
    if (!open_) co_return fail(Errc::closed, "the link has ended");
    if (!co_await changed_.wait(deadline)) co_return fail(Errc::timeout, "nothing came");
  }
  net::Message message = std::move(inbox_.front());
  inbox_.pop_front();
  co_return message;
}

awaitable<Result<void>> SimSocket::write(net::Message message, Instant) {
  if (!open_) co_return fail(Errc::closed, "the link has ended");
  pipe_->to_agent(std::move(message));
  co_return Result<void>{};
}

awaitable<void> SimSocket::close(net::CloseCode, std::string) {
  if (open_) pipe_->server_closed();
  end();
  co_return;
}

void SimSocket::deliver(net::Message message) {
  if (!open_) return;
  inbox_.push_back(std::move(message));
  changed_.notify_all();
}

void SimSocket::end() {
  if (!std::exchange(open_, false)) return;
  report_end();
  changed_.notify_all();
}

void Pipe::to_server(net::Message message) {
  if (half_open_) return;
  last_to_server_ = std::max(last_to_server_, world_.now() + random_.ms(1, 40));
  world_.at(last_to_server_, [self = shared_from_this(), message = std::move(message)] {
    if (self->socket_ != nullptr && !self->half_open_) self->socket_->deliver(message);
  });
}

void Pipe::to_agent(net::Message message) {
  if (half_open_) return;
  last_to_agent_ = std::max(last_to_agent_, world_.now() + random_.ms(1, 40));
  world_.at(last_to_agent_, [self = shared_from_this(), message = std::move(message)] {
    if (self->agent_end_ && !self->half_open_) self->agent_.on_message(message);
  });
}

void Pipe::end_agent(milliseconds delay, std::string why) {
  world_.at(std::max(last_to_agent_, world_.now() + delay),
            [self = shared_from_this(), why = std::move(why)] {
              if (std::exchange(self->agent_end_, false)) self->agent_.on_down(why);
            });
}

void Pipe::end_server(milliseconds delay) {
  world_.at(std::max(last_to_server_, world_.now() + delay), [self = shared_from_this()] {
    if (SimSocket* socket = std::exchange(self->socket_, nullptr)) socket->end();
  });
}

void Pipe::agent_gone(bool with_fin) {
  agent_end_ = false;
  if (!with_fin) {
    SIM_PROBE("agent_killed_without_fin");
    half_open_ = true;
  }
  end_server(with_fin ? random_.ms(1, 40) : kServerPings);
}

void Pipe::server_closed() {
  socket_ = nullptr;
  end_agent(random_.ms(1, 40), "closed by the server");
}

void Pipe::server_died(bool with_reset) {
  socket_ = nullptr;
  if (!with_reset) half_open_ = true;
  end_agent(with_reset ? random_.ms(1, 40) : kAgentPings, with_reset ? "reset" : "pings not answered");
}

void Pipe::cut() {
  SIM_PROBE("link_cut");
  end_agent(random_.ms(1, 500), "cut");
  end_server(random_.ms(1, 500));
}

void Pipe::go_half_open() {
  SIM_PROBE("link_half_open");
  half_open_ = true;
  end_agent(kAgentPings + random_.ms(0, 10'000), "pings not answered");
  end_server(kServerPings + random_.ms(0, 10'000));
}

void Network::server_died(bool with_reset) {
  server_ = nullptr;
  for (const auto& pipe : pipes_) {
    if (auto alive = pipe.lock()) alive->server_died(with_reset);
  }
  pipes_.clear();
  for (const auto& dial : std::exchange(dials_, {})) {
    dial->open = false;
    world_.after(random_.ms(1, 40), [dial] { dial->refused(0, "the server died"); });
  }
  for (const auto& call : std::exchange(calls_, {})) {
    world_.after(random_.ms(1, 40), [this, call] { finish(call, fail(Errc::closed, "the server died")); });
  }
}

void Network::finish(const std::shared_ptr<Call>& call, Result<HttpAnswer> result) {
  if (!std::exchange(call->open, false)) return;
  std::erase(calls_, call);
  call->done(std::move(result));
}

void Network::call(HttpRequest request, HttpDone done) {
  auto call = std::make_shared<Call>();
  call->done = std::move(done);
  calls_.push_back(call);
  world_.after(kCallLimit, [this, call] { finish(call, fail(Errc::timeout, "no answer in time")); });
  if (random_.chance(faults.request_lost)) {
    SIM_PROBE("http_request_lost");
    return;
  }
  milliseconds delay = random_.ms(1, 60);
  if (random_.chance(faults.late_request)) {
    SIM_PROBE("http_late_request");
    delay = random_.ms(1'000, 90'000);  // its sender has given up meanwhile
  }
  world_.after(delay,
               [this, request = std::move(request), call]() mutable { arrive(std::move(request), call); });
}

void Network::arrive(HttpRequest request, std::shared_ptr<Call> call) {
  if (server_ == nullptr || !server_->is_open()) {
    world_.after(random_.ms(1, 20), [this, call] { finish(call, fail(Errc::closed, "connection refused")); });
    return;
  }
  std::optional<std::size_t> cut_at;
  if (!request.body.empty() && random_.chance(faults.body_cut)) {
    SIM_PROBE("http_body_cut");
    cut_at = random_.below(request.body.size());
  }
  const bool lost = random_.chance(faults.answer_lost);
  server_->serve(std::move(request), cut_at, [this, call, lost, cut = cut_at.has_value()](HttpAnswer answer) {
    if (lost) SIM_PROBE("http_answer_lost");
    Result<HttpAnswer> result = std::move(answer);
    if (lost || cut) result = fail(Errc::closed, "the connection broke");
    world_.after(random_.ms(1, 60),
                 [this, call, result = std::move(result)]() mutable { finish(call, std::move(result)); });
  });
}

void Network::dial(net::HeaderList headers, LinkEnd agent, std::function<void(std::shared_ptr<Pipe>)> up,
                   std::function<void(unsigned, std::string)> refused) {
  world_.after(random_.ms(1, 60), [this, headers = std::move(headers), agent = std::move(agent),
                                   up = std::move(up), refused = std::move(refused)]() mutable {
    if (server_ == nullptr || !server_->is_open()) {
      world_.after(random_.ms(1, 20), [refused] { refused(0, "connection refused"); });
      return;
    }
    auto pipe = std::make_shared<Pipe>(world_, random_, std::move(agent));
    auto dial = std::make_shared<Dial>(refused);
    dials_.push_back(dial);
    auto answer = [this, pipe, up, dial](unsigned status, std::string text) {
      world_.after(random_.ms(1, 40), [this, pipe, up, dial, status, text = std::move(text)] {
        if (!dial->open) return;
        std::erase(dials_, dial);
        if (status != 101) return dial->refused(status, text);
        pipes_.push_back(pipe);
        up(pipe);
      });
    };
    server_->accept(std::move(headers), pipe, std::move(answer));
  });
}

void Network::break_a_link() {
  std::vector<std::shared_ptr<Pipe>> up;
  for (const auto& pipe : pipes_) {
    if (auto alive = pipe.lock(); alive && alive->is_up()) up.push_back(std::move(alive));
  }
  if (up.empty()) return;
  Pipe& pipe = *up[random_.below(up.size())];
  if (random_.chance(500)) {
    pipe.cut();
  } else {
    pipe.go_half_open();
  }
}

}  // namespace atelier::sim
