// SPDX-License-Identifier: MIT
#include "agent/engine_client.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "comfy/json.hpp"
#include "files/safe_path.hpp"

namespace atelier::agent {
namespace json = boost::json;
namespace {

constexpr milliseconds kShort{10'000};
constexpr milliseconds kLong{120'000};
constexpr std::uint64_t kObjectInfoBytesMax = 64u << 20;
constexpr std::uint64_t kHistoryBytesMax = 64u << 20;
constexpr std::uint64_t kQueueBytesMax = 256u << 20;
constexpr std::uint64_t kAnswerBytesMax = 4u << 20;
constexpr std::uint64_t kModelsBytesMax = 16u << 20;
constexpr std::size_t kFrameBytesMax = 256u << 20;  // execution_error with its inputs, results as pictures

std::string without_trailing_slash(std::string text) {
  while (!text.empty() && text.back() == '/') text.pop_back();
  return text;
}

}  // namespace

Error as_unavailable(Error error) {
  switch (error.code) {
    case Errc::closed:
    case Errc::timeout:
    case Errc::protocol:
      error.code = Errc::unavailable;
      break;
    default:
      break;
  }
  return error;
}

EngineClient::EngineClient(Runtime& runtime, net::HttpClient& http, net::Url base, std::string client_id,
                           milliseconds hang_limit)
    : runtime_(runtime),
      http_(http),
      base_(std::move(base)),
      client_id_(std::move(client_id)),
      hang_limit_(hang_limit) {
  base_.target = without_trailing_slash(base_.target);
}

net::Url EngineClient::url(std::string_view path) const {
  net::Url url = base_;
  url.target = base_.target + std::string(path);
  return url;
}

awaitable<Result<EngineClient::Answer>> EngineClient::ask_for(std::string path, std::uint64_t bytes_max,
                                                              Instant deadline) {
  net::ClientRequest request(net::Method::get, url(path));
  auto response = co_await http_.request(std::move(request), deadline);
  if (!response) co_return std::unexpected(as_unavailable(std::move(response).error()));
  auto body = co_await response->read_all(bytes_max, deadline);
  if (!body) co_return std::unexpected(as_unavailable(std::move(body).error()));
  Answer answer;
  answer.status = response->status;
  answer.body = std::move(*body);
  co_return answer;
}

awaitable<Result<std::string>> EngineClient::get(std::string path, std::uint64_t bytes_max,
                                                 milliseconds limit) {
  ATELIER_CO_TRY(Answer answer, co_await ask_for(path, bytes_max, runtime_.now() + limit));
  if (answer.status != 200)
    co_return fail(Errc::unavailable, fmt::format("ComfyUI answered {} to GET {}", answer.status, path));
  co_return std::move(answer.body);
}

awaitable<Result<unsigned>> EngineClient::post_json(std::string path, std::string body) {
  const Instant deadline = runtime_.now() + kShort;
  net::ClientRequest request(net::Method::post, url(path));
  request.headers.add("Content-Type", "application/json");
  request.body = std::move(body);
  auto response = co_await http_.request(std::move(request), deadline);
  if (!response) co_return std::unexpected(as_unavailable(std::move(response).error()));
  auto rest = co_await response->read_all(kAnswerBytesMax, deadline);
  if (!rest) co_return std::unexpected(as_unavailable(std::move(rest).error()));
  co_return response->status;
}

awaitable<Result<EngineStats>> EngineClient::stats() {
  ATELIER_CO_TRY(const std::string body, co_await get("/system_stats", kAnswerBytesMax, kShort));
  co_return read_stats(body);
}

awaitable<bool> EngineClient::hangs() {
  net::ClientRequest request(net::Method::get, url("/system_stats"));
  const auto response = co_await http_.request(std::move(request), runtime_.now() + kShort);
  co_return !response && response.error().code == Errc::timeout;
}

awaitable<Result<comfy::ModelLists>> EngineClient::lists_at(std::string route) {
  const Instant deadline = runtime_.now() + kLong;  // of all folders
  ATELIER_CO_TRY(const Answer told, co_await ask_for(route, kAnswerBytesMax, deadline));
  if (told.status != 200) co_return fail(Errc::bad_request, "ComfyUI does not tell its models");
  ATELIER_CO_TRY(const std::vector<std::string> folders, read_model_folders(told.body));
  comfy::ModelLists lists;
  for (const std::string& folder : folders) {
    auto models = co_await ask_for(route + "/" + folder, kModelsBytesMax, deadline);
    if (!models && models.error().code == Errc::unavailable)
      co_return std::unexpected(std::move(models).error());
    // A folder that it cannot read, or what is no list, takes the others nothing.
    if (models && models->status == 200) (void)read_models(models->body, folder, lists);
  }
  co_return lists;
}

awaitable<Result<comfy::ModelLists>> EngineClient::model_names() { return lists_at("/models"); }

awaitable<Result<comfy::ModelLists>> EngineClient::model_facts() { return lists_at("/experiment/models"); }

awaitable<Result<std::uint64_t>> EngineClient::queue_remaining() {
  ATELIER_CO_TRY(const std::string body, co_await get("/prompt", kAnswerBytesMax, kShort));
  co_return read_queue_remaining(body);
}

awaitable<std::optional<std::uint64_t>> EngineClient::upload_limit() {
  const auto body = co_await get("/features", kAnswerBytesMax, kShort);
  co_return body ? read_upload_limit(*body) : std::nullopt;
}

awaitable<Result<std::string>> EngineClient::object_info() {
  return get("/object_info", kObjectInfoBytesMax, kLong);
}

awaitable<Result<std::unique_ptr<net::WebSocket>>> EngineClient::open_socket() {
  const std::string scheme = base_.scheme == "https" ? "wss" : "ws";
  std::string address = fmt::format("{}://{}{}/ws?clientId={}", scheme, base_.authority(), base_.target,
                                    net::percent_encode(client_id_));
  net::WebSocketLimits limits;
  limits.message_bytes_max = kFrameBytesMax;
  limits.missed_pings_max = 5;
  limits.ping_interval = hang_limit_ / (limits.missed_pings_max + 1);
  auto socket = co_await net::connect_websocket(runtime_, std::move(address), net::HeaderList(), limits,
                                                runtime_.now() + kShort);
  if (!socket) co_return std::unexpected(std::move(socket).error());
  // Only the first text message of a socket is heard as feature_flags (B2).
  auto flags = net::Message::text(R"({"type":"feature_flags","data":{"supports_preview_metadata":true}})");
  auto written = co_await (*socket)->write(std::move(flags), runtime_.now() + kShort);
  if (!written) co_return std::unexpected(std::move(written).error());
  co_return std::move(*socket);
}

awaitable<Result<void>> EngineClient::clear_runs_of(std::string client_prefix) {
  for (;;) {
    ATELIER_CO_TRY(const std::string queue, co_await get("/queue", kQueueBytesMax, kLong));
    ATELIER_CO_TRY(const std::vector<std::string> runs, runs_of(queue, client_prefix));
    if (runs.empty()) co_return Result<void>();
    for (const std::string& run : runs) co_await interrupt(run);
    if (!co_await runtime_.sleep_for(milliseconds(300)))
      co_return fail(Errc::cancelled, "the agent is stopping");
  }
}

awaitable<EngineClient::Posted> EngineClient::post(std::string body) {
  const Instant deadline = runtime_.now() + kLong;
  net::ClientRequest request(net::Method::post, url("/prompt"));
  request.headers.add("Content-Type", "application/json");
  request.body = std::move(body);
  Posted posted;
  auto response = co_await http_.request(std::move(request), deadline);
  if (!response) {
    posted.body = response.error().what;
    co_return posted;
  }
  auto answer = co_await response->read_all(kAnswerBytesMax, deadline);
  posted.body = answer ? std::move(*answer) : answer.error().what;
  if (response->status == 200) {
    posted.result = PostResult::accepted;
  } else if (response->status == 400 || response->status == 413) {
    posted.result = PostResult::refused;
  } else {
    // 500: an exception, perhaps of this prompt. All else says something about ComfyUI, or what stands before
    // it.
    posted.result = response->status == 500 ? PostResult::failed : PostResult::unreachable;
    posted.body = fmt::format("ComfyUI answered {} to POST /prompt", response->status);
  }
  co_return posted;
}

awaitable<EngineClient::Asked> EngineClient::ask(std::string run_id) {
  Asked asked;
  // First the queue: a run goes from there to history, so it cannot be missed in both.
  auto queue = co_await get("/queue", kQueueBytesMax, kLong);
  if (!queue) co_return asked;
  auto place = find_in_queue(*queue, run_id);
  if (!place) co_return asked;
  asked.place = *place;
  if (*place != RunPlace::absent) co_return asked;
  auto body = co_await get("/history/" + run_id, kHistoryBytesMax, kLong);
  auto history =
      body ? read_history(*body, run_id) : Result<std::optional<RunHistory>>(std::unexpected(body.error()));
  if (!history) {
    asked.place = RunPlace::unreachable;
  } else if (*history) {
    asked.place = RunPlace::done;
    asked.history = std::move(*history);
  }
  co_return asked;
}

awaitable<void> EngineClient::interrupt(std::string run_id) {
  const std::string quoted = comfy::quote_json(run_id);
  auto removed = co_await post_json("/queue", fmt::format("{{\"delete\":[{}]}}", quoted));
  auto stopped = co_await post_json("/interrupt", fmt::format("{{\"prompt_id\":{}}}", quoted));
  (void)removed, (void)stopped;  // the caller asks where the run is
}

awaitable<void> EngineClient::free_memory() {
  auto done = co_await post_json("/free", R"({"unload_models":true,"free_memory":true})");
  (void)done;
}

awaitable<Result<net::ClientResponse>> EngineClient::view(const UiFile& file) {
  std::string path = fmt::format("/view?filename={}&subfolder={}&type={}", net::percent_encode(file.filename),
                                 net::percent_encode(file.subfolder), net::percent_encode(file.type));
  net::ClientRequest request(net::Method::get, url(path));
  auto response = co_await http_.request(std::move(request), runtime_.now() + kLong);
  if (!response) co_return std::unexpected(as_unavailable(std::move(response).error()));
  if (response->status == 200) co_return std::move(*response);
  const Errc code = response->status >= 500 ? Errc::unavailable : Errc::not_found;
  co_return fail(code, fmt::format("ComfyUI answered {} for an output of its own", response->status));
}

awaitable<Result<void>> EngineClient::upload_input(std::string name, std::string bytes) {
  const files::SplitPath split = files::split_path(name);
  const std::string boundary = fmt::format("atelier-{}", runtime_.random_key().hex());
  std::string body;
  auto field = [&](std::string_view key, std::string_view value) {
    body += fmt::format("--{}\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\n{}\r\n", boundary, key,
                        value);
  };
  field("type", "input");
  field("subfolder", split.folder);
  field("overwrite", "true");
  std::string filename;
  for (char c : split.name) filename += c == '"' ? std::string("%22") : std::string(1, c);
  body += fmt::format(
      "--{}\r\nContent-Disposition: form-data; name=\"image\"; filename=\"{}\"\r\n"
      "Content-Type: application/octet-stream\r\n\r\n",
      boundary, filename);
  body += bytes;
  body += fmt::format("\r\n--{}--\r\n", boundary);
  net::ClientRequest request(net::Method::post, url("/upload/image"));
  request.headers.add("Content-Type", "multipart/form-data; boundary=" + boundary);
  request.body = std::move(body);
  const Instant deadline = runtime_.now() + kLong;
  auto response = co_await http_.request(std::move(request), deadline);
  if (!response) co_return std::unexpected(as_unavailable(std::move(response).error()));
  auto answer = co_await response->read_all(kAnswerBytesMax, deadline);
  if (response->status == 413)
    co_return fail(Errc::too_large, "an input is larger than ComfyUI's upload limit");
  if (response->status != 200 || !answer) {
    const Errc code = response->status >= 500 ? Errc::unavailable : Errc::io;
    co_return fail(code, fmt::format("ComfyUI answered {} to an upload", response->status));
  }
  auto parsed = comfy::Json::parse(*answer);
  const json::value* stored = parsed ? std::as_const(*parsed).object().if_contains("name") : nullptr;
  if (stored == nullptr || !stored->is_string() || std::string_view(stored->get_string()) != split.name) {
    co_return fail(Errc::io, "ComfyUI stored an input under another name");
  }
  co_return Result<void>();
}

}  // namespace atelier::agent
