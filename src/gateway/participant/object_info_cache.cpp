// SPDX-License-Identifier: MIT
#include "gateway/participant/object_info_cache.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>

namespace atelier::gateway {
namespace {

constexpr std::size_t kListDepthMax = 16;

std::vector<std::string> names_of(const files::ParticipantFolders& folders, ParticipantId participant,
                                  files::FolderType type, std::size_t depth) {
  std::vector<std::string> names;
  auto listed = folders.list(participant, type, std::nullopt, depth);
  if (!listed) return names;
  for (files::ListedFile& file : *listed) names.push_back(std::move(file.path));
  return names;
}

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

FileLists list_files(const files::ParticipantFolders& folders, ParticipantId participant) {
  FileLists lists;
  lists.input = names_of(folders, participant, files::FolderType::input, kListDepthMax);
  lists.output = names_of(folders, participant, files::FolderType::output, 1);
  return lists;
}

Result<std::string> gzip(std::string_view bytes) {
  z_stream stream{};
  constexpr int kGzip = 15 + 16;
  if (deflateInit2(&stream, 6, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return fail(Errc::internal, "zlib does not start");
  std::string out(deflateBound(&stream, static_cast<uLong>(bytes.size())), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int done = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (done != Z_STREAM_END) return fail(Errc::internal, "zlib does not end");
  return out;
}

awaitable<ObjectInfoCache::State> ObjectInfoCache::state(ParticipantId participant) {
  State state;
  state.info = catalog_.object_info();
  const std::uint64_t generation = catalog_.generation();
  auto look = [this, participant] {
    auto lists = std::make_shared<FileLists>(list_files(files_.participants(), participant));
    return std::pair{std::shared_ptr<const FileLists>(lists), lists->digest()};
  };
  auto looked = co_await files_.run(std::move(look));
  state.lists = std::move(looked.first);
  state.etag = fmt::format("\"{}-{}-{}\"", participant, generation, looked.second.hex().substr(0, 32));
  co_return state;
}

awaitable<std::string> ObjectInfoCache::plain(ParticipantId participant, State state) {
  auto print = [participant, state = std::move(state)] {
    comfy::ObjectInfoView view;
    view.route_prefix = fmt::format("/user/{}", participant);
    view.files = [lists = state.lists](const comfy::FileListKey& key) { return lists->pick(key); };
    return state.info->print_all(view);
  };
  co_return co_await run_blocking(runtime_.compute_pool(), std::move(print));
}

awaitable<Result<std::shared_ptr<const std::string>>> ObjectInfoCache::compressed(ParticipantId participant,
                                                                                  State state) {
  const std::string key = fmt::format("{}/{}", participant, state.etag);
  if (auto known = bodies_.find(key)) co_return known;
  const std::string text = co_await plain(participant, std::move(state));
  auto work = [&text] { return gzip(text); };
  ATELIER_CO_TRY(auto packed, co_await run_blocking(runtime_.compute_pool(), std::move(work)));
  packed.shrink_to_fit();
  auto shared = std::make_shared<const std::string>(std::move(packed));
  bodies_.put(key, shared, shared->size() + 256);
  co_return shared;
}

}  // namespace atelier::gateway
