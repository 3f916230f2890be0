// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "base/match.hpp"
#include "net/multipart.hpp"
#include "net_test_support.hpp"

using namespace atelier;       // NOLINT: tests
using namespace atelier::net;  // NOLINT: tests

namespace {

/// "name|filename|type|bytes;" for each part, or "error: ...".
std::string parse(std::string_view body, std::size_t step, MultipartLimits limits = {}) {
  MultipartParser parser("B", limits);
  std::string out;
  while (!body.empty()) {
    std::vector<MultipartEvent> events;
    const auto result = parser.push(body.substr(0, step), events);
    body.remove_prefix(std::min(step, body.size()));
    for (const MultipartEvent& event : events) {
      std::visit(Match{[&](const PartBegin& begin) {
                         out += begin.head.name + "|" + begin.head.filename.value_or("-") + "|" +
                                begin.head.content_type + "|";
                       },
                       [&](const PartData& data) { out += data.bytes; }, [&](const PartEnd&) { out += ";"; }},
                 event);
    }
    if (!result) return "error: " + std::string(to_string(result.error().code));
  }
  if (const auto end = parser.finish(); !end) return "error: " + std::string(to_string(end.error().code));
  return out;
}

std::string part(std::string_view disposition, std::string_view bytes) {
  return "--B\r\nContent-Disposition: " + std::string(disposition) + "\r\n\r\n" + std::string(bytes) + "\r\n";
}

}  // namespace

TEST_CASE("a form is parsed alike for every size of the pieces it comes in") {
  const std::string body =
      "preamble\r\n--B\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a%22b.png\"\r\n"
      "Content-Type: image/png\r\n\r\nx\r\n--Bx\r\n\r\n-\r\r\n--\r\n"
      "--B\r\ncontent-disposition: form-data; name=empty\r\n\r\n\r\n"
      "--B\r\nContent-Disposition: form-data; name=\"a\\\"b\"\r\n\r\nlast\r\n--B--\r\nrest";
  // "\r\n--Bx" inside the content is no delimiter line, so this form is refused ...
  CHECK(parse(body, body.size()) == "error: bad_request");
  // ... and without it taken.
  std::string good = body;
  good.replace(good.find("--Bx"), 4, "--Ax");
  const std::string expected = "image|a%22b.png|image/png|x\r\n--Ax\r\n\r\n-\r\r\n--;empty|-||;a\"b|-||last;";
  for (std::size_t step = 1; step <= good.size(); ++step) {
    CAPTURE(step);
    CHECK(parse(good, step) == expected);
    CHECK(parse(body, step) == "error: bad_request");
  }
}

TEST_CASE("bad forms are refused with the right error") {
  const std::string end = "--B--\r\n";
  const std::string plain = "form-data; name=\"a\"";
  CHECK(parse(part(plain, "1"), 7) == "error: bad_request");  // no final boundary
  CHECK(parse("no boundary at all", 5) == "error: bad_request");
  CHECK(parse(std::string(40'000, 'x'), 1000) == "error: bad_request");
  CHECK(parse(part("form-data; name=\"a\"; filename=\"1\"; filename=\"2\"", "") + end, 9) ==
        "error: bad_request");
  CHECK(parse(part("form-data; name=\"a\"; filename*=utf-8''x", "") + end, 9) == "error: bad_request");
  CHECK(parse(part("form-data; filename=\"x\"", "") + end, 9) == "error: bad_request");
  CHECK(parse(part("attachment; name=\"x\"", "") + end, 9) == "error: bad_request");
  CHECK(parse(part("form-data; name=\"x", "") + end, 9) == "error: bad_request");
  CHECK(parse("--B\r\n\r\nx\r\n" + end, 9) == "error: bad_request");
  CHECK(parse("--B\r\nContent-Type: a\r\n\r\nx\r\n" + end, 9) == "error: bad_request");
  CHECK(parse("--B\r\nContent-Disposition : form-data; name=a\r\n\r\nx\r\n" + end, 9) ==
        "error: bad_request");
  CHECK(parse("--B\r\nA: b\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n" + end, 9) ==
        "error: bad_request");
  CHECK(parse("--B\r\nContent-Disposition: " + plain + "\r\nContent-Transfer-Encoding: base64\r\n\r\nx\r\n" +
                  end,
              9) == "error: bad_request");
  CHECK(parse(end + std::string(40'000, 'x'), 1000) == "error: bad_request");
  CHECK(parse("--B\r\nX: " + std::string(20'000, 'x'), 1000) == "error: too_large");
}

TEST_CASE("a part's headers may have exactly as many bytes as the limit, however they come") {
  const std::string form = part("form-data; name=a", "1") + "--B--";
  MultipartLimits limits;
  limits.header_bytes_max = std::string_view("Content-Disposition: form-data; name=a").size();
  MultipartLimits less = limits;
  --less.header_bytes_max;
  for (std::size_t step = 1; step <= form.size(); ++step) {
    CAPTURE(step);
    CHECK(parse(form, step, limits) == "a|-||1;");
    CHECK(parse(form, step, less) == "error: too_large");
  }
}

TEST_CASE("parts, fields and files are bounded") {
  std::string many;
  for (int i = 0; i < 65; ++i) many += part("form-data; name=\"a\"", "");
  CHECK(parse(many + "--B--", 100) == "error: too_large");
  MultipartLimits limits;
  limits.field_bytes_max = 10;
  limits.file_bytes_max = 20;
  CHECK(parse(part("form-data; name=a", "0123456789") + "--B--", 3, limits) == "a|-||0123456789;");
  CHECK(parse(part("form-data; name=a", "01234567890") + "--B--", 3, limits) == "error: too_large");
  CHECK(parse(part("form-data; name=a; filename=f", std::string(21, 'x')) + "--B--", 3, limits) ==
        "error: too_large");
}

TEST_CASE("the boundary is taken from the content type") {
  CHECK(multipart_boundary("multipart/form-data; boundary=abc").value() == "abc");
  CHECK(multipart_boundary("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"").value() == "a b");
  for (const char* bad : {"multipart/form-data", "text/plain; boundary=a", "multipart/form-data; boundary=",
                          "", "multipart/form-data; boundary=a; boundary=b"}) {
    CAPTURE(bad);
    CHECK(multipart_boundary(bad).error().code == Errc::bad_request);
  }
  CHECK_FALSE(multipart_boundary("multipart/form-data; boundary=" + std::string(71, 'x')).has_value());
}

TEST_CASE("a request's form goes to its sink, and the sink's error ends it") {
  struct Sink final : MultipartSink {
    awaitable<Result<void>> begin(PartHead head) override {
      out += head.name + ":";
      co_return Result<void>{};
    }
    awaitable<Result<void>> data(std::string_view bytes) override {
      out += bytes;
      if (out.size() > bytes_max) co_return fail(Errc::disk_full, "full");
      co_return Result<void>{};
    }
    awaitable<Result<void>> end() override {
      out += ";";
      co_return Result<void>{};
    }
    std::string out;
    std::size_t bytes_max = 1000;
  };
  VirtualRuntime runtime;
  const auto run = [&](Sink& sink) {
    StringReader reader(part("form-data; name=a", "1") + part("form-data; name=b", "22") + "--B--\r\n");
    Request request;
    request.headers.add("Content-Type", "multipart/form-data; boundary=B");
    request.body = &reader;
    std::optional<Result<void>> result;
    auto work = [&]() -> awaitable<void> { result.emplace(co_await read_multipart(request, sink)); };
    test::run_to_end(runtime, work());
    return *result;
  };
  Sink sink;
  CHECK(run(sink).has_value());
  CHECK(sink.out == "a:1;b:22;");
  Sink full;
  full.bytes_max = 2;
  CHECK(run(full).error().code == Errc::disk_full);
}
