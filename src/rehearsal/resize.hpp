// SPDX-License-Identifier: MIT
#pragma once
// The five ways in which ComfyUI's ImageScale changes a picture's size. Float loops, one thread.
//
// nearest-exact, bilinear, bicubic and area follow PyTorch's interpolate without antialiasing (half-pixel
// centres, edges repeated, bicubic with a = -0.75, area = mean of the covered pixels); lanczos follows
// Pillow's resize: the samples become 8 bits first, three lobes, rows before columns with 22-bit fixed-point
// weights and 8 bits between them (Pillow 11 and 12; 13 may take the columns first and differ by 1).
// Compared in tests/unit/rehearsal/resize_test.cpp with numbers that PyTorch and Pillow computed:
// nearest-exact and lanczos bit for bit, the others within 1e-6.

#include <optional>
#include <string_view>

#include "rehearsal/node.hpp"

namespace atelier::rehearsal {

enum class Scaling { nearest_exact, bilinear, area, bicubic, lanczos };
[[nodiscard]] std::optional<Scaling> parse_scaling(std::string_view name);  // ComfyUI's option names

/// All frames to width x height (both at least 1). Fails if interrupted, too large, or the source has no
/// pixels; of none lanczos makes black ones, as in ComfyUI 0.21.0.
[[nodiscard]] NodeResult<Tensor> resize(const Tensor& source, std::uint32_t width, std::uint32_t height,
                                        Scaling scaling, Watch& watch);

/// The same with the method as an input names it and a size as a node computes it. Failures also: ValueError
/// for another name; RuntimeError (lanczos: ValueError, as Pillow has it) for less than one pixel.
[[nodiscard]] NodeResult<Tensor> resize_named(const Tensor& source, double width, double height,
                                              std::string_view method, Watch& watch);

/// The middle of the source with the aspect of width : height (crop "center"); the same pixels, no
/// resampling.
[[nodiscard]] Tensor center_crop(const Tensor& source, std::uint32_t width, std::uint32_t height);

/// The part that begins at (x, y); it must lie inside the source.
[[nodiscard]] Tensor cut(const Tensor& source, std::uint32_t x, std::uint32_t y, std::uint32_t width,
                         std::uint32_t height);

/// 255 * sample in single precision, clipped, the fraction dropped: how ComfyUI makes 8-bit pictures.
[[nodiscard]] std::uint8_t to_byte(float sample);

}  // namespace atelier::rehearsal
