// SPDX-License-Identifier: MIT
#include "gateway/range_answer.hpp"

namespace atelier::gateway {

bool take_range(const net::Request& request, std::uint64_t size, std::string_view etag,
                std::optional<std::int64_t> modified, net::Response& response, net::ByteRange& range) {
  const net::RangeDecision decision = net::decide_range(request.headers, size, etag, modified);
  range = decision.range;
  if (decision.kind == net::RangeDecision::Kind::whole) return true;
  response.status = decision.kind == net::RangeDecision::Kind::partial ? 206 : 416;
  response.headers.add("Content-Range", net::content_range(decision, size));
  return response.status == 206;
}

}  // namespace atelier::gateway
