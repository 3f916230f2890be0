// SPDX-License-Identifier: MIT
#include "gateway/participant/router.hpp"

#include <doctest/doctest.h>

#include <string>

namespace atelier::gateway {
namespace {

using Forms = Router::Forms;
using net::Method;

/// A handler that is known by its name.
struct Named {
  awaitable<net::Response> operator()(Call&) const { co_return net::Response(200); }
  std::string name;
};

struct Routes {
  void add(Method method, const std::string& pattern, Forms forms = Forms::both) {
    router.add(method, pattern, Named{std::string(net::to_string(method)) + " " + pattern}, forms);
  }
  [[nodiscard]] std::string find(Method method, std::string_view path) const {
    const auto match = router.find(method, path);
    return match.handler == nullptr ? "" : match.handler->target<Named>()->name;
  }
  Router router;
};

TEST_CASE("the quick way of a whole path is found where the route is, and only there") {
  Router router;
  const auto quick = [](Call&, net::Response&) { return true; };
  const RouteHandler handler = Named{"x"};
  router.add(Method::get, "/both", handler, Forms::both, quick);
  router.add(Method::get, "/api-only", handler, Forms::api_only, quick);
  router.add(Method::get, "/bare", handler, Forms::bare_only, quick);
  router.add(Method::get, "/slow", handler);
  router.add(Method::post, "/posted", handler, Forms::both, quick);
  router.add(Method::get, "/captures/{}", handler, Forms::both, quick);
  for (const std::string path :
       {"/both", "/api/both", "/api/api-only", "/bare", "/api-only", "/api/bare", "/slow", "/posted",
        "/both/", "/api/api/both", "/captures/1", "//both", "/api", ""}) {
    CAPTURE(path);
    const bool expected = router.find(Method::get, path).quick != nullptr && path != "/captures/1";
    CHECK((router.find_quick(path) != nullptr) == expected);
  }
  CHECK(router.find_quick("/api/both") != nullptr);
}

TEST_CASE("a route answers bare and below /api, unless it has only one of the two forms") {
  Routes routes;
  routes.add(Method::get, "/queue");
  routes.add(Method::get, "/jobs", Forms::api_only);
  routes.add(Method::get, "/internal/logs", Forms::bare_only);
  CHECK(routes.find(Method::get, "/queue") == "GET /queue");
  CHECK(routes.find(Method::get, "/api/queue") == "GET /queue");
  CHECK(routes.find(Method::get, "/api/jobs") == "GET /jobs");
  CHECK(routes.find(Method::get, "/jobs") == "");
  CHECK(routes.find(Method::get, "/internal/logs") == "GET /internal/logs");
  CHECK(routes.find(Method::get, "/api/internal/logs") == "");
  CHECK(routes.find(Method::get, "/api/api/queue") == "");
  CHECK(routes.find(Method::get, "/api") == "");
  CHECK(routes.find(Method::get, "/api/") == "");
}

TEST_CASE("a path is matched whole, segment by segment and as it is written") {
  Routes routes;
  routes.add(Method::get, "/queue");
  routes.add(Method::get, "/history/{}");
  routes.add(Method::get, "/");
  for (const std::string path : {"/queue/", "/Queue", "//queue", "/api//queue", "/queue/x", "/que",
                                 "/%71ueue", "", "/history", "/history/"}) {
    CAPTURE(path);
    const std::string found = routes.find(Method::get, path);
    CHECK(found == (path.empty() ? "GET /" : ""));
  }
  CHECK(routes.find(Method::get, "/") == "GET /");
}

TEST_CASE("a name with an encoded slash stays one segment and is decoded once") {
  Routes routes;
  for (const auto method : {Method::get, Method::post, Method::delete_}) routes.add(method, "/userdata/{}");
  routes.add(Method::post, "/userdata/{}/move/{}");
  auto match = routes.router.find(Method::get, "/api/userdata/workflows%2Fa%20b.json");
  CHECK(match.captures == std::vector<std::string>{"workflows/a b.json"});
  match = routes.router.find(Method::get, "/userdata/workflows%252Fa.json");
  CHECK(match.captures == std::vector<std::string>{"workflows%2Fa.json"});
  match = routes.router.find(Method::post, "/userdata/a%2Fb.json/move/c%2Fmove%2Fd.json");
  CHECK(match.captures == std::vector<std::string>{"a/b.json", "c/move/d.json"});
  CHECK(routes.find(Method::get, "/userdata/workflows/a.json") == "");
  CHECK(routes.find(Method::get, "/userdata/100%") == "");  // not an encoding
  CHECK(routes.find(Method::get, "/userdata/%zz") == "");
}

TEST_CASE("an open end takes the whole raw rest and at least one segment") {
  Routes routes;
  routes.add(Method::get, "/assets", Forms::api_only);
  routes.add(Method::get, "/assets/{*}", Forms::api_only);
  CHECK(routes.find(Method::get, "/api/assets") == "GET /assets");
  auto match = routes.router.find(Method::get, "/api/assets/a/b%2Fc/d");
  CHECK(match.captures == std::vector<std::string>{"a/b%2Fc/d"});
  match = routes.router.find(Method::get, "/api/assets/");
  CHECK(match.captures == std::vector<std::string>{""});
  CHECK(routes.find(Method::get, "/assets/x") == "");
}

TEST_CASE("another method of a known path is told which there are, an unknown path nothing") {
  Routes routes;
  routes.add(Method::get, "/queue");
  routes.add(Method::post, "/queue");
  routes.add(Method::post, "/jobs/{}/cancel", Forms::api_only);
  CHECK(routes.router.find(Method::delete_, "/api/queue").allow == "GET,HEAD,POST");
  CHECK(routes.router.find(Method::get, "/api/jobs/x/cancel").allow == "POST");
  CHECK(routes.router.find(Method::get, "/jobs/x/cancel").allow.empty());
  CHECK(routes.router.find(Method::put, "/nothing").allow.empty());
  CHECK(routes.router.find(Method::get, "/queue").allow.empty());  // found: nothing to say
}

TEST_CASE("the route added first wins") {
  Routes routes;
  routes.add(Method::post, "/jobs/cancel", Forms::api_only);
  routes.add(Method::post, "/jobs/{}", Forms::api_only);
  CHECK(routes.find(Method::post, "/api/jobs/cancel") == "POST /jobs/cancel");
  CHECK(routes.find(Method::post, "/api/jobs/x") == "POST /jobs/{}");
}

}  // namespace
}  // namespace atelier::gateway
