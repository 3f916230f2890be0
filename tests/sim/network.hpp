// SPDX-License-Identifier: MIT
#pragma once
// What lies between agents and the server: links (WebSockets) and HTTP calls, with latency, and with what
// goes wrong on the way. Links keep the order of messages in each direction, as TCP does.

#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "net/http.hpp"
#include "net/websocket.hpp"
#include "random.hpp"
#include "runtime/signal.hpp"
#include "world.hpp"

namespace atelier::sim {

class Server;
class Pipe;

/// The server's end of a link. Lives in the server's runtime and dies (or is left behind) with it.
class SimSocket final : public net::WebSocket {
 public:
  SimSocket(Runtime& runtime, std::shared_ptr<Pipe> pipe) : pipe_(std::move(pipe)), changed_(runtime) {}
  ~SimSocket() override;

  awaitable<Result<net::Message>> read(Instant deadline) override;
  awaitable<Result<void>> write(net::Message message, Instant deadline) override;
  awaitable<void> close(net::CloseCode code, std::string reason) override;
  void drop() override { end(); }
  [[nodiscard]] bool is_open() const override { return open_; }
  [[nodiscard]] net::CloseCode close_code() const override {
    return open_ ? net::CloseCode::none : net::CloseCode::abnormal;
  }
  [[nodiscard]] std::string close_reason() const override { return {}; }

  /// From the pipe: a message has arrived; the connection has ended.
  void deliver(net::Message message);
  void end();

 private:
  std::shared_ptr<Pipe> pipe_;
  Signal changed_;
  std::deque<net::Message> inbox_;
  bool open_ = true;
};

/// What the agent's end of a link tells its owner.
struct LinkEnd {
  std::function<void(const net::Message&)> on_message;
  std::function<void(std::string why)> on_down;
};

class Pipe : public std::enable_shared_from_this<Pipe> {
 public:
  Pipe(World& world, Random& random, LinkEnd agent)
      : world_(world), random_(random), agent_(std::move(agent)) {}

  void attach(SimSocket& socket) { socket_ = &socket; }
  void to_server(net::Message message);
  void to_agent(net::Message message);
  /// One end closes or dies; the other learns it a little later.
  void agent_gone(bool with_fin);
  void server_closed();
  /// The server's process died: its kernel answers with a reset, unless its machine is gone, too.
  void server_died(bool with_reset);
  /// Both ends learn that the connection is gone / nobody does until the pings are not answered.
  void cut();
  void go_half_open();
  [[nodiscard]] bool is_up() const { return agent_end_ && socket_ != nullptr && !half_open_; }

 private:
  void end_agent(milliseconds delay, std::string why);
  void end_server(milliseconds delay);

  World& world_;
  Random& random_;
  LinkEnd agent_;
  SimSocket* socket_ = nullptr;
  bool agent_end_ = true;   // the agent still listens
  bool half_open_ = false;  // nothing passes any more
  Instant last_to_server_, last_to_agent_;
};

struct HttpRequest {
  net::Method method = net::Method::get;
  bool is_head = false;
  std::string target;
  net::HeaderList headers;
  std::string body;
};
struct HttpAnswer {
  unsigned status = 0;
  net::HeaderList headers;
  std::string body;
};
using HttpDone = std::function<void(Result<HttpAnswer>)>;

/// How often something goes wrong, in permille; all 0 once the faults are over.
struct NetworkFaults {
  std::uint64_t request_lost = 0, answer_lost = 0, body_cut = 0, late_request = 0;
};

class Network {
 public:
  Network(World& world, std::uint64_t seed) : world_(world), random_(seed, 1) {}

  void set_server(Server* server) { server_ = server; }
  /// The server died: calls and handshakes under way fail, links break.
  void server_died(bool with_reset);
  /// `done` is called once, within 31 s. Errors: closed, timeout.
  void call(HttpRequest request, HttpDone done);
  /// Opens a link: `up` gets the agent's end, or `refused` the status (0: nobody answers).
  void dial(net::HeaderList headers, LinkEnd agent, std::function<void(std::shared_ptr<Pipe>)> up,
            std::function<void(unsigned status, std::string text)> refused);
  /// Breaks one of the links that are up.
  void break_a_link();

  NetworkFaults faults;

 private:
  struct Call {
    HttpDone done;
    bool open = true;
  };
  /// A handshake under way.
  struct Dial {
    std::function<void(unsigned status, std::string text)> refused;
    bool open = true;
  };
  void finish(const std::shared_ptr<Call>& call, Result<HttpAnswer> result);
  void arrive(HttpRequest request, std::shared_ptr<Call> call);

  World& world_;
  Random random_;
  Server* server_ = nullptr;
  std::list<std::shared_ptr<Call>> calls_;
  std::list<std::shared_ptr<Dial>> dials_;
  std::list<std::weak_ptr<Pipe>> pipes_;
};

}  // namespace atelier::sim
