// SPDX-License-Identifier: MIT
// Agent: what a run has made outlives the process, and is handed over by the next one.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "agent/agent_impl.hpp"
#include "base/log.hpp"
#include "files/safe_path.hpp"

namespace atelier::agent {
namespace {

/// A collected file, and where it is going to be kept.
struct Place {
  KeptFile kept;
  LocalFile local;
  std::string link;  // a name for it in the spool folder; "": it lies there
};

files::FileKey key_of(const files::Entry& entry) {
  files::FileKey key = entry.stat.key;
  key.device = 0;
  return key;
}

/// A name in the spool folder is a file's own as long as it is needed: ComfyUI empties its temp folder when
/// it is started, and somebody may tidy up its outputs. Where there can be none, it is found where it is.
Result<KeptFile> settle(Place& place, const files::Directory& spool) {
  ATELIER_TRY(const files::Entry entry, place.local.folder.stat(place.local.path));
  if (entry.stat.size() != place.local.size)
    return fail(Errc::io, fmt::format("{} has changed", place.local.path));
  place.kept.key = key_of(entry);
  if (place.link.empty()) return place.kept;
  const files::SplitPath split = files::split_path(place.local.path);
  auto folder = place.local.folder.open_folder(split.folder);
  // One more name of a file of another user's would make it one that is not opened (Directory::open_file).
  if (folder && entry.stat.owner == ::geteuid() && folder->link(split.name, spool, place.link)) {
    place.kept.place = KeptPlace::spool;
    place.kept.path = place.link;
  }
  if (place.kept.path.empty()) return fail(Errc::unsupported, "its folder has been made anew");
  return place.kept;
}

}  // namespace

void Agent::Impl::do_action(Keep&& action) {
  auto run = files_of(action.run.key);
  tasks.spawn("keep run", keep(std::move(action), std::move(run)));
}

awaitable<void> Agent::Impl::keep(Keep action, std::shared_ptr<RunFiles> run) {
  const RunKey key = action.run.key;
  const Engine& engine = *engines[action.run.slot];
  const auto in_engine = [&](const LocalFile& file) -> std::optional<KeptPlace> {
    if (!engine.folders) return std::nullopt;
    if (file.folder.fd() == engine.folders->output.fd()) return KeptPlace::output;
    if (file.folder.fd() == engine.folders->temp.fd()) return KeptPlace::temp;
    if (file.folder.fd() == engine.folders->input.fd()) return KeptPlace::input;
    return std::nullopt;
  };
  std::vector<Place> places;
  std::vector<std::string> names{kept_name(key)};
  for (const link::Commit& commit : action.run.commits) {
    for (std::uint32_t index = 0; index < commit.files.size(); ++index) {
      Place& place = places.emplace_back();
      place.local = run->collected.at({commit.node, index});
      place.kept.node = commit.node;
      place.kept.index = index;
      if (place.local.folder.fd() == spool.folder().fd()) {
        place.kept.path = place.local.path;
        continue;
      }
      place.link = spool.fresh_name();
      names.push_back(place.link);
      if (const auto where = in_engine(place.local)) {
        place.kept.place = *where;
        place.kept.path = place.local.path;
      }
    }
  }
  run->spooled.insert(run->spooled.begin(), names.begin(), names.end());  // the record goes first
  auto write = [this, places = std::move(places),
                finished = std::move(action.run)]() mutable -> Result<void> {
    KeptRun kept;
    kept.run = std::move(finished);
    kept.machine_start = machine_start();
    for (Place& place : places) {
      ATELIER_TRY(KeptFile file, settle(place, spool.folder()));
      kept.files.push_back(std::move(file));
    }
    return spool.keep(kept);
  };
  const auto written = co_await run_blocking(runtime.file_pool(), std::move(write));
  if (!written) log::warn("run_not_kept", {{"job", key.job}, {"why", written.error().what}});
  if (!run->forgotten) co_return;
  // Forget has come first.
  auto remove = [folder = spool.folder(), names = std::move(names)] {
    for (const std::string& name : names) (void)folder.remove_file(name);
  };
  runtime.file_pool().post(std::move(remove));
}

Result<std::shared_ptr<RunFiles>> Agent::Impl::find_files(const KeptRun& kept) {
  auto run = std::make_shared<RunFiles>();
  run->spooled.push_back(kept_name(kept.run.key));
  const Engine* engine = kept.run.slot < engines.size() ? engines[kept.run.slot].get() : nullptr;
  for (const KeptFile& file : kept.files) {
    LocalFile local;
    local.path = file.path;
    if (file.place == KeptPlace::spool) {
      local.folder = spool.folder();
      run->spooled.push_back(file.path);
    } else {
      if (engine == nullptr || !engine->folders)
        return fail(Errc::not_found, "the folders of its ComfyUI are not known any more");
      local.folder = file.place == KeptPlace::output ? engine->folders->output
                     : file.place == KeptPlace::temp ? engine->folders->temp
                                                     : engine->folders->input;
    }
    ATELIER_TRY(const files::Entry entry, local.folder.stat(local.path));
    if (entry.kind != files::EntryKind::file || key_of(entry) != file.key)
      return fail(Errc::not_found, fmt::format("{} is not the file that it was", file.path));
    const auto commit = std::ranges::find(kept.run.commits, file.node, &link::Commit::node);
    local.size = commit->files.at(file.index).size;
    local.digest = commit->files.at(file.index).digest;
    run->collected[{file.node, file.index}] = std::move(local);
  }
  return run;
}

void Agent::Impl::restore() {
  auto all = spool.take_up();
  if (!all) {
    log::warn("kept_runs_not_read", {{"why", all.error().what}});
    return;
  }
  for (KeptRun& kept : *all) {
    const RunKey key = kept.run.key;
    auto files = find_files(kept);
    if (!files) {
      log::warn("kept_run_left_out", {{"job", key.job}, {"epoch", key.epoch}, {"why", files.error().what}});
      (void)spool.folder().remove_file(kept_name(key));
      for (const KeptFile& file : kept.files) {
        if (file.place == KeptPlace::spool) (void)spool.folder().remove_file(file.path);
      }
      continue;
    }
    log::info("kept_run_taken_up", {{"job", key.job}, {"epoch", key.epoch}, {"files", kept.files.size()}});
    runs[key] = std::move(*files);
    machine.restore(std::move(kept.run));
  }
}

}  // namespace atelier::agent
