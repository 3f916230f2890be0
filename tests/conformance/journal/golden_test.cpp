// SPDX-License-Identifier: MIT
// A golden journal of every release is kept and must open, with the same meaning, in every later one (core.md
// 1). Made once per release, when its events are final, and never again:
//   build/dev/tests/conformance/journal/conformance_journal --make-golden
//   tests/conformance/journal/golden/issue-1
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdio>
#include <fstream>

#include "journal/dump.hpp"
#include "journal/json.hpp"
#include "lives.hpp"
#include "random_records.hpp"
#include "sqlite_rig.hpp"

namespace atelier::journal {
namespace {

namespace fs = std::filesystem;

/// Every event with attachments where it names some, and two of each kind.
Batch golden_batch() {
  RandomRecords random(1);
  Batch batch;
  for (std::size_t i = 0; i < 2 * std::variant_size_v<core::Event>; ++i) {
    NewEntry entry{random.alternative<core::Event>(i % std::variant_size_v<core::Event>), {{1}, i}, {}};
    for (core::Attachment& attachment : attachments_of(entry.event)) {
      std::string text = fmt::format(R"({{"golden":{})", i);
      // Every second one is long enough to lie packed.
      for (int node = 0; node < 20 && i % 2 == 1; ++node) text += fmt::format(R"(,"node {}":"golden")", node);
      auto bytes = std::make_shared<const std::string>(text + "}");
      attachment.digest = sha256(*bytes);
      attachment.bytes = bytes->size();
      const auto put = [&]<class Event>(Event& event) {
        const auto replace = [&](auto& member) {
          if constexpr (std::same_as<std::remove_reference_t<decltype(member)>, core::Attachment>) {
            if (member.id == attachment.id) member = attachment;
          }
        };
        std::apply([&](const auto&... field) { (replace(event.*field.member), ...); }, Event::fields());
      };
      std::visit(put, entry.event);
      entry.attachments.push_back({attachment, std::move(bytes)});
    }
    batch.push_back(std::move(entry));
  }
  return batch;
}

std::vector<core::CheckpointRecord> golden_records() {
  RandomRecords random(2);
  std::vector<core::CheckpointRecord> records;
  for (std::size_t i = 0; i < 2 * std::variant_size_v<core::CheckpointRecord>; ++i) {
    records.push_back(
        random.alternative<core::CheckpointRecord>(i % std::variant_size_v<core::CheckpointRecord>));
  }
  return records;
}

Result<std::string> dump_of(const std::string& path) {
  ATELIER_TRY(auto reader, sqlite::open_reader(path));
  std::string text;
  auto write = [&](std::string_view line) -> Result<void> {
    text.append(line).push_back('\n');
    return {};
  };
  ATELIER_TRY_VOID(dump(*reader, {{}, false, true}, write));
  text.append("-- from the checkpoint\n");
  ATELIER_TRY_VOID(dump(*reader, {{}, true, false}, write));
  return text;
}

awaitable<Result<void>> write_golden(Journal& journal) {
  ATELIER_CO_TRY(auto entries, co_await journal.append(golden_batch()));
  const Sequence upto{entries.back().sequence.value - 3};
  co_return co_await journal.checkpoint(upto, golden_records());
}

}  // namespace

int make_golden(const std::string& stem) {
  const std::string path = stem + ".db";
  if (fs::exists(path)) {
    std::fprintf(stderr, "%s exists: a golden journal is made once (remove it if its release is not out)\n",
                 path.c_str());
    return 1;
  }
  {
    RealRuntime runtime;
    auto journal = sqlite::open(runtime, {path, {}});
    Result<void> done = fail(Errc::internal, "not run");
    if (journal) {
      asio::co_spawn(runtime.executor(), write_golden(**journal),
                     [&](std::exception_ptr, Result<void> result) { done = std::move(result); });
      runtime.run();
    }
    if (!done) return 1;
  }
  auto text = dump_of(path);
  fs::remove(path + "-lock");
  fs::remove(path + "-begun");
  fs::remove(path + "-shm");
  fs::remove(path + "-wal");
  if (!text) return 1;
  std::ofstream(stem + ".json", std::ios::binary) << *text;
  return 0;
}

namespace sqlite {
namespace {

TEST_CASE("the golden journal of every release opens and means what it meant") {
  std::size_t found = 0;
  for (const auto& file : fs::directory_iterator(ATELIER_GOLDEN_FOLDER)) {
    if (file.path().extension() != ".db") continue;
    CAPTURE(file.path().string());
    ++found;
    SqliteRig rig;
    fs::copy_file(file.path(), rig.path());
    std::vector<core::Entry> entries;
    const auto journal =
        open_and_replay(rig, entries);  // migrates; after the checkpoint there are three entries
    CHECK(entries.size() == 3);
    auto text = dump_of(rig.path());
    REQUIRE_MESSAGE(text, text.error().what);
    fs::path expected = file.path();
    std::ifstream in(expected.replace_extension(".json"), std::ios::binary);
    const std::string json{std::istreambuf_iterator<char>(in), {}};
    CHECK((*text == json));
  }
  CHECK(found > 0);
}

}  // namespace
}  // namespace sqlite
}  // namespace atelier::journal
