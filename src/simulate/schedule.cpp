// SPDX-License-Identifier: MIT
#include "simulate/schedule.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>

#include <boost/json.hpp>

namespace atelier::simulate {
namespace json = boost::json;
namespace {

std::string_view to_string(RunOutcome outcome) {
  switch (outcome) {
    case RunOutcome::committed:
      return "committed";
    case RunOutcome::lost:
      return "lost";
    case RunOutcome::refused:
      return "refused";
  }
  return "committed";
}

}  // namespace

std::string print_schedule(const Trace& trace, const Schedule& schedule) {
  std::string out = fmt::format(R"({{"format":"atelier-schedule/1","trace":{},"policy":"{}","runs":[)",
                                json::serialize(json::value(schedule.trace)), schedule.policy);
  const auto end = std::back_inserter(out);
  for (const Run& run : schedule.runs) {
    if (&run != &schedule.runs.front()) out += ",\n";
    fmt::format_to(
        end,
        R"({{"job":{},"worker":{},"epoch":{},"lease_ms":{},"start_ms":{},"end_ms":{},"loaded":{},"outcome":"{}")",
        run.job, json::serialize(json::value(trace.workers[run.worker].name)), run.epoch, run.lease,
        run.start, run.end, run.loaded, to_string(run.outcome));
    if (run.requeued >= 0) fmt::format_to(end, R"(,"requeued_ms":{})", run.requeued);
    if (!run.passed.empty()) fmt::format_to(end, R"(,"passed":[{}])", fmt::join(run.passed, ","));
    out += '}';
  }
  out += ']';
  if (!schedule.etas.empty()) out += R"(,"etas":[)";
  for (const Eta& eta : schedule.etas) {
    if (&eta != &schedule.etas.front()) out += ",\n";
    fmt::format_to(end, R"({{"job":{},"t_ms":{},"p50_ms":{},"p90_ms":{}}})", eta.job, eta.time, eta.p50,
                   eta.p90);
  }
  if (!schedule.etas.empty()) out += ']';
  out += "}\n";
  return out;
}

}  // namespace atelier::simulate
