// SPDX-License-Identifier: MIT
#include "comfy/validate.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <boost/json.hpp>

#include "comfy/prompt_graph.hpp"
#include "fixtures.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

constexpr std::string_view kSaveOne =
    R"("9":{"class_type":"SaveImage","inputs":{"images":["1",0],"filename_prefix":"x"}})";

std::string graph(std::string_view class_name, std::string_view inputs) {
  return fmt::format(R"({{"1":{{"class_type":"{}","inputs":{}}},{}}})", class_name, inputs, kSaveOne);
}

struct Checked {
  PromptRequest request;
  Validation validation;
  json::value input(const char* node, const char* name) const {
    return request.prompt.object().at(node).at("inputs").at(name);
  }
  json::value error(const char* node) const { return fixtures::first_error(validation, node); }
};

Checked check(std::string_view text, const FileLookup& exists = fixtures::kAllFiles,
              std::string_view more = "") {
  Checked out{fixtures::request(text, more), {}};
  out.validation = validate(out.request, fixtures::catalog(), exists);
  return out;
}

}  // namespace

TEST_CASE("literal values are coerced in place as Python does it") {
  struct Row {
    const char *name, *given, *stored;
  };
  for (const Row& row :
       {Row{"text", "5", R"("5")"}, Row{"text", "1.0", R"("1.0")"}, Row{"text", "true", R"("True")"},
        Row{"text", "null", R"("None")"}, Row{"text", R"({"a":[1,"x"]})", R"("{'a': [1, 'x']}")"},
        Row{"yes", R"("false")", "true"}, Row{"yes", R"("")", "false"}, Row{"yes", "0.0", "false"},
        Row{"yes", "{}", "false"}, Row{"number", "2", "2.0"}, Row{"number", R"(" 1_0.5e1 ")", "105.0"},
        Row{"number", "true", "1.0"}, Row{"many", R"({"__value__":["a","b"]})", R"(["a","b"])"}}) {
    CAPTURE(row.name);
    CAPTURE(row.given);
    const auto checked = check(graph("Any", fmt::format(R"({{"{}":{}}})", row.name, row.given)));
    CHECK(checked.validation.accepted);
    CHECK(print_json(checked.input("1", row.name)) == row.stored);
  }
  const char* sizes[][2] = {
      {"3.9", "3"}, {R"("12")", "12"}, {R"(" 1_6 ")", "16"}, {"true", "1"}, {R"("+7")", "7"}};
  for (const auto& [given, stored] : sizes) {
    const auto checked = check(
        graph("EmptyImage", fmt::format(R"({{"width":{},"height":1,"batch_size":1,"color":0}})", given)));
    CHECK(checked.validation.accepted);
    CHECK(print_json(checked.input("1", "width")) == stored);
  }
}

TEST_CASE("values that cannot be converted are refused with Python's words") {
  struct Row {
    const char *given, *details;
  };
  for (const Row& row : {
           Row{R"("wide")", "width, wide, invalid literal for int() with base 10: 'wide'"},
           Row{R"("it's")", "width, it's, invalid literal for int() with base 10: \"it's\""},
           Row{R"("1__0")", "width, 1__0, invalid literal for int() with base 10: '1__0'"},
           Row{"null",
               "width, None, int() argument must be a string, a bytes-like object or a real number, not "
               "'NoneType'"},
           Row{R"({"a":1})",
               "width, {'a': 1}, int() argument must be a string, a bytes-like object or a real number, not "
               "'dict'"},
       }) {
    const auto checked = check(
        graph("EmptyImage", fmt::format(R"({{"width":{},"height":1,"batch_size":1,"color":0}})", row.given)));
    CHECK(!checked.validation.accepted);
    CHECK(checked.error("1").at("type") == "invalid_input_type");
    CHECK(checked.error("1").at("details").as_string() == row.details);
  }
  const auto number = check(graph("Any", R"({"number":"nan"})"));
  CHECK(number.error("1").at("details") == "number, nan, could not convert string to float: 'nan'");
}

TEST_CASE("numbers outside their range are told with the bound as Python prints it") {
  const auto small = check(graph("Any", R"({"number":0})"));
  CHECK(small.error("1").at("message") == "Value 0.0 smaller than min of 0.5");
  CHECK(small.error("1").at("extra_info").at("input_config") == json::value{"FLOAT", {{"min", 0.5}}});
  const auto huge =
      check(graph("EmptyImage", R"({"width":18446744073709551615,"height":1,"batch_size":1,"color":0})"));
  CHECK(huge.error("1").at("message") == "Value 18446744073709551615 bigger than max of 16384");
}

TEST_CASE("G20: a choice outside a long list is told without the list") {
  const auto checked = check(R"({"1":{"class_type":"Many","inputs":{"choice":"x"}}})");
  CHECK(checked.error("1").at("details") == "choice: 'x' not in (list of length 21)");
  CHECK(checked.error("1").at("extra_info").at("input_config").is_null());
}

TEST_CASE("several wrong members of a multiple choice are told together") {
  const auto checked = check(graph("Any", R"({"many":{"__value__":["a","x","y","a"]}})"));
  CHECK(checked.error("1").at("details") == "many: 'x', 'y' not in ['a', 'b']");
  CHECK(check(graph("Any", R"({"remote":"whatever"})")).validation.accepted);
}

TEST_CASE("a list that ComfyUI would follow as a link is none out of __value__") {
  for (const char* input : {"anything", "either", "many", "remote"}) {
    for (const char* link : {R"(["zz",0])", R"(["1",0])", R"(["zz",true])"}) {
      const auto checked = check(graph("Any", fmt::format(R"({{"{}":{{"__value__":{}}}}})", input, link)));
      REQUIRE_FALSE(checked.validation.accepted);
      const auto type = checked.error("1").at("type");
      CHECK(type ==
            boost::json::value(std::string_view(input) == "many" ? "value_not_in_list" : "bad_linked_input"));
    }
  }
  CHECK(check(graph("Any", R"({"text":{"__value__":["zz",0]}})")).validation.accepted);  // becomes a text
}

TEST_CASE("a link that only ComfyUI's execution follows leads to a node that is there") {
  const auto with = [](std::string_view loose) {
    return check(graph("Any", fmt::format(R"({{"undeclared":{}}})", loose)));
  };
  for (const char* loose : {R"(["zz",0])", R"(["zz",true])", R"(["zz",0.5])", R"(["",0])"}) {
    const auto checked = with(loose);
    CAPTURE(loose);
    REQUIRE_FALSE(checked.validation.accepted);
    CHECK(checked.validation.outputs_to_execute.empty());
    CHECK(checked.error("1").at("type") == "bad_linked_input");
    CHECK(checked.error("1").at("details") == "undeclared");
  }
  for (const char* harmless :
       {R"(["1",0])", R"(["zz"])", R"(["zz",null])", R"([["zz",0]])", R"({"a":["zz",0]})"})
    CHECK(with(harmless).validation.accepted);
}

TEST_CASE("links fit by equal type, by union and by the star") {
  const std::string mask = R"("2":{"class_type":"SolidMask","inputs":{"value":1,"width":8,"height":8}})";
  CHECK(check(fmt::format(
                  R"({{"1":{{"class_type":"Any","inputs":{{"either":["2",0],"anything":["2",0]}}}},{},{}}})",
                  mask, kSaveOne))
            .validation.accepted);
  const auto wrong = check(fmt::format(
      R"({{"1":{{"class_type":"ImageInvert","inputs":{{"image":["2",0]}}}},{},{}}})", mask, kSaveOne));
  CHECK(wrong.error("1").at("type") == "return_type_mismatch");
  CHECK(wrong.error("1").at("extra_info").at("linked_node") == json::value{"2", 0});
  const auto combo = check(
      fmt::format(R"({{"1":{{"class_type":"Any","inputs":{{"list":["2",0]}}}},{},{}}})", mask, kSaveOne));
  CHECK(combo.error("1").at("details") == "list, received_type(MASK) mismatch input_type(['a', 'b'])");
}

TEST_CASE("broken links are the exceptions that ComfyUI would raise") {
  struct Row {
    const char *link, *type, *details;
  };
  for (const Row& row :
       {Row{R"(["7",0])", "KeyError", "'7'"}, Row{"[7,0]", "KeyError", "7"},
        Row{"[[],0]", "TypeError", "unhashable type: 'list'"},
        Row{R"(["2",5])", "IndexError", "tuple index out of range"},
        Row{R"(["2","0"])", "TypeError", "tuple indices must be integers or slices, not str"}}) {
    CAPTURE(row.link);
    const auto checked = check(fmt::format(
        R"({{"1":{{"class_type":"ImageInvert","inputs":{{"image":{}}}}},"2":{{"class_type":"EmptyImage","inputs":{{}}}},{}}})",
        row.link, kSaveOne));
    CHECK(!checked.validation.accepted);
    CHECK(checked.error("1").at("type") == "exception_during_inner_validation");
    CHECK(checked.error("1").at("details").as_string() == row.details);
    CHECK(checked.error("1").at("extra_info").at("exception_type").as_string() == row.type);
    CHECK(checked.error("1").at("extra_info").at("input_name") == "images");
  }
  const auto triple =
      check(R"({"9":{"class_type":"SaveImage","inputs":{"images":["1",0,0],"filename_prefix":"x"}}})");
  CHECK(triple.error("9").at("type") == "bad_linked_input");
}

TEST_CASE("a cycle is told at each of its nodes with the way round") {
  const auto checked = check(fmt::format(
      R"({{"1":{{"class_type":"ImageInvert","inputs":{{"image":["2",0]}}}},"2":{{"class_type":"ImageInvert","inputs":{{"image":["1",0]}}}},{}}})",
      kSaveOne));
  CHECK(!checked.validation.accepted);
  for (const char* node : {"1", "2"}) {
    CHECK(checked.error(node).at("type") == "dependency_cycle");
    CHECK(checked.error(node).at("details") == "1 (ImageInvert) -> 2 (ImageInvert) -> 1 (ImageInvert)");
    CHECK(checked.error(node).at("extra_info").at("cycle_nodes") == json::value{"1", "2"});
  }
  CHECK(checked.error("9").is_null());
}

TEST_CASE("errors of one node stand together, those downstream of it have none") {
  const auto checked = check(fmt::format(
      R"({{"1":{{"class_type":"EmptyImage","inputs":{{"width":0,"height":99999,"batch_size":"x"}}}},"3":{{"class_type":"PreviewImage","inputs":{{"images":["1",0]}}}},{}}})",
      kSaveOne));
  const auto& errors = checked.validation.node_errors.object().at("1").at("errors").as_array();
  REQUIRE(errors.size() == 4);
  CHECK(errors[0].at("type") == "value_smaller_than_min");
  CHECK(errors[1].at("type") == "value_bigger_than_max");
  CHECK(errors[2].at("type") == "invalid_input_type");
  CHECK(errors[3].at("type") == "required_input_missing");
  CHECK(checked.validation.node_errors.object().size() == 1);
  CHECK(checked.validation.node_errors.object().at("1").at("dependent_outputs") == json::value{"3", "9"});
}

TEST_CASE("partial targets leave the other outputs alone") {
  const std::string text = fmt::format(
      R"({{"1":{{"class_type":"EmptyImage","inputs":{{"width":1,"height":1,"batch_size":1,"color":0}}}},"3":{{"class_type":"PreviewImage","inputs":{{"images":["1",0]}}}},{}}})",
      kSaveOne);
  CHECK(check(text).validation.outputs_to_execute == std::vector<std::string>{"3", "9"});
  CHECK(check(text, fixtures::kAllFiles, R"(,"partial_execution_targets":["9"])")
            .validation.outputs_to_execute == std::vector<std::string>{"9"});
  const auto none = check(text, fixtures::kAllFiles, R"(,"partial_execution_targets":["1"])");
  CHECK(none.validation.error.object().at("type") == "prompt_no_outputs");
  CHECK(check(text, fixtures::kAllFiles, R"(,"partial_execution_targets":null)")
            .validation.outputs_to_execute.size() == 2);
}

TEST_CASE("loaders look for their file in the folder that the annotation names") {
  std::vector<std::string> asked;
  const FileLookup exists = [&](FileType type, std::string_view name) {
    asked.push_back(fmt::format("{}:{}", to_string(type), name));
    return type == FileType::output;
  };
  CHECK(check(graph("LoadImage", R"({"image":"sub/a.png [output]"})"), exists).validation.accepted);
  const auto missing = check(graph("LoadImage", R"({"image":"a.png"})"), exists);
  CHECK(missing.error("1").at("details") == "image - Invalid image file: a.png");
  CHECK(asked == std::vector<std::string>{"output:sub/a.png", "input:a.png"});
  const auto leaving = check(graph("LoadImage", R"({"image":"../../etc/passwd"})"), fixtures::kAllFiles);
  CHECK(leaving.error("1").at("type") == "custom_validation_failed");
  const auto video = check(
      R"({"1":{"class_type":"LoadVideo","inputs":{"file":"a.mp4"}},"9":{"class_type":"Grow","inputs":{"images.image0":["1",0],"mode":"plain"}}})",
      fixtures::kNoFiles);
  CHECK(video.error("9").at("type") == "return_type_mismatch");
  const auto absent = check(graph("LoadImage", "{}"));
  CHECK(absent.error("1").at("details") ==
        "LoadImage.VALIDATE_INPUTS() missing 1 required positional argument: 'image'");
  const auto both = check(
      R"({"1":{"class_type":"LoadImageMask","inputs":{"image":"a.png","channel":"x"}},"2":{"class_type":"MaskToImage","inputs":{"mask":["1",0]}},"9":{"class_type":"PreviewImage","inputs":{"images":["2",0]}}})",
      fixtures::kNoFiles);
  CHECK(both.validation.node_errors.object().at("1").at("errors").as_array().size() == 2);
}

TEST_CASE("the inputs of a dynamic node depend on its values") {
  const std::string image =
      R"("2":{"class_type":"EmptyImage","inputs":{"width":1,"height":1,"batch_size":1,"color":0}})";
  CHECK(
      check("{" + image + R"(,"1":{"class_type":"Grow","inputs":{"images.image0":["2",0],"mode":"plain"}}})")
          .validation.accepted);
  const auto none = check(R"({"1":{"class_type":"Grow","inputs":{"mode":"plain"}}})");
  CHECK(none.error("1").at("details") == "image0");
  CHECK(none.error("1").at("extra_info").at("input_name") == "images.image0");
  const auto sized =
      check("{" + image +
            R"(,"1":{"class_type":"Grow","inputs":{"images.image0":["2",0],"mode":"sized","mode.size":0}}})");
  CHECK(sized.error("1").at("details") == "mode.size");
  const auto upstream = check(
      R"({"1":{"class_type":"Grow","inputs":{"images.image0":["2",0],"mode":"plain"}},"2":{"class_type":"EmptyImage","inputs":{}}})");
  CHECK(upstream.error("2").at("type") == "required_input_missing");
}

TEST_CASE("a long chain is walked without recursion, an endless one ends as in Python") {
  const auto chain = [](int length) {
    std::string text =
        R"({"0":{"class_type":"EmptyImage","inputs":{"width":1,"height":1,"batch_size":1,"color":0}})";
    for (int i = 1; i < length; ++i)
      text += fmt::format(R"(,"{}":{{"class_type":"ImageInvert","inputs":{{"image":["{}",0]}}}})", i, i - 1);
    return text + fmt::format(R"(,"out":{{"class_type":"PreviewImage","inputs":{{"images":["{}",0]}}}}}})",
                              length - 1);
  };
  CHECK(check(chain(850)).validation.accepted);
  const auto deep = check(chain(4000));
  CHECK(!deep.validation.accepted);
  bool told = false;
  for (const auto& member : deep.validation.node_errors.object())
    told = told || member.value().at("errors").at(0).at("details") == "maximum recursion depth exceeded";
  CHECK(told);
}

TEST_CASE("a subgraph that many outputs share costs once") {
  std::string text =
      R"({"0":{"class_type":"EmptyImage","inputs":{"width":1,"height":1,"batch_size":1,"color":0}})";
  for (int i = 1; i <= 60; ++i)  // 2^60 ways from the end to the beginning
    text += fmt::format(
        R"(,"{0}":{{"class_type":"ImageBatch","inputs":{{"image1":["{1}",0],"image2":["{1}",0]}}}})", i,
        i - 1);
  text += R"(,"out":{"class_type":"PreviewImage","inputs":{"images":["60",0]}}})";
  CHECK(check(text).validation.accepted);
}

TEST_CASE("node titles are named when a class is unknown") {
  const auto checked = check(R"({"4":{"class_type":"Nope","inputs":{},"_meta":{"title":"My node"}}})");
  CHECK(checked.validation.error.object().at("message") ==
        "Node 'My node' not found. The custom node may not be installed.");
  CHECK(checked.validation.error.object().at("extra_info") ==
        json::value{{"node_id", "4"}, {"class_type", "Nope"}, {"node_title", "My node"}});
  CHECK(check(R"({"4":{"class_type":5}})").validation.error.object().at("type") == "missing_node_type");
  CHECK(check(R"({"":{"class_type":"SaveImage","inputs":{}}})").validation.error.object().at("type") ==
        "invalid_prompt");
  CHECK(check(R"({"4":{"class_type":"Partner","inputs":{}}})").validation.error.object().at("type") ==
        "missing_node_type");
}

namespace {

/// The type of the first error of a graph that is one node, an output; "" if it is accepted.
std::string verdict(std::string_view input_facts, std::string_view class_name, std::string_view inputs,
                    const FileLookup& files = fixtures::kNoFiles) {
  const auto info =
      ObjectInfo::parse(
          fmt::format(R"({{"{}":{{"input":{{"required":{}}},"output":[],"output_node":true}}}})", class_name,
                      input_facts))
          .value();
  auto request =
      fixtures::request(fmt::format(R"({{"1":{{"class_type":"{}","inputs":{}}}}})", class_name, inputs));
  const auto validation = validate(request, info, files);
  if (validation.accepted) return "";
  const json::value error = fixtures::first_error(validation, "1");
  return fmt::format("{}: {}", std::string_view(error.at("type").as_string()),
                     std::string_view(error.at("details").as_string()));
}

}  // namespace

TEST_CASE("bounds of 64 bits are compared without rounding") {
  const char* seed = R"({"n":["INT",{"min":0,"max":18446744073709551615}]})";
  CHECK(verdict(seed, "Seeded", R"({"n":18446744073709551615})") == "");
  CHECK(verdict(seed, "Seeded", R"({"n":18446744073709551616})") == "value_bigger_than_max: n");
  CHECK(verdict(seed, "Seeded", R"({"n":1.8446744073709552e19})") == "value_bigger_than_max: n");
  CHECK(verdict(seed, "Seeded", R"({"n":"18446744073709551616"})") == "value_bigger_than_max: n");
  CHECK(verdict(seed, "Seeded", R"({"n":-1})") == "value_smaller_than_min: n");
  const char* wide = R"({"n":["FLOAT",{"min":-9223372036854775807,"max":9223372036854775807}]})";
  CHECK(verdict(wide, "Wide", R"({"n":9223372036854774784.0})") == "");
  CHECK(verdict(wide, "Wide", R"({"n":9223372036854775808.0})") == "value_bigger_than_max: n");
  CHECK(verdict(wide, "Wide", R"({"n":-9223372036854775808.0})") == "value_smaller_than_min: n");
  const char* whole = R"({"n":["FLOAT",{"min":-2,"max":2}]})";
  CHECK(verdict(whole, "Whole", R"({"n":2.0})") == "");
  CHECK(verdict(whole, "Whole", R"({"n":2.5})") == "value_bigger_than_max: n");
  CHECK(verdict(whole, "Whole", R"({"n":-2.0})") == "");
  CHECK(verdict(whole, "Whole", R"({"n":-2.5})") == "value_smaller_than_min: n");
}

TEST_CASE("what a class's own validator looks at is not looked for among the choices, all else is") {
  CHECK(verdict(R"({"choice":["COMBO",{"options":[]}]})", "CustomCombo", R"({"choice":"b","option1":"a"})") ==
        "");
  CHECK(verdict(R"({"choice":["COMBO",{"options":[]}]})", "Combo", R"({"choice":"b"})") ==
        "value_not_in_list: choice: 'b' not in []");
  const char* webcam = R"({"image":["WEBCAM",{}]})";
  CHECK(verdict(webcam, "WebcamCapture", R"({"image":"webcam/1.png [temp]"})") ==
        "custom_validation_failed: image - Invalid image file: webcam/1.png [temp]");
  CHECK(verdict(webcam, "WebcamCapture", R"({"image":null})") ==
        "exception_during_validation: 'NoneType' object has no attribute 'endswith'");
  const char* mesh = R"({"model_file":["COMBO",{"options":["3d/a.glb"],"file_upload":true}]})";
  for (const char* name : {"", "none", "3d/x.glb"}) {
    CHECK(verdict(mesh, "Load3D", fmt::format(R"({{"model_file":"{}"}})", name)) ==
          fmt::format("value_not_in_list: model_file: '{}' not in []", name));
  }
  CHECK(verdict(mesh, "OtherMeshLoader", R"({"model_file":"none"})") == "");
  // ComfyUI 0.33 lists "none", and looks as other loaders do.
  const char* newer = R"({"model_file":["COMBO",{"options":["none","3d/a.glb"],"file_upload":true}]})";
  const FileLookup own = [](FileType type, std::string_view name) {
    return name == "3d/x.glb" || (type == FileType::output && name == "mesh.glb");
  };
  for (const char* name : {"", "none", "3d/x.glb", "3d/x.glb [input]", "mesh.glb [output]"})
    CHECK(verdict(newer, "Load3D", fmt::format(R"({{"model_file":"{}"}})", name), own) == "");
  CHECK(verdict(newer, "Load3D", R"({"model_file":"3d/a.glb"})", own) ==
        "custom_validation_failed: model_file - Invalid 3D file: 3d/a.glb");
}

TEST_CASE("a dataset's folder is one that the participant has something in, by its name in the list") {
  const char* folder = R"({"folder":["COMBO",{"options":["faces of another"]}]})";
  const FileLookup own = [](FileType type, std::string_view name) {
    return type == FileType::input && (name == "faces/" || name == "a/faces/" || name == "x.png");
  };
  for (const char* dataset : {"LoadImageDataSetFromFolder", "LoadImageTextDataSetFromFolder",
                              "LoadVideoDataSetFromFolder", "LoadVideoTextDataSetFromFolder"}) {
    CHECK(verdict(folder, dataset, R"({"folder":"faces"})", own) == "");
    CHECK(verdict(folder, dataset, R"({"folder":"a/faces"})", own) == "");
    for (const char* name : {"", ".", "..", "other", "faces of another", "x.png", "faces/", "./faces",
                             "a//faces", "faces [input]", "/faces", "../7/input/faces", "a/../faces"}) {
      CHECK(verdict(folder, dataset, fmt::format(R"({{"folder":"{}"}})", name), own) ==
            fmt::format("value_not_in_list: folder: '{}' not in []", name));
    }
    CHECK(verdict(folder, dataset, R"({"folder":7})", own) == "value_not_in_list: folder: 7 not in []");
    CHECK(verdict(folder, dataset, R"({"folder":{"__value__":["faces",0]}})", own) ==
          "value_not_in_list: folder: ['faces', 0] not in []");
    CHECK(verdict(folder, dataset, R"({"folder":"faces"})") ==
          "value_not_in_list: folder: 'faces' not in []");
  }
  CHECK(verdict(R"({"image":[[],{"image_upload":true}]})", "LoadImage", R"({"image":"faces/"})", own) ==
        "custom_validation_failed: image - Invalid image file: faces/");
  CHECK(verdict(folder, "OtherFolderNode", R"({"folder":"faces"})", own) ==
        "value_not_in_list: folder: 'faces' not in ['faces of another']");
}

TEST_CASE("errors about combos of files show the participant's own") {
  const auto info = ObjectInfo::parse(
      R"({"LoadImageDataSetFromFolder":{"input":{"required":{"folder":["COMBO",{"options":["of another"]}]}},)"
      R"("output":["IMAGE"],"output_node":true},)"
      R"("OtherLoader":{"input":{"required":{"image":[["none","of another.png"],{"image_upload":true}]}},)"
      R"("output":["IMAGE"],"output_node":true}})");
  REQUIRE(info);
  auto request =
      fixtures::request(R"({"1":{"class_type":"LoadImageDataSetFromFolder","inputs":{"folder":"nope"}},)"
                        R"("2":{"class_type":"OtherLoader","inputs":{"image":["1"]}}})");
  const PromptGraph graph(request.prompt.object(), *info);
  const auto errors = [&](std::vector<std::string> names) {
    Validation validation = validate(request, graph, {});
    REQUIRE(errors_list_files(validation, graph));
    list_files_in_errors(validation, graph, [&](const FileListKey& key) {
      return key.folders ? names : std::vector<std::string>{"cat.png"};
    });
    return validation;
  };
  const Validation few = errors({"faces", "faces/cats"});
  const json::value folder = fixtures::first_error(few, "1");
  CHECK(folder.at("details") == "folder: 'nope' not in ['faces', 'faces/cats']");
  CHECK(print_json(folder.at("extra_info").at("input_config")) ==
        R"(["COMBO",{"options":["faces","faces/cats"]}])");
  CHECK(few.error.object().at("details") ==
        "Value not in list: folder: 'nope' not in ['faces', 'faces/cats']\n"
        "Bad linked input, must be a length-2 list of [node_id, slot_index]: image");
  const json::value image = fixtures::first_error(few, "2");
  CHECK(image.at("type") == "bad_linked_input");
  CHECK(print_json(image.at("extra_info").at("input_config")) ==
        R"([["none","cat.png"],{"image_upload":true}])");
  const Validation many = errors(std::vector<std::string>(21, "faces"));
  const json::value long_list = fixtures::first_error(many, "1");
  CHECK(long_list.at("details") == "folder: 'nope' not in (list of length 21)");
  CHECK(long_list.at("extra_info").at("input_config").is_null());
}

TEST_CASE("the mesh loader takes what ComfyUI lists, and no other file that is there") {
  const char* mesh = R"({"model_file":["COMBO",{"options":[],"file_upload":true}]})";
  const FileLookup all = [](FileType, std::string_view) { return true; };
  CHECK(verdict(mesh, "Load3D", R"({"model_file":"3d/x.glb"})", all) == "");
  CHECK(verdict(mesh, "Load3D", R"({"model_file":"3d/a/x.OBJ"})", all) == "");
  for (const char* name :
       {"x.glb", "shelf/x.glb", "3d/x.png", "3d/a/../x.glb", "3d//x.glb", "3d/x.glb [output]"}) {
    CHECK(verdict(mesh, "Load3D", fmt::format(R"({{"model_file":"{}"}})", name), all) ==
          fmt::format("value_not_in_list: model_file: '{}' not in []", name));
  }
}

}  // namespace atelier::comfy
