// SPDX-License-Identifier: MIT
#pragma once
// Participants' files on their way into ComfyUI's input folder: verified by digest, under names made of their
// hash (comfy/rewrite), kept and used again, also for another name with the same content.

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "agent/engine_client.hpp"
#include "agent/gateway_client.hpp"
#include "agent/run_files.hpp"
#include "files/temp_file.hpp"
#include "runtime/signal.hpp"

namespace atelier::agent {

class InputStore {
 public:
  explicit InputStore(Runtime& runtime) : runtime_(runtime), placed_(runtime) {}

  /// Sees that the input lies where the engine finds it as `name`. `folders` may be null: then POST
  /// /upload/image. Errors: as GatewayClient; disk_full; unavailable (the engine); bad_request (a name that
  /// cannot be a file's); too_large (for an upload, in a sentence for people); cancelled (the run is
  /// forgotten). Several calls for one content take turns: the later ones find it there. What came before the
  /// line broke is kept for the next call, also for that of this agent's next process; what nobody else goes
  /// on with is taken from others on the same folder, too.
  [[nodiscard]] awaitable<Result<void>> place(std::shared_ptr<RunFiles> run, RunKey key, link::InputRef input,
                                              std::string name, GatewayClient& gateway, EngineClient& engine,
                                              const EngineFolders* folders);
  /// The engine is a new one: what was uploaded to it may be gone.
  void engine_restarted() { known_.clear(); }
  /// The engine does not find this one: the next place() looks anew.
  void forget(const std::string& name) { known_.erase(name); }

 private:
  awaitable<Result<void>> place_now(std::shared_ptr<RunFiles> run, RunKey key, link::InputRef input,
                                    std::string name, GatewayClient& gateway, EngineClient& engine,
                                    const EngineFolders* folders);
  awaitable<bool> lies_there(files::Directory folder, std::string name, const link::InputRef& input);
  /// From another name under which the content lies there; false: it has to be fetched.
  awaitable<bool> copy_placed(EngineFolders folders, std::string name, const link::InputRef& input);
  /// The same without folders: what the engine has of it under another name; "" if it has to be fetched.
  awaitable<std::string> bytes_uploaded(const link::InputRef& input, EngineClient& engine);
  /// Errors: closed (it came damaged), disk_full, io.
  awaitable<Result<void>> publish(std::shared_ptr<files::TempFile> temp, EngineFolders folders,
                                  std::string name, const link::InputRef& input);

  /// What has come of an input, for the next try.
  struct Part {
    Digest digest;
    std::shared_ptr<files::TempFile> file;
  };
  struct PlacedFile {
    std::string name;
    files::FileKey key;  // as it was when it was verified
  };
  /// Null: there is none.
  std::shared_ptr<files::TempFile> take_part(const Digest& digest);
  /// What lies in the folder and nobody has; null: there is none.
  awaitable<std::shared_ptr<files::TempFile>> take_left_part(const files::Directory& folder,
                                                             const link::InputRef& input,
                                                             std::shared_ptr<RunFiles> run);
  awaitable<void> keep_part(const Digest& digest, std::shared_ptr<files::TempFile> file);
  awaitable<void> remove(std::shared_ptr<files::TempFile> part);
  /// All parts go, but those that somebody writes.
  awaitable<void> make_room(const files::Directory& folder);

  Runtime& runtime_;
  std::set<std::string> known_;  // names verified in this life of the engine
  std::map<Digest, PlacedFile> placed_files_;
  std::map<Digest, std::string> uploaded_;  // the name under which it was uploaded last
  std::deque<Part> parts_;                  // the oldest first
  std::set<Digest> placing_;
  Signal placed_;
};

}  // namespace atelier::agent
