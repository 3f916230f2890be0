// SPDX-License-Identifier: MIT
#pragma once
// One ComfyUI process over HTTP and WebSocket, as any client uses it. One thread; every call has its own
// deadline.

#include <memory>
#include <string>
#include <string_view>

#include "agent/engine_answers.hpp"
#include "agent/ui_files.hpp"
#include "net/http_client.hpp"
#include "net/websocket.hpp"

namespace atelier::agent {

/// Loading a model can hold Python's lock for a minute.
inline constexpr milliseconds kHangLimit{90'000};

class EngineClient {
 public:
  /// `base` is ComfyUI's address ("http://127.0.0.1:8188", a path in it is kept); a socket that is silent for
  /// `hang_limit`, also when it is pinged, is dropped.
  EngineClient(Runtime& runtime, net::HttpClient& http, net::Url base, std::string client_id,
               milliseconds hang_limit = kHangLimit);

  [[nodiscard]] const std::string& client_id() const { return client_id_; }
  /// Without a trailing slash in its target.
  [[nodiscard]] const net::Url& base() const { return base_; }
  [[nodiscard]] std::uint16_t port() const { return base_.port; }
  [[nodiscard]] awaitable<Result<EngineStats>> stats();
  /// It lets one connect and does not answer: its process is there, and stands still.
  [[nodiscard]] awaitable<bool> hangs();
  /// The names of its models by folder. A folder that it cannot list is left out. ComfyUI knows them by heart
  /// while its folders are as they were. Errors: unavailable (no answer), bad_request (it does not tell).
  [[nodiscard]] awaitable<Result<comfy::ModelLists>> model_names();
  /// The same with sizes and times, and without files whose endings only a custom pack knows. ComfyUI 0.21.0
  /// looks at each file anew, and answers nobody else meanwhile.
  [[nodiscard]] awaitable<Result<comfy::ModelLists>> model_facts();
  /// GET /prompt: runs that wait or run. Errors: unavailable, bad_request.
  [[nodiscard]] awaitable<Result<std::uint64_t>> queue_remaining();
  /// The most bytes that a request may have (--max-upload-size); nothing if it does not say.
  [[nodiscard]] awaitable<std::optional<std::uint64_t>> upload_limit();
  /// The bytes of /object_info, at most 64 MB.
  [[nodiscard]] awaitable<Result<std::string>> object_info();
  /// The socket with our client id; feature_flags has been sent.
  [[nodiscard]] awaitable<Result<std::unique_ptr<net::WebSocket>>> open_socket();
  /// Interrupts and removes runs of earlier clients whose id begins with `client_prefix`, until none is left.
  [[nodiscard]] awaitable<Result<void>> clear_runs_of(std::string client_prefix);

  struct Posted {
    PostResult result = PostResult::unreachable;
    std::string body;
  };
  [[nodiscard]] awaitable<Posted> post(std::string body);
  struct Asked {
    RunPlace place = RunPlace::unreachable;
    std::optional<RunHistory> history;
  };
  [[nodiscard]] awaitable<Asked> ask(std::string run_id);
  [[nodiscard]] awaitable<void> interrupt(std::string run_id);
  [[nodiscard]] awaitable<void> free_memory();
  /// GET /view. Errors: not_found, unavailable (no answer), and whatever reading gives.
  [[nodiscard]] awaitable<Result<net::ClientResponse>> view(const UiFile& file);
  /// POST /upload/image; the name must come back unchanged. Errors: too_large (413), unavailable, io.
  [[nodiscard]] awaitable<Result<void>> upload_input(std::string name, std::string bytes);

 private:
  net::Url url(std::string_view path) const;
  struct Answer {
    unsigned status = 0;
    std::string body;
  };
  awaitable<Result<comfy::ModelLists>> lists_at(std::string route);
  awaitable<Result<Answer>> ask_for(std::string path, std::uint64_t bytes_max, Instant deadline);
  /// Error unavailable also for an answer that is not 200.
  awaitable<Result<std::string>> get(std::string path, std::uint64_t bytes_max, milliseconds limit);
  awaitable<Result<unsigned>> post_json(std::string path, std::string body);

  Runtime& runtime_;
  net::HttpClient& http_;
  net::Url base_;
  std::string client_id_;
  milliseconds hang_limit_;
};

/// An engine that does not answer is `unavailable`, whatever the network called it.
[[nodiscard]] Error as_unavailable(Error error);

}  // namespace atelier::agent
