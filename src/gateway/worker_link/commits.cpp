// SPDX-License-Identifier: MIT
// Order of a commit (core.md 6): the bytes are blobs already (verified and synced by PUT) -> committed is
// recorded and gives the names -> names are linked, the folder synced -> linked is recorded -> the browser is
// told.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/crash_point.hpp"
#include "base/log.hpp"
#include "comfy/history.hpp"
#include "comfy/output_name.hpp"
#include "files/output_place.hpp"
#include "files/safe_path.hpp"
#include "gateway/worker_link/worker_link_impl.hpp"
#include "workshop/folder_type.hpp"
#include "workshop/read_attachment.hpp"

namespace atelier::gateway {
namespace {

core::OutputType type_of(link::FileType type) {
  switch (type) {
    case link::FileType::output:
      return core::OutputType::output;
    case link::FileType::temp:
      return core::OutputType::temp;
    case link::FileType::input:
      return core::OutputType::input;
  }
  return core::OutputType::output;
}

/// `stale` only when the lease is gone: an agent forgets such a job, and one that still holds its lease would
/// never end. What cannot be stored is tried anew and then ends the job as failed.
link::RefuseReason refuse_reason(Errc code) {
  if (code == Errc::stale_epoch) return link::RefuseReason::stale;
  if (code == Errc::disk_full || code == Errc::unavailable || code == Errc::io)
    return link::RefuseReason::disk;
  return link::RefuseReason::bad_hash;
}

/// No repetition helps: the name, or a folder that it needs, is impossible.
bool is_for_good(Errc code) {
  return code == Errc::conflict || code == Errc::bad_request || code == Errc::forbidden ||
         code == Errc::too_large || code == Errc::unsupported;
}

/// Beyond them core refuses a commit (apply_outputs.cpp).
Result<void> check_lengths(const core::CommittedFile& file) {
  if (file.folder.size() <= 512 && file.stem.size() <= 255 && file.rest.size() <= 100) return {};
  return fail(Errc::too_large, "the name of the file is too long");
}

/// Where a committed file goes, in this order: a folder that could be made when the commit was recorded may
/// be blocked since.
std::vector<GivenName> places_of(const core::CommittedFile& file, const std::string& name) {
  std::string plain = file.digest.hex().substr(0, 16);
  const std::string_view extension = files::split_extension(name).extension;
  if (extension.size() > 1 && extension.size() <= 16 && files::check_name(extension)) plain += extension;
  std::vector<GivenName> places(3);
  places[0].folder = file.folder;
  places[0].name = places[1].name = name;
  places[2].name = std::move(plain);
  return places;
}

/// Saved visual > other visual > saved text file > raw text (comfyui-interface.md C6).
std::uint8_t preview_rank(const boost::json::object& preview) {
  const boost::json::value* media = preview.if_contains("mediaType");
  const bool text = media != nullptr && media->is_string() && media->get_string() == "text";
  if (text) return preview.if_contains("content") != nullptr ? 1 : 2;
  const boost::json::value* type = preview.if_contains("type");
  return type != nullptr && type->is_string() && type->get_string() == "output" ? 4 : 3;
}

/// A text of 1,024 characters, which is what ComfyUI shows of one, with all that may have to be escaped.
constexpr std::size_t kPreviewBytesMax = 8'192;

core::OutputSummary summary_of(const std::string& node, const std::string& ui) {
  core::OutputSummary summary;
  auto parsed = comfy::Json::parse(ui);
  if (!parsed) return summary;
  boost::json::object outputs;
  outputs[node] = parsed->value();
  const comfy::OutputsSummary counted = comfy::summarise_outputs(outputs);
  summary.outputs = counted.count;
  summary.previewable = counted.previewable_count;
  if (counted.preview && counted.preview->is_object()) {
    std::string text = counted.preview->print();
    if (text.size() <= kPreviewBytesMax) {
      summary.preview_rank = preview_rank(counted.preview->object());
      summary.preview = std::move(text);
    }
  }
  return summary;
}

}  // namespace

awaitable<void> WorkerLink::Impl::commit(SessionPtr session, link::Commit commit) {
  const JobId job = commit.job;
  const Epoch epoch = commit.epoch;
  const std::string node = commit.node;
  auto names = co_await record_commit(*session, std::move(commit));
  if (!names) {
    log::warn("commit_refused",
              {{"worker", session->name}, {"job", job}, {"node", node}, {"reason", names.error().what}});
    link::Refused refused;
    refused.job = job;
    refused.epoch = epoch;
    refused.node = node;
    refused.reason = refuse_reason(names.error().code);
    session->send(link::GatewayMessage{std::move(refused)});
    co_return;
  }
  link::Committed committed;
  committed.job = job;
  committed.epoch = epoch;
  committed.node = node;
  committed.names = std::move(*names);
  session->send(link::GatewayMessage{std::move(committed)});
  co_await link_names(job, node);
}

awaitable<Result<core::Committed>> WorkerLink::Impl::committed_event(ParticipantId participant,
                                                                     const link::Commit& commit) {
  core::Committed event;
  event.job = commit.job;
  event.epoch = commit.epoch;
  event.node = commit.node;
  for (std::uint32_t place = 0; const link::CommitFile& sent : commit.files) {
    core::CommittedFile file;
    file.place = place++;
    file.type = type_of(sent.type);
    file.folder = sent.folder;
    file.stem = sent.stem;
    file.numbered = sent.number.has_value();
    file.number = sent.number.value_or(0);
    file.rest = sent.rest;
    file.in_job_folder = sent.in_job_folder;
    file.bytes = sent.size;
    file.digest = sent.digest;
    auto look = [this, participant, &file]() -> Result<std::int64_t> {
      ATELIER_TRY_VOID(check_lengths(file));
      const auto number = static_cast<std::uint32_t>(file.number);
      ATELIER_TRY_VOID(files::check_output_place(
          files.data(), participant, workshop::folder_type(file.type), file.folder,
          file.numbered ? files::join_output_name(file.stem, number, file.rest) : file.stem + file.rest));
      ATELIER_TRY(const bool there, files.blobs().touch(file.digest));
      if (!there) return fail(Errc::bad_hash, "an output's bytes are not here");
      const files::FolderType type = workshop::folder_type(file.type);
      if (file.numbered) {
        ATELIER_TRY(const auto highest,
                    files.output_names().highest_number(participant, type, file.folder, file.stem));
        return static_cast<std::int64_t>(highest);
      }
      ATELIER_TRY(const auto seen,
                  files.output_names().name_seen(participant, type, file.folder, file.stem + file.rest));
      return seen.taken || seen.highest_copy > 0 ? static_cast<std::int64_t>(seen.highest_copy) : -1;
    };
    auto seen = co_await files.run(std::move(look));
    if (!seen) co_return std::unexpected(seen.error());
    file.seen = *seen;
    event.files.push_back(std::move(file));
  }
  co_return event;
}

awaitable<Result<std::vector<std::string>>> WorkerLink::Impl::record_commit(const LinkSession& session,
                                                                            link::Commit commit) {
  const core::JobFacts* job = held(session, commit.job, commit.epoch);
  if (job == nullptr) co_return fail(Errc::stale_epoch, "the lease is not this worker's any more");
  const auto given = [this](JobId id, const std::string& node) -> const core::NodeCommit* {
    const core::JobFacts* facts = workshop.core().job(id);
    if (facts == nullptr) return nullptr;
    const auto found = std::ranges::find(facts->commits, node, &core::NodeCommit::node);
    return found == facts->commits.end() ? nullptr : &*found;
  };
  // The first commit of a (job, node) stands, whatever epoch made it.
  if (const core::NodeCommit* before = given(commit.job, commit.node)) co_return before->names;
  auto made = co_await committed_event(job->submitted.participant, commit);
  if (!made && is_for_good(made.error().code)) {
    ATELIER_CO_TRY_VOID(co_await end_without_place(commit.job, commit.node, made.error().what));
    co_return fail(Errc::stale_epoch, made.error().what);
  }
  ATELIER_CO_TRY(core::Committed event, std::move(made));
  auto attachment = workshop.attach(std::make_shared<const std::string>(commit_attachment(commit)));
  event.ui = attachment.ref;
  std::vector<journal::NewAttachment> attachments;
  attachments.push_back(std::move(attachment));
  crash_point("commit_before_record");
  auto recorded = co_await workshop.record(core::Event{std::move(event)}, std::move(attachments));
  crash_point("commit_after_record");
  const core::NodeCommit* stands = given(commit.job, commit.node);
  if (stands != nullptr) co_return stands->names;
  if (!recorded) co_return std::unexpected(recorded.error());
  co_return fail(Errc::stale_epoch, "the job has ended");
}

awaitable<void> WorkerLink::Impl::link_names(JobId job, std::string node) {
  if (!linking.insert({job, node}).second) co_return;
  struct Leave {
    std::set<std::pair<JobId, std::string>>& set;
    std::pair<JobId, std::string> key;
    ~Leave() { set.erase(key); }
  } leave{linking, {job, node}};
  milliseconds pause{250};
  while (!stopping && workshop.core().unlinked(job, node) != nullptr) {
    auto done = co_await link_once(job, node);
    if (done) co_return;
    // A full disk, or a blob that an operator removed: kept in the list, tried again, said in the log.
    log::error("names_not_linked", {{"job", job}, {"node", node}, {"reason", done.error().what}});
    if (!co_await runtime.sleep_for(pause)) co_return;
    pause = std::min(pause * 2, milliseconds{30'000});
  }
}

/// Stock's node would have raised when it saved; here the computing is over when it is seen.
awaitable<Result<void>> WorkerLink::Impl::end_without_place(JobId job, std::string node, std::string why) {
  core::Ended ended;  // by the workshop: the worker is told to stop
  ended.job = job;
  ended.outcome = core::Outcome::failed;
  ended.reason = core::EndReason::outputs_lost;
  ended.sentence =
      fmt::format("What node {} made cannot be saved: {}. Choose another filename_prefix and press Run.",
                  node.substr(0, 100), why.substr(0, 300));
  auto recorded = co_await workshop.record(core::Event{std::move(ended)});
  if (!recorded && recorded.error().code == Errc::unavailable) co_return std::unexpected(recorded.error());
  co_return Result<void>{};
}

awaitable<Result<GivenName>> WorkerLink::Impl::give_name(ParticipantId participant, core::CommittedFile file,
                                                         std::string name) {
  // The owner may have put a file of this name there since the folder was looked at: nothing is ever
  // overwritten.
  Error last(Errc::conflict, "");
  for (GivenName& place : places_of(file, name)) {
    for (std::uint32_t copy = 0; copy <= 100; ++copy) {
      files::OutputLink output;
      output.type = workshop::folder_type(file.type);
      output.folder = place.folder;
      output.name = comfy::copy_name(place.name, copy);
      output.digest = file.digest;
      auto work = [this, participant, &output] {
        return files.output_names().link(participant, std::span(&output, 1));
      };
      auto linked_it = co_await files.run(std::move(work));
      if (linked_it) {
        // Not of a name that an earlier try has made.
        if (*linked_it > 0) files.quota().count(participant, file.bytes, 1);
        place.name = std::move(output.name);
        co_return std::move(place);
      }
      last = std::move(linked_it).error();
      if (!is_for_good(last.code)) co_return std::unexpected(std::move(last));
      if (last.code != Errc::conflict) break;
    }
    log::warn("output_name_impossible",
              {{"participant", participant}, {"digest", file.digest.hex()}, {"reason", last.what}});
  }
  co_return std::unexpected(std::move(last));
}

awaitable<Result<void>> WorkerLink::Impl::link_once(JobId job, const std::string& node) {
  const core::UnlinkedCommit* found = workshop.core().unlinked(job, node);
  if (found == nullptr) co_return Result<void>{};
  const core::UnlinkedCommit commit = *found;  // a reference does not live across a co_await
  ATELIER_CO_TRY(const auto stored, co_await workshop::read_attachment(runtime, workshop, commit.ui));
  ATELIER_CO_TRY(const auto parts, read_commit_attachment(*stored));
  std::vector<GivenName> names;
  for (std::size_t i = 0; i < commit.files.size(); ++i) {
    const core::CommittedFile& file = commit.files[i];
    ATELIER_CO_TRY(GivenName given, co_await give_name(commit.participant, file, commit.names.at(i)));
    given.place = i < parts.places.size() ? parts.places[i] : "";
    given.type = std::string(core::to_string(file.type));
    names.push_back(std::move(given));
  }
  crash_point("commit_after_link");
  ATELIER_CO_TRY(auto ui, ui_with_names(parts.ui, names));
  auto shared = std::make_shared<const std::string>(std::move(ui));
  auto attachment = workshop.attach(shared);
  core::Linked event;
  event.job = job;
  event.node = node;
  event.ui = attachment.ref;
  event.summary = summary_of(node, *shared);
  const core::JobFacts* facts = workshop.core().job(job);
  const Epoch epoch = facts != nullptr && facts->lease ? facts->lease->epoch : Epoch{};
  std::vector<journal::NewAttachment> attachments;
  attachments.push_back(std::move(attachment));
  ATELIER_CO_TRY_VOID(co_await workshop.record(core::Event{std::move(event)}, std::move(attachments)));
  if (node.empty() || !epoch || workshop.core().job(job) == nullptr)
    co_return Result<void>{};  // nothing to show, or nobody waits
  LiveFrame frame;
  frame.kind = LiveKind::executed;
  frame.participant = commit.participant;
  frame.job = job;
  frame.epoch = epoch;
  frame.node = node;
  frame.display_node = parts.display_node.empty() ? node : parts.display_node;
  frame.bytes = shared;
  live.publish(std::move(frame));
  co_return Result<void>{};
}

}  // namespace atelier::gateway
