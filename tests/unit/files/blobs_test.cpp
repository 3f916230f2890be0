// SPDX-License-Identifier: MIT
#include "files/blobs.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "files/fault_points.hpp"
#include "temp_folder.hpp"

namespace atelier::files {
namespace {

BlobInfo info_of(std::string_view bytes) { return {sha256(bytes), bytes.size()}; }

std::string blob_path(const TempFolder& temp, const Digest& digest) {
  return temp / ("data/blobs/" + digest.hex().substr(0, 2) + "/" + digest.hex().substr(2));
}

/// Every file below blobs/ has the digest that its name promises.
void check_blobs(const std::string& data) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(data + "/blobs")) {
    if (!entry.is_regular_file()) continue;
    const std::string name =
        entry.path().parent_path().filename().string() + entry.path().filename().string();
    CHECK(sha256(read_text(entry.path().string())).hex() == name);
  }
}

TEST_CASE("what is put under its digest can be read back and is read-only") {
  const TempFolder temp;
  const Stores stores(temp.path());
  const BlobInfo info = stores->blobs().put("content").value();
  CHECK(info.digest == sha256("content"));
  CHECK(stores->blobs().size(info.digest).value() == 7);
  CHECK(stores->blobs().open(info.digest).value().read_all(100).value() == "content");
  struct stat status{};
  REQUIRE(::stat(blob_path(temp, info.digest).c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0444);
  CHECK(stores->blobs().put("content").has_value());
  CHECK_FALSE(stores->blobs().size(sha256("other")).value().has_value());
  CHECK(fails_with(stores->blobs().open(sha256("other")), Errc::not_found));
  CHECK_FALSE(stores->blobs().touch(sha256("other")).value());
}

TEST_CASE("a blob whose bytes were lost is put right when the content comes again") {
  const TempFolder temp;
  const Stores stores(temp.path());
  const BlobInfo info = stores->blobs().put("content").value();
  std::filesystem::resize_file(blob_path(temp, info.digest), 0);
  CHECK(fails_with(stores->blobs().require(info), Errc::not_found));
  REQUIRE(stores->blobs().put("content").has_value());
  CHECK(stores->blobs().open(info.digest).value().read_all(100).value() == "content");
}

TEST_CASE("touching a blob keeps the time that its names show") {
  const TempFolder temp;
  const Stores stores(temp.path());
  const BlobInfo info = stores->blobs().put("content").value();
  const FileStat before = stores->blobs().open(info.digest).value().stat();
  CHECK(stores->blobs().touch(info.digest).value());
  const FileStat after = stores->blobs().open(info.digest).value().stat();
  CHECK(before.key == after.key);
  CHECK(after.changed_ns >= before.changed_ns);
}

TEST_CASE("an upload of a worker becomes a blob only when its digest and size are right") {
  const TempFolder temp;
  const Stores stores(temp.path());
  const Staging& staging = stores->staging();
  const StagedName name{JobId{12}, Epoch{3}, 0, {}};
  CHECK(staging.length(name).value() == 0);
  CHECK(staging.append(name, 0, "hello ", 100).value().length == 6);
  const AppendOutcome wrong = staging.append(name, 3, "world", 100).value();
  CHECK_FALSE(wrong.appended);
  CHECK(wrong.length == 6);
  CHECK_FALSE(staging.append(name, 9, "world", 100).value().appended);
  CHECK(staging.append(name, 6, "world", 100).value().length == 11);
  CHECK(fails_with(staging.append(name, 11, std::string(100, 'x'), 100), Errc::too_large));
  CHECK(fails_with(staging.commit(name, info_of("hello"), stores->blobs()), Errc::bad_hash));
  CHECK(staging.length(name).value() == 0);
  CHECK_FALSE(stores->blobs().size(sha256("hello")).value().has_value());
  REQUIRE(staging.append(name, 0, "hello world", 100).value().appended);
  CHECK(fails_with(staging.commit(name, {sha256("hello worlD"), 11}, stores->blobs()), Errc::bad_hash));
  CHECK(fails_with(staging.commit(name, info_of("hello world"), stores->blobs()), Errc::not_found));
  REQUIRE(staging.append(name, 0, "hello world", 100).value().appended);
  CHECK(staging.commit(name, info_of("hello world"), stores->blobs()).has_value());
  CHECK(staging.commit(name, info_of("hello world"), stores->blobs()).has_value());
  CHECK(stores->blobs().open(sha256("hello world")).value().read_all(100).value() == "hello world");
  check_blobs(temp / "data");
}

TEST_CASE("of two writers at one offset exactly one appends") {
  const TempFolder temp;
  const Stores stores(temp.path());
  const StagedName name{JobId{1}, Epoch{1}, 0, {}};
  const std::string block(10'000, 'b');
  for (std::uint64_t round = 0; round < 50; ++round) {
    std::vector<std::thread> writers;
    std::atomic<int> winners = 0;
    for (int i = 0; i < 4; ++i) {
      writers.emplace_back([&] {
        auto outcome = stores->staging().append(name, round * block.size(), block, 1 << 20);
        if (outcome && outcome->appended) ++winners;
      });
    }
    for (std::thread& writer : writers) writer.join();
    REQUIRE(winners == 1);
    REQUIRE(stores->staging().length(name).value() == (round + 1) * block.size());
  }
}

TEST_CASE(
    "what an earlier epoch of a job has brought of the same bytes counts for the next one, and no other's") {
  const TempFolder temp;
  const Stores stores(temp.path());
  const Staging& staging = stores->staging();
  const std::string content = "the output of a job that was run twice";
  const Digest digest = sha256(content);
  const auto named = [&](std::uint64_t job, std::uint64_t epoch, std::uint32_t n, const Digest& of) {
    return StagedName{JobId{job}, Epoch{epoch}, n, of};
  };
  REQUIRE(staging.append(named(12, 1, 4, digest), 0, content.substr(0, 10), 100).value().appended);
  CHECK(staging.length_or_older(named(12, 1, 0, digest)).value() == 0);  // the same epoch's other file
  CHECK(staging.length_or_older(named(13, 2, 0, digest)).value() == 0);
  CHECK(staging.length_or_older(named(112, 2, 0, digest)).value() == 0);
  CHECK(staging.length_or_older(named(12, 3, 0, sha256("another"))).value() == 0);
  CHECK(staging.length(named(12, 3, 0, digest)).value() == 0);
  CHECK(staging.length_or_older(named(12, 3, 0, digest)).value() == 10);
  CHECK(staging.length_or_older(named(12, 3, 0, digest)).value() == 10);
  CHECK(staging.length(named(12, 1, 4, digest)).value() == 0);
  CHECK(staging.length_or_older(named(12, 4, 1, digest)).value() == 10);
  CHECK(staging.append(named(12, 4, 1, digest), 10, content.substr(10), 100).value().appended);
  CHECK(staging.commit(named(12, 4, 1, digest), info_of(content), stores->blobs()).has_value());

  // Wrong bytes of an earlier epoch cost their length, no more.
  const std::string other = "bytes of another kind";
  REQUIRE(staging.append(named(7, 1, 0, sha256(other)), 0, "rubbish", 100).value().appended);
  const StagedName again = named(7, 2, 0, sha256(other));
  REQUIRE(staging.length_or_older(again).value() == 7);
  REQUIRE(staging.append(again, 7, other.substr(7), 100).value().appended);
  CHECK(fails_with(staging.commit(again, info_of(other), stores->blobs()), Errc::bad_hash));
  CHECK(staging.length_or_older(again).value() == 0);
  check_blobs(temp / "data");
}

TEST_CASE("staging of ended jobs and older epochs goes, and what is a day old is swept") {
  const TempFolder temp;
  const Stores stores(temp.path());
  const Staging& staging = stores->staging();
  const auto stage = [&](std::uint64_t job, std::uint64_t epoch) {
    REQUIRE(staging.append({JobId{job}, Epoch{epoch}, 0, {}}, 0, "x", 100).value().appended);
  };
  const auto is_there = [&](const char* name) {
    return std::filesystem::exists(temp / ("data/staging/" + std::string(name)));
  };
  for (const auto& [job, epoch] : {std::pair{12, 1}, {12, 2}, {12, 3}, {121, 1}, {13, 1}}) {
    stage(static_cast<std::uint64_t>(job), static_cast<std::uint64_t>(epoch));
  }
  REQUIRE(staging.keep_newest(JobId{12}, Epoch{4}).has_value());  // which has brought nothing
  CHECK(is_there("12-1"));
  CHECK(is_there("12-3"));
  REQUIRE(staging.keep_newest(JobId{12}, Epoch{3}).has_value());
  CHECK_FALSE(is_there("12-1"));
  CHECK_FALSE(is_there("12-2"));
  CHECK(is_there("12-3"));
  CHECK(is_there("121-1"));
  REQUIRE(staging.remove_job(JobId{13}, Epoch{1}).has_value());
  REQUIRE(staging.remove_job(JobId{13}, Epoch{1}).has_value());
  CHECK_FALSE(is_there("13-1"));
  stage(14, 1);
  stage(14, 3);
  REQUIRE(staging.remove_job(JobId{14}, Epoch{3}).has_value());
  CHECK_FALSE(is_there("14-1"));
  CHECK_FALSE(is_there("14-3"));
  write_text(temp / "data/staging/tmp/t-1-1", "left");
  const WallTime now{stat_of(stores->data().staging().fd()).value().key.modified_ns / 1'000'000};
  CHECK(staging.sweep(now).value().removed == 0);
  const SweepReport swept = staging.sweep(now + std::chrono::hours(25)).value();
  CHECK(swept.removed == 3);
  CHECK(swept.failed == 0);
  CHECK_FALSE(is_there("12-3"));
  CHECK(is_there("tmp"));
}

TEST_CASE("pinning a file keeps its content when the file is overwritten later") {
  const TempFolder temp;
  const Stores stores(temp.path());
  REQUIRE(stores.upload(kSeven, {FolderType::input, "", "a.png", Replace::yes}, "first").has_value());
  write_text(temp / "data/participants/7/input/by_hand.png", "laid there by hand");
  for (const char* name : {"a.png", "by_hand.png"}) {
    CAPTURE(name);
    const ViewedFile viewed = stores->participants().open_annotated(kSeven, name).value();
    const std::string content = viewed.opened.file.read_all(100).value();
    CHECK(stores->blobs().pin(viewed.opened, 100).value().digest == sha256(content));
    CHECK(stores->blobs().pin(viewed.opened, 100).value().size == content.size());
    CHECK(fails_with(stores->blobs().pin(viewed.opened, 3), Errc::too_large));
  }
  REQUIRE(stores.upload(kSeven, {FolderType::input, "", "a.png", Replace::yes}, "second").has_value());
  write_text(temp / "data/participants/7/input/by_hand.png", "another text, longer");
  CHECK(stores->blobs().open(sha256("first")).value().read_all(100).value() == "first");
  CHECK(stores->blobs().open(sha256("laid there by hand")).has_value());
  const ViewedFile again = stores->participants().open_annotated(kSeven, "by_hand.png").value();
  CHECK(stores->blobs().pin(again.opened, 100).value().digest == sha256("another text, longer"));
  check_blobs(temp / "data");
}

TEST_CASE("a hand-made file that changes within one tick of the clock is not taken for the old one") {
  const TempFolder temp;
  const Stores stores(temp.path());
  const std::string path = temp / "data/participants/7/input/x.png";
  for (int i = 0; i < 200; ++i) {
    const std::string content = std::to_string(1000 + i);
    write_text(path, content);
    const ViewedFile viewed = stores->participants().open_annotated(kSeven, "x.png").value();
    REQUIRE(stores->blobs().pin(viewed.opened, 100).value().digest == sha256(content));
  }
}

TEST_CASE("the digest cache forgets the oldest and is never larger than its limit") {
  DigestCache cache(3);
  const auto key = [](std::uint64_t inode) { return FileKey{1, inode, 1, 1}; };
  for (std::uint64_t inode = 1; inode <= 5; ++inode) cache.put(key(inode), sha256(std::to_string(inode)));
  CHECK_FALSE(cache.find(key(1)).has_value());
  CHECK_FALSE(cache.find(key(2)).has_value());
  for (std::uint64_t inode = 3; inode <= 5; ++inode)
    CHECK(cache.find(key(inode)) == sha256(std::to_string(inode)));
  cache.put_if_settled(key(9), sha256("9"), 1'000'000'000);
  CHECK_FALSE(cache.find(key(9)).has_value());
  cache.put_if_settled(key(9), sha256("9"), 3'000'000'000);
  CHECK(cache.find(key(9)).has_value());
}

// The n-th point fails, or ends the process there.
std::atomic<int> g_points_left{0};
int fail_at_zero(const char*) { return g_points_left.fetch_sub(1) == 0 ? EIO : 0; }
int die_at_zero(const char*) {
  if (g_points_left.fetch_sub(1) == 0) ::_exit(9);
  return 0;
}

/// One of everything that makes a name.
Result<void> work(const Stores& stores, bool again) {
  ATELIER_TRY_VOID(stores.upload(kSeven, {FolderType::input, "sub", "a.png", Replace::yes}, "the upload"));
  ATELIER_TRY_VOID(stores->user_data().write(kSeven, "workflows/w.json", "{\"a\":1}", Replace::yes));
  ATELIER_TRY_VOID(stores->settings().merge(kSeven, "{\"k\":1}"));
  const StagedName name{JobId{1}, Epoch{1}, 0, {}};
  ATELIER_TRY(const std::uint64_t length, stores->staging().length(name));
  if (length < 10 && !(again && stores->blobs().require(info_of("the output")))) {
    ATELIER_TRY_VOID(
        stores->staging().append(name, length, std::string_view("the output").substr(length), 100));
  }
  ATELIER_TRY_VOID(stores->staging().commit(name, info_of("the output"), stores->blobs()));
  const OutputLink link{FolderType::output, "f", "o_00001_.png", sha256("the output")};
  ATELIER_TRY_VOID(stores->output_names().link(kSeven, {&link, 1}));
  ATELIER_TRY(const ViewedFile input, stores->participants().open_annotated(kSeven, "sub/a.png"));
  ATELIER_TRY_VOID(stores->blobs().pin(input.opened, 100));
  return {};
}

/// Whatever can be seen is whole.
void check_visible(const TempFolder& temp) {
  const std::string own = temp / "data/participants/7/";
  const auto is_whole = [&](const std::string& path, std::string_view text) {
    if (std::filesystem::exists(own + path)) CHECK(read_text(own + path) == text);
  };
  is_whole("input/sub/a.png", "the upload");
  is_whole("userdata/workflows/w.json", "{\"a\":1}");
  is_whole("userdata/comfy.settings.json", "{\"k\":1}");
  is_whole("output/f/o_00001_.png", "the output");
  check_blobs(temp / "data");
}

TEST_CASE("an error of the disk at any step is reported, and what can be seen stays whole") {
  for (int n = 0; n < 200; ++n) {
    CAPTURE(n);
    const TempFolder temp(TempFolder::Place::memory);
    const Stores stores(temp.path());
    g_points_left = n;
    set_fault_hook(fail_at_zero);
    const auto first = work(stores, false);
    const bool reached = g_points_left < 0;
    set_fault_hook(nullptr);
    check_visible(temp);
    if (!reached) {
      REQUIRE(first.has_value());
      CHECK(n > 20);
      return;
    }
    CHECK(fails_with(first, Errc::io));
    CHECK(std::filesystem::is_empty(temp / "data/staging/tmp"));
    CHECK(work(stores, true).has_value());
    check_visible(temp);
  }
  FAIL("the work never ran through");
}

TEST_CASE("a process that dies at any step leaves nothing half visible, and the work can be repeated") {
  for (int n = 0; n < 200; ++n) {
    CAPTURE(n);
    const TempFolder temp(TempFolder::Place::memory);
    const pid_t child = ::fork();
    if (child == 0) {
      const Stores stores(temp.path());
      g_points_left = n;
      set_fault_hook(die_at_zero);
      ::_exit(work(stores, false).has_value() ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    check_visible(temp);
    const Stores stores(temp.path());
    CHECK(std::filesystem::is_empty(temp / "data/staging/tmp"));
    REQUIRE(work(stores, true).has_value());
    check_visible(temp);
    CHECK(read_text(temp / "data/participants/7/output/f/o_00001_.png") == "the output");
    if (WEXITSTATUS(status) == 0) return;
    CHECK(WEXITSTATUS(status) == 9);
  }
  FAIL("the work never ran through");
}

}  // namespace
}  // namespace atelier::files
