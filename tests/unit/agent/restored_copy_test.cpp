// SPDX-License-Identifier: MIT
// Outputs on their way to the upload: real files of ComfyUI (tests/unit/comfy/metadata_test.cpp says of
// what), real folders, virtual time.
#include "agent/restored_copy.hpp"

#include <doctest/doctest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <exception>

#include "comfy/rewrite.hpp"
#include "runtime/virtual_runtime.hpp"
#include "unit/files/temp_folder.hpp"

namespace atelier::agent {
namespace {

std::string sample(const std::string& name) {
  return files::read_text(ATELIER_SOURCE_DIR "/tests/unit/comfy/metadata/" + name);
}

struct Rig {
  Rig() {
    run->prompt_texts = {sample("own.json"), sample("posted.json"), sample("workflow.json")};
    folder = files::Directory::open_root(temp.path()).value();
  }

  Result<std::optional<LocalFile>> restore(const std::string& bytes) {
    files::write_text(temp / "out", bytes);
    auto file = std::make_shared<const files::File>(folder.open_file("out").value());
    std::optional<Result<std::optional<LocalFile>>> result;
    auto work = [&]() -> awaitable<void> {
      result = co_await restored_copy(runtime, file, run, spool, true);
    };
    asio::co_spawn(runtime.executor(), work, [](const std::exception_ptr& error) {
      if (error) std::rethrow_exception(error);
    });
    runtime.run_ready();
    REQUIRE(result.has_value());
    return std::move(*result);
  }

  files::TempFolder temp;
  files::Directory folder;
  VirtualRuntime runtime;
  Spool spool = Spool::make(temp.path(), "w1").value();
  std::shared_ptr<RunFiles> run = std::make_shared<RunFiles>();
};

std::size_t files_in(const Spool& spool) { return spool.folder().list("", {}).value().entries.size(); }

}  // namespace

TEST_CASE("what a killed agent left of its copies goes at the next start, and another's that runs stays") {
  files::TempFolder temp;
  const std::string state = temp / "state";
  const Spool first = Spool::make(state, "w1").value();
  const files::Directory all = files::Directory::open_root(state).value();
  REQUIRE(all.make_folder("spool-killed").has_value());
  REQUIRE(all.make_folder("slot-0").has_value());
  files::write_text(state + "/spool-killed/s-1", "half a video");
  const Spool second = Spool::make(state, "w1").value();
  const auto there = [&](const char* name) { return std::filesystem::exists(state + "/" + name); };
  CHECK(!there("spool-killed"));
  CHECK(there("slot-0"));
  const auto folders = std::filesystem::directory_iterator(state);
  CHECK(std::distance(begin(folders), end(folders)) == 3);
}

TEST_CASE("an output is copied with the participant's prompt in it, and with the copy's digest and size") {
  Rig rig;
  const std::string sound(9 << 20, '\x55');  // three turns
  const auto copied = rig.restore(sample("posted.flac") + sound);
  REQUIRE(copied.has_value());
  REQUIRE(copied->has_value());
  const std::string bytes = files::read_text(rig.temp / "out");
  const std::string copy = (*copied)->folder.open_file((*copied)->path).value().read_all(1 << 30).value();
  CHECK(copy.find("atelier/12-3/") == std::string::npos);
  CHECK(copy.find(R"("filename_prefix": "trip/\u00e9")") != std::string::npos);
  CHECK(copy.ends_with(sound));
  CHECK((*copied)->size == copy.size());
  CHECK((*copied)->digest == sha256(copy));
  CHECK(bytes == sample("posted.flac") + sound);
  CHECK(rig.run->spooled == std::vector{(*copied)->path});
}

TEST_CASE("what shows no prompt of the worker's, and a copy of an input, is not copied") {
  Rig rig;
  const auto stays = [&](const std::string& bytes) {
    const auto copied = rig.restore(bytes);
    return copied && !*copied && files_in(rig.spool) == 0;
  };
  CHECK(stays("no picture"));
  const std::string model = sample("posted.glb");
  rig.run->input_digests = {sha256("a cup"), sha256(model)};
  CHECK(stays(model));
  CHECK_FALSE(stays(model + "more"));
}

TEST_CASE("a broken output is an error that leaves no copy, as is a run forgotten meanwhile") {
  Rig rig;
  const std::string png = sample("posted.png");
  const auto cut = rig.restore(png.substr(0, png.size() - 3));
  REQUIRE_FALSE(cut.has_value());
  CHECK(cut.error().code == Errc::bad_request);
  rig.run->forgotten = true;
  const auto late = rig.restore(png);
  REQUIRE_FALSE(late.has_value());
  CHECK(late.error().code == Errc::cancelled);
  CHECK(files_in(rig.spool) == 0);
}

}  // namespace atelier::agent
