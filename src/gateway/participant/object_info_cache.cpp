// SPDX-License-Identifier: MIT
#include "gateway/participant/object_info_cache.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "files/safe_path.hpp"
#include "net/websocket.hpp"

namespace atelier::gateway {
namespace {

constexpr std::size_t kListDepthMax = 16;

/// ComfyUI's audio lists hold videos, too: their sound can be loaded (CI E).
bool fits(comfy::ContentKind wanted, std::string_view name) {
  const comfy::ContentKind kind = comfy::content_kind_of(name);
  return kind == wanted || (wanted == comfy::ContentKind::audio && kind == comfy::ContentKind::video);
}

std::vector<std::string> folders_of(const std::vector<std::string>& names) {
  std::set<std::string, std::less<>> folders;
  for (const std::string& name : names) {
    std::string_view folder = name;
    for (std::size_t level = 0; level < kDatasetDepth; ++level) {
      folder = files::split_path(folder).folder;
      if (folder.empty()) break;
      folders.emplace(folder);
    }
  }
  return {folders.begin(), folders.end()};
}

}  // namespace

std::vector<std::string> FileLists::pick(const comfy::FileListKey& key) const {
  const std::vector<std::string>& all = key.folder == comfy::FileType::input    ? input
                                        : key.folder == comfy::FileType::output ? output
                                                                                : temp;
  if (key.folders) return folders_of(all);
  std::vector<std::string> names;
  const std::string below = key.subfolder.empty() ? "" : key.subfolder + "/";
  for (const std::string& name : all) {
    const bool there = below.empty() ? name.find('/') == std::string::npos : name.starts_with(below);
    if (there && fits(key.content, name)) names.push_back(name);
  }
  return names;
}

Digest FileLists::digest() const {
  Hasher hasher;
  for (const auto* list : {&input, &output, &temp}) {
    for (const std::string& name : *list) {
      hasher.update(name);
      hasher.update(std::string_view("\0", 1));
    }
    hasher.update(std::string_view("\1", 1));
  }
  return hasher.finish();
}

ObjectInfoCache::Known ObjectInfoCache::list(const files::ParticipantFolders& folders,
                                             ParticipantId participant) {
  auto lists = std::make_shared<FileLists>();
  const auto look = [&](files::FolderType type, std::size_t depth, std::vector<std::string>& names) {
    auto listed = folders.list_stamped(participant, type, depth);
    if (!listed) return std::vector<files::FolderStamp>{};  // a folder that cannot be read has an empty list
    for (files::ListedFile& file : listed->files) names.push_back(std::move(file.path));
    return std::move(listed->stamps);
  };
  Known known;
  known.input = look(files::FolderType::input, kListDepthMax, lists->input);
  known.output = look(files::FolderType::output, 1, lists->output);
  known.digest = lists->digest();
  known.lists = std::move(lists);
  return known;
}

std::string ObjectInfoCache::Compressed::etag_for(const std::string& state_etag) {
  return fmt::format("{}-gz\"", state_etag.substr(0, state_etag.size() - 1));
}

ObjectInfoCache::Compressed::Compressed(const std::string& state_etag, std::string bytes)
    : etag(etag_for(state_etag)),
      headers{{"ETag", etag},
              {"Cache-Control", "no-cache"},
              {"Vary", "Accept-Encoding"},
              {"Content-Type", "application/json; charset=utf-8"},
              {"Content-Encoding", "gzip"}},
      body(std::move(bytes)) {}

ObjectInfoCache::Known* ObjectInfoCache::unchanged(ParticipantId participant) {
  const auto found = known_.find(participant);
  if (found == known_.end()) return nullptr;
  Known& known = found->second;
  const Instant now = runtime_.now();
  const std::uint64_t changes = files_.data().tree_changes();
  if (known.looked && known.changes == changes && now - *known.looked < kLookAgain) return &known;
  const files::ParticipantFolders& folders = files_.participants();
  if (!folders.same_as(participant, files::FolderType::input, known.input) ||
      !folders.same_as(participant, files::FolderType::output, known.output))
    return nullptr;
  known.looked = now;
  known.changes = changes;
  return &known;
}

const std::string& ObjectInfoCache::etag_of(ParticipantId participant, Known& known) const {
  const std::uint64_t generation = catalog_.generation();
  if (known.etag.empty() || known.generation != generation) {
    known.etag = fmt::format("\"{}-{}-{}\"", participant, generation, known.digest.hex().substr(0, 32));
    known.generation = generation;
  }
  return known.etag;
}

awaitable<ObjectInfoCache::State> ObjectInfoCache::state(ParticipantId participant) {
  Known* known = unchanged(participant);
  if (known == nullptr) {
    auto look = [&folders = files_.participants(), participant] { return list(folders, participant); };
    Known listed = co_await files_.run(std::move(look));
    known = &known_.insert_or_assign(participant, std::move(listed)).first->second;
  }
  State state;
  state.lists = known->lists;
  state.info = catalog_.object_info();
  state.etag = etag_of(participant, *known);
  co_return state;
}

std::shared_ptr<const ObjectInfoCache::Compressed> ObjectInfoCache::made(ParticipantId participant) {
  Known* known = unchanged(participant);
  return known == nullptr ? nullptr : bodies_.find(etag_of(participant, *known));
}

comfy::ObjectInfoView ObjectInfoCache::view_of(ParticipantId participant, const State& state) {
  comfy::ObjectInfoView view;
  view.route_prefix = fmt::format("/user/{}", participant);
  view.files = [lists = state.lists](const comfy::FileListKey& key) { return lists->pick(key); };
  return view;
}

awaitable<std::string> ObjectInfoCache::plain(ParticipantId participant, State state) {
  auto print = [participant, state = std::move(state)] {
    return state.info->print_all(view_of(participant, state));
  };
  co_return co_await run_blocking(runtime_.compute_pool(), std::move(print));
}

awaitable<Result<std::shared_ptr<const ObjectInfoCache::PackedParts>>> ObjectInfoCache::packed(
    std::shared_ptr<const comfy::ObjectInfo> info) {
  while (packing_ && packed_info_ != info) {  // a class that boots together asks for it together
    if (!co_await packed_now_.wait(net::kNoDeadline)) co_return fail(Errc::cancelled, "the server stops");
  }
  if (packed_info_ == info && packed_) co_return packed_;
  struct Packing {
    explicit Packing(ObjectInfoCache& c) : cache(c) { cache.packing_ = true; }
    ~Packing() {
      cache.packing_ = false;
      cache.packed_now_.notify_all();
    }
    ObjectInfoCache& cache;
  } packing(*this);
  ++counters_.packings;
  auto pack = [info]() -> Result<std::shared_ptr<const PackedParts>> {
    auto parts = std::make_shared<PackedParts>();
    for (comfy::ObjectInfoPart& part : info->parts()) {
      PackedPart& out = parts->emplace_back();
      out.class_name = std::move(part.class_name);
      if (out.class_name.empty()) {
        ATELIER_TRY(out.packed, deflate_part(part.text));
      }
    }
    return parts;
  };
  auto parts = co_await run_blocking(runtime_.compute_pool(), std::move(pack));
  if (parts) {
    packed_ = *parts;
    packed_info_ = std::move(info);
  }
  co_return parts;
}

awaitable<Result<std::shared_ptr<const ObjectInfoCache::Compressed>>> ObjectInfoCache::compressed(
    ParticipantId participant, State state) {
  const std::string key = state.etag;  // the participant is in it
  if (auto known = bodies_.find(key)) co_return known;
  ATELIER_CO_TRY(auto parts, co_await packed(state.info));
  ++counters_.joinings;
  auto join = [participant, state = std::move(state), parts]() -> Result<std::shared_ptr<const Compressed>> {
    const comfy::ObjectInfoView view = view_of(participant, state);
    GzipStream stream;
    for (const PackedPart& part : *parts) {
      if (part.class_name.empty()) {
        stream.add(part.packed);
      } else {
        ATELIER_TRY(const auto own, deflate_part(state.info->print_description(part.class_name, view)));
        stream.add(own);
      }
    }
    return std::make_shared<const Compressed>(state.etag, std::move(stream).finish());
  };
  ATELIER_CO_TRY(auto answer, co_await run_blocking(runtime_.compute_pool(), std::move(join)));
  bodies_.put(key, answer, answer->body.view().size() + 1'024);
  co_return answer;
}

}  // namespace atelier::gateway
