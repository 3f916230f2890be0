// SPDX-License-Identifier: MIT
#pragma once
// Pictures in other forms for /view, made by one image process with limits (design.md 8): it is started at
// the first request, killed when it takes too long, and started again. One thread.

#include <memory>
#include <string>
#include <vector>

#include "files/file_descriptor.hpp"
#include "image/render_request.hpp"
#include "runtime/helper_process.hpp"
#include "runtime/signal.hpp"
#include "runtime/task_group.hpp"

namespace atelier::gateway {

class PictureRenderer {
 public:
  static constexpr milliseconds kLimit{20'000};  // of one picture
  static constexpr std::size_t kWaitingMax = 64;

  /// `program`: path of atelier-image; "" = there is none, every request is `unsupported`.
  PictureRenderer(Runtime& runtime, std::string program)
      : runtime_(runtime), program_(std::move(program)), free_(runtime), tasks_(runtime) {}

  [[nodiscard]] bool available() const { return !program_.empty(); }
  /// Errors: unsupported, bad_request, too_large (the picture), unavailable (too many wait), timeout, closed
  /// (the process died of it), io.
  [[nodiscard]] awaitable<Result<std::string>> render(files::File picture, image::RenderRequest request);
  /// The picture with the alpha of `mask`, as PNG. Errors: as render().
  [[nodiscard]] awaitable<Result<std::string>> masked(files::File picture, files::File mask);
  [[nodiscard]] awaitable<void> stop(Instant deadline);

 private:
  /// `pictures`: descriptors of the picture and, with RenderForm::masked, of the second one.
  awaitable<Result<std::string>> in_turn(std::vector<int> pictures, image::RenderRequest request);
  awaitable<Result<std::string>> render_now(std::vector<int> pictures, image::RenderRequest request);
  awaitable<void> watch(std::uint64_t serial);

  Runtime& runtime_;
  std::string program_;
  std::unique_ptr<HelperProcess> process_;
  std::size_t waiting_ = 0;
  bool busy_ = false;
  bool overdue_ = false;
  std::uint64_t serial_ = 0;
  Signal free_;
  TaskGroup tasks_;
};

}  // namespace atelier::gateway
