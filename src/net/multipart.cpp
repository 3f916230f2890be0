// SPDX-License-Identifier: MIT
#include "net/multipart.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/match.hpp"

namespace atelier::net {
namespace {

constexpr std::size_t kBoundaryBytesMax = 70;  // RFC 2046 5.1.1
constexpr std::size_t kReadBytes = 64 << 10;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::unexpected<Error> bad(std::string why) {
  return fail(Errc::bad_request, "bad form data: " + std::move(why));
}

struct Parameter {
  std::string name;  // lower case
  std::string value;
};

/// The parameters after the first ';'. Quoted values may hold \" (older clients); a lone backslash stays.
Result<std::vector<Parameter>> parameters(std::string_view text) {
  std::vector<Parameter> out;
  text = trimmed(text.substr(std::min(text.find(';'), text.size())));
  while (!text.empty()) {
    if (text.front() != ';') return bad("a header has stray bytes between its parameters");
    text = trimmed(text.substr(1));
    if (text.empty()) break;
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) return bad("a header parameter has no value");
    Parameter parameter;
    for (char c : trimmed(text.substr(0, equals))) {
      parameter.name.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c);
    }
    text.remove_prefix(equals + 1);
    if (text.starts_with('"')) {
      std::size_t end = 1;
      for (; end < text.size() && text[end] != '"'; ++end) {
        if (text[end] == '\\' && end + 1 < text.size() && text[end + 1] == '"') ++end;
        parameter.value.push_back(text[end]);
      }
      if (end >= text.size()) return bad("a quote is not closed");
      text = trimmed(text.substr(end + 1));
    } else {
      const std::size_t end = std::min(text.find(';'), text.size());
      parameter.value = trimmed(text.substr(0, end));
      text = text.substr(end);
    }
    if (std::ranges::any_of(out, [&](const Parameter& p) { return p.name == parameter.name; })) {
      return bad(fmt::format("the parameter \"{}\" comes twice", parameter.name));
    }
    out.push_back(std::move(parameter));
    if (out.size() > 16) return bad("a header has too many parameters");
  }
  return out;
}

Result<void> read_disposition(std::string_view value, PartHead& head) {
  if (!equal_without_case(trimmed(value.substr(0, value.find(';'))), "form-data"))
    return bad("a part is not form-data");
  ATELIER_TRY(const std::vector<Parameter> list, parameters(value));
  bool named = false;
  for (const Parameter& parameter : list) {
    if (parameter.name == "name") {
      head.name = parameter.value;
      named = true;
    } else if (parameter.name == "filename") {
      head.filename = parameter.value;
    } else if (parameter.name == "filename*" || parameter.name == "name*") {
      return bad("extended parameters (filename*=) are not allowed in form data (RFC 7578 4.2)");
    }
  }
  if (!named) return bad("a part has no name");
  return {};
}

Result<PartHead> parse_part_head(std::string_view lines) {
  PartHead head;
  bool disposed = false;
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find("\r\n"), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 2, lines.size()));
    if (line.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos)
      return bad("a header line is broken");
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) return bad("a header line has no name");
    const std::string_view name = line.substr(0, colon);
    if (name.find_first_of(" \t") != std::string_view::npos) return bad("a header name holds a blank");
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (equal_without_case(name, "Content-Disposition")) {
      if (std::exchange(disposed, true)) return bad("a part has two Content-Disposition headers");
      ATELIER_TRY_VOID(read_disposition(value, head));
    } else if (equal_without_case(name, "Content-Type")) {
      head.content_type = value;
    } else if (equal_without_case(name, "Content-Transfer-Encoding")) {
      if (!equal_without_case(value, "binary") && !equal_without_case(value, "8bit") &&
          !equal_without_case(value, "7bit")) {
        return bad("encoded parts are not taken");
      }
    }
  }
  if (!disposed) return bad("a part has no Content-Disposition");
  return head;
}

}  // namespace

Result<std::string> multipart_boundary(std::string_view content_type) {
  const std::string_view type = trimmed(content_type.substr(0, content_type.find(';')));
  if (!equal_without_case(type, "multipart/form-data"))
    return bad("the content type is not multipart/form-data");
  ATELIER_TRY(const std::vector<Parameter> list, parameters(content_type));
  for (const Parameter& parameter : list) {
    if (parameter.name != "boundary") continue;
    const std::string& boundary = parameter.value;
    if (boundary.empty() || boundary.size() > kBoundaryBytesMax) return bad("the boundary has a bad length");
    if (std::ranges::any_of(boundary, [](char c) { return c < 0x20 || c > 0x7e; }))
      return bad("the boundary has odd bytes");
    return boundary;
  }
  return bad("the content type names no boundary");
}

MultipartParser::MultipartParser(std::string boundary, MultipartLimits limits)
    : delimiter_("\r\n--" + std::move(boundary)),
      limits_(limits),
      input_("\r\n") {}  // the first delimiter starts no line

Result<void> MultipartParser::push(std::string_view bytes, std::vector<MultipartEvent>& events) {
  input_.erase(0, next_);
  next_ = 0;
  input_ += bytes;
  while (true) {
    ATELIER_TRY(const bool more, step(events));
    if (!more) return {};
  }
}

Result<void> MultipartParser::finish() const {
  if (state_ != State::epilogue) return bad("it ends before its last boundary");
  return {};
}

Result<bool> MultipartParser::step(std::vector<MultipartEvent>& events) {
  const std::string_view rest = std::string_view(input_).substr(next_);
  switch (state_) {
    case State::start: {
      const std::size_t found = rest.find(delimiter_);
      const std::size_t skipped = found != std::string_view::npos
                                      ? found + delimiter_.size()
                                      : rest.size() - std::min(rest.size(), delimiter_.size() - 1);
      preamble_bytes_ += skipped;
      next_ += skipped;
      if (preamble_bytes_ > limits_.header_bytes_max) return bad("no boundary at its start");
      if (found == std::string_view::npos) return false;
      state_ = State::after_delimiter;
      return true;
    }
    case State::after_delimiter:
      return read_delimiter_end(events);
    case State::headers:
      return read_headers(events);
    case State::data:
      return read_data(events);
    case State::epilogue:
      preamble_bytes_ += rest.size();
      next_ += rest.size();
      if (preamble_bytes_ > 2 * limits_.header_bytes_max)
        return bad("too many bytes after its last boundary");
      return false;
  }
  return false;
}

Result<bool> MultipartParser::read_delimiter_end(std::vector<MultipartEvent>&) {
  const std::string_view rest = std::string_view(input_).substr(next_);
  if (rest.size() < 2) return false;
  if (rest.starts_with("--")) {
    state_ = State::epilogue;
  } else if (rest.starts_with("\r\n")) {
    if (++parts_ > limits_.parts_max) {
      return fail(Errc::too_large, fmt::format("the form has more than {} parts", limits_.parts_max));
    }
    state_ = State::headers;
  } else {
    return bad("bytes after a boundary");
  }
  next_ += 2;
  return true;
}

Result<bool> MultipartParser::read_headers(std::vector<MultipartEvent>& events) {
  const std::string_view rest = std::string_view(input_).substr(next_);
  if (rest.starts_with("\r\n")) return bad("a part has no headers");
  constexpr std::string_view kEnd = "\r\n\r\n";
  const std::size_t end = rest.find(kEnd);
  // Bytes that may be the begin of the end do not count yet: the verdict is the same for every split.
  const std::size_t least =
      end != std::string_view::npos ? end : rest.size() - std::min(rest.size(), kEnd.size() - 1);
  if (least > limits_.header_bytes_max) {
    return fail(Errc::too_large,
                fmt::format("the headers of a part have more than {} bytes", limits_.header_bytes_max));
  }
  if (end == std::string_view::npos) return false;
  ATELIER_TRY(PartHead head, parse_part_head(rest.substr(0, end)));
  is_file_ = head.filename.has_value();
  part_bytes_ = 0;
  next_ += end + 4;
  events.emplace_back(PartBegin{std::move(head)});
  state_ = State::data;
  return true;
}

Result<bool> MultipartParser::read_data(std::vector<MultipartEvent>& events) {
  const std::string_view rest = std::string_view(input_).substr(next_);
  const std::size_t found = rest.find(delimiter_);
  std::size_t count = found;
  if (found == std::string_view::npos) {
    // Keep back what may be the start of a delimiter.
    const std::size_t from = rest.size() - std::min(rest.size(), delimiter_.size() - 1);
    count = std::min(rest.find('\r', from), rest.size());
  }
  if (count > 0) {
    ATELIER_TRY_VOID(count_data(count));
    events.emplace_back(PartData{rest.substr(0, count)});
    next_ += count;
  }
  if (found == std::string_view::npos) return false;
  next_ += delimiter_.size();
  events.emplace_back(PartEnd{});
  state_ = State::after_delimiter;
  return true;
}

Result<void> MultipartParser::count_data(std::size_t bytes) {
  part_bytes_ += bytes;
  const std::uint64_t most = is_file_ ? limits_.file_bytes_max : limits_.field_bytes_max;
  if (part_bytes_ > most)
    return fail(Errc::too_large, fmt::format("a part of the form has more than {} bytes", most));
  return {};
}

namespace {

awaitable<Result<void>> deliver(MultipartSink& sink, MultipartEvent& event) {
  if (auto* begin = std::get_if<PartBegin>(&event)) co_return co_await sink.begin(std::move(begin->head));
  if (auto* data = std::get_if<PartData>(&event)) co_return co_await sink.data(data->bytes);
  co_return co_await sink.end();
}

}  // namespace

awaitable<Result<void>> read_multipart(Request& request, MultipartSink& sink, MultipartLimits limits,
                                       Instant deadline) {
  ATELIER_CO_TRY(std::string boundary, multipart_boundary(request.headers.get("Content-Type")));
  MultipartParser parser(std::move(boundary), limits);
  std::vector<MultipartEvent> events;
  std::string buffer(kReadBytes, '\0');
  while (true) {
    ATELIER_CO_TRY(const std::size_t count, co_await request.read(buffer, deadline));
    if (count == 0) co_return parser.finish();
    events.clear();
    ATELIER_CO_TRY_VOID(parser.push(std::string_view(buffer).substr(0, count), events));
    for (MultipartEvent& event : events) ATELIER_CO_TRY_VOID(co_await deliver(sink, event));
  }
}

}  // namespace atelier::net
