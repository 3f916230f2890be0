// SPDX-License-Identifier: MIT
#pragma once
// The files of a run: read from ComfyUI's disk or through /view, their metadata put right, hashed, kept for
// the upload.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/engine_client.hpp"
#include "agent/run_files.hpp"
#include "agent/spool.hpp"
#include "link/messages.hpp"
#include "runtime/runtime.hpp"

namespace atelier::agent {

class Collector {
 public:
  Collector(Runtime& runtime, Spool& spool) : runtime_(runtime), spool_(spool) {}

  /// Notes what `ui` of `node` names, so that rest() leaves it out. Call it before collect() suspends.
  static void note(RunFiles& run, RunKey key, const std::string& node, const std::string& ui);

  /// The files of one node in the order of its `ui`, each once: what names it again adds a line to its place.
  /// A text that names what an earlier node has named stays a text, but of a mesh: a viewer loads that by it.
  /// `folders` may be null: then /view.
  /// Errors: unavailable (the engine does not answer); all else means that a file is missing, empty, broken,
  /// or outside ComfyUI's folders, in a sentence for people.
  [[nodiscard]] awaitable<Result<std::vector<link::CommitFile>>> collect(std::shared_ptr<RunFiles> run,
                                                                         RunKey key, EngineClient& engine,
                                                                         const EngineFolders* folders,
                                                                         std::string node, std::string ui);
  /// What lies in the job's folder and was not noted, under node "". Nothing without folders.
  [[nodiscard]] awaitable<Result<std::vector<link::CommitFile>>> rest(std::shared_ptr<RunFiles> run,
                                                                      RunKey key,
                                                                      const EngineFolders* folders);
  /// Deletes the copies of a run.
  void forget(RunFiles& run);

 private:
  struct Taken {
    link::CommitFile named;
    LocalFile local;
    std::string path;  // of ComfyUI's file
  };
  /// Reads a file; nothing if there is none that can be taken, and the `ui` may not have meant one. Errors as
  /// collect().
  awaitable<Result<std::optional<Taken>>> take(std::shared_ptr<RunFiles> run, RunKey key,
                                               EngineClient& engine, const EngineFolders* folders,
                                               UiFile file);
  awaitable<Result<LocalFile>> download(std::shared_ptr<RunFiles> run, EngineClient& engine, UiFile file);
  /// `own`: it lies in the run's own folder. `shown`: its path for people.
  awaitable<Result<LocalFile>> finish(std::shared_ptr<RunFiles> run, RunKey key, link::FileType type,
                                      bool own, LocalFile raw, std::string shown);
  /// Deletes a copy of a run before its end: the next try makes another, and the disk may be full.
  void discard(RunFiles& run, const std::string& name);
  /// All of a node.
  void discard_of(RunFiles& run, const std::string& node);

  Runtime& runtime_;
  Spool& spool_;
};

/// SHA-256 of a file in turns of 4 MB on the file pool.
[[nodiscard]] awaitable<Result<Digest>> hash_file(Runtime& runtime, std::shared_ptr<const files::File> file);

}  // namespace atelier::agent
