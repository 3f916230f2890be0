// SPDX-License-Identifier: MIT
#include "journal/codec.hpp"

#include <fmt/format.h>

#include "base/match.hpp"
#include "journal/record_codec.hpp"

namespace atelier::journal {
namespace {

using record_codec::Fault;

/// Decodes into the alternative of this kind; false if there is none.
template <class Variant, std::size_t... I>
bool decode_alternative(std::uint16_t kind, std::uint8_t version, std::string_view bytes, Variant& out,
                        Fault& fault, std::index_sequence<I...>) {
  const auto one = [&]<std::size_t Index>() {
    if (kind != std::variant_alternative_t<Index, Variant>::kKind) return false;
    fault = record_codec::decode(bytes, version, out.template emplace<Index>());
    return true;
  };
  return (one.template operator()<I>() || ...);
}

template <class Variant, std::size_t... I>
constexpr bool kinds_are_unique(std::index_sequence<I...>) {
  constexpr std::uint16_t kinds[] = {std::variant_alternative_t<I, Variant>::kKind...};
  for (std::size_t a = 0; a < sizeof...(I); ++a) {
    for (std::size_t b = 0; b < a; ++b) {
      if (kinds[a] == kinds[b]) return false;
    }
  }
  return true;
}
static_assert(kinds_are_unique<core::Event>(std::make_index_sequence<std::variant_size_v<core::Event>>{}));
static_assert(kinds_are_unique<core::CheckpointRecord>(
    std::make_index_sequence<std::variant_size_v<core::CheckpointRecord>>{}));

template <class Variant>
Result<Variant> decode(std::string_view bytes) {
  if (bytes.size() < record_codec::kHeadBytes) return fail(Errc::io, "a record of the journal is cut off");
  const auto byte = [&](std::size_t at) { return static_cast<std::uint8_t>(bytes[at]); };
  const auto kind = static_cast<std::uint16_t>(byte(0) | byte(1) << 8);
  const std::uint8_t version = byte(2);
  Variant out;
  Fault fault = Fault::none;
  constexpr auto all = std::make_index_sequence<std::variant_size_v<Variant>>{};
  bytes.remove_prefix(record_codec::kHeadBytes);
  if (!decode_alternative(kind, version, bytes, out, fault, all)) fault = Fault::newer;
  switch (fault) {
    case Fault::none:
      return out;
    case Fault::newer:
      return fail(
          Errc::newer_version,
          fmt::format("a record of kind {} version {} was written by a newer Atelier", kind, version));
    case Fault::truncated:
      return fail(Errc::io, fmt::format("a record of kind {} is cut off", kind));
    case Fault::garbage:
      break;
  }
  return fail(Errc::io, fmt::format("a record of kind {} holds bytes that mean nothing", kind));
}

template <class Variant>
std::uint16_t kind_of_variant(const Variant& variant) {
  return std::visit([]<class Record>(const Record&) { return Record::kKind; }, variant);
}

}  // namespace

std::uint16_t kind_of(const core::Event& event) { return kind_of_variant(event); }
std::uint16_t kind_of(const core::CheckpointRecord& record) { return kind_of_variant(record); }

std::string_view kind_name(const core::CheckpointRecord& record) {
  using namespace std::string_view_literals;
  return std::visit(Match{[](const core::WorkshopFacts&) { return "workshop_state"sv; },
                          [](const core::ParticipantFacts&) { return "participant_state"sv; },
                          [](const core::JobFacts&) { return "job_state"sv; },
                          [](const core::WorkerFacts&) { return "worker_state"sv; },
                          [](const core::CapabilityFacts&) { return "capability_state"sv; },
                          [](const core::UnlinkedCommit&) { return "commit_state"sv; },
                          [](const core::NameCounter&) { return "name_counter"sv; },
                          [](const core::RunHistory&) { return "run_history"sv; },
                          [](const core::GatewayFacts&) { return "gateway_state"sv; },
                          [](const core::Summary&) { return "summary"sv; },
                          [](const core::EnrolmentFacts&) { return "enrolment_state"sv; },
                          [](const core::WorkerKeyFacts&) { return "worker_key_state"sv; }},
                    record);
}

void encode(const core::Event& event, std::string& out) {
  std::visit([&](const auto& record) { record_codec::encode(out, record); }, event);
}
void encode(const core::CheckpointRecord& record, std::string& out) {
  std::visit([&](const auto& alternative) { record_codec::encode(out, alternative); }, record);
}

Result<core::Event> decode_event(std::string_view bytes) { return decode<core::Event>(bytes); }
Result<core::CheckpointRecord> decode_record(std::string_view bytes) {
  return decode<core::CheckpointRecord>(bytes);
}

}  // namespace atelier::journal
