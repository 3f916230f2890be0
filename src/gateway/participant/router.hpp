// SPDX-License-Identifier: MIT
#pragma once
// Method and raw path -> handler. Paths are matched segment by segment before anything is decoded, so that a
// slash inside a name (%2F) stays inside its segment (CI D4).

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "net/http.hpp"

namespace atelier::gateway {

/// One request on its way through a participant's face.
struct Call {
  net::Request& request;
  ParticipantId participant;
  std::string_view path;              // raw, below the participant's prefix: "/api/queue"
  std::vector<std::string> captures;  // of the pattern's {}, decoded once
};
using RouteHandler = std::function<awaitable<net::Response>(Call&)>;
/// The same where it needs no waiting: false leaves the call to the RouteHandler.
using QuickRoute = std::function<bool(Call&, net::Response&)>;

class Router {
 public:
  /// Which forms of a path are served (CI, general rules).
  enum class Forms { both, api_only, bare_only };

  /// `pattern`: "/api/jobs/{}/cancel" is written "/jobs/{}/cancel" with Forms::api_only. A last segment "{*}"
  /// takes the whole raw rest.
  void add(net::Method method, std::string_view pattern, RouteHandler handler, Forms forms = Forms::both,
           QuickRoute quick = {});

  struct Match {
    const RouteHandler* handler = nullptr;
    const QuickRoute* quick = nullptr;  // null if it has none
    std::vector<std::string> captures;
    std::string allow;  // with no handler: the methods that the path has; empty = no such path
  };
  [[nodiscard]] Match find(net::Method method, std::string_view raw_path) const;
  /// The quick way of a GET whose pattern captures nothing; null: ask find().
  [[nodiscard]] const QuickRoute* find_quick(std::string_view raw_path) const;

 private:
  struct Route {
    net::Method method;
    std::vector<std::string> segments;
    RouteHandler handler;
    QuickRoute quick;
    Forms forms;
  };
  std::map<std::string, std::vector<Route>, std::less<>> routes_;  // by first segment
  /// Quick GETs without captures, by their whole path: found without taking it apart.
  std::map<std::string, QuickRoute, std::less<>> quick_;
};

}  // namespace atelier::gateway
