// SPDX-License-Identifier: MIT
// Names and paths from outside: what the router and the userdata routes decode, names of uploads, names that
// prompts give. Whatever is let through stays inside its folder.

#include <algorithm>
#include <filesystem>
#include <string>

#include "comfy/files.hpp"
#include "comfy/output_name.hpp"
#include "comfy/rewrite.hpp"
#include "files/output_names.hpp"
#include "files/participant_folder.hpp"
#include "files/safe_path.hpp"
#include "fuzz.hpp"
#include "net/http.hpp"

using namespace atelier;  // NOLINT: tests
using fuzz::expect;

namespace {

/// As the kernel would walk it: every component counts.
void expect_inside(std::string_view path) {
  expect(!path.empty() && path.size() <= files::kPathBytesMax && path.front() != '/', "a path is relative");
  expect(files::is_utf8(path), "a path is UTF-8");
  std::size_t depth = 0;
  for (std::string_view rest = path; depth <= files::kPathDepthMax; ++depth) {
    const std::size_t slash = rest.find('/');
    const std::string_view name = rest.substr(0, slash);
    expect(!name.empty() && name != "." && name != ".." && name.size() <= files::kNameBytesMax,
           "a component names something inside its folder");
    expect(std::ranges::none_of(name, [](unsigned char c) { return c < 0x20 || c == 0x7f || c == '\\'; }),
           "a component has no control character and no backslash");
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  expect(depth < files::kPathDepthMax, "a path is not too deep");
  const std::filesystem::path whole = std::filesystem::path("/root/of/it") / std::string(path);
  expect(whole.lexically_normal() == whole, "a path is in its normal form, so it stays inside");
}

/// As userdata_routes.cpp: a name that is still encoded was encoded twice.
std::string twice_decoded(const std::string& once) {
  if (once.find('%') == std::string::npos) return once;
  return net::percent_decode(once).value_or(once);
}

void check_path(std::string_view path) {
  const bool good = files::check_path(path).has_value();
  if (good) {
    expect_inside(path);
    const files::SplitPath split = files::split_path(path);
    expect(files::join_path(split.folder, split.name) == path, "a split path joins again");
    expect(files::check_name(split.name).has_value(), "the last component is a name");
    const files::SplitExtension parts = files::split_extension(split.name);
    expect(std::string(parts.stem) + std::string(parts.extension) == split.name,
           "a name is stem + extension");
    expect(comfy::stays_inside(path) && comfy::normal_path(path) == path, "ComfyUI's rule is wider");
  }
  if (const auto folder = files::check_folder(path); folder && !folder->empty()) expect_inside(*folder);
  if (files::check_name(path)) {
    expect_inside(path);
    expect(path.find('/') == std::string_view::npos, "a name has no slash");
  }
}

/// ComfyUI's words for names in prompts.
void check_comfy(std::string_view text) {
  const comfy::AnnotatedName theirs = comfy::split_annotation(text);
  const files::AnnotatedName ours = files::parse_annotated_name(text);
  expect(theirs.name == ours.path && theirs.type.has_value() == ours.type.has_value(),
         "prompts and routes read annotations alike");
  const std::string normal = comfy::normal_path(text);
  expect(comfy::normal_path(normal) == normal, "a normal form is its own normal form");
  if (comfy::stays_inside(text)) {
    expect(!normal.starts_with('/') && normal != ".." && !normal.starts_with("../"), "inside is inside");
    // Its components are made harmless one by one.
    const std::string placed = comfy::normal_path(comfy::worker_prefix(text, JobId{3}, Epoch{2}));
    expect(normal == "." || (placed.starts_with("atelier/3-2/") &&
                             std::ranges::count(placed, '/') == std::ranges::count(normal, '/') + 2),
           "a worker's prefix lies in the job's folder");
  }
  const comfy::OutputName output = comfy::split_output_name(text);
  expect(!output.number || *output.number <= 999'999'999, "an output's number has at most 9 digits");
  const auto same = files::split_output_name(text);
  expect(same.has_value() == output.number.has_value() &&
             (!same ||
              (same->stem == output.stem && same->number == output.number && same->rest == output.rest)),
         "core and ComfyUI's vocabulary split names alike");
  const std::string composed = comfy::compose_output_name(output);
  expect(comfy::split_output_name(composed) == output, "an output's name can be split again");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view raw = fuzz::text_of(data, size);
  check_path(raw);
  check_comfy(raw);
  if (const auto once = net::percent_decode(raw)) {
    check_path(*once);
    check_path(twice_decoded(*once));
  }
  const auto back = net::percent_decode(net::percent_encode(raw, "/"));
  expect(back && *back == raw, "what is encoded decodes to itself");
  for (const auto& [name, value] : net::parse_query(raw)) {
    expect(name.size() + value.size() <= raw.size(), "a query's pairs are no longer than the query");
    check_path(value);
  }
  return 0;
}
