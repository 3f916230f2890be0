// SPDX-License-Identifier: MIT
// POST /upload/image (CI D1), the general upload of the stock front end, whatever kind of file it is, and
// /upload/mask (CI D2).
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "comfy/json.hpp"
#include "files/safe_path.hpp"
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
    } else if (std::string* const field = field_named(head.name)) {
      if (std::ranges::find(begun_, field) != begun_.end())
        co_return Result<void>{};  // the first of a name counts
      begun_.push_back(field);
      field->clear();
      field_ = field;
    }
    co_return Result<void>{};
  }

  awaitable<Result<void>> data(std::string_view bytes) override {
    if (field_ != nullptr) field_->append(bytes);
    if (!writing_) co_return Result<void>{};
    auto write = [this, bytes] { return file->write(bytes); };
    co_return co_await files_.run(std::move(write));
  }

  awaitable<Result<void>> end() override { co_return Result<void>{}; }

  std::string type = "input", subfolder, overwrite, filename, original_ref;
  std::optional<files::TempFile> file;

 private:
  std::string* field_named(std::string_view name) {
    if (name == "type") return &type;
    if (name == "subfolder") return &subfolder;
    if (name == "overwrite") return &overwrite;
    return name == "original_ref" ? &original_ref : nullptr;
  }

  files::Files& files_;
  std::uint64_t bytes_max_;
  std::vector<const std::string*> begun_;
  std::string* field_ = nullptr;
  bool writing_ = false;
};

/// Whatever is wrong with a name or folder is 400 without a word, as ComfyUI says it.
net::Response upload_refusal(const Error& error) {
  const bool wrong = error.code == Errc::bad_request || error.code == Errc::forbidden;
  return wrong ? empty_response(400) : error_response(error);
}

std::string told(std::string_view name, std::string_view subfolder, files::FolderType type) {
  return fmt::format(R"({{"name":{},"subfolder":{},"type":"{}"}})", comfy::quote_json(name),
                     comfy::quote_json(subfolder), files::to_string(type));
}

/// The picture that a mask is for.
struct Original {
  std::string path;  // with its annotation, if it has one: "sub/x.png [input]"
  files::FolderType type = files::FolderType::output;
};

/// {"filename", "subfolder"?, "type"?}, checked in the order of ComfyUI 0.21.0 (server.py, upload_mask).
/// Errors: bad_request; forbidden for a subfolder that leads out of its folder.
Result<Original> original_of(std::string_view original_ref) {
  if (original_ref.empty())
    return fail(Errc::bad_request, "original_ref is missing: which picture is meant?");
  const auto parsed = comfy::Json::parse(original_ref, {.bytes_max = 64 << 10, .depth_max = 8});
  if (!parsed || !parsed->is_object()) return fail(Errc::bad_request, "original_ref is not a JSON object.");
  const auto member = [&parsed](std::string_view key, std::string_view absent) -> std::optional<std::string> {
    const auto* value = std::as_const(*parsed).object().if_contains(key);
    if (value == nullptr) return std::string(absent);
    return value->is_string() ? std::optional(std::string(std::string_view(value->get_string())))
                              : std::nullopt;
  };
  const auto filename = member("filename", ""), subfolder = member("subfolder", "");
  const auto type_text = member("type", "output");
  if (!filename || !subfolder || !type_text)
    return fail(Errc::bad_request, "filename, subfolder and type of original_ref are texts.");
  const files::AnnotatedName name = files::parse_annotated_name(*filename);
  if (name.path.empty() || name.path.starts_with('/') || name.path.find("..") != std::string::npos)
    return fail(Errc::bad_request, "original_ref has no usable filename.");
  const auto type = name.type ? name.type : files::parse_folder_type(*type_text);
  if (!type) return fail(Errc::bad_request, "The type in original_ref is none of input, output, temp.");
  ATELIER_TRY(const std::string folder, files::check_folder(*subfolder));
  return Original{files::join_path(folder, *filename), *type};
}

}  // namespace

awaitable<net::Response> ParticipantFace::Impl::post_upload_image(Call& call) {
  co_return co_await take_upload(call, UploadKind::image);
}

awaitable<net::Response> ParticipantFace::Impl::post_upload_mask(Call& call) {
  co_return co_await take_upload(call, UploadKind::mask);
}

awaitable<net::Response> ParticipantFace::Impl::take_upload(Call& call, UploadKind kind) {
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
  const std::string told_subfolder = request.subfolder;  // as it came, with its slash
  const bool replace = form.overwrite == "true" || form.overwrite == "1";
  request.overwrite = replace ? files::Replace::yes : files::Replace::no;
  auto finish = [&form] { return form.file->finish(files::FileMode::read_only); };
  if (auto finished = co_await files.run(std::move(finish)); !finished)
    co_return error_response(finished.error());
  if (kind == UploadKind::mask) {
    if (!files::check_name(request.name) || !files::check_folder(request.subfolder))
      co_return empty_response(400);
    auto masked = co_await apply_mask(call.participant, form.original_ref, *form.file);
    if (!masked) co_return error_response(masked.error());
    // ComfyUI says the name also where there is no such picture and nothing is written (CI G32).
    if (!*masked) co_return json_response(told(request.name, request.subfolder, request.type));
    form.file = std::move(**masked);
    reserved->release();  // of the mask, which is not kept
    reserved = co_await files.reserve(call.participant, form.file->size(), 1);
    if (!reserved) co_return error_response(reserved.error());
  }
  auto store = [this, &form, participant = call.participant, request = std::move(request)] {
    return files.participants().store_upload(participant, request, std::move(*form.file));
  };
  const auto stored = co_await files.run(std::move(store));
  if (!stored) co_return upload_refusal(stored.error());
  if (stored->written) reserved->settle(stored->content.size, 1);
  if (stored->replaced_bytes && stored->kept) {
    files.quota().keep(call.participant, *stored->replaced_bytes, *stored->kept);
  } else if (stored->replaced_bytes) {
    files.quota().give_back(call.participant, *stored->replaced_bytes, 1);
  }
  co_return json_response(told(stored->name, told_subfolder, stored->type));
}

awaitable<Result<std::optional<files::TempFile>>> ParticipantFace::Impl::apply_mask(
    ParticipantId participant, std::string original_ref, const files::TempFile& mask) {
  ATELIER_CO_TRY(const Original wanted, original_of(original_ref));
  auto open = [this, participant, &wanted] {
    return files.participants().open_annotated(participant, wanted.path, wanted.type);
  };
  auto original = co_await files.run(std::move(open));
  if (!original) {
    if (original.error().code == Errc::not_found) co_return std::optional<files::TempFile>();
    co_return std::unexpected(original.error());
  }
  if (!pictures.available()) co_return fail(Errc::unsupported, "This server has no image process for masks.");
  auto reopen = [&mask] { return mask.open(); };
  ATELIER_CO_TRY(auto opened, co_await files.run(std::move(reopen)));
  auto picture = co_await pictures.masked(std::move(original->opened.file), std::move(opened));
  if (!picture) {
    const bool no_picture = picture.error().code == Errc::unsupported;  // the format of one of the files
    co_return fail(no_picture ? Errc::bad_request : picture.error().code, picture.error().what);
  }
  auto write = [this, &picture]() -> Result<files::TempFile> {
    ATELIER_TRY(auto file, files.participants().create_upload(picture->size()));
    ATELIER_TRY_VOID(file.write(*picture));
    ATELIER_TRY_VOID(file.finish(files::FileMode::read_only));
    return file;
  };
  ATELIER_CO_TRY(auto file, co_await files.run(std::move(write)));
  co_return std::optional(std::move(file));
}

}  // namespace atelier::gateway
