// SPDX-License-Identifier: MIT
#include "agent/ui_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <optional>

#include "comfy/files.hpp"
#include "comfy/json.hpp"
#include "comfy/output_files.hpp"
#include "comfy/output_name.hpp"
#include "comfy/rewrite.hpp"
#include "files/safe_path.hpp"

namespace atelier::agent {
namespace json = boost::json;
namespace {

constexpr std::size_t kRandomDigits = 32;  // uuid4().hex
constexpr std::string_view kBeside = "/workflow";

std::string_view text_of(const json::value& object, std::string_view key) {
  const json::value* value = object.is_object() ? object.get_object().if_contains(key) : nullptr;
  return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
}

class Finder {
 public:
  explicit Finder(RunKey key) : own_(comfy::job_folder(key.job, key.epoch) + '/') {}

  void item(std::string_view list, std::size_t index, const json::value& item) {
    place_ = fmt::format("{}/{}", list, index);
    if (place_.size() + kBeside.size() > link::kNameBytesMax) return;
    if (const json::string* text = item.if_string()) {
      const std::string_view path = *text;
      const std::string_view behind = comfy::background_of(list, index, path);
      if (!behind.empty()) return add(behind, "temp");
      if (path.size() <= link::kNameBytesMax) this->text(path);
    } else if (item.is_object()) {
      object(item);
    }
  }
  std::vector<UiFile> files() && { return std::move(files_); }

 private:
  void object(const json::value& item) {
    const json::value* filename = item.get_object().if_contains("filename");
    if (filename == nullptr || !filename->is_string()) return;
    UiFile file;
    file.place = place_;
    file.filename = std::string_view(filename->get_string());
    file.subfolder = text_of(item, "subfolder");
    file.type = item.get_object().contains("type") ? text_of(item, "type") : "output";
    files_.push_back(file);
    file.filename = comfy::picture_beside(item.get_object());
    if (file.filename.empty()) return;
    file.place += kBeside;
    file.sure = false;
    files_.push_back(std::move(file));
  }

  void text(std::string_view path) {
    if (std::ranges::any_of(path, [](char c) { return static_cast<unsigned char>(c) < 0x20; })) return;
    const comfy::AnnotatedName named = comfy::split_annotation(path);
    if (named.type == comfy::FileType::input) return;
    const std::string_view name = named.name;
    const std::string type(comfy::to_string(named.type_or(comfy::FileType::output)));
    if (const auto at = below_own_folder(name)) {
      const bool temp = !named.type && name.substr(0, *at).ends_with("/temp/");
      add(name.substr(*at), temp ? "temp" : type);
    } else if (is_random_mesh(name)) {
      add(name, type);
      if (!named.type) add(name, "temp");  // it is not said which
    }
  }

  /// Where in a path the run's folder begins.
  [[nodiscard]] std::optional<std::size_t> below_own_folder(std::string_view path) const {
    const std::size_t at = path.find(own_);
    const bool whole = at == 0 || (at != std::string_view::npos && path[0] == '/' && path[at - 1] == '/');
    if (!whole || path.size() == at + own_.size()) return std::nullopt;
    return at;
  }

  static bool is_random_mesh(std::string_view name) {
    if (name.find('/') != std::string_view::npos) return false;
    if (comfy::content_kind_of(name) != comfy::ContentKind::model3d) return false;
    const std::string_view stem = name.substr(0, name.rfind('.'));
    if (stem.size() <= kRandomDigits) return false;
    return std::ranges::all_of(stem.substr(stem.size() - kRandomDigits),
                               [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  }

  void add(std::string_view path, std::string type) {
    const files::SplitPath split = files::split_path(path);
    UiFile file;
    file.place = place_;
    file.filename = split.name;
    file.subfolder = split.folder;
    file.type = std::move(type);
    file.sure = false;
    files_.push_back(std::move(file));
  }

  std::string own_, place_;
  std::vector<UiFile> files_;
};

/// The parts of "atelier/12-3/sub", the folder of a run or one below it, of whatever job.
struct RunFolder {
  std::string_view job;    // "12"
  std::string_view below;  // "sub"
};

std::optional<RunFolder> run_folder(std::string_view folder) {
  constexpr std::string_view kRoot = "atelier/";
  if (!folder.starts_with(kRoot)) return std::nullopt;
  folder.remove_prefix(kRoot.size());
  const std::size_t end = folder.find('/');
  const std::string_view name = folder.substr(0, end);
  const std::size_t dash = name.find('-');
  if (dash == 0 || dash == std::string_view::npos || dash + 1 == name.size()) return std::nullopt;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (i != dash && (name[i] < '0' || name[i] > '9')) return std::nullopt;
  }
  return RunFolder{name.substr(0, dash),
                   end == std::string_view::npos ? std::string_view() : folder.substr(end + 1)};
}

/// A name that a file of Linux may have.
bool is_linux_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos && files::is_utf8(name);
}

/// The path with harmless names; nothing if it is none of Linux, or leads elsewhere.
std::optional<std::string> harmless_path(std::string_view path) {
  std::string out;
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t slash = std::min(path.find('/', at), path.size());
    const std::string_view name = path.substr(at, slash - at);
    if (!is_linux_name(name)) return std::nullopt;
    out += (out.empty() ? "" : "/") + comfy::harmless_name(name);
    at = slash + 1;
  }
  return out;
}

std::optional<link::FileType> type_of(std::string_view type) {
  if (type == "output") return link::FileType::output;
  if (type == "temp") return link::FileType::temp;
  if (type == "input") return link::FileType::input;
  return std::nullopt;
}

}  // namespace

Result<std::vector<UiFile>> files_of_ui(std::string_view ui, RunKey key) {
  ATELIER_TRY(const comfy::Json parsed, comfy::Json::parse(ui, {.bytes_max = 256u << 20, .depth_max = 128}));
  Finder finder(key);
  for (const auto& list : parsed.object()) {
    const json::array* items = list.value().if_array();
    if (items == nullptr) continue;
    for (std::size_t i = 0; i < items->size(); ++i) finder.item(list.key(), i, (*items)[i]);
  }
  return std::move(finder).files();
}

Result<PlacedFile> place_file(const UiFile& file, RunKey key) {
  PlacedFile placed;
  link::CommitFile& named = placed.named;
  named.place = file.place;
  const auto type = type_of(file.type);
  if (!type) {
    return fail(Errc::bad_request,
                fmt::format("a node named a file of the unknown type \"{}\"", file.type.substr(0, 40)));
  }
  named.type = *type;
  const auto checked = files::check_folder(file.subfolder);
  const auto name = files::check_name(file.filename);
  placed.odd = !checked || !name;
  const std::string folder = checked ? *checked : file.subfolder;
  placed.path = files::join_path(folder, file.filename);
  const auto harmless = harmless_path(placed.path);
  const auto usable = harmless ? files::check_path(*harmless) : Result<void>();
  if (placed.odd && (!harmless || !usable || file.filename.find('/') != std::string::npos)) {
    const Error& error = checked ? name.error() : checked.error();
    return fail(error.code, fmt::format("a node named a file that cannot be taken: {}", error.what));
  }
  const std::string& shown = placed.odd ? *harmless : placed.path;
  const files::SplitPath split = files::split_path(shown);
  const std::string own = comfy::job_folder(key.job, key.epoch);
  named.in_job_folder =
      named.type == link::FileType::output && (folder == own || folder.starts_with(own + "/"));
  named.folder = split.folder;
  if (const auto run = run_folder(split.folder)) {
    if (named.type != link::FileType::input && run->job != fmt::to_string(key.job.value)) {
      return fail(Errc::forbidden,
                  "a node named a file that cannot be taken: it lies in the folder of another job");
    }
    named.folder = std::string(run->below);
  }
  const comfy::OutputName number = comfy::split_output_name(split.name);
  named.stem = number.stem;
  if (number.number) named.number = *number.number;
  named.rest = number.rest;
  return placed;
}

}  // namespace atelier::agent
