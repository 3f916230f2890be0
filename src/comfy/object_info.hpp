// SPDX-License-Identifier: MIT
#pragma once
// ComfyUI's /object_info: what node classes an engine has, immutable once parsed (comfyui-interface.md E),
// and its printing for one participant. Everything here may be shared between threads.

#include <boost/json/fwd.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "comfy/files.hpp"
#include "comfy/json.hpp"

namespace atelier::comfy {

struct ObjectInfoLimits {
  std::size_t bytes_max = 64u << 20;
  std::size_t depth_max = 64;
  std::size_t classes_max = 20000;
};

enum class InputGroup : std::uint8_t { required, optional, hidden };

/// The upload flags of a combo: its choices are the participant's own files.
struct UploadFlags {
  bool image = false, animated_image = false, video = false, audio = false, mesh = false;
  bool allow_batch = false;
  FileType folder = FileType::input;  // image_folder
  std::string subfolder;              // upload_subfolder
  [[nodiscard]] bool any() const { return image || animated_image || video || audio || mesh; }
};

/// Which list fills the choices of a combo. As in ComfyUI, `audio` means sound and video files, `image` and
/// `video` their own kind, `model3d` the meshes of the front end's 3D viewer.
struct FileListKey {
  FileType folder = FileType::input;
  ContentKind content = ContentKind::image;
  std::string subfolder;  // "" = top level only; else everything below it, with it in front ("3d/a/cup.glb")
  bool folders = false;   // the folders themselves, of any depth: datasets
  auto operator<=>(const FileListKey&) const = default;
};

/// One declared input. Pointers lead into the owning NodeClass.
struct InputSpec {
  std::string name;
  InputGroup group = InputGroup::required;
  std::string type;  // "INT", "A,B", "*"; "COMBO" for both forms of combos
  bool combo = false;
  bool legacy_combo = false;  // the type is the array of choices itself
  bool multiselect = false;
  bool remote = false;  // choices are fetched by the front end itself
  UploadFlags upload;
  std::optional<FileListKey> file_list;        // set if the printed choices come from the participant's files
  const boost::json::value* config = nullptr;  // the declaration as it came: [type] or [type, options]
  const boost::json::value* type_value = nullptr;
  const boost::json::object* options = nullptr;             // never null; an empty object if there are none
  const boost::json::array* choices = nullptr;              // of a combo, if it has any
  const boost::json::value *min = nullptr, *max = nullptr;  // of `options`, if it has them

  [[nodiscard]] bool takes_folder() const { return file_list && file_list->folders; }
};

/// One node class.
struct NodeClass {
  NodeClass() = default;
  NodeClass(const NodeClass&) = delete;  // its inputs point into `raw`
  NodeClass& operator=(const NodeClass&) = delete;

  std::string name;
  bool output_node = false, input_is_list = false, deprecated = false, experimental = false;
  bool v3 = false;                  // only classes of the newer interface print a price_badge
  bool has_dynamic_inputs = false;  // some become others by the values given (dynamic_inputs.hpp)
  std::vector<InputSpec> inputs;    // required, optional, hidden, each in declared order
  std::vector<const InputSpec*> visible_inputs;  // of these the required and optional ones
  std::vector<const boost::json::value*>
      output_types;  // strings; old custom nodes also give lists of choices
  Json raw;          // the whole description

  [[nodiscard]] const InputSpec* find_input(std::string_view input_name) const;
};

/// How one participant sees it.
struct ObjectInfoView {
  std::string route_prefix;  // put before a remote.route that begins with "/": "/user/7"; "" changes nothing
  /// Names for combos with a file_list, sorted, as ComfyUI lists them; called once per key and print. Empty
  /// function: no files.
  std::function<std::vector<std::string>(const FileListKey&)> files;
};

/// A stretch of the whole answer: text that is the same for everybody, or a class's description that is not.
struct ObjectInfoPart {
  std::string text;        // with an empty class_name
  std::string class_name;  // its own text is print_description()
};

class ObjectInfo {
 public:
  /// No classes.
  ObjectInfo();

  /// Parses an answer of GET /object_info. Partner classes are dropped (`api_node: true`, or of the module
  /// comfy_api_nodes or below it); an entry that is not an object is too. Errors: too_large above a limit,
  /// bad_request if it is not a JSON object.
  [[nodiscard]] static Result<ObjectInfo> parse(std::string_view text, const ObjectInfoLimits& limits = {});

  /// Union of several: the first that has a class gives its description and its place, later ones add choices
  /// to its combos. Which of them takes a prompt: variants.hpp.
  [[nodiscard]] static ObjectInfo merge(std::span<const ObjectInfo> parts);
  /// Those that were merged; none for what was parsed.
  [[nodiscard]] std::span<const ObjectInfo> sources() const;

  [[nodiscard]] const NodeClass* find(std::string_view class_name) const;  // nullptr if unknown
  [[nodiscard]] std::vector<std::string> class_names() const;              // sorted
  [[nodiscard]] std::size_t size() const;

  /// The whole answer of /object_info, classes in the order in which they came. Static text is joined from
  /// prepared pieces; only the file lists are made anew.
  [[nodiscard]] std::string print_all(const ObjectInfoView& view) const;
  /// The parts whose texts, joined in order, are print_all().
  [[nodiscard]] std::vector<ObjectInfoPart> parts() const;
  /// A class's description alone; "null" for an unknown class.
  [[nodiscard]] std::string print_description(std::string_view class_name, const ObjectInfoView& view) const;
  /// The answer of /object_info/{class}: `{"X":{...}}`, or `{}` for an unknown class.
  [[nodiscard]] std::string print_class(std::string_view class_name, const ObjectInfoView& view) const;

 private:
  struct Impl;
  explicit ObjectInfo(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

/// Folder key ("loras") -> model names of that folder, as /models/{folder} answers.
using ModelFolders = std::map<std::string, std::vector<std::string>, std::less<>>;

/// A model file that a prompt needs. `folder` is empty if it was recognised by its extension only.
struct ModelReference {
  std::string folder, name;
  auto operator<=>(const ModelReference&) const = default;
};

/// By extension: .safetensors .ckpt .pt .pt2 .pth .bin .gguf .sft .onnx .pkl
[[nodiscard]] bool looks_like_model(std::string_view file_name);
/// A combo whose choices list model files: by extension, or all its choices stand in one of `folders`.
[[nodiscard]] bool is_model_combo(const InputSpec& input, const ModelFolders& folders = {});

}  // namespace atelier::comfy
