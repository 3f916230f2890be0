// SPDX-License-Identifier: MIT
// ImageQuantize: every picture with a palette of its own, without or with dithering.
#include <algorithm>
#include <charconv>

#include "rehearsal/nodes/nodes.hpp"
#include "rehearsal/palette.hpp"

namespace atelier::rehearsal {
namespace {

// One picture in 8 bits. ComfyUI does not clip here: what lies above 1 wraps.
using Pixels = std::vector<Colour>;

Pixels to_pixels(const float* from, std::size_t count) {
  Pixels pixels(count);
  for (Colour& pixel : pixels) {
    for (std::uint8_t& part : pixel)
      part = static_cast<std::uint8_t>(static_cast<std::int32_t>(std::clamp(*from++, -1e6F, 1e6F) * 255.0F));
  }
  return pixels;
}

void map_plainly(Pixels& pixels, NearestColour& nearest) {
  for (Colour& pixel : pixels) pixel = nearest(pixel);
}

// Floyd and Steinberg: 7/16 of an error to the right, 3, 5 and 1 to the row below. Pillow 13 keeps for the
// last pixel of a row blue's errors in place of all three colours', so we do as well.
void map_with_errors(Pixels& pixels, std::size_t width, NearestColour& nearest) {
  std::vector<std::array<int, 3>> below(width + 1);  // 16 times what comes down to the pixel before
  for (std::size_t start = 0; start < pixels.size(); start += width) {
    std::array<int, 3> right{}, before{}, last{};
    for (std::size_t x = 0; x < width; ++x) {
      Colour& pixel = pixels[start + x];
      Colour wanted{};
      for (std::size_t c = 0; c < 3; ++c) {
        wanted[c] =
            static_cast<std::uint8_t>(std::clamp(pixel[c] + (right[c] + below[x + 1][c]) / 16, 0, 255));
      }
      pixel = nearest(wanted);
      for (std::size_t c = 0; c < 3; ++c) {
        const int error = wanted[c] - pixel[c];
        below[x][c] = 3 * error + before[c];
        before[c] = 5 * error + last[c];
        last[c] = error;
        right[c] = 7 * error;
      }
    }
    below[width] = {before[2], last[2], last[2]};
  }
}

// Bayer's matrix of order 2^n, between -0.5 and 0.5.
std::vector<float> bayer_matrix(std::size_t order) {
  std::vector<float> matrix{0.0F};
  for (std::size_t size = 1; size < order; size *= 2) {
    const auto cells = static_cast<float>(4 * size * size);
    std::vector<float> larger(4 * size * size);
    constexpr std::array<std::array<float, 2>, 2> kShift{{{-1.5F, 0.5F}, {1.5F, -0.5F}}};
    for (std::size_t y = 0; y < 2 * size; ++y) {
      for (std::size_t x = 0; x < 2 * size; ++x) {
        const float inner = matrix[y % size * size + x % size];
        larger[y * 2 * size + x] = (cells * inner + kShift[y / size][x / size]) / cells;
      }
    }
    matrix = std::move(larger);
  }
  return matrix;
}

void map_with_pattern(Pixels& pixels, std::size_t width, std::size_t order, std::size_t colours,
                      NearestColour& nearest) {
  const std::vector<float> matrix = bayer_matrix(order);
  const auto spread = static_cast<float>(2.0 * 256 / static_cast<double>(colours));
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    const float shift = spread * matrix[i / width % order * order + i % width % order] + 0.5F;
    for (std::uint8_t& part : pixels[i])
      part = static_cast<std::uint8_t>(std::clamp(static_cast<float>(part) + shift, 0.0F, 255.0F));
    pixels[i] = nearest(pixels[i]);
  }
}

NodeResult<NodeOutput> run(const NodeCall& call) {
  const TensorPtr image = call.tensor("image");
  if (image->channels != 3)
    return node_failure("ValueError", "pictures with an alpha channel cannot be quantized");
  const std::string dither = call.text("dither");
  std::size_t order = 0;
  if (dither.starts_with("bayer-")) std::from_chars(dither.data() + 6, dither.data() + dither.size(), order);
  Tensor result = *image;
  const std::size_t length = image->frame_length();
  for (std::size_t frame = 0; frame < image->frames; ++frame) {
    if (!call.watch->advance(frame, image->frames)) return interrupted();
    Pixels pixels = to_pixels(image->samples.data() + frame * length, length / 3);
    Palette palette = median_cut(pixels, static_cast<std::size_t>(call.integer("colors")));
    const std::size_t colours = palette.size();
    NearestColour nearest(std::move(palette));
    if (dither == "floyd-steinberg")
      map_with_errors(pixels, image->width, nearest);
    else if (order > 0)
      map_with_pattern(pixels, image->width, order, colours, nearest);
    else
      map_plainly(pixels, nearest);
    float* to = result.samples.data() + frame * length;
    for (const Colour& pixel : pixels) {
      for (const std::uint8_t part : pixel) *to++ = static_cast<float>(part) / 255.0F;
    }
  }
  return one_tensor(std::move(result));
}

}  // namespace

NodeClass image_quantize_node() {
  return {"ImageQuantize",
          R"info({"input":{"required":{"image":["IMAGE",{}],"colors":["INT",{"default":256,"min":1,"max":256,
"step":1}],
"dither":["COMBO",{"multiselect":false,"options":["none","floyd-steinberg","bayer-2","bayer-4","bayer-8",
"bayer-16"]}]}},"input_order":{"required":["image","colors","dither"]},"is_input_list":false,
"output":["IMAGE"],"output_is_list":[false],"output_name":["IMAGE"],"output_tooltips":[null],
"output_matchtypes":null,"name":"ImageQuantize","display_name":"Quantize Image","description":"",
"python_module":"comfy_extras.nodes_post_processing","category":"image/postprocessing","output_node":false,
"deprecated":false,"experimental":false,"dev_only":false,"api_node":false,"price_badge":null,
"search_aliases":null,"essentials_category":null,"has_intermediate_output":false})info",
          false, run};
}

}  // namespace atelier::rehearsal
