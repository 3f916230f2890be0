// SPDX-License-Identifier: MIT
// The body of POST /prompt: parsed, validated against a small catalog, written as the accepted form, read
// back, rewritten for a worker (what prompt_routes.cpp and the agent do with it).

#include <fmt/format.h>

#include <boost/json.hpp>

#include <set>

#include "comfy/history.hpp"
#include "comfy/prompt_graph.hpp"
#include "comfy/rewrite.hpp"
#include "fuzz.hpp"
#include "gateway/worker_link/accepted_form.hpp"
#include "unit/comfy/fixtures.hpp"

using namespace atelier;         // NOLINT: tests
using namespace atelier::comfy;  // NOLINT: tests
using fuzz::expect;
namespace json = boost::json;

namespace {

const JsonLimits kOwnJson{.bytes_max = 64u << 20, .depth_max = 80};  // as attachments.cpp reads it
const PromptLimits kSmall{.bytes_max = 400, .depth_max = 6, .nodes_max = 3, .prompt_id_bytes_max = 8};

std::size_t depth_of(const json::value& value) {
  std::size_t inner = 0;
  if (const auto* list = value.if_array()) {
    for (const auto& item : *list) inner = std::max(inner, depth_of(item));
    return 1 + inner;
  }
  if (const auto* object = value.if_object()) {
    for (const auto& member : *object) inner = std::max(inner, depth_of(member.value()));
    return 1 + inner;
  }
  return 0;
}

bool equal(const PromptRequest& a, const PromptRequest& b) {
  return a.prompt == b.prompt && a.prompt_id == b.prompt_id && a.client_id == b.client_id &&
         a.number == b.number && a.front == b.front && a.extra_data == b.extra_data &&
         a.secrets == b.secrets && a.partial_execution_targets == b.partial_execution_targets;
}

/// A body that says the same.
std::string print(const PromptRequest& request) {
  json::object extra = request.extra_data.object();
  for (const auto& secret : request.secrets.object()) extra[secret.key()] = secret.value();
  std::string out = fmt::format(R"({{"prompt":{},"extra_data":{},"front":{})", request.prompt.print(),
                                print_json(json::value(std::move(extra))), request.front);
  if (request.prompt_id) out += R"(,"prompt_id":)" + quote_json(*request.prompt_id);
  if (request.number) out += R"(,"number":)" + QueueNumber{*request.number, true}.print();
  if (request.partial_execution_targets) {
    out += R"(,"partial_execution_targets":)" + quote_json_list(*request.partial_execution_targets);
  }
  return out += '}';
}

void check_limits(std::string_view body, const std::expected<PromptRequest, PromptError>& parsed) {
  const auto small = parse_prompt_request(body, kSmall);
  if (!small) return;
  expect(parsed.has_value() && equal(*small, *parsed), "smaller limits change nothing of what they accept");
  expect(body.size() <= kSmall.bytes_max && small->prompt.object().size() <= kSmall.nodes_max,
         "bytes_max and nodes_max hold");
  expect(depth_of(small->prompt.value()) < kSmall.depth_max, "depth_max holds");
  expect(!small->prompt_id || (!small->prompt_id->empty() && small->prompt_id->size() <= 8),
         "prompt_id_bytes_max holds");
}

void check_error(const PromptError& error) {
  const auto body = Json::parse(error.body(), kOwnJson);
  expect(body.has_value(), "the answer to a refused prompt is JSON");
  expect(body->object().at("error").as_object().size() == 4, "its error has ComfyUI's shape");
}

/// Some files are there, some are not: it only has to stay the same.
bool exists(FileType type, std::string_view name) {
  return (name.size() + static_cast<std::size_t>(type)) % 3 != 0;
}

void check_files(json::object& prompt) {
  const PromptGraph graph(prompt, fixtures::catalog());
  for (const InputFile& file : input_files_of(graph, exists)) {
    expect(!file.name.empty() && stays_inside(file.name), "a named file stays inside its folder");
    const json::value& value = prompt.at(file.node).as_object().at("inputs").as_object().at(file.input);
    boost::system::error_code error;
    const json::value* place = value.find_pointer(file.pointer, error);
    expect(place != nullptr && place->is_string() && place->get_string() == json::string_view(file.value),
           "a named file's pointer leads to its value");
  }
}

void check_accepted(const PromptRequest& request, const Validation& validation) {
  expect(!validation.outputs_to_execute.empty(), "an accepted prompt has an output");
  for (const std::string& output : validation.outputs_to_execute) {
    expect(request.prompt.object().contains(output), "an output is a node of the prompt");
  }
  const std::string form = fmt::format(
      R"({{"prompt":{},"extra_data":{},"outputs":{},"node_errors":{},"pins":[]}})", request.prompt.print(),
      request.extra_data.print(), quote_json_list(validation.outputs_to_execute),
      validation.node_errors.is_null() ? "{}" : validation.node_errors.print());
  const auto read = Json::parse(form, kOwnJson);
  expect(read.has_value(), "the accepted form can be read back");
  expect(read->object().at("prompt") == request.prompt.value(), "it holds the same prompt");
  expect(read->object().at("extra_data") == request.extra_data.value(), "it holds the same extra_data");
  expect(gateway::read_accepted_form(std::make_shared<const std::string>(form)).has_value(),
         "the worker link takes the accepted form");
  const QueueNumber number{request.number.value_or(7), request.number.has_value()};
  const std::string tuple = queue_tuple(number, request.prompt_id.value_or("id"), request.prompt.print(),
                                        request.extra_data.print(), validation.outputs_to_execute);
  expect(Json::parse(tuple, kOwnJson).has_value(), "its line of the queue is JSON");
  expect(
      Json::parse(prompt_accepted(request.prompt_id.value_or("id"), number, validation.node_errors.print()),
                  kOwnJson)
          .has_value(),
      "the answer to an accepted prompt is JSON");
}

/// What the agent makes of it must pass the worker's validation as it passed ours. The agent asks for the
/// outputs that were accepted and no others.
void check_rewritten(const PromptRequest& request, const Validation& validation) {
  PromptRequest rewritten = request;
  std::vector<std::string> targets = validation.outputs_to_execute;
  std::ranges::sort(targets);
  rewritten.partial_execution_targets = std::move(targets);
  json::object& prompt = rewritten.prompt.object();
  WorkerNames names;
  std::set<std::string> there;
  const PromptGraph graph(prompt, fixtures::catalog());
  const std::vector<std::string> classes = classes_of(graph);
  for (const InputFile& file : input_files_of(graph, exists)) {
    if (!exists(file.type, file.name)) continue;
    const bool folder = names_folder(file.name);
    const std::string path = file.name.substr(0, file.name.size() - (folder ? 1 : 0));
    std::string name = worker_input_name(path, sha256(path));
    names[{file.type, file.name}] = name;
    there.insert(name + (folder ? "/" : ""));
  }
  rewrite(prompt, fixtures::catalog(), names, JobId{1}, Epoch{2});
  expect(prompt.size() == request.prompt.object().size(), "a rewritten prompt has the same nodes");
  const PromptGraph changed(prompt, fixtures::catalog());
  expect(classes_of(changed) == classes, "and the same classes");
  static_cast<void>(models_of(changed));
  expect(Json::parse(rewritten.prompt.print(), kOwnJson).has_value(), "a rewritten prompt can be read back");
  const auto on_worker = [&](FileType type, std::string_view name) {
    return (type == FileType::input && there.contains(std::string(name))) || exists(type, name);
  };
  const Validation again = validate(rewritten, fixtures::catalog(), on_worker);
  expect(again.accepted && again.outputs_to_execute == validation.outputs_to_execute,
         "a rewritten prompt is valid on the worker");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body = fuzz::text_of(data, size);
  auto parsed = parse_prompt_request(body);
  check_limits(body, parsed);
  if (!parsed) {
    check_error(parsed.error());
    return 0;
  }
  const auto again = parse_prompt_request(print(*parsed));
  expect(again.has_value() && equal(*again, *parsed), "a prompt that is printed and parsed again is equal");
  static_cast<void>(parsed->workflow_id());
  check_files(parsed->prompt.object());
  const Validation validation = validate(*parsed, fixtures::catalog(), exists);
  if (!validation.accepted) {
    expect(Json::parse(validation.error_body(), kOwnJson).has_value(), "the answer to a bad prompt is JSON");
    return 0;
  }
  check_accepted(*parsed, validation);
  check_rewritten(*parsed, validation);
  return 0;
}
