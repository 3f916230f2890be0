// SPDX-License-Identifier: MIT
#pragma once
// The worker agent: AgentMachine with sockets, files and clocks around it. One thread; the runtime must
// outlive it.

#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "net/http.hpp"
#include "net/tls.hpp"
#include "runtime/runtime.hpp"

namespace atelier::agent {

/// As the hello names it.
inline constexpr std::string_view kAgentVersion = "atelier-worker 0.1.0";

struct AgentOptions {
  net::Url join;  // of the gateway: https://host, with a path if it is mounted below one
  std::shared_ptr<const net::TlsContext> tls;  // whom its certificate must be from; nothing: the system's
  std::string token;            // long-lived, or of an enrolment; "": this machine has enrolled
  std::vector<net::Url> comfy;  // of the ComfyUI processes, slot 0 .. 63
  /// The command that starts a ComfyUI, without its port; "": they run already. Each is given --port of its
  /// address and, if there are several, a --temp-directory of its own, which a ComfyUI empties at its start,
  /// and a --database-url of its own, which it locks.
  std::string launch;
  std::string log_dir;    // of launched ones: engine-SLOT.log, and their temp folders
  std::string state_dir;  // for outputs on their way, and the worker's key
  std::string comfy_dir;  // its base folder with output, temp and input; "" = everything goes through HTTP
  std::string name;       // 1..64 of [A-Za-z0-9._-]
  milliseconds drain_limit{600'000};
  milliseconds hang_limit{90'000};
  milliseconds look_again{60'000};  // for nodes and models put there while ComfyUI runs
};

class Agent {
 public:
  /// Errors of run() aside, nothing happens before it. Opens --comfy-dir and makes the spool folder: config,
  /// io.
  [[nodiscard]] static Result<std::unique_ptr<Agent>> make(Runtime& runtime, AgentOptions options);
  ~Agent();

  /// Until drained, stopped, or refused at the first join; gives the exit code (0; 2 for a refusal, with its
  /// text logged).
  [[nodiscard]] awaitable<int> run();
  /// Finish what runs, take no more; at most drain_limit. Call on the runtime's thread.
  void drain(std::string reason);
  /// Give back what is not computed and end at once.
  void stop();

 private:
  struct Impl;
  explicit Agent(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// True for 1..64 of [A-Za-z0-9._-].
[[nodiscard]] bool is_worker_name(std::string_view name);
/// `blob_url` of a welcome seen from the join URL. Errors: bad_request.
[[nodiscard]] Result<net::Url> resolve_blob_url(const net::Url& join, std::string_view blob_url);

}  // namespace atelier::agent
