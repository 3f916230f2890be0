// SPDX-License-Identifier: MIT
#include "journal/redis/seen_mark.hpp"

#include <filesystem>
#include <fstream>
#include <system_error>

namespace atelier::journal::redis {

Sequence read_mark(const std::string& path) {
  Sequence seen;
  std::ifstream file(path);
  file >> seen.value;
  return file ? seen : Sequence{};
}

void write_mark(const std::string& path, Sequence seen) {
  if (path.empty() || !seen) return;
  const std::string fresh = path + ".new";
  {
    std::ofstream file(fresh, std::ios::trunc);
    file << seen.value << '\n';
    if (!file.flush()) return;
  }
  std::error_code ignored;
  std::filesystem::rename(fresh, path, ignored);
}

}  // namespace atelier::journal::redis
