// SPDX-License-Identifier: MIT
// Routes about prompts: prompt, queue, interrupt, history, jobs (comfyui-interface.md A1, C).
#include <boost/json.hpp>
#include <charconv>

#include "comfy/history.hpp"
#include "comfy/json.hpp"
#include "rehearsal/server_impl.hpp"

namespace atelier::rehearsal {
namespace json = boost::json;
namespace {

using Reply = awaitable<net::Response>;

Reply post_prompt(ServerState& server, Call& call) {
  auto body = co_await call.request.read_all(kUploadBytesMax);
  if (!body) {
    co_return net::Response::text(body.error().code == Errc::too_large ? 413 : 400, body.error().what + "\n");
  }
  auto answer = server.engine.submit(*body);
  co_return net::Response::json(answer.status, std::move(answer.body));
}

Reply get_prompt(ServerState& server, Call&) {
  co_return net::Response::json(200, comfy::prompt_info(server.engine.queue().remaining()));
}

Reply get_queue(ServerState& server, Call&) {
  co_return net::Response::json(200, server.engine.queue().queue_json());
}

bool is_true(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr) return false;
  return value->is_bool() ? value->as_bool() : !value->is_null() && *value != json::value(0);
}

std::vector<std::string> ids_to_delete(const json::object& object) {
  std::vector<std::string> ids;
  const auto* list = object.if_contains("delete");
  if (list == nullptr || !list->is_array()) return ids;
  for (const auto& id : list->as_array()) {
    if (id.is_string()) ids.emplace_back(id.as_string());
  }
  return ids;
}

Reply post_queue(ServerState& server, Call& call) {
  auto body = co_await read_json(call.request);
  if (!body) co_return std::move(body.error());
  const auto& wishes = std::as_const(*body).object();
  if (is_true(wishes, "clear")) server.engine.clear_queue();
  for (const std::string& id : ids_to_delete(wishes)) server.engine.remove_from_queue(id);
  co_return net::Response(200);
}

Reply post_history(ServerState& server, Call& call) {
  auto body = co_await read_json(call.request);
  if (!body) co_return std::move(body.error());
  const auto& wishes = std::as_const(*body).object();
  if (is_true(wishes, "clear")) server.engine.queue().clear_history();
  for (const std::string& id : ids_to_delete(wishes)) server.engine.queue().forget(id);
  co_return net::Response(200);
}

// An empty or broken body means "whatever runs" (server.py, post_interrupt).
Reply post_interrupt(ServerState& server, Call& call) {
  auto body = co_await call.request.read_all(1 << 20);
  if (!body) co_return net::Response(400);
  const auto parsed = comfy::Json::parse(*body);
  std::string id;
  if (parsed) {
    if (!parsed->is_object()) co_return net::Response::text(400, "the body must be an object\n");
    const auto* value = parsed->object().if_contains("prompt_id");
    if (value != nullptr && value->is_string()) id = value->as_string();
  }
  server.engine.interrupt(id);
  co_return net::Response(200);
}

// There are no models to unload and nothing is cached: accepted and done.
Reply post_free(ServerState&, Call& call) {
  auto body = co_await read_json(call.request);
  if (!body) co_return std::move(body.error());
  co_return net::Response(200);
}

// An absent parameter leaves `value`; false if it is there and no integer.
template <class Number>
bool read_integer(const net::Request& request, std::string_view name, Number& value) {
  const auto text = request.parameter(name);
  if (!text) return true;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc{} || end != text->data() + text->size()) return false;
  value = number;
  return true;
}

Reply get_history(ServerState& server, Call& call) {
  std::optional<std::int64_t> max_items;
  std::int64_t offset = -1;
  if (!read_integer(call.request, "max_items", max_items) || !read_integer(call.request, "offset", offset)) {
    co_return net::Response::text(400, "max_items and offset must be integers\n");
  }
  co_return net::Response::json(200, server.engine.queue().history_json(max_items, offset));
}

Reply get_history_item(ServerState& server, Call& call) {
  co_return net::Response::json(200, server.engine.queue().history_json(call.arguments[0]));
}

Reply get_jobs(ServerState& server, Call& call) {
  const auto query = comfy::parse_jobs_query(net::parse_query(call.request.query()));
  if (!query) co_return net::Response::json(400, comfy::jobs_error(query.error()));
  co_return net::Response::json(200, server.engine.queue().jobs_json(*query));
}

Reply get_job(ServerState& server, Call& call) {
  auto job = server.engine.queue().job_json(call.arguments[0]);
  if (!job) co_return net::Response::json(404, comfy::jobs_error("Job not found"));
  co_return net::Response::json(200, std::move(*job));
}

std::string cancelled_json(bool cancelled) {
  return cancelled ? R"({"cancelled":true})" : R"({"cancelled":false})";
}

Reply cancel_job(ServerState& server, Call& call) {
  co_return net::Response::json(200, cancelled_json(server.engine.cancel(call.arguments[0])));
}

Reply cancel_jobs(ServerState& server, Call& call) {
  auto body = co_await read_json(call.request);
  if (!body) co_return std::move(body.error());
  const auto* ids = std::as_const(*body).object().if_contains("job_ids");
  if (ids == nullptr || !ids->is_array()) {
    co_return net::Response::json(400, comfy::jobs_error("job_ids must be a list"));
  }
  bool any = false;
  for (const auto& id : ids->as_array()) {
    if (id.is_string() && server.engine.cancel(std::string_view(id.as_string()))) any = true;
  }
  co_return net::Response::json(200, cancelled_json(any));
}

constexpr auto kGet = net::Method::get, kPost = net::Method::post;
constexpr auto kApi = Route::Where::only_under_api;
constexpr Route kRoutes[] = {
    {kPost, "/prompt", post_prompt},
    {kGet, "/prompt", get_prompt},
    {kGet, "/queue", get_queue},
    {kPost, "/queue", post_queue},
    {kPost, "/interrupt", post_interrupt},
    {kPost, "/free", post_free},
    {kGet, "/history", get_history},
    {kGet, "/history/*", get_history_item},
    {kPost, "/history", post_history},
    {kGet, "/jobs", get_jobs, kApi},
    {kPost, "/jobs/cancel", cancel_jobs, kApi},  // before /jobs/*: both match
    {kGet, "/jobs/*", get_job, kApi},
    {kPost, "/jobs/*/cancel", cancel_job, kApi},
};

}  // namespace

std::span<const Route> run_routes() { return kRoutes; }

}  // namespace atelier::rehearsal
