// SPDX-License-Identifier: MIT
#include "agent/collector.hpp"

#include <fmt/format.h>

#include <array>
#include <map>
#include <set>
#include <utility>

#include "agent/job_folders.hpp"
#include "agent/restored_copy.hpp"
#include "agent/ui_files.hpp"
#include "base/log.hpp"
#include "comfy/files.hpp"
#include "comfy/rewrite.hpp"
#include "files/safe_path.hpp"

namespace atelier::agent {
namespace {

constexpr std::size_t kTurnBytes = 4u << 20;
constexpr milliseconds kViewLimit{600'000};

const files::Directory& folder_of(const EngineFolders& folders, link::FileType type) {
  switch (type) {
    case link::FileType::output:
      return folders.output;
    case link::FileType::temp:
      return folders.temp;
    case link::FileType::input:
      return folders.input;
  }
  return folders.output;
}

awaitable<bool> is_png(Runtime& runtime, std::shared_ptr<const files::File> file) {
  auto look = [file] {
    std::array<std::byte, 8> head{};
    const auto read = file->read_at(0, head);
    return read && std::string_view(reinterpret_cast<const char*>(head.data()), *read) == "\x89PNG\r\n\x1a\n";
  };
  co_return co_await run_blocking(runtime.file_pool(), std::move(look));
}

/// What cannot be taken was not meant as a file, unless a later try could tell more.
bool may_be_a_text(const Error& error) {
  return error.code != Errc::unavailable && error.code != Errc::disk_full && error.code != Errc::cancelled;
}

/// As of a node that shows the path which it was given (PreviewAny).
bool is_repeated(const RunFiles& run, const std::string& node, const PlacedFile& placed) {
  if (placed.named.type != link::FileType::output) return false;
  const auto first = run.output_paths.find(placed.path);
  return first != run.output_paths.end() && first->second != node &&
         comfy::content_kind_of(placed.path) != comfy::ContentKind::model3d;
}

}  // namespace

awaitable<Result<Digest>> hash_file(Runtime& runtime, std::shared_ptr<const files::File> file) {
  auto hasher = std::make_shared<Hasher>();
  for (std::uint64_t offset = 0; offset < file->size(); offset += kTurnBytes) {
    auto turn = [file, hasher, offset]() -> Result<void> {
      std::vector<std::byte> buffer(kTurnBytes);
      ATELIER_TRY(const std::size_t bytes, file->read_at(offset, buffer));
      hasher->update(std::span<const std::byte>(buffer.data(), bytes));
      return {};
    };
    auto done = co_await run_blocking(runtime.file_pool(), std::move(turn));
    if (!done) co_return std::unexpected(std::move(done).error());
  }
  co_return hasher->finish();
}

void Collector::note(RunFiles& run, RunKey key, const std::string& node, const std::string& ui) {
  auto named = files_of_ui(ui, key);
  if (!named) return;
  for (const UiFile& file : *named) {
    auto placed = place_file(file, key);
    if (placed && placed->named.type == link::FileType::output) run.output_paths.emplace(placed->path, node);
  }
}

awaitable<Result<LocalFile>> Collector::download(std::shared_ptr<RunFiles> run, EngineClient& engine,
                                                 UiFile file) {
  auto response = co_await engine.view(file);
  if (!response) co_return std::unexpected(std::move(response).error());
  LocalFile local;
  local.folder = spool_.folder();
  local.path = spool_.fresh_name();
  run->spooled.push_back(local.path);
  auto made = local.folder.create_file(local.path);
  if (!made) co_return std::unexpected(std::move(made).error());
  auto fd = std::make_shared<files::FileDescriptor>(std::move(*made));
  const Instant deadline = runtime_.now() + kViewLimit;
  std::vector<char> buffer(256 << 10);
  for (;;) {
    auto bytes = co_await response->read(buffer, deadline);
    if (!bytes) {
      discard(*run, local.path);
      co_return std::unexpected(as_unavailable(std::move(bytes).error()));
    }
    if (*bytes == 0) break;
    auto chunk = std::make_shared<std::string>(buffer.data(), *bytes);
    const std::uint64_t offset = local.size;
    auto write = [fd, chunk, offset] { return files::write_all_at(fd->get(), offset, *chunk); };
    auto written = co_await run_blocking(runtime_.file_pool(), std::move(write));
    if (!written) {
      discard(*run, local.path);
      co_return std::unexpected(std::move(written).error());
    }
    local.size += *bytes;
    if (run->forgotten) co_return fail(Errc::cancelled, "the run was forgotten");
  }
  co_return local;
}

awaitable<Result<LocalFile>> Collector::finish(std::shared_ptr<RunFiles> run, RunKey key, link::FileType type,
                                               bool own, LocalFile raw, std::string shown) {
  auto open = [folder = raw.folder, path = raw.path]() { return folder.open_file(path); };
  auto opened = co_await run_blocking(runtime_.file_pool(), std::move(open));
  if (!opened) {
    co_return fail(Errc::not_found, fmt::format("an output file cannot be read: {}", opened.error().what));
  }
  auto file = std::make_shared<const files::File>(std::move(*opened));
  if (file->size() == 0) co_return fail(Errc::bad_request, fmt::format("the output file {} is empty", shown));
  raw.size = file->size();
  if (type != link::FileType::input && !run->prompt_texts.own.empty()) {
    auto copied = co_await restored_copy(runtime_, file, run, spool_, own);
    if (copied && *copied) co_return std::move(**copied);
    // Half a picture is no result (reliability.md 30). Of other kinds we may know less than who plays them.
    if (!copied && copied.error().code == Errc::bad_request && co_await is_png(runtime_, file))
      co_return fail(Errc::bad_request,
                     fmt::format("the output file {} is broken: {}", shown, copied.error().what));
    if (!copied && copied.error().code == Errc::disk_full)
      co_return std::unexpected(std::move(copied).error());
    if (!copied && !own)  // it may hold the prompt and the workflow of somebody else
      co_return fail(Errc::forbidden, fmt::format("the output file {} was made for another job and cannot be "
                                                  "shown: {}",
                                                  shown, copied.error().what));
    if (!copied) log::warn("metadata_not_restored", {{"job", key.job}, {"why", copied.error().what}});
  }
  auto digest = co_await hash_file(runtime_, file);
  if (!digest) co_return std::unexpected(std::move(digest).error());
  raw.digest = *digest;
  co_return raw;
}

awaitable<Result<std::optional<Collector::Taken>>> Collector::take(std::shared_ptr<RunFiles> run, RunKey key,
                                                                   EngineClient& engine,
                                                                   const EngineFolders* folders,
                                                                   UiFile file) {
  auto placed = place_file(file, key);
  if (!placed && !file.sure) co_return std::optional<Taken>();
  if (!placed) co_return std::unexpected(std::move(placed).error());
  LocalFile raw;
  if (folders != nullptr && !placed->odd) {
    raw.folder = folder_of(*folders, placed->named.type);
    raw.path = placed->path;
  } else {
    auto downloaded = co_await download(run, engine, file);
    if (!downloaded && !file.sure && may_be_a_text(downloaded.error())) co_return std::optional<Taken>();
    if (!downloaded) co_return std::unexpected(std::move(downloaded).error());
    raw = std::move(*downloaded);
  }
  const std::string raw_path = raw.path;
  auto local = co_await finish(run, key, placed->named.type, placed->named.in_job_folder, std::move(raw),
                               placed->path);
  if (!local) {
    discard(*run, raw_path);
    if (!file.sure && may_be_a_text(local.error())) co_return std::optional<Taken>();
    co_return std::unexpected(std::move(local).error());
  }
  Taken taken;
  taken.named = std::move(placed->named);
  taken.named.size = local->size;
  taken.named.digest = local->digest;
  taken.local = std::move(*local);
  taken.path = std::move(placed->path);
  co_return std::optional(std::move(taken));
}

awaitable<Result<std::vector<link::CommitFile>>> Collector::collect(std::shared_ptr<RunFiles> run, RunKey key,
                                                                    EngineClient& engine,
                                                                    const EngineFolders* folders,
                                                                    std::string node, std::string ui) {
  ATELIER_CO_TRY(const std::vector<UiFile> named, files_of_ui(ui, key));
  discard_of(*run, node);  // of an earlier time
  std::vector<link::CommitFile> files;
  std::map<std::pair<std::string, std::string>, std::size_t> known;  // by type and path
  std::set<std::string> places;
  for (const UiFile& one : named) {
    if (!one.sure && places.contains(one.place)) continue;
    const auto placed = place_file(one, key);
    if (placed && !one.sure && is_repeated(*run, node, *placed)) continue;
    const auto before = placed ? known.find({one.type, placed->path}) : known.end();
    // What is named more often than one place may say is a further file.
    if (before != known.end() &&
        files[before->second].place.size() + 1 + one.place.size() <= link::kNameBytesMax) {
      files[before->second].place += '\n' + one.place;
      places.insert(one.place);
      continue;
    }
    auto taken_or_not = co_await take(run, key, engine, folders, one);
    if (!taken_or_not) {
      discard_of(*run, node);
      co_return std::unexpected(std::move(taken_or_not).error());
    }
    std::optional<Taken> taken = std::move(*taken_or_not);
    if (placed && placed->named.type == link::FileType::output) {
      // A text that names no file yet keeps it from nobody.
      const auto first = run->output_paths.emplace(placed->path, node).first;
      if (!taken && first->second == node) run->output_paths.erase(first);
    }
    if (!taken) continue;
    link::CommitFile file = std::move(taken->named);
    // A node that shows one of its inputs: the participant knows it by its own name.
    if (const auto own = run->input_names.find(taken->path);
        file.type == link::FileType::input && own != run->input_names.end()) {
      const files::SplitPath split = files::split_path(own->second);
      file.folder = split.folder;
      file.stem = split.name;
      file.number.reset();
      file.rest.clear();
    }
    known.insert_or_assign(std::pair(one.type, taken->path), files.size());
    places.insert(one.place);
    run->collected[{node, static_cast<std::uint32_t>(files.size())}] = std::move(taken->local);
    files.push_back(std::move(file));
  }
  co_return files;
}

awaitable<Result<std::vector<link::CommitFile>>> Collector::rest(std::shared_ptr<RunFiles> run, RunKey key,
                                                                 const EngineFolders* folders) {
  std::vector<link::CommitFile> files;
  if (folders == nullptr) co_return files;
  auto list = [folder = folders->output, key] { return files_of_job(folder, key); };
  auto listing = co_await run_blocking(runtime_.file_pool(), std::move(list));
  if (!listing) co_return std::unexpected(std::move(listing).error());
  for (const auto& [path, file_key] : *listing) {
    const auto older = run->older_outputs.find(path);
    if (file_key.size == 0 || run->output_paths.contains(path) ||
        (older != run->older_outputs.end() && older->second == file_key))
      continue;
    const files::SplitPath split = files::split_path(path);
    UiFile one{fmt::format("/{}", files.size()), std::string(split.name), std::string(split.folder),
               "output"};
    auto placed = place_file(one, key);
    if (!placed) continue;
    LocalFile raw;
    raw.folder = folders->output;
    raw.path = path;
    auto local = co_await finish(run, key, placed->named.type, true, std::move(raw), path);
    if (!local && local.error().code == Errc::disk_full) co_return std::unexpected(std::move(local).error());
    if (!local) {
      log::warn("rest_file_left_out", {{"job", key.job}, {"why", local.error().what}});
      continue;
    }
    link::CommitFile file = std::move(placed->named);
    file.size = local->size;
    file.digest = local->digest;
    run->collected[{"", static_cast<std::uint32_t>(files.size())}] = std::move(*local);
    files.push_back(std::move(file));
  }
  co_return files;
}

void Collector::discard(RunFiles& run, const std::string& name) {
  if (std::erase(run.spooled, name) == 0) return;
  auto remove = [folder = spool_.folder(), name] { (void)folder.remove_file(name); };
  runtime_.file_pool().post(std::move(remove));
}

void Collector::discard_of(RunFiles& run, const std::string& node) {
  for (auto found = run.collected.lower_bound({node, 0});
       found != run.collected.end() && found->first.first == node; ++found)
    discard(run, found->second.path);
}

void Collector::forget(RunFiles& run) {
  run.forgotten = true;
  auto remove = [folder = spool_.folder(), names = std::move(run.spooled)] {
    for (const std::string& name : names) (void)folder.remove_file(name);
  };
  run.spooled.clear();
  runtime_.file_pool().post(std::move(remove));
}

}  // namespace atelier::agent
