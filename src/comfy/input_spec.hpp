// SPDX-License-Identifier: MIT
#pragma once
// Reading one declared input. For .cpp files only; the nested declarations of V3's dynamic inputs are read
// with it, too.

#include <boost/json.hpp>
#include <string>

#include "comfy/object_info.hpp"

namespace atelier::comfy {

/// Pointers of the result lead into `config`, which must outlive it.
[[nodiscard]] InputSpec make_input_spec(std::string name, InputGroup group, const boost::json::value& config);

[[nodiscard]] inline std::string_view text_view(const boost::json::string& text) {
  return {text.data(), text.size()};
}

}  // namespace atelier::comfy
