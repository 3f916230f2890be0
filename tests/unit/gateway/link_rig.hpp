// SPDX-License-Identifier: MIT
#pragma once
// The real worker link beside the rig's faces, and agents that say whatever a test wants.

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "gateway/worker_link/worker_link.hpp"
#include "link/codec.hpp"
#include "unit/gateway/fake_socket.hpp"

namespace atelier::gateway::test {

inline constexpr std::string_view kWorkerToken = "token-of-the-workers";

class LinkRig : public Rig {
 public:
  explicit LinkRig(RigOptions options = {});
  ~LinkRig();

  /// A request under /worker/ with `bearer`, unless `headers` say otherwise.
  Reply worker_request(net::Method method, std::string target, std::string body = {},
                       net::HeaderList headers = {});

  /// A job that reads the participant's uploaded "cat.png" and saves "cat"; uuid(n) is its prompt_id.
  JobId submit_with_input(std::uint64_t participant, int n);

  /// What agents that come from now on show: by default the workers' token.
  std::string bearer{kWorkerToken};
  std::unique_ptr<WorkerLink> link;
};

/// An agent at the far end of a link, whose slots can run everything in kObjectInfo.
class Agent {
 public:
  explicit Agent(LinkRig& rig, std::string name = "gpu-1", std::uint64_t boot = 1, std::uint32_t slots = 1,
                 std::vector<link::HelloJob> jobs = {}, std::optional<Digest> models = {});
  ~Agent() { leave(); }
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  void say(const link::AgentMessage& message);
  /// It has arrived, and is not read yet.
  void put_on_wire(const link::AgentMessage& message);
  /// All messages of this type that have come and were not taken yet.
  template <class M>
  std::vector<M> take() {
    receive();
    std::vector<M> taken;
    std::erase_if(inbox_, [&](link::GatewayMessage& message) {
      if (auto* wanted = std::get_if<M>(&message)) taken.push_back(std::move(*wanted));
      return std::holds_alternative<M>(message) && !taken.empty();
    });
    return taken;
  }
  /// A request of this link.
  Reply send(net::Method method, std::string target, std::string body = {});
  /// Uploads the bytes as file N of the job's epoch.
  Reply put(JobId job, Epoch epoch, std::uint32_t n, const std::string& bytes);
  [[nodiscard]] static link::Commit commit_of(JobId job, Epoch epoch, const std::string& bytes,
                                              std::string folder = "");
  void leave();
  [[nodiscard]] LinkId number() const { return number_; }
  /// On the jobs of its hello.
  [[nodiscard]] const std::vector<link::Verdict>& verdicts() const { return verdicts_; }
  [[nodiscard]] const std::vector<Digest>& wanted() const { return wanted_; }
  [[nodiscard]] net::CloseCode closed() const { return wire_->server_closed; }
  [[nodiscard]] const std::string& reason() const { return wire_->reason; }

 private:
  void receive();

  LinkRig& rig_;
  std::string bearer_;
  std::shared_ptr<Wire> wire_;
  net::Upgrade upgrade_;
  std::deque<link::GatewayMessage> inbox_;
  LinkId number_;
  std::vector<link::Verdict> verdicts_;
  std::vector<Digest> wanted_;
};

/// What a handshake of this protocol version is answered.
[[nodiscard]] net::HeaderList handshake(std::string_view name, std::string_view version);

}  // namespace atelier::gateway::test
