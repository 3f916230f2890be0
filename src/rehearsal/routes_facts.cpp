// SPDX-License-Identifier: MIT
// Routes that say what this engine is and has (comfyui-interface.md A1, A4, E).
#include <sys/sysinfo.h>

#include <boost/json.hpp>

#include "comfy/files.hpp"
#include "rehearsal/server_impl.hpp"

namespace atelier::rehearsal {
namespace json = boost::json;
namespace {

using Reply = awaitable<net::Response>;

Reply get_object_info(ServerState& server, Call&) {
  co_return net::Response::json(200, server.engine.object_info().print_all(server.engine.info_view()));
}

Reply get_class_info(ServerState& server, Call& call) {
  const auto& info = server.engine.object_info();
  co_return net::Response::json(200, info.print_class(call.arguments[0], server.engine.info_view()));
}

Reply get_system_stats(ServerState& server, Call&) {
  struct sysinfo memory{};
  sysinfo(&memory);
  const std::uint64_t total = std::uint64_t{memory.totalram} * memory.mem_unit;
  const std::uint64_t free = std::uint64_t{memory.freeram} * memory.mem_unit;
  const json::object system{{"os", "linux"},
                            {"ram_total", total},
                            {"ram_free", free},
                            {"comfyui_version", "0.21.0"},
                            {"required_frontend_version", nullptr},
                            {"installed_templates_version", nullptr},
                            {"required_templates_version", nullptr},
                            {"python_version", "none: Atelier rehearsal engine"},
                            {"pytorch_version", "none"},
                            {"embedded_python", false},
                            {"argv", json::array{"atelier-rehearsal", "--name", server.options.name}}};
  const json::object device{{"name", "cpu"},          {"type", "cpu"},     {"index", nullptr},
                            {"vram_total", total},    {"vram_free", free}, {"torch_vram_total", total},
                            {"torch_vram_free", free}};
  co_return net::Response::json(
      200, json::serialize(json::object{{"system", system}, {"devices", json::array{device}}}));
}

Reply get_features(ServerState&, Call&) { co_return net::Response::json(200, feature_flags()); }

Reply get_models(ServerState&, Call&) {
  co_return net::Response::json(
      200, json::serialize(json::array(comfy::kModelFolders.begin(), comfy::kModelFolders.end())));
}

Reply get_models_of(ServerState&, Call& call) {
  co_return comfy::is_model_folder(call.arguments[0]) ? net::Response::json(200, "[]") : net::Response(404);
}

Reply get_experiment_models(ServerState&, Call&) {
  json::array list;
  for (const std::string_view folder : comfy::kModelFolders) {
    if (comfy::is_library_folder(folder)) list.push_back({{"name", folder}, {"folders", json::array()}});
  }
  co_return net::Response::json(200, json::serialize(list));
}

Reply get_users(ServerState&, Call&) {
  co_return net::Response::json(200, R"({"storage":"server","migrated":true})");
}

Reply get_empty_list(ServerState&, Call&) { co_return net::Response::json(200, "[]"); }
Reply get_empty_object(ServerState&, Call&) { co_return net::Response::json(200, "{}"); }
Reply get_nothing(ServerState&, Call&) { co_return net::Response(404); }

// Top-level visible files, annotated: the front end's list for remote combos.
Reply get_internal_files(ServerState& server, Call& call) {
  const auto type = comfy::parse_file_type(call.arguments[0]);
  if (!type) co_return net::Response::json(400, R"({"error":"Invalid directory type"})");
  json::array names;
  for (const auto kind :
       {comfy::ContentKind::image, comfy::ContentKind::video, comfy::ContentKind::audio,
        comfy::ContentKind::model3d, comfy::ContentKind::latent, comfy::ContentKind::other}) {
    for (const auto& name : server.engine.folders().list(*type, kind)) {
      names.emplace_back(name + " [" + call.arguments[0] + "]");
    }
  }
  co_return net::Response::json(200, json::serialize(names));
}

Reply get_index(ServerState& server, Call&) {
  // The name comes from the command line of whoever started the engine; a few characters are enough to keep
  // it text.
  std::string name = server.options.name;
  std::erase_if(name, [](char c) { return c == '<' || c == '>' || c == '&'; });
  co_return net::Response::html(
      200, "<!doctype html><meta charset=utf-8><title>" + name + "</title><h1>" + name +
               "</h1><p>This is Atelier's rehearsal engine: it speaks ComfyUI's interface and runs "
               "the basic image nodes on the CPU. It has no editor of its own; open a participant's "
               "page on the Atelier server instead.</p>");
}

constexpr auto kGet = net::Method::get;
constexpr Route kRoutes[] = {
    {kGet, "/", get_index, Route::Where::only_bare},
    {kGet, "/object_info", get_object_info},
    {kGet, "/object_info/*", get_class_info},
    {kGet, "/system_stats", get_system_stats},
    {kGet, "/features", get_features},
    {kGet, "/embeddings", get_empty_list},
    {kGet, "/models", get_models},
    {kGet, "/models/*", get_models_of},
    {kGet, "/experiment/models", get_experiment_models},
    {kGet, "/experiment/models/*", get_models_of},
    {kGet, "/view_metadata/*", get_nothing},
    {kGet, "/extensions", get_empty_list},
    {kGet, "/users", get_users},
    {kGet, "/settings", get_empty_object},
    {kGet, "/i18n", get_empty_object},
    {kGet, "/workflow_templates", get_empty_object},
    {kGet, "/global_subgraphs", get_empty_object},
    {kGet, "/node_replacements", get_empty_object},
    {kGet, "/internal/files/*", get_internal_files, Route::Where::only_bare},
};

}  // namespace

std::span<const Route> fact_routes() { return kRoutes; }

}  // namespace atelier::rehearsal
