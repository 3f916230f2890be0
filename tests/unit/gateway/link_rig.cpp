// SPDX-License-Identifier: MIT
#include "unit/gateway/link_rig.hpp"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace atelier::gateway::test {

LinkRig::LinkRig(RigOptions options) : Rig(std::move(options)) {
  WorkerLinkOptions link_options;
  link_options.token = kWorkerToken;
  link = std::make_unique<WorkerLink>(runtime, *workshop, *files, *catalog, live, std::move(link_options),
                                      [this](JobId job, Epoch epoch, std::string event) {
                                        face->expect_ending(job, epoch, std::move(event));
                                      });
  workshop->add_sink(*link);
  link->start();
  instructor->set_worker_link(*link);
  runtime.run_ready();
}

LinkRig::~LinkRig() { run(link->stop(runtime.now() + milliseconds{10'000})); }

JobId LinkRig::submit_with_input(std::uint64_t participant, int n) {
  const Reply reply =
      post(fmt::format("/user/{}/prompt", participant),
           fmt::format(
               R"({{"prompt":{{"1":{{"class_type":"LoadImage","inputs":{{"image":"cat.png"}}}},)"
               R"("9":{{"class_type":"SaveImage","inputs":{{"images":["1",0],"filename_prefix":"cat"}}}}}})"
               R"(,"prompt_id":"{}","client_id":"mine"}})",
               uuid(n)));
  REQUIRE(reply.status == 200);
  return workshop->core().live(ParticipantId{participant}, uuid(n))->job;
}

Reply LinkRig::worker_request(net::Method method, std::string target, std::string body,
                              net::HeaderList headers) {
  net::StringReader reader(body);
  net::Request request;
  request.method = method == net::Method::head ? net::Method::get : method;
  request.is_head = method == net::Method::head;
  request.target = std::move(target);
  request.headers = std::move(headers);
  if (!request.headers.contains("Authorization"))
    request.headers.set("Authorization", fmt::format("Bearer {}", bearer));
  request.content_length = body.size();
  request.body = &reader;
  net::Response response = run(link->handle(request));
  Reply reply;
  reply.status = response.status;
  reply.headers = response.headers;
  if (!request.is_head) reply.body = read_body(runtime, response.body);
  return reply;
}

net::HeaderList handshake(std::string_view name, std::string_view version) {
  net::HeaderList headers{{"Upgrade", "websocket"},
                          {"Connection", "Upgrade"},
                          {"Sec-WebSocket-Version", "13"},
                          {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}};
  headers.add("Atelier-Worker", name);
  if (!version.empty()) headers.add("Atelier-Protocol", version);
  return headers;
}

Agent::Agent(LinkRig& rig, std::string name, std::uint64_t boot, std::uint32_t slots,
             std::vector<link::HelloJob> jobs, std::optional<Digest> models)
    : rig_(rig), bearer_(rig.bearer), wire_(std::make_shared<Wire>(rig.runtime)) {
  net::Request request;
  request.target = "/worker/link";
  request.headers = handshake(name, fmt::format("{}", link::kProtocolVersion));
  request.headers.set("Authorization", fmt::format("Bearer {}", bearer_));
  net::Response response = rig.run(rig.link->handle(request));
  REQUIRE(response.upgrade);
  upgrade_ = std::move(response.upgrade);
  asio::co_spawn(rig.runtime.executor(), upgrade_(std::make_unique<FakeSocket>(wire_)), asio::detached);
  link::Hello hello;
  hello.agent = "test";
  hello.name = std::move(name);
  hello.boot = Key128{boot, 1};
  hello.jobs = std::move(jobs);
  for (std::uint32_t i = 0; i < slots; ++i) {
    link::HelloSlot slot;
    slot.slot = i;
    slot.comfy_version = "0.21.0";
    slot.object_info = sha256(kObjectInfo);
    slot.models = models;
    slot.engine = link::EngineState::ready;
    slot.engine_start = boot;
    hello.slots.push_back(slot);
  }
  say(hello);
  const auto welcome = take<link::Welcome>();
  REQUIRE(welcome.size() == 1);
  number_ = welcome.front().link;
  wanted_ = welcome.front().want;
  for (const link::Answer& answer : welcome.front().answers) verdicts_.push_back(answer.verdict);
}

void Agent::say(const link::AgentMessage& message) {
  put_on_wire(message);
  rig_.runtime.run_ready();
}

void Agent::put_on_wire(const link::AgentMessage& message) {
  net::Message frame;
  if (const auto* preview = std::get_if<link::Preview>(&message)) {
    frame = net::Message::binary(link::encode_preview(*preview));
  } else {
    frame = net::Message::text(link::encode(message));
  }
  wire_->to_server.push_back(std::move(frame));
  wire_->changed.notify_all();
}

void Agent::receive() {
  rig_.runtime.run_ready();
  for (const net::Message& message : std::exchange(wire_->to_browser, {})) {
    auto decoded = link::decode_gateway(message.view());
    REQUIRE(decoded.has_value());
    inbox_.push_back(std::move(*decoded));
  }
}

Reply Agent::send(net::Method method, std::string target, std::string body) {
  net::HeaderList headers;
  headers.add("Atelier-Link", fmt::format("{}", number_));
  headers.add("Authorization", fmt::format("Bearer {}", bearer_));
  return rig_.worker_request(method, std::move(target), std::move(body), std::move(headers));
}

Reply Agent::put(JobId job, Epoch epoch, std::uint32_t n, const std::string& bytes) {
  return send(net::Method::put,
              fmt::format("/worker/output/{}/{}/{}?digest={}&size={}&offset=0", job, epoch, n,
                          sha256(bytes).hex(), bytes.size()),
              bytes);
}

link::Commit Agent::commit_of(JobId job, Epoch epoch, const std::string& bytes, std::string folder) {
  link::Commit commit;
  commit.job = job;
  commit.epoch = epoch;
  commit.node = commit.display_node = "9";
  commit.ui = R"({"images":[{"filename":"cat_00001_.png","subfolder":"","type":"output"}]})";
  link::CommitFile file;
  file.place = "images/0";
  file.folder = std::move(folder);
  file.stem = "cat";
  file.number = 1;
  file.rest = "_.png";
  file.in_job_folder = true;
  file.size = bytes.size();
  file.digest = sha256(bytes);
  commit.files.push_back(std::move(file));
  return commit;
}

void Agent::leave() {
  wire_->left = true;
  wire_->changed.notify_all();
  rig_.runtime.run_ready();
}

}  // namespace atelier::gateway::test
