// SPDX-License-Identifier: MIT
#include "workload.hpp"

#include <algorithm>

#include "fake_comfy.hpp"
#include "probe.hpp"

namespace atelier::sim {

std::shared_ptr<Workload::Prompt> Workload::any_prompt(std::size_t index, std::size_t participants,
                                                       const std::vector<std::string>& models) {
  auto prompt = std::make_shared<Prompt>();
  prompt->participant = ParticipantId{1 + random_.below(participants)};
  if (random_.chance(30)) prompt->participant = ParticipantId{};  // the instructor's own
  prompt->prompt_id = fmt::format("prompt-{}", index);
  prompt->seed = static_cast<std::int64_t>(random_.below(6));  // some make the same bytes
  prompt->nodes = 1 + random_.below(3);
  if (random_.chance(300)) prompt->input = fmt::format("picture {}", random_.below(4));
  if (!models.empty() && random_.chance(850)) prompt->model = models[random_.below(models.size())];
  if (random_.chance(15)) {
    prompt->seed = kPoisonSeed;
  } else if (random_.chance(15)) {
    prompt->seed = kEndlessSeed;
  } else if (random_.chance(15)) {
    prompt->input = fmt::format("lost {}", index);
    prompt->input_lost = true;
  }
  if (random_.chance(100)) prompt->number = static_cast<double>(random_.between(-5, 40));
  prompt->front = random_.chance(100);
  prompt->priority = static_cast<core::PriorityLevel>(random_.between(1, 3));
  return prompt;
}

void Workload::plan(std::size_t jobs, std::size_t participants, milliseconds span,
                    const std::vector<std::string>& models) {
  for (std::size_t i = 0; i < jobs; ++i) {
    auto prompt = any_prompt(i, participants, models);
    prompts_.push_back(prompt);
    world_.after(random_.ms(0, span.count()), [this, prompt] { press_run(prompt); });
    if (random_.chance(150)) world_.after(random_.ms(0, span.count()), [this, prompt] { cancel(prompt); });
    if (random_.chance(80))
      world_.after(random_.ms(0, span.count()), [this, prompt] { send_another_body(*prompt); });
    if (random_.chance(80))
      world_.after(random_.ms(0, 2 * span.count()), [this, prompt] { press_run(prompt); });
  }
}

bool Workload::all_answered() const {
  return std::ranges::all_of(prompts_, [](const auto& prompt) { return prompt->answered; });
}

std::string Workload::form_of(const Prompt& prompt) const {
  std::string nodes;
  for (std::size_t i = 1; i <= prompt.nodes; ++i) {
    nodes +=
        fmt::format(R"({}"{}":{{"class_type":"Save","inputs":{{"filename_prefix":"{}","seed":{}{}{}}}}})",
                    i > 1 ? "," : "", i, i == 2 ? "deep/cat" : "cat", prompt.seed,
                    prompt.input.empty() ? "" : R"(,"image":"in.png")",
                    prompt.model.empty() ? "" : fmt::format(R"(,"model":"{}")", prompt.model));
  }
  std::string pins;
  if (!prompt.input.empty()) {
    pins = fmt::format(R"({{"name":"in.png","type":"input","digest":"{}","size":{}}})",
                       sha256(prompt.input).hex(), prompt.input.size());
  }
  return fmt::format(
      R"({{"prompt":{{{}}},"extra_data":{{}},"outputs":[],"node_errors":{{}},"create_time":0,"client_number":false,"pins":[{}]}})",
      nodes, pins);
}

core::Submitted Workload::event_of(const Prompt& prompt) const {
  core::Submitted event;
  event.participant = prompt.participant;
  event.prompt_id = prompt.prompt_id;
  event.body = sha256(form_of(prompt));
  event.classes = {"Save"};
  if (!prompt.model.empty()) event.models = {prompt.model};
  event.signature =
      (prompt.model.empty() ? 0 : static_cast<std::uint64_t>(prompt.model.front())) * 8 + prompt.nodes;
  event.numbered = prompt.number.has_value();
  event.number = prompt.number.value_or(0);
  event.front = prompt.front;
  event.priority = prompt.priority;
  event.input_count = prompt.input.empty() ? 0 : 1;
  event.input_bytes = prompt.input.size();
  return event;
}

void Workload::press_run(const std::shared_ptr<Prompt>& prompt) {
  if (server_ == nullptr || !server_->accepting()) {
    world_.after(random_.ms(500, 3'000), [this, prompt] { press_run(prompt); });
    return;
  }
  if (!prompt->input.empty() && !prompt->input_lost && !server_->put_blob(prompt->input))
    world_.broken("an input cannot be stored");
  if (prompt->unsure) SIM_PROBE("submit_repeated_unsure");
  prompt->unsure = true;
  auto shared_answer = std::make_shared<bool>(false);
  auto form = std::make_shared<const std::string>(form_of(*prompt));
  server_->submit(event_of(*prompt), std::move(form), [this, prompt, shared_answer](auto result) {
    *shared_answer = true;
    world_.after(milliseconds{0}, [this, prompt, result] { answered(prompt, result); });
  });
  // Nobody answers: the server died, or its disk is very slow. Pressed again with the same prompt_id.
  world_.after(milliseconds{15'000}, [this, prompt, shared_answer] {
    if (!*shared_answer) press_run(prompt);
  });
}

void Workload::answered(const std::shared_ptr<Prompt>& prompt, Result<workshop::Submission> result) {
  if (result) {
    if (result->repeated) SIM_PROBE("submit_repeated");
    if (result->ended) SIM_PROBE("submit_repeated_ended");
    world_.trace("prompt {} is job {}", prompt->prompt_id, result->job);
    checker_.acknowledged(result->job, prompt->participant, prompt->prompt_id);
    prompt->answered = true;
    prompt->job = result->job;
    return;
  }
  if (result.error().code == Errc::queue_full || result.error().code == Errc::conflict) {
    prompt->answered = true;
    return;
  }
  world_.after(random_.ms(1'000, 5'000), [this, prompt] { press_run(prompt); });
}

void Workload::send_another_body(const Prompt& prompt) {
  if (server_ == nullptr || !server_->accepting() || prompt.job == JobId{}) return;
  Prompt other = prompt;
  other.seed += 100;
  const core::JobFacts* live = checker_.reference().live(prompt.participant, prompt.prompt_id);
  if (live == nullptr || live->job != prompt.job) return;  // ended: it would be a new job
  auto form = std::make_shared<const std::string>(form_of(other));
  server_->submit(event_of(other), std::move(form), [this, job = prompt.job](auto result) {
    if (result && result->job == job) world_.broken("another body was answered as the job that has the id");
    if (!result && result.error().code == Errc::conflict) SIM_PROBE("submit_conflict");
    // Accepted: the job had ended meanwhile. It is a job like any other, its owner does not look at it.
  });
}

void Workload::cancel(const std::shared_ptr<Prompt>& prompt) {
  if (server_ == nullptr || !server_->accepting() || prompt->job == JobId{}) return;
  const core::JobFacts* job = server_->core().job(prompt->job);
  if (job == nullptr) return;
  switch (job->state) {
    case core::JobState::leased:
      SIM_PROBE("cancel_leased");
      break;
    case core::JobState::running:
      SIM_PROBE("cancel_running");
      break;
    default:
      SIM_PROBE("cancel_waiting");
      break;
  }
  server_->cancel(prompt->job);
}

}  // namespace atelier::sim
