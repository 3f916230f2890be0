// SPDX-License-Identifier: MIT
#include "agent/prepare.hpp"

#include <boost/json.hpp>

#include "comfy/json.hpp"
#include "comfy/png_metadata.hpp"

namespace atelier::agent {
namespace json = boost::json;

comfy::FileType to_comfy(link::FileType type) {
  switch (type) {
    case link::FileType::input:
      return comfy::FileType::input;
    case link::FileType::output:
      return comfy::FileType::output;
    case link::FileType::temp:
      return comfy::FileType::temp;
  }
  return comfy::FileType::input;
}

Result<Prepared> prepare_prompt(std::string_view accepted, const comfy::ObjectInfo& info,
                                const comfy::WorkerNames& names, const link::Lease& lease,
                                std::string_view client_id) {
  comfy::JsonLimits limits;
  limits.bytes_max = 32u << 20;  // the accepted form holds prompt, workflow and pins
  limits.depth_max = 128;
  ATELIER_TRY(comfy::Json parsed, comfy::Json::parse(accepted, limits));
  if (!parsed.is_object()) return fail(Errc::bad_request, "the accepted form is not an object");
  json::object& form = parsed.object();
  json::value* prompt = form.if_contains("prompt");
  if (prompt == nullptr || !prompt->is_object())
    return fail(Errc::bad_request, "the accepted form has no prompt");
  Prepared prepared;
  prepared.original_prompt = comfy::python_json_dumps(*prompt);
  comfy::rewrite(prompt->get_object(), info, names, lease.job, lease.epoch);
  json::object body;
  body["prompt"] = std::move(*prompt);
  body["prompt_id"] = lease.run_id.uuid();
  body["client_id"] = client_id;
  json::value* extra = form.if_contains("extra_data");
  json::object extra_data =
      extra != nullptr && extra->is_object() ? std::move(extra->get_object()) : json::object();
  if (const json::value* texts = extra_data.if_contains("extra_pnginfo");
      texts != nullptr && texts->is_object()) {
    const json::value* workflow = texts->get_object().if_contains("workflow");
    if (workflow != nullptr) prepared.workflow = comfy::python_json_dumps(*workflow);
  }
  extra_data.erase("client_id");
  extra_data.erase("create_time");
  if (!lease.preview_method.empty()) extra_data["preview_method"] = lease.preview_method;
  body["extra_data"] = std::move(extra_data);
  // Of a prompt that is valid in part only these outputs run; ComfyUI 0.3.60 and newer know the field.
  if (json::value* outputs = form.if_contains("outputs");
      outputs != nullptr && outputs->is_array() && !outputs->get_array().empty()) {
    body["partial_execution_targets"] = std::move(*outputs);
  }
  prepared.body = comfy::print_json(body);
  return prepared;
}

Result<std::optional<std::string>> restore_png(std::string_view bytes, std::string_view original_prompt,
                                               std::optional<std::string_view> workflow) {
  constexpr std::string_view kSignature("\x89PNG\r\n\x1a\n", 8);
  if (!bytes.starts_with(kSignature)) return std::optional<std::string>();
  ATELIER_TRY(const std::optional<std::string> prompt_there, comfy::png_text(bytes, "prompt"));
  ATELIER_TRY(const std::optional<std::string> workflow_there, comfy::png_text(bytes, "workflow"));
  const bool other_workflow =
      workflow && (prompt_there || workflow_there) && workflow_there.value_or("") != *workflow;
  if (!prompt_there && !other_workflow) return std::optional<std::string>();
  comfy::PngTexts texts;
  if (prompt_there) texts.emplace_back("prompt", std::string(original_prompt));
  if (other_workflow && !workflow->empty()) texts.emplace_back("workflow", std::string(*workflow));
  ATELIER_TRY(std::string restored, comfy::set_png_texts(bytes, texts, other_workflow ? "workflow" : ""));
  return std::optional<std::string>(std::move(restored));
}

}  // namespace atelier::agent
