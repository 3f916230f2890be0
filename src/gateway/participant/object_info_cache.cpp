// SPDX-License-Identifier: MIT
#include "gateway/participant/object_info_cache.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "net/websocket.hpp"

namespace atelier::gateway {
namespace {

constexpr std::size_t kListDepthMax = 16;

/// ComfyUI's audio lists hold videos, too: their sound can be loaded (CI E).
bool fits(comfy::ContentKind wanted, std::string_view name) {
  const comfy::ContentKind kind = comfy::content_kind_of(name);
  return kind == wanted || (wanted == comfy::ContentKind::audio && kind == comfy::ContentKind::video);
}

}  // namespace

std::vector<std::string> FileLists::pick(const comfy::FileListKey& key) const {
  const std::vector<std::string>& all = key.folder == comfy::FileType::input    ? input
                                        : key.folder == comfy::FileType::output ? output
                                                                                : temp;
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

const ObjectInfoCache::Known* ObjectInfoCache::unchanged(ParticipantId participant) const {
  const files::ParticipantFolders& folders = files_.participants();
  const auto found = known_.find(participant);
  const bool same = found != known_.end() &&
                    folders.same_as(participant, files::FolderType::input, found->second.input) &&
                    folders.same_as(participant, files::FolderType::output, found->second.output);
  return same ? &found->second : nullptr;
}

std::string ObjectInfoCache::etag_of(ParticipantId participant, const Digest& files) const {
  return fmt::format("\"{}-{}-{}\"", participant, catalog_.generation(), files.hex().substr(0, 32));
}

awaitable<ObjectInfoCache::State> ObjectInfoCache::state(ParticipantId participant) {
  State state;
  Digest digest;
  if (const Known* known = unchanged(participant)) {
    state.lists = known->lists;
    digest = known->digest;
  } else {
    auto look = [&folders = files_.participants(), participant] { return list(folders, participant); };
    Known listed = co_await files_.run(std::move(look));
    state.lists = listed.lists;
    digest = listed.digest;
    known_.insert_or_assign(participant, std::move(listed));
  }
  state.info = catalog_.object_info();
  state.etag = etag_of(participant, digest);
  co_return state;
}

std::optional<ObjectInfoCache::Made> ObjectInfoCache::made(ParticipantId participant) {
  const Known* known = unchanged(participant);
  if (known == nullptr) return std::nullopt;
  Made made{etag_of(participant, known->digest), nullptr};
  made.body = bodies_.find(made.etag);
  return made.body ? std::optional(std::move(made)) : std::nullopt;
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

awaitable<Result<std::shared_ptr<const net::KeptBytes>>> ObjectInfoCache::compressed(
    ParticipantId participant, State state) {
  const std::string key = state.etag;  // the participant is in it
  if (auto known = bodies_.find(key)) co_return known;
  ATELIER_CO_TRY(auto parts, co_await packed(state.info));
  ++counters_.joinings;
  auto join = [participant, state = std::move(state), parts]() -> Result<std::string> {
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
    return std::move(stream).finish();
  };
  ATELIER_CO_TRY(auto body, co_await run_blocking(runtime_.compute_pool(), std::move(join)));
  body.shrink_to_fit();
  auto kept = std::make_shared<const net::KeptBytes>(std::move(body));
  bodies_.put(key, kept, kept->view().size() + 256);
  co_return std::shared_ptr<const net::KeptBytes>(std::move(kept));
}

}  // namespace atelier::gateway
