// SPDX-License-Identifier: MIT
#include "gateway/catalog/catalog.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <memory>
#include <set>
#include <vector>

#include "unit/files/temp_folder.hpp"
#include "unit/gateway/run.hpp"

namespace atelier::gateway::test {
namespace {

TEST_CASE("what connected engines have is kept however many they are, and so is what one brings next") {
  files::TempFolder folder{files::TempFolder::Place::memory};
  files::Stores stores(folder.path());
  VirtualRuntime& runtime = stores.runtime;
  Catalog catalog(runtime, *stores.files);
  const auto add = [&](int n) {
    const auto bytes = std::make_shared<const std::string>(
        fmt::format(R"({{"Node{}":{{"input":{{}},"output":[],"name":"Node{}"}}}})", n, n));
    const Digest hash = sha256(*bytes);
    REQUIRE(run(runtime, catalog.add(hash, bytes)).has_value());
    CHECK(catalog.ability(hash) != nullptr);
    return hash;
  };
  std::set<Digest> connected;
  for (int n = 0; n < 40; ++n) {
    connected.insert(add(n));
    catalog.set_connected(connected);
  }
  for (const Digest& hash : connected) CHECK(catalog.knows(hash));
  CHECK(catalog.object_info()->size() == 40);

  std::vector<Digest> gone;  // of engines that have others by now
  for (int n = 40; n < 60; ++n) gone.push_back(add(n));
  CHECK_FALSE(catalog.knows(gone.front()));
  CHECK(catalog.knows(gone.back()));
  for (const Digest& hash : connected) CHECK(catalog.knows(hash));
}

}  // namespace
}  // namespace atelier::gateway::test
