// SPDX-License-Identifier: MIT
#include "comfy/object_info.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <unordered_map>
#include <utility>

#include "comfy/dynamic_inputs.hpp"
#include "comfy/foreign_names.hpp"
#include "comfy/input_spec.hpp"
#include "comfy/json_printer.hpp"
#include "comfy/python_text.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

const json::object& no_options() {
  static const json::object object;
  return object;
}

bool flag(const json::object& object, json::string_view name) {
  const auto* value = object.if_contains(name);
  return value != nullptr && python_truth(*value);
}

std::string text_of(const json::object& object, json::string_view name) {
  const auto* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(text_view(value->get_string())) : std::string();
}

/// Of a service that wants an account: some of them (asset makers) do not say so themselves.
bool is_partner_class(const json::object& object) {
  if (flag(object, "api_node")) return true;
  const std::string module = text_of(object, "python_module");
  return module == "comfy_api_nodes" || module.starts_with("comfy_api_nodes.");
}

UploadFlags read_flags(const json::object& options) {
  UploadFlags flags;
  flags.image = flag(options, "image_upload");
  flags.animated_image = flag(options, "animated_image_upload");
  flags.video = flag(options, "video_upload");
  flags.audio = flag(options, "audio_upload");
  flags.mesh =
      flag(options, "mesh_upload") || flag(options, "file_upload");  // ComfyUI 0.21 Load3D: file_upload
  flags.allow_batch = flag(options, "allow_batch");
  flags.folder = parse_file_type(text_of(options, "image_folder")).value_or(FileType::input);
  flags.subfolder = text_of(options, "upload_subfolder");
  return flags;
}

FileListKey list_key(const UploadFlags& flags) {
  FileListKey key{flags.folder, ContentKind::image, flags.subfolder};
  if (flags.video)
    key.content = ContentKind::video;
  else if (flags.audio)
    key.content = ContentKind::audio;
  else if (flags.mesh)
    key.content = ContentKind::model3d;
  if (flags.mesh && key.subfolder.empty()) key.subfolder = "3d";  // ComfyUI 0.21, nodes_load_3d.py
  return key;
}

/// A stretch of a class's text, followed by what differs from participant to participant.
struct Piece {
  std::string text;
  enum class Hole : std::uint8_t { none, files, route } hole = Hole::none;
  std::size_t list = 0;            // files: index of the key in the class's own list_keys
  std::vector<std::string> first;  // files: choices before them that are no files
  std::string route;
};

struct Entry {
  NodeClass node;
  std::vector<Piece> pieces;
  std::vector<FileListKey> list_keys;
};

constexpr std::pair<const char*, InputGroup> kGroups[] = {
    {"required", InputGroup::required}, {"optional", InputGroup::optional}, {"hidden", InputGroup::hidden}};

/// Combos whose choices ComfyUI makes of its input folder and does not mark as files (nodes.py,
/// nodes_dataset.py: two classes LoadImage...FromFolder in 0.21.0, two LoadVideo...FromFolder more in 0.33).
std::optional<FileListKey> unmarked_list(std::string_view class_name, std::string_view input) {
  FileListKey key;
  if (class_name == "LoadLatent" && input == "latent") {
    key.content = ContentKind::latent;
    return key;
  }
  if (class_name.starts_with("Load") && class_name.ends_with("FromFolder") && input == "folder") {
    key.folders = true;
    return key;
  }
  return std::nullopt;
}

InputSpec input_of_class(std::string_view class_name, std::string name, InputGroup group,
                         const json::value& config) {
  InputSpec spec = make_input_spec(std::move(name), group, config);
  if (!spec.file_list && spec.choices != nullptr && !spec.remote)
    spec.file_list = unmarked_list(class_name, spec.name);
  return spec;
}

void read_inputs(NodeClass& node) {
  const auto* input = node.raw.object().if_contains("input");
  if (input == nullptr || !input->is_object()) return;
  for (const auto& [group_name, group] : kGroups) {
    const auto* members = input->get_object().if_contains(group_name);
    if (members == nullptr || !members->is_object()) continue;
    for (const auto& member : members->get_object())
      node.inputs.push_back(input_of_class(node.name, std::string(member.key()), group, member.value()));
  }
  for (const InputSpec& spec : node.inputs) {
    if (spec.group == InputGroup::hidden) continue;
    node.visible_inputs.push_back(&spec);
    node.has_dynamic_inputs = node.has_dynamic_inputs || is_dynamic_type(spec.type);
  }
}

/// Choices that are no files but stand in lists of them.
bool is_no_file(const json::value& choice) {
  const auto* text = choice.if_string();
  return text != nullptr && (*text == "none" || *text == "None");
}

template <class Keep>
void keep_choices(json::array& choices, const Keep& keep) {
  if (std::all_of(choices.begin(), choices.end(), keep)) return;
  json::array kept;
  for (json::value& choice : choices)
    if (keep(choice)) kept.push_back(std::move(choice));
  choices = std::move(kept);
}

/// In any depth: V3's dynamic inputs hold the declarations of others.
void drop_worker_names(json::value& value) {
  if (auto* object = value.if_object())
    for (auto& member : *object) drop_worker_names(member.value());
  auto* list = value.if_array();
  if (list == nullptr) return;
  keep_choices(*list, [](const json::value& choice) {
    return !choice.is_string() || !is_worker_name(text_view(choice.get_string()));
  });
  for (json::value& item : *list)
    if (!item.is_string()) drop_worker_names(item);
}

/// On a worker the files and folders of all participants lie there, and are nobody else's business: these
/// choices are emptied before anything is kept, also those that list `folders`, which a class of ours has.
void empty_file_choices(std::string_view class_name, json::object& raw, const json::array& folders) {
  auto* input = raw.if_contains("input");
  if (input == nullptr || !input->is_object()) return;
  for (const auto& [group_name, group] : kGroups) {
    auto* members = input->get_object().if_contains(group_name);
    if (members == nullptr || !members->is_object()) continue;
    for (auto& member : members->get_object()) {
      const InputSpec spec = input_of_class(class_name, std::string(member.key()), group, member.value());
      if (spec.choices == nullptr) continue;
      auto& config = member.value().get_array();
      auto& choices =
          config[0].is_array() ? config[0].get_array() : config[1].get_object()["options"].get_array();
      // What 0.33 lists there has been made by everybody's jobs, and is brought back to nobody.
      const bool training = class_name == "LoadTrainingDataset" && spec.name == "folder_name";
      if (spec.takes_folder() || training || (folders.size() > 1 && choices == folders))
        choices.clear();
      else if (spec.file_list)
        keep_choices(choices, is_no_file);
    }
  }
  drop_worker_names(*input);
}

/// The folders below an engine's input folder, as ComfyUI tells them to the class that lists them.
json::array input_folders_of(const json::object& classes) {
  const auto* value = classes.if_contains("LoadImageDataSetFromFolder");
  for (const char* name : {"input", "required", "folder"}) {
    if (value == nullptr || !value->is_object()) return {};
    value = value->get_object().if_contains(name);
  }
  if (value == nullptr) return {};
  const InputSpec spec = make_input_spec("folder", InputGroup::required, *value);
  return spec.choices != nullptr ? *spec.choices : json::array{};
}

bool in_order(const json::object& members, const json::array& names) {
  auto name = names.begin();
  for (const auto& member : members) {
    if (name == names.end()) return true;
    if (!name->is_string() || name->get_string() != member.key()) return false;
    ++name;
  }
  return true;
}

/// Puts members into the order that `input_order` states, so that declared order survives any transport.
void order_inputs(json::object& raw) {
  const auto* order = raw.if_contains("input_order");
  auto* input = raw.if_contains("input");
  if (order == nullptr || !order->is_object() || input == nullptr || !input->is_object()) return;
  for (const auto& group : order->get_object()) {
    auto* members = input->get_object().if_contains(group.key());
    if (members == nullptr || !members->is_object() || !group.value().is_array()) continue;
    if (in_order(members->get_object(), group.value().get_array())) continue;
    json::object sorted;
    for (const auto& name : group.value().get_array()) {
      if (!name.is_string()) continue;
      if (auto* config = members->get_object().if_contains(name.get_string()))
        sorted[name.get_string()] = *config;
    }
    for (auto& member : members->get_object())
      sorted.insert(json::object::value_type(member.key(), member.value()));
    members->get_object() = std::move(sorted);
  }
}

const json::value* remote_route(const InputSpec& spec) {
  const auto* remote = spec.options->if_contains("remote");
  if (remote == nullptr || !remote->is_object()) return nullptr;
  const auto* route = remote->get_object().if_contains("route");
  return route != nullptr && route->is_string() && text_view(route->get_string()).starts_with('/') ? route
                                                                                                   : nullptr;
}

void make_pieces(Entry& entry) {
  std::map<const json::value*, std::size_t> lists;  // choices -> index of key
  std::map<const json::value*, std::string> routes;
  for (const auto& spec : entry.node.inputs) {
    if (const auto* route = remote_route(spec)) routes[route] = std::string(text_view(route->get_string()));
    if (!spec.file_list) continue;
    const json::value* place = spec.legacy_combo ? spec.type_value : spec.options->if_contains("options");
    auto found = std::find(entry.list_keys.begin(), entry.list_keys.end(), *spec.file_list);
    lists[place] = static_cast<std::size_t>(found - entry.list_keys.begin());
    if (found == entry.list_keys.end()) entry.list_keys.push_back(*spec.file_list);
  }
  std::string out;
  const JsonIntercept intercept = [&](const json::value& value, std::string& text) {
    Piece piece;
    if (const auto list = lists.find(&value); list != lists.end()) {
      piece.hole = Piece::Hole::files;
      piece.list = list->second;
      if (const auto* choices = value.if_array())
        for (const auto& choice : *choices)
          if (choice.is_string()) piece.first.emplace_back(text_view(choice.get_string()));
    } else if (const auto route = routes.find(&value); route != routes.end()) {
      piece.hole = Piece::Hole::route;
      piece.route = route->second;
    } else {
      return false;
    }
    piece.text = std::exchange(text, {});
    entry.pieces.push_back(std::move(piece));
    return true;
  };
  const bool plain = lists.empty() && routes.empty();
  print_json_to(entry.node.raw.value(), {}, out, plain ? nullptr : &intercept);
  entry.pieces.push_back(Piece{.text = std::move(out), .first = {}, .route = {}});
}

std::shared_ptr<const Entry> make_entry(std::string name, json::object raw, const json::array& folders = {}) {
  auto entry = std::make_shared<Entry>();
  order_inputs(raw);
  empty_file_choices(name, raw, folders);
  NodeClass& node = entry->node;
  node.name = std::move(name);
  node.raw = Json(std::move(raw));
  const auto& object = std::as_const(node.raw).object();
  node.output_node = flag(object, "output_node");
  node.input_is_list = flag(object, "is_input_list");
  node.deprecated = flag(object, "deprecated");
  node.experimental = flag(object, "experimental");
  node.v3 = object.contains("price_badge");
  read_inputs(node);
  if (const auto* output = object.if_contains("output"); output != nullptr && output->is_array())
    for (const auto& type : output->get_array()) node.output_types.push_back(&type);
  make_pieces(*entry);
  return entry;
}

/// Choices that `extra` has and `base` lacks, put into a copy of base; null if there are
/// none.
std::shared_ptr<const Entry> with_choices_of(const Entry& base, const Entry& extra) {
  json::object raw;
  for (const auto& spec : base.node.inputs) {
    const InputSpec* other = extra.node.find_input(spec.name);
    if (other == nullptr || spec.choices == nullptr || other->choices == nullptr || spec.file_list) continue;
    if (spec.legacy_combo != other->legacy_combo || spec.group != other->group || spec.remote) continue;
    std::vector<json::value> added;
    for (const auto& choice : *other->choices)
      if (std::find(spec.choices->begin(), spec.choices->end(), choice) == spec.choices->end())
        added.push_back(choice);
    if (added.empty()) continue;
    if (raw.empty()) raw = base.node.raw.object();
    const char* group = spec.group == InputGroup::required ? "required" : "optional";
    auto& config = raw["input"].as_object()[group].as_object()[spec.name].as_array();
    auto& choices = spec.legacy_combo ? config[0].as_array() : config[1].as_object()["options"].as_array();
    const auto less = [](const json::value& a, const json::value& b) {
      return python_str(a) < python_str(b);
    };
    const bool sorted = std::is_sorted(choices.begin(), choices.end(), less);
    choices.insert(choices.end(), added.begin(), added.end());
    if (sorted) std::sort(choices.begin(), choices.end(), less);
  }
  return raw.empty() ? nullptr : make_entry(base.node.name, std::move(raw));
}

void print_entry(const Entry& entry, const ObjectInfoView& view, std::map<FileListKey, std::string>& lists,
                 std::string& out) {
  for (const auto& piece : entry.pieces) {
    out += piece.text;
    if (piece.hole == Piece::Hole::route) {
      print_json_string(view.route_prefix + piece.route, {}, out);
    } else if (piece.hole == Piece::Hole::files) {
      const auto& key = entry.list_keys[piece.list];
      auto found = lists.find(key);
      if (found == lists.end())
        found = lists.emplace(key, quote_json_list(view.files ? view.files(key) : std::vector<std::string>{}))
                    .first;
      if (piece.first.empty()) {
        out += found->second;
        continue;
      }
      out += quote_json_list(piece.first);
      if (found->second == "[]") continue;
      out.back() = ',';
      out.append(found->second, 1);
    }
  }
}

}  // namespace

struct ObjectInfo::Impl {
  struct Class {
    std::string name;
    std::shared_ptr<const Entry> entry;
  };
  std::vector<Class> classes;  // in the order of the answer
  std::unordered_map<std::string_view, const Class*> by_name;
  std::size_t text_bytes = 0;       // of all pieces: what print_all reserves
  std::vector<ObjectInfo> sources;  // what was merged

  /// When `classes` is complete.
  void index() {
    for (const Class& known : classes) by_name.emplace(known.name, &known);
  }
  [[nodiscard]] const Class* find(std::string_view name) const {
    const auto found = by_name.find(name);
    return found == by_name.end() ? nullptr : found->second;
  }
};

InputSpec make_input_spec(std::string name, InputGroup group, const json::value& config) {
  InputSpec spec;
  spec.name = std::move(name);
  spec.group = group;
  spec.config = &config;
  spec.options = &no_options();
  const auto* list = config.if_array();
  spec.type_value = list != nullptr && !list->empty() ? &(*list)[0] : &config;
  if (list != nullptr && list->size() > 1 && (*list)[1].is_object()) spec.options = &(*list)[1].get_object();
  if (const auto* choices = spec.type_value->if_array();
      choices != nullptr && list != nullptr && !list->empty()) {
    spec.type = "COMBO";
    spec.combo = spec.legacy_combo = true;
    spec.choices = choices;
  } else if (spec.type_value->is_string()) {
    spec.type = std::string(text_view(spec.type_value->get_string()));
    spec.combo = spec.type == "COMBO";
    if (const auto* options = spec.options->if_contains("options"); spec.combo && options != nullptr)
      spec.choices = options->if_array();
  }
  spec.multiselect = flag(*spec.options, "multiselect");
  spec.min = spec.options->if_contains("min");
  spec.max = spec.options->if_contains("max");
  const auto* remote = spec.options->if_contains("remote");
  spec.remote = remote != nullptr && remote->is_object();
  if (!spec.combo) return spec;
  spec.upload = read_flags(*spec.options);
  if (spec.upload.any() && spec.choices != nullptr && !spec.remote) spec.file_list = list_key(spec.upload);
  return spec;
}

const InputSpec* NodeClass::find_input(std::string_view input_name) const {
  for (const auto& input : inputs)
    if (input.name == input_name) return &input;
  return nullptr;
}

ObjectInfo::ObjectInfo() : impl_(std::make_shared<Impl>()) {}
ObjectInfo::ObjectInfo(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

Result<ObjectInfo> ObjectInfo::parse(std::string_view text, const ObjectInfoLimits& limits) {
  const JsonLimits json_limits{.bytes_max = limits.bytes_max, .depth_max = limits.depth_max};
  auto read = Json::parse(text, json_limits);
  if (!read && read.error().code == Errc::bad_request) read = Json::parse(strict_json(text), json_limits);
  if (!read) return std::unexpected(std::move(read).error());
  Json parsed = std::move(*read);
  auto* object = parsed.value().if_object();
  if (object == nullptr) return fail(Errc::bad_request, "object_info is not a JSON object");
  if (object->size() > limits.classes_max)
    return fail(Errc::too_large, fmt::format("object_info of {} classes, the limit is {}", object->size(),
                                             limits.classes_max));
  const json::array folders = input_folders_of(*object);
  auto impl = std::make_shared<Impl>();
  for (auto& member : *object) {
    auto* raw = member.value().if_object();
    if (raw == nullptr || is_partner_class(*raw)) continue;
    std::string name(member.key());
    auto entry = make_entry(name, std::move(*raw), folders);
    for (const auto& piece : entry->pieces) impl->text_bytes += piece.text.size() + name.size() + 8;
    impl->classes.push_back({std::move(name), std::move(entry)});
  }
  impl->index();
  return ObjectInfo(std::move(impl));
}

ObjectInfo ObjectInfo::merge(std::span<const ObjectInfo> parts) {
  if (parts.size() == 1) return parts.front();
  auto impl = std::make_shared<Impl>();
  impl->sources.assign(parts.begin(), parts.end());
  std::unordered_map<std::string_view, std::size_t> places;
  for (const auto& part : parts) {
    impl->text_bytes = std::max(impl->text_bytes, part.impl_->text_bytes);
    for (const auto& known : part.impl_->classes) {
      const auto [place, fresh] = places.emplace(known.name, impl->classes.size());
      if (fresh) {
        impl->classes.push_back(known);
        continue;
      }
      auto& entry = impl->classes[place->second].entry;
      if (entry == known.entry) continue;
      if (auto merged = with_choices_of(*entry, *known.entry)) entry = std::move(merged);
    }
  }
  impl->index();
  return ObjectInfo(std::move(impl));
}

std::span<const ObjectInfo> ObjectInfo::sources() const { return impl_->sources; }

const NodeClass* ObjectInfo::find(std::string_view class_name) const {
  const auto* const known = impl_->find(class_name);
  return known == nullptr ? nullptr : &known->entry->node;
}

std::vector<std::string> ObjectInfo::class_names() const {
  std::vector<std::string> names;
  names.reserve(impl_->classes.size());
  for (const auto& [name, entry] : impl_->classes) names.push_back(name);
  std::ranges::sort(names);
  return names;
}

std::size_t ObjectInfo::size() const { return impl_->classes.size(); }

std::string ObjectInfo::print_all(const ObjectInfoView& view) const {
  std::map<FileListKey, std::string> lists;
  std::string out;
  out.reserve(impl_->text_bytes + impl_->text_bytes / 8 + 64);
  out += '{';
  for (const auto& [name, entry] : impl_->classes) {
    if (out.size() > 1) out += ',';
    print_json_string(name, {}, out);
    out += ':';
    print_entry(*entry, view, lists, out);
  }
  return out += '}';
}

std::vector<ObjectInfoPart> ObjectInfo::parts() const {
  std::vector<ObjectInfoPart> parts;
  std::string text = "{";
  for (const auto& [name, entry] : impl_->classes) {
    if (&name != &impl_->classes.front().name) text += ',';
    print_json_string(name, {}, text);
    text += ':';
    if (entry->pieces.size() == 1) {
      text += entry->pieces.front().text;
    } else {
      parts.push_back({std::exchange(text, {}), {}});
      parts.push_back({{}, name});
    }
  }
  text += '}';
  parts.push_back({std::move(text), {}});
  return parts;
}

std::string ObjectInfo::print_description(std::string_view class_name, const ObjectInfoView& view) const {
  const auto* const known = impl_->find(class_name);
  if (known == nullptr) return "null";
  std::map<FileListKey, std::string> lists;
  std::string out;
  print_entry(*known->entry, view, lists, out);
  return out;
}

std::string ObjectInfo::print_class(std::string_view class_name, const ObjectInfoView& view) const {
  const auto* const known = impl_->find(class_name);
  if (known == nullptr) return "{}";
  std::map<FileListKey, std::string> lists;
  std::string out = "{";
  print_json_string(known->name, {}, out);
  out += ':';
  print_entry(*known->entry, view, lists, out);
  return out += '}';
}

}  // namespace atelier::comfy
