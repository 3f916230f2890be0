// SPDX-License-Identifier: MIT
// POST /upload/image (CI D1): the general upload of the stock front end, whatever kind of file it is.
#include <fmt/format.h>

#include <optional>

#include "comfy/json.hpp"
#include "gateway/participant/face_impl.hpp"
#include "net/multipart.hpp"

namespace atelier::gateway {
namespace {

/// Takes the parts: small fields into strings, the first file named "image" into a temp file on the pool.
class UploadForm final : public net::MultipartSink {
 public:
  UploadForm(files::Files& files, std::uint64_t bytes_max) : files_(files), bytes_max_(bytes_max) {}

  awaitable<Result<void>> begin(net::PartHead head) override {
    field_ = nullptr;
    writing_ = false;
    if (head.filename) {
      if (head.name != "image" || file) co_return Result<void>{};  // not asked for: read and dropped
      auto create = [this] { return files_.participants().create_upload(bytes_max_); };
      auto created = co_await files_.run(std::move(create));
      if (!created) co_return std::unexpected(created.error());
      file.emplace(std::move(*created));
      filename = std::move(*head.filename);
      writing_ = true;
    } else if (head.name == "type") {
      field_ = &type;
    } else if (head.name == "subfolder") {
      field_ = &subfolder;
    } else if (head.name == "overwrite") {
      field_ = &overwrite;
    }
    if (field_ != nullptr) field_->clear();
    co_return Result<void>{};
  }

  awaitable<Result<void>> data(std::string_view bytes) override {
    if (field_ != nullptr) field_->append(bytes);
    if (!writing_) co_return Result<void>{};
    auto write = [this, bytes] { return file->write(bytes); };
    co_return co_await files_.run(std::move(write));
  }

  awaitable<Result<void>> end() override { co_return Result<void>{}; }

  std::string type = "input", subfolder, overwrite, filename;
  std::optional<files::TempFile> file;

 private:
  files::Files& files_;
  std::uint64_t bytes_max_;
  std::string* field_ = nullptr;
  bool writing_ = false;
};

}  // namespace

awaitable<net::Response> ParticipantFace::Impl::post_upload_image(Call& call) {
  const std::uint64_t expected = call.request.content_length.value_or(options.upload_bytes_max);
  if (expected > options.upload_bytes_max + (64u << 10)) {
    co_return net::Response::text(
        413, fmt::format("A file may have {} MB at most.", options.upload_bytes_max / 1'000'000));
  }
  auto reserved = co_await files.reserve(call.participant, expected, 1);
  if (!reserved) co_return error_response(reserved.error());
  UploadForm form(files, options.upload_bytes_max);
  net::MultipartLimits limits;
  limits.file_bytes_max = options.upload_bytes_max;
  if (auto read = co_await net::read_multipart(call.request, form, limits); !read) {
    co_return error_response(read.error());
  }
  const auto type = files::parse_folder_type(form.type);
  if (!type) co_return net::Response::text(400, "type is none of input, output, temp.");
  if (!form.file || form.filename.empty()) co_return empty_response(400);  // as ComfyUI: without a word
  files::StoreRequest request;
  request.type = *type;
  request.subfolder = std::move(form.subfolder);
  request.name = std::move(form.filename);
  const bool replace = form.overwrite == "true" || form.overwrite == "1";
  request.overwrite = replace ? files::Replace::yes : files::Replace::no;
  auto store = [this, &form, participant = call.participant,
                request = std::move(request)]() -> Result<files::StoredFile> {
    ATELIER_TRY_VOID(form.file->finish(files::FileMode::read_only));
    return files.participants().store_upload(participant, request, std::move(*form.file));
  };
  const auto stored = co_await files.run(std::move(store));
  if (!stored) {
    // Whatever is wrong with a name or folder is 400 without a word, as ComfyUI says it.
    const Errc code = stored.error().code;
    if (code == Errc::bad_request || code == Errc::forbidden) co_return empty_response(400);
    co_return error_response(stored.error());
  }
  if (stored->written) reserved->settle(stored->content.size, 1);
  if (stored->replaced_bytes) files.quota().give_back(call.participant, *stored->replaced_bytes, 1);
  co_return json_response(fmt::format(R"({{"name":{},"subfolder":{},"type":"{}"}})",
                                      comfy::quote_json(stored->name), comfy::quote_json(stored->subfolder),
                                      files::to_string(stored->type)));
}

}  // namespace atelier::gateway
