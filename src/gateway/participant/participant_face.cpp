// SPDX-License-Identifier: MIT
// The table of routes, and the way of a request to its handler.
#include "gateway/participant/participant_face.hpp"

#include <fmt/format.h>

#include "base/match.hpp"
#include "gateway/access.hpp"
#include "gateway/participant/face_impl.hpp"

namespace atelier::gateway {
namespace {

using Forms = Router::Forms;

net::Response not_found() { return net::Response::text(404, "404: Not Found"); }

}  // namespace

net::Response json_response(std::string text) {
  static const auto headers = std::make_shared<const net::HeaderList>(
      net::HeaderList{{"Content-Type", "application/json; charset=utf-8"},
                      {"Cache-Control", "no-store"}});  // one participant's own
  net::Response response(200);
  response.shared_headers = headers;
  response.body = std::move(text);
  return response;
}

net::Response empty_response(unsigned status) { return net::Response(status); }

awaitable<Result<comfy::Json>> read_json_object(Call& call) {
  constexpr std::size_t kBytesMax = 1 << 20;
  ATELIER_CO_TRY(const std::string body, co_await call.request.read_all(kBytesMax));
  auto parsed = comfy::Json::parse(body);
  if (!parsed || !parsed->is_object()) co_return fail(Errc::bad_request, "The body is not a JSON object.");
  co_return std::move(*parsed);
}

ParticipantFace::Impl::Impl(Runtime& r, workshop::Workshop& w, files::Files& f, Catalog& c, LiveBus& l,
                            ParticipantFaceOptions o)
    : runtime(r),
      workshop(w),
      files(f),
      catalog(c),
      live(l),
      options(std::move(o)),
      frontend(r, options.frontend_folder),
      own_files(r, options.web_folder),
      templates(r, options.templates_folder),
      docs(r, options.docs_folder),
      index_page(std::make_shared<const std::string>(read_index_page(options.frontend_folder))),
      index_page_gzip(gzip_page(*index_page)),
      flags_json(feature_flags_json(options.upload_bytes_max)),
      attachments(r, w, options.attachment_cache_bytes_max),
      object_infos(r, f, c, options.object_info_cache_bytes_max),
      pictures(r, options.image_program),
      large_bodies(r),
      sockets(r, flags_json, options.sockets_per_participant_max, [this](Client& client) { greet(client); }),
      wake_deadlines(r),
      wake_places(r),
      subscription(l.subscribe([this](const LiveFrame& frame) { on_live(frame); })),
      tasks(r) {
  add_routes();
  tasks.spawn("deadlines", watch_deadlines());
  tasks.spawn("places", push_places());
}

void ParticipantFace::Impl::add_routes() {
  using Handler = awaitable<net::Response> (Impl::*)(Call&);
  const auto on = [this](net::Method method, std::string_view pattern, Handler handler,
                         Forms forms = Forms::both) {
    auto call = [this, handler](Call& c) { return (this->*handler)(c); };
    router.add(method, pattern, std::move(call), forms);
  };
  // Answers that need no waiting: the same function serves both ways.
  const auto add_quick = [this](std::string_view pattern, auto answer, Forms forms) {
    auto call = [answer](Call& c) -> awaitable<net::Response> { co_return answer(c); };
    auto quick = [answer](Call& c, net::Response& response) {
      response = answer(c);
      return true;
    };
    router.add(net::Method::get, pattern, std::move(call), forms, std::move(quick));
  };
  const auto on_quick = [this, add_quick](std::string_view pattern,
                                          net::Response (Impl::*handler)(const Call&),
                                          Forms forms = Forms::both) {
    add_quick(pattern, [this, handler](const Call& c) { return (this->*handler)(c); }, forms);
  };
  const auto fixed = [add_quick](std::string_view pattern, std::string_view text, Forms forms = Forms::both) {
    add_quick(pattern, [text](const Call&) { return json_response(std::string(text)); }, forms);
  };
  using enum net::Method;
  on(get, "/", &Impl::get_index, Forms::bare_only);
  on_quick("/user.css", &Impl::get_user_css, Forms::bare_only);
  on(get, "/extensions/atelier/{}", &Impl::get_own_extension, Forms::bare_only);
  on(get, "/templates/{}", &Impl::get_template, Forms::bare_only);
  on(get, "/docs/{*}", &Impl::get_docs, Forms::bare_only);
  on(get, "/ws", &Impl::get_ws);

  on(post, "/prompt", &Impl::post_prompt);
  on_quick("/prompt", &Impl::get_prompt);
  on(get, "/queue", &Impl::get_queue);
  on(post, "/queue", &Impl::post_queue);
  on(post, "/interrupt", &Impl::post_interrupt);
  on(post, "/free", &Impl::post_free);
  on(get, "/history", &Impl::get_history);
  on(post, "/history", &Impl::post_history);
  on(get, "/history/{}", &Impl::get_history_item);
  on(get, "/jobs", &Impl::get_jobs, Forms::api_only);
  on(get, "/jobs/{}", &Impl::get_job, Forms::api_only);
  on(post, "/jobs/cancel", &Impl::post_jobs_cancel, Forms::api_only);
  on(post, "/jobs/{}/cancel", &Impl::post_job_cancel, Forms::api_only);

  on(get, "/view", &Impl::get_view);
  on(post, "/upload/image", &Impl::post_upload_image);
  on(post, "/upload/mask", &Impl::post_upload_mask);
  on(get, "/internal/files/{}", &Impl::get_internal_files, Forms::bare_only);

  on(get, "/userdata", &Impl::get_userdata);
  on(get, "/v2/userdata", &Impl::get_userdata_v2);
  on(get, "/userdata/{}", &Impl::get_user_file);
  on(post, "/userdata/{}", &Impl::post_user_file);
  on(delete_, "/userdata/{}", &Impl::delete_user_file);
  on(post, "/userdata/{}/move/{}", &Impl::move_user_file);
  on(get, "/settings", &Impl::get_settings);
  on(post, "/settings", &Impl::post_settings);
  on(get, "/settings/{}", &Impl::get_setting);
  on(post, "/settings/{}", &Impl::post_setting);

  on_quick("/features", &Impl::get_features);
  on_quick("/node_replacements", &Impl::get_node_replacements);
  on_quick("/system_stats", &Impl::get_system_stats);
  router.add(
      get, "/object_info", [this](Call& call) { return get_object_info(call); }, Forms::both,
      [this](Call& call, net::Response& response) { return quick_object_info(call, response); });
  on(get, "/object_info/{}", &Impl::get_object_info_class);
  on(get, "/embeddings", &Impl::get_embeddings);
  on_quick("/models", &Impl::get_models);
  on(get, "/models/{}", &Impl::get_model_folder);
  on_quick("/experiment/models", &Impl::get_experiment_models);
  on(get, "/experiment/models/{}", &Impl::get_experiment_folder);
  on(get, "/experiment/models/preview/{}/{}/{*}", &Impl::get_model_preview);
  on(get, "/view_metadata/{}", &Impl::get_view_metadata);
  on_quick("/extensions", &Impl::get_extensions);
  for (const net::Method method : {get, post, put, delete_}) {
    for (const std::string_view pattern : {"/assets", "/assets/{*}", "/tags", "/tags/{*}"}) {
      on(method, pattern, &Impl::refuse_assets, Forms::api_only);
    }
  }

  // The shape of a ComfyUI with one user: the key "users" would send the front end to a log-in page (CI D6).
  fixed("/users", R"({"storage":"server","migrated":true})");
  // Nothing of these comes from the workshop yet; the front end takes the empty forms (CI A1, G2).
  fixed("/i18n", "{}");
  fixed("/workflow_templates", "{}");
  fixed("/global_subgraphs", "{}");
  fixed("/global_subgraphs/{}", "null");
  fixed("/internal/folder_paths", "{}", Forms::bare_only);
  // The log is the operator's, not a participant's.
  fixed("/internal/logs", R"("")", Forms::bare_only);
  fixed("/internal/logs/raw", R"({"entries":[],"size":{"cols":80,"rows":24}})", Forms::bare_only);
  auto nothing = [](Call&) -> awaitable<net::Response> { co_return empty_response(); };
  router.add(patch, "/internal/logs/subscribe", std::move(nothing), Forms::bare_only);
}

std::optional<std::uint64_t> ParticipantFace::Impl::seat_number(std::string_view text) const {
  if (text == "0" && access) return 0;
  return parse_canonical(text, options.num_users);
}

bool ParticipantFace::Impl::serve_quickly(Call& call, net::Response& response) {
  if (access) {
    if (auto refusal = access(call.request, call.participant)) {
      response = std::move(*refusal);
      return true;
    }
  }
  if (const QuickRoute* quick = router.find_quick(call.path)) return (*quick)(call, response);
  Router::Match match = router.find(net::Method::get, call.path);
  if (match.quick != nullptr) {
    call.captures = std::move(match.captures);
    return (*match.quick)(call, response);
  }
  if (match.handler != nullptr || !match.allow.empty()) return false;
  const std::string_view path = call.path.substr(1);
  return path.find('%') == std::string_view::npos && frontend.serve_from_memory(call.request, path, response);
}

awaitable<net::Response> ParticipantFace::Impl::serve(Call& call) {
  if (access) {
    if (auto refusal = access(call.request, call.participant)) co_return std::move(*refusal);
  }
  if (call.request.method == net::Method::options) co_return empty_response();
  Router::Match match = router.find(call.request.method, call.path);
  if (match.handler != nullptr) {
    call.captures = std::move(match.captures);
    co_return co_await (*match.handler)(call);
  }
  if (!match.allow.empty()) {
    net::Response response = net::Response::text(405, "405: Method Not Allowed");
    response.headers.add("Allow", match.allow);
    co_return response;
  }
  if (call.request.method != net::Method::get) co_return not_found();
  co_return co_await get_static(call);
}

ParticipantFace::ParticipantFace(Runtime& runtime, workshop::Workshop& workshop, files::Files& files,
                                 Catalog& catalog, LiveBus& live, ParticipantFaceOptions options)
    : impl_(std::make_unique<Impl>(runtime, workshop, files, catalog, live, std::move(options))) {}
ParticipantFace::~ParticipantFace() = default;

void ParticipantFace::set_workers(std::function<std::vector<WorkerView>()> workers) {
  impl_->workers = std::move(workers);
}
void ParticipantFace::set_outlook(workshop::Outlook& outlook) {
  impl_->outlook = &outlook;
  outlook.on_view([this] { impl_->places_changed(); });
}
void ParticipantFace::set_access(AccessCheck access) { impl_->access = std::move(access); }

awaitable<net::Response> ParticipantFace::handle(net::Request& request) {
  std::string_view path = request.path();
  const auto number = impl_->seat_number(take_participant(path));
  if (!number) {
    co_return net::Response::text(404, fmt::format("There is no such seat. Seats are /user/1/ to /user/{}/.",
                                                   impl_->options.num_users));
  }
  if (path.empty()) {
    // The front end takes its base address from the path: the slash decides (CI F1).
    const std::string_view query = request.query();
    co_return net::Response::redirect(
        301, fmt::format("{}{}/{}{}", kUserRoot, *number, query.empty() ? "" : "?", query));
  }
  Call call{request, ParticipantId{*number}, path, {}};
  co_return co_await impl_->serve(call);
}

bool ParticipantFace::answers_quickly(net::Request& request, net::Response& response) {
  std::string_view path = request.path();
  const auto number = impl_->seat_number(take_participant(path));
  return number && !path.empty() && seat_answers_quickly(request, ParticipantId{*number}, path, response);
}

bool ParticipantFace::seat_answers_quickly(net::Request& request, ParticipantId participant,
                                           std::string_view path, net::Response& response) {
  Call call{request, participant, path, {}};
  return impl_->serve_quickly(call, response);
}

awaitable<net::Response> ParticipantFace::handle_seat(net::Request& request, ParticipantId participant) {
  Call call{request, participant, request.path(), {}};
  co_return co_await impl_->serve(call);
}

awaitable<net::Response> ParticipantFace::handle_escaped(net::Request& request) {
  const std::string_view path = request.path();
  if (request.method != net::Method::get) co_return not_found();
  if (path == "/api/view" || path.starts_with("/api/experiment/models/preview/")) {
    // Whose it is says the page that asked; it is served as that participant's own request would be.
    const auto referer = net::parse_url(request.headers.get("Referer"));
    if (!referer || !net::equal_without_case(referer->authority(), request.host)) co_return not_found();
    std::string_view from = referer->target;
    if (!from.starts_with(kUserRoot)) co_return not_found();
    const auto number = impl_->seat_number(take_participant(from));
    if (!number) co_return not_found();
    Call call{request, ParticipantId{*number}, path, {}};
    co_return co_await impl_->serve(call);
  }
  for (const std::string_view folder :
       {"/assets/", "/cursor/", "/fonts/", "/scripts/", "/extensions/core/"}) {
    if (!path.starts_with(folder)) continue;
    Call call{request, ParticipantId{}, path, {}};
    co_return co_await impl_->get_static(call);
  }
  co_return not_found();
}

void ParticipantFace::expect_ending(JobId job, Epoch epoch, std::string event_json) {
  impl_->expected_endings[{job, epoch}] = std::move(event_json);
}

void ParticipantFace::on_effects(const core::Entry&, std::span<const core::Effect> effects) {
  Impl& self = *impl_;
  for (const core::Effect& effect : effects) {
    std::visit(Match{[&](const core::JobQueued& queued) {
                       if (queued.cause != core::QueueCause::submitted) self.live.forget(queued.job);
                       self.send_status(queued.participant);
                     },
                     [&](const core::JobMarked& marked) { self.send_status(marked.participant); },
                     // As ComfyUI says it when a prompt leaves its queue: before execution_start, which comes
                     // from the worker when it has got the job.
                     [&](const core::JobLeased& leased) { self.send_status(leased.participant); },
                     [&](const core::JobEnded& ended) { self.on_job_ended(ended); },
                     [](const core::WorkshopChanged&) {},
                     // Answered to whoever posted them, or shown by the worker link's live frames.
                     [](const core::Accepted&) {}, [](const core::Refused&) {},
                     [](const core::JobStarted&) {}, [](const core::JobComputed&) {},
                     [](const core::NodeCommitted&) {}, [](const core::CommitRepeated&) {},
                     [](const core::NodeLinked&) {}, [](const core::StopWanted&) {},
                     [](const core::LinkReplaced&) {}, [](const core::LeaseMoved&) {},
                     [](const core::LeaseDropped&) {}, [](const core::HistoryDropped&) {}},
               effect);
  }
}

awaitable<void> ParticipantFace::stop(Instant deadline) {
  co_await impl_->sockets.stop(deadline);
  co_await impl_->pictures.stop(deadline);
  [[maybe_unused]] const bool ended = co_await impl_->tasks.stop(deadline);
}

}  // namespace atelier::gateway
