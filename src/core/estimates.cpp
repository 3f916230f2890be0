// SPDX-License-Identifier: MIT
#include "core/estimates.hpp"

#include <algorithm>
#include <utility>

namespace atelier::core {
namespace {

/// Before anything like it has run: a guess for what any GPU of the day takes.
constexpr std::uint64_t kUnknownRunMs = 20'000, kUnknownLoadMs = 15'000;
/// Of a workflow with a node class about videos.
constexpr std::uint64_t kUnknownVideoMs = 180'000, kUnknownVideoLoadMs = 90'000;
/// Loads of so many were seen before one is guessed by its bytes.
constexpr std::size_t kEnoughLoads = 5;
constexpr std::uint64_t kMiB = 1ULL << 20;
constexpr std::uint64_t kRunMax = 1'000'000'000;  // milliseconds: more is not told apart

bool is_about_video(const std::string& node_class) {
  constexpr std::string_view kWord = "video";
  const auto same = [](char a, char b) { return (a | 0x20) == b; };
  return !std::ranges::search(node_class, kWord, same).empty();
}

}  // namespace

void Estimates::Recent::add(std::uint64_t value) {
  if (samples_.size() < kKept) {
    samples_.push_back(value);
  } else {
    samples_[next_] = value;
    next_ = (next_ + 1) % kKept;
  }
  std::vector<std::uint64_t> sorted = samples_;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::ranges::nth_element(sorted, middle);
  median_ = *middle;
}

Estimates::Known& Estimates::known(std::uint64_t signature) {
  const auto found = signatures_.find(signature);
  if (found != signatures_.end()) return found->second;
  return signatures_[signatures_.size() >= kSignaturesMax ? 0 : signature];
}

const Estimates::Known* Estimates::know(std::uint64_t signature, const std::vector<std::string>& models,
                                        const std::vector<std::string>& classes) {
  Known& entry = known(signature);
  if (entry.group == 0 && !models.empty()) {
    const auto [group, fresh] = groups_by_models_.emplace(models, groups_.size());
    if (fresh) groups_.emplace_back().bytes = bytes_of(models);
    entry.group = group->second;
  }
  if (entry.family == 0 && !classes.empty()) {
    const auto [family, fresh] = families_by_classes_.emplace(classes, families_.size());
    if (fresh) families_.emplace_back().video = std::ranges::any_of(classes, is_about_video);
    entry.family = family->second;
  }
  return &entry;
}

const Estimates::Known& Estimates::of(std::uint64_t signature) const {
  static const Known nothing;
  auto found = signatures_.find(signature);
  if (found == signatures_.end()) found = signatures_.find(0);
  return found == signatures_.end() ? nothing : found->second;
}

std::uint64_t Estimates::without_load(const Known& known, const Loaded& run) const {
  const std::uint64_t load = load_ms(known);
  const std::uint64_t rest = std::max(run.gpu_ms / 4, run.gpu_ms > load ? run.gpu_ms - load : 0);
  return rest * run.speed_milli / 1000;
}

void Estimates::guess_load(const Known& known, const Loaded& run) {
  Group& group = groups_[known.group];
  if (!group.loads.empty()) return;
  // Of what others of its classes took with a load, this part was the load.
  const std::uint64_t load = load_ms(known), rest = run_ms(known, run.speed_milli);
  group.guessed_loads.add(run.gpu_ms * load / std::max<std::uint64_t>(load + rest, 1));
}

void Estimates::add_load(const Known& known, const Loaded& run) {
  const std::uint64_t expected = run_ms(known, run.speed_milli);
  const std::uint64_t load = run.gpu_ms > expected ? std::min(run.gpu_ms - expected, kRunMax) : 0;
  for (Recent* loads : {&groups_[known.group].loads, &families_[known.family].loads, &all_.loads})
    loads->add(load);
  const std::uint64_t bytes = groups_[known.group].bytes;
  if (bytes >= kMiB) load_us_per_mib_.add(load * 1000 / (bytes / kMiB));
}

std::uint64_t Estimates::bytes_of(const std::vector<std::string>& models) const {
  std::uint64_t bytes = 0;
  for (const std::string& model : models) {
    const auto found = model_bytes_.find(model);
    if (found == model_bytes_.end()) return 0;  // a part says nothing of the whole
    bytes += found->second;
  }
  return bytes;
}

void Estimates::know_sizes(const std::vector<std::string>& models, const std::vector<std::uint64_t>& bytes) {
  for (std::size_t i = 0; i < std::min(models.size(), bytes.size()); ++i) {
    if (bytes[i] > 0) model_bytes_[models[i]] = bytes[i];
  }
  for (const auto& [together, group] : groups_by_models_) groups_[group].bytes = bytes_of(together);
}

void Estimates::add(std::uint64_t signature, std::uint32_t speed_milli, bool loaded, std::uint64_t gpu_ms) {
  Known& entry = known(signature);
  const Loaded with_load{gpu_ms, speed_milli};
  // Of the run itself one with a load says nothing new when others are known.
  if (loaded && !entry.runs.empty()) return add_load(entry, with_load);
  std::uint64_t run = gpu_ms * speed_milli / 1000;
  if (loaded) {
    guess_load(entry, with_load);
    run = without_load(entry, with_load);
    if (entry.loaded.size() == kLoadedKept) entry.loaded.erase(entry.loaded.begin());
    entry.loaded.push_back(with_load);
  } else {
    if (!entry.runs.empty())
      spread_.add(gpu_ms * 1000 / std::max<std::uint64_t>(run_ms(entry, speed_milli), 1));
    entry.runs.add(run);
    for (const Loaded& earlier : std::exchange(entry.loaded, {})) add_load(entry, earlier);
  }
  for (Recent* runs : {&groups_[entry.group].runs, &families_[entry.family].runs, &all_.runs}) runs->add(run);
}

std::uint64_t Estimates::run_ms(const Known& known, std::uint32_t speed_milli) const {
  if (known.runs.empty() && !known.loaded.empty()) {
    // Its own, with the load expected next time taken out: both together are what was seen.
    std::uint64_t own = 0;
    for (const Loaded& run : known.loaded) own += without_load(known, run);
    return own / known.loaded.size() * 1000 / speed_milli;
  }
  const Recent* const runs = runs_of(known);
  const std::uint64_t reference = runs != nullptr                 ? runs->median()
                                  : families_[known.family].video ? kUnknownVideoMs
                                                                  : kUnknownRunMs;
  return reference * 1000 / speed_milli;
}

const Estimates::Recent* Estimates::runs_of(const Known& known) const {
  const Group& family = families_[known.family];
  for (const Recent* runs : {&known.runs, &groups_[known.group].runs, &family.runs}) {
    if (!runs->empty()) return runs;
  }
  // All others say little of a video.
  return family.video || all_.runs.empty() ? nullptr : &all_.runs;
}

std::uint64_t Estimates::load_ms(const Known& known) const {
  const Group& family = families_[known.family];
  const Group& group = groups_[known.group];
  if (!group.loads.empty()) return group.loads.median();
  if (group.bytes >= kMiB && load_us_per_mib_.samples().size() >= kEnoughLoads)
    return load_us_per_mib_.median() * (group.bytes / kMiB) / 1000;
  for (const Recent* loads : {&group.guessed_loads, &family.loads}) {
    if (!loads->empty()) return loads->median();
  }
  if (family.video) return kUnknownVideoLoadMs;
  return all_.loads.empty() ? kUnknownLoadMs : all_.loads.median();
}

void Estimates::runs_like(const Known& known, std::vector<std::uint32_t>& runs) const {
  constexpr std::size_t kEnough = 8;
  const auto add = [&runs](std::uint64_t run) {
    runs.push_back(static_cast<std::uint32_t>(std::min(run, kRunMax)));
  };
  const Recent* const seen = known.loaded.empty() ? runs_of(known) : nullptr;
  if (seen != nullptr && seen->samples().size() >= kEnough) {
    for (const std::uint64_t run : seen->samples()) add(run);
    return;
  }
  const std::uint64_t expected = run_ms(known, 1000);
  if (spread_.empty()) add(expected);
  for (const std::uint64_t milli : spread_.samples()) add(expected * milli / 1000);
}

}  // namespace atelier::core
