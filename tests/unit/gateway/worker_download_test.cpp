// SPDX-License-Identifier: MIT
#include "gateway/worker_link/worker_download.hpp"

#include <doctest/doctest.h>

#include "unit/gateway/rig.hpp"

namespace atelier::gateway::test {

TEST_CASE("the join script names its server and the digest of the program, and nothing is left open") {
  const auto script = join_script("https://workshop.example:8443", std::string(64, 'a'));
  REQUIRE(script);
  CHECK(script->find("server=${ATELIER_SERVER:-https://workshop.example:8443}\n") != std::string::npos);
  CHECK(script->find("digest='" + std::string(64, 'a') + "'\n") != std::string::npos);
  CHECK(script->find('@' + std::string("MACHINE@")) == std::string::npos);
  CHECK(join_script("http://[::1]:80", ""));
}

TEST_CASE("a host that could break out of the script's quotes is refused") {
  for (const char* host :
       {"https://a'; rm -rf ~; '", "https://a$(id)", "https://a b", "https://a\nb", "https://a`b`"})
    CHECK_FALSE(join_script(host, ""));
}

TEST_CASE("a server without the program says so, and other paths are not the download's") {
  Rig rig;
  WorkerDownload download(rig.runtime, "/nowhere/atelier-worker");
  net::Request request;
  request.target = "/worker/join.sh";
  request.host = "workshop.example";
  const auto response = rig.run(download.handle(request));
  REQUIRE(response);
  CHECK(response->status == 404);
  request.target = "/worker/link";
  CHECK_FALSE(rig.run(download.handle(request)));
}

}  // namespace atelier::gateway::test
