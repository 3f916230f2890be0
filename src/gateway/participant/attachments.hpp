// SPDX-License-Identifier: MIT
#pragma once
// What the journal keeps beside the facts, as ComfyUI's answers need it: JSON text, cut out of the
// attachments once and kept in a small cache. One thread; big ones are parsed on the compute pool.

#include <memory>
#include <string>
#include <vector>

#include "gateway/byte_lru.hpp"
#include "runtime/runtime.hpp"
#include "workshop/workshop.hpp"

namespace atelier::gateway {

/// Of the accepted form of a prompt. Members are JSON text.
struct AcceptedParts {
  std::string prompt = "{}", extra_data = "{}", node_errors = "{}";
  std::vector<std::string> outputs;
  bool client_number = false;  // `number` was the client's own
};
/// Of the report of an end; "" where the report has nothing.
struct ReportParts {
  std::string event_type, event_data, event;  // event: the whole frame
  std::string status, meta;
  std::vector<std::string> nodes;  // with outputs, in the order in which they ran: the members of meta
};

[[nodiscard]] Result<AcceptedParts> parse_accepted(std::string_view bytes);
[[nodiscard]] Result<ReportParts> parse_report(std::string_view bytes);

class Attachments {
 public:
  Attachments(Runtime& runtime, workshop::Workshop& workshop, std::size_t bytes_max)
      : runtime_(runtime),
        workshop_(workshop),
        raw_(bytes_max / 4),
        accepted_(bytes_max / 2),
        reports_(bytes_max / 4) {}

  /// Errors of all: not_found, io.
  [[nodiscard]] awaitable<Result<std::shared_ptr<const std::string>>> raw(core::Attachment attachment);
  [[nodiscard]] awaitable<Result<std::shared_ptr<const AcceptedParts>>> accepted(core::Attachment attachment);
  [[nodiscard]] awaitable<Result<std::shared_ptr<const ReportParts>>> report(core::Attachment attachment);

 private:
  template <class Parts>
  awaitable<Result<std::shared_ptr<const Parts>>> parsed(ByteLru<Key128, Parts>& cache,
                                                         core::Attachment attachment,
                                                         Result<Parts> (*parse)(std::string_view));

  Runtime& runtime_;
  workshop::Workshop& workshop_;
  ByteLru<Key128, std::string> raw_;
  ByteLru<Key128, AcceptedParts> accepted_;
  ByteLru<Key128, ReportParts> reports_;
};

}  // namespace atelier::gateway
