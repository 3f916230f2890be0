// SPDX-License-Identifier: MIT
// The engine over real loopback connections, asked by the project's own HTTP and WebSocket clients.
#include "rehearsal/server.hpp"

#include <doctest/doctest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/json.hpp>

#include "fixtures.hpp"
#include "image/decode.hpp"
#include "image/encode.hpp"
#include "net/http_client.hpp"
#include "runtime/real_runtime.hpp"

using atelier::awaitable;
using atelier::Instant;
using atelier::milliseconds;
using atelier::RealRuntime;
using atelier::rehearsal::Server;
using atelier::rehearsal::ServerOptions;
namespace json = boost::json;
namespace net = atelier::net;
namespace image = atelier::image;

namespace {

struct Reply {
  unsigned status = 0;
  std::string type, body;
  net::HeaderList headers;
  [[nodiscard]] json::value json() const { return json::parse(body); }
};

class Visit {
 public:
  explicit Visit(milliseconds step_time = milliseconds{0}) : client_(runtime) {
    ServerOptions options;
    options.engine.folders = home.folders;
    options.engine.step_time = step_time;
    server_ = std::make_unique<Server>(runtime, std::move(options));
    auto port = server_->start("127.0.0.1", 0);
    REQUIRE_MESSAGE(port.has_value(), port.error().what);
    base = "127.0.0.1:" + std::to_string(*port);
  }

  /// Runs the coroutine and then stops the server.
  void play(std::function<awaitable<void>(Visit&)> scene) {
    std::exception_ptr problem;
    auto whole = [](Visit& visit, std::function<awaitable<void>(Visit&)> part,
                    std::exception_ptr& error) -> awaitable<void> {
      try {
        co_await part(visit);
      } catch (...) {
        error = std::current_exception();
      }
      co_await visit.server_->stop(visit.soon());
      visit.runtime.stop();
    };
    boost::asio::co_spawn(runtime.executor(), whole(*this, std::move(scene), problem),
                          [](std::exception_ptr) {});
    runtime.run();
    if (problem) std::rethrow_exception(problem);
  }

  [[nodiscard]] Instant soon() const { return runtime.now() + milliseconds{20'000}; }

  awaitable<Reply> send(net::Method method, std::string path, std::string body = {},
                        net::HeaderList headers = {}) {
    auto url = net::parse_url("http://" + base + path);
    net::ClientRequest request(method, *url);
    request.headers = std::move(headers);
    if (!body.empty()) request.body = std::move(body);
    auto answer = co_await client_.request(std::move(request), soon());
    if (!answer) throw std::runtime_error(answer.error().what);
    auto bytes = co_await answer->read_all(64u << 20, soon());
    if (!bytes) throw std::runtime_error(bytes.error().what);
    Reply reply;
    reply.status = answer->status;
    reply.type = answer->headers.get("Content-Type");
    reply.headers = answer->headers;
    reply.body = std::move(*bytes);
    co_return reply;
  }
  awaitable<Reply> get(std::string path) { co_return co_await send(net::Method::get, std::move(path)); }
  awaitable<Reply> post(std::string path, std::string body) {
    co_return co_await send(net::Method::post, std::move(path), std::move(body));
  }
  awaitable<Reply> upload(std::string name, std::string bytes, std::string more = {}) {
    const std::string body = "--B\r\nContent-Disposition: form-data; name=\"image\"; filename=\"" + name +
                             "\"\r\nContent-Type: image/png\r\n\r\n" + bytes + "\r\n" + more + "--B--\r\n";
    net::HeaderList headers;
    headers.add("Content-Type", "multipart/form-data; boundary=B");
    co_return co_await send(net::Method::post, "/upload/image", body, std::move(headers));
  }
  awaitable<std::unique_ptr<net::WebSocket>> connect(std::string path) {
    auto socket = co_await net::connect_websocket(runtime, "ws://" + base + path, {}, {}, soon());
    if (!socket) throw std::runtime_error(socket.error().what);
    co_return std::move(*socket);
  }
  awaitable<json::object> next(net::WebSocket& socket) {
    auto message = co_await socket.read(soon());
    if (!message) throw std::runtime_error(message.error().what);
    co_return json::parse(message->view()).as_object();
  }
  /// Messages up to the one of `type` that `node_null` asks for.
  awaitable<std::vector<std::string>> types_until_end(net::WebSocket& socket) {
    std::vector<std::string> types;
    while (true) {
      const json::object message = co_await next(socket);
      types.emplace_back(message.at("type").as_string());
      if (types.back() == "executing" && message.at("data").at("node").is_null()) co_return types;
    }
  }

  fixtures::TempFolders home;
  RealRuntime runtime;
  std::string base;

 private:
  net::HttpClient client_;
  std::unique_ptr<Server> server_;
};

std::string save_graph(const std::string& extra) {
  return R"({"prompt":{"1":{"class_type":"EmptyImage","inputs":{"width":16,"height":16,"batch_size":1,
"color":3}},
"2":{"class_type":"SaveImage","inputs":{"images":["1",0],"filename_prefix":"p"}}})" +
         extra + "}";
}

}  // namespace

TEST_CASE("a client that connects, runs a prompt and reads history gets what ComfyUI gives") {
  Visit visit;
  visit.play([](Visit& v) -> awaitable<void> {
    auto socket = co_await v.connect("/ws?clientId=me");
    const json::object hello = co_await v.next(*socket);
    CHECK(hello.at("type").as_string() == "status");
    CHECK(hello.at("data").at("sid").as_string() == "me");
    const Reply accepted = co_await v.post("/prompt", save_graph(R"(,"client_id":"me")"));
    CHECK(accepted.status == 200);
    CHECK(accepted.type == "application/json; charset=utf-8");
    const auto types = co_await v.types_until_end(*socket);
    CHECK(std::ranges::count(types, "executed") == 1);
    CHECK(std::ranges::count(types, "execution_success") == 1);
    const std::string id(accepted.json().at("prompt_id").as_string());
    const Reply history = co_await v.get("/api/history/" + id);
    CHECK(history.json().at(id).at_pointer("/outputs/2/images/0/filename").as_string() == "p_00001_.png");
    const Reply picture = co_await v.get("/view?filename=p_00001_.png");
    CHECK(picture.status == 200);
    CHECK(picture.type == "image/png");
    CHECK(picture.headers.get("Content-Disposition") == "filename=\"p_00001_.png\"");
    CHECK(image::decode_first(picture.body)->samples[2] == 3);
    co_await socket->close(net::CloseCode::normal, "");
  });
}

TEST_CASE("features are told once, as the answer to a first message") {
  Visit visit;
  visit.play([](Visit& v) -> awaitable<void> {
    auto socket = co_await v.connect("/api/ws");
    const json::object hello = co_await v.next(*socket);
    CHECK(hello.at("data").at("sid").as_string().size() == 32);
    const std::string announce = R"({"type":"feature_flags","data":{"supports_preview_metadata":true}})";
    static_cast<void>(co_await socket->write(net::Message::text(announce), v.soon()));
    const json::object flags = co_await v.next(*socket);
    CHECK(flags.at("data").at("supports_preview_metadata").as_bool());
    static_cast<void>(co_await socket->write(net::Message::text(announce), v.soon()));  // not answered
    co_await v.post("/queue", R"({"clear":true})");
    const json::object after = co_await v.next(*socket);
    CHECK(after.at("type").as_string() == "status");
    const Reply features = co_await v.get("/features");
    CHECK(features.json() == flags.at("data"));
    co_await socket->close(net::CloseCode::normal, "");
  });
}

TEST_CASE("a running prompt is interrupted, and a socket that connects meanwhile hears which node runs") {
  Visit visit(milliseconds{600'000});
  visit.play([](Visit& v) -> awaitable<void> {
    auto socket = co_await v.connect("/ws?clientId=me");
    co_await v.post("/prompt",
                    save_graph(R"(,"client_id":"me","prompt_id":"11111111-2222-4333-8444-555555555555")"));
    while (true) {
      const json::object message = co_await v.next(*socket);
      if (message.at("type").as_string() == "executing") break;
    }
    auto late = co_await v.connect("/ws?clientId=me");
    co_await v.next(*late);
    const json::object told = co_await v.next(*late);
    CHECK(json::serialize(told) == R"({"type":"executing","data":{"node":"1"}})");
    const Reply jobs = co_await v.get("/api/jobs?status=in_progress");
    CHECK(jobs.json().at("jobs").as_array().size() == 1);
    const Reply done = co_await v.post("/interrupt", "");
    CHECK(done.status == 200);
    const auto types = co_await v.types_until_end(*late);
    CHECK(std::ranges::count(types, "execution_interrupted") == 1);
    co_await late->close(net::CloseCode::normal, "");
    // The other socket of the same client is not deafened by that.
    co_await v.types_until_end(*socket);
    co_await v.post("/queue", R"({"clear":true})");
    const json::object status = co_await v.next(*socket);
    CHECK(status.at("type").as_string() == "status");
    co_await socket->close(net::CloseCode::normal, "");
  });
}

TEST_CASE("an upload is listed in object_info and seen through /view, whole, in part and converted") {
  Visit visit;
  visit.play([](Visit& v) -> awaitable<void> {
    const std::vector<std::uint8_t> samples{10, 20, 30, 0, 40, 50, 60, 255};
    const std::string png = *image::encode_png(image::FrameView{2, 1, 4, samples.data()});
    const Reply stored = co_await v.upload("cat.png", png);
    CHECK(stored.body == R"({"name":"cat.png","subfolder":"","type":"input"})");
    const Reply info = co_await v.get("/object_info/LoadImage");
    CHECK(info.json().at_pointer("/LoadImage/input/required/image/0/0").as_string() == "cat.png");
    net::HeaderList range;
    range.add("Range", "bytes=1-3");
    const Reply part =
        co_await v.send(net::Method::get, "/view?filename=cat.png&type=input", "", std::move(range));
    CHECK(part.status == 206);
    CHECK(part.body == "PNG");
    const Reply rgb = co_await v.get("/view?filename=cat.png&type=input&channel=rgb");
    CHECK(image::decode_first(rgb.body)->samples == std::vector<std::uint8_t>{10, 20, 30, 40, 50, 60});
    const Reply alpha = co_await v.get("/view?filename=cat.png&type=input&channel=a");
    CHECK(image::decode_first(alpha.body)->samples == std::vector<std::uint8_t>{0, 0, 0, 0, 0, 0, 0, 255});
    const Reply webp = co_await v.get("/view?filename=cat.png&type=input&preview=webp;75");
    CHECK(webp.type == "image/webp");
    CHECK(image::recognise(webp.body) == image::Format::webp);
    const Reply jpeg = co_await v.get("/view?filename=cat.png%20%5Binput%5D&preview=jpeg");
    CHECK(image::recognise(jpeg.body) == image::Format::jpeg);
    const Reply page = co_await v.upload("page.html", "<script>1</script>");
    CHECK(page.status == 200);
    const Reply shown = co_await v.get("/view?filename=page.html&type=input");
    CHECK(shown.type == "application/octet-stream");
  });
}

TEST_CASE("wrong requests get the statuses that clients of ComfyUI know") {
  Visit visit;
  visit.play([](Visit& v) -> awaitable<void> {
    struct Case {
      const char* path;
      unsigned status;
    };
    constexpr Case kCases[] = {{"/view", 404},
                               {"/view?filename=..%2Fx.png", 400},
                               {"/view?filename=%2Fetc%2Fpasswd", 400},
                               {"/view?filename=x.png&subfolder=..%2F..", 403},
                               {"/view?filename=x.png&type=nonsense", 400},
                               {"/view?filename=none.png", 404},
                               {"/models/nonsense", 404},
                               {"/object_info/NoSuchNode", 200},
                               {"/history?max_items=many", 400},
                               {"/api/jobs?status=nonsense", 400},
                               {"/jobs", 404},
                               {"/no/such/route", 404},
                               {"/interrupt", 405},
                               {"/ws", 400},
                               {"/api/internal/files/input", 404},
                               {"/internal/files/input", 200}};
    for (const Case& c : kCases) {
      CAPTURE(c.path);
      const Reply reply = co_await v.get(c.path);
      CHECK(reply.status == c.status);
    }
    const Reply broken = co_await v.post("/prompt", "{nope");
    CHECK(broken.status == 400);
    net::HeaderList foreign;
    foreign.add("Origin", "http://evil.example");
    const Reply refused = co_await v.send(net::Method::post, "/interrupt", "{}", std::move(foreign));
    CHECK(refused.status == 403);
    net::HeaderList own;
    own.add("Origin", "http://" + v.base);
    const Reply fine = co_await v.send(net::Method::post, "/interrupt", "{}", std::move(own));
    CHECK(fine.status == 200);
  });
}
