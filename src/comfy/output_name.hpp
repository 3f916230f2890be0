// SPDX-License-Identifier: MIT
#pragma once
// ComfyUI's numbered output names, "stem_00001_.png" (core.md 6, "Names").

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace atelier::comfy {

/// `^(.*)_(\d{5,9})(\D*(?:\.[^.]*)?)$`, greedy: "a_00012_.png" -> "a", 12, "_.png". Without a match the
/// number is absent and `stem` is the whole name.
struct OutputName {
  std::string stem;
  std::optional<std::uint32_t> number;  // at most 999'999'999
  std::string rest;
  friend bool operator==(const OutputName&, const OutputName&) = default;
};

[[nodiscard]] OutputName split_output_name(std::string_view name);
/// The number with at least five digits: ("a", 12, "_.png") -> "a_00012_.png". Without a number: stem + rest.
[[nodiscard]] std::string compose_output_name(const OutputName& name);
[[nodiscard]] std::string compose_output_name(std::string_view stem, std::uint32_t number,
                                              std::string_view rest);
/// How a name without a number, or an upload, gets out of the way of a taken one: ("cat.png", 2) -> "cat
/// (2).png". copy 0 = the name itself. The extension is Python's os.path.splitext.
[[nodiscard]] std::string copy_name(std::string_view name, std::uint32_t copy);

/// The name with '_' in the place of what no participant's folder takes (files/safe_path.hpp), though ComfyUI
/// on Linux writes it: backslashes, control characters, dots and spaces at its end, the colon of "C:".
[[nodiscard]] std::string harmless_name(std::string_view name);
/// The same for what stands before a number: "cat." stays, since its file is "cat._00001_.png".
[[nodiscard]] std::string harmless_stem(std::string_view stem);

}  // namespace atelier::comfy
