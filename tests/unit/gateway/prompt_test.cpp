// SPDX-License-Identifier: MIT
// POST /prompt: accepted, repeated, refused.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <boost/json.hpp>

#include "unit/gateway/rig.hpp"

namespace atelier::gateway::test {
namespace {

Reply post_prompt(Rig& rig, int participant, std::string body) {
  return rig.post(fmt::format("/user/{}/api/prompt", participant), std::move(body));
}

TEST_CASE("a prompt is accepted with its id, its number and the errors of its nodes") {
  Rig rig;
  const auto body = post_prompt(rig, 7, prompt_body(uuid(1))).json();
  CHECK(text(body.at("prompt_id")) == uuid(1));
  CHECK(body.at("number") == 1);
  CHECK(body.at("node_errors").as_object().empty());
  const auto* job = rig.workshop->core().live(ParticipantId{7}, uuid(1));
  REQUIRE(job != nullptr);
  CHECK(job->submitted.classes == std::vector<std::string>{"EmptyImage", "SaveImage"});
  CHECK(job->state == core::JobState::queued);
}

TEST_CASE("a prompt without an id gets a fresh version 4 UUID") {
  Rig rig;
  auto without = prompt_body("X");
  without.replace(without.find(R"("prompt_id":"X")"), 15, R"("prompt_id":null)");
  const auto first = post_prompt(rig, 7, without).json().at("prompt_id");
  const auto second = post_prompt(rig, 7, without).json().at("prompt_id");
  const std::string id(first.as_string());
  CHECK(first != second);
  CHECK(id.size() == 36);
  CHECK(id[14] == '4');
  CHECK(std::string_view("89ab").find(id[19]) != std::string_view::npos);
}

TEST_CASE("a client's number is echoed as a float, and front comes before what waits") {
  Rig rig;
  rig.submit(7, uuid(1));
  Reply reply = post_prompt(rig, 7, prompt_body(uuid(2), "", R"(,"front":true)"));
  CHECK(reply.json().at("number") == -2);
  reply = post_prompt(rig, 7, prompt_body(uuid(3), "", R"(,"number":0)"));
  CHECK(reply.body.find("\"number\":0.0") != std::string::npos);
  const auto pending = rig.get("/user/7/queue").json().at("queue_pending").as_array();
  REQUIRE(pending.size() == 3);
  CHECK(text(pending[0].at(1)) == uuid(2));
  CHECK(text(pending[1].at(1)) == uuid(3));
  CHECK(text(pending[2].at(1)) == uuid(1));
}

TEST_CASE("a repeat of the same body is answered as the first time and makes no second job") {
  Rig rig;
  const std::string body = prompt_body(uuid(1), "tab");
  const Reply first = post_prompt(rig, 7, body);
  const Reply again = post_prompt(rig, 7, body);
  CHECK(again.status == 200);
  CHECK(again.body == first.body);
  CHECK(rig.workshop->core().jobs_live() == 1);
  rig.join();
  rig.started(JobId{1});
  CHECK(post_prompt(rig, 7, body).body == first.body);
  rig.computed(JobId{1});
  rig.ended(JobId{1});
  CHECK(post_prompt(rig, 7, body).body == first.body);
  CHECK(rig.workshop->core().jobs_live() == 0);
}

TEST_CASE("a repeat ten minutes after the end is a new job") {
  Rig rig;
  rig.join();
  const JobId first = rig.submit(7, uuid(1));
  rig.finish(first);
  rig.runtime.advance(milliseconds{10 * 60'000 + 1});
  const JobId second = rig.submit(7, uuid(1));
  CHECK(second != first);
}

TEST_CASE("the id of a live job with another body is 409 in ComfyUI's shape") {
  Rig rig;
  rig.submit(7, uuid(1));
  const Reply reply = post_prompt(rig, 7, prompt_body(uuid(1), "", "", 128));
  CHECK(reply.status == 409);
  CHECK(reply.json().at("error").at("type") == "conflict");
  CHECK(reply.json().at("node_errors").as_object().empty());
  CHECK(rig.workshop->core().jobs_live() == 1);
}

TEST_CASE("after the end its id with another body is a new job") {
  Rig rig;
  rig.join();
  const JobId first = rig.submit(7, uuid(1));
  rig.finish(first);
  CHECK(post_prompt(rig, 7, prompt_body(uuid(1), "", "", 128)).status == 200);
  CHECK(rig.workshop->core().jobs_live() == 1);
}

TEST_CASE("one participant's prompt id is no matter of another's") {
  Rig rig;
  const JobId mine = rig.submit(7, uuid(1));
  const Reply reply = post_prompt(rig, 8, prompt_body(uuid(1), "", "", 128));
  CHECK(reply.status == 200);
  CHECK(rig.workshop->core().live(ParticipantId{8}, uuid(1))->job != mine);
}

TEST_CASE("above the cap of waiting jobs a prompt is 429 and told to come again") {
  RigOptions options;
  options.workshop.admission.waiting_per_participant_max = 2;
  Rig rig(options);
  rig.submit(7, uuid(1));
  rig.submit(7, uuid(2));
  const Reply reply = post_prompt(rig, 7, prompt_body(uuid(3)));
  CHECK(reply.status == 429);
  CHECK(reply.headers.get("Retry-After") == "10");
  CHECK(reply.json().at("error").at("type") == "queue_full");
  CHECK(post_prompt(rig, 8, prompt_body(uuid(3))).status == 200);
  CHECK(post_prompt(rig, 7, prompt_body(uuid(1))).status == 200);  // a repeat takes no room
  CHECK(rig.post(fmt::format("/user/7/api/jobs/{}/cancel", uuid(1))).status == 200);
  CHECK(post_prompt(rig, 7, prompt_body(uuid(3))).status == 200);
}

TEST_CASE("above the cap of the whole workshop everybody's next prompt is 429") {
  RigOptions options;
  options.workshop.admission.waiting_max = 1;
  Rig rig(options);
  rig.submit(7, uuid(1));
  CHECK(post_prompt(rig, 8, prompt_body(uuid(2))).status == 429);
}

TEST_CASE("what Python takes as JSON is taken: half of an emoji, NaN") {
  Rig rig;
  const auto with = [](std::string_view extra) {
    return prompt_body(uuid(1), "tab",
                       fmt::format(R"(,"extra_data":{{"extra_pnginfo":{{"note":{}}}}})", extra));
  };
  REQUIRE(post_prompt(rig, 7, with(R"("x\ud83d NaN")")).status == 200);
  const auto told = rig.get("/user/7/queue").json().at("queue_pending").at(0).at(3).at("extra_pnginfo");
  CHECK(text(told.at("note")) == "x\xef\xbf\xbd NaN");
  CHECK(post_prompt(rig, 8, with("NaN")).status == 200);
  CHECK(post_prompt(rig, 9, with("NaNa")).status == 400);
}

TEST_CASE("a prompt that cannot be validated is 400 with ComfyUI's words, and nothing is recorded") {
  Rig rig;
  Reply reply = post_prompt(rig, 7, R"({"client_id":"x"})");
  CHECK(reply.status == 400);
  CHECK(reply.json().at("error").at("type") == "no_prompt");
  reply = post_prompt(rig, 7, R"({"prompt":{"1":{"class_type":"Nope","inputs":{}}}})");
  CHECK(reply.status == 400);
  CHECK(reply.json().at("error").at("type") == "missing_node_type");
  CHECK(reply.json().at("error").at("extra_info").at("class_type") == "Nope");
  reply = post_prompt(rig, 7, R"({"prompt":{"1":{"class_type":"EmptyImage","inputs":{}}}})");
  CHECK(reply.json().at("error").at("type") == "prompt_no_outputs");
  reply = post_prompt(rig, 7, prompt_body(uuid(1), "", "", 0));
  CHECK(reply.status == 400);
  CHECK(reply.json().at("error").at("type") == "prompt_outputs_failed_validation");
  CHECK(reply.json().at("node_errors").at("1").at("errors").at(0).at("type") == "value_smaller_than_min");
  CHECK(post_prompt(rig, 7, "not JSON").status == 400);
  CHECK(rig.workshop->core().jobs_live() == 0);
}

TEST_CASE("before any GPU has told its nodes a prompt is 503 with a sentence") {
  RigOptions options;
  options.with_catalog = false;
  Rig rig(options);
  const Reply reply = post_prompt(rig, 7, prompt_body(uuid(1)));
  CHECK(reply.status == 503);
  CHECK(reply.headers.contains("Retry-After"));
  CHECK(reply.json().at("error").at("type") == "unavailable");
}

TEST_CASE("a prompt above the byte limit is 413, one on a full disk 507") {
  RigOptions options;
  options.face.prompt_bytes_max = 1'000;
  Rig rig(options);
  CHECK(post_prompt(rig, 7, prompt_body(uuid(1), std::string(1'000, 'x'))).status == 413);
  rig.store.set_full(true);
  const Reply reply = post_prompt(rig, 7, prompt_body(uuid(1)));
  CHECK(reply.status == 507);
  CHECK(reply.json().at("error").at("type") == "disk_full");
  rig.store.set_full(false);
  CHECK(post_prompt(rig, 7, prompt_body(uuid(1))).status == 200);
}

TEST_CASE("a prompt that comes while the workshop stops is 503 with a sentence") {
  Rig rig;
  rig.run(rig.workshop->stop(rig.runtime.now() + milliseconds{1'000}));
  const Reply reply = post_prompt(rig, 7, prompt_body(uuid(1)));
  CHECK(reply.status == 503);
  CHECK(reply.json().at("error").at("message").as_string().find("Press Run again") !=
        boost::json::string::npos);
}

TEST_CASE("extra data gets the creation time, the client and its source, and loses the secrets") {
  Rig rig;
  const std::string more =
      R"(,"extra_data":{"auth_token_comfy_org":"geheim","extra_pnginfo":{"workflow":{"id":"w1"}}})";
  const Reply reply = rig.post("/user/7/prompt", prompt_body(uuid(1), "tab", more),
                               {{"Comfy-Usage-Source", "comfyui-frontend"}});
  REQUIRE(reply.status == 200);
  const Reply queue = rig.get("/user/7/queue");
  CHECK(queue.body.find("geheim") == std::string::npos);
  const auto extra = queue.json().at("queue_pending").at(0).at(3);
  CHECK(extra.at("client_id") == "tab");
  CHECK(extra.at("create_time") == rig.runtime.wall().ms);
  CHECK(extra.at("comfy_usage_source") == "comfyui-frontend");
  CHECK(rig.get("/user/7/api/jobs").json().at("jobs").at(0).at("workflow_id") == "w1");
}

std::string load_body(int id, std::string_view image) {
  return fmt::format(
      R"({{"prompt":{{"1":{{"class_type":"LoadImage","inputs":{{"image":"{}"}}}},)"
      R"("9":{{"class_type":"SaveImage","inputs":{{"images":["1",0],"filename_prefix":"cat"}}}}}})"
      R"(,"prompt_id":"{}"}})",
      image, uuid(id));
}

TEST_CASE("a file that a prompt names is pinned by its content, and another's or a missing one is 400") {
  Rig rig;
  CHECK(post_prompt(rig, 7, load_body(1, "cat.png")).status == 400);
  CHECK(rig.upload(8, "cat.png", "picture of 8").status == 200);
  const Reply refused = post_prompt(rig, 7, load_body(1, "cat.png"));
  CHECK(refused.status == 400);
  CHECK(refused.body.find("custom_validation_failed") != std::string::npos);
  CHECK(post_prompt(rig, 7, load_body(1, "../8/input/cat.png")).status == 400);
  CHECK(rig.upload(7, "cat.png", "picture of 7").status == 200);
  CHECK(post_prompt(rig, 7, load_body(1, "cat.png")).status == 200);
  const auto& facts = rig.facts(JobId{1});
  CHECK(facts.submitted.input_count == 1);
  CHECK(facts.submitted.input_bytes == 12);
  const auto form = rig.run(rig.workshop->attachment(facts.submitted.prompt.id));
  REQUIRE(form.has_value());
  CHECK((*form)->find(sha256("picture of 7").hex()) != std::string::npos);
  CHECK((*form)->find(sha256("picture of 8").hex()) == std::string::npos);
}

std::string dataset_body(int id, std::string_view folder) {
  return fmt::format(
      R"({{"prompt":{{"1":{{"class_type":"LoadImageTextDataSetFromFolder","inputs":{{"folder":"{}"}}}},)"
      R"("9":{{"class_type":"SaveImage","inputs":{{"images":["1",0],"filename_prefix":"cat"}}}}}})"
      R"(,"prompt_id":"{}"}})",
      folder, uuid(id));
}

TEST_CASE("a folder that a prompt names is pinned with all that is in it, as it is then") {
  Rig rig;
  REQUIRE(rig.upload(8, "1.png", "picture of 8", {{"subfolder", "faces"}}).status == 200);
  const Reply refused = post_prompt(rig, 7, dataset_body(1, "faces"));
  CHECK(refused.status == 400);
  CHECK(refused.body.find("value_not_in_list") != std::string::npos);
  REQUIRE(rig.upload(7, "1.png", "picture", {{"subfolder", "faces"}}).status == 200);
  REQUIRE(rig.upload(7, "1.txt", "a face", {{"subfolder", "faces"}}).status == 200);
  REQUIRE(rig.upload(7, "1.png", "picture", {{"subfolder", "faces/2_cat"}}).status == 200);
  REQUIRE(rig.upload(7, "1.png", "picture", {{"subfolder", "faces/2_cat/deep"}}).status == 200);
  CHECK(post_prompt(rig, 7, dataset_body(1, "faces/")).status == 400);
  REQUIRE(post_prompt(rig, 7, dataset_body(1, "faces")).status == 200);
  REQUIRE(rig.upload(7, "1.txt", "another", {{"subfolder", "faces"}, {"overwrite", "true"}}).status == 200);
  const auto& facts = rig.facts(JobId{1});
  CHECK(facts.submitted.input_count == 3);
  CHECK(facts.submitted.input_bytes == 20);
  const auto form = rig.run(rig.workshop->attachment(facts.submitted.prompt.id));
  REQUIRE(form.has_value());
  const auto pin = [](std::string_view name, std::string_view bytes) {
    return fmt::format(R"({{"name":"faces/{}","type":"input","digest":"{}","size":{},"folder":"faces"}})",
                       name, sha256(bytes).hex(), bytes.size());
  };
  CHECK((*form)->find(fmt::format(R"("pins":[{},{},{}])", pin("1.png", "picture"), pin("1.txt", "a face"),
                                  pin("2_cat/1.png", "picture"))) != std::string::npos);
}

TEST_CASE("the accepted form tells jobs of one participant from those of another") {
  Rig rig;
  std::vector<std::string> owners;
  for (const int participant : {7, 7, 8}) {
    REQUIRE(post_prompt(rig, participant, prompt_body(uuid(participant + static_cast<int>(owners.size()))))
                .status == 200);
    const JobId job{owners.size() + 1};
    const auto form = rig.run(rig.workshop->attachment(rig.facts(job).submitted.prompt.id));
    REQUIRE(form.has_value());
    const auto parsed = comfy::Json::parse(**form);
    REQUIRE(parsed);
    owners.emplace_back(parsed->object().at("owner").as_string());
  }
  CHECK(owners[0] == owners[1]);
  CHECK(owners[0] != owners[2]);
}

TEST_CASE("folders count as all their files against the most that a prompt may name") {
  Rig rig;
  const auto fill = [&](std::string_view folder, int count) {
    for (int i = 0; i < count; ++i) {
      const auto name = fmt::format("{}.png", i);
      REQUIRE(rig.upload(7, name, "x", {{"subfolder", std::string(folder)}}).status == 200);
    }
  };
  fill("many", 990);
  fill("ten", 10);
  const auto both = [](int id) {
    std::string body = dataset_body(id, "many");
    const std::string_view second =
        R"("2":{"class_type":"LoadImageTextDataSetFromFolder","inputs":{"folder":"ten"}},)"
        R"("8":{"class_type":"SaveImage","inputs":{"images":["2",0],"filename_prefix":"x"}},)";
    return body.insert(body.find(R"("9":)"), second);
  };
  CHECK(post_prompt(rig, 7, both(1)).status == 200);
  fill("ten/more", 1);
  const Reply refused = post_prompt(rig, 7, both(2));
  CHECK(refused.status == 413);
  CHECK(refused.body.find("names more than 1000 files") != std::string::npos);
  fill("many/more", 11);
  CHECK(post_prompt(rig, 7, dataset_body(3, "many")).status == 413);
}

TEST_CASE("files whose names would not fit into a lease are refused") {
  Rig rig;
  const std::string folder(250, 'f');
  for (int i = 0; i < 900; ++i) {
    const std::string name = fmt::format("{:0>240}.png", i);
    REQUIRE(rig.upload(7, name, "x", {{"subfolder", folder}}).status == 200);
  }
  const Reply refused = post_prompt(rig, 7, dataset_body(1, folder));
  CHECK(refused.status == 413);
  CHECK(refused.body.find("too long in all") != std::string::npos);
}

TEST_CASE("a repeat is answered as the first time also when its file is gone by now") {
  Rig rig;
  REQUIRE(rig.upload(7, "cat.png", "picture").status == 200);
  const Reply first = post_prompt(rig, 7, load_body(1, "cat.png"));
  REQUIRE(first.status == 200);
  REQUIRE(rig.files->participants().remove(ParticipantId{7}, files::FolderType::input, "", "cat.png"));
  CHECK(post_prompt(rig, 7, load_body(1, "cat.png")).body == first.body);
}

TEST_CASE("two identical prompts at once make one job with one answer") {
  Rig rig;
  rig.store.commit_latency = milliseconds{50};
  const std::string text = prompt_body(uuid(1));
  std::vector<std::string> answers;
  const auto ask = [&]() -> awaitable<void> {
    net::StringReader reader(text);
    net::Request request;
    request.method = net::Method::post;
    request.target = "/user/7/prompt";
    request.host = "localhost";
    request.content_length = text.size();
    request.body = &reader;
    net::Response response = co_await rig.gateway->handle(request);
    answers.push_back(fmt::format("{} {}", response.status, std::get<std::string>(response.body)));
  };
  asio::co_spawn(rig.runtime.executor(), ask(), asio::detached);
  asio::co_spawn(rig.runtime.executor(), ask(), asio::detached);
  rig.runtime.advance(milliseconds{1'000});
  REQUIRE(answers.size() == 2);
  CHECK(answers[0] == answers[1]);
  CHECK(answers[0].starts_with("200 "));
  CHECK(rig.workshop->core().jobs_live() == 1);
}

}  // namespace
}  // namespace atelier::gateway::test
