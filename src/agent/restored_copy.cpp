// SPDX-License-Identifier: MIT
#include "agent/restored_copy.hpp"

#include <span>
#include <utility>

#include "agent/collector.hpp"
#include "comfy/metadata/restore.hpp"

namespace atelier::agent {
namespace {

constexpr std::size_t kTurnBytes = 4u << 20;

class FileSource final : public comfy::ByteSource {
 public:
  explicit FileSource(std::shared_ptr<const files::File> file) : file_(std::move(file)) {}
  [[nodiscard]] std::uint64_t size() const override { return file_->size(); }

 private:
  [[nodiscard]] Result<std::string> read_within(std::uint64_t offset, std::size_t bytes) const override {
    std::string text(bytes, '\0');
    ATELIER_TRY(const std::size_t read, file_->read_at(offset, std::as_writable_bytes(std::span(text))));
    text.resize(read);
    return text;
  }
  std::shared_ptr<const files::File> file_;
};

/// A copy under way; used by one task of the pool at a time.
struct Copy {
  Copy(std::shared_ptr<const files::File> file, comfy::Edits edits, files::FileDescriptor made)
      : source(std::move(file)), reader(source, std::move(edits)), fd(std::move(made)) {}

  /// Copies a turn; false at the end.
  Result<bool> turn() {
    ATELIER_TRY(const std::string bytes, reader.next(kTurnBytes));
    ATELIER_TRY_VOID(files::write_all_at(fd.get(), size, bytes));
    hasher.update(std::as_bytes(std::span(bytes)));
    size += bytes.size();
    return !bytes.empty();
  }

  FileSource source;
  comfy::EditedReader reader;
  files::FileDescriptor fd;
  Hasher hasher;
  std::uint64_t size = 0;
};

}  // namespace

awaitable<Result<std::optional<LocalFile>>> restored_copy(Runtime& runtime,
                                                          std::shared_ptr<const files::File> file,
                                                          std::shared_ptr<RunFiles> run, Spool& spool,
                                                          bool own) {
  auto find = [file, run] {
    return comfy::prompt_edits(FileSource(file), [&run](std::string_view name, std::string_view stored) {
      return comfy::own_text(run->prompt_texts, name, stored);
    });
  };
  auto edits = co_await run_blocking(runtime.file_pool(), std::move(find));
  if (!edits && !own && edits.error().code == Errc::unsupported) {
    // There is no room: nothing is better than the texts of whoever made it.
    auto clear = [file] {
      return comfy::prompt_edits(FileSource(file),
                                 [](std::string_view, std::string_view) { return std::string("{}"); });
    };
    edits = co_await run_blocking(runtime.file_pool(), std::move(clear));
  }
  if (!edits) co_return std::unexpected(std::move(edits).error());
  if (edits->empty()) co_return std::optional<LocalFile>();
  if (!run->input_digests.empty()) {
    auto digest = co_await hash_file(runtime, file);
    if (!digest) co_return std::unexpected(std::move(digest).error());
    if (run->input_digests.contains(*digest)) co_return std::optional<LocalFile>();
  }
  LocalFile copied;
  copied.folder = spool.folder();
  copied.path = spool.fresh_name();
  run->spooled.push_back(copied.path);
  auto made = copied.folder.create_file(copied.path);
  if (!made) co_return std::unexpected(std::move(made).error());
  auto copy = std::make_shared<Copy>(std::move(file), std::move(*edits), std::move(*made));
  for (bool more = true; more;) {
    auto turn = [copy] { return copy->turn(); };
    auto done = co_await run_blocking(runtime.file_pool(), std::move(turn));
    if (done && run->forgotten) done = fail(Errc::cancelled, "the run was forgotten");
    if (!done) {
      auto remove = [folder = copied.folder, name = copied.path] { return folder.remove_file(name); };
      (void)co_await run_blocking(runtime.file_pool(), std::move(remove));
      co_return std::unexpected(std::move(done).error());
    }
    more = *done;
  }
  copied.digest = copy->hasher.finish();
  copied.size = copy->size;
  co_return std::optional(std::move(copied));
}

}  // namespace atelier::agent
