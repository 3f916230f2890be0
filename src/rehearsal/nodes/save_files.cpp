// SPDX-License-Identifier: MIT
#include "rehearsal/nodes/save_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "base/result.hpp"
#include "rehearsal/resize.hpp"

namespace atelier::rehearsal {

NodeResult<SavePlace> place_for(const NodeCall& call, comfy::FileType type, const std::string& prefix,
                                std::uint32_t width, std::uint32_t height) {
  auto place = save_place(*call.folders, type, fill_prefix(prefix, width, height, std::time(nullptr)));
  if (place) return std::move(*place);
  if (place.error().code != Errc::forbidden) return node_failure("OSError", place.error().what);
  return node_failure("Exception",
                      "Saving an image outside the output folder is not allowed: \"" + prefix + "\"");
}

std::string numbered_name(std::string_view stem, std::uint32_t number, std::string_view ending) {
  return fmt::format("{}_{:05}_{}", stem, number, ending);
}

NodeResult<NodeOutput> save_single(const SavePlace& place, std::string_view ending, std::string_view bytes) {
  std::string name = numbered_name(place.stem, place.counter, ending);
  if (auto written = write_file(place.folder + "/" + name, bytes); !written)
    return node_failure("OSError", written.error().what);
  NodeOutput output;
  output.images.push_back(
      {std::move(name), place.subfolder, std::string(comfy::to_string(comfy::FileType::output))});
  return output;
}

image::Picture8 to_bytes(const Tensor& images, std::uint32_t frame) {
  image::Picture8 picture{images.width, images.height, 1, images.channels, {}};
  const float* from = images.samples.data() + frame * images.frame_length();
  picture.samples.resize(picture.frame_length());
  std::transform(from, from + picture.samples.size(), picture.samples.begin(), to_byte);
  return picture;
}

image::Picture8 all_to_bytes(const Tensor& images) {
  image::Picture8 pictures{images.width, images.height, images.frames, images.channels, {}};
  pictures.samples.resize(images.samples.size());
  std::ranges::transform(images.samples, pictures.samples.begin(), to_byte);
  return pictures;
}

NodeResult<std::string> read_video_file(const std::string& path) {
  auto bytes = read_file(path);
  if (bytes) return std::move(*bytes);
  const bool gone = bytes.error().code == Errc::not_found;
  return node_failure(gone ? "av.error.FileNotFoundError" : "OSError",
                      "the video cannot be read: " + bytes.error().what);
}

NodeResult<Video> decoded(const NodeCall& call, const Video& video) {
  if (video.images) return video;
  const auto bytes = read_video_file(video.file);
  if (!bytes) return std::unexpected(bytes.error());
  image::VideoLimits limits;
  limits.pixels_max = kTensorPixelsMax;
  std::uint64_t done = 0;
  auto parts = image::decode_video(*bytes, limits, [&] {
    ++done;  // how many there will be is not known
    return call.watch->advance(done - 1, done);
  });
  if (!parts) return std::unexpected(video_failure(parts.error()));
  return Video{std::make_shared<const Tensor>(std::move(parts->frames)), parts->rate.per_second(), {}};
}

NodeFailure video_failure(const Error& error) {
  switch (error.code) {
    case Errc::cancelled:
      return interrupted().error();
    case Errc::bad_request:
      return {"av.error.InvalidDataError", error.what};
    case Errc::unsupported:
      return {"av.error.ExternalError", error.what};
    default:
      return {"RuntimeError", error.what};
  }
}

}  // namespace atelier::rehearsal
