// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>

#include "net/http.hpp"
#include "net_test_support.hpp"
#include "runtime/signal.hpp"

using namespace atelier;       // NOLINT: tests
using namespace atelier::net;  // NOLINT: tests
using net::test::RawPeer;
using net::test::VirtualServer;

namespace {

OwnedFd file_with(std::string_view bytes) {
  OwnedFd fd(::memfd_create("test", MFD_CLOEXEC));
  REQUIRE(::write(fd.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  return fd;
}

std::string pattern(std::size_t bytes) {
  std::string out(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) out[i] = static_cast<char>('a' + i * 7 % 26 + i / 1000 % 3);
  return out;
}

PullStream pieces(std::vector<std::string> list) {
  return [list = std::move(list), next = std::size_t{0}]() mutable -> awaitable<Result<std::string>> {
    if (next == list.size()) co_return std::string();
    if (list[next] == "!") co_return fail(Errc::io, "broken");
    co_return list[next++];
  };
}

/// One handler for most tests: the path says what to answer.
awaitable<Response> handler(Request& request) {
  const std::string_view path = request.path();
  if (path == "/echo") {
    auto body = co_await request.read_all(1 << 20);
    if (!body) co_return Response::text(body.error().code == Errc::too_large ? 413 : 400, body.error().what);
    co_return Response::text(200, *std::move(body));
  }
  if (path == "/ignore") co_return Response::text(200, "ignored");
  if (path == "/throw") throw std::runtime_error("handler threw");
  if (path == "/file")
    co_return Response(200, "text/plain", FileBody(file_with(pattern(200'000)), 10, 150'000));
  if (path == "/small") co_return Response(200, "text/plain", FileBody(file_with(pattern(2'000)), 10, 1'500));
  if (path == "/short")
    co_return Response(200, "text/plain", FileBody(file_with(pattern(100'000)), 0, 150'000));
  if (path == "/stream")
    co_return Response(200, "text/plain", StreamBody(pieces({"one", "two", std::string(300, 'x')})));
  if (path == "/known") co_return Response(200, "text/plain", StreamBody(pieces({"one", "two"}), 6));
  if (path == "/breaks") co_return Response(200, "text/plain", StreamBody(pieces({"one", "!"})));
  if (path == "/empty") co_return Response(204);
  if (path == "/headers") {
    Response response = Response::text(200, "x");
    response.headers.set("Date", "mine");
    response.headers.set("Content-Length", "77");
    response.headers.set("Transfer-Encoding", "chunked");
    co_return response;
  }
  if (path == "/shared") {
    static const auto bytes = std::make_shared<const std::string>(pattern(100'000));
    static const auto fields = std::make_shared<const HeaderList>(HeaderList{{"ETag", "\"1\""}});
    Response response(200, "text/plain", SharedBody(bytes, 5, 90'000));
    response.shared_headers = fields;
    co_return response;
  }
  if (path == "/kept" || path == "/kept-part") {
    static const auto bytes = std::make_shared<const KeptBytes>(pattern(100'000));
    co_return Response(200, "text/plain", SharedBody(bytes, 5, path == "/kept" ? 90'000 : 900));
  }
  co_return Response::text(404, fmt::format("{} {}", to_string(request.method), request.target));
}

std::string get(std::string_view path, std::string_view extra = "") {
  return fmt::format("GET {} HTTP/1.1\r\nHost: h\r\n{}\r\n", path, extra);
}

unsigned status_of(std::string_view answer) {
  return answer.size() > 12 ? static_cast<unsigned>(std::stoul(std::string(answer.substr(9, 3)))) : 0;
}
std::string body_of(const std::string& answer) {
  const std::size_t end = answer.find("\r\n\r\n");
  return end == std::string::npos ? "" : answer.substr(end + 4);
}
bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }
std::size_t count(std::string_view text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

}  // namespace

TEST_CASE("many kept bytes lie in a file, few and none in memory alone") {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, KeptBytes::kFileMin - 1}) {
    const KeptBytes few(pattern(size));
    CHECK(few.view() == pattern(size));
    CHECK(few.file() == -1);
  }
  for (const std::size_t size : {KeptBytes::kFileMin, std::size_t{300'001}}) {
    const KeptBytes many(pattern(size));
    CHECK(many.view() == pattern(size));
    REQUIRE(many.file() >= 0);
    std::string read(size + 1, ' ');
    CHECK(::pread(many.file(), read.data(), read.size(), 0) == static_cast<ssize_t>(size));
    CHECK(read.substr(0, size) == many.view());
  }
}

TEST_CASE("kept bytes lie in the folder that is named, and in memory where it takes none") {
  const std::string folder = std::filesystem::temp_directory_path().string();
  for (const std::string& path : {folder, folder + "/atelier-no-such-folder"}) {
    KeptBytes::use_folder(path);
    const KeptBytes kept(pattern(100'000));
    KeptBytes::use_folder("");
    REQUIRE(kept.file() >= 0);
    CHECK(kept.view() == pattern(100'000));
    const std::string link = fmt::format("/proc/self/fd/{}", kept.file());
    const std::string where = std::filesystem::read_symlink(link).string();
    CHECK(where.starts_with(path == folder ? folder + "/#" : "/memfd:"));
  }
}

TEST_CASE("kept bytes for which no file can be made stay in memory alone") {
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none{0, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const KeptBytes kept(pattern(100'000));
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(kept.file() == -1);
  CHECK(kept.view() == pattern(100'000));
  CHECK(KeptBytes(pattern(100'000)).file() >= 0);  // the next one has a file again
}

TEST_CASE("a request is answered and the connection kept") {
  VirtualServer server(handler);
  RawPeer peer = server.connect();
  for (int i = 0; i < 3; ++i) {
    peer.send(get("/a%2Fb?c=d"));
    const std::string answer = peer.receive();
    CHECK(answer.starts_with("HTTP/1.1 404 Not Found\r\nDate: "));
    CHECK(has(answer, "\r\nContent-Length: 14\r\n"));
    CHECK(body_of(answer) == "GET /a%2Fb?c=d");
  }
  CHECK_FALSE(peer.ended());
  CHECK(server.server.counters().requests == 3);
  CHECK(server.server.counters().connections_open == 1);
}

TEST_CASE("malformed and oversized heads are answered with the right status and the connection ends") {
  struct Row {
    std::string bytes;
    unsigned status;
  };
  const std::string ok = "Host: h\r\n\r\n";
  const auto post = [](std::string_view headers, std::string_view body = "") {
    return fmt::format("POST /echo HTTP/1.1\r\nHost: h\r\n{}\r\n{}", headers, body);
  };
  std::string many_headers = "GET / HTTP/1.1\r\nHost: h\r\n";
  for (int i = 0; i < 100; ++i) many_headers += fmt::format("X{}: y\r\n", i);
  const Row rows[] = {
      {post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), 400},
      {post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"), 400},
      {post("Content-Length: 3\r\nContent-Length: 3\r\n"), 400},
      {post("Content-Length: 3\r\nContent-Length: 4\r\n"), 400},
      {post("Content-Length: 3, 3\r\n"), 400},
      {post("Content-Length: -1\r\n"), 400},
      {post("Content-Length: +1\r\n"), 400},
      {post("Content-Length: 0x1\r\n"), 400},
      {post("Content-Length: 99999999999999999999\r\n"), 400},
      {post("Content-Length:\r\n"), 400},
      {post("Transfer-Encoding: xchunked\r\n"), 400},
      {post("Transfer-Encoding: gzip, chunked\r\n"), 400},
      {post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400},
      {post("Transfer-Encoding : chunked\r\n"), 400},
      {post("X: a\r\n folded\r\n"), 400},
      {post("X: a\r\n\tfolded\r\n"), 400},
      {post("X: a\nY: b\r\n"), 400},
      {post("X: a\rb\r\n"), 400},
      {post(std::string("X: a\0b\r\n", 8)), 400},
      {post("X y: a\r\n"), 400},
      {post(": a\r\n"), 400},
      {post("X\r\n"), 400},
      {post("Content-Encoding: gzip\r\nContent-Length: 1\r\n", "x"), 415},
      {post("Expect: something\r\nContent-Length: 1\r\n", "x"), 417},
      {"GET / HTTP/1.1\n" + ok, 400},
      {" GET / HTTP/1.1\r\n" + ok, 400},
      {"GET  / HTTP/1.1\r\n" + ok, 400},
      {"GET / HTTP/1.1 \r\n" + ok, 505},
      {"GET / HTTP/2.0\r\n" + ok, 505},
      {"GET / HTTQ/1.1\r\n" + ok, 505},
      {"GET /\r\n" + ok, 400},
      {"GET /a#b HTTP/1.1\r\n" + ok, 400},
      {"GET a HTTP/1.1\r\n" + ok, 400},
      {"GET * HTTP/1.1\r\n" + ok, 400},
      {"GET ftp://h/ HTTP/1.1\r\n" + ok, 400},
      {"GET http://u@h/ HTTP/1.1\r\n" + ok, 400},
      {"GET http:/// HTTP/1.1\r\n" + ok, 400},
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
      {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"CONNECT h:80 HTTP/1.1\r\n" + ok, 405},
      {"G@T / HTTP/1.1\r\n" + ok, 400},
      {std::string(9000, 'G') + " / HTTP/1.1\r\n" + ok, 414},
      {"GET /" + std::string(8200, 'a') + " HTTP/1.1\r\n" + ok, 414},
      {"GET /" + std::string(100'000, 'a'), 414},
      {"GET / HTTP/1.1\r\nX: " + std::string(40'000, 'a'), 431},
      {many_headers + "\r\n", 431},
      {"\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n" + ok, 400},
      {"\x16\x03\x01\x02", 400},
  };
  for (const Row& row : rows) {
    for (const std::size_t read_max : {std::size_t{1}, SIZE_MAX}) {
      CAPTURE(row.bytes.substr(0, 120));
      CAPTURE(read_max);
      VirtualServer server(handler);
      RawPeer peer = server.connect({.read_bytes_max = read_max});
      peer.send(row.bytes);
      const std::string answer = peer.receive();
      CHECK(status_of(answer) == row.status);
      CHECK(has(answer, "Connection: close\r\n"));
      CHECK(peer.ended());
      CHECK(count(answer, "\r\nDate: ") == 1);
    }
  }
}

TEST_CASE("odd but correct requests are served") {
  VirtualServer server(handler);
  RawPeer peer = server.connect();
  peer.send("\r\nGET http://other:81/p?q HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(body_of(peer.receive()) == "GET /p?q");
  peer.send("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string options = peer.receive();
  CHECK(status_of(options) == 204);
  CHECK(has(options, "Allow: GET, HEAD"));
  CHECK_FALSE(has(options, "Content-Length"));
  peer.send("DELETE /x HTTP/1.1\r\nhOsT: h\r\nX:\t y \t\r\n\r\n");
  CHECK(body_of(peer.receive()) == "DELETE /x");
  peer.send("GET /old HTTP/1.0\r\n\r\n");
  CHECK(has(peer.receive(), "Connection: close"));
  CHECK(peer.ended());
}

TEST_CASE("a method that nobody knows reaches the handler, and the connection stays") {
  VirtualServer server(handler);
  RawPeer peer = server.connect();
  for (const char* method : {"TRACE", "PROPFIND", "BREW", "CONNECT", "get", "X-1!"}) {
    peer.send(std::string(method) + " /x HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(body_of(peer.receive()) == "OTHER /x");
  }
  peer.send("BREW /pot HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\ntea");
  peer.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string both = peer.receive();
  CHECK(has(both, "OTHER /pot"));
  CHECK(has(both, "GET /x"));
}

TEST_CASE("HTTP/1.0 is kept alive only when it asks, and gets no chunks") {
  VirtualServer server(handler);
  RawPeer peer = server.connect();
  peer.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  CHECK(has(peer.receive(), "Connection: keep-alive"));
  peer.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const std::string answer = peer.receive();
  CHECK(body_of(answer) == "onetwo" + std::string(300, 'x'));
  CHECK_FALSE(has(answer, "chunked"));
  CHECK(peer.ended());
}

TEST_CASE("HEAD gives the head of GET without its body") {
  VirtualServer server(handler);
  RawPeer peer = server.connect();
  for (const auto& [path, length] : {std::pair{"/file", "150000"}, {"/known", "6"}, {"/nothing", "12"}}) {
    peer.send(fmt::format("HEAD {} HTTP/1.1\r\nHost: h\r\n\r\n", path));
    const std::string answer = peer.receive();
    CHECK(has(answer, fmt::format("Content-Length: {}\r\n", length)));
    CHECK(body_of(answer).empty());
  }
  CHECK_FALSE(peer.ended());
}

TEST_CASE("pipelined requests are answered in order, a thousand of them in bounded work") {
  VirtualServer server(handler);
  RawPeer peer = server.connect();
  std::string all;
  for (int i = 0; i < 1000; ++i) all += get(fmt::format("/{}", i));
  peer.send(all);
  std::string answers = peer.receive();
  std::string expected_last = "GET /999";
  CHECK(count(answers, "HTTP/1.1 404") == 1000);
  CHECK(answers.ends_with(expected_last));
  for (int i = 0; i < 1000; i += 111)
    CHECK(count(answers, fmt::format("GET /{}HTTP", i)) == (i == 999 ? 0 : 1));
  peer.close();
  server.runtime.advance(milliseconds{2000});
  CHECK(server.server.counters().connections_open == 0);
}

TEST_CASE("bodies with a length and in chunks are read, whatever pieces they come in") {
  const std::string text = pattern(100'000);
  for (const std::size_t step : {std::size_t{1}, std::size_t{3}, std::size_t{4096}, SIZE_MAX}) {
    CAPTURE(step);
    VirtualServer server(handler);
    RawPeer peer = server.connect({.read_bytes_max = step});
    const std::string_view body = std::string_view(text).substr(0, step < 10 ? 3'000 : text.size());
    peer.send(
        fmt::format("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{}", body.size(), body));
    CHECK(body_of(peer.receive()) == body);
    peer.send("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n");
    for (std::size_t at = 0, size = 1; at < body.size(); at += size, size = size * 2 + 1) {
      const std::string_view piece = body.substr(at, size);
      peer.send(fmt::format("{:x};ext=\"1\"\r\n{}\r\n", piece.size(), piece));
    }
    peer.send("0\r\n\r\n" + get("/next"));
    const std::string answer = peer.receive();
    CHECK(has(answer, body));
    CHECK(answer.ends_with("GET /next"));
  }
}

TEST_CASE("bad chunks are refused and end the connection") {
  for (const std::string& chunks :
       {std::string("x\r\n"), std::string("\r\n"), std::string("-1\r\n"), std::string("+1\r\n1\r\n"),
        std::string("1\r\n12\r\n"), std::string("1\n1\r\n"), std::string("1\r1"),
        std::string("ffffffffffffffffffff\r\n"), std::string("0x1\r\n1\r\n"),
        "1;" + std::string(300, 'a') + "\r\n1\r\n", std::string("0\r\nTrailer: x\r\n\r\n"),
        std::string("1\r\n1\n")}) {
    CAPTURE(chunks.substr(0, 40));
    VirtualServer server(handler);
    RawPeer peer = server.connect();
    peer.send("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks);
    peer.send(get("/smuggled"));
    const std::string answer = peer.receive();
    CHECK(status_of(answer) == 400);
    CHECK(has(answer, "Connection: close"));
    CHECK(count(answer, "\r\nDate: ") == 1);
    CHECK(peer.ended());
  }
}

TEST_CASE("100 Continue is sent when the handler reads, and only then") {
  VirtualServer server(handler);
  RawPeer peer = server.connect();
  peer.send("POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  CHECK(peer.receive() == "HTTP/1.1 100 Continue\r\n\r\n");
  peer.send("ab");
  CHECK(body_of(peer.receive()) == "ab");
  peer.send("POST /ignore HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  const std::string answer = peer.receive();
  CHECK(status_of(answer) == 200);
  CHECK(has(answer, "Connection: close"));
  CHECK(peer.ended());
}

TEST_CASE("a short unread body is dropped, a long one ends the connection") {
  VirtualServer server(handler);
  RawPeer peer = server.connect();
  peer.send("POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" + std::string(100'000, 'x') +
            get("/next"));
  CHECK(peer.receive().ends_with("GET /next"));
  peer.send("POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n" + std::string(300'000, 'x'));
  CHECK(has(peer.receive(), "Connection: close"));
  CHECK(peer.ended());
  RawPeer chunky = server.connect();
  chunky.send("POST /ignore HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  CHECK(status_of(chunky.receive()) == 200);
  for (int i = 0; i < 30; ++i) chunky.send("4000\r\n" + std::string(0x4000, 'x') + "\r\n");
  CHECK(chunky.ended());
}

TEST_CASE("files, shared bytes and streams arrive whole through small pipes") {
  const std::string text = pattern(200'000);
  for (const std::size_t write_max : {std::size_t{777}, SIZE_MAX}) {
    VirtualServer server(handler);
    RawPeer peer = server.connect({.write_bytes_max = write_max});
    peer.send(get("/file"));
    CHECK(body_of(peer.receive()) == text.substr(10, 150'000));
    peer.send(get("/small"));
    CHECK(body_of(peer.receive()) == text.substr(10, 1'500));
    peer.send(get("/shared"));
    const std::string shared = peer.receive();
    CHECK(has(shared, "ETag: \"1\"\r\n"));
    CHECK(body_of(shared) == text.substr(5, 90'000));
    peer.send(get("/kept"));
    CHECK(body_of(peer.receive()) == text.substr(5, 90'000));
    peer.send(get("/kept-part"));
    CHECK(body_of(peer.receive()) == text.substr(5, 900));
    peer.send(get("/stream"));
    CHECK(body_of(peer.receive()) ==
          "3\r\none\r\n3\r\ntwo\r\n12c\r\n" + std::string(300, 'x') + "\r\n0\r\n\r\n");
    peer.send(get("/known"));
    CHECK(body_of(peer.receive()) == "onetwo");
    CHECK_FALSE(peer.ended());
  }
}

TEST_CASE("an answer that cannot be finished breaks off") {
  VirtualServer server(handler);
  for (const char* path : {"/short", "/breaks"}) {
    RawPeer peer = server.connect();
    peer.send(get(path));
    CHECK_FALSE(peer.receive().ends_with("0\r\n\r\n"));
    CHECK(peer.ended());
  }
}

TEST_CASE("framing headers are the server's, the others the handler's") {
  VirtualServer server(handler);
  RawPeer peer = server.connect();
  peer.send(get("/headers"));
  const std::string answer = peer.receive();
  CHECK(count(answer, "Date:") == 1);
  CHECK(has(answer, "Date: mine\r\n"));
  CHECK(has(answer, "Content-Length: 1\r\n"));
  CHECK_FALSE(has(answer, "chunked"));
}

TEST_CASE("a handler that throws gives 500 and the connection goes on") {
  VirtualServer server(handler);
  RawPeer peer = server.connect();
  peer.send(get("/throw"));
  const std::string answer = peer.receive();
  CHECK(status_of(answer) == 500);
  CHECK_FALSE(has(answer, "handler threw"));
  peer.send(get("/next"));
  CHECK(status_of(peer.receive()) == 404);
  CHECK(server.server.counters().handler_failures == 1);
}

TEST_CASE("slow heads, slow bodies, idle connections and readers that stall are ended") {
  VirtualServer server(handler);
  auto& runtime = server.runtime;
  RawPeer silent = server.connect();
  RawPeer dripping = server.connect();
  for (int i = 0; i < 12 && !dripping.ended(); ++i) {
    dripping.send("G");
    runtime.advance(milliseconds{1000});
  }
  CHECK(status_of(dripping.receive()) == 408);
  CHECK(dripping.ended());
  CHECK(silent.ended());

  RawPeer idle = server.connect();
  idle.send(get("/x"));
  static_cast<void>(idle.receive());
  runtime.advance(milliseconds{70'000});
  CHECK_FALSE(idle.ended());
  runtime.advance(milliseconds{7'000});
  CHECK(idle.ended());

  RawPeer body = server.connect();
  body.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
  int seconds = 0;
  for (; seconds < 100 && !body.ended(); ++seconds) {
    body.send("x");
    runtime.advance(milliseconds{1000});
  }
  CHECK(seconds >= 10);
  CHECK(seconds <= 13);

  RawPeer steady = server.connect();
  steady.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n");
  for (int i = 0; i < 30; ++i) {
    steady.send(std::string(2000, 'x'));
    runtime.advance(milliseconds{1000});
  }
  CHECK(status_of(steady.receive()) == 200);

  MemoryPair pair = make_memory_pair(runtime.executor());
  server.server.serve(std::move(pair.first), Peer{"192.0.2.9", 1});
  const std::string request = get("/file");
  std::string_view view = request;
  static_cast<void>(pair.second->try_write({&view, 1}));
  runtime.advance(milliseconds{55'000});
  const auto before = server.server.counters().timeouts;
  runtime.advance(milliseconds{7'000});
  CHECK(server.server.counters().timeouts == before + 1);
}

TEST_CASE("connections per address are limited, but not for loopback") {
  ServerLimits limits;
  limits.connections_per_address_max = 2;
  VirtualServer server(handler, limits);
  RawPeer a = server.connect(), b = server.connect(), c = server.connect();
  CHECK(c.ended());
  CHECK_FALSE(b.ended());
  RawPeer other = server.connect({}, "192.0.2.2"), local = server.connect({}, "127.0.0.1"),
          local2 = server.connect({}, "127.0.0.1"), local3 = server.connect({}, "127.0.0.1");
  CHECK_FALSE(other.ended());
  CHECK_FALSE(local3.ended());
  a.close();
  server.runtime.advance(milliseconds{1000});
  RawPeer d = server.connect();
  CHECK_FALSE(d.ended());
}

TEST_CASE("a graceful stop lets the request in flight finish and ends idle connections") {
  VirtualRuntime runtime;
  Signal go(runtime);
  bool may_go = false;
  bool entered = false;
  auto slow = [&](Request&) -> awaitable<Response> {
    entered = true;
    while (!may_go) static_cast<void>(co_await go.wait(runtime.now() + milliseconds{60'000}));
    co_return Response::text(200, "late");
  };
  HttpServer server(runtime, {}, slow);
  MemoryPair one = make_memory_pair(runtime.executor());
  MemoryPair two = make_memory_pair(runtime.executor());
  server.serve(std::move(one.first), {"192.0.2.1", 1});
  server.serve(std::move(two.first), {"192.0.2.1", 2});
  RawPeer busy(runtime, std::move(one.second)), idle(runtime, std::move(two.second));
  busy.send(get("/"));
  CHECK(entered);
  std::optional<bool> stopped;
  auto stop = [&]() -> awaitable<void> {
    stopped = co_await server.stop(runtime.now() + milliseconds{10'000});
  };
  asio::co_spawn(runtime.executor(), stop(), asio::detached);
  CHECK(idle.ended());
  runtime.advance(milliseconds{1000});
  CHECK_FALSE(stopped.has_value());
  may_go = true;
  go.notify_all();
  const std::string answer = busy.receive();
  CHECK(body_of(answer) == "late");
  CHECK(has(answer, "Connection: close"));
  busy.close();
  runtime.advance(milliseconds{3000});
  CHECK(stopped == true);
}

TEST_CASE("a stop cancels what is left at its deadline") {
  VirtualRuntime runtime;
  Signal never(runtime);
  auto stuck = [&](Request&) -> awaitable<Response> {
    while (true) static_cast<void>(co_await never.wait(runtime.now() + milliseconds{3'600'000}));
  };
  HttpServer server(runtime, {}, stuck);
  MemoryPair pair = make_memory_pair(runtime.executor());
  server.serve(std::move(pair.first), {"192.0.2.1", 1});
  RawPeer peer(runtime, std::move(pair.second));
  peer.send(get("/"));
  std::optional<bool> stopped;
  auto stop = [&]() -> awaitable<void> {
    stopped = co_await server.stop(runtime.now() + milliseconds{5'000});
  };
  asio::co_spawn(runtime.executor(), stop(), asio::detached);
  runtime.advance(milliseconds{4000});
  CHECK_FALSE(stopped.has_value());
  runtime.advance(milliseconds{4000});
  CHECK(stopped == false);
  CHECK(peer.ended());
  CHECK(server.counters().connections_open == 0);
}

TEST_CASE("a stream that fails at any operation ends the connection without a leak or a wrong answer") {
  const std::string requests =
      get("/file") +
      "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" +
      get("/stream") + get("/shared") + get("/kept");
  std::string whole;
  std::size_t operations = 0;
  {
    VirtualServer server(handler);
    RawPeer peer = server.connect({.pipe_bytes_max = 20'000});
    peer.send(requests);
    whole = peer.receive();
    operations = *server.operations;
  }
  REQUIRE(operations > 10);
  for (std::size_t n = 1; n <= operations; ++n) {
    CAPTURE(n);
    VirtualServer server(handler);
    RawPeer peer = server.connect({.pipe_bytes_max = 20'000, .fail_at = n});
    peer.send(requests);
    const std::string got = peer.receive();
    CHECK(got.size() <= whole.size());
    CHECK(got == whole.substr(0, got.size()));
    CHECK(peer.ended());
    server.runtime.advance(milliseconds{10'000});
    CHECK(server.server.counters().connections_open == 0);
  }
}
