// SPDX-License-Identifier: MIT
#pragma once
// The way back from prepare.hpp: in what a run says, the worker's names become the participant's own again.

#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "agent/vocabulary.hpp"

namespace atelier::agent {

class OwnNames {
 public:
  OwnNames() = default;
  explicit OwnNames(const link::Lease& lease);

  /// `text` without the marks of this run's inputs ("3d/0123456789abcdef-cup.glb" -> "3d/cup.glb") and
  /// without its output folder ("atelier/7-1/cat" -> "cat") and the marks of its owner (comfy/owner_mark),
  /// wherever they stand: in a sentence, a path, JSON text.
  [[nodiscard]] std::string restore(std::string text) const;
  /// Does it hold the worker's name of one of this run's inputs?
  [[nodiscard]] bool names_input(std::string_view text) const;

 private:
  std::string folder_;                        // "atelier/7-1"
  std::set<std::string, std::less<>> marks_;  // what worker_input_name() puts before a name, without its '-'
};

}  // namespace atelier::agent
