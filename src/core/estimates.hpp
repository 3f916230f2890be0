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

  /// The models that jobs of this signature need.
  const Known* know(std::uint64_t signature, const std::vector<std::string>& models);
  /// After know().
  [[nodiscard]] const Known& of(std::uint64_t signature) const;
  /// A run was measured: its load lies inside.
  void add(std::uint64_t signature, std::uint32_t speed_milli, bool loaded, std::uint64_t gpu_ms);
  /// Computing alone, on a worker of this speed.
  [[nodiscard]] std::uint64_t run_ms(const Known& known, std::uint32_t speed_milli) const;
  /// Loading the models, on any worker.
  [[nodiscard]] std::uint64_t load_ms(const Known& known) const;

 private:
  /// The last samples, and the one in the middle.
  class Recent {
   public:
    void add(std::uint64_t value);
    [[nodiscard]] bool empty() const { return samples_.empty(); }
    [[nodiscard]] std::uint64_t median() const { return median_; }

   private:
    std::vector<std::uint64_t> samples_;  // a ring
    std::size_t next_ = 0;
    std::uint64_t median_ = 0;
  };
  using GroupId = std::size_t;
  struct Group {
    Recent runs, loads;  // runs at reference speed
  };

 public:
  class Known {
    friend class Estimates;
    GroupId group = 0;
    Recent runs;
  };

 private:
  Known& known(std::uint64_t signature);

  static constexpr std::size_t kKept = 32, kSignaturesMax = 16'384;
  std::map<std::uint64_t, Known> signatures_;  // those above the limit share one: nothing is forgotten
  std::map<std::vector<std::string>, GroupId> groups_by_models_;
  std::vector<Group> groups_{1};  // the first: of signatures whose models are not known
  Group all_;
};

}  // namespace atelier::core
