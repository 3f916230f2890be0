// SPDX-License-Identifier: MIT
// Routes about files: upload/image, upload/mask, view (comfyui-interface.md D1-D3).
#include "net/multipart.hpp"
#include "rehearsal/server_impl.hpp"
#include "rehearsal/uploads.hpp"
#include "rehearsal/view.hpp"

namespace atelier::rehearsal {
namespace {

using Reply = awaitable<net::Response>;

// Keeps the whole form in memory: kUploadBytesMax bounds it.
class FormSink final : public net::MultipartSink {
 public:
  awaitable<Result<void>> begin(net::PartHead head) override {
    head_ = std::move(head);
    bytes_.clear();
    co_return Result<void>{};
  }
  awaitable<Result<void>> data(std::string_view bytes) override {
    total_ += bytes.size();
    if (total_ > kUploadBytesMax) co_return fail(Errc::too_large, "the upload is larger than 100 MB");
    bytes_ += bytes;
    co_return Result<void>{};
  }
  awaitable<Result<void>> end() override {
    if (head_.name == "image" && head_.filename) {
      form.has_file = true;
      form.filename = std::move(*head_.filename);
      form.bytes = std::move(bytes_);
    } else if (!head_.filename) {
      form.fields.emplace(head_.name, std::move(bytes_));
    }
    bytes_.clear();
    co_return Result<void>{};
  }
  UploadForm form;

 private:
  net::PartHead head_;
  std::string bytes_;
  std::uint64_t total_ = 0;
};

net::Response refusal(const Error& error) {
  switch (error.code) {
    case Errc::too_large:
      return net::Response::text(413, error.what + "\n");
    case Errc::forbidden:
      return net::Response(403);
    case Errc::disk_full:
      return net::Response::text(507, error.what + "\n");
    case Errc::io:
    case Errc::internal:
      return net::Response::text(500, error.what + "\n");
    default:
      return net::Response::text(400, error.what + "\n");
  }
}

using Store = Result<StoredUpload> (*)(const Folders& folders, const UploadForm& form);

Reply upload(ServerState& server, Call& call, Store store) {
  if (call.request.content_length.value_or(0) > kUploadBytesMax) {
    co_return net::Response::text(413, "the upload is larger than 100 MB\n");
  }
  FormSink sink;
  net::MultipartLimits limits;
  limits.file_bytes_max = kUploadBytesMax;
  auto read = co_await net::read_multipart(call.request, sink, limits);
  if (!read) co_return refusal(read.error());
  auto work = [&server, &sink, store] { return store(server.engine.folders(), sink.form); };
  auto stored = co_await run_blocking(server.runtime.file_pool(), std::move(work));
  if (!stored) co_return refusal(stored.error());
  co_return net::Response::json(200, stored->json());
}

Reply upload_image(ServerState& server, Call& call) { co_return co_await upload(server, call, store_image); }
Reply upload_mask(ServerState& server, Call& call) { co_return co_await upload(server, call, store_mask); }

Reply view(ServerState& server, Call& call) {
  const ViewQuery query = ViewQuery::from(call.request);
  auto work = [&] { return make_view(server.engine.folders(), query, call.request.headers); };
  co_return co_await run_blocking(server.runtime.file_pool(), std::move(work));
}

constexpr Route kRoutes[] = {
    {net::Method::post, "/upload/image", upload_image},
    {net::Method::post, "/upload/mask", upload_mask},
    {net::Method::get, "/view", view},
};

}  // namespace

std::span<const Route> file_routes() { return kRoutes; }

}  // namespace atelier::rehearsal
