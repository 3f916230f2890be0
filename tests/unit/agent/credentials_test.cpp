// SPDX-License-Identifier: MIT
// A worker's key on its disk, and what it does with it at a gateway that answers whatever a test wants.
#include "agent/credentials.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <boost/json.hpp>

#include "link/enrolment.hpp"
#include "net/http_server.hpp"
#include "unit/files/temp_folder.hpp"
#include "unit/net/net_test_support.hpp"

namespace atelier::agent {
namespace {

namespace json = boost::json;

const std::string kOneUse = std::string(link::kEnrolmentTokenPrefix) + std::string(64, 'a');
const std::string kLongLived(64, 'b');

/// A gateway that knows at most one key of worker gpu-1.
struct FakeGateway : net::test::Loopback {
  FakeGateway() : Loopback([this](net::Request& request) { return answer(request); }) {}

  awaitable<net::Response> answer(net::Request& request) {
    requests.emplace_back(request.path());
    if (silent) co_return net::Response::text(503, "not now");
    if (request.path() == "/worker/challenge") {
      challenge = fmt::format("challenge-{}", requests.size());
      co_return net::Response::json(200, fmt::format(R"({{"challenge":"{}"}})", challenge));
    }
    const auto body = co_await request.read_all(4'096);
    REQUIRE(body);
    const json::object said = json::parse(*body).as_object();
    CHECK(said.at("worker") == "gpu-1");
    if (request.path() == "/worker/enrol") {
      CHECK(request.headers.get("Authorization") == "Bearer " + kOneUse);
      const std::string key(said.at("public_key").as_string());
      if (key == revoked) co_return net::Response::text(409, std::string(link::kKeyRevoked) + "make another");
      if (!enrols) co_return net::Response::text(403, "This enrolment token has been used.");
      known = key;
      if (loses_answer) {
        loses_answer = false;
        co_return net::Response::text(503, "as if the line had broken");
      }
      co_return net::Response::json(200, R"({"worker":"gpu-1"})");
    }
    const bool own = is_signed_by(known, link::proof_text("gpu-1", challenge),
                                  std::string_view(said.at("signature").as_string()));
    if (!own) co_return net::Response::text(403, "not this key");
    co_return net::Response::json(
        200, fmt::format(R"({{"token":"session-{}","expires_in_ms":{}}})", ++sessions, life));
  }

  std::vector<std::string> requests;
  std::string challenge, known, revoked;
  bool enrols = true, silent = false, loses_answer = false;
  int sessions = 0;
  std::int64_t life = 3'600'000;
};

struct Worker {
  Worker(FakeGateway& gateway, const files::TempFolder& folder, std::string token)
      : gateway(gateway),
        http(gateway.runtime),
        credentials(gateway.runtime, http, net::Url{"http", "127.0.0.1", gateway.port, "/"}, "gpu-1",
                    std::move(token), folder / "state") {}
  Result<std::string> bearer() {
    Result<std::string> result = fail(Errc::internal, "not run");
    const auto ask = [](Credentials& from, Result<std::string>& into) -> awaitable<void> {
      into = co_await from.bearer();
    };
    net::test::run_to_end(gateway.runtime, ask(credentials, result));
    return result;
  }
  FakeGateway& gateway;
  net::HttpClient http;
  Credentials credentials;
};

using Paths = std::vector<std::string>;
const Paths kProof{"/worker/challenge", "/worker/session"};

TEST_CASE("a long-lived token is shown as it is, and no key is made") {
  FakeGateway gateway;
  const files::TempFolder folder;
  Worker worker(gateway, folder, kLongLived);
  CHECK(worker.bearer() == kLongLived);
  CHECK_FALSE(worker.credentials.refused(kLongLived));  // there is no other
  CHECK(worker.bearer() == kLongLived);
  CHECK(gateway.requests.empty());
  CHECK_FALSE(std::filesystem::exists(folder / "state"));
}

TEST_CASE("with an enrolment's token a key is made and kept, and is enough from then on") {
  FakeGateway gateway;
  const files::TempFolder folder;
  Worker worker(gateway, folder, kOneUse);
  CHECK(worker.bearer() == "session-1");
  CHECK(gateway.requests == Paths{"/worker/enrol", "/worker/challenge", "/worker/session"});
  const std::string path = folder / "state/worker.key";
  struct stat status{};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  REQUIRE(::chmod(path.c_str(), 0644) == 0);
  CHECK((*KeyFile(folder / "state").read())->public_key() == gateway.known);
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  gateway.requests.clear();
  CHECK(worker.bearer() == "session-1");
  CHECK(gateway.requests.empty());
  CHECK(worker.credentials.refused("session-1"));
  CHECK(worker.bearer() == "session-2");
  CHECK(gateway.requests == kProof);
  CHECK(worker.credentials.refused("session-1"));  // an answer to an older request changes nothing
  CHECK(worker.bearer() == "session-2");
  gateway.requests.clear();
  Worker restarted(gateway, folder, "");
  CHECK(restarted.bearer() == "session-3");
  CHECK(gateway.requests == kProof);
}

TEST_CASE("an enrolment whose answer was lost is repeated with the same key") {
  FakeGateway gateway;
  const files::TempFolder folder;
  gateway.loses_answer = true;
  Worker worker(gateway, folder, kOneUse);
  const auto first = worker.bearer();
  REQUIRE_FALSE(first);
  CHECK(first.error().code == Errc::unavailable);  // it tries again
  const std::string key = gateway.known;
  CHECK(worker.bearer() == "session-1");
  CHECK(gateway.known == key);
}

TEST_CASE("a session is renewed before it ends") {
  FakeGateway gateway;
  gateway.life = 60'000;  // within the time before its end in which it is not used any more
  const files::TempFolder folder;
  Worker worker(gateway, folder, kOneUse);
  CHECK(worker.bearer() == "session-1");
  CHECK(worker.bearer() == "session-2");
}

TEST_CASE("a key that the gateway does not know enrols; one that it revoked is replaced") {
  FakeGateway gateway;
  const files::TempFolder folder;
  const SigningKey old(SigningKey::Seed{7});
  REQUIRE(KeyFile(folder / "state").write(old, files::Replace::no));
  Worker worker(gateway, folder, kOneUse);
  SUBCASE("unknown: another workshop's, or of an enrolment that was never recorded") {
    CHECK(worker.bearer() == "session-1");
    CHECK(gateway.known == old.public_key());
  }
  SUBCASE("revoked") {
    gateway.revoked = old.public_key();
    CHECK(worker.bearer() == "session-1");
    CHECK(gateway.known != old.public_key());
    CHECK((*KeyFile(folder / "state").read())->public_key() == gateway.known);
  }
}

TEST_CASE("what the gateway refuses is said with its sentence, what it cannot do now is tried again") {
  FakeGateway gateway;
  const files::TempFolder folder;
  gateway.enrols = false;
  Worker worker(gateway, folder, kOneUse);
  const auto refused = worker.bearer();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::forbidden);
  CHECK(refused.error().what.find("has been used") != std::string::npos);
  Worker tokenless(gateway, folder, "");
  const auto unknown = tokenless.bearer();
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().code == Errc::forbidden);
  CHECK(unknown.error().what.find("not this key") != std::string::npos);
  gateway.silent = true;
  const auto later = worker.bearer();
  REQUIRE_FALSE(later);
  CHECK(later.error().code == Errc::unavailable);
  // The long-lived token serves where the key does not.
  gateway.silent = false;
  Worker own(gateway, folder, kLongLived);
  CHECK(own.bearer() == kLongLived);
}

TEST_CASE("requests at once open one session") {
  FakeGateway gateway;
  const files::TempFolder folder;
  Worker worker(gateway, folder, kOneUse);
  std::vector<std::string> bearers;
  const auto ask = [&]() -> awaitable<void> {
    auto bearer = co_await worker.credentials.bearer();
    bearers.push_back(bearer ? *bearer : bearer.error().what);
    if (bearers.size() == 3) gateway.runtime.stop();
  };
  for (int i = 0; i < 3; ++i) asio::co_spawn(gateway.runtime.executor(), ask(), asio::detached);
  gateway.runtime.run();
  gateway.runtime.context().restart();
  CHECK(bearers == std::vector<std::string>(3, "session-1"));
  CHECK(gateway.sessions == 1);
}

TEST_CASE("a key file that holds no key is a mistake of the configuration, and is kept") {
  const files::TempFolder folder;
  files::write_text(folder / "state/worker.key", "not a key\n");
  const auto read = KeyFile(folder / "state").read();
  REQUIRE_FALSE(read);
  CHECK(read.error().code == Errc::config);
  CHECK(read.error().what.find(folder / "state/worker.key") != std::string::npos);
  const auto written = KeyFile(folder / "state").write(SigningKey(SigningKey::Seed{1}), files::Replace::no);
  CHECK_FALSE(written);
  files::write_text(folder / "no-folder", "");
  CHECK_FALSE(KeyFile(folder / "no-folder").write(SigningKey(SigningKey::Seed{1}), files::Replace::no));
  CHECK_FALSE(KeyFile(folder / "nothing").read()->has_value());
}

}  // namespace
}  // namespace atelier::agent
