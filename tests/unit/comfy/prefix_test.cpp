// SPDX-License-Identifier: MIT
// Where a saver's prefix leads on a worker.
#include <fmt/format.h>

#include "comfy/output_name.hpp"
#include "comfy/prompt_graph.hpp"
#include "comfy/rewrite.hpp"
#include "fixtures.hpp"

namespace atelier::comfy {
namespace {

constexpr std::string_view kTexts = R"({
  "PrimitiveString":{"input":{"required":{"value":["STRING",{}]}},"output":["STRING"],"python_module":"comfy_extras.nodes_primitive"},
  "StringConcatenate":{"input":{"required":{"string_a":["STRING",{}],"string_b":["STRING",{}],"delimiter":["STRING",{}]}},
    "output":["STRING"],"python_module":"comfy_extras.nodes_string"},
  "PrimitiveStringMultiline":{"input":{"required":{"value":["STRING",{}]}},"output":["STRING"],"python_module":"custom_nodes.Pack"},
  "Now":{"input":{"required":{}},"output":["STRING"],"python_module":"custom_nodes.Pack"},
  "SaveImage":{"input":{"required":{"images":["IMAGE"],"filename_prefix":["STRING",{}]}},"output":[],"output_node":true,"python_module":"nodes"}})";

/// filename_prefix of node 9 as the worker gets it.
std::string prefix_of(std::string_view nodes, const WorkerNames& names = {}) {
  const ObjectInfo info = ObjectInfo::parse(kTexts).value();
  auto prompt = fixtures::read(nodes);
  rewrite(prompt.as_object(), info, names, atelier::JobId{7}, atelier::Epoch{1});
  const auto& value = prompt.at("9").at("inputs").at("filename_prefix");
  return value.is_string() ? std::string(value.as_string()) : print_json(value);
}

std::string prefixed(std::string_view prefix) {
  return worker_prefix(prefix, atelier::JobId{7}, atelier::Epoch{1});
}

TEST_CASE("a prefix with characters that no participant's folder takes makes a harmless name") {
  CHECK(prefixed("a\\b") == "atelier/7-1/a_b");
  CHECK(prefixed("line\nfeed\x7F\xC2\x85") == "atelier/7-1/line_feed__");
  CHECK(prefixed("trip. /C:/day.") == "atelier/7-1/trip__/C_/day.");
  CHECK(prefixed("./a/../b\\c/x") == "atelier/7-1/./a/../b_c/x");
  CHECK(prefixed("\xC3\xA4 %date% a:b") == "atelier/7-1/\xC3\xA4 %date% a:b");
  CHECK(harmless_name("..") == "__");
  CHECK(harmless_name("C:") == "C_");
  CHECK(harmless_name("CC:") == "CC:");
}

TEST_CASE("a prefix that text nodes join leads into the job's folder as one that is written there") {
  CHECK(prefix_of(R"({"1":{"class_type":"PrimitiveString","inputs":{"value":"atelier/8-1"}},
    "2":{"class_type":"StringConcatenate","inputs":{"string_a":["1",0],"string_b":"cat","delimiter":"/"}},
    "3":{"class_type":"StringConcatenate","inputs":{"string_a":["2",0],"string_b":["1",0]}},
    "9":{"class_type":"SaveImage","inputs":{"images":["4",0],"filename_prefix":["3",0]}}})") ==
        "atelier/7-1/atelier/8-1/catatelier/8-1");
  const std::string_view outside = R"({"1":{"class_type":"PrimitiveString","inputs":{"value":"../x"}},
    "9":{"class_type":"SaveImage","inputs":{"images":["4",0],"filename_prefix":["1",0]}}})";
  CHECK(prefix_of(outside) == "../x");  // ComfyUI refuses it, as one that is written there
}

TEST_CASE("a prefix is followed no further than is known, and never for long") {
  for (const std::string_view source :
       {R"({"class_type":"Now","inputs":{}})",
        R"({"class_type":"PrimitiveStringMultiline","inputs":{"value":"somebody's own node of that name"}})",
        R"({"class_type":"PrimitiveString","inputs":{"value":["1",0]}})",
        R"({"class_type":"PrimitiveString","inputs":{"value":["nowhere",0]}})",
        R"({"class_type":"PrimitiveString","inputs":{"value":7}})",
        R"({"class_type":"PrimitiveString","inputs":{}})",
        R"({"class_type":"StringConcatenate","inputs":{"string_a":"a","string_b":["1",0]}})"}) {
    CAPTURE(source);
    CHECK(
        prefix_of(fmt::format(
            R"({{"1":{},"9":{{"class_type":"SaveImage","inputs":{{"images":["4",0],"filename_prefix":["1",0]}}}}}})",
            source)) == R"(["1",0])");
  }
  CHECK(prefix_of(R"({"1":{"class_type":"PrimitiveString","inputs":{"value":"x"}},
    "9":{"class_type":"SaveImage","inputs":{"images":["4",0],"filename_prefix":["1",1]}}})") == R"(["1",1])");
  std::string doubled = R"({"0":{"class_type":"PrimitiveString","inputs":{"value":""}})";
  for (int i = 1; i <= 40; ++i)
    doubled += fmt::format(
        R"(,"{0}":{{"class_type":"StringConcatenate","inputs":{{"string_a":["{1}",0],"string_b":["{1}",0]}}}})",
        i + 100, i == 1 ? 0 : i + 99);
  doubled += R"(,"9":{"class_type":"SaveImage","inputs":{"images":["4",0],"filename_prefix":["140",0]}}})";
  CHECK(prefix_of(doubled) == R"(["140",0])");
}

TEST_CASE("a prefix that is called like an input of the participant is no input") {
  const std::string_view graph = R"({"1":{"class_type":"PrimitiveString","inputs":{"value":"cat.png"}},
    "9":{"class_type":"SaveImage","inputs":{"images":["4",0],"filename_prefix":"cat.png"}}})";
  CHECK(prefix_of(graph, {{{FileType::input, "cat.png"}, "0123-cat.png"}}) == "atelier/7-1/cat.png");
}

}  // namespace
}  // namespace atelier::comfy
