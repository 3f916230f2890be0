// SPDX-License-Identifier: MIT
#pragma once
// How long runs and loads will take, by what they took. Part of the index: derived from facts, rebuilt after
// a checkpoint. Internal to core.

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace atelier::core {

/// Times in milliseconds; `speed_milli` is the worker's. Runs of a signature nobody has seen are taken for
/// those with the same models, then for the workshop's mean.
class Estimates {
 public:
  class Known;  // what is known of one signature; stays where it is

  /// The models that jobs of this signature need, and their node classes.
  const Known* know(std::uint64_t signature, const std::vector<std::string>& models,
                    const std::vector<std::string>& classes);
  /// How large models are (0: not known), by which loads of those never loaded are guessed. `bytes` is as
  /// long as `models`, or empty.
  void know_sizes(const std::vector<std::string>& models, const std::vector<std::uint64_t>& bytes);
  /// Of a signature that nobody told of: nothing known.
  [[nodiscard]] const Known& of(std::uint64_t signature) const;
  /// A run was measured: its load lies inside.
  void add(std::uint64_t signature, std::uint32_t speed_milli, bool loaded, std::uint64_t gpu_ms);
  /// Computing alone, on a worker of this speed.
  [[nodiscard]] std::uint64_t run_ms(const Known& known, std::uint32_t speed_milli) const;
  /// Loading the models, on any worker.
  [[nodiscard]] std::uint64_t load_ms(const Known& known) const;
  /// Appends how long runs like this take at reference speed, each as likely as the others: those seen, or,
  /// of few seen, what is expected times how far runs lately were from what was expected of them.
  void runs_like(const Known& known, std::vector<std::uint32_t>& runs) const;

 private:
  /// The last samples, and the one in the middle.
  class Recent {
   public:
    void add(std::uint64_t value);
    [[nodiscard]] bool empty() const { return samples_.empty(); }
    [[nodiscard]] std::uint64_t median() const { return median_; }
    [[nodiscard]] const std::vector<std::uint64_t>& samples() const { return samples_; }

   private:
    std::vector<std::uint64_t> samples_;  // a ring
    std::size_t next_ = 0;
    std::uint64_t median_ = 0;
  };
  /// A run with its load inside.
  struct Loaded {
    std::uint64_t gpu_ms = 0;
    std::uint32_t speed_milli = 1000;
  };
  using GroupId = std::size_t;
  struct Group {
    Recent runs, loads;       // runs at reference speed
    Recent guessed_loads;     // until there are real ones
    bool video = false;       // of families: a node class says so
    std::uint64_t bytes = 0;  // of its models, 0 unless all are known
  };

 public:
  class Known {
    friend class Estimates;
    GroupId group = 0, family = 0;
    Recent runs;                 // that did not load
    std::vector<Loaded> loaded;  // those that did, until one did not
  };

 private:
  Known& known(std::uint64_t signature);
  /// The closest runs seen; null if there are none.
  [[nodiscard]] const Recent* runs_of(const Known& known) const;
  /// What a run with its load inside took without it, at reference speed.
  [[nodiscard]] std::uint64_t without_load(const Known& known, const Loaded& run) const;
  void add_load(const Known& known, const Loaded& run);
  [[nodiscard]] std::uint64_t bytes_of(const std::vector<std::string>& models) const;
  /// Before a load of these models was told apart from its run.
  void guess_load(const Known& known, const Loaded& run);

  static constexpr std::size_t kKept = 32, kLoadedKept = 8, kSignaturesMax = 16'384;
  std::map<std::uint64_t, Known> signatures_;  // those above the limit share one: nothing is forgotten
  std::map<std::vector<std::string>, GroupId> groups_by_models_, families_by_classes_;
  std::vector<Group> groups_{1};    // the first: of signatures whose models are not known
  std::vector<Group> families_{1};  // the first: whose classes are not known
  Group all_;
  std::map<std::string, std::uint64_t> model_bytes_;
  Recent load_us_per_mib_;  // microseconds of loading
  Recent spread_;           // thousandths of what was expected of a run
};

}  // namespace atelier::core
