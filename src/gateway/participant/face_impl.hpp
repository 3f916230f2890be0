// SPDX-License-Identifier: MIT
#pragma once
// The parts of ParticipantFace, over several files by topic. Internal to participant.

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "comfy/files.hpp"
#include "comfy/history.hpp"
#include "comfy/json.hpp"
#include "gateway/http_errors.hpp"
#include "gateway/participant/attachments.hpp"
#include "gateway/participant/job_events.hpp"
#include "gateway/participant/large_bodies.hpp"
#include "gateway/participant/object_info_cache.hpp"
#include "gateway/participant/participant_face.hpp"
#include "gateway/participant/router.hpp"
#include "gateway/participant/sockets.hpp"
#include "gateway/pictures/picture_renderer.hpp"
#include "gateway/static/folder_files.hpp"
#include "gateway/static/static_files.hpp"
#include "runtime/signal.hpp"
#include "runtime/task_group.hpp"

namespace atelier::gateway {

/// The flags of /features and of the WebSocket's feature_flags (CI B2, F6).
[[nodiscard]] std::string feature_flags_json(std::uint64_t upload_bytes_max);
/// The front end's index.html with our script before everything else; "" if it cannot be read.
[[nodiscard]] std::string read_index_page(const std::string& frontend_folder);
/// The same in gzip; null for an empty page.
[[nodiscard]] std::shared_ptr<const std::string> gzip_page(std::string_view page);
/// Answers of every participant's route that is not a static file.
[[nodiscard]] net::Response json_response(std::string text);
[[nodiscard]] net::Response empty_response(unsigned status = 200);

/// The body of a small request, a JSON object whatever its Content-Type says (CI, general rules). Errors:
/// bad_request, too_large (above 1 MB).
[[nodiscard]] awaitable<Result<comfy::Json>> read_json_object(Call& call);

/// A copy of what the queue routes need of a live job: references do not live across a co_await.
struct LiveJob {
  JobId job;
  std::string prompt_id, workflow_id;
  double number = 0;
  bool client_number = false;
  bool running = false;
  bool leased = false;  // granted, not started: pending for ComfyUI's faces (core.md 4)
  WallTime created, started;
  core::Attachment prompt;
};

/// Whom a job's events are for, and under which name.
struct JobOwner {
  ParticipantId participant;
  std::string client_id, prompt_id;
};

struct ParticipantFace::Impl {
  Impl(Runtime& runtime, workshop::Workshop& workshop, files::Files& files, Catalog& catalog, LiveBus& live,
       ParticipantFaceOptions options);

  // participant_face.cpp
  void add_routes();
  awaitable<net::Response> serve(Call& call);
  /// Of an address below /user/. 0 is the instructor's own seat, whose jobs go first (design.md 6): only
  /// where somebody looks who comes.
  [[nodiscard]] std::optional<std::uint64_t> seat_number(std::string_view text) const;
  bool serve_quickly(Call& call, net::Response& response);

  // prompt_routes.cpp
  awaitable<net::Response> post_prompt(Call& call);
  net::Response get_prompt(const Call& call);
  struct PromptWork;
  awaitable<Result<net::Response>> accept_prompt(std::shared_ptr<PromptWork> work);
  /// Puts what only some of the workers that have its classes can do into what the job needs.
  void need_variants(PromptWork& work) const;
  awaitable<std::optional<net::Response>> answer_repeat(const PromptWork& work);
  awaitable<Result<void>> look_for_files(std::shared_ptr<PromptWork> work);
  awaitable<Result<void>> pin_files(PromptWork& work);

  // queue_routes.cpp
  awaitable<net::Response> get_queue(Call& call);
  awaitable<net::Response> post_queue(Call& call);
  awaitable<net::Response> post_interrupt(Call& call);
  awaitable<net::Response> post_free(Call& call);
  /// Waiting jobs that are being cancelled are left out: shown as gone at once (design.md 5.11).
  std::vector<LiveJob> live_jobs(ParticipantId participant) const;
  awaitable<void> cancel(std::vector<JobId> jobs);
  /// ComfyUI's queue_remaining: the participant's own waiting, granted and running jobs (CI G10).
  std::uint64_t remaining(ParticipantId participant) const;

  // history_routes.cpp
  awaitable<net::Response> get_history(Call& call);
  awaitable<net::Response> get_history_item(Call& call);
  awaitable<net::Response> post_history(Call& call);
  struct HistoryListing;
  awaitable<Result<std::string>> next_history_piece(std::shared_ptr<HistoryListing> listing);
  struct HistoryParts;
  awaitable<HistoryParts> history_parts(core::Summary summary);

  // jobs_routes.cpp
  awaitable<net::Response> get_jobs(Call& call);
  awaitable<net::Response> get_job(Call& call);
  awaitable<net::Response> post_job_cancel(Call& call);
  awaitable<net::Response> post_jobs_cancel(Call& call);
  awaitable<comfy::JobEntry> job_entry(core::Summary summary);

  // file_routes.cpp, upload_routes.cpp
  awaitable<net::Response> get_view(Call& call);
  /// The picture in another form, or 304. Errors as PictureRenderer::render.
  awaitable<Result<net::Response>> rendered_picture(const net::Request& request, files::File picture,
                                                    image::RenderRequest form);
  awaitable<net::Response> rendered_view(Call& call, files::ViewedFile viewed, image::RenderRequest form);
  awaitable<net::Response> get_internal_files(Call& call);
  awaitable<net::Response> post_upload_image(Call& call);
  awaitable<net::Response> post_upload_mask(Call& call);
  enum class UploadKind { image, mask };
  awaitable<net::Response> take_upload(Call& call, UploadKind kind);
  /// The original with the mask's alpha; nothing if there is no such picture.
  awaitable<Result<std::optional<files::TempFile>>> apply_mask(ParticipantId participant,
                                                               std::string original_ref,
                                                               const files::TempFile& mask);

  // userdata_routes.cpp
  awaitable<net::Response> get_userdata(Call& call);
  awaitable<net::Response> get_userdata_v2(Call& call);
  awaitable<net::Response> get_user_file(Call& call);
  awaitable<net::Response> post_user_file(Call& call);
  awaitable<net::Response> delete_user_file(Call& call);
  awaitable<net::Response> move_user_file(Call& call);
  awaitable<net::Response> get_settings(Call& call);
  awaitable<net::Response> post_settings(Call& call);
  awaitable<net::Response> get_setting(Call& call);
  awaitable<net::Response> post_setting(Call& call);

  // info_routes.cpp, model_routes.cpp, object_info_routes.cpp
  net::Response get_features(const Call& call);
  net::Response get_node_replacements(const Call& call);
  net::Response get_system_stats(const Call& call);
  net::Response get_models(const Call& call);
  awaitable<net::Response> get_model_folder(Call& call);
  net::Response get_experiment_models(const Call& call);
  awaitable<net::Response> get_experiment_folder(Call& call);
  awaitable<net::Response> get_embeddings(Call& call);
  net::Response get_extensions(const Call& call);
  awaitable<net::Response> get_view_metadata(Call& call);
  awaitable<net::Response> get_model_preview(Call& call);
  awaitable<net::Response> refuse_assets(Call& call);
  awaitable<net::Response> get_object_info(Call& call);
  bool quick_object_info(const Call& call, net::Response& response);
  awaitable<net::Response> get_object_info_class(Call& call);

  // page_routes.cpp
  awaitable<net::Response> get_index(Call& call);
  net::Response get_user_css(const Call& call);
  awaitable<net::Response> get_own_extension(Call& call);
  awaitable<net::Response> get_template(Call& call);
  awaitable<net::Response> get_docs(Call& call);
  awaitable<net::Response> get_static(Call& call);
  /// On the first visit the sample picture and workflow are put into the participant's folders.
  awaitable<void> welcome(ParticipantId participant);

  // socket_routes.cpp: sockets, and what is sent to them
  awaitable<net::Response> get_ws(Call& call);
  void greet(Client& client);
  void replay(Client& client, const core::JobFacts& job);
  void send_status(ParticipantId participant);
  void send_to(ParticipantId participant, std::string_view client_id, std::string text) const;
  void on_live(const LiveFrame& frame);
  void show_frame(const LiveFrame& frame);
  /// Whose job it is, while it lives and until its ending is shown.
  std::optional<JobOwner> owner_of(JobId job) const;
  JobEvents& events_of(JobId job);
  void show(JobId job, std::vector<Shown> shown);
  std::string shown_text(const Shown& shown, const JobOwner& owner) const;
  void on_job_ended(const core::JobEnded& ended);
  void show_ending(JobId job);
  awaitable<void> send_ending_again(core::Summary summary);
  awaitable<void> watch_deadlines();

  // place_push.cpp: atelier.queue
  void places_changed() {
    places_dirty = true;
    wake_places.notify_all();
  }
  awaitable<void> push_places();
  void greet_with_places(Client& client);
  struct PlaceText {
    std::string message;
    std::size_t jobs = 0;  // in it
  };
  PlaceText place_text(ParticipantId participant) const;

  /// What a participant's sockets were told last.
  struct PlacesSent {
    std::string text;
    Instant at, greeted;  // to all of them; to one that opened
    bool look = false;    // there may be a newer text
  };

  /// What is shown when a job has ended, kept until its events are.
  struct Ending {
    JobOwner owner;
    std::string event;  // "": nothing but the count changes
  };

  Runtime& runtime;
  workshop::Workshop& workshop;
  files::Files& files;
  Catalog& catalog;
  LiveBus& live;
  ParticipantFaceOptions options;
  std::function<std::vector<WorkerView>()> workers;
  const workshop::Outlook* outlook = nullptr;
  AccessCheck access;

  Router router;
  StaticFiles frontend, own_files;
  FolderFiles templates, docs;
  std::shared_ptr<const std::string> index_page;       // with our script; "" if there is no front end
  std::shared_ptr<const std::string> index_page_gzip;  // null if there is none
  std::string flags_json;
  Attachments attachments;
  ObjectInfoCache object_infos;
  PictureRenderer pictures;
  LargeBodies large_bodies;
  std::set<ParticipantId> welcomed;

  Sockets sockets;
  std::map<JobId, JobEvents> events;
  std::map<std::pair<JobId, Epoch>, std::string> expected_endings;
  std::map<JobId, Ending> endings;
  Signal wake_deadlines, wake_places;
  bool places_dirty = false;
  std::map<ParticipantId, PlacesSent> places_sent;
  LiveBus::Subscription subscription;
  TaskGroup tasks;
};

}  // namespace atelier::gateway
