// SPDX-License-Identifier: MIT
#include "unit/gateway/rig.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "comfy/messages.hpp"

namespace atelier::gateway::test {

const std::string_view kObjectInfo = R"json({
"SaveImage":{"input":{"required":{"images":["IMAGE"],"filename_prefix":["STRING",{"default":"ComfyUI"}]},
  "hidden":{"prompt":"PROMPT","extra_pnginfo":"EXTRA_PNGINFO"}},
  "output":[],"name":"SaveImage","output_node":true},
"EmptyImage":{"input":{"required":{"width":["INT",{"default":512,"min":1,"max":16384}],
  "height":["INT",{"default":512,"min":1,"max":16384}],"batch_size":["INT",{"default":1,"min":1,"max":4096}],
  "color":["INT",{"default":0,"min":0,"max":16777215}]}},
  "output":["IMAGE"],"name":"EmptyImage","output_node":false},
"LoadImage":{"input":{"required":{"image":[["worker.png"],{"image_upload":true}]}},
  "output":["IMAGE","MASK"],"name":"LoadImage","output_node":false},
"LoadImageOutput":{"input":{"required":{"image":["COMBO",{"image_upload":true,"image_folder":"output",
  "remote":{"route":"/internal/files/output"}}]}},
  "output":["IMAGE","MASK"],"name":"LoadImageOutput","output_node":false},
"LoadImageTextDataSetFromFolder":{"input":{"required":{"folder":["COMBO",{"options":["of the worker"]}]}},
  "output":["IMAGE","STRING"],"name":"LoadImageTextDataSetFromFolder","output_node":false}
})json";

std::string prompt_body(std::string_view prompt_id, std::string_view client_id, std::string_view more,
                        int width) {
  return fmt::format(
      R"({{"prompt":{{"1":{{"class_type":"EmptyImage",)"
      R"("inputs":{{"width":{},"height":64,"batch_size":1,"color":0}}}},)"
      R"("9":{{"class_type":"SaveImage","inputs":{{"images":["1",0],"filename_prefix":"cat"}}}}}})"
      R"(,"prompt_id":"{}","client_id":"{}"{}}})",
      width, prompt_id, client_id, more);
}

std::string uuid(int n) { return fmt::format("aaaaaaaa-bbbb-4ccc-8ddd-{:012}", n); }

boost::json::value Reply::json() const {
  auto parsed = comfy::Json::parse(body);
  INFO(body);
  REQUIRE(parsed.has_value());
  return parsed->value();
}

std::string text(const boost::json::value& value) {
  if (const auto* string = value.if_string()) return {string->data(), string->size()};
  return comfy::print_json(value);
}

const SeatTokens Rig::kTokens(std::string(64, 'a'), 20);
const std::string Rig::kInstructor = Rig::kTokens.instructor_token();

Rig::Rig(RigOptions options) : journal(journal::memory::open(runtime, store)) {
  files::DataFolderOptions folders;
  folders.data_dir = folder / "data";
  auto data = files::DataFolder::open(folders);
  REQUIRE_MESSAGE(data.has_value(), (data ? "" : data.error().what));
  options.quota.free_bytes_min = 0;
  options.quota.free_files_min = 0;
  files = std::make_unique<files::Files>(runtime, std::move(*data), options.quota);
  workshop = std::make_unique<workshop::Workshop>(runtime, *journal, options.workshop);
  catalog = std::make_unique<Catalog>(runtime, *files);
  REQUIRE(run(workshop->open()).has_value());
  if (options.with_catalog) {
    const auto info = std::make_shared<const std::string>(kObjectInfo);
    REQUIRE(run(catalog->add(sha256(*info), info)).has_value());
  }
  PublicFaceOptions public_options;
  public_options.num_users = options.face.num_users;
  face = std::make_unique<ParticipantFace>(runtime, *workshop, *files, *catalog, live, options.face);
  everybody = std::make_unique<PublicFace>(*workshop, *files, public_options);
  gateway =
      std::make_unique<Gateway>(*face, *everybody, GatewayOptions{options.domain, options.face.num_users});
  instructor = std::make_unique<InstructorFace>(runtime, *workshop, ApiAccess(kTokens, options.api),
                                                options.instructor);
  gateway->set_api_handler([this](net::Request& request) { return instructor->handle(request); });
  workshop->add_sink(*face);
  workshop->add_sink(*instructor);
  outlook = std::make_unique<workshop::Outlook>(runtime, *workshop, options.workshop.policy);
  face->set_outlook(*outlook);
  instructor->set_outlook(*outlook);
  workshop->add_sink(*outlook);
  workshop->start();
  outlook->start();
  runtime.run_ready();
}

Rig::~Rig() {
  run(face->stop(runtime.now() + milliseconds{10'000}));
  run(instructor->stop(runtime.now() + milliseconds{10'000}));
  run(outlook->stop(runtime.now() + milliseconds{10'000}));
  run(workshop->stop(runtime.now() + milliseconds{10'000}));
}

Reply Rig::send(net::Method method, std::string target, std::string body, net::HeaderList headers,
                std::string host) {
  net::StringReader reader(body);
  net::Request request;
  request.method = method;
  if (method == net::Method::head) {  // as HttpServer gives it
    request.method = net::Method::get;
    request.is_head = true;
  }
  request.target = std::move(target);
  request.host = std::move(host);
  request.headers = std::move(headers);
  request.listener_mark = listener_mark;
  request.peer.address = peer_address;
  request.content_length = body.size();
  request.body = &reader;
  net::Response response;
  if (!gateway->answers_quickly(request, response)) {  // as HttpServer asks
    response = run(gateway->handle(request));
  } else if (request.is_head) {
    response.body = std::monostate{};
  }
  Reply reply;
  reply.status = response.status;
  for (const auto* list : {response.shared_headers.get(), &std::as_const(response.headers)}) {
    if (list == nullptr) continue;
    for (const auto field : *list) reply.headers.add(field.name, field.value);
  }
  reply.body = read_body(runtime, response.body);
  return reply;
}

Reply Rig::get(std::string target, net::HeaderList headers) {
  return send(net::Method::get, std::move(target), {}, std::move(headers));
}
Reply Rig::head(std::string target, net::HeaderList headers) {
  return send(net::Method::head, std::move(target), {}, std::move(headers));
}
Reply Rig::post(std::string target, std::string body, net::HeaderList headers) {
  return send(net::Method::post, std::move(target), std::move(body), std::move(headers));
}

Reply Rig::api(net::Method method, std::string target, std::string body, std::string token,
               net::HeaderList headers) {
  if (!token.empty()) headers.add("Authorization", "Bearer " + token);
  if (!body.empty()) headers.add("Content-Type", "application/json");
  return send(method, "/api/v1" + target, std::move(body), std::move(headers));
}

JobId Rig::submit(int participant, std::string_view prompt_id, std::string_view client_id,
                  std::string_view more) {
  const Reply reply =
      post(fmt::format("/user/{}/prompt", participant), prompt_body(prompt_id, client_id, more));
  INFO(reply.body);
  REQUIRE(reply.status == 200);
  const auto* job = workshop->core().live(ParticipantId{static_cast<std::uint64_t>(participant)}, prompt_id);
  REQUIRE(job != nullptr);
  return job->job;
}

Reply Rig::upload(int participant, std::string_view name, std::string_view bytes,
                  const std::vector<std::pair<std::string, std::string>>& fields, std::string_view route) {
  std::string body;
  for (const auto& [field, value] : fields) {
    body += fmt::format("--XX\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\n{}\r\n", field, value);
  }
  body += fmt::format(
      "--XX\r\nContent-Disposition: form-data; name=\"image\"; filename=\"{}\"\r\n\r\n{}\r\n--XX--\r\n", name,
      bytes);
  return post(fmt::format("/user/{}{}", participant, route), std::move(body),
              {{"Content-Type", "multipart/form-data; boundary=XX"}});
}

void Rig::record(core::Event event, std::vector<journal::NewAttachment> attachments) {
  const auto posted = run(workshop->record(std::move(event), std::move(attachments)));
  REQUIRE_MESSAGE(posted.has_value(), (posted ? "" : posted.error().what));
  runtime.run_ready();
}

void Rig::join(std::string name) {
  core::Capability capability;
  capability.hash = sha256(kObjectInfo);
  capability.classes = catalog->ability(capability.hash)->classes;
  if (!workshop->core().knows_capability(capability.hash)) record(capability);
  core::WorkerJoined joined;
  joined.name = std::move(name);
  joined.gateway = workshop->gateway();
  joined.boot = Key128{7, ++boots_};
  core::JoinedSlot slot;
  slot.capability = capability.hash;
  slot.engine_start = boots_;
  joined.slots.push_back(slot);
  record(std::move(joined));
}

const core::JobFacts& Rig::facts(JobId job) const {
  const auto* found = workshop->core().job(job);
  REQUIRE(found != nullptr);
  return *found;
}

std::string Rig::run_id(JobId job) const {
  return WorkerLink::run_id(workshop->id(), job, facts(job).epoch).uuid();
}

void Rig::started(JobId job) {
  core::Started fact;
  fact.job = job;
  fact.epoch = facts(job).epoch;
  record(fact);
}

void Rig::computed(JobId job) {
  core::Computed fact;
  fact.job = job;
  fact.epoch = facts(job).epoch;
  fact.gpu_ms = 100;
  record(fact);
}

core::Attachment Rig::attach(std::string bytes, std::vector<journal::NewAttachment>& list) {
  list.push_back(workshop->attach(std::make_shared<const std::string>(std::move(bytes))));
  return list.back().ref;
}

void Rig::commit(JobId job, const std::string& node, std::string ui) {
  std::vector<journal::NewAttachment> first, second;
  core::Committed committed;
  committed.job = job;
  committed.epoch = facts(job).epoch;
  committed.node = node;
  committed.ui = attach("{}", first);
  record(std::move(committed), std::move(first));
  core::Linked linked;
  linked.job = job;
  linked.node = node;
  linked.ui = attach(ui, second);
  linked.summary.outputs = linked.summary.previewable = 1;
  linked.summary.preview_rank = 4;
  linked.summary.preview =
      fmt::format(R"({{"filename":"cat_00001_.png","subfolder":"","type":"output","nodeId":"{}"}})", node);
  record(std::move(linked), std::move(second));
  LiveFrame frame;
  frame.kind = LiveKind::executed;
  frame.participant = facts(job).submitted.participant;
  frame.job = job;
  frame.epoch = facts(job).epoch;
  frame.node = frame.display_node = node;
  frame.bytes = std::make_shared<const std::string>(std::move(ui));
  live.publish(std::move(frame));
  runtime.run_ready();
}

void Rig::ended(JobId job, core::Outcome outcome, std::string event, std::string report, std::string meta,
                core::EndReason reason) {
  std::vector<journal::NewAttachment> attachments;
  core::Ended fact;
  fact.job = job;
  fact.epoch = facts(job).epoch;
  fact.outcome = outcome;
  fact.reason = reason;
  if (!event.empty()) {
    fact.report = attach(
        fmt::format(R"({{"event":{},"status":{},"meta":{}}})", event, report.empty() ? "null" : report, meta),
        attachments);
    face->expect_ending(job, fact.epoch, std::move(event));
  }
  record(std::move(fact), std::move(attachments));
}

void Rig::finish(JobId job) {
  started(job);
  computed(job);
  ended(job);
}

void Rig::event(JobId job, std::string type, std::string node, std::string json) {
  const std::string id = run_id(job);
  for (std::size_t at = 0; (at = json.find("RUN", at)) != std::string::npos;) json.replace(at, 3, id);
  LiveFrame frame;
  frame.participant = facts(job).submitted.participant;
  frame.job = job;
  frame.epoch = facts(job).epoch;
  frame.bytes = std::make_shared<const std::string>(fmt::format(R"({{"type":"{}","data":{}}})", type, json));
  frame.type = std::move(type);
  frame.node = std::move(node);
  live.publish(std::move(frame));
  runtime.run_ready();
}

void Rig::preview(JobId job, std::uint32_t kind, std::string bytes) {
  LiveFrame frame;
  const auto decoded = comfy::decode_frame(kind, bytes);
  frame.kind = decoded && decoded->is_result() ? LiveKind::result : LiveKind::preview;
  frame.participant = facts(job).submitted.participant;
  frame.job = job;
  frame.epoch = facts(job).epoch;
  frame.preview_kind = kind;
  frame.bytes = std::make_shared<const std::string>(std::move(bytes));
  live.publish(std::move(frame));
  runtime.run_ready();
}

}  // namespace atelier::gateway::test
