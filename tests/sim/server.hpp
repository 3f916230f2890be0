// SPDX-License-Identifier: MIT
#pragma once
// One life of the server, from its start to its kill: the real workshop, journal, files and worker link on a
// virtual runtime of its own. The store and the data folder outlive it.

#include <functional>
#include <memory>
#include <optional>

#include "files/files.hpp"
#include "gateway/catalog/catalog.hpp"
#include "gateway/live/live_bus.hpp"
#include "gateway/worker_link/worker_link.hpp"
#include "journal/memory/memory_journal.hpp"
#include "network.hpp"
#include "workshop/workshop.hpp"

namespace atelier::sim {

inline constexpr std::string_view kToken = "token-of-the-simulation";
inline constexpr milliseconds kJobLimit{120'000};

class Server {
 public:
  using Answered = std::function<void(HttpAnswer)>;

  Server(World& world, journal::memory::MemoryStore& store, const files::DataFolder& data,
         std::uint64_t seed);
  ~Server();

  /// Replays the journal; `opened` is called when it serves.
  void open(std::function<void()> opened);
  [[nodiscard]] bool is_open() const { return open_; }
  /// As kill -9. The object is kept afterwards, never used and never destroyed: a dead process runs no
  /// destructors.
  void kill();

  /// One HTTP request under /worker/; with `cut_at` its body breaks off there.
  void serve(HttpRequest request, std::optional<std::size_t> cut_at, Answered answered);
  /// The handshake of a link. `answer` gets 101 or a refusal.
  void accept(net::HeaderList headers, std::shared_ptr<Pipe> pipe,
              std::function<void(unsigned status, std::string text)> answer);

  void submit(core::Submitted event, std::shared_ptr<const std::string> form,
              std::function<void(Result<workshop::Submission>)> done);
  void cancel(JobId job);
  /// What an instructor's face records. Who asks does not wait for the answer.
  void post(core::Event event);
  /// As the instructor's face asks; what cannot be done is refused there.
  void add_slot(std::string_view worker);
  void remove_slot(std::string_view worker, std::uint32_t slot);
  /// Content that a prompt names, as the participant's face pins it.
  Result<files::BlobInfo> put_blob(std::string_view bytes) { return files_.blobs().put(bytes); }
  /// Writes a checkpoint of the present state.
  void checkpoint();

  [[nodiscard]] const core::Core& core() const { return workshop_.core(); }
  [[nodiscard]] bool accepting() const { return workshop_.accepting(); }
  [[nodiscard]] Time now() const { return workshop_.now(); }
  [[nodiscard]] Sequence last() const { return journal_->last(); }
  [[nodiscard]] VirtualRuntime& runtime() { return runtime_; }

 private:
  /// Runs `work` in the server; an exception out of it is our mistake.
  void start(awaitable<void> work);

  World& world_;
  VirtualRuntime runtime_;
  std::unique_ptr<journal::Journal> journal_;
  files::Files files_;
  gateway::Catalog catalog_;
  gateway::LiveBus live_;
  workshop::Workshop workshop_;
  gateway::WorkerLink workers_;
  bool open_ = false;
};

}  // namespace atelier::sim
