// SPDX-License-Identifier: MIT
// Names, texts, frames, queries: small tables.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <boost/json.hpp>
#include <random>

#include "comfy/history.hpp"
#include "comfy/messages.hpp"
#include "comfy/output_name.hpp"
#include "comfy/prompt_graph.hpp"
#include "comfy/python_text.hpp"
#include "comfy/rewrite.hpp"
#include "fixtures.hpp"

namespace atelier::comfy {

namespace json = boost::json;

TEST_CASE("an output name is split as the regular expression does it") {
  struct Row {
    const char* name;
    const char* stem;
    int number;  // -1: none
    const char* rest;
  };
  for (const Row& row :
       {Row{"a_00012_.png", "a", 12, "_.png"}, Row{"ComfyUI_00001.mp4", "ComfyUI", 1, ".mp4"},
        Row{"a_b_123456_.webp", "a_b", 123456, "_.webp"}, Row{"a_1234_.png", "a_1234_.png", -1, ""},
        Row{"a_1234567890_.png", "a_1234567890_.png", -1, ""}, Row{"a_999999999", "a", 999999999, ""},
        Row{"_00001_", "", 1, "_"}, Row{"a_00001_00002_.png", "a_00001", 2, "_.png"},
        Row{"a_00001_.p00002", "a", 1, "_.p00002"}, Row{"a_00001.x_00002", "a_00001.x", 2, ""},
        Row{"a_00001_.3.png", "a_00001_.3.png", -1, ""}, Row{"a_00001_.x.png", "a", 1, "_.x.png"},
        Row{"a_00001_2.png", "a_00001_2.png", -1, ""}, Row{"a00001_.png", "a00001_.png", -1, ""},
        Row{"", "", -1, ""}, Row{"a_00001_.png.7", "a", 1, "_.png.7"},
        Row{"clip_00003-audio.mp4", "clip", 3, "-audio.mp4"}}) {
    CAPTURE(row.name);
    const OutputName name = split_output_name(row.name);
    CHECK(name.stem == row.stem);
    CHECK(name.rest == row.rest);
    CHECK((name.number ? static_cast<int>(*name.number) : -1) == row.number);
  }
  CHECK(compose_output_name("a", 12, "_.png") == "a_00012_.png");
  CHECK(compose_output_name("a", 123456, ".png") == "a_123456.png");
  CHECK(copy_name("cat.png", 2) == "cat (2).png");
  CHECK(copy_name("sub.d/.hidden", 1) == "sub.d/.hidden (1)");
  CHECK(copy_name("a.tar.gz", 1) == "a.tar (1).gz");
  CHECK(copy_name("cat.png", 0) == "cat.png");
}

TEST_CASE("paths are normalised as Python's normpath does it") {
  const char* rows[][2] = {{"", "."},         {".", "."},          {"a//b/./c/..", "a/b"}, {"../a", "../a"},
                           {"a/../..", ".."}, {"/..", "/"},        {"//a", "//a"},         {"///a", "/a"},
                           {"a/", "a"},       {"a/../b/../", "."}, {"/a/../..", "/"}};
  for (const auto& [given, want] : rows) CHECK(normal_path(given) == want);
  CHECK(stays_inside("a/../b"));
  CHECK(!stays_inside("a/../../b"));
  CHECK(!stays_inside("/a"));
}

TEST_CASE("annotations are cut as ComfyUI cuts them") {
  CHECK(split_annotation("sub/x.png [output]").name == "sub/x.png");
  CHECK(split_annotation("sub/x.png [output]").type == FileType::output);
  CHECK(split_annotation("x.pngX[temp]").name == "x.png");
  CHECK(split_annotation("b.png \xf0\x9f\x98\x80[temp]").name == "b.png ");
  CHECK(split_annotation("[input]").name.empty());
  CHECK(!split_annotation("x [outputs]").type.has_value());
  CHECK(content_kind_of("a.PNG") == ContentKind::image);
  CHECK(content_kind_of("a.glb") == ContentKind::model3d);
  CHECK(content_kind_of("noext") == ContentKind::other);
}

TEST_CASE("floats, lists and texts are printed as Python prints them") {
  struct Row {
    double value;
    const char* text;
  };
  for (const Row& row : {Row{1, "1.0"}, Row{0.1, "0.1"}, Row{1e16, "1e+16"}, Row{1e15, "1000000000000000.0"},
                         Row{1e-5, "1e-05"}, Row{0.0001, "0.0001"}, Row{-0.0, "-0.0"},
                         Row{123456789012345680.0, "1.2345678901234568e+17"}, Row{5e-324, "5e-324"}})
    CHECK(python_float_repr(row.value) == row.text);
  const auto value = fixtures::read(R"({"a":[1,1.5,true,null,"it's","\u00e9\n\u0001"],"b":{}})");
  CHECK(python_repr(value) == "{'a': [1, 1.5, True, None, \"it's\", 'é\\n\\x01'], 'b': {}}");
  CHECK(python_json_dumps(value) ==
        "{\"a\": [1, 1.5, true, null, \"it's\", \"\\u00e9\\n\\u0001\"], \"b\": {}}");
  CHECK(python_json_dumps(fixtures::read(R"("\ud83d\ude00\u007f/")")) == "\"\\ud83d\\ude00\\u007f/\"");
  CHECK(print_json(fixtures::read("[1.0,1e-7,18446744073709551615,\"\\u00e9\"]")) ==
        "[1.0,1e-07,18446744073709551615,\"é\"]");
}

TEST_CASE("JSON above its limits is refused before it costs anything") {
  CHECK(Json::parse(std::string(100, '['), {.bytes_max = 1000, .depth_max = 64}).error().code ==
        atelier::Errc::too_large);
  CHECK(Json::parse("[1]", {.bytes_max = 2}).error().code == atelier::Errc::too_large);
  for (const char* bad : {"", "NaN", "[1,]", "{\"a\":1", "\"\\ud800\"", "\"\xff\"", "1e999", "-1e400",
                          "[Infinity]", "\xef\xbb\xbf{}", "nul", "1 2"}) {
    CAPTURE(bad);
    CHECK(!Json::parse(bad).has_value());
  }
  CHECK(Json::parse(R"({"a":1,"a":2})")->object().at("a") == 2);
  CHECK(Json::parse(R"("a\u0000b")").has_value());
}

TEST_CASE("a prompt body is refused with a reason that a person can read") {
  struct Row {
    std::string body;
    const char* type;
  };
  const PromptLimits limits{.bytes_max = 200, .depth_max = 8, .nodes_max = 2};
  for (const Row& row :
       {Row{"{nope", "invalid_json"}, Row{"[]", "invalid_request"}, Row{R"({"prompt":[]})", "invalid_prompt"},
        Row{R"({"prompt":{"1":3}})", "invalid_prompt"},
        Row{R"({"prompt":{},"number":"x"})", "invalid_number"},
        Row{R"({"prompt":{},"extra_data":3})", "invalid_extra_data"},
        Row{R"({"prompt":{"1":{},"2":{},"3":{}}})", "prompt_too_large"},
        Row{std::string(201, ' '), "prompt_too_large"},
        Row{R"({"prompt":{"1":[[[[[[[[]]]]]]]]}})", "prompt_too_large"},
        Row{R"({"prompt":{},"prompt_id":""})", "invalid_prompt_id"},
        Row{R"({"prompt":{},"partial_execution_targets":"1"})", "invalid_partial_execution_targets"}}) {
    CAPTURE(row.body);
    const auto refused = parse_prompt_request(row.body, limits);
    REQUIRE(!refused.has_value());
    CHECK(refused.error().type == row.type);
    CHECK((refused.error().code == atelier::Errc::too_large) == (refused.error().type == "prompt_too_large"));
  }
}

TEST_CASE("a prompt body is read whole") {
  auto request = fixtures::request(
      "{}",
      R"(,"prompt_id":17,"client_id":"me","front":1,"number":"2.5","extra_data":{"auth_token_comfy_org":"s","api_key_comfy_org":"k","extra_pnginfo":{"workflow":{"id":"w"}}})");
  CHECK(request.prompt_id == "17");
  CHECK(request.client_id == "me");
  CHECK(request.front);
  CHECK(request.number == 2.5);
  CHECK(request.workflow_id() == "w");
  request.set_create_time(12);
  CHECK(request.extra_data.value() ==
        fixtures::read(R"({"extra_pnginfo":{"workflow":{"id":"w"}},"client_id":"me","create_time":12})"));
  CHECK(request.secrets.object().size() == 2);
  CHECK(!fixtures::request("{}", R"(,"prompt_id":null)").prompt_id.has_value());
}

TEST_CASE("binary frames are what the front end decodes") {
  CHECK(encode_preview(ImageFormat::png, "ab") == std::string("\0\0\0\1\0\0\0\2ab", 10));
  CHECK(encode_text("7", "hi") == std::string("\0\0\0\3\0\0\0\1"
                                              "7hi",
                                              11));
  PreviewMetadata metadata{.node_id = "7",
                           .prompt_id = "run",
                           .display_node_id = "7",
                           .real_node_id = "7",
                           .parent_node_id = {},
                           .format = ImageFormat::png};
  const std::string frame = encode_preview_with_metadata(preview_metadata_json(metadata), "ab");
  CHECK(*to_legacy_preview(frame) == encode_preview(ImageFormat::png, "ab"));
  CHECK(*prompt_id_of_frame(frame) == "run");
  const auto other = frame_with_prompt_id(frame, "mine");
  CHECK(*prompt_id_of_frame(*other) == "mine");
  CHECK(decode_frame(*other)->payload == "ab");
  CHECK(decode_frame(encode_text("7", "hi"))->node == "7");
  CHECK(decode_frame(std::string("\0\0\0\2xxxx", 8)).error().code == atelier::Errc::protocol);
  CHECK(decode_frame(std::string("\0\0\0\4\0\0\0\x9x", 9)).error().code == atelier::Errc::protocol);
}

TEST_CASE("a frame is a node's result if it is of kind 1 or a PNG, whatever its node is called") {
  PreviewMetadata metadata{.node_id = "\"image_type\": \"image/png\"",
                           .prompt_id = "run",
                           .display_node_id = "image/png",
                           .real_node_id = "7",
                           .parent_node_id = {},
                           .format = ImageFormat::jpeg};
  const auto is_result = [](const std::string& frame) { return decode_frame(frame)->is_result(); };
  CHECK_FALSE(is_result(encode_preview_with_metadata(preview_metadata_json(metadata), "ab")));
  CHECK_FALSE(is_result(encode_preview_with_metadata("{}", "ab")));
  CHECK_FALSE(is_result(encode_text("7", "hi")));
  metadata.format = ImageFormat::png;
  CHECK(is_result(encode_preview_with_metadata(preview_metadata_json(metadata), "ab")));
  CHECK(is_result(
      encode_preview_with_metadata(R"({"image_type": "image/png"})", "ab")));  // as Python prints it
  CHECK(is_result(encode_preview(ImageFormat::png, "ab")));
  CHECK(is_result(encode_preview(ImageFormat::jpeg, "ab")));
}

TEST_CASE("events keep what they do not know and change their prompt_id everywhere") {
  auto event = parse_event(
      R"({"type":"progress_state","data":{"prompt_id":"run","new":1,"nodes":{"1":{"prompt_id":"run","node_id":"1"}}},"more":2})");
  REQUIRE(event.has_value());
  event->set_prompt_id("mine");
  CHECK(
      event->print() ==
      R"({"type":"progress_state","data":{"prompt_id":"mine","new":1,"nodes":{"1":{"prompt_id":"mine","node_id":"1"}}}})");
  CHECK(parse_event(executing_end_message("p"))->ends_prompt());
  CHECK(!parse_event(executing_message("p", "1", "1"))->ends_prompt());
  CHECK(parse_event(progress_message("p", "1", 3, 20))->print() ==
        R"({"type":"progress","data":{"value":3,"max":20,"prompt_id":"p","node":"1"}})");
}

TEST_CASE("the list of jobs is filtered, sorted and cut as ComfyUI does it") {
  std::vector<JobEntry> jobs(5);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    jobs[i].id = std::string(1, static_cast<char>('a' + i));
    jobs[i].create_time = i < 2 ? 10 : 20;
    jobs[i].status = i == 4 ? JobsStatus::cancelled : JobsStatus::completed;
  }
  const auto ids = [&](const std::vector<std::pair<std::string, std::string>>& parameters) {
    std::string out;
    const auto answer = fixtures::read(jobs_answer(jobs, parse_jobs_query(parameters).value()));
    for (const auto& job : answer.at("jobs").as_array()) out += std::string_view(job.at("id").as_string());
    const auto& page = answer.at("pagination");
    return fmt::format("{} {} {}", out, page.at("total").as_int64(), page.at("has_more").as_bool());
  };
  CHECK(ids({}) == "cdeab 5 false");
  CHECK(ids({{"sort_order", "ASC"}}) == "abcde 5 false");
  CHECK(ids({{"limit", "2"}, {"offset", "1"}}) == "de 5 true");
  CHECK(ids({{"offset", "9"}}) == " 5 false");
  CHECK(ids({{"offset", "-9"}, {"limit", "99999999999999999999"}}) == "cdeab 5 false");
  CHECK(ids({{"status", " Cancelled , failed"}}) == "e 1 false");
  CHECK(ids({{"status", ","}}) == " 0 false");
  CHECK(fixtures::read(jobs_answer({}, {})).at("pagination").at("limit").is_null());
}

TEST_CASE("outputs are counted and previewed as ComfyUI does it") {
  const auto of = [](const char* text) {
    const auto value = fixtures::read(text);
    const auto summary = summarise_outputs(value.as_object());
    return fmt::format("{} {} {}", summary.count, summary.previewable_count,
                       summary.preview ? summary.preview->print() : "-");
  };
  CHECK(of("{}") == "0 0 -");
  CHECK(
      of(R"({"3":{"images":[{"filename":"a","type":"temp"},{"filename":"b","type":"output"}],"animated":[true]}})") ==
      R"(2 2 {"filename":"b","type":"output","nodeId":"3","mediaType":"images"})");
  CHECK(of(R"({"3":{"text":["hello"]}})") == R"(1 1 {"content":"hello","nodeId":"3","mediaType":"text"})");
  CHECK(of(R"({"3":{"latents":[{"filename":"a.latent","type":"output"}],"result":["m.GLB",null,3]}})") ==
        R"(2 1 {"filename":"m.GLB","type":"output","subfolder":"","mediaType":"3d","nodeId":"3"})");
}

TEST_CASE("numbers are echoed as ints of the server and floats of the client") {
  CHECK(QueueNumber{7, false}.print() == "7");
  CHECK(QueueNumber{-0.0, false}.print() == "0");
  CHECK(QueueNumber{7, true}.print() == "7.0");
  CHECK(QueueNumber{-1.5, true}.print() == "-1.5");
}

TEST_CASE("the agent's rewriting moves files and prefixes and nothing else") {
  auto prompt = fixtures::read(R"({
    "1":{"class_type":"LoadImage","inputs":{"image":"sub/a.png [output]"}},
    "2":{"class_type":"SaveImage","inputs":{"images":["1",0],"filename_prefix":"x/y"}},
    "3":{"class_type":"OptionalPrefix","inputs":{"images":["1",0]}},
    "4":{"class_type":"SaveImage","inputs":{"images":["1",0],"filename_prefix":["9",0]}},
    "5":{"class_type":"Load3D","inputs":{"model_file":"3d/cup.glb","image":{"image":"threed/s.png [temp]","camera":{}}}},
    "6":{"class_type":"Any","inputs":{"text":"b.png","many":["a","b","c"]}},
    "7":{"class_type":"Unknown","inputs":{"image":"sub/a.png [output]","filename_prefix":"z"}}})");
  const FileLookup exists = [](FileType, std::string_view name) { return name == "b.png"; };
  const auto files = input_files_of(PromptGraph(prompt.as_object(), fixtures::catalog()), exists);
  std::vector<std::string> seen;
  WorkerNames names;
  for (const auto& file : files) {
    seen.push_back(
        fmt::format("{}.{}{} {}:{}", file.node, file.input, file.pointer, to_string(file.type), file.name));
    names[{file.type, file.name}] = worker_input_name(file.name, atelier::sha256("x"));
  }
  CHECK(seen == std::vector<std::string>{"1.image output:sub/a.png", "5.model_file input:3d/cup.glb",
                                         "5.image/image temp:threed/s.png", "6.text input:b.png"});
  rewrite(prompt.as_object(), fixtures::catalog(), names, atelier::JobId{12}, atelier::Epoch{3});
  const std::string hash = atelier::sha256("x").hex().substr(0, 16);
  CHECK(prompt == fixtures::read(fmt::format(R"({{
    "1":{{"class_type":"LoadImage","inputs":{{"image":"sub/{0}-a.png"}}}},
    "2":{{"class_type":"SaveImage","inputs":{{"images":["1",0],"filename_prefix":"atelier/12-3/x/y"}}}},
    "3":{{"class_type":"OptionalPrefix","inputs":{{"images":["1",0],"filename_prefix":"atelier/12-3/video/clip"}}}},
    "4":{{"class_type":"SaveImage","inputs":{{"images":["1",0],"filename_prefix":["9",0]}}}},
    "5":{{"class_type":"Load3D","inputs":{{"model_file":"3d/{0}-cup.glb","image":{{"image":"threed/{0}-s.png","camera":{{}}}}}}}},
    "6":{{"class_type":"Any","inputs":{{"text":"{0}-b.png","many":{{"__value__":["a","b","c"]}}}}}},
    "7":{{"class_type":"Unknown","inputs":{{"image":"sub/a.png [output]","filename_prefix":"z"}}}}}})",
                                             hash)));
}

TEST_CASE("the folder of a dataset and the file of a latent are found, and written as the worker has them") {
  const auto info = ObjectInfo::parse(
      R"({"LoadImageDataSetFromFolder":{"input":{"required":{"folder":["COMBO",{"options":[]}]}}},
      "LoadLatent":{"input":{"required":{"latent":[[]]}}},
      "LoadImage":{"input":{"required":{"image":[[],{"image_upload":true}]}}}})");
  REQUIRE(info.has_value());
  auto prompt = fixtures::read(R"({
    "1":{"class_type":"LoadImageDataSetFromFolder","inputs":{"folder":"a/faces"}},
    "2":{"class_type":"LoadImageDataSetFromFolder","inputs":{"folder":"../faces"}},
    "3":{"class_type":"LoadImageDataSetFromFolder","inputs":{"folder":["9",0]}},
    "4":{"class_type":"LoadLatent","inputs":{"latent":"x.latent"}},
    "5":{"class_type":"LoadImage","inputs":{"image":"a/faces/"}},
    "6":{"class_type":"LoadImage","inputs":{"image":"a/faces/ [input]"}}})");
  const FileLookup all = [](FileType, std::string_view) { return true; };
  const auto found = input_files_of(PromptGraph(prompt.as_object(), *info), all);
  REQUIRE(found.size() == 2);
  CHECK(found[0] == InputFile{"1", "folder", "", "a/faces", "a/faces/", FileType::input});
  CHECK(found[1] == InputFile{"4", "latent", "", "x.latent", "x.latent", FileType::input});
  const WorkerNames names{{{FileType::input, "a/faces/"}, "a/12-faces"},
                          {{FileType::input, "x.latent"}, "34-x.latent"}};
  rewrite(prompt.as_object(), *info, names, atelier::JobId{12}, atelier::Epoch{3});
  CHECK(prompt == fixtures::read(R"({
    "1":{"class_type":"LoadImageDataSetFromFolder","inputs":{"folder":"a/12-faces"}},
    "2":{"class_type":"LoadImageDataSetFromFolder","inputs":{"folder":"../faces"}},
    "3":{"class_type":"LoadImageDataSetFromFolder","inputs":{"folder":["9",0]}},
    "4":{"class_type":"LoadLatent","inputs":{"latent":"34-x.latent"}},
    "5":{"class_type":"LoadImage","inputs":{"image":"a/faces/"}},
    "6":{"class_type":"LoadImage","inputs":{"image":"a/faces/ [input]"}}})"));
}

TEST_CASE("the folders that dataset nodes write and read lie in the job's own, wherever they lead") {
  const auto info = ObjectInfo::parse(
      R"({"SaveImageDataSetToFolder":{"input":{"required":{"folder_name":["STRING",{}]},
        "optional":{"filename_prefix":["STRING",{"default":"image"}]}}},
      "LoadTrainingDataset":{"input":{"required":{"folder_name":["STRING",{}]}}},
      "Elsewhere":{"input":{"required":{"folder_name":["STRING",{}]}}}})");
  REQUIRE(info.has_value());
  auto prompt = fixtures::read(R"({
    "1":{"class_type":"SaveImageDataSetToFolder","inputs":{"folder_name":"faces/old","filename_prefix":"../x/y"}},
    "2":{"class_type":"SaveImageDataSetToFolder","inputs":{"folder_name":"../../etc"}},
    "3":{"class_type":"LoadTrainingDataset","inputs":{"folder_name":"/a/./b/"}},
    "4":{"class_type":"Elsewhere","inputs":{"folder_name":"../z"}}})");
  rewrite(prompt.as_object(), *info, {}, atelier::JobId{12}, atelier::Epoch{3});
  CHECK(prompt == fixtures::read(R"({
    "1":{"class_type":"SaveImageDataSetToFolder","inputs":{"folder_name":"atelier/12-3/faces/old","filename_prefix":"x/y"}},
    "2":{"class_type":"SaveImageDataSetToFolder","inputs":{"folder_name":"atelier/12-3/etc","filename_prefix":"image"}},
    "3":{"class_type":"LoadTrainingDataset","inputs":{"folder_name":"atelier/12-3/a/b"}},
    "4":{"class_type":"Elsewhere","inputs":{"folder_name":"../z"}}})"));
}

TEST_CASE("a file whose own name ends like an annotation has a name on the worker that does not") {
  const atelier::Digest digest = atelier::sha256("x");
  const std::string hash = digest.hex().substr(0, 16);
  CHECK(worker_input_name("a/b.png[output]", digest) == "a/" + hash + "-b.png[output_");
  CHECK(worker_input_name("b.png [temp]", digest) == hash + "-b.png [temp_");
  CHECK(worker_input_name("b[1]", digest) == hash + "-b[1]");
}

TEST_CASE("a long name is cut at a whole character, so that it is a name on the worker, too") {
  const atelier::Digest digest = atelier::sha256("x");
  const std::string hash = digest.hex().substr(0, 16);
  std::string name;
  for (int i = 0; i < 83; ++i) name += "\xE4\xB8\xAD";  // 249 bytes
  const std::string there = worker_input_name("a/" + name + ".png", digest);
  CHECK(there == "a/" + hash + "-" + name.substr(249 - 234) + ".png");
  CHECK(worker_input_name(std::string(300, 'y'), digest) == hash + "-" + std::string(238, 'y'));
  CHECK(worker_input_name(std::string(238, 'y'), digest) == hash + "-" + std::string(238, 'y'));
}

TEST_CASE("prefixes that ComfyUI would refuse or misplace are passed on") {
  for (const char* prefix : {"", ".", "./", "a/..", "/abs", "..", "../x", "x/../../y"})
    CHECK(worker_prefix(prefix, atelier::JobId{1}, atelier::Epoch{1}) == prefix);
  CHECK(worker_prefix("a/../b", atelier::JobId{1}, atelier::Epoch{1}) == "atelier/1-1/a/../b");
  CHECK(worker_prefix("%date%", atelier::JobId{1}, atelier::Epoch{1}) == "atelier/1-1/%date%");
}

TEST_CASE("a job's outputs name 3D files as files, and hold no nulls") {
  const std::string detail = print_job_detail(
      JobEntry{}, R"({"5":{"result":["3d/x.glb",null,null],"text":["plain"],"animated":[null],"n":null}})",
      "{}", "{}", "{}");
  CHECK(fixtures::read(detail).at("outputs") ==
        fixtures::read(
            R"({"5":{"result":[{"filename":"3d/x.glb","type":"output","subfolder":"","mediaType":"3d"}],
          "text":["plain"],"animated":[null],"n":null}})"));
}

}  // namespace atelier::comfy
