// SPDX-License-Identifier: MIT
// What an agent writes down for its next process: the text of it, the folder, and what the machine makes of
// it.
#include "agent/kept_run.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "agent/spool.hpp"
#include "machine_rig.hpp"
#include "unit/files/temp_folder.hpp"

namespace atelier::agent {
namespace {

namespace fs = std::filesystem;

/// As the machine of `rig` wants a run kept that has made one file and failed to show another.
FinishedRun finished(Rig& rig, RunKey key = kJob) {
  rig.run(key);
  rig.executed("9", key);
  rig.collected("9", Rig::one_file(), key);
  rig.engine("execution_success", R"("timestamp":9)", key);
  rig.now = rig.now + milliseconds(1'000);
  rig.engine_ends(key);
  rig.history(key);
  CHECK(rig.count<Keep>() == 0);  // something of it may still be found
  rig.no_rest(key);
  return rig.only<Keep>().run;
}

FinishedRun finished(RunKey key = kJob) {
  Rig rig;
  rig.ready();
  return finished(rig, key);
}

KeptRun kept(RunKey key = kJob) {
  KeptRun kept;
  kept.run = finished(key);
  kept.machine_start = machine_start();
  kept.files.push_back({"9", 0, KeptPlace::spool, "s-1", {0, 17, 5, 1'700'000'000'123'456'789}});
  return kept;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

std::string only_spool(const std::string& state) {
  const auto names = names_in(state);
  REQUIRE(names.size() == 1);
  return state + "/" + names.front();
}

}  // namespace

TEST_CASE("a kept run is read back as it was written") {
  const KeptRun run = kept();
  const KeptRun again = decode_kept(encode_kept(run)).value();
  CHECK(again.machine_start == run.machine_start);
  CHECK(again.files == run.files);
  CHECK(again.run.key == kJob);
  CHECK(again.run.started);
  CHECK(again.run.gpu_ms == run.run.gpu_ms);
  CHECK(again.run.commits == run.run.commits);
  CHECK(again.run.ended == run.run.ended);
  CHECK(again.run.ended.outcome == link::Outcome::succeeded);
}

TEST_CASE("a kept run that is cut off anywhere, or says what cannot be, is refused") {
  const std::string text = encode_kept(kept());
  for (std::size_t length = 0; length < text.size(); length += 7)
    CHECK_FALSE(decode_kept(text.substr(0, length)).has_value());
  for (const auto& [from, to] :
       {std::pair(R"("form":1)", R"("form":2)"), std::pair(R"("slot":0)", R"("slot":64)"),
        std::pair(R"("started":true)", R"("started":1)"), std::pair(R"("index":0)", R"("index":1)"),
        std::pair(R"("place":"spool")", R"("place":"/etc")"), std::pair(R"("size":5)", R"("size":6)"),
        std::pair(R"(\"epoch\":1)", R"(\"epoch\":2)"), std::pair(R"("node":"9")", R"("node":"8")")}) {
    CAPTURE(from);
    CHECK_FALSE(decode_kept(replaced(text, from, to)).has_value());
  }
}

TEST_CASE("what an agent kept is taken up by its next process, and by no other's") {
  files::TempFolder temp;
  const std::string state = temp / "state";
  {
    Spool spool = Spool::make(state, "w1").value();
    REQUIRE(spool.fresh_name() == "s-1");
    files::write_text(only_spool(state) + "/s-1", "bytes");
    files::write_text(only_spool(state) + "/s-2", "half of something");
    REQUIRE(spool.keep(kept()).has_value());
  }
  const std::string folder = only_spool(state);
  {
    Spool other = Spool::make(state, "w2").value();
    CHECK(other.take_up().value().empty());
  }
  CHECK(only_spool(state) == folder);
  {
    Spool next = Spool::make(state, "w1").value();
    const auto runs = next.take_up().value();
    REQUIRE(runs.size() == 1);
    CHECK(runs.front().run.commits == kept().run.commits);
    CHECK(names_in(folder) == std::vector<std::string>{"run-7-1.json", "s-1"});
    CHECK(next.fresh_name() == "s-3");
    const Spool twin = Spool::make(state, "w1").value();  // while the first one runs
    CHECK(names_in(state).size() == 2);
    REQUIRE(next.folder().remove_file("run-7-1.json").has_value());
  }
  CHECK(names_in(state).empty());
}

TEST_CASE("a damaged record is put aside, and those of before the machine was started are left out") {
  files::TempFolder temp;
  const std::string state = temp / "state";
  std::string folder;
  {
    Spool spool = Spool::make(state, "w1").value();
    folder = only_spool(state);
    KeptRun old = kept({JobId{8}, Epoch{1}});
    old.machine_start = "another";
    REQUIRE(spool.keep(old).has_value());
    REQUIRE(spool.keep(kept()).has_value());
    files::write_text(folder + "/run-9-1.json", encode_kept(kept()).substr(0, 200));
    files::write_text(folder + "/run-10-1.json", encode_kept(kept()));  // of job 7
    files::write_text(folder + "/run-11-1.json", "");
  }
  Spool next = Spool::make(state, "w1").value();
  const auto runs = next.take_up().value();
  REQUIRE(runs.size() == 1);
  CHECK(runs.front().run.key == kJob);
  CHECK(names_in(folder) == std::vector<std::string>{"run-10-1.json.damaged", "run-11-1.json.damaged",
                                                     "run-7-1.json", "run-9-1.json.damaged"});
  CHECK(next.take_up().value().size() == 1);
  CHECK(names_in(folder) == std::vector<std::string>{"run-7-1.json"});
}

TEST_CASE("what another agent kept and never came back for goes after a day") {
  files::TempFolder temp;
  const std::string state = temp / "state";
  {
    Spool spool = Spool::make(state, "w1").value();
    REQUIRE(spool.keep(kept()).has_value());
  }
  const std::string folder = only_spool(state);
  {
    const Spool other = Spool::make(state, "w2").value();
  }
  CHECK(fs::exists(folder));
  fs::last_write_time(folder, fs::file_time_type::clock::now() - std::chrono::hours(25));
  {
    const Spool other = Spool::make(state, "w2").value();
  }
  CHECK_FALSE(fs::exists(folder));
}

TEST_CASE("a restored run is named in the hello and handed over, without its engine") {
  const FinishedRun run = finished();
  Rig rig;
  rig.machine.restore(run);
  rig.machine.restore(run);
  rig.feed(LinkUp{1000, 1'700'000'000'000});
  const auto hello = rig.only_sent<link::Hello>();
  REQUIRE(hello.jobs.size() == 1);
  CHECK(hello.jobs.front().job == kJob.job);
  CHECK(hello.jobs.front().state == link::JobState::computed);
  CHECK(hello.jobs.front().committed.empty());
  link::Welcome welcome;
  welcome.answers.push_back({kJob.job, kJob.epoch, link::Verdict::keep});
  rig.gateway(welcome);
  CHECK(rig.sent<link::Started>().size() == 1);
  CHECK(rig.only_sent<link::Computed>().gpu_ms == run.gpu_ms);
  const Upload upload = rig.only<Upload>();
  CHECK(upload.file == 0);
  CHECK_FALSE(upload.anew);
  CHECK(rig.count<FetchJob>() + rig.count<AskRun>() + rig.count<Collect>() + rig.count<Keep>() == 0);
  rig.feed(Uploaded{kJob, "9", 0, {}});
  CHECK(rig.only_sent<link::Commit>() == run.commits.front());
  rig.gateway(link::Committed{kJob.job, kJob.epoch, "9", {"a_00001_.png"}});
  CHECK(rig.only_sent<link::Ended>() == run.ended);
  rig.gateway(link::EndedOk{kJob.job, kJob.epoch});
  CHECK(rig.count<Forget>() == 1);
  CHECK(rig.machine.held() == 0);
}

TEST_CASE("a restored run whose lease is gone is forgotten; one whose files are gone goes back") {
  Rig rig;
  rig.machine.restore(finished());
  rig.join(link::Verdict::drop);
  CHECK(rig.count<Forget>() == 1);
  CHECK(rig.machine.held() == 0);

  Rig again;
  again.machine.restore(finished());
  again.join();
  REQUIRE(again.count<Upload>() == 1);
  again.feed(Uploaded{kJob, "9", 0, fail(Errc::io, "an output file went away before it was uploaded")});
  CHECK(again.only_sent<link::Returned>().job == kJob.job);
  CHECK(again.sent<link::Ended>().empty());
  CHECK(again.count<Forget>() == 1);
}

TEST_CASE("a restored run of another workshop that has the same numbers is never handed over to this one") {
  Rig rig;
  FinishedRun run = finished();
  run.workshop = "another";
  rig.machine.restore(run);
  rig.join();
  CHECK(rig.only_sent<link::Returned>().job == kJob.job);
  CHECK(rig.count<Upload>() == 0);
  CHECK(rig.count<Forget>() == 1);
  CHECK(rig.machine.held() == 0);
}

TEST_CASE("a run is kept once, when the last of its files was read, and with the end that it will have") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.executed("9");
  rig.executed("10");
  rig.finish_run();
  rig.history();
  rig.no_rest();
  rig.feed(Collected{kJob, "10", fail(Errc::not_found, "it made nothing")});
  CHECK(rig.count<Keep>() == 0);
  rig.collected("9");
  const FinishedRun run = rig.only<Keep>().run;
  CHECK(run.commits.size() == 1);
  CHECK(run.ended.outcome == link::Outcome::failed);
  CHECK(run.ended.cause == link::EndCause::outputs_lost);
  rig.feed(Uploaded{kJob, "9", 0, {}});
  CHECK(rig.count<Keep>() == 0);
  rig.gateway(link::Committed{kJob.job, kJob.epoch, "9", {"a_00001_.png"}});
  const auto ended = rig.only_sent<link::Ended>();
  CHECK(ended.cause == run.ended.cause);
  CHECK(ended.reason == run.ended.reason);
}

}  // namespace atelier::agent
