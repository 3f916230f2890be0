// SPDX-License-Identifier: MIT
#include "journal/redis/seen_mark.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <system_error>
#include <thread>

namespace atelier::journal::redis {

SeenMark read_mark(const std::string& path) {
  SeenMark mark;
  std::ifstream file(path);
  file >> mark.store >> mark.sequence.value;
  return file ? mark : SeenMark{};
}

void write_mark(const std::string& path, const SeenMark& mark) {
  if (path.empty() || mark.store.empty()) return;
  const std::string fresh =
      fmt::format("{}.{:x}", path, std::hash<std::thread::id>{}(std::this_thread::get_id()));
  {
    std::ofstream file(fresh, std::ios::trunc);
    file << mark.store << ' ' << mark.sequence.value << '\n';
    if (!file.flush()) return;
  }
  std::error_code ignored;
  std::filesystem::rename(fresh, path, ignored);
}

}  // namespace atelier::journal::redis
