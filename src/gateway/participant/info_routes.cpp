// SPDX-License-Identifier: MIT
// What the front end asks about the server itself: features, system, models, extensions (CI A1, A4, B2, D7).
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>

#include "comfy/files.hpp"
#include "comfy/json.hpp"
#include "comfy/model_lists.hpp"
#include "comfy/node_replacements.hpp"
#include "comfy/object_info.hpp"
#include "files/safe_path.hpp"
#include "gateway/participant/face_impl.hpp"

namespace atelier::gateway {
namespace {

// The version of ComfyUI whose interface this is, told while no worker has told one.
constexpr std::string_view kInterfaceVersion = "0.21.0";
constexpr std::string_view kTemplatesVersion = "0.11.97";  // tools/vendor/requirements.txt
constexpr std::size_t kModelDepthMax = 16;

using Reported = std::vector<std::shared_ptr<const comfy::ModelLists>>;

/// The library's own and the workers', by name.
comfy::ModelLists::Files models_of(const files::Files& files, const Reported& reported,
                                   const std::string& folder) {
  comfy::ModelLists::Files models;
  files::ListLimits limits;
  limits.depth_max = kModelDepthMax;
  if (const auto listed = files.data().library().list(folder, limits)) {  // else nothing lies there
    const auto seconds = [](std::int64_t ns) { return static_cast<double>(ns) / 1e9; };
    for (const files::Entry& entry : listed->entries) {
      if (entry.kind != files::EntryKind::file || !comfy::looks_like_model(entry.path)) continue;
      models[entry.path] = {entry.stat.size(), seconds(entry.stat.key.modified_ns),
                            seconds(entry.stat.created_ns)};
    }
  }
  for (const auto& lists : reported) {
    const auto* found = lists->find(folder);
    if (found == nullptr) continue;
    for (const auto& [name, file] : *found) {
      comfy::ModelFile& known = models.try_emplace(name, file).first->second;
      const bool is_named = known.is_named || file.is_named;
      // Older engines tell no times.
      if (file.has_details && (!known.has_details || known.modified == 0)) known = file;
      known.is_named = is_named;
    }
  }
  return models;
}

bool is_listed(const Reported& reported, std::string_view folder) {
  return comfy::is_model_folder(folder) ||
         std::ranges::any_of(reported, [&](const auto& lists) { return lists->find(folder) != nullptr; });
}

/// ComfyUI's, in its order, then those that custom packs of some worker have.
std::vector<std::string> folders_of(const Reported& reported) {
  std::vector<std::string> names(comfy::kModelFolders.begin(), comfy::kModelFolders.end());
  std::set<std::string> more;
  for (const auto& lists : reported) {
    for (const auto& [folder, files] : lists->folders()) {
      if (!comfy::is_model_folder(folder)) more.insert(folder);
    }
  }
  names.insert(names.end(), more.begin(), more.end());
  return names;
}

std::string device_json(const WorkerView& worker, std::size_t index) {
  const std::string_view device = worker.device;
  const std::string_view type = device.substr(0, device.find_first_of(": "));
  return fmt::format(
      R"({{"name":{},"type":{},"index":{},"vram_total":{},"vram_free":{},"torch_vram_total":{},"torch_vram_free":{}}})",
      comfy::quote_json(device), comfy::quote_json(type), index, worker.vram_total, worker.vram_free,
      worker.vram_total, worker.vram_free);
}

}  // namespace

std::string feature_flags_json(std::uint64_t upload_bytes_max) {
  // The same object at /features and in the socket's answer: the front end reads both (CI F6).
  return fmt::format(
      R"({{"supports_preview_metadata":true,"supports_model_type_tags":true,"max_upload_size":{},)"
      R"("extension":{{"manager":{{"supports_v4":true}}}},"node_replacements":true,"assets":false,)"
      R"("partner_run_gate_enabled":false,"show_signin_button":false,"onboarding_tour_enabled":false}})",
      upload_bytes_max);
}

net::Response ParticipantFace::Impl::get_features(const Call&) { return json_response(flags_json); }

net::Response ParticipantFace::Impl::get_node_replacements(const Call&) {
  return json_response(comfy::print_node_replacements(*catalog.object_info()));
}

net::Response ParticipantFace::Impl::get_system_stats(const Call&) {
  const std::vector<WorkerView> connected = workers ? workers() : std::vector<WorkerView>{};
  std::string version(kInterfaceVersion);
  std::string devices;
  for (std::size_t i = 0; i < connected.size(); ++i) {
    if (i == 0 && !connected[i].version.empty()) version = connected[i].version;
    if (i > 0) devices += ',';
    devices += device_json(connected[i], i);
  }
  // The engines are elsewhere: this machine's memory and Python would mislead. Of the arguments the front end
  // takes that it shall not ask api.comfy.org for anything (CI F6).
  return json_response(fmt::format(
      R"({{"system":{{"os":"linux","ram_total":0,"ram_free":0,"comfyui_version":{0},)"
      R"("required_frontend_version":{1},"installed_templates_version":{2},"required_templates_version":{2},)"
      R"("python_version":"","pytorch_version":"","embedded_python":false,)"
      R"("argv":["main.py","--disable-api-nodes"]}},"devices":[{3}]}})",
      comfy::quote_json(version), comfy::quote_json(options.frontend_version),
      templates.empty() ? "null" : comfy::quote_json(kTemplatesVersion), devices));
}

net::Response ParticipantFace::Impl::get_extensions(const Call&) {
  std::vector<std::string> paths;
  if (own_files.contains("atelier.js")) paths.emplace_back("/extensions/atelier/atelier.js");
  for (const std::string& path : frontend.names_below("extensions/")) {
    if (path.ends_with(".js")) paths.push_back("/" + path);
  }
  return json_response(comfy::quote_json_list(paths));
}

awaitable<net::Response> ParticipantFace::Impl::refuse_assets(Call&) {
  co_return net::Response::json(
      503, R"({"error":{"code":"SERVICE_DISABLED","message":"The asset system is off.","details":{}}})");
}

awaitable<net::Response> ParticipantFace::Impl::get_embeddings(Call&) {
  auto look = [this, reported = catalog.models()] { return models_of(files, reported, "embeddings"); };
  const comfy::ModelLists::Files models = co_await files.run(std::move(look));
  std::vector<std::string> names;
  for (const auto& [path, file] : models) {
    if (!file.is_named) continue;
    const files::SplitPath split = files::split_path(path);
    names.push_back(files::join_path(split.folder, files::split_extension(split.name).stem));
  }
  co_return json_response(comfy::quote_json_list(names));
}

net::Response ParticipantFace::Impl::get_models(const Call&) {
  return json_response(comfy::quote_json_list(folders_of(catalog.models())));
}

awaitable<net::Response> ParticipantFace::Impl::get_model_folder(Call& call) {
  const std::string folder = call.captures.front();
  Reported reported = catalog.models();
  if (!is_listed(reported, folder)) co_return empty_response(404);
  auto look = [this, folder, reported] { return models_of(files, reported, folder); };
  const comfy::ModelLists::Files models = co_await files.run(std::move(look));
  std::vector<std::string> names;
  for (const auto& [name, file] : models) {
    if (file.is_named) names.push_back(name);
  }
  co_return json_response(comfy::quote_json_list(names));
}

net::Response ParticipantFace::Impl::get_experiment_models(const Call&) {
  std::string text = "[";
  for (const std::string& folder : folders_of(catalog.models())) {
    if (comfy::is_model_folder(folder) && !comfy::is_library_folder(folder)) continue;
    // A path of the right form; where models really lie is nobody's business but the operator's.
    text += fmt::format(R"({}{{"name":"{}","folders":["/models/{}"]}})", text.size() > 1 ? "," : "", folder,
                        folder);
  }
  return json_response(text + "]");
}

awaitable<net::Response> ParticipantFace::Impl::get_experiment_folder(Call& call) {
  const std::string folder = call.captures.front();
  Reported reported = catalog.models();
  if (!is_listed(reported, folder)) co_return empty_response(404);
  auto look = [this, folder, reported] { return models_of(files, reported, folder); };
  const comfy::ModelLists::Files models = co_await files.run(std::move(look));
  std::string text = "[";
  for (const auto& [name, file] : models) {
    if (!file.has_details) continue;
    text += fmt::format(R"({}{{"name":{},"pathIndex":0,"modified":{:.6f},"created":{:.6f},"size":{}}})",
                        text.size() > 1 ? "," : "", comfy::quote_json(name), file.modified, file.created,
                        file.bytes);
  }
  co_return json_response(text + "]");
}

}  // namespace atelier::gateway
