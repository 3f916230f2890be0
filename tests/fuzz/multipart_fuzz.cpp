// SPDX-License-Identifier: MIT
// Form data: two choice bytes (cuts, limits), a line with the Content-Type, the body. It is read whole by the
// parser and in pieces by read_multipart; both must see the same.

#include <string>

#include "fuzz.hpp"
#include "net/multipart.hpp"
#include "runtime/virtual_runtime.hpp"
#include "unit/net/net_test_support.hpp"

using namespace atelier;       // NOLINT: tests
using namespace atelier::net;  // NOLINT: tests
using fuzz::expect;

namespace {

struct Part {
  PartHead head;
  std::string bytes;
};

/// What a form gave, and how it ended.
struct Form {
  std::vector<Part> parts;
  bool open = false;  // the last part has not ended
  std::optional<Errc> error;

  void begin(PartHead head) {
    expect(!std::exchange(open, true), "a part begins after the last has ended");
    parts.push_back({std::move(head), {}});
  }
  void data(std::string_view bytes) {
    expect(open && !bytes.empty(), "data come inside a part and are not empty");
    parts.back().bytes += bytes;
  }
  void end() { expect(std::exchange(open, false), "what ends has begun"); }
};

Form parse_whole(std::string boundary, const MultipartLimits& limits, std::string_view body) {
  Form form;
  MultipartParser parser(std::move(boundary), limits);
  std::vector<MultipartEvent> events;
  auto result = parser.push(body, events);
  for (MultipartEvent& event : events) {
    if (auto* begin = std::get_if<PartBegin>(&event)) {
      form.begin(std::move(begin->head));
    } else if (const auto* bytes = std::get_if<PartData>(&event)) {
      form.data(bytes->bytes);
    } else {
      form.end();
    }
  }
  if (result) result = parser.finish();
  if (!result) form.error = result.error().code;
  return form;
}

struct PieceReader final : BodyReader {
  PieceReader(std::string_view body, unsigned seed) : left(body), cuts(seed) {}
  awaitable<Result<std::size_t>> read(std::span<char> into, Instant) override {
    if (left.empty()) co_return std::size_t{0};
    const std::string_view piece = left.substr(0, std::min(cuts.next(left.size()), into.size()));
    left.remove_prefix(piece.size());
    std::ranges::copy(piece, into.begin());
    co_return piece.size();
  }
  std::string_view left;
  fuzz::Cuts cuts;
};

struct FormSink final : MultipartSink {
  awaitable<Result<void>> begin(PartHead head) override {
    form.begin(std::move(head));
    co_return Result<void>{};
  }
  awaitable<Result<void>> data(std::string_view bytes) override {
    form.data(bytes);
    co_return Result<void>{};
  }
  awaitable<Result<void>> end() override {
    form.end();
    co_return Result<void>{};
  }
  Form form;
};

Form parse_pieces(const HeaderList& headers, const MultipartLimits& limits, std::string_view body,
                  unsigned seed) {
  VirtualRuntime runtime;
  PieceReader reader(body, seed);
  FormSink sink;
  Request request;
  request.headers = headers;
  request.body = &reader;
  auto work = [&]() -> awaitable<void> {
    const auto result = co_await read_multipart(request, sink, limits);
    if (!result) sink.form.error = result.error().code;
  };
  net::test::run_to_end(runtime, work());
  return std::move(sink.form);
}

void check_bounds(const Form& form, const MultipartLimits& limits, std::string_view body) {
  std::size_t bytes = 0;
  for (const Part& part : form.parts) {
    bytes += part.bytes.size() + part.head.name.size() + part.head.filename.value_or("").size();
    const std::uint64_t most = part.head.filename ? limits.file_bytes_max : limits.field_bytes_max;
    expect(part.bytes.size() <= most, "no part is longer than its limit");
  }
  expect(form.parts.size() <= limits.parts_max, "there are no more parts than the limit");
  expect(bytes <= body.size(), "the parts have no more bytes than the body");
}

void check_equal(const Form& whole, const Form& pieces) {
  expect(whole.error == pieces.error, "a form ends alike for every split");
  const bool good = !whole.error;
  expect(!good || !whole.open, "a form that is taken has no open part");
  // What came before an error may differ by the data of its last part.
  const std::size_t count = std::min(whole.parts.size(), pieces.parts.size());
  expect(!good || whole.parts.size() == pieces.parts.size(), "a form has as many parts for every split");
  for (std::size_t i = 0; i < count; ++i) {
    const Part& a = whole.parts[i];
    const Part& b = pieces.parts[i];
    expect(a.head.name == b.head.name && a.head.filename == b.head.filename &&
               a.head.content_type == b.head.content_type,
           "heads are alike for every split");
    expect(a.bytes == b.bytes || (!good && i + 1 == count), "data are alike for every split");
  }
}

/// The same data in a form of our own come back.
void check_round(const Form& form, const std::string& boundary, const MultipartLimits& limits) {
  std::string body;
  for (const Part& part : form.parts) {
    expect(part.bytes.find("\r\n--" + boundary) == std::string::npos, "no data hold the boundary");
    body += "--" + boundary + "\r\nContent-Disposition: form-data; name=a" +
            (part.head.filename ? "; filename=b" : "") + "\r\n\r\n" + part.bytes + "\r\n";
  }
  body += "--" + boundary + "--";
  const Form again = parse_whole(boundary, limits, body);
  expect(!again.error && again.parts.size() == form.parts.size(), "the same parts make a form again");
  for (std::size_t i = 0; i < form.parts.size(); ++i) {
    expect(again.parts[i].bytes == form.parts[i].bytes, "data come back as they were");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes = fuzz::text_of(data, size);
  const unsigned seed = fuzz::take_choice(bytes);
  MultipartLimits limits;
  if (fuzz::take_choice(bytes) % 2 != 0) {
    limits = {.parts_max = 3, .header_bytes_max = 120, .field_bytes_max = 20, .file_bytes_max = 60};
  }
  const std::size_t line = std::min(bytes.find('\n'), bytes.size());
  HeaderList headers;
  headers.add("Content-Type", bytes.substr(0, line));
  const std::string_view body = bytes.substr(std::min(line + 1, bytes.size()));
  const auto boundary = multipart_boundary(headers.get("Content-Type"));
  const Form pieces = parse_pieces(headers, limits, body, seed);
  if (!boundary) {
    expect(pieces.error == Errc::bad_request && pieces.parts.empty(), "no boundary, no form");
    return 0;
  }
  expect(!boundary->empty() && boundary->size() <= 70, "a boundary has 1 .. 70 bytes");
  const Form whole = parse_whole(*boundary, limits, body);
  check_bounds(whole, limits, body);
  check_bounds(pieces, limits, body);
  check_equal(whole, pieces);
  if (!whole.error && !whole.parts.empty()) check_round(whole, *boundary, limits);
  return 0;
}
