// SPDX-License-Identifier: MIT
// The parts of the agent that only turn text into text.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "agent/agent.hpp"
#include "agent/engine_answers.hpp"
#include "agent/json_text.hpp"
#include "agent/own_names.hpp"
#include "agent/prepare.hpp"
#include "comfy/json.hpp"

namespace atelier::agent {

TEST_CASE("a run is found in the queue, an earlier life's runs by their client") {
  const std::string queue = R"({"queue_running":[[1,"run-a",{},{"client_id":"atelier-gpu-1-x"},["9"]]],
      "queue_pending":[[2,"run-b",{},{"client_id":"somebody"},["9"]],[3,"run-c",{},{},["9"]]]})";
  CHECK(*find_in_queue(queue, "run-a") == RunPlace::running);
  CHECK(*find_in_queue(queue, "run-b") == RunPlace::pending);
  CHECK(*find_in_queue(queue, "run-d") == RunPlace::absent);
  CHECK(*runs_of(queue, "atelier-gpu-1-") == std::vector<std::string>{"run-a"});
  CHECK_FALSE(find_in_queue("{}", "run-a"));
  CHECK_FALSE(find_in_queue("nonsense", "run-a"));
}

TEST_CASE("an engine's models are read with what it tells of them, whatever else its answers hold") {
  const auto folders = read_model_folders(R"([{"name":"checkpoints","folders":["/x"]},{"name":7},3])");
  REQUIRE(folders);
  CHECK(*folders == std::vector<std::string>{"checkpoints"});
  CHECK(*read_model_folders(
            R"(["loras","custom_nodes","configs","../x","a/b",".","loras","unet","ipadapter"])") ==
        std::vector<std::string>{"loras", "ipadapter"});
  CHECK_FALSE(read_model_folders(R"({"error":"no such route"})"));
  comfy::ModelLists lists;
  CHECK(read_models(R"([{"name":"a.safetensors","pathIndex":0,"size":5,"modified":1.5,"created":2},
                        {"name":"sub/b.pt","size":7},{"name":"a.safetensors","size":3},{"size":9},null,
                        {"name":"../up.pt","size":1},{"name":"/etc/x.pt"},{"name":"line\nfeed.pt"},7])",
                    "loras", lists));
  CHECK(read_models(R"(["b.pt","sub/b.pt"])", "vae", lists));
  CHECK(read_models("[]", "ipadapter", lists));
  comfy::ModelLists expected;
  expected.add("loras", "a.safetensors", {5, 1.5, 2});
  expected.add("loras", "sub/b.pt", {7, 0, 0});
  expected.add("vae", "b.pt", {});
  expected.add("vae", "sub/b.pt", {});
  expected.add("ipadapter");
  CHECK(lists == expected);
  CHECK_FALSE(read_models("{}", "loras", lists));
  lists.add("vae", "a.safetensors", {6, 0, 0});
  CHECK(print_model_sizes(lists) == R"({"a.safetensors":6,"sub/b.pt":7})");
}

TEST_CASE("the length of an engine's queue is read") {
  CHECK(read_queue_remaining(R"({"exec_info":{"queue_remaining":3}})") == 3u);
  CHECK_FALSE(read_queue_remaining(R"({"exec_info":{}})"));
  CHECK_FALSE(read_queue_remaining("[]"));
}

TEST_CASE("an engine's limit for uploads is read, if it says one") {
  CHECK(read_upload_limit(R"({"max_upload_size":104857600})") == 104'857'600u);
  CHECK_FALSE(read_upload_limit(R"({"max_upload_size":"much"})"));
  CHECK_FALSE(read_upload_limit(R"({"max_upload_size":0})"));  // --max-upload-size 0: none
  CHECK_FALSE(read_upload_limit("{}"));
  CHECK_FALSE(read_upload_limit("404: Not Found"));
}

TEST_CASE("history tells outcome, time and outputs") {
  const std::string history =
      R"({"r":{"prompt":[1,"r",{},{},[]],"outputs":{"9":{"images":[]}},"status":{"status_str":"error","completed":false,
      "messages":[["execution_start",{"prompt_id":"r","timestamp":1000}],["execution_interrupted",{"prompt_id":"r","timestamp":1250}]]},"meta":{"9":{}}}})";
  auto read = read_history(history, "r");
  REQUIRE(read);
  REQUIRE(*read);
  CHECK((*read)->outcome == link::Outcome::cancelled);
  CHECK((*read)->gpu_ms == 250);
  CHECK((*read)->event.find("execution_interrupted") != std::string::npos);
  CHECK((*read)->report.find("\"prompt\"") == std::string::npos);
  REQUIRE((*read)->outputs.size() == 1);
  CHECK((*read)->outputs[0].first == "9");
  CHECK_FALSE(*read_history("{}", "r"));
}

TEST_CASE("a history that only Python can write is read all the same") {
  const auto read = read_history(
      R"({"r":{"outputs":{"9":{"value":[NaN,-Infinity],"text":["a\udcff"]}},"status":{"status_str":"success","messages":[]}}})",
      "r");
  REQUIRE(read);
  REQUIRE((*read)->outputs.size() == 1);
  CHECK((*read)->outputs[0].second ==
        "{\"value\":[null,-1.7976931348623157e+308],\"text\":[\"a\xef\xbf\xbd\"]}");
}

TEST_CASE("the files of a folder stay together under their names, in a folder of this very content") {
  const auto in_faces = [](std::string_view name, std::string_view bytes) {
    return link::InputRef{fmt::format("a/faces/{}", name), link::FileType::input, sha256(bytes), bytes.size(),
                          "a/faces"};
  };
  const auto folder_of = [](const std::vector<link::InputRef>& inputs) {
    return places_of(inputs).names.at({comfy::FileType::input, "a/faces/"});
  };
  std::vector<link::InputRef> inputs{in_faces("1.png", "one"), in_faces("10_cat/1.txt", "a cat")};
  inputs.push_back({"a/faces/1.png", link::FileType::input, sha256("one"), 3});  // and by itself
  inputs.push_back({"o.png", link::FileType::output, sha256("out"), 3, "elsewhere"});
  const InputPlaces places = places_of(inputs);
  const std::string folder = folder_of(inputs);
  CHECK(folder.starts_with("a/"));
  CHECK(folder.ends_with("-faces"));
  CHECK(folder.size() == std::string_view("a/-faces").size() + 16);
  const std::string alone = comfy::worker_input_name("a/faces/1.png", sha256("one"));
  const std::string output = comfy::worker_input_name("o.png", sha256("out"));
  CHECK(places.paths == std::vector<std::string>{folder + "/1.png", folder + "/10_cat/1.txt", alone, output});
  CHECK(places.names == comfy::WorkerNames{{{comfy::FileType::input, "a/faces/"}, folder},
                                           {{comfy::FileType::input, "a/faces/1.png"}, alone},
                                           {{comfy::FileType::output, "o.png"}, output}});
  CHECK(folder_of({inputs[1], inputs[0]}) == folder);  // whatever their order
  CHECK(folder_of({inputs[0]}) != folder);
  CHECK(folder_of({inputs[0], in_faces("10_cat/1.txt", "a dog")}) != folder);
  CHECK(folder_of({inputs[0], in_faces("10_cat/2.txt", "a cat")}) != folder);
}

TEST_CASE("the posted prompt is rewritten, under the run id and the agent's own client") {
  auto info = comfy::ObjectInfo::parse(R"({
      "LoadImage":{"name":"LoadImage","input":{"required":{"image":[["a.png"],{"image_upload":true}]}},"output":["IMAGE"],"output_node":false},
      "SaveImage":{"name":"SaveImage","input":{"required":{"images":["IMAGE"],"filename_prefix":["STRING",{"default":"ComfyUI"}]}},"output":[],"output_node":true}})");
  REQUIRE(info);
  link::Lease lease;
  lease.job = JobId{12};
  lease.epoch = Epoch{3};
  lease.run_id = Key128{1, 2};
  lease.preview_method = "auto";
  const Digest digest = sha256("bytes");
  const std::string worker_name = comfy::worker_input_name("sub/a.png", digest);
  comfy::WorkerNames names;
  names[{comfy::FileType::input, "sub/a.png"}] = worker_name;
  auto prepared = prepare_prompt(
      R"({"prompt":{"1":{"class_type":"LoadImage","inputs":{"image":"sub/a.png","many":["a","b","c"]}},
      "2":{"class_type":"SaveImage","inputs":{"images":["1",0],"filename_prefix":"trip/a"}}},
      "extra_data":{"client_id":"browser","create_time":5,"extra_pnginfo":{"workflow":{"id":"w"}}},
      "outputs":["2"],"node_errors":{}})",
      *info, names, lease, "atelier-gpu-1-x");
  REQUIRE(prepared);
  auto body = comfy::Json::parse(prepared->body);
  REQUIRE(body);
  CHECK(prepared->body.find("\"image\":\"" + worker_name + "\"") != std::string::npos);
  CHECK(prepared->body.find("atelier/12-3/trip/a") != std::string::npos);
  CHECK(prepared->body.find("\"prompt_id\":\"" + lease.run_id.uuid() + "\"") != std::string::npos);
  CHECK(prepared->body.find("\"client_id\":\"atelier-gpu-1-x\"") != std::string::npos);
  CHECK(prepared->body.find("browser") == std::string::npos);
  CHECK(prepared->body.find("\"partial_execution_targets\":[\"2\"]") != std::string::npos);
  CHECK(prepared->body.find("\"workflow\":{\"id\":\"w\"}") != std::string::npos);
  CHECK(prepared->body.find("\"preview_method\":\"auto\"") != std::string::npos);
  CHECK(prepared->body.find(R"("many":{"__value__":["a","b","c"]})") != std::string::npos);
  const auto with_names = [](std::string_view image, std::string_view prefix) {
    return fmt::format(
        R"({{"1": {{"class_type": "LoadImage", "inputs": {{"image": "{}", "many": ["a", "b", "c"]}}}}, )"
        R"("2": {{"class_type": "SaveImage", "inputs": {{"images": ["1", 0], "filename_prefix": "{}"}}}}}})",
        image, prefix);
  };
  CHECK(prepared->texts.workflow == R"({"id": "w"})");
  CHECK(prepared->texts.own == with_names("sub/a.png", "trip/a"));
  CHECK(prepared->texts.posted == with_names(worker_name, "atelier/12-3/trip/a"));
  CHECK(prepared->texts.workflow == "{\"id\": \"w\"}");
  CHECK_FALSE(prepare_prompt("{}", *info, names, lease, "c"));
  CHECK_FALSE(prepare_prompt("[]", *info, names, lease, "c"));
}

TEST_CASE("by its address alone a ComfyUI gets no prompt whose files nobody would name") {
  const auto info = comfy::ObjectInfo::parse("{}");
  REQUIRE(info);
  const auto prepared = [&](std::string_view outputs, bool by_address) {
    const std::string form = fmt::format(R"({{"prompt":{{"1":{{"class_type":"SaveImage","inputs":{{}}}},)"
                                         R"("2":{{"class_type":"SaveLoRA","inputs":{{}}}}}},"outputs":{}}})",
                                         outputs);
    return prepare_prompt(form, *info, {}, link::Lease{}, "c", by_address);
  };
  CHECK(prepared("[]", false));
  CHECK(prepared(R"(["1"])", true));
  for (const char* outputs : {"[]", R"(["1","2"])"}) {
    const auto refused = prepared(outputs, true);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::bad_prompt);
    CHECK(refused.error().what.starts_with("SaveLoRA does not say which files it saves"));
  }
}

TEST_CASE("equal graphs of two owners are posted so that a cache keeps their prompts' texts apart") {
  const auto info = comfy::ObjectInfo::parse(R"({
      "Show":{"input":{"required":{"text":["STRING",{}]},"hidden":{"workflow":"EXTRA_PNGINFO"}},"output":[],"output_node":true}})");
  REQUIRE(info);
  link::Lease lease;
  lease.job = JobId{12};
  lease.epoch = Epoch{3};
  const auto of = [&](std::string_view owner) {
    return *prepare_prompt(
        fmt::format(R"({{"prompt":{{"1":{{"class_type":"Show","inputs":{{"text":"a"}}}}}}{}}})", owner),
        *info, {}, lease, "c");
  };
  const Prepared ada = of(R"(,"owner":"ada")"), nobody = of("");
  CHECK(ada.body == of(R"(,"owner":"ada")").body);
  CHECK(ada.body != of(R"(,"owner":"ben")").body);
  CHECK(ada.texts.own == R"({"1": {"class_type": "Show", "inputs": {"text": "a"}}})");
  CHECK(nobody.texts.posted == ada.texts.own);
  CHECK(ada.texts.posted != ada.texts.own);
  CHECK(comfy::own_prompt_text(ada.texts, ada.texts.posted) == ada.texts.own);
  CHECK(OwnNames(lease).restore(ada.texts.posted) == ada.texts.own);
}

TEST_CASE("a text that is too long is shortened inside its strings, at whole characters") {
  CHECK(*shorten_json("not json", 100) == "not json");
  std::string umlauts;
  for (int i = 0; i < 50'000; ++i) umlauts += "\xc3\xa4";
  const std::string text = fmt::format(R"({{"keep":"x","long":"{}","list":["{}"]}})", umlauts, umlauts);
  auto shorter = shorten_json(text, 50'000);
  REQUIRE(shorter);
  CHECK(shorter->size() <= 50'000);
  CHECK(comfy::Json::parse(*shorter));
  CHECK(shorter->find("\"keep\":\"x\"") != std::string::npos);
  CHECK(shorter->find("bytes left out") != std::string::npos);
  CHECK_FALSE(shorten_json(std::string(200, 'x'), 100));
  CHECK_FALSE(shorten_json("[" + std::string(3000, ' ') + std::string(1000, '1') + "]", 100));
}

TEST_CASE("the blob address may be relative to the join address") {
  const net::Url join = *net::parse_url("http://10.0.0.1:8080/atelier/");
  CHECK(resolve_blob_url(join, "/worker")->target == "/atelier/worker");
  CHECK(resolve_blob_url(join, "worker")->target == "/atelier/worker");
  CHECK(resolve_blob_url(join, "http://10.0.0.2:9000/w")->authority() == "10.0.0.2:9000");
}

TEST_CASE("a worker's name is plain") {
  CHECK(is_worker_name("gpu-1.b_C"));
  CHECK_FALSE(is_worker_name(""));
  CHECK_FALSE(is_worker_name("a b"));
  CHECK_FALSE(is_worker_name(std::string(65, 'a')));
}

}  // namespace atelier::agent
