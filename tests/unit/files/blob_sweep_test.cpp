// SPDX-License-Identifier: MIT
#include "files/blob_sweep.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "files/fault_points.hpp"
#include "files/store_check.hpp"
#include "temp_folder.hpp"

namespace atelier::files {
namespace {

using std::chrono::hours;

/// Now, and then moved on: what files say of their changes is the machine's own clock.
WallTime after(hours passed) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return WallTime{std::chrono::duration_cast<milliseconds>(now).count()} + passed;
}

/// One round; empty if it failed.
std::optional<SweptBlobs> sweep_all(const Stores& stores, WallTime now, const std::set<Digest>& needed = {}) {
  SweptBlobs swept;
  KeptRound kept = stores->quota().begin_round();
  for (unsigned folder = 0; folder < BlobSweep::kFolders; ++folder) {
    if (!stores->blob_sweep().sweep(folder, needed, now, kept, swept)) return std::nullopt;
  }
  stores->quota().end_round(kept);
  return swept;
}

std::uint64_t removed(const Stores& stores, WallTime now, const std::set<Digest>& needed = {}) {
  const auto swept = sweep_all(stores, now, needed);
  REQUIRE(swept.has_value());
  return swept->blobs;
}

bool has(const Stores& stores, std::string_view content) {
  return stores->blobs().size(sha256(content)).value().has_value();
}

void pin(const Stores& stores, const std::string& name) {
  const auto viewed = stores->participants().open_annotated(kSeven, name);
  REQUIRE(viewed.has_value());
  REQUIRE(stores->blobs().pin(viewed->opened, 1 << 20).has_value());
}

StoredFile replace(const Stores& stores, const std::string& name, std::string_view content) {
  const auto stored = stores.upload(kSeven, {FolderType::input, "", name, Replace::yes}, content);
  REQUIRE(stored.has_value());
  return *stored;
}

TEST_CASE("content that nothing has named for a day is removed, and not an hour earlier") {
  const TempFolder temp;
  const Stores stores(temp.path());
  REQUIRE(stores->blobs().put("nobody's").has_value());
  REQUIRE(stores->blobs().put("a waiting job's").has_value());
  replace(stores, "mine.png", "my picture");
  pin(stores, "mine.png");
  CHECK(removed(stores, after(hours(23))) == 0);
  CHECK(removed(stores, after(hours(25)), {sha256("a waiting job's")}) == 1);
  CHECK_FALSE(has(stores, "nobody's"));
  CHECK(has(stores, "a waiting job's"));
  CHECK(has(stores, "my picture"));
  CHECK(std::filesystem::is_empty(temp / "data/staging/tmp"));

  // Its owner's name was all that held it; the day begins when that goes.
  replace(stores, "mine.png", "another picture");
  CHECK(removed(stores, after(hours(23)), {sha256("a waiting job's")}) == 0);
  CHECK(has(stores, "my picture"));
  CHECK(removed(stores, after(hours(25))) == 2);
  CHECK_FALSE(has(stores, "my picture"));
  CHECK_FALSE(has(stores, "a waiting job's"));
  CHECK(stores.view(kSeven, "mine.png", "input").value() == "another picture");
}

TEST_CASE("content that is used again, however it is, begins its day anew") {
  const TempFolder temp;
  const Stores stores(temp.path());
  const auto put = [&](std::string_view content) {
    REQUIRE(stores->blobs().put(content).has_value());
    return sha256(content);
  };
  const Digest touched = put("touched"), required = put("required"), linked = put("linked");
  const auto changed_ns = [&](const Digest& digest) {
    return stores->blobs().open(digest).value().stat().changed_ns;
  };
  /// It would go, were it not for this use.
  const auto stays_after = [&](const Digest& digest, auto&& use) {
    const std::int64_t before = changed_ns(digest);
    while (changed_ns(digest) == before) use();  // until the clock of files has moved on
    CHECK_FALSE(stores->blobs().remove_unused(digest, before + 1).value());
  };
  stays_after(touched, [&] { REQUIRE(stores->blobs().touch(touched).value()); });
  stays_after(required, [&] { REQUIRE(stores->blobs().require({required, 8}).has_value()); });
  const std::int64_t long_after = after(hours(1)).ms * 1'000'000;
  CHECK(stores->blobs().remove_unused(touched, long_after).value());
  CHECK_FALSE(stores->blobs().remove_unused(touched, long_after).value());
  CHECK_FALSE(stores->blobs().touch(touched).value());
  const OutputLink name{FolderType::output, "", "a.png", linked};
  REQUIRE(stores->output_names().link(kSeven, {&name, 1}).has_value());
  CHECK_FALSE(stores->blobs().remove_unused(linked, long_after).value());
}

TEST_CASE("what the sweep has removed is no loss for fsck, and what was lost is") {
  const TempFolder temp;
  StoreRows rows;
  const auto add = [&](const std::string& content, StoreRow::Use use) {
    StoreRow row;
    row.use = use;
    row.job = JobId{rows.rows.size() + 1};
    row.participant = kSeven;
    row.type = use == StoreRow::Use::input ? FolderType::input : FolderType::output;
    row.name = content + ".png";
    row.content = BlobInfo{sha256(content), content.size()};
    rows.named.insert(row.content->digest);
    rows.rows.push_back(row);
  };
  {
    const Stores stores(temp.path());
    for (const char* content : {"kept", "given up", "lost", "needed"})
      REQUIRE(stores->blobs().put(content).has_value());
    for (const char* content : {"kept", "given up", "lost"}) {
      add(content, StoreRow::Use::output);
      const OutputLink name{FolderType::output, "", std::string(content) + ".png", sha256(content)};
      REQUIRE(stores->output_names().link(kSeven, {&name, 1}).has_value());
    }
    add("needed", StoreRow::Use::input);
    REQUIRE(stores->participants().remove(kSeven, FolderType::output, "", "given up.png").has_value());
    REQUIRE(removed(stores, after(hours(25)), {sha256("needed")}) == 1);
  }
  DataFolderOptions options;
  options.data_dir = temp / "data";
  {
    const auto data = DataFolder::open_to_look(options, Missing::left);
    REQUIRE(data.has_value());
    const StoreReport report = check_store(*data, rows, Digests::read).value();
    CHECK(report.findings.empty());
    CHECK(report.names_removed == 1);
  }
  const auto lose = [&](const std::string& content) {
    const std::string hex = sha256(content).hex();
    REQUIRE(std::filesystem::remove(temp / ("data/blobs/" + hex.substr(0, 2) + "/" + hex.substr(2))));
  };
  lose("lost");
  lose("needed");
  REQUIRE(std::filesystem::remove(temp / "data/participants/7/output/lost.png"));
  write_text(temp / "data/swept-blobs.txt", read_text(temp / "data/swept-blobs.txt") + "half a li");
  const auto data = DataFolder::open_to_look(options, Missing::left);
  REQUIRE(data.has_value());
  const StoreReport report = check_store(*data, rows, Digests::read).value();
  REQUIRE(report.findings.size() == 2);
  for (const Finding& finding : report.findings) CHECK(finding.kind == FindingKind::missing);
  CHECK(report.names_removed == 1);
}

TEST_CASE("replaced content that the store keeps counts to its owner's quota until it has gone") {
  const TempFolder temp;
  QuotaLimits limits;
  limits.bytes = 10'000;
  const Stores stores(temp.path(), limits);
  QuotaBook& book = stores->quota();
  book.set_usage(kSeven, 0, 0);
  const auto upload = [&](char letter) {  // as the route does it
    auto reserved = book.reserve(kSeven, 1'000, 1);
    if (!reserved) return false;
    const StoredFile stored = replace(stores, "a.png", std::string(1'000, letter));
    reserved->settle(stored.content.size, 1);
    if (stored.kept) book.keep(kSeven, *stored.replaced_bytes, *stored.kept);
    if (stored.replaced_bytes && !stored.kept) book.give_back(kSeven, *stored.replaced_bytes, 1);
    return true;
  };
  for (int i = 0; i < 100; ++i) REQUIRE(upload(static_cast<char>('a' + i % 26)));  // nobody reads them
  CHECK(book.usage(kSeven).bytes == 1'000);
  int taken = 0;
  for (; taken < 100; ++taken) {
    if (!upload(static_cast<char>('!' + taken))) break;
    pin(stores, "a.png");
  }
  CHECK(taken == 10);
  CHECK(book.usage(kSeven).bytes == 10'000);
  CHECK(book.usage(kSeven).files == 10);

  CHECK(removed(stores, after(hours(25)), {sha256(std::string(1'000, '!'))}) ==
        8);  // one is needed, one named
  CHECK(book.usage(kSeven).bytes == 2'000);
  CHECK(upload('x'));
  CHECK(removed(stores, after(hours(25))) == 2);
  CHECK(book.usage(kSeven).bytes == 1'000);
  CHECK(book.usage(kSeven).files == 1);
}

TEST_CASE("replaced content that is in somebody else's folder, too, counts for whose folder has it") {
  const TempFolder temp;
  const Stores stores(temp.path());
  replace(stores, "a.png", "the class's picture");
  pin(stores, "a.png");
  const OutputLink name{FolderType::output, "", "b.png", sha256("the class's picture")};
  REQUIRE(stores->output_names().link(ParticipantId{8}, {&name, 1}).value() == 1);
  const std::string digest = name.digest.hex();
  const std::string blob = temp.path() + "/data/blobs/" + digest.substr(0, 2) + "/" + digest.substr(2);
  const bool is_in_folders = std::filesystem::hard_link_count(blob) > 1;  // else they have copies or reflinks
  CHECK(replace(stores, "a.png", "another").kept.has_value() != is_in_folders);
}

TEST_CASE("content that is kept counts once, however often it was replaced") {
  const TempFolder temp;
  const Stores stores(temp.path());
  QuotaBook& book = stores->quota();
  book.set_usage(kSeven, 300, 3);
  book.keep(kSeven, 100, {sha256("one"), 1, 1});
  book.keep(kSeven, 100, {sha256("one"), 1, 2});
  book.keep(ParticipantId{8}, 100, {sha256("one"), 1, 1});
  book.keep(kSeven, 100, {{}, 1, 3});
  CHECK(book.usage(kSeven).bytes == 200);
  KeptRound round = book.begin_round();
  book.keep(kSeven, 100, {sha256("after the round began"), 1, 4});
  round.saw(sha256("whose name is not known"), FileKey{1, 3, 100, 0});
  book.end_round(round);
  CHECK(book.usage(kSeven).bytes == 100);
  book.end_round(book.begin_round());
  CHECK(book.usage(kSeven).bytes == 0);
}

// The n-th point fails, or ends the process there.
std::atomic<int> g_points_left{0};
int fail_at_zero(const char*) { return g_points_left.fetch_sub(1) == 0 ? EIO : 0; }
int die_at_zero(const char*) {
  if (g_points_left.fetch_sub(1) == 0) ::_exit(9);
  return 0;
}

void fill(const Stores& stores) {
  for (const char* content : {"needed", "nobody's", "nor this", "nor that"})
    REQUIRE(stores->blobs().put(content).has_value());
  replace(stores, "mine.png", "my picture");
  pin(stores, "mine.png");
}

/// Everything named is whole, and the next round finishes what this one began.
void check_swept(const Stores& stores) {
  for (const char* content : {"needed", "my picture"})
    CHECK(stores->blobs().open(sha256(content)).value().read_all(100).value() == content);
  REQUIRE(sweep_all(stores, after(hours(50)), {sha256("needed")}).has_value());
  for (const char* content : {"nobody's", "nor this", "nor that"}) CHECK_FALSE(has(stores, content));
  CHECK(has(stores, "needed"));
  CHECK(stores.view(kSeven, "mine.png", "input").value() == "my picture");
}

TEST_CASE("a sweep that fails or dies at any step loses nothing that is named, and the next one goes on") {
  for (const bool dies : {false, true}) {
    CAPTURE(dies);
    bool through = false;
    for (int n = 0; n < 100 && !through; ++n) {
      CAPTURE(n);
      const TempFolder temp(TempFolder::Place::memory);
      const auto work = [&](const Stores& stores) {
        g_points_left = n;
        set_fault_hook(dies ? die_at_zero : fail_at_zero);
        const bool done = sweep_all(stores, after(hours(25)), {sha256("needed")}).has_value();
        through = g_points_left >= 0;
        set_fault_hook(nullptr);
        return done;
      };
      if (dies) {
        const pid_t child = ::fork();
        if (child == 0) {
          const Stores stores(temp.path());
          fill(stores);
          const bool done = work(stores);
          ::_exit(done && through ? 0 : 1);
        }
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        REQUIRE(WIFEXITED(status));
        through = WEXITSTATUS(status) == 0;
        CHECK((through || WEXITSTATUS(status) == 9));
        check_swept(Stores(temp.path()));
        CHECK(std::filesystem::is_empty(temp / "data/staging/tmp"));
      } else {
        const Stores stores(temp.path());
        fill(stores);
        const bool done = work(stores);
        CHECK(done == through);
        check_swept(stores);
      }
      if (through) CHECK(n > 5);
    }
    CHECK(through);
  }
}

}  // namespace
}  // namespace atelier::files
