// SPDX-License-Identifier: MIT
#include "gateway/participant/router.hpp"

#include <doctest/doctest.h>

namespace atelier::gateway {
namespace {

using Forms = Router::Forms;

struct Routes {
  Routes() {
    const auto add = [this](net::Method method, std::string_view pattern, Forms forms = Forms::both) {
      router.add(
          method, pattern, [](Call&) -> awaitable<net::Response> { co_return net::Response(200); }, forms);
    };
    add(net::Method::get, "/");
    add(net::Method::get, "/queue");
    add(net::Method::post, "/queue");
    add(net::Method::get, "/jobs", Forms::api_only);
    add(net::Method::post, "/jobs/{}/cancel", Forms::api_only);
    add(net::Method::get, "/internal/logs", Forms::bare_only);
    add(net::Method::get, "/userdata/{}");
    add(net::Method::post, "/userdata/{}/move/{}");
    add(net::Method::get, "/files/{*}");
  }
  bool finds(net::Method method, std::string_view path) const {
    return router.find(method, path).handler != nullptr;
  }
  Router router;
};

TEST_CASE("a route is served bare and under /api unless it says otherwise") {
  const Routes routes;
  CHECK(routes.finds(net::Method::get, "/queue"));
  CHECK(routes.finds(net::Method::get, "/api/queue"));
  CHECK(routes.finds(net::Method::get, "/api/jobs"));
  CHECK(!routes.finds(net::Method::get, "/jobs"));
  CHECK(routes.finds(net::Method::get, "/internal/logs"));
  CHECK(!routes.finds(net::Method::get, "/api/internal/logs"));
  CHECK(routes.finds(net::Method::get, "/"));
  CHECK(!routes.finds(net::Method::get, "/queue/"));
}

TEST_CASE("G35: a slash inside a name stays inside its segment, and is decoded once") {
  const Routes routes;
  const auto match = routes.router.find(net::Method::get, "/api/userdata/workflows%2Fa%20b.json");
  REQUIRE(match.handler != nullptr);
  CHECK(match.captures == std::vector<std::string>{"workflows/a b.json"});
  const auto moved = routes.router.find(net::Method::post, "/userdata/a%2Fb/move/c%252Fd");
  REQUIRE(moved.handler != nullptr);
  CHECK(moved.captures == std::vector<std::string>{"a/b", "c%2Fd"});
  CHECK(!routes.finds(net::Method::get, "/userdata/workflows/a.json"));
  CHECK(!routes.finds(net::Method::get, "/userdata/%zz"));
}

TEST_CASE("a known path with another method names the methods that it has") {
  const Routes routes;
  const auto match = routes.router.find(net::Method::put, "/api/queue");
  CHECK(match.handler == nullptr);
  CHECK(match.allow == "GET, POST");
  CHECK(routes.router.find(net::Method::get, "/nonsense").allow.empty());
}

TEST_CASE("an open last segment takes the rest as it came") {
  const Routes routes;
  const auto match = routes.router.find(net::Method::get, "/files/a/b%2Fc");
  REQUIRE(match.handler != nullptr);
  CHECK(match.captures == std::vector<std::string>{"a/b%2Fc"});
}

}  // namespace
}  // namespace atelier::gateway
