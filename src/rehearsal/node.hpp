// SPDX-License-Identifier: MIT
#pragma once
// What a node of the rehearsal engine is: a name, its /object_info, and a function over float tensors.
//
// A tensor is image::PictureF: frames x height x width x channels, 0..1. IMAGE has 3 channels (4 after a
// batch with RGBA), MASK has 1. Tensors are immutable once a node has given them out and are shared between
// nodes. Nodes run on a thread of the compute pool, one at a time; they touch files only through `Folders`.

#include <atomic>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "image/picture.hpp"
#include "image/png_text.hpp"
#include "rehearsal/folders.hpp"

namespace atelier::rehearsal {

using Tensor = image::PictureF;
using TensorPtr = std::shared_ptr<const Tensor>;

/// A VIDEO: pictures at a rate, or a file that nobody has looked into yet.
struct Video {
  TensorPtr images;       // nullptr: it is `file`
  double per_second = 0;  // of `images`
  std::string file;       // absolute path
};
using VideoPtr = std::shared_ptr<const Video>;

/// What travels along a link or stands in an input. A BOOLEAN is 0 or 1; monostate is Python's None (the
/// sound of a video).
using Value = std::variant<std::int64_t, double, std::string, TensorPtr, VideoPtr, std::monostate>;

/// Why a node did not finish. `type` is what ComfyUI calls the exception ("Exception", "RuntimeError",
/// "av.error.InvalidDataError"), because clients show it; the message is in our words.
struct NodeFailure {
  std::string type, message;
  bool interrupted = false;
};
[[nodiscard]] inline std::unexpected<NodeFailure> node_failure(std::string type, std::string message) {
  return std::unexpected(NodeFailure{std::move(type), std::move(message), false});
}
[[nodiscard]] inline std::unexpected<NodeFailure> interrupted() {
  return std::unexpected(NodeFailure{"", "", true});
}

template <class T>
using NodeResult = std::expected<T, NodeFailure>;

/// The engine's ear inside a running node.
class Watch {
 public:
  virtual ~Watch() = default;
  /// Says that `done` of `total` steps are made. False: stop now and give interrupted().
  /// Cheap: may be called per row. Events go out at most every 50 ms.
  [[nodiscard]] virtual bool advance(std::uint64_t done, std::uint64_t total) = 0;
};

/// One entry of a node's `ui.images`.
struct SavedImage {
  std::string filename, subfolder, type;
};

struct NodeOutput {
  std::vector<Value> values;       // by output slot
  std::vector<SavedImage> images;  // `ui.images`: of output nodes, and of others that show something
  std::optional<bool> animated;    // `ui.animated`; none: not said
};

/// One run of one node. All required inputs are there and have the declared kind: comfy::validate and
/// check_linked_inputs saw to it.
struct NodeCall {
  std::map<std::string, Value, std::less<>> inputs;
  const Folders* folders = nullptr;
  const std::vector<image::PngText>* metadata = nullptr;  // for saved pictures: prompt, workflow, ...
  std::string temp_letters;                               // five letters for PreviewImage's prefix
  Watch* watch = nullptr;

  [[nodiscard]] std::int64_t integer(std::string_view name) const;
  [[nodiscard]] double number(std::string_view name) const;
  [[nodiscard]] std::string text(std::string_view name) const;
  /// Never nullptr. A node that asks for what nobody checked is our mistake: std::logic_error.
  [[nodiscard]] TensorPtr tensor(std::string_view name) const;
  [[nodiscard]] VideoPtr video(std::string_view name) const;
  [[nodiscard]] bool has(std::string_view name) const;  // for optional inputs
};

struct NodeClass {
  std::string_view name;
  std::string_view info;  // JSON: this class's entry in /object_info
  bool output_node = false;
  NodeResult<NodeOutput> (*run)(const NodeCall& call) = nullptr;
};

/// More than this and the node fails, as a real ComfyUI would for want of memory: frames * height * width.
inline constexpr std::uint64_t kTensorPixelsMax = 100'000'000;

/// A tensor of zeros. Failure RuntimeError above kTensorPixelsMax.
[[nodiscard]] NodeResult<Tensor> make_tensor(std::uint64_t frames, std::uint64_t height, std::uint64_t width,
                                             std::uint32_t channels);
[[nodiscard]] NodeOutput one_tensor(Tensor tensor);

/// All nodes, by name.
[[nodiscard]] const std::vector<NodeClass>& node_classes();
[[nodiscard]] const NodeClass* find_node_class(std::string_view name);  // nullptr if unknown
/// The text of GET /object_info, without the participant's file lists.
[[nodiscard]] std::string object_info_text();

}  // namespace atelier::rehearsal
