// SPDX-License-Identifier: MIT
#pragma once
// An input on its way from the gateway, over a line that may break: what has come is not sent again.

#include <memory>
#include <string>

#include "agent/gateway_client.hpp"
#include "agent/run_files.hpp"
#include "files/part_file.hpp"

namespace atelier::agent {

/// What has come of an input so far.
class IncomingInput {
 public:
  virtual ~IncomingInput() = default;
  [[nodiscard]] virtual std::uint64_t size() const = 0;
  /// Appends.
  [[nodiscard]] virtual awaitable<Result<void>> write(std::string bytes) = 0;
  /// Throws away what has come. Before the first write, too, unless something had come before.
  [[nodiscard]] virtual awaitable<Result<void>> restart() = 0;
};

class InputInMemory final : public IncomingInput {
 public:
  explicit InputInMemory(std::uint64_t expected) { bytes.reserve(expected); }
  std::uint64_t size() const override { return bytes.size(); }
  awaitable<Result<void>> write(std::string more) override;
  awaitable<Result<void>> restart() override;
  std::string bytes;
};

class InputOnDisk final : public IncomingInput {
 public:
  /// `begun`: what has come of it already (files/part_file.hpp), or null.
  InputOnDisk(Runtime& runtime, files::Directory folder, const link::InputRef& input,
              std::shared_ptr<files::TempFile> begun)
      : file(std::move(begun)),
        runtime_(runtime),
        folder_(std::move(folder)),
        digest_(input.digest),
        bytes_max_(input.size) {}
  std::uint64_t size() const override { return file ? file->size() : 0; }
  awaitable<Result<void>> write(std::string more) override;
  awaitable<Result<void>> restart() override;
  std::shared_ptr<files::TempFile> file;  // null before restart(); stays on the disk unless it is removed

 private:
  Runtime& runtime_;
  files::Directory folder_;
  Digest digest_;
  std::uint64_t bytes_max_;
};

/// True for errors after which what has come is good for another try.
[[nodiscard]] bool may_be_continued(Errc code);

/// Brings the bytes of `input`, over as many connections as it takes while they bring some; the caller
/// verifies them, their number too. Errors: as GatewayClient and `into`; cancelled (the run is forgotten).
[[nodiscard]] awaitable<Result<void>> download_input(Runtime& runtime, GatewayClient& gateway,
                                                     std::shared_ptr<RunFiles> run, RunKey key,
                                                     link::InputRef input, IncomingInput& into);

}  // namespace atelier::agent
