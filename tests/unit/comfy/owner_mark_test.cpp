// SPDX-License-Identifier: MIT
// Whose a cached result is.
#include "comfy/owner_mark.hpp"

#include "comfy/python_text.hpp"
#include "fixtures.hpp"

namespace atelier::comfy {
namespace {

constexpr std::string_view kClasses = R"({
  "Plain":{"input":{"required":{"text":["STRING",{}]},"hidden":{"id":"UNIQUE_ID"}},"output":["STRING"]},
  "Text":{"input":{"required":{"text":["STRING",{}]},"hidden":{"id":"UNIQUE_ID","workflow":"EXTRA_PNGINFO"}},"output":["STRING"]},
  "Graph":{"input":{"hidden":{"graph":"DYNPROMPT"}},"output":[]},
  "Named":{"input":{"required":{"prompt":["STRING",{}]},"hidden":{"prompt":"PROMPT"}},"output":[]},
  "Either":{"input":{"required":{"prompt":["STRING",{}]},"hidden":{"prompt":"PROMPT","png":"EXTRA_PNGINFO"}},"output":[]},
  "Vain":{"input":{"hidden":{"prompt":["PROMPT"]}},"output":[]},
  "Newer":{"input":{"required":{"prompt":["STRING",{}]},"hidden":{"prompt":["PROMPT"]}},"output":[],"price_badge":null}})";

/// The inputs of a node of this class, with the values that it has.
boost::json::object marked(std::string_view node_class, std::string_view inputs, std::string_view owner) {
  const ObjectInfo info = ObjectInfo::parse(kClasses).value();
  boost::json::object prompt;
  prompt["4"] = boost::json::object{{"class_type", node_class}, {"inputs", fixtures::read(inputs)}};
  mark_owner(prompt, info, owner);
  return prompt["4"].at("inputs").as_object();
}

std::string name_of_mark(std::string_view node_class) {
  const auto inputs = marked(node_class, "{}", "ada");
  return inputs.empty() ? "" : std::string(inputs.begin()->key());
}

TEST_CASE("what is handed the prompt or the workflow is cached for one owner") {
  const auto of_ada = marked("Text", R"({"text":"a"})", "ada");
  CHECK(of_ada == marked("Text", R"({"text":"a"})", "ada"));
  CHECK(of_ada != marked("Text", R"({"text":"a"})", "ben"));
  CHECK(of_ada.at("text") == "a");
  CHECK(marked("Text", R"({"workflow":"somebody's mark"})", "ada") == marked("Text", "{}", "ada"));
  CHECK(marked("Plain", R"({"text":"a"})", "ada") == fixtures::read(R"({"text":"a"})").as_object());
  CHECK(marked("Unknown", "{}", "ada").empty());
}

TEST_CASE("the mark has a name that the node's own code is not handed") {
  CHECK(name_of_mark("Text") == "workflow");
  CHECK(name_of_mark("Graph") == "graph");
  CHECK(name_of_mark("Named") == "atelier_owner");
  CHECK(name_of_mark("Either") == "png");
  CHECK(name_of_mark("Newer") == "atelier_owner");
  CHECK(name_of_mark("Vain").empty());
}

TEST_CASE("a text that prints a marked prompt is what it would be without the mark") {
  boost::json::object prompt = fixtures::read(R"({"4":{"inputs":{"text":"it's"},"class_type":"Text"},
    "5":{"class_type":"Graph","inputs":{}},"6":{"class_type":"Text","inputs":{"text":"a"}}})")
                                   .as_object();
  std::string own = python_json_dumps(prompt), own_nested = print_json(boost::json::value{own});
  mark_owner(prompt, ObjectInfo::parse(kClasses).value(), "ada");
  const std::string text = python_json_dumps(prompt), nested = print_json(boost::json::value{text});
  REQUIRE(text != own);
  CHECK(without_owner_marks(text) == own);
  CHECK(without_owner_marks(nested) == own_nested);
  CHECK(without_owner_marks(print_json(boost::json::value{nested})) ==
        print_json(boost::json::value{own_nested}));
}

TEST_CASE("marks are taken out of other forms, too, wherever they stand") {
  const std::string mark(marked("Text", "{}", "ada").at("workflow").as_string());
  CHECK(without_owner_marks("{'a': 1, 'prompt': '" + mark + "'}") == "{'a': 1}");
  CHECK(without_owner_marks(R"({"prompt":")" + mark + R"(","z":1})") == R"({"z":1})");
  CHECK(without_owner_marks("{\n  \"a\": 1,\n  \"prompt\": \"" + mark + "\"\n}") == "{\n  \"a\": 1\n}");
  CHECK(without_owner_marks(R"(["{\n  \"prompt\": \")" + mark + R"(\",\n  \"z\": 1\n}"])") ==
        R"(["{\n  \"z\": 1\n}"])");
  CHECK(without_owner_marks("prompt: " + mark + ", z: 1") == "prompt: , z: 1");
  CHECK(without_owner_marks(R"([")" + mark + R"("])") == R"([""])");
  CHECK(without_owner_marks(mark) == "");
  CHECK(without_owner_marks('"' + mark + '"') == R"("")");
  CHECK(without_owner_marks(R"(:")" + mark + '"') == R"(:"")");
  CHECK(without_owner_marks(R"(":")" + mark + '"') == R"(":"")");
  CHECK(without_owner_marks(R"("":")" + mark + '"') == "");
  CHECK(without_owner_marks(R"(a":")" + mark + '"') == R"(a":"")");
  for (const std::string other :
       {"", "atelier-owner-", "atelier-owner-0123", "atelier-owner-0123456789ABCDEF"})
    CHECK(without_owner_marks(other) == other);
}

}  // namespace
}  // namespace atelier::comfy
