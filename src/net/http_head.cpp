// SPDX-License-Identifier: MIT
#include "net/http_head.hpp"

#include <fmt/format.h>

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include <algorithm>
#include <utility>

namespace atelier::net {
namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;
using BeastView = boost::beast::string_view;

std::string_view standard(BeastView text) { return {text.data(), text.size()}; }

/// Notes what a head says; bodies never reach it (the parser is not eager and is given heads only).
template <bool is_request>
class NotingParser final : public http::basic_parser<is_request> {
 public:
  explicit NotingParser(const HeadLimits& limits, HeaderList& fields) : headers(fields) {
    this->header_limit(static_cast<std::uint32_t>(limits.bytes_max + 1024));
    this->body_limit(boost::none);
  }

  HeaderList& headers;
  http::verb verb = http::verb::unknown;
  std::string_view method, target;
  int version = 11;
  unsigned status = 0;
  std::size_t hosts = 0, lengths = 0, codings = 0;
  std::string_view length, coding;

 private:
  void on_request_impl(http::verb known, BeastView name, BeastView where, int number, error_code&) override {
    verb = known;
    method = standard(name);
    target = standard(where);
    version = number;
  }
  void on_response_impl(int code, BeastView, int number, error_code&) override {
    status = static_cast<unsigned>(code);
    version = number;
  }
  void on_field_impl(http::field field, BeastView name, BeastView value, error_code&) override {
    if (field == http::field::host) ++hosts;
    if (field == http::field::content_length) {
      ++lengths;
      length = standard(value);
    }
    if (field == http::field::transfer_encoding) {
      ++codings;
      coding = standard(value);
    }
    headers.add(standard(name), standard(value));
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(BeastView, error_code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, BeastView, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, BeastView, error_code&) override { return 0; }
  void on_finish_impl(error_code&) override {}
};

HeadError bad(std::string text) { return {400, std::move(text)}; }

Method method_of(http::verb verb) {
  switch (verb) {
    case http::verb::get:
      return Method::get;
    case http::verb::head:
      return Method::head;
    case http::verb::post:
      return Method::post;
    case http::verb::put:
      return Method::put;
    case http::verb::patch:
      return Method::patch;
    case http::verb::delete_:
      return Method::delete_;
    case http::verb::options:
      return Method::options;
    default:
      return Method::other;
  }
}

bool is_authority(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-._~:[]%!$&'()*+,;=").find(c) != std::string_view::npos;
  });
}

/// Origin form stays, absolute form loses its scheme and authority; "*" stays for OPTIONS.
std::optional<HeadError> take_target(std::string_view target, Request& request) {
  if (target.find('#') != std::string_view::npos) return bad("the target holds a fragment");
  if (target.starts_with('/')) {
    request.target = target;
    return std::nullopt;
  }
  if (target == "*" && request.method == Method::options) {
    request.target = "*";
    return std::nullopt;
  }
  const std::size_t scheme = equal_without_case(target.substr(0, 7), "http://")    ? 7
                             : equal_without_case(target.substr(0, 8), "https://") ? 8
                                                                                   : 0;
  if (scheme == 0) return bad("the target is neither a path nor an http address");
  target.remove_prefix(scheme);
  const std::size_t end = std::min(target.find_first_of("/?"), target.size());
  if (!is_authority(target.substr(0, end))) return bad("the target names no usable host");
  request.host = target.substr(0, end);  // RFC 9112 3.2.2: it counts, Host does not
  target.remove_prefix(end);
  request.target = target.starts_with('/') ? std::string(target) : "/" + std::string(target);
  return std::nullopt;
}

template <bool is_request>
std::optional<HeadError> take_framing(const NotingParser<is_request>& parser, Framing& framing) {
  if (parser.lengths > 1) return bad("two Content-Length headers");
  if (parser.codings > 1) return bad("two Transfer-Encoding headers");
  if (parser.lengths > 0 && parser.codings > 0) return bad("both Content-Length and Transfer-Encoding");
  if (parser.codings > 0) {
    if (!equal_without_case(parser.coding, "chunked")) return bad("a transfer coding that is not chunked");
    if (parser.version < 11) return bad("Transfer-Encoding with HTTP/1.0");
    framing = {Framing::Kind::chunked, 0};
  } else if (parser.lengths > 0) {
    const std::string_view digits = parser.length;
    if (digits.empty() || digits.size() > 18 ||
        digits.find_first_not_of("0123456789") != std::string_view::npos) {
      return bad("Content-Length is not a number");
    }
    std::uint64_t length = 0;
    for (char c : digits) length = length * 10 + static_cast<std::uint64_t>(c - '0');
    framing = {length > 0 ? Framing::Kind::length : Framing::Kind::none, length};
  }
  return std::nullopt;
}

/// Runs the parser over a whole head.
template <bool is_request>
std::optional<HeadError> run(NotingParser<is_request>& parser, std::string_view bytes) {
  error_code error;
  const std::size_t used = parser.put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
  if (error == http::error::bad_version) return HeadError{505, "only HTTP/1.0 and HTTP/1.1 are spoken here"};
  if (error == http::error::header_limit) return HeadError{431, "the head is too long"};
  if (error || !parser.is_header_done() || used != bytes.size()) {
    return bad(error && error != http::error::need_more ? error.message()
                                                        : std::string("the head is malformed"));
  }
  return std::nullopt;
}

std::optional<HeadError> take_host(const NotingParser<true>& parser, Request& request) {
  if (parser.hosts > 1) return bad("two Host headers");
  if (parser.hosts == 0) {
    if (parser.version >= 11) return bad("no Host header");
    return std::nullopt;
  }
  const std::string_view host = request.headers.get("Host");
  if (!is_authority(host)) return bad("the Host header is not a host");
  if (request.host.empty()) request.host = host;
  return std::nullopt;
}

std::optional<HeadError> take_expectation(const Request& request, RequestHead& head) {
  const auto expect = request.headers.find("Expect");
  if (!expect || request.version_minor == 0) return std::nullopt;
  if (!equal_without_case(*expect, "100-continue"))
    return HeadError{417, "only Expect: 100-continue is known"};
  head.expects_continue = head.framing.kind != Framing::Kind::none;
  return std::nullopt;
}

bool stays_alive(const HeaderList& headers, int version) {
  if (headers.has_token("Connection", "close")) return false;
  return version >= 11 || headers.has_token("Connection", "keep-alive");
}

}  // namespace

HeadScanner::Verdict HeadScanner::refuse(unsigned status, std::string_view text) {
  error_ = HeadError{status, std::string(text)};
  return Verdict::refused;
}

HeadScanner::Verdict HeadScanner::scan(std::string_view bytes) {
  if (scanned_ == 0 && !bytes.empty() && static_cast<unsigned char>(bytes[0]) < 0x20 && bytes[0] != '\r') {
    return refuse(400, "this is not HTTP (TLS on a plain port?)");
  }
  while (true) {
    const std::size_t newline = bytes.find('\n', scanned_);
    const std::size_t seen = std::min(newline, bytes.size());
    if (lines_ == 0 && seen - line_ > limits_.target_bytes_max + 64)
      return refuse(414, "the target is too long");
    if (seen - skipped_ > limits_.bytes_max) return refuse(431, "the head is too long");
    if (newline == std::string_view::npos) {
      scanned_ = bytes.size();
      return Verdict::incomplete;
    }
    if (newline == line_ || bytes[newline - 1] != '\r') return refuse(400, "a line ends without CR");
    scanned_ = newline + 1;
    if (newline == line_ + 1) {  // an empty line
      if (lines_ > 0) {
        end_ = scanned_;
        return Verdict::complete;
      }
      if (scanned_ > 4)
        return refuse(400, "empty lines before a request");  // RFC 9112 2.2 asks for some patience
      skipped_ = line_ = scanned_;
      continue;
    }
    if (lines_ > 0 && (bytes[line_] == ' ' || bytes[line_] == '\t'))
      return refuse(400, "a folded header line");
    if (++lines_ > limits_.headers_max + 1) return refuse(431, "too many headers");
    line_ = scanned_;
  }
}

std::optional<HeadError> parse_request_head(std::string_view bytes, const HeadLimits& limits,
                                            Request& request, RequestHead& head) {
  constexpr std::size_t kFieldsExpected = 16;  // of a browser; a script sends fewer
  request.headers.reserve(bytes.size(), kFieldsExpected);
  NotingParser<true> parser(limits, request.headers);
  if (auto error = run(parser, bytes)) return error;
  request.method = method_of(parser.verb);
  request.version_minor = parser.version - 10;
  if (parser.target.size() > limits.target_bytes_max) return HeadError{414, "the target is too long"};
  // Its usual target is a host, not a path of this server. Any other token goes to the handlers, who know
  // what their addresses take (RFC 9110 9.1 and 15.5.6).
  if (parser.verb == http::verb::connect && !parser.target.starts_with('/'))
    return HeadError{405, "this is no proxy"};
  if (auto error = take_target(parser.target, request)) return error;
  if (auto error = take_host(parser, request)) return error;
  if (auto error = take_framing(parser, head.framing)) return error;
  if (const auto coding = request.headers.find("Content-Encoding");
      coding && !equal_without_case(*coding, "identity")) {
    return HeadError{415, "encoded request bodies are not taken"};
  }
  if (auto error = take_expectation(request, head)) return error;
  head.keep_alive = stays_alive(request.headers, parser.version);
  request.is_head = request.method == Method::head;
  if (request.is_head) request.method = Method::get;
  request.content_length =
      head.framing.kind == Framing::Kind::chunked ? std::nullopt : std::optional(head.framing.length);
  return std::nullopt;
}

Result<ResponseHead> parse_response_head(std::string_view bytes, const HeadLimits& limits) {
  ResponseHead head;
  NotingParser<false> parser(limits, head.headers);
  if (const auto error = run(parser, bytes))
    return fail(Errc::protocol, "the answer is no HTTP: " + error->text);
  head.status = parser.status;
  if (head.status < 100) return fail(Errc::protocol, "the answer is no HTTP: its status is below 100");
  if (const auto error = take_framing(parser, head.framing))
    return fail(Errc::protocol, "the answer has " + error->text);
  const bool bodiless = head.status < 200 || head.status == 204 || head.status == 304;
  if (bodiless) {
    head.framing = {};
  } else if (parser.lengths == 0 && parser.codings == 0) {
    head.framing = {Framing::Kind::until_close, 0};
  }
  head.keep_alive =
      stays_alive(head.headers, parser.version) && head.framing.kind != Framing::Kind::until_close;
  return head;
}

}  // namespace atelier::net
