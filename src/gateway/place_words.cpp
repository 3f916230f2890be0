// SPDX-License-Identifier: MIT
#include "gateway/place_words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "comfy/variants.hpp"

namespace atelier::gateway {
namespace {

using workshop::Ahead;
using workshop::WorseCause;

std::string count_of(std::uint64_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

std::string gpu_time(std::uint64_t ms) {
  constexpr std::uint64_t kMinute = 60'000;
  return ms < kMinute ? fmt::format("{} s of GPU time", (ms + 999) / 1'000)
                      : fmt::format("{} GPU-min", ms / kMinute);
}

std::string ordinal(std::uint32_t place) {
  const bool teen = place % 100 >= 11 && place % 100 <= 13;
  const std::string_view ending = teen              ? "th"
                                  : place % 10 == 1 ? "st"
                                  : place % 10 == 2 ? "nd"
                                  : place % 10 == 3 ? "rd"
                                                    : "th";
  return fmt::format("{}{}", place, ending);
}

std::string_view code_of(WorseCause cause) {
  switch (cause) {
    case WorseCause::none:
      return "";
    case WorseCause::pressed_run:
      return "pressed_run";
    case WorseCause::came_back:
      return "came_back";
    case WorseCause::moved:
      return "moved";
    case WorseCause::raised:
      return "raised";
    case WorseCause::instructor:
      return "instructor";
    case WorseCause::own:
      return "own_job";
    case WorseCause::mode:
      return "mode";
    case WorseCause::shares:
      return "shares";
    case WorseCause::turns:
      return "turns";
    case WorseCause::worker:
      return "worker_away";
    case WorseCause::paused:
      return "paused";
    case WorseCause::held:
      return "held";
    case WorseCause::overdue:
      return "overdue";
    case WorseCause::expected:
      return "expected";
  }
  return "";
}

}  // namespace

std::int64_t step_of(std::int64_t ms) {
  constexpr std::int64_t kMinute = 60'000;
  return ms < 10 * kMinute ? kMinute : ms < 60 * kMinute ? 5 * kMinute : 15 * kMinute;
}

std::string about(std::int64_t early_ms, std::int64_t late_ms) {
  constexpr std::int64_t kMinute = 60'000;
  if (late_ms < kMinute) return "less than 1 min";
  if (early_ms >= 240 * kMinute) return "more than 4 h";
  const std::int64_t early = early_ms / step_of(early_ms) * step_of(early_ms) / kMinute;
  const std::int64_t late = (late_ms + step_of(late_ms) - 1) / step_of(late_ms) * step_of(late_ms) / kMinute;
  return early == late ? fmt::format("about {} min", late) : fmt::format("about {}-{} min", early, late);
}

std::string PlaceWords::name_of(WorkerId worker) const {
  const core::WorkerFacts* const facts = core.worker(worker);
  return facts == nullptr ? "a GPU" : facts->name;
}

Words PlaceWords::obstacle() const {
  if (job.cancel_at) return {"cancelling", "It is about to be cancelled; undo brings it back to its place."};
  if (job.held) {
    return {"held",
            fmt::format("The instructor has put job {} on hold. Your workflow is unchanged.", job.job)};
  }
  const core::ParticipantFacts* const owner = core.participant(job.submitted.participant);
  if (owner != nullptr && owner->held)
    return {"owner_held", "The instructor has put your jobs on hold. You can press Run; your place is kept."};
  if (core.workshop().everyone_held && job.submitted.participant)
    return {"owner_held",
            "The instructor has put everybody's jobs on hold. You can press Run; your place is kept."};
  if (core.workshop().paused)
    return {"paused", "The instructor has paused the queue. You can press Run; your place is kept."};
  if (owner != nullptr && owner->allowance_ms > 0 && owner->used_ms >= owner->allowance_ms) {
    return {"allowance_used", fmt::format("You have used your {} for today. Jobs you send now wait until the "
                                          "instructor adds time.",
                                          gpu_time(owner->allowance_ms))};
  }
  return {};
}

Words PlaceWords::obstacle_of_kind() const {
  if (standing->kind >= view->kinds.size()) return {};
  const core::QueueCopy::Kind& kind = view->kinds[standing->kind];
  const std::string& pinned = job.submitted.pinned_worker;
  const bool several = pinned.empty() && kind.workers > 1;
  const std::string who = !pinned.empty() ? pinned + ", which was chosen for this job,"
                          : several       ? fmt::format("{} GPUs", kind.workers)
                                          : name_of(kind.worker);
  const std::string_view end =
      pinned.empty() ? "; no other one can run this now. Your place is kept." : ". Your place is kept.";
  const std::string has = pinned.empty() ? "No connected GPU has" : who + " does not have";
  // Each thing is there, and no GPU has all of them.
  const auto apart = [&](std::string_view code, std::string_view what) {
    return Words{code, fmt::format("No connected GPU has everything that this job needs: the nearest, {}, "
                                   "lacks {}{}. The job is kept.",
                                   name_of(kind.worker), what, comfy::class_of_variant(kind.missing))};
  };
  const bool is_apart = pinned.empty() && kind.worker;
  switch (kind.obstacle) {
    case core::Obstacle::none:
      return {};
    case core::Obstacle::no_worker:
      return {"no_gpu", "No GPU is connected. Your job is kept and starts when one arrives."};
    case core::Obstacle::pinned_away:
      return {"pinned_away",
              fmt::format("This job waits for {}, which was chosen for it and is not connected.", pinned)};
    case core::Obstacle::engine_away:
      return {"engine_away",
              fmt::format("{} {} no ComfyUI that is ready{}", who, several ? "have" : "has", end)};
    case core::Obstacle::worker_paused:
      return {"worker_paused", fmt::format("{} {} paused{}", who, several ? "are" : "is", end)};
    case core::Obstacle::worker_drains:
      return {"worker_drains",
              fmt::format("{} {} no new jobs any more{}", who, several ? "take" : "takes", end)};
    case core::Obstacle::missing_node:
      if (is_apart) return apart("missing_node", "the node ");
      if (const std::string name = comfy::class_of_variant(kind.missing); name != kind.missing)
        return {"missing_node",
                fmt::format("{} the node {} in the version that this workflow needs. The job is kept.", has,
                            name)};
      return {"missing_node", fmt::format("{} the node {}, which this workflow needs. The job is kept.", has,
                                          comfy::class_of_variant(kind.missing))};
    case core::Obstacle::missing_model:
      if (is_apart) return apart("missing_model", "");
      return {"missing_model",
              fmt::format("{} {}, a model that this workflow needs. The job is kept.", has, kind.missing)};
    case core::Obstacle::missing_tag:
      if (is_apart) return apart("missing_tag", "the tag ");
      return {"missing_tag",
              fmt::format("{} the tag {}, which was set for this job. The job is kept.", has, kind.missing)};
  }
  return {};
}

std::string PlaceWords::next() const {
  const std::int64_t wait = std::max<std::int64_t>(standing->starts_in - since_ms, 0);
  const std::string when = about(wait, wait);
  if (!job.submitted.pinned_worker.empty()) {
    return fmt::format("This job waits for {}, which was chosen for it. Next when it is free, {}.",
                       job.submitted.pinned_worker, when);
  }
  return fmt::format("Next when {} is free, {}.", name_of(standing->starts_on), when);
}

Words PlaceWords::order_among_others() const {
  const Ahead& ahead = standing->ahead;
  const std::string own = count_of(ahead.own, "of your own jobs comes first", "of your own jobs come first");
  const std::string before = count_of(ahead.before, "job came before yours", "jobs came before yours");
  if (ahead.others == 0) return ahead.own == 0 ? Words{} : Words{"own_jobs", own + '.'};
  switch (view->mode) {
    case core::QueueMode::round_robin:
      if (ahead.less_used > 0) {
        return {"gpu_time", count_of(ahead.less_used, "person ahead of you has used less GPU time today.",
                                     "people ahead of you have used less GPU time today.")};
      }
      if (ahead.own > 0) {
        return {"turns", fmt::format("{}, in turn with {}.", own,
                                     count_of(ahead.people, "other person", "other people"))};
      }
      if (ahead.before == ahead.others) return {"first_come", before + '.'};
      return {"turns",
              count_of(ahead.people, "person has a turn before yours.", "people have a turn before yours.")};
    case core::QueueMode::priority:
      if (ahead.higher > 0) {
        return {"priority", fmt::format("{}{}.",
                                        count_of(ahead.higher, "job has a higher priority",
                                                 "jobs have a higher priority"),
                                        ahead.before > 0 ? ", " + before : "")};
      }
      break;
    case core::QueueMode::fifo:
      break;
  }
  if (ahead.before > 0) return {"first_come", before + '.'};
  return {"first_come", count_of(ahead.others, "job goes first.", "jobs go first.")};
}

Words PlaceWords::order() const {
  const Ahead& ahead = standing->ahead;
  Words words;  // the code of the first sentence, the most specific one
  const auto add = [&words](Words more) {
    if (more.sentence.empty()) return;
    if (words.code.empty()) words.code = more.code;
    words.sentence += (words.sentence.empty() ? "" : " ") + more.sentence;
  };
  if (standing->listed)
    add({"moved", fmt::format("The instructor has moved this job to place {}.", standing->place)});
  if (ahead.listed > 0 && !standing->listed) {
    add({"listed", count_of(ahead.listed, "job comes first in the order that the instructor has set.",
                            "jobs come first in the order that the instructor has set.")});
  }
  if (ahead.instructor > 0 && job.submitted.participant)
    add({"instructor", "The instructor runs an example first."});
  if (ahead.own + ahead.others + ahead.listed + ahead.instructor == 0) {
    add({"next", next()});
  } else {
    add(order_among_others());
  }
  return words;
}

Words PlaceWords::reason() const {
  if (job.lease) {
    const bool running = job.state == core::JobState::running;
    return {running ? "runs" : "starts",
            fmt::format("{} on {}.", running ? "Running" : "Starting", name_of(job.lease->slot.worker))};
  }
  if (Words why = obstacle(); !why.code.empty()) return why;
  if (standing == nullptr) return {"received", "It has been received."};
  if (Words why = obstacle_of_kind(); !why.code.empty()) return why;
  if (standing->running_max > 0 && standing->own_ahead == 0) {
    const std::uint32_t most = standing->running_max;
    return {"running_cap", fmt::format("You can have {} running at a time. This one is next after {}.",
                                       count_of(most, "job", "jobs"), most == 1 ? "it" : "one of them")};
  }
  if (standing->place == 0) {
    const core::ParticipantFacts* const owner = core.participant(job.submitted.participant);
    if (owner != nullptr && owner->allowance_ms > 0) {
      return {"allowance_ends",
              "Your GPU minutes will be used up before its turn. The instructor can add time."};
    }
    return {"able_gpu", "It waits for a GPU that can run it."};
  }
  if (standing->awaits) {
    return {
        "model_elsewhere",
        fmt::format("Waiting for {}: it holds your model and is free sooner than another GPU could load it.",
                    name_of(standing->awaits))};
  }
  if (job.passed_since) {
    const std::int64_t waited = (core.workshop().last_time - job.submitted_at).count();
    const std::int64_t most = std::clamp<std::int64_t>(waited / 10, 60'000, 300'000);
    return {"models",
            fmt::format("{}; this costs you at most {} s.",
                        count_of(job.passed_places, "job went first because its model is already loaded",
                                 "jobs went first because their models are already loaded"),
                        most / 1'000)};
  }
  return order();
}

std::string PlaceWords::worker_failed() const {
  using core::LossReason;
  using core::ReturnReason;
  const std::string& worker = setback->worker;
  std::string what;
  bool another = true;  // that one will not take it
  if (setback->lost) {
    switch (*setback->lost) {
      case LossReason::link_expired:
        what = fmt::format("{} stopped answering.", worker);
        break;
      case LossReason::evicted:
        what = fmt::format("{} was taken back by its provider.", worker);
        break;
      case LossReason::worker_left:
        what = fmt::format("{} has left.", worker);
        break;
      case LossReason::restarted:
        what = fmt::format("{} was started anew.", worker);
        another = false;
        break;
      case LossReason::engine_died:
        what = fmt::format("ComfyUI on {} stopped.", worker);
        another = false;
        break;
    }
  } else {
    another = setback->returned == ReturnReason::draining;
    switch (setback->returned) {
      case ReturnReason::draining:
      case ReturnReason::slot_removed:
        what = fmt::format("{} takes no more jobs and gave yours back.", worker);
        break;
      case ReturnReason::disk_full:
        what = fmt::format("{} has no room left and gave your job back.", worker);
        break;
      case ReturnReason::input_not_fetched:
        what = fmt::format("{} could not get your files and gave your job back.", worker);
        break;
      case ReturnReason::refused_by_engine:
        what = fmt::format("ComfyUI on {} could not take your job.", worker);
        break;
    }
  }
  if (job.lease) another = name_of(job.lease->slot.worker) != worker;
  const std::uint32_t place = standing == nullptr ? 0 : standing->place;
  const std::string where = place == 0 ? "" : fmt::format(", place {}", place);
  const bool kept = standing != nullptr && !obstacle_of_kind().code.empty();
  if (kept) return fmt::format("{} Your job is kept{}. Nothing for you to do.", what, where);
  const std::string& pinned = job.submitted.pinned_worker;
  const std::string how = !another           ? std::string()
                          : pinned.empty()   ? " on another worker"
                          : pinned == worker ? fmt::format(" when {} is back", worker)
                                             : " on " + pinned;
  return fmt::format("{} Your job starts again{}{}. Nothing for you to do.", what, how, where);
}

std::string PlaceWords::worker_away(const workshop::Worse& worse) const {
  const bool lacks_something = worse.away == core::Obstacle::missing_node ||
                               worse.away == core::Obstacle::missing_model ||
                               worse.away == core::Obstacle::missing_tag;
  if (!worse.worker || lacks_something)
    return worse.away == core::Obstacle::no_worker ? "no GPU was connected" : "no connected GPU could run it";
  const std::string name = name_of(worse.worker);
  switch (worse.away) {
    case core::Obstacle::worker_paused:
      return name + " was paused";
    case core::Obstacle::worker_drains:
      return name + " takes no more jobs";
    case core::Obstacle::engine_away:
      return fmt::format("ComfyUI on {} is starting anew", name);
    default:
      return name + " is not connected any more";
  }
}

std::string PlaceWords::what(const workshop::Worse& worse) const {
  const bool fair = view->mode == core::QueueMode::round_robin;
  switch (worse.cause) {
    case WorseCause::none:
      return {};
    case WorseCause::pressed_run: {
      const std::string people = count_of(worse.people, "person", "people");
      const std::string_view have = worse.people == 1 ? "has" : "have";
      return fair && worse.less_used
                 ? fmt::format("{} who {} used less GPU time today pressed Run", people, have)
                 : fmt::format("{} whose jobs go first pressed Run", people);
    }
    case WorseCause::came_back:
      return count_of(worse.jobs, "job that waited before is back at its place",
                      "jobs that waited before are back at their places");
    case WorseCause::moved:
      return fmt::format("the instructor moved {} ahead", count_of(worse.jobs, "job", "jobs"));
    case WorseCause::raised:
      return count_of(worse.jobs, "job has a higher priority now", "jobs have a higher priority now");
    case WorseCause::instructor:
      return "the instructor runs an example first";
    case WorseCause::own:
      return "another job of yours goes first";
    case WorseCause::mode:
      return "the instructor changed the order of the queue";
    case WorseCause::shares:
      return "the instructor changed somebody's weight or cap";
    case WorseCause::turns:
      return fair && worse.less_used ? "others have used less GPU time by now" : "other jobs go first now";
    case WorseCause::worker:
      return worker_away(worse);
    case WorseCause::paused:
      return "the queue was paused";
    case WorseCause::held:
      return "your jobs were on hold";
    case WorseCause::overdue:
      return "a job that runs takes longer than expected";
    case WorseCause::expected:
      return "it and what comes before it are expected to take longer than before";
  }
  return {};
}

Words PlaceWords::cause() const {
  Words words;
  const bool worse = standing != nullptr && standing->worse.cause != WorseCause::none;
  if (worse) {
    words = {code_of(standing->worse.cause),
             fmt::format("Now {}, was {}: {}.", ordinal(standing->place), ordinal(standing->worse_from),
                         what(standing->worse))};
  } else if (setback != nullptr) {
    words = {"worker_failed", worker_failed()};
  }
  if (standing == nullptr || !standing->ready || standing->later.cause == WorseCause::none) return words;
  if (worse && standing->later.cause == standing->worse.cause) return words;  // it says both
  if (words.code.empty()) words.code = code_of(standing->later.cause);
  words.sentence +=
      fmt::format("{}Ready later than said: {}.", words.sentence.empty() ? "" : " ", what(standing->later));
  return words;
}

}  // namespace atelier::gateway
