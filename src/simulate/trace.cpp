// SPDX-License-Identifier: MIT
#include "simulate/trace.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "core/limits.hpp"

namespace atelier::simulate {
namespace json = boost::json;
namespace {

constexpr std::int64_t kTimeMax = 366LL * 24 * 3600 * 1000;  // a year
constexpr double kBytesPerGib = 1ULL << 30, kGibMax = 1'000'000;
constexpr std::size_t kSubmissionsMax = 1'000'000;

std::string_view view(json::string_view text) { return {text.data(), text.size()}; }

/// Reads members of one object and remembers what is wrong first.
class Reader {
 public:
  Reader(const json::value& value, std::string place, std::optional<Error>& error)
      : object_(value.if_object()), place_(std::move(place)), error_(error) {
    if (object_ == nullptr) complain("is not an object");
  }
  std::int64_t number(std::string_view name, std::int64_t least, std::int64_t most) {
    const json::value* const value = member(name);
    if (value == nullptr) return least;
    if (!value->is_int64() || value->get_int64() < least || value->get_int64() > most) {
      complain(fmt::format("has no \"{}\" that is a whole number from {} to {}", name, least, most));
      return least;
    }
    return value->get_int64();
  }
  double quantity(std::string_view name, double most) {
    const json::value* const value = member(name);
    if (value == nullptr) return 0;
    const double found = value->is_number() ? value->to_number<double>() : -1;
    if (found >= 0 && found <= most) return found;
    complain(fmt::format("has no \"{}\" that is a number from 0 to {}", name, most));
    return 0;
  }
  std::string text(std::string_view name) {
    const json::value* const value = member(name);
    if (value == nullptr) return {};
    if (!value->is_string()) complain(fmt::format("has no text \"{}\"", name));
    return value->is_string() ? std::string(view(value->get_string())) : std::string();
  }
  const json::array& list(std::string_view name) {
    static const json::array none;
    const json::value* const value = member(name);
    if (value == nullptr) return none;
    if (!value->is_array()) complain(fmt::format("has no list \"{}\"", name));
    return value->is_array() ? value->get_array() : none;
  }
  const json::object& object(std::string_view name) {
    static const json::object none;
    const json::value* const value = member(name);
    if (value == nullptr) return none;
    if (!value->is_object()) complain(fmt::format("has no object \"{}\"", name));
    return value->is_object() ? value->get_object() : none;
  }
  bool has(std::string_view name) const {
    return object_ != nullptr && object_->contains(json::string_view(name.data(), name.size()));
  }
  template <class Index>
  std::size_t reference(std::string_view name, const Index& index, std::string_view what) {
    const std::string wanted = text(name);
    const auto found = index.find(wanted);
    if (found != index.end()) return found->second;
    complain(fmt::format("names the {} \"{}\", which the trace does not have", what, wanted));
    return 0;
  }
  void complain(std::string_view what) {
    if (!error_) error_ = Error{Errc::bad_request, fmt::format("{} {}", place_, what)};
  }

 private:
  const json::value* member(std::string_view name) {
    const json::value* const value =
        object_ == nullptr ? nullptr : object_->if_contains(json::string_view(name.data(), name.size()));
    if (value == nullptr) complain(fmt::format("has no \"{}\"", name));
    return value;
  }
  const json::object* object_;
  std::string place_;
  std::optional<Error>& error_;
};

using Index = std::map<std::string, std::size_t, std::less<>>;

FaultKind fault_kind(Reader& reader) {
  constexpr std::array<std::string_view, 6> names{"death", "return", "drain", "undrain", "partition", "heal"};
  const std::string wanted = reader.text("kind");
  const auto found = std::ranges::find(names, wanted);
  if (found != names.end()) return static_cast<FaultKind>(found - names.begin());
  reader.complain(fmt::format("has the unknown kind \"{}\"", wanted));
  return FaultKind::death;
}

core::PriorityLevel priority_of(Reader& reader) {
  using enum core::PriorityLevel;
  if (!reader.has("priority")) return normal;
  const std::string wanted = reader.text("priority");
  for (const auto level : {instructor, high, normal, low}) {
    if (wanted == core::to_string(level)) return level;
  }
  reader.complain(fmt::format("has the unknown priority \"{}\"", wanted));
  return normal;
}

}  // namespace

Result<Trace> parse_trace(std::string_view text) {
  json::error_code failure;
  const json::value root = json::parse(json::string_view(text.data(), text.size()), failure);
  if (failure) return fail(Errc::bad_request, "the trace is not valid JSON: " + failure.message());
  std::optional<Error> error;
  Reader head(root, "the trace", error);
  if (head.text("format") != "atelier-trace/1") head.complain("is not of the format atelier-trace/1");
  Trace trace;
  trace.name = head.text("name");
  trace.lease_ms = head.number("lease_ms", 1, kTimeMax);
  trace.jain_window_ms = head.number("jain_window_ms", 1, kTimeMax);
  trace.participants = static_cast<std::uint64_t>(
      head.number("participants", 1, static_cast<std::int64_t>(core::Limits{}.participants_max) - 1));
  Index workers, sets, signatures;
  for (const json::value& value : head.list("workers")) {
    Reader reader(value, fmt::format("worker {}", trace.workers.size()), error);
    TraceWorker worker{reader.text("worker"), reader.text("gpu"), reader.number("speed", 1, 1'000'000)};
    if (worker.name.empty()) reader.complain("has an empty name");
    if (!workers.emplace(worker.name, trace.workers.size()).second) reader.complain("has a name twice");
    trace.workers.push_back(std::move(worker));
  }
  const std::size_t workers_max = core::Limits{}.workers_max;
  if (trace.workers.empty() || trace.workers.size() > workers_max)
    head.complain(fmt::format("needs 1 to {} workers", workers_max));
  for (const auto& member : head.object("model_sets")) sets.emplace(std::string(view(member.key())), 0);
  for (auto& [name, index] : sets) {
    Reader reader(root.at("model_sets").at(name), fmt::format("model set \"{}\"", name), error);
    index = trace.model_sets.size();
    const double gib = reader.has("gib") ? reader.quantity("gib", kGibMax) : 0;
    trace.model_sets.push_back({.name = name,
                                .load_ms = reader.number("load_ms", 0, kTimeMax),
                                .bytes = static_cast<std::uint64_t>(gib * kBytesPerGib)});
  }
  for (const auto& member : head.object("signatures")) {
    std::string name(view(member.key()));
    Reader reader(member.value(), fmt::format("signature \"{}\"", name), error);
    signatures.emplace(name, trace.signatures.size());
    const std::size_t set = reader.reference("model_set", sets, "model set");
    trace.signatures.push_back({std::move(name), set, reader.text("kind") == "video"});
  }
  const json::array& submissions = head.list("submissions");
  if (submissions.empty() || submissions.size() > kSubmissionsMax) {
    head.complain(fmt::format("needs 1 to {} submissions", kSubmissionsMax));
  }
  for (const json::value& value : submissions) {
    if (error) break;
    const std::size_t job = trace.submissions.size();
    Reader reader(value, fmt::format("submission {}", job), error);
    if (reader.number("job", 0, kTimeMax) != static_cast<std::int64_t>(job))
      reader.complain("has another number");
    Submission submission;
    submission.time = reader.number("t_ms", job == 0 ? 0 : trace.submissions.back().time, kTimeMax);
    submission.participant = static_cast<std::uint64_t>(
        reader.number("participant", 0, static_cast<std::int64_t>(trace.participants)));
    submission.signature = reader.reference("signature", signatures, "signature");
    submission.work_ms = reader.number("work_ms", 1, kTimeMax);
    submission.priority = priority_of(reader);
    if (!error && reader.reference("model_set", sets, "model set") !=
                      trace.signatures[submission.signature].model_set) {
      reader.complain("has another model set than its signature");
    }
    trace.submissions.push_back(submission);
  }
  std::multimap<std::int64_t, Fault> faults;  // those of one time stay in their order
  for (const json::value& value : head.list("faults")) {
    Reader reader(value, fmt::format("fault {}", faults.size()), error);
    const std::int64_t time = reader.number("t_ms", 0, kTimeMax);
    faults.emplace(time, Fault{time, reader.reference("worker", workers, "worker"), fault_kind(reader)});
  }
  if (error) return std::unexpected(std::move(*error));
  for (const auto& [time, fault] : faults) trace.faults.push_back(fault);
  return trace;
}

}  // namespace atelier::simulate
