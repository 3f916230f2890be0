// SPDX-License-Identifier: MIT
#include "gateway/participant/router.hpp"

#include <fmt/ranges.h>

#include <optional>
#include <set>

namespace atelier::gateway {
namespace {

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> segments;
  if (path.starts_with('/')) path.remove_prefix(1);
  while (true) {
    const std::size_t slash = path.find('/');
    segments.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return segments;
    path.remove_prefix(slash + 1);
  }
}

std::string_view first_segment(std::string_view path) {
  if (path.starts_with('/')) path.remove_prefix(1);
  return path.substr(0, path.find('/'));
}

std::optional<std::vector<std::string>> match(const std::vector<std::string>& pattern,
                                              const std::vector<std::string_view>& segments) {
  const bool open = pattern.back() == "{*}";
  if (open ? segments.size() < pattern.size() : segments.size() != pattern.size()) return std::nullopt;
  std::vector<std::string> captures;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == "{*}") {
      const char* const begin = segments[i].data();
      captures.emplace_back(begin, segments.back().data() + segments.back().size());
    } else if (pattern[i] == "{}") {
      auto decoded = net::percent_decode(segments[i]);
      if (!decoded || decoded->empty()) return std::nullopt;
      captures.push_back(std::move(*decoded));
    } else if (pattern[i] != segments[i]) {
      return std::nullopt;
    }
  }
  return captures;
}

}  // namespace

void Router::add(net::Method method, std::string_view pattern, RouteHandler handler, Forms forms,
                 QuickRoute quick) {
  if (quick && method == net::Method::get && pattern.find('{') == std::string_view::npos) {
    if (forms != Forms::api_only) quick_.emplace(pattern, quick);
    if (forms != Forms::bare_only) quick_.emplace("/api" + std::string(pattern), quick);
  }
  Route route{method, {}, std::move(handler), std::move(quick), forms};
  for (const std::string_view segment : split(pattern)) route.segments.emplace_back(segment);
  routes_[route.segments.front()].push_back(std::move(route));
}

const QuickRoute* Router::find_quick(std::string_view raw_path) const {
  const auto found = quick_.find(raw_path);
  return found == quick_.end() ? nullptr : &found->second;
}

Router::Match Router::find(net::Method method, std::string_view raw_path) const {
  const bool api = raw_path.starts_with("/api/");
  if (api) raw_path.remove_prefix(std::string_view("/api").size());
  Match result;
  const auto group = routes_.find(first_segment(raw_path));
  if (group == routes_.end()) return result;  // a file of the front end, most likely
  const std::vector<std::string_view> segments = split(raw_path);
  std::set<std::string_view> others;  // sorted, as ComfyUI's server names them
  for (const Route& route : group->second) {
    if (route.forms == (api ? Forms::bare_only : Forms::api_only)) continue;
    auto captures = match(route.segments, segments);
    if (!captures) continue;
    if (route.method == method) {
      result.handler = &route.handler;
      result.quick = route.quick ? &route.quick : nullptr;
      result.captures = std::move(*captures);
      return result;
    }
    others.insert(net::to_string(route.method));
    if (route.method == net::Method::get) others.insert("HEAD");
  }
  result.allow = fmt::format("{}", fmt::join(others, ","));
  return result;
}

}  // namespace atelier::gateway
