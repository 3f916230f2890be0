// SPDX-License-Identifier: MIT
#pragma once
// The names of the keys (scripts.hpp says what is in them).

#include <fmt/format.h>

#include <string>

#include "base/hash.hpp"

namespace atelier::journal::redis {

class Keys {
 public:
  explicit Keys(const std::string& prefix)
      : prefix_("{" + prefix + "}:"),
        head(prefix_ + "head"),
        entries(prefix_ + "entries"),
        writer(prefix_ + "writer") {}

 private:
  std::string prefix_;

 public:
  const std::string head, entries, writer;
  [[nodiscard]] std::string attachment(Key128 id) const { return prefix_ + "a:" + id.hex(); }
  [[nodiscard]] std::string checkpoint(std::uint64_t number) const {
    return fmt::format("{}c:{}", prefix_, number);
  }
  [[nodiscard]] std::string session(const std::string& journal) const {
    return prefix_ + "session:" + journal;
  }
};

}  // namespace atelier::journal::redis
