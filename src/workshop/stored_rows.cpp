// SPDX-License-Identifier: MIT
#include "workshop/stored_rows.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "files/safe_path.hpp"
#include "workshop/fold.hpp"
#include "workshop/folder_type.hpp"
#include "workshop/needed_content.hpp"

namespace atelier::workshop {
namespace {

constexpr std::uint32_t kCopiesMax = 100;  // as the worker link gives names

class Reading {
 public:
  Reading(journal::StoreReader& reader, const AttachmentReaders& readers)
      : reader_(reader), readers_(readers) {}

  Result<files::StoreRows> run() {
    ATELIER_TRY_VOID(fold_all());
    for (const core::Summary* summary : fold_.history.all()) {
      for (const core::HistoryNode& node : summary->nodes)
        ATELIER_TRY_VOID(add_node(summary->job, summary->participant, node.node, node.ui));
      // Of those whose entry was removed nobody knows whether they had inputs.
      if (!submitted_.contains(summary->prompt.id))
        ATELIER_TRY_VOID(add_inputs(summary->job, summary->participant, summary->prompt, false));
    }
    Result<void> done;
    fold_.core.each_job([&](const core::JobFacts& job) {
      if (done) done = add_live(job);
    });
    ATELIER_TRY_VOID(done);
    NeededContent needed = needed_content(fold_.core);
    for (const PinningJob& job : needed.pinning)
      ATELIER_TRY_VOID(add_inputs(job.job, job.participant, job.prompt, true));
    rows_.named.merge(needed.unlinked);
    fold_.core.each_unlinked([&](const core::UnlinkedCommit& commit) { add_unlinked(commit); });
    return std::move(rows_);
  }

 private:
  using NodeKey = std::pair<JobId, std::string>;
  struct Commit {
    std::vector<core::CommittedFile> files;
    std::vector<std::string> names;  // as apply gave them
  };

  Result<void> fold_all();
  Result<void> add_entry(core::Entry entry);
  Result<void> add_live(const core::JobFacts& job);
  Result<void> add_node(JobId job, ParticipantId participant, const std::string& node,
                        const core::Attachment& ui);
  Result<void> add_inputs(JobId job, ParticipantId participant, const core::Attachment& prompt, bool waits);
  void add_unlinked(const core::UnlinkedCommit& commit);
  Result<std::shared_ptr<const std::string>> attachment(const core::Attachment& attachment, JobId job);

  journal::StoreReader& reader_;
  const AttachmentReaders& readers_;
  Fold fold_;
  files::StoreRows rows_;
  std::map<NodeKey, Commit> commits_;
  std::set<Key128> submitted_;  // prompts of entries that were read
};

Result<void> Reading::fold_all() {
  journal::ReplayCursor cursor;
  cursor.begun = true;  // no checkpoint: entries alone tell which content a job has made
  ATELIER_TRY(journal::ReplayPage page, reader_.read(cursor));
  if (page.entries.empty() || page.entries.front().sequence != Sequence{1}) {
    ATELIER_TRY(page, reader_.read({}));
  }
  while (true) {
    cursor = page.next;
    const bool end = page.end;
    std::vector<core::Entry> entries = std::move(page.entries);
    page.entries.clear();
    ATELIER_TRY_VOID(fold_.apply(page));
    for (core::Entry& entry : entries) ATELIER_TRY_VOID(add_entry(std::move(entry)));
    if (end) break;
    ATELIER_TRY(page, reader_.read(cursor));
  }
  return fold_.finish();
}

Result<void> Reading::add_entry(core::Entry entry) {
  const auto* committed = std::get_if<core::Committed>(&entry.event);
  const NodeKey key = committed != nullptr ? NodeKey(committed->job, committed->node) : NodeKey();
  const auto* submitted = std::get_if<core::Submitted>(&entry.event);
  if (submitted != nullptr && submitted_.insert(submitted->prompt.id).second && submitted->input_count > 0)
    ATELIER_TRY_VOID(add_inputs({}, submitted->participant, submitted->prompt, false));
  journal::ReplayPage one;
  one.entries.push_back(std::move(entry));
  ATELIER_TRY_VOID(fold_.apply(one));
  if (!key.first) return {};
  // One that had no effect is not there, or is the one before.
  const core::UnlinkedCommit* commit = fold_.core.unlinked(key.first, key.second);
  if (commit == nullptr) return {};
  for (const core::CommittedFile& file : commit->files) rows_.named.insert(file.digest);
  commits_[key] = {commit->files, commit->names};
  return {};
}

Result<void> Reading::add_live(const core::JobFacts& job) {
  rows_.live_jobs[job.job] = job.epoch;
  for (const core::NodeCommit& commit : job.commits) {
    if (commit.linked) ATELIER_TRY_VOID(add_node(job.job, job.submitted.participant, commit.node, commit.ui));
  }
  return {};
}

Result<std::shared_ptr<const std::string>> Reading::attachment(const core::Attachment& attachment,
                                                               JobId job) {
  auto bytes = reader_.attachment(attachment.id);
  if (bytes) return bytes;
  return fail(bytes.error().code == Errc::not_found ? Errc::io : bytes.error().code,
              fmt::format("what the journal keeps of job {} cannot be read: {}", job, bytes.error().what));
}

/// `waits`: the inputs must be there. Else they may be gone, but what is there is named.
Result<void> Reading::add_inputs(JobId job, ParticipantId participant, const core::Attachment& prompt,
                                 bool waits) {
  if (!prompt) return {};
  ATELIER_TRY(auto accepted, attachment(prompt, job));
  ATELIER_TRY(auto inputs, readers_.inputs(std::move(accepted)));
  for (files::StoreRow& input : inputs) {
    if (input.content) rows_.named.insert(input.content->digest);
    if (!waits) continue;
    input.use = files::StoreRow::Use::input;
    input.job = job;
    input.participant = participant;
    rows_.rows.push_back(std::move(input));
  }
  return {};
}

/// Without `ui` the node is not linked yet: add_unlinked has it.
Result<void> Reading::add_node(JobId job, ParticipantId participant, const std::string& node,
                               const core::Attachment& ui) {
  if (!ui) return {};
  ATELIER_TRY(const auto bytes, attachment(ui, job));
  ATELIER_TRY(const auto names, readers_.names(*bytes));
  files::StoreRow row;
  row.job = job;
  row.participant = participant;
  const auto commit = commits_.find({job, node});
  if (commit == commits_.end()) {
    for (const FileName& name : names) {
      row.type = name.type;
      row.folder = name.folder;
      row.name = name.name;
      rows_.rows.push_back(row);
    }
    return {};
  }
  for (std::size_t i = 0; i < commit->second.files.size(); ++i) {
    const core::CommittedFile& file = commit->second.files[i];
    row.type = folder_type(file.type);
    row.folder = file.folder;
    row.name = commit->second.names.at(i);
    row.content = files::BlobInfo{file.digest, file.bytes};
    // The name was taken when it was to be linked, if the ui has a copy's.
    for (std::uint32_t copy = 0; copy <= kCopiesMax; ++copy) {
      FileName given{row.type, row.folder, files::copy_name(commit->second.names.at(i), copy)};
      // It is in the type's own folder if its folder could not be made.
      if (std::ranges::find(names, given) == names.end()) given.folder.clear();
      if (std::ranges::find(names, given) == names.end()) continue;
      row.folder = std::move(given.folder);
      row.name = std::move(given.name);
      break;
    }
    rows_.rows.push_back(row);
  }
  return {};
}

void Reading::add_unlinked(const core::UnlinkedCommit& commit) {
  files::StoreRow row;
  row.use = files::StoreRow::Use::unlinked;
  row.job = commit.job;
  row.participant = commit.participant;
  for (std::size_t i = 0; i < commit.files.size(); ++i) {
    const core::CommittedFile& file = commit.files[i];
    row.type = folder_type(file.type);
    row.folder = file.folder;
    row.name = commit.names.at(i);
    row.content = files::BlobInfo{file.digest, file.bytes};
    rows_.rows.push_back(row);
  }
}

}  // namespace

Result<files::StoreRows> stored_rows(journal::StoreReader& reader, const AttachmentReaders& readers) {
  return Reading(reader, readers).run();
}

}  // namespace atelier::workshop
