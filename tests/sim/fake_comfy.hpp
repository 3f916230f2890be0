// SPDX-License-Identifier: MIT
#pragma once
// A ComfyUI as an agent meets it, with one node class: Save{filename_prefix, seed, model} writes a file whose
// content depends on the prompt only; a model that is not loaded takes its time. It runs one prompt at a
// time, tells of it in events, keeps a history, dies.

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/vocabulary.hpp"
#include "random.hpp"
#include "world.hpp"

namespace atelier::sim {

struct EngineFaults {
  std::uint64_t event_lost = 0, post_answer_lost = 0, post_refused = 0, error = 0, ignores_interrupt = 0,
                file_without_ui = 0, output_missing = 0;
};

/// A node with this seed takes its ComfyUI down.
inline constexpr std::int64_t kPoisonSeed = 13;
/// One with this seed takes longer than any job may.
inline constexpr std::int64_t kEndlessSeed = 14;

class FakeComfy {
 public:
  /// `models`: the files that it offers, sorted.
  FakeComfy(World& world, std::uint64_t seed, const std::vector<std::string>& models);

  /// The text of /object_info.
  [[nodiscard]] const std::string& object_info() const { return object_info_; }

  /// Events of its socket; replaced by the next agent that connects.
  std::function<void(std::string)> on_event;
  /// The process ended / is up again.
  std::function<void()> on_down, on_up;

  [[nodiscard]] bool up() const { return up_; }
  [[nodiscard]] std::uint64_t started_at() const { return start_; }
  void kill();
  /// What was queued or runs is taken out, as an agent does when it starts.
  void clear();

  agent::PostResult post(const std::string& body);
  [[nodiscard]] agent::RunPlace place(const std::string& id) const;
  [[nodiscard]] std::optional<agent::RunHistory> history(const std::string& id) const;
  void interrupt(const std::string& id);

  /// Bytes of a file in the output folder; nothing if it is not there.
  [[nodiscard]] const std::string* file(const std::string& path) const;
  [[nodiscard]] std::vector<std::string> files_below(const std::string& folder) const;

  EngineFaults faults;

 private:
  struct Node {
    std::string id, prefix, model;
    std::int64_t seed = 0;
  };
  struct Run {
    std::string id;
    std::vector<Node> nodes;
    std::size_t next = 0;
    bool interrupted = false, deaf = false;
    Instant begun;
    std::vector<std::pair<std::string, std::string>> outputs, messages;
  };
  void emit(std::string text);
  void begin_next();
  void step(std::uint64_t start);
  std::string save(const Node& node);
  void end(std::string_view how);

  World& world_;
  Random random_;
  std::string object_info_, loaded_;
  bool up_ = true;
  std::uint64_t start_ = 1;  // of this life
  std::deque<Run> waiting_;
  std::optional<Run> running_;
  std::map<std::string, agent::RunHistory> history_;
  std::map<std::string, std::string> files_;  // they lie on the disk: a restart keeps them
  std::map<std::string, int> counters_;
};

}  // namespace atelier::sim
