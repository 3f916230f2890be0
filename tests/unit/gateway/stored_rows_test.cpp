// SPDX-License-Identifier: MIT
// The journal's rows as the faces write them, read back for `atelier fsck`.
#include "workshop/stored_rows.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

#include "comfy/output_files.hpp"
#include "gateway/worker_link/accepted_form.hpp"
#include "unit/gateway/link_rig.hpp"

namespace atelier::gateway::test {
namespace {

const std::string kInput = "an input", kPicture = "a picture";

workshop::AttachmentReaders readers() {
  workshop::AttachmentReaders readers;
  readers.inputs = [](std::shared_ptr<const std::string> accepted) -> Result<std::vector<files::StoreRow>> {
    ATELIER_TRY(const AcceptedForm form, read_accepted_form(std::move(accepted)));
    std::vector<files::StoreRow> rows;
    for (const link::InputRef& pin : form.pins) {
      files::StoreRow row;
      row.type = files::FolderType::input;
      row.name = pin.name;
      row.content = files::BlobInfo{pin.digest, pin.size};
      rows.push_back(row);
    }
    return rows;
  };
  readers.names = [](std::string_view ui) -> Result<std::vector<workshop::FileName>> {
    ATELIER_TRY(const auto named, comfy::output_files(ui));
    std::vector<workshop::FileName> names;
    for (const comfy::OutputFile& file : named)
      names.push_back({files::FolderType::output, file.folder, file.name});
    return names;
  };
  return readers;
}

JobId submit_with_input(LinkRig& rig, int id) {
  REQUIRE(rig.upload(7, "cat.png", kInput).status == 200);
  return rig.submit_with_input(7, id);
}

void run_to_its_end(Agent& agent, JobId job, const std::string& bytes) {
  agent.say(link::Started{job, Epoch{1}});
  REQUIRE(agent.put(job, Epoch{1}, 0, bytes).status == 204);
  agent.say(Agent::commit_of(job, Epoch{1}, bytes));
  agent.say(link::Computed{job, Epoch{1}, 500});
  link::Ended ended;
  ended.job = job;
  ended.epoch = Epoch{1};
  ended.outcome = link::Outcome::succeeded;
  agent.say(ended);
}

files::StoreRows rows_of(journal::StoreReader& reader) {
  auto rows = workshop::stored_rows(reader, readers());
  REQUIRE_MESSAGE(rows.has_value(), (rows ? "" : rows.error().what));
  return std::move(*rows);
}

/// What `journal compact` leaves of a journal: the state, and attachments.
class Compacted final : public journal::StoreReader {
 public:
  explicit Compacted(journal::StoreReader& whole) : whole_(whole) {
    workshop::Fold fold;
    journal::ReplayCursor cursor;
    for (bool end = false; !end;) {
      const auto page = whole.read(cursor);
      REQUIRE(page.has_value());
      REQUIRE(fold.apply(*page));
      cursor = page->next;
      end = page->end;
    }
    REQUIRE(fold.finish());
    page_.records = fold.records();
    page_.end = true;
  }
  Result<journal::ReplayPage> read(journal::ReplayCursor cursor) override {
    journal::ReplayPage nothing;
    nothing.end = true;
    return cursor.begun ? nothing : page_;
  }
  Result<std::shared_ptr<const std::string>> attachment(Key128 id) override { return whole_.attachment(id); }
  Result<std::vector<std::string>> verify() override { return std::vector<std::string>{}; }

 private:
  journal::StoreReader& whole_;
  journal::ReplayPage page_;
};

TEST_CASE("rows are the outputs of history and of live jobs, and the inputs of those that wait or run") {
  LinkRig rig;
  Agent agent(rig);
  const JobId ended = submit_with_input(rig, 1);
  run_to_its_end(agent, ended, kPicture);
  const JobId waiting = submit_with_input(rig, 2);
  agent.say(link::Started{waiting, Epoch{1}});
  REQUIRE(agent.put(waiting, Epoch{1}, 0, "another").status == 204);
  agent.say(Agent::commit_of(waiting, Epoch{1}, "another"));

  const files::StoreRows rows = rows_of(rig.store);
  REQUIRE(rows.rows.size() == 3);
  const auto row = [&](JobId job, files::StoreRow::Use use) {
    const auto found = std::ranges::find_if(
        rows.rows, [&](const files::StoreRow& r) { return r.job == job && r.use == use; });
    REQUIRE(found != rows.rows.end());
    return *found;
  };
  const auto made = row(ended, files::StoreRow::Use::output);
  CHECK(made.participant == ParticipantId{7});
  CHECK(made.name == "cat_00001_.png");
  CHECK(made.content->digest == sha256(kPicture));
  CHECK(made.content->size == kPicture.size());
  CHECK(row(waiting, files::StoreRow::Use::output).name == "cat_00002_.png");
  const auto needed = row(waiting, files::StoreRow::Use::input);
  CHECK(needed.name == "cat.png");
  CHECK(needed.content->digest == sha256(kInput));
  CHECK(rows.named == std::set{sha256(kInput), sha256(kPicture), sha256("another")});
  CHECK(rows.live_jobs == std::map<JobId, Epoch>{{waiting, Epoch{1}}});

  // What history has forgotten need not be there, but it has a name.
  REQUIRE(rig.post("/user/7/history", R"({"clear":true})").status == 200);
  const files::StoreRows less = rows_of(rig.store);
  CHECK(less.rows.size() == 2);
  CHECK(less.named == rows.named);
}

/// Recorded without a worker link that would give it its name.
void commit_one(LinkRig& rig, JobId job) {
  std::vector<journal::NewAttachment> attachments;
  core::Committed committed;
  committed.job = job;
  committed.epoch = Epoch{1};
  committed.node = "9";
  committed.ui = rig.attach("{}", attachments);
  core::CommittedFile file;
  file.stem = "cat";
  file.number = 1;
  file.rest = "_.png";
  file.bytes = kPicture.size();
  file.digest = sha256(kPicture);
  committed.files.push_back(file);
  rig.record(committed, std::move(attachments));
}

TEST_CASE("a name that was taken when it was to be linked is the copy's in the rows, too") {
  LinkRig rig;
  Agent agent(rig);
  const JobId job = submit_with_input(rig, 1);
  commit_one(rig, job);
  std::vector<journal::NewAttachment> attachments;
  core::Linked linked;
  linked.job = job;
  linked.node = "9";
  linked.ui = rig.attach(R"({"images":[{"filename":"cat_00001_ (1).png","subfolder":"","type":"output"}]})",
                         attachments);
  rig.record(linked, std::move(attachments));
  const files::StoreRows rows = rows_of(rig.store);
  const auto found = std::ranges::find(rows.rows, files::StoreRow::Use::output, &files::StoreRow::use);
  REQUIRE(found != rows.rows.end());
  CHECK(found->name == "cat_00001_ (1).png");
  CHECK(found->content->digest == sha256(kPicture));
}

TEST_CASE("of a compacted journal the names of outputs are left, and all inputs") {
  LinkRig rig;
  Agent agent(rig);
  run_to_its_end(agent, submit_with_input(rig, 1), kPicture);
  const JobId waiting = submit_with_input(rig, 2);
  Compacted compacted(rig.store);
  const files::StoreRows rows = rows_of(compacted);
  REQUIRE(rows.rows.size() == 2);
  CHECK(rows.rows[0].name == "cat_00001_.png");
  CHECK_FALSE(rows.rows[0].content);
  CHECK(rows.rows[1].job == waiting);
  CHECK(rows.rows[1].content->digest == sha256(kInput));
  CHECK(rows.named == std::set{sha256(kInput)});
  CHECK(rows.live_jobs.size() == 1);
}

TEST_CASE("a commit without its names yet is unlinked, and an attachment that is gone ends the reading") {
  LinkRig rig;
  Agent agent(rig);
  const JobId job = submit_with_input(rig, 1);
  commit_one(rig, job);
  const files::StoreRows rows = rows_of(rig.store);
  const auto found = std::ranges::find(rows.rows, files::StoreRow::Use::unlinked, &files::StoreRow::use);
  REQUIRE(found != rows.rows.end());
  CHECK(found->name == "cat_00001_.png");
  CHECK(found->content->digest == sha256(kPicture));

  class WithoutAttachments final : public journal::StoreReader {
   public:
    explicit WithoutAttachments(journal::StoreReader& whole) : whole_(whole) {}
    Result<journal::ReplayPage> read(journal::ReplayCursor cursor) override { return whole_.read(cursor); }
    Result<std::shared_ptr<const std::string>> attachment(Key128) override {
      return fail(Errc::not_found, "gone");
    }
    Result<std::vector<std::string>> verify() override { return std::vector<std::string>{}; }

   private:
    journal::StoreReader& whole_;
  } torn(rig.store);
  const auto refused = workshop::stored_rows(torn, readers());
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == Errc::io);
}

}  // namespace
}  // namespace atelier::gateway::test
