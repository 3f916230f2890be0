// SPDX-License-Identifier: MIT
#pragma once
// The instructor: switches the queue's mode, pauses, holds, moves, pins, limits and cancels at random, and
// gives workers slots and takes them away. At the end everything is let go, again and again until nothing is
// held any more.

#include <string>
#include <vector>

#include "checkers.hpp"
#include "random.hpp"
#include "server.hpp"
#include "world.hpp"

namespace atelier::sim {

class Instructor {
 public:
  Instructor(World& world, std::uint64_t seed) : world_(world), random_(seed, 5) {}

  /// Plans `acts` over `span` from now on, for participants 0 to `participants`.
  void plan(std::size_t acts, std::size_t participants, milliseconds span);
  void set_server(Server* server) { server_ = server; }
  /// From now on everything is let go.
  void let_go();

 private:
  void act();
  void act_on_job();
  void act_on_workshop();
  void hold_or_release();
  void move();
  void change(const core::JobFacts& job);
  void cancel_with_undo(JobId job);
  void limit();
  void worker();
  void slots(const core::WorkerFacts& worker);
  void choose_mode();
  static void let_go_of(const core::JobFacts& job, std::vector<core::Event>& events);
  void let_go_of(ParticipantId participant, std::vector<core::Event>& events) const;
  template <class E>
  void post(E event) {
    if (server_ != nullptr && server_->accepting()) server_->post(core::Event{std::move(event)});
  }
  ParticipantId anybody() { return ParticipantId{random_.below(participants_ + 1)}; }
  std::vector<const core::JobFacts*> waiting() const;

  World& world_;
  Random random_;
  Server* server_ = nullptr;
  std::size_t participants_ = 0;
};

}  // namespace atelier::sim
