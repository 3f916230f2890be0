// SPDX-License-Identifier: MIT
#pragma once
// The one printer of JSON text behind Json::print, python_json_dumps and ObjectInfo.

#include <boost/json/fwd.hpp>
#include <functional>
#include <string>
#include <string_view>

namespace atelier::comfy {

struct JsonStyle {
  bool spaces = false;  // ", " and ": " as Python's json.dumps
  bool ascii = false;   // \uXXXX for everything else, DEL too, as there
};

/// Called with each array and string; returns true if it printed the value itself.
using JsonIntercept = std::function<bool(const boost::json::value& value, std::string& out)>;

void print_json_string(std::string_view text, JsonStyle style, std::string& out);
void print_json_to(const boost::json::value& value, JsonStyle style, std::string& out,
                   const JsonIntercept* intercept = nullptr);

}  // namespace atelier::comfy
