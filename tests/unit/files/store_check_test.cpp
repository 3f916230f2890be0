// SPDX-License-Identifier: MIT
#include "files/store_check.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "files/fault_points.hpp"
#include "temp_folder.hpp"

namespace atelier::files {
namespace {

namespace fs = std::filesystem;

/// Every file below DATA_DIR with its bytes, but for the lock and lists in the quarantine.
std::map<std::string, std::string> files_in(const TempFolder& folder) {
  std::map<std::string, std::string> all;
  for (const auto& entry : fs::recursive_directory_iterator(folder / "data")) {
    const std::string path = fs::relative(entry.path(), folder / "data").string();
    if (entry.is_regular_file() && path != "atelier.lock" && !path.ends_with("/list.txt"))
      all[path] = read_text(entry.path().string());
  }
  return all;
}

std::uint64_t bytes_in(const TempFolder& folder) {
  std::uint64_t bytes = 0;
  for (const auto& [path, text] : files_in(folder)) bytes += text.size();
  return bytes;
}

DataFolder open_to_look(const TempFolder& folder, Missing missing = Missing::left) {
  DataFolderOptions options;
  options.data_dir = folder / "data";
  auto data = DataFolder::open_to_look(options, missing);
  REQUIRE_MESSAGE(data.has_value(), (data ? "" : data.error().what));
  return std::move(*data);
}

std::vector<std::string> lines_of(const StoreReport& report) {
  std::vector<std::string> lines;
  for (const Finding& finding : report.findings) lines.push_back(finding.line());
  return lines;
}

/// A store with rows, made as the server makes them.
struct Store {
  Store() { stores = std::make_unique<Stores>(folder.path()); }

  StoreRow& add(std::uint64_t job, const std::string& name, const std::string& content,
                StoreRow::Use use = StoreRow::Use::output) {
    StoreRow row;
    row.use = use;
    row.job = JobId{job};
    row.participant = kSeven;
    row.type = use == StoreRow::Use::input ? FolderType::input : FolderType::output;
    row.name = name;
    const auto made = (*stores)->blobs().put(content);
    REQUIRE(made.has_value());
    row.content = *made;
    rows.named.insert(made->digest);
    if (use == StoreRow::Use::output) {
      const OutputLink link{row.type, row.folder, name, made->digest};
      REQUIRE((*stores)->output_names().link(kSeven, std::span(&link, 1)).has_value());
    }
    rows.rows.push_back(row);
    return rows.rows.back();
  }
  /// A file that takes the place of whatever is there, as another program would make it.
  void write(const std::string& path, std::string_view text) const {
    fs::remove(folder / ("data/" + path));
    write_text(folder / ("data/" + path), text);
  }
  void remove(const std::string& path) const { REQUIRE(fs::remove(folder / ("data/" + path))); }
  static std::string blob(std::string_view content) {
    const Digest digest = sha256(content);
    return fmt::format("blobs/{}/{}", Blobs::folder_name(digest), Blobs::file_name(digest));
  }
  static std::string name(const std::string& name) { return "participants/7/output/" + name; }

  /// The server has ended.
  StoreReport check(Digests digests = Digests::trust) {
    stores.reset();
    const DataFolder data = open_to_look(folder);
    auto report = check_store(data, rows, digests);
    REQUIRE(report.has_value());
    return std::move(*report);
  }
  StoreReport repair(const std::string& date, Digests digests = Digests::trust) {
    stores.reset();
    const DataFolder data = open_to_look(folder, Missing::made);
    auto report = check_store(data, rows, digests);
    REQUIRE(report.has_value());
    const auto done = repair_store(data, rows, date, *report);
    REQUIRE_MESSAGE(done.has_value(), (done ? "" : done.error().what));
    return std::move(*report);
  }

  TempFolder folder{TempFolder::Place::memory};
  std::unique_ptr<Stores> stores;
  StoreRows rows;
};

const std::string kMissing = fmt::format(
    "missing: job 2 of participant 7 made output/lost_00001_.png (4 bytes, digest {})", sha256("lost").hex());

TEST_CASE("what is as the rows say gives no finding, and a look changes nothing") {
  Store store;
  store.add(1, "a_00001_.png", "one");
  store.add(1, "a_00002_.png", "two");
  store.add(2, "b_00001_.png", "one");  // the same content
  store.add(3, "cat.png", "an input", StoreRow::Use::input);
  store.rows.live_jobs[JobId{3}] = Epoch{2};
  store.write("staging/3-2/0-abc", "half");
  store.write("staging/3-1/0-abc", "of the grant before");
  store.write("participants/7/output/by-hand.png", "whatever the owner puts there");
  store.remove(Store::name("a_00002_.png"));  // by its owner
  const auto before = files_in(store.folder);
  for (const Digests digests : {Digests::trust, Digests::read}) {
    const StoreReport report = store.check(digests);
    CHECK(lines_of(report).empty());
    CHECK(report.blobs == 3);
    CHECK(report.blob_bytes == 14);
    CHECK(report.outputs == 3);
    CHECK(report.inputs == 1);
    CHECK(report.names_removed == 1);
  }
  CHECK(store.repair("today").quarantine.empty());
  CHECK(files_in(store.folder) == before);
}

TEST_CASE("a folder of which nothing is left is looked at without making anything") {
  Store store;
  store.add(2, "lost_00001_.png", "lost");
  store.stores.reset();
  for (const char* part : {"blobs", "participants", "staging"})
    fs::remove_all(store.folder / (std::string("data/") + part));
  CHECK(lines_of(store.check()) == std::vector<std::string>{kMissing});
  CHECK_FALSE(fs::exists(store.folder / "data/blobs"));
  CHECK(lines_of(store.repair("today")) == std::vector<std::string>{kMissing});
}

TEST_CASE("where names cannot be looked at nothing is judged by them, and the check ends") {
  Store store;
  store.add(1, "kept_00001_.png", "kept").content.reset();  // as after a compaction: the name alone is known
  store.rows.named.clear();
  CHECK(lines_of(store.check()).empty());
  const std::string outputs = store.folder / "data/participants/7/output";
  fs::rename(outputs, store.folder / "elsewhere");
  SUBCASE("gone: perhaps OUTPUTS_PATH is not the server's") {}
  SUBCASE("a link") { fs::create_directory_symlink(store.folder / "elsewhere", outputs); }
  const DataFolder data = open_to_look(store.folder);
  const auto report = check_store(data, store.rows, Digests::trust);
  REQUIRE_FALSE(report.has_value());
  CHECK(report.error().what.find("The outputs of participant 7 cannot be looked at") == 0);
}

TEST_CASE("a name that cannot be looked at is told, and the rest is mended all the same") {
  Store store;
  store.add(1, "linked_00001_.png", "linked");
  store.add(2, "new_00001_.png", "new", StoreRow::Use::unlinked);
  REQUIRE((*store.stores)->blobs().put("of nobody").has_value());
  store.remove(Store::name("linked_00001_.png"));
  fs::create_symlink("elsewhere", store.folder / ("data/" + Store::name("linked_00001_.png")));
  bool only_names = false;
  SUBCASE("its content is known") {}
  SUBCASE("only its name is known: any blob may be its own") {
    store.rows.rows.front().content.reset();
    store.rows.named.erase(sha256("linked"));
    only_names = true;
  }
  const StoreReport report = store.repair("today");
  CHECK(report.names_removed == 0);
  CHECK(report.left() == 1);
  const auto count = [&](FindingKind kind) {
    return std::ranges::count(report.findings, kind, &Finding::kind);
  };
  CHECK(count(FindingKind::not_seen) == 1);
  CHECK(report.findings.front().line().find("not looked at: job 1 of participant 7 made output/linked") == 0);
  CHECK(count(FindingKind::without_row) == (only_names ? 0 : 1));
  CHECK(read_text(store.folder / ("data/" + Store::name("new_00001_.png"))) == "new");
  CHECK(read_text(store.folder / ("data/" + Store::blob("linked"))) == "linked");
}

TEST_CASE("each fault is named, mended if it can be, and nothing is lost by that") {
  Store store;
  store.add(1, "kept_00001_.png", "kept");
  store.add(2, "lost_00001_.png", "lost");
  store.remove(Store::blob("lost"));
  store.remove(Store::name("lost_00001_.png"));
  store.add(3, "named_00001_.png", "named");
  store.remove(Store::blob("named"));
  store.add(4, "new_00001_.png", "new", StoreRow::Use::unlinked);
  store.add(5, "in.png", "input", StoreRow::Use::input);
  store.remove(Store::blob("input"));
  store.add(6, "cut_00001_.png", "cut off");
  store.write(Store::blob("cut off"), "cut");
  store.write(Store::blob("of nobody"), "of nobody");
  store.write("blobs/notes.txt", "not ours");
  store.write("blobs/ab/short", "nor this");
  store.write("staging/9-1/0-abc", "of a job that has ended");
  store.rows.live_jobs[JobId{5}] = Epoch{1};
  store.write("staging/5-2/0-abc", "of a grant that nobody knows");
  store.write("staging/what", "foreign");
  store.write("staging/tmp/0", "half a file");

  const auto before = files_in(store.folder);
  const std::vector<std::string> found = lines_of(store.check());
  const auto row = [](const char* kind, int job, const char* what, std::string_view content) {
    return fmt::format("{}: job {} of participant 7 {} ({} bytes, digest {})", kind, job, what,
                       content.size(), sha256(content).hex());
  };
  CHECK(found ==
        std::vector<std::string>{kMissing, row("missing", 5, "needs input/in.png", "input"),
                                 row("blob lost", 3, "made output/named_00001_.png", "named"),
                                 row("blob lost", 6, "made output/cut_00001_.png", "cut off"),
                                 row("not linked", 4, "made output/new_00001_.png", "new"),
                                 fmt::format("damaged: {} (3 bytes) has not the bytes that its name promises",
                                             Store::blob("cut off")),
                                 fmt::format("without a row: {} (9 bytes) is named by nothing in the journal",
                                             Store::blob("of nobody")),
                                 "foreign: blobs/ab/short (8 bytes) is nothing that Atelier puts there",
                                 "foreign: blobs/notes.txt (8 bytes) is nothing that Atelier puts there",
                                 "foreign: staging/what (7 bytes) is nothing that Atelier puts there",
                                 "left over: staging/5-2 (28 bytes) job 5 has had no grant 2",
                                 "left over: staging/9-1 (23 bytes) job 9 does not wait or run"});
  CHECK(files_in(store.folder) == before);

  const StoreReport repaired = store.repair("2026-11-29-120000");
  CHECK(lines_of(repaired) == found);
  CHECK(repaired.left() == 2);
  CHECK(repaired.quarantine == "quarantine/2026-11-29-120000");
  CHECK(repaired.moved == 7);
  CHECK(repaired.moved_bytes == 86);
  const auto after = files_in(store.folder);
  for (const auto& [path, text] : before) {  // where it was, or under the same path in the quarantine
    const auto place = after.find(path);
    const auto moved = after.find(repaired.quarantine + "/" + path);
    CAPTURE(path);
    const bool put_right = path == Store::blob("cut off");
    if (place == after.end() || put_right) {
      REQUIRE(moved != after.end());
      CHECK(moved->second == text);
    } else {
      CHECK(place->second == text);
      CHECK(moved == after.end());
    }
  }
  CHECK(after.at(Store::blob("cut off")) == "cut off");
  CHECK(after.at(Store::blob("named")) == "named");
  CHECK(after.at(Store::name("new_00001_.png")) == "new");
  const std::string list = read_text(store.folder / "data/quarantine/2026-11-29-120000/list.txt");
  for (std::size_t i = 5; i < found.size(); ++i) CHECK(list.find(found[i] + "\n") != std::string::npos);

  // What is missing stays missing, until it comes back or history forgets it.
  CHECK(lines_of(store.check()) == std::vector<std::string>{found[0], found[1]});
  std::erase_if(store.rows.rows, [](const StoreRow& r) { return r.job == JobId{2} || r.job == JobId{5}; });
  CHECK(lines_of(store.check(Digests::read)).empty());
}

TEST_CASE("a blob with other bytes of the same length is found only by reading it") {
  Store store;
  store.add(1, "a_00001_.png", "right");
  store.remove(Store::name("a_00001_.png"));
  store.write(Store::blob("right"), "wrong");
  CHECK(lines_of(store.check()).empty());
  const StoreReport report = store.check(Digests::read);
  REQUIRE(report.findings.size() == 2);
  CHECK(report.findings[0].kind == FindingKind::missing);
  CHECK(report.findings[1].kind == FindingKind::damaged);
  // What is under the name is as good as the blob was, if it is a file of its own.
  store.write(Store::name("a_00001_.png"), "right");
  CHECK(store.repair("today", Digests::read).left() == 0);
  CHECK(lines_of(store.check(Digests::read)).empty());
  CHECK(read_text(store.folder / ("data/" + Store::blob("right"))) == "right");
}

TEST_CASE("the name of a commit gets out of the way of another file, and is found there again") {
  Store store;
  store.add(1, "a.png", "new", StoreRow::Use::unlinked);
  store.write(Store::name("a.png"), "by its owner");
  store.write(Store::name("a (1).png"), "by");
  CHECK(store.repair("today").left() == 0);
  CHECK(read_text(store.folder / ("data/" + Store::name("a.png"))) == "by its owner");
  CHECK(read_text(store.folder / ("data/" + Store::name("a (2).png"))) == "new");
  CHECK(lines_of(store.check()).empty());
  // Its blob is lost: the copy's content is what was made.
  store.remove(Store::blob("new"));
  const StoreReport lost = store.repair("later");
  REQUIRE(lost.findings.size() == 1);
  CHECK(lost.findings[0].kind == FindingKind::blob_lost);
  CHECK(lost.left() == 0);
  CHECK(lines_of(store.check()).empty());
}

TEST_CASE("where only the names of outputs are known, what stands under them is named") {
  Store store;
  store.add(1, "a_00001_.png", "one").content.reset();
  store.add(2, "copied_00001_.png", "two").content.reset();
  store.add(3, "removed_00001_.png", "three").content.reset();
  store.rows.named.clear();
  store.remove(Store::name("removed_00001_.png"));
  store.write(Store::name("copied_00001_.png"), "two");  // a file of its own, as a copy of the folder has it
  const StoreReport report = store.check();
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings[0].kind == FindingKind::without_row);
  CHECK(report.findings[0].path == Store::blob("three"));
  CHECK(report.names_removed == 1);
}

TEST_CASE("names that nobody could ask for are seen, moved as they are, and printed in one line") {
  Store store;
  store.write("blobs/line\nbreak", "1");
  store.write("blobs/\xff\xfe", "22");
  store.write("blobs/ab/" + std::string(250, 'x'), "333");
  store.write("staging/.hidden/deep/er", "4444");
  fs::create_symlink("/etc/passwd", store.folder / "data/blobs/link");
  REQUIRE(::mkfifo((store.folder / "data/blobs/pipe").c_str(), 0600) == 0);
  const std::uint64_t before = bytes_in(store.folder);
  const StoreReport report = store.repair("today");
  CHECK(report.left() == 0);
  CHECK(report.moved == 6);
  CHECK(report.moved_bytes == 10);
  const std::vector<std::string> lines = lines_of(report);
  CHECK(lines[0].starts_with("foreign: blobs/ab/xxx"));
  CHECK(lines[1] == "foreign: blobs/line\\x0abreak (1 bytes) is nothing that Atelier puts there");
  CHECK(lines[2] == "foreign: blobs/link (0 bytes) is nothing that Atelier puts there");
  CHECK(lines[4] == "foreign: blobs/\\xff\\xfe (2 bytes) is nothing that Atelier puts there");
  CHECK(bytes_in(store.folder) == before);
  CHECK(fs::is_symlink(store.folder / "data/quarantine/today/blobs/link"));
  CHECK(read_text(store.folder / "data/quarantine/today/blobs/line\nbreak") == "1");
  CHECK(lines_of(store.check()).empty());
}

TEST_CASE("a repair that ends at any move loses nothing, and the next one goes on") {
  static int moves_left;
  Store store;
  for (int i = 0; i < 5; ++i) store.write(Store::blob(fmt::format("blob {}", i)), fmt::format("blob {}", i));
  const std::uint64_t before = bytes_in(store.folder);
  for (int allowed = 0; allowed < 4; ++allowed) {
    moves_left = 1;
    set_fault_hook([](const char* point) {
      return std::string_view(point) == "quarantine" && moves_left-- <= 0 ? EIO : 0;
    });
    const StoreReport report = store.repair(fmt::format("try {}", allowed));
    set_fault_hook(nullptr);
    CHECK(report.moved == 1);
    CHECK(report.left() == report.findings.size() - 1);
    CHECK_FALSE(report.findings.back().trouble.empty());
    CHECK(bytes_in(store.folder) == before);
    CHECK(store.check().findings.size() == static_cast<std::size_t>(4 - allowed));
  }
  CHECK(store.repair("last").left() == 0);
  CHECK(bytes_in(store.folder) == before);
}

TEST_CASE("the store of a running server, and one that is not there, are not looked at") {
  Store store;
  DataFolderOptions options;
  options.data_dir = store.folder / "data";
  const auto refused = DataFolder::open_to_look(options, Missing::left);
  CHECK(fails_with(refused, Errc::config));
  CHECK(refused.error().what.find("another server") != std::string::npos);
  options.data_dir = store.folder / "nothing";
  CHECK(fails_with(DataFolder::open_to_look(options, Missing::made), Errc::config));
  CHECK_FALSE(fs::exists(store.folder / "nothing"));
}

}  // namespace
}  // namespace atelier::files
