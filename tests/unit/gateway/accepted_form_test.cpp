// SPDX-License-Identifier: MIT
#include "gateway/worker_link/accepted_form.hpp"

#include <doctest/doctest.h>

#include <boost/json.hpp>

#include "comfy/json.hpp"
#include "gateway/participant/attachments.hpp"

namespace atelier::gateway {
namespace {

boost::json::value read(std::string_view text) { return comfy::Json::parse(text).value().value(); }

TEST_CASE("of an accepted form the worker link needs the bytes, the pins and the preview method") {
  const Digest digest = sha256("cat");
  const auto bytes = std::make_shared<const std::string>(
      R"({"prompt":{},"extra_data":{"preview_method":"taesd"},)"
      R"("pins":[{"name":"sub/cat.png","type":"input","digest":")" +
      digest.hex() + R"(","size":5000000000},{"name":"o.png","type":"output","digest":")" + digest.hex() +
      R"(","size":0},{"name":"t.png","type":"temp","digest":")" + digest.hex() + R"(","folder":"t"},7]})");
  const auto form = read_accepted_form(bytes);
  REQUIRE(form.has_value());
  CHECK(form->bytes == bytes);
  CHECK(form->preview_method == "taesd");
  REQUIRE(form->pins.size() == 3);
  CHECK(form->pins[0] == link::InputRef{"sub/cat.png", link::FileType::input, digest, 5'000'000'000});
  CHECK(form->pins[1] == link::InputRef{"o.png", link::FileType::output, digest, 0});
  CHECK(form->pins[2] == link::InputRef{"t.png", link::FileType::temp, digest, 0, "t"});
}

TEST_CASE("an accepted form without pins is fine, a damaged one is an error") {
  const auto form = read_accepted_form(std::make_shared<const std::string>("{}"));
  REQUIRE(form.has_value());
  CHECK(form->pins.empty());
  CHECK(form->preview_method.empty());
  CHECK_FALSE(read_accepted_form(std::make_shared<const std::string>("{")).has_value());
  CHECK_FALSE(read_accepted_form(std::make_shared<const std::string>(R"({"pins":[{"digest":"12"}]})")));
}

TEST_CASE("a commit goes into its attachment and comes out of it") {
  link::Commit commit;
  commit.display_node = "12";
  commit.ui = R"({"images":[{"filename":"a_00001_.png","subfolder":"","type":"output"}],"animated":[true]})";
  commit.files.resize(2);
  commit.files[0].place = "images/0";
  const auto parts = read_commit_attachment(commit_attachment(commit));
  REQUIRE(parts.has_value());
  CHECK(read(parts->ui) == read(commit.ui));
  CHECK(parts->places == std::vector<std::string>{"images/0", ""});
  CHECK(parts->display_node == "12");
}

TEST_CASE("a commit whose ui is no object is kept as an empty one, and a damaged attachment is an error") {
  link::Commit commit;
  for (const std::string ui : {"", "null", "[1]", "{\"a\":"}) {
    commit.ui = ui;
    const auto parts = read_commit_attachment(commit_attachment(commit));
    REQUIRE(parts.has_value());
    CHECK(parts->ui == "{}");
  }
  CHECK_FALSE(read_commit_attachment("").has_value());
  CHECK_FALSE(read_commit_attachment("{}").has_value());
  CHECK_FALSE(read_commit_attachment(R"({"ui":{},"places":7})").has_value());
}

TEST_CASE("the names given are put where the files stand in a node's ui, and nothing else changes") {
  const auto ui = ui_with_names(
      R"({"images":[{"filename":"x.png","subfolder":"atelier/3-1","type":"output","extra":1},)"
      R"({"filename":"y.png","type":"temp"}],"text":["a"]})",
      {{"images/0", "sub", "cat_00004_.png", "output"}, {"images/1", "", "cat_00005_.png", "output"}});
  REQUIRE(ui.has_value());
  CHECK(read(*ui) ==
        read(R"({"images":[{"filename":"cat_00004_.png","subfolder":"sub","type":"output","extra":1},)"
             R"({"filename":"cat_00005_.png","type":"output","subfolder":""}],"text":["a"]})"));
}

TEST_CASE("a node that names its file by a string gets the path as a string") {
  const auto ui =
      ui_with_names(R"({"result":["mesh/x.glb","top.glb",null]})",
                    {{"result/0", "mesh", "cup.glb", "output"}, {"result/1", "", "cup (1).glb", "output"}});
  REQUIRE(ui.has_value());
  CHECK(read(*ui) == read(R"({"result":["mesh/cup.glb","cup (1).glb",null]})"));
}

TEST_CASE("a text keeps what it says of the folder, and a file that is named twice has one name") {
  const auto ui = ui_with_names(
      R"({"result":["atelier/3-1/x.glb [temp]",null,"temp/bg_00001_.png"],"3d":[{"filename":"x.glb"}]})",
      {{"3d/0\nresult/0", "mesh", "cup.glb", "temp"}, {"result/2", "", "bg_00002_.png", "temp"}});
  REQUIRE(ui.has_value());
  CHECK(read(*ui) == read(R"({"result":["mesh/cup.glb [temp]",null,"temp/bg_00002_.png"],)"
                          R"("3d":[{"filename":"cup.glb","subfolder":"mesh","type":"temp"}]})"));
}

TEST_CASE("an object says neither where its file lies on the worker nor what is called beside it there") {
  const auto ui = ui_with_names(
      R"({"gifs":[{"filename":"f_00001.mp4","subfolder":"atelier/3-1/v","type":"output","workflow":"f_00001.png",)"
      R"("fullpath":"/srv/comfy/output/atelier/3-1/v/f_00001-audio.mp4","where":"/x/atelier/3-1/v/f_00001.mp4",)"
      R"("format":"video/mp4","note":"/other/f_00001.mp4"}]})",
      {{"gifs/0", "v", "f_00007.mp4", "output"},
       {"gifs/0/workflow", "v", "f_00007.png", "output"},
       {"gifs/0/none", "", "x", "output"},
       {"gifs/1/workflow", "", "x", "output"}});
  REQUIRE(ui.has_value());
  CHECK(
      read(*ui) ==
      read(
          R"({"gifs":[{"filename":"f_00007.mp4","subfolder":"v","type":"output","workflow":"f_00007.png",)"
          R"("fullpath":"v/f_00007.mp4","where":"v/f_00007.mp4","format":"video/mp4","note":"/other/f_00001.mp4"}]})"));
}

TEST_CASE("the numbers that a worker's ComfyUI gives its files stay there, and a node's own members do not") {
  const auto ui = ui_with_names(
      R"({"images":[{"filename":"x.png","id":"0e2d6a3c-3d4f-4a5b-8c6d-7e8f90123456",)"
      R"("preview_id":"1e2d6a3c-3d4f-4a5b-8c6d-7e8f90123456"},{"filename":"y.png","id":"7","preview_id":null}]})",
      {{"images/0", "", "a.png", "output"}, {"images/1", "", "b.png", "output"}});
  REQUIRE(ui.has_value());
  CHECK(read(*ui) ==
        read(R"({"images":[{"filename":"a.png","subfolder":"","type":"output"},)"
             R"({"filename":"b.png","subfolder":"","type":"output","id":"7","preview_id":null}]})"));
}

TEST_CASE("places that are not in the ui change nothing") {
  const std::string before = R"({"images":[{"filename":"x.png"}],"text":"t"})";
  for (const std::string place : {"", "images", "images/1", "images/-1", "images/0x", "images/", "other/0",
                                  "text/0", "images/99999999999999999999"}) {
    CAPTURE(place);
    const auto ui = ui_with_names(before, {{place, "f", "n.png", "output"}});
    REQUIRE(ui.has_value());
    CHECK(*ui == before);
  }
  CHECK_FALSE(ui_with_names("{", {}).has_value());
}

TEST_CASE("a run id is replaced everywhere by the participant's own prompt_id, as JSON text") {
  const std::string run = "11111111-2222-4333-8444-555555555555";
  CHECK(with_prompt_id(R"({"a":")" + run + R"(","b":[")" + run + R"("]})", run, "mine") ==
        R"({"a":"mine","b":["mine"]})");
  CHECK(with_prompt_id(R"({"a":")" + run + "\"}", run, "a\"b\\\n") == R"({"a":"a\"b\\\n"})");
  CHECK(with_prompt_id("{}", run, "mine") == "{}");
  CHECK(with_prompt_id("abc", "", "mine") == "abc");
  CHECK(with_prompt_id(run, run, run) == run);  // ends
}

TEST_CASE("a report keeps the ending event, the status and the meta, and drops what is not JSON") {
  CHECK(report_attachment(R"({"type":"execution_success","data":{}})",
                          R"({"status":{"completed":true},"meta":{"9":{}},"other":1})") ==
        R"({"event":{"type":"execution_success","data":{}},"status":{"completed":true},"meta":{"9":{}}})");
  CHECK(report_attachment("", "oops") == R"({"event":null,"status":null,"meta":null})");
  CHECK(report_attachment("{}", R"({"meta":{}})") == R"({"event":{},"status":null,"meta":{}})");
}

TEST_CASE("what the worker link stores as a report is what the participant's face reads") {
  const auto parts = parse_report(report_attachment(R"({"type":"execution_error","data":{"node_id":"3"}})",
                                                    R"({"status":{"status_str":"error"}})"));
  REQUIRE(parts.has_value());
  CHECK(parts->event_type == "execution_error");
  CHECK(parts->event_data == R"({"node_id":"3"})");
  CHECK(parts->event == R"({"type":"execution_error","data":{"node_id":"3"}})");
  CHECK(parts->status == R"({"status_str":"error"})");
  CHECK(parts->meta.empty());
}

TEST_CASE("of an accepted form the face shows prompt, extra data, outputs and node errors, or empty ones") {
  const auto parts = parse_accepted(R"({"prompt":{"1":{}},"extra_data":{"a":1},"outputs":["9",7],)"
                                    R"("node_errors":{"2":{}},"client_number":true})");
  REQUIRE(parts.has_value());
  CHECK(parts->prompt == R"({"1":{}})");
  CHECK(parts->extra_data == R"({"a":1})");
  CHECK(parts->outputs == std::vector<std::string>{"9"});
  CHECK(parts->node_errors == R"({"2":{}})");
  CHECK(parts->client_number);
  CHECK(parse_accepted(R"({"prompt":null})")->prompt == "{}");
  CHECK_FALSE(parse_accepted("{}")->client_number);
  CHECK_FALSE(parse_accepted("x").has_value());
}

}  // namespace
}  // namespace atelier::gateway
