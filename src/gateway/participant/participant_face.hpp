// SPDX-License-Identifier: MIT
#pragma once
// ComfyUI's interface for each participant under /user/N/ (design.md 9, comfyui-interface.md): routes, files,
// events. It translates and decides nothing: requests become events of the workshop, effects and live frames
// become messages. One thread.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "files/files.hpp"
#include "gateway/catalog/catalog.hpp"
#include "gateway/live/live_bus.hpp"
#include "gateway/worker_link/worker_link.hpp"
#include "net/http.hpp"
#include "runtime/runtime.hpp"
#include "workshop/outlook.hpp"
#include "workshop/workshop.hpp"

namespace atelier::gateway {

struct ParticipantFaceOptions {
  std::uint64_t num_users = 20;
  std::string frontend_folder;   // the stock front end, with .gz files beside its texts; "" = none (404)
  std::string web_folder;        // our own files: boot.js, atelier.js; "" = none
  std::string welcome_folder;    // welcome.png and Welcome.json for the first visit; "" = none
  std::string templates_folder;  // workflow templates of the front end; "" = none
  std::string docs_folder;       // its pages about nodes; "" = none
  std::string image_program;     // atelier-image; "" = previews and channels are not made
  std::string frontend_version = "1.58.1";
  std::uint64_t prompt_bytes_max = 8u << 20;
  std::uint64_t upload_bytes_max = 200'000'000;
  std::uint64_t input_bytes_max = 20'000'000'000;  // of one file that a prompt names
  std::size_t sockets_per_participant_max = 8;
  std::size_t attachment_cache_bytes_max = 8u << 20;
  std::size_t object_info_cache_bytes_max = 16u << 20;
};

/// The refusal of a request that may not act as this participant (SeatAccess::refuse); nothing: it may.
using AccessCheck = std::function<std::optional<net::Response>(const net::Request&, ParticipantId)>;

class ParticipantFace final : public workshop::EffectSink {
 public:
  /// Everything outlives the face. Reads the names (not the content) of the static folders at once.
  ParticipantFace(Runtime& runtime, workshop::Workshop& workshop, files::Files& files, Catalog& catalog,
                  LiveBus& live, ParticipantFaceOptions options);
  ~ParticipantFace() override;

  /// Who is connected, for /system_stats; nobody by default. Set before the first request.
  void set_workers(std::function<std::vector<WorkerView>()> workers);
  /// Where jobs stand, and when they will be ready; nobody is told before it is set. It outlives the face.
  void set_outlook(workshop::Outlook& outlook);
  /// Everybody may act as everybody until it is set.
  void set_access(AccessCheck access);

  /// A GET under /user/ that needs no waiting (net::QuickHandler).
  [[nodiscard]] bool answers_quickly(net::Request& request, net::Response& response);
  /// The same for `path`, which stands below the participant's prefix.
  [[nodiscard]] bool seat_answers_quickly(net::Request& request, ParticipantId participant,
                                          std::string_view path, net::Response& response);
  /// Everything under /user/.
  [[nodiscard]] awaitable<net::Response> handle(net::Request& request);
  /// Everything at an address of its own of a participant: the same routes without the prefix.
  [[nodiscard]] awaitable<net::Response> handle_seat(net::Request& request, ParticipantId participant);
  /// What leaves the prefix (CI F1): static files at the root, and /api/view and the previews of models
  /// resolved by the Referer. 404 for the rest.
  [[nodiscard]] awaitable<net::Response> handle_escaped(net::Request& request);

  /// The ending event ({"type","data"} with the participant's prompt_id) to show when this epoch's end is
  /// applied. Called before the end is recorded; forgotten with the job.
  void expect_ending(JobId job, Epoch epoch, std::string event_json);
  void on_effects(const core::Entry& entry, std::span<const core::Effect> effects) override;

  /// Closes all sockets with 1001 and waits for them.
  [[nodiscard]] awaitable<void> stop(Instant deadline);

  struct Impl;  // internal to participant

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace atelier::gateway
