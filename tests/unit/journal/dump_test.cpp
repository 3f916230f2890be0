// SPDX-License-Identifier: MIT
#include "journal/dump.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>

namespace atelier::journal {
namespace {

/// A store of three entries and one attachment in pages of one.
class SmallStore final : public StoreReader {
 public:
  Result<ReplayPage> read(ReplayCursor cursor) override {
    ReplayPage page;
    if (!cursor.begun && !cursor.after && checkpoint) {
      page.records = *checkpoint;
      cursor.after = {2};
      cursor.begun = true;
      page.next = cursor;
      return page;
    }
    cursor.begun = true;
    for (const core::Entry& entry : entries) {
      if (entry.sequence <= cursor.after) continue;
      page.entries.push_back(entry);
      cursor.after = entry.sequence;
      break;
    }
    page.end = cursor.after == entries.back().sequence;
    page.next = cursor;
    return page;
  }
  Result<std::shared_ptr<const std::string>> attachment(Key128 id) override {
    if (!attachments.contains(id)) return fail(Errc::not_found, "there is no such attachment");
    return std::make_shared<const std::string>(attachments[id]);
  }
  Result<std::vector<std::string>> verify() override { return store_problems; }

  std::vector<core::Entry> entries;
  std::map<Key128, std::string> attachments;
  std::optional<std::vector<core::CheckpointRecord>> checkpoint;
  std::vector<std::string> store_problems;
};

SmallStore small_store() {
  SmallStore store;
  core::Submitted submitted;
  submitted.prompt = {{1, 1}, sha256("{}"), 2};
  store.attachments[{1, 1}] = "{}";
  store.entries.push_back({{1}, {10}, {}, {}, submitted});
  store.entries.push_back({{2}, {20}, {}, {}, core::Started{{1}, {1}}});
  store.entries.push_back({{3}, {20}, {}, {}, core::Paused{}});
  return store;
}

std::vector<std::string> lines_of(SmallStore& store, const DumpOptions& options) {
  std::vector<std::string> lines;
  auto done = dump(store, options, [&](std::string_view line) -> Result<void> {
    lines.emplace_back(line.substr(0, 25));
    return {};
  });
  REQUIRE(done);
  return lines;
}

TEST_CASE("a dump has a line for each entry, and for attachments when asked") {
  SmallStore store = small_store();
  CHECK(lines_of(store, {}).size() == 3);
  const auto with = lines_of(store, {{}, false, true});
  REQUIRE(with.size() == 4);
  CHECK(with[1].starts_with(R"({"attachment":"00000)"));
  CHECK(lines_of(store, {{2}}).size() == 1);
  store.checkpoint = {core::WorkshopFacts{}};
  const auto from_checkpoint = lines_of(store, {{}, true});
  REQUIRE(from_checkpoint.size() == 2);
  CHECK(from_checkpoint[0].starts_with(R"({"checkpoint":"workshop_s)"));
}

TEST_CASE("a dump stops with the writer's own error") {
  SmallStore store = small_store();
  int lines = 0;
  auto done = dump(store, {}, [&](std::string_view) -> Result<void> {
    if (++lines == 2) return fail(Errc::closed, "the pipe was closed");
    return {};
  });
  REQUIRE(!done);
  CHECK(done.error().code == Errc::closed);
  CHECK(lines == 2);
}

TEST_CASE("a check of a sound journal finds nothing") {
  SmallStore store = small_store();
  const CheckReport report = check(store);
  CHECK(report.problems.empty());
  CHECK(report.entries == 3);
  CHECK(report.attachments == 1);
}

TEST_CASE("a check names gaps, time that goes back, lost and wrong attachments, and what the store says") {
  SmallStore store = small_store();
  store.entries[2].sequence = {4};
  CHECK(check(store).problems == std::vector<std::string>{"entry 4 follows entry 2"});
  store = small_store();
  store.entries[2].time = {19};
  CHECK(check(store).problems == std::vector<std::string>{"at entry 3 time goes back"});
  store = small_store();
  store.attachments[{1, 1}] = "[]";
  REQUIRE(check(store).problems.size() == 1);
  CHECK(check(store).problems[0] == "attachment 00000000000000010000000000000001 is not what entry 1 says");
  store.attachments.clear();
  CHECK(check(store).problems[0].ends_with("named by entry 1: there is no such attachment"));
  store = small_store();
  core::WorkshopFacts facts;
  facts.last_sequence = {2};
  store.checkpoint = {facts};
  CHECK(check(store).problems.empty());
  facts.last_sequence = {1};
  store.checkpoint = {facts};
  CHECK(check(store).problems == std::vector<std::string>{"the checkpoint is the state after entry 2, its "
                                                          "records say after entry 1"});
  store = small_store();
  store.store_problems = {"row 7 missing from index"};
  CHECK(check(store).problems == store.store_problems);
}

}  // namespace
}  // namespace atelier::journal
