// SPDX-License-Identifier: MIT
// The engine on the virtual runtime: events in their order, outcomes, interrupts.
#include "rehearsal/engine.hpp"

#include <doctest/doctest.h>

#include <boost/json.hpp>

#include "fixtures.hpp"
#include "image/png_text.hpp"
#include "runtime/task_group.hpp"
#include "runtime/virtual_runtime.hpp"

using atelier::milliseconds;
using atelier::rehearsal::Clients;
using atelier::rehearsal::Engine;
using atelier::rehearsal::EngineOptions;
namespace json = boost::json;
namespace net = atelier::net;

namespace {

// Keeps what is written to it.
class FakeSocket final : public net::WebSocket {
 public:
  atelier::awaitable<atelier::Result<net::Message>> read(atelier::Instant) override {
    co_return atelier::fail(atelier::Errc::closed, "nobody writes");
  }
  atelier::awaitable<atelier::Result<void>> write(net::Message message, atelier::Instant) override {
    messages.push_back(json::parse(message.view()).as_object());
    co_return atelier::Result<void>{};
  }
  atelier::awaitable<void> close(net::CloseCode, std::string) override { co_return; }
  void drop() override {}
  bool is_open() const override { return true; }
  net::CloseCode close_code() const override { return net::CloseCode::none; }
  std::string close_reason() const override { return {}; }

  std::vector<json::object> messages;
};

struct Room {
  explicit Room(milliseconds step_time = milliseconds{0})
      : engine(runtime, EngineOptions{home.folders, step_time}, clients),
        queue(runtime, socket),
        tasks(runtime) {
    clients.add("me", queue);
    tasks.spawn("socket", queue.run());
    tasks.spawn("engine", engine.run());
    runtime.run_ready();
  }
  ~Room() {
    engine.stop();
    queue.close(net::CloseCode::normal, "");
    runtime.run_ready();
    tasks.cancel_all();
    runtime.run_ready();
  }

  json::object post(const std::string& graph, const std::string& extra = R"(,"client_id":"me")") {
    const auto answer = engine.submit(R"({"prompt":)" + graph + extra + "}");
    status = answer.status;
    return json::parse(answer.body).as_object();
  }
  // "type" or, for executing, "executing:<node>", joined; without progress_state and status.
  std::string story() const {
    std::string all;
    for (const auto& message : socket.messages) {
      const std::string type(message.at("type").as_string());
      if (type == "progress_state" || type == "status" || type == "progress") continue;
      const auto& data = message.at("data").as_object();
      all += type;
      if (type == "executing")
        all += ":" + (data.at("node").is_null() ? "null" : std::string(data.at("node").as_string()));
      all += " ";
    }
    return all;
  }
  std::size_t count(std::string_view type) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        socket.messages, [&](const auto& message) { return message.at("type").as_string() == type; }));
  }
  const json::object& last(std::string_view type) const {
    for (auto message = socket.messages.rbegin(); message != socket.messages.rend(); ++message) {
      if (message->at("type").as_string() == type) return message->at("data").as_object();
    }
    FAIL("no such message");
    return socket.messages.front();
  }

  fixtures::TempFolders home;
  atelier::VirtualRuntime runtime;
  Clients clients;
  Engine engine;
  FakeSocket socket;
  net::OutgoingQueue queue;
  atelier::TaskGroup tasks;
  unsigned status = 0;
};

const std::string kSave =
    R"({"1":{"class_type":"EmptyImage","inputs":{"width":8,"height":4,"batch_size":1,"color":3}},
"2":{"class_type":"SaveImage","inputs":{"images":["1",0],"filename_prefix":"p"}}})";

}  // namespace

TEST_CASE("a prompt tells its story in ComfyUI's order and leaves a picture and a history") {
  Room room;
  const auto accepted = room.post(kSave);
  CHECK(room.status == 200);
  const std::string id(accepted.at("prompt_id").as_string());
  CHECK(id.size() == 36);
  CHECK(id[14] == '4');
  CHECK(accepted.at("number").as_int64() == 0);
  room.runtime.run_ready();
  CHECK(
      room.story() ==
      "execution_start execution_cached executing:1 executing:2 executed execution_success executing:null ");
  CHECK(room.count("progress_state") == 4);
  CHECK(room.count("progress") == 0);
  CHECK(room.count("status") == 3);  // put, taken, done
  CHECK(room.last("status").at("status").at_pointer("/exec_info/queue_remaining").as_int64() == 0);
  CHECK(room.last("progress_state").at("nodes").at_pointer("/2/state").as_string() == "finished");
  CHECK(room.last("executed").at("output").at_pointer("/images/0/filename").as_string() == "p_00001_.png");
  const auto history = json::parse(room.engine.queue().history_json(id)).at(id);
  CHECK(history.at_pointer("/status/status_str").as_string() == "success");
  CHECK(history.at_pointer("/status/messages").as_array().size() == 3);
  CHECK(history.at_pointer("/outputs/2/images/0/type").as_string() == "output");
  CHECK(history.at_pointer("/meta/2/parent_node").is_null());
}

TEST_CASE("the prompt and every part of extra_pnginfo are written into the picture") {
  Room room;
  room.post(kSave, R"(,"extra_data":{"extra_pnginfo":{"workflow":{"nodes":[1,2.5]},"note":"h\u00e9"}})");
  room.runtime.run_ready();
  const auto texts = atelier::image::read_png_texts(room.home.read("output/p_00001_.png"));
  REQUIRE(texts.size() == 3);
  CHECK(texts[0].key == "prompt");
  CHECK(texts[0].text.starts_with(R"({"1": {"class_type": "EmptyImage", "inputs": {"width": 8, )"));
  CHECK(texts[1].text == R"({"nodes": [1, 2.5]})");
  CHECK(texts[2].text == R"("h\u00e9")");
}

TEST_CASE("a failing node ends its prompt with an error, and what was saved before stays in the history") {
  Room room;
  const auto accepted =
      room.post(R"({"1":{"class_type":"EmptyImage","inputs":{"width":8,"height":4,"batch_size":1,"color":3}},
"2":{"class_type":"SaveImage","inputs":{"images":["1",0],"filename_prefix":"fine"}},
"3":{"class_type":"SaveImage","inputs":{"images":["1",0],"filename_prefix":"../../bad"}}})");
  room.runtime.run_ready();
  CHECK(room.story() ==
        "execution_start execution_cached executing:1 executing:2 executed executing:3 "
        "execution_error executing:null ");
  const auto& error = room.last("execution_error");
  CHECK(error.at("exception_type").as_string() == "Exception");
  CHECK(error.at("node_type").as_string() == "SaveImage");
  CHECK(error.at("executed").as_array().size() == 2);
  CHECK(error.at("current_inputs").at_pointer("/filename_prefix/0").as_string() == "../../bad");
  const std::string id(accepted.at("prompt_id").as_string());
  const auto history = json::parse(room.engine.queue().history_json(id)).at(id);
  CHECK(history.at_pointer("/status/status_str").as_string() == "error");
  CHECK(history.at("outputs").as_object().size() == 1);
}

TEST_CASE("a prompt without client_id tells only what ComfyUI broadcasts") {
  Room room;
  room.post(kSave, "");
  room.runtime.run_ready();
  CHECK(room.story().empty());
  CHECK(room.count("progress_state") == 4);
  room.post(kSave, R"(,"client_id":"somebody else")");
  room.runtime.run_ready();
  CHECK(room.count("progress_state") == 4);
  CHECK(room.home.read("output/p_00002_.png") != "(no such file)");
}

TEST_CASE("step time brings progress, and an interrupt ends it at once") {
  Room room(milliseconds{1000});
  const auto first = room.post(kSave);
  const auto second = room.post(kSave);
  room.runtime.run_ready();
  room.runtime.advance(milliseconds{550});
  CHECK(room.count("progress") == 5);
  CHECK(room.last("progress").at("max").to_number<double>() == 10);
  CHECK(room.engine.current_node("me") == "1");
  CHECK_FALSE(room.engine.current_node("you"));
  // Another prompt's id does nothing.
  CHECK_FALSE(room.engine.interrupt(std::string_view(second.at("prompt_id").as_string())));
  CHECK(room.engine.interrupt(std::string_view(first.at("prompt_id").as_string())));
  room.runtime.run_ready();
  CHECK(room.story() ==
        "execution_start execution_cached executing:1 execution_interrupted executing:null "
        "execution_start execution_cached executing:1 ");
  const std::string id(first.at("prompt_id").as_string());
  CHECK(json::parse(*room.engine.queue().job_json(id)).at("status").as_string() == "cancelled");
  room.runtime.advance(milliseconds{2000});  // the second one is not touched
  CHECK(room.story().ends_with("executing:2 executed execution_success executing:null "));
}

TEST_CASE("numbers count up, front goes before, and a client's number does not move the counter") {
  Room room(milliseconds{1000});
  room.post(kSave);
  CHECK(room.post(kSave, R"(,"front":true)").at("number").as_int64() == -1);
  CHECK(room.post(kSave, R"(,"number":7)").at("number").is_double());
  CHECK(room.post(kSave).at("number").as_int64() == 2);
  room.runtime.run_ready();  // the one that goes first runs now and is not cleared
  CHECK(room.engine.queue().remaining() == 4);
  room.engine.clear_queue();
  room.runtime.run_ready();
  CHECK(room.engine.queue().remaining() == 1);
}

TEST_CASE("cancelling works on waiting and on running prompts") {
  Room room(milliseconds{1000});
  const std::string running(room.post(kSave).at("prompt_id").as_string());
  const std::string waiting(room.post(kSave).at("prompt_id").as_string());
  room.runtime.run_ready();
  CHECK(room.engine.cancel(waiting));
  CHECK_FALSE(room.engine.cancel(waiting));
  CHECK(room.engine.cancel(running));
  room.runtime.run_ready();
  CHECK(room.engine.queue().remaining() == 0);
  CHECK(room.story().ends_with("execution_interrupted executing:null "));
}

TEST_CASE("what cannot run is refused before it is queued") {
  Room room;
  CHECK(room.post("{}").at("error").at("type").as_string() == "prompt_no_outputs");
  CHECK(room.status == 400);
  const auto missing = room.post(R"({"1":{"class_type":"LoadImage","inputs":{"image":"never.png"}},
"2":{"class_type":"PreviewImage","inputs":{"images":["1",0]}}})");
  CHECK(missing.at("node_errors").at_pointer("/1/errors/0/type").as_string() == "custom_validation_failed");
  CHECK(room.engine.queue().remaining() == 0);
  room.home.write("input/never.png", "it is there now, if not a picture");
  room.post(R"({"1":{"class_type":"LoadImage","inputs":{"image":"never.png"}},
"2":{"class_type":"PreviewImage","inputs":{"images":["1",0]}}})");
  CHECK(room.status == 200);
  room.runtime.run_ready();
  CHECK(room.last("execution_error").at("exception_type").as_string() == "av.error.InvalidDataError");
}

TEST_CASE("every node runs in every prompt: nothing is kept") {
  Room room;
  room.post(kSave);
  room.runtime.run_ready();
  room.post(kSave);
  room.runtime.run_ready();
  CHECK(room.last("execution_cached").at("nodes").as_array().empty());
  CHECK(room.last("executed").at("output").at_pointer("/images/0/filename").as_string() == "p_00002_.png");
}
