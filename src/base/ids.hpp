// SPDX-License-Identifier: MIT
#pragma once
// One type per kind of id, so that two numbers cannot swap silently (style.md 2).

#include <fmt/format.h>

#include <compare>
#include <cstdint>
#include <functional>

namespace atelier {

template <class Tag>
struct Id {
  std::uint64_t value = 0;
  auto operator<=>(const Id&) const = default;
  explicit operator bool() const { return value != 0; }  // 0 is "none" for every kind of id
};

using ParticipantId = Id<struct ParticipantTag>;  // the N of /user/N/; 1 ..; the instructor's own jobs have 0
using JobId = Id<struct JobTag>;                  // given by the workshop, a counter of core's State, from 1
using Epoch = Id<struct EpochTag>;        // number of a grant of one job, from 1; raised by a grant only
using Sequence = Id<struct SequenceTag>;  // number of an entry in the journal, from 1, without gaps
using LinkId = Id<struct LinkTag>;        // one connection of a worker = the sequence of its worker_joined
using WorkerId = Id<struct WorkerTag>;    // an agent, by its first joining; a counter of State, from 1
using GatewayId = Id<struct GatewayTag>;  // one serve process; a counter of State, from 1
using EnrolmentId = Id<struct EnrolmentTag>;  // = the sequence of its enrolment_made

/// One ComfyUI process of a worker. `index` is what the agent calls it (0 ..).
struct SlotId {
  WorkerId worker;
  std::uint32_t index = 0;
  auto operator<=>(const SlotId&) const = default;
};

}  // namespace atelier

template <class Tag>
struct std::hash<atelier::Id<Tag>> {
  std::size_t operator()(atelier::Id<Tag> id) const noexcept { return std::hash<std::uint64_t>{}(id.value); }
};
template <class Tag>
struct fmt::formatter<atelier::Id<Tag>> : fmt::formatter<std::uint64_t> {
  auto format(atelier::Id<Tag> id, fmt::format_context& context) const {
    return fmt::formatter<std::uint64_t>::format(id.value, context);
  }
};
template <>
struct fmt::formatter<atelier::SlotId> : fmt::formatter<std::uint64_t> {
  auto format(atelier::SlotId slot, fmt::format_context& context) const {
    return fmt::format_to(context.out(), "{}/{}", slot.worker, slot.index);
  }
};
