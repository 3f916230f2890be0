// SPDX-License-Identifier: MIT
#include "link/messages.hpp"

namespace atelier::link {

std::string_view to_string(EngineState value) {
  switch (value) {
    case EngineState::starting:
      return "starting";
    case EngineState::ready:
      return "ready";
    case EngineState::lost:
      return "lost";
  }
  return "";
}

std::string_view to_string(JobState value) {
  switch (value) {
    case JobState::fetching:
      return "fetching";
    case JobState::posted:
      return "posted";
    case JobState::running:
      return "running";
    case JobState::computed:
      return "computed";
  }
  return "";
}

std::string_view to_string(Outcome value) {
  switch (value) {
    case Outcome::succeeded:
      return "succeeded";
    case Outcome::failed:
      return "failed";
    case Outcome::cancelled:
      return "cancelled";
  }
  return "";
}

std::string_view to_string(Verdict value) {
  switch (value) {
    case Verdict::keep:
      return "keep";
    case Verdict::drop:
      return "drop";
  }
  return "";
}

std::string_view to_string(FileType value) {
  switch (value) {
    case FileType::input:
      return "input";
    case FileType::output:
      return "output";
    case FileType::temp:
      return "temp";
  }
  return "";
}

std::string_view to_string(ReturnReason value) {
  switch (value) {
    case ReturnReason::draining:
      return "draining";
    case ReturnReason::disk_full:
      return "disk_full";
    case ReturnReason::input_not_fetched:
      return "input_not_fetched";
    case ReturnReason::slot_removed:
      return "slot_removed";
    case ReturnReason::refused_by_engine:
      return "refused_by_engine";
  }
  return "";
}

std::string_view to_string(EndCause value) {
  switch (value) {
    case EndCause::engine:
      return "engine";
    case EndCause::outputs_lost:
      return "outputs_lost";
    case EndCause::refused:
      return "refused";
    case EndCause::time_limit:
      return "time_limit";
  }
  return "";
}

std::string_view to_string(RefuseReason value) {
  switch (value) {
    case RefuseReason::stale:
      return "stale";
    case RefuseReason::bad_hash:
      return "bad_hash";
    case RefuseReason::disk:
      return "disk";
  }
  return "";
}

}  // namespace atelier::link
