// SPDX-License-Identifier: MIT
#pragma once
// The participants: they submit, press Run again when nobody answered, cancel, and now and then send another
// prompt under a prompt_id that is taken, one that takes its ComfyUI down or does not end, or one whose input
// is lost.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkers.hpp"
#include "random.hpp"
#include "server.hpp"
#include "world.hpp"

namespace atelier::sim {

class Workload {
 public:
  Workload(World& world, Checker& checker, std::uint64_t seed)
      : world_(world), checker_(checker), random_(seed, 4) {}

  /// Plans `jobs` prompts of `participants` people over `span` from now on; some need one of `models`.
  void plan(std::size_t jobs, std::size_t participants, milliseconds span,
            const std::vector<std::string>& models);
  void set_server(Server* server) { server_ = server; }
  /// Every prompt has been answered, with a job or a refusal.
  [[nodiscard]] bool all_answered() const;

 private:
  struct Prompt {
    ParticipantId participant;
    std::string prompt_id;
    std::string input;        // content of the file that it names; "" = none
    bool input_lost = false;  // it is not in the store
    std::string model;        // "" = none
    std::int64_t seed = 0;
    std::size_t nodes = 1;
    std::optional<double> number;
    bool front = false;
    core::PriorityLevel priority = core::PriorityLevel::normal;
    bool answered = false;
    bool unsure = false;  // it was sent and nobody answered: the server may have it
    JobId job;
  };
  std::shared_ptr<Prompt> any_prompt(std::size_t index, std::size_t participants,
                                     const std::vector<std::string>& models);
  void press_run(const std::shared_ptr<Prompt>& prompt);
  void answered(const std::shared_ptr<Prompt>& prompt, Result<workshop::Submission> result);
  void send_another_body(const Prompt& prompt);
  void cancel(const std::shared_ptr<Prompt>& prompt);
  core::Submitted event_of(const Prompt& prompt) const;
  std::string form_of(const Prompt& prompt) const;

  World& world_;
  Checker& checker_;
  Random random_;
  Server* server_ = nullptr;
  std::vector<std::shared_ptr<Prompt>> prompts_;
};

}  // namespace atelier::sim
