// SPDX-License-Identifier: MIT
#include "agent/folder_check.hpp"

#include <array>
#include <utility>

#include "files/temp_file.hpp"

namespace atelier::agent {
namespace {

constexpr std::size_t kMarkBytesMax = 64;
constexpr milliseconds kReadLimit{10'000};

struct Place {
  const char* type;
  files::Directory folder;
};

/// True also if nothing could be laid there.
awaitable<bool> sees(Runtime& runtime, EngineClient& engine, Place place, std::string name) {
  const std::string mark = runtime.random_key().hex();
  auto lay = [folder = place.folder, name, mark] {
    return files::write_atomically(folder, folder, name, mark, files::FileMode::writable,
                                   files::Replace::yes);
  };
  if (!co_await run_blocking(runtime.file_pool(), std::move(lay))) co_return true;
  UiFile file;
  file.filename = name;
  file.type = place.type;
  auto answer = co_await engine.view(file);
  Result<std::string> bytes = std::string();
  if (answer) bytes = co_await answer->read_all(kMarkBytesMax, runtime.now() + kReadLimit);
  auto take_away = [folder = place.folder, name] { return folder.remove_file(name); };
  (void)co_await run_blocking(runtime.file_pool(), std::move(take_away));  // the next one takes its place
  co_return bytes && *bytes == mark;
}

}  // namespace

awaitable<std::optional<std::string>> foreign_folder(Runtime& runtime, EngineClient& engine,
                                                     const EngineFolders& folders, std::string name) {
  const std::array places{Place{"input", folders.input}, Place{"output", folders.output},
                          Place{"temp", folders.temp}};
  for (const Place& place : places) {
    if (!co_await sees(runtime, engine, place, name)) co_return std::string(place.type);
  }
  co_return std::nullopt;
}

}  // namespace atelier::agent
