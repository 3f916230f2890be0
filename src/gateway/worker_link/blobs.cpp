// SPDX-License-Identifier: MIT
// The HTTP side of the worker link: prompts and inputs down, outputs and object_info up. Every request
// carries the link's number, and the epoch is compared with the lease where the effect is stored.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

#include "base/crash_point.hpp"
#include "base/log.hpp"
#include "comfy/json.hpp"
#include "files/safe_path.hpp"
#include "gateway/range_answer.hpp"
#include "gateway/worker_link/load_accepted_form.hpp"
#include "gateway/worker_link/worker_link_impl.hpp"

namespace atelier::gateway {
namespace {

constexpr std::size_t kChunkBytes = 1 << 20;
constexpr std::uint64_t kObjectInfoBytesMax = 64u << 20;
constexpr std::uint64_t kModelSizesBytesMax = 8u << 20;
constexpr std::size_t kSizesKeptMax = 16;

std::vector<std::string_view> parts_of(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    if (slash != 0) parts.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return parts;
}

std::optional<std::uint64_t> number_of(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

net::Response refuse(unsigned status, std::string_view sentence) {
  return net::Response::text(status, fmt::format("{}\n", sentence));
}

net::Response refuse(const Error& error) {
  unsigned status = 500;
  if (error.code == Errc::disk_full) status = 507;
  if (error.code == Errc::bad_hash) status = 422;
  if (error.code == Errc::not_found) status = 404;
  if (error.code == Errc::too_large) status = 413;
  if (error.code == Errc::stale_epoch) status = 409;
  if (error.code == Errc::bad_request) status = 400;
  if (error.code == Errc::unavailable) status = 503;
  return refuse(status, error.what);
}

net::Response with_offset(unsigned status, std::uint64_t offset) {
  net::Response response(status);
  response.headers.set("Upload-Offset", fmt::format("{}", offset));
  return response;
}

}  // namespace

awaitable<net::Response> WorkerLink::Impl::serve_blob(net::Request& request, WorkerIdentity identity) {
  const std::vector<std::string_view> parts = parts_of(request.path());
  if (parts.size() < 3) co_return refuse(404, "There is nothing at this address.");
  const std::string_view what = parts[1];
  const auto link = number_of(request.headers.get("Atelier-Link"));
  const SessionPtr session = link ? session_of(LinkId{*link}) : nullptr;
  if (!session) co_return refuse(409, "stale_link: this is not the worker's present link.");
  if (session->identity != identity) co_return refuse(403, "This link is another worker's.");
  if (what == "object_info" && parts.size() == 3)
    co_return co_await take_catalog_entry(request, CatalogEntry::object_info, parts[2]);
  if (what == "models" && parts.size() == 3)
    co_return co_await take_catalog_entry(request, CatalogEntry::models, parts[2]);
  if (what == "model_sizes" && parts.size() == 3) co_return co_await take_model_sizes(request, parts[2]);
  if (what == "tunnel" && parts.size() == 3) {
    const auto id = Key128::parse(parts[2]);
    if (!id) co_return refuse(400, "A tunnel's id has 32 hex digits.");
    co_return tunnels.accept(request, session->link, *id);
  }
  const auto job = parts.size() >= 4 ? number_of(parts[2]) : std::nullopt;
  const auto epoch = parts.size() >= 4 ? number_of(parts[3]) : std::nullopt;
  if (!job || !epoch) co_return refuse(404, "There is nothing at this address.");
  const JobId id{*job};
  const bool hinted = std::ranges::any_of(session->hints, [&](const auto& hint) {
    return hint.second.job == id && hint.second.epoch == Epoch{*epoch};
  });
  const bool may_read = hinted && what == "input";
  if (!may_read && held(*session, id, Epoch{*epoch}) == nullptr)
    co_return refuse(409, "stale_epoch: this worker holds no lease of this epoch.");
  if (what == "prompt" && parts.size() == 4 && request.method == net::Method::get)
    co_return co_await get_prompt(id);
  if (parts.size() != 5) co_return refuse(404, "There is nothing at this address.");
  if (what == "input" && request.method == net::Method::get) {
    const auto digest = Digest::parse(parts[4]);
    if (!digest) co_return refuse(400, digest.error().what);
    co_return co_await get_input(request, id, *digest);
  }
  if (what != "output") co_return refuse(404, "There is nothing at this address.");
  files::StagedName name;
  name.job = id;
  name.epoch = Epoch{*epoch};
  const auto n = number_of(parts[4]);
  const auto digest = Digest::parse(request.parameter("digest").value_or(""));
  const auto size = number_of(request.parameter("size").value_or(""));
  if (!n || *n >= link::kFilesPerJobMax || !digest || !size)
    co_return refuse(400, "An output needs N below 10000, digest and size.");
  if (*size > options.output_bytes_max) co_return refuse(413, "This output is larger than the server takes.");
  name.n = static_cast<std::uint32_t>(*n);
  name.digest = *digest;
  if (request.is_head) co_return co_await head_output(name, *size);
  if (request.method == net::Method::put) co_return co_await put_output(session, request, name, *size);
  co_return refuse(405, "HEAD or PUT.");
}

awaitable<Result<std::shared_ptr<const AcceptedForm>>> WorkerLink::Impl::accepted_form(JobId id) {
  if (const auto known = forms.find(id); known != forms.end()) co_return known->second;
  const core::JobFacts* job = workshop.core().job(id);
  if (job == nullptr) co_return fail(Errc::not_found, "the job has ended");
  ATELIER_CO_TRY(AcceptedForm loaded, co_await load_accepted_form(runtime, workshop, job->submitted.prompt));
  auto form = std::make_shared<const AcceptedForm>(std::move(loaded));
  if (workshop.core().job(id) != nullptr) forms[id] = form;
  co_return form;
}

awaitable<net::Response> WorkerLink::Impl::get_prompt(JobId job) {
  auto form = co_await accepted_form(job);
  if (!form) co_return refuse(form.error());
  co_return net::Response(200, "application/json", net::SharedBody((*form)->bytes));
}

awaitable<net::Response> WorkerLink::Impl::get_input(net::Request& request, JobId job, Digest digest) {
  auto form = co_await accepted_form(job);
  if (!form) co_return refuse(form.error());
  const auto pin = std::ranges::find((*form)->pins, digest, &link::InputRef::digest);
  if (pin == (*form)->pins.end()) co_return refuse(404, "This job does not read such an input.");
  auto open = [this, digest] { return files.blobs().open(digest); };
  auto file = co_await files.run(std::move(open));
  const bool gone = !file && file.error().code == Errc::not_found;
  if (gone || (file && file->size() != pin->size))
    co_return co_await end_without_input(job, pin->name,
                                         gone ? "is not on the server any more" : "is damaged on the server");
  if (!file) co_return refuse(file.error());
  net::Response response(200);
  net::ByteRange range;
  if (!take_range(request, file->size(), "", std::nullopt, response, range)) co_return response;
  response.headers.add("Content-Type", "application/octet-stream");
  response.body = net::FileBody(net::OwnedFd(std::move(*file).take().release()), range.first, range.length);
  co_return response;
}

/// No worker will ever get it: to give the job to the next one would only put the end off.
awaitable<net::Response> WorkerLink::Impl::end_without_input(JobId job, std::string name, std::string what) {
  log::error("input_missing",
             {{"job", job},
              {"reason", what},
              {"what_to_do", "stop the server and see what `atelier fsck` says; a backup may have it"}});
  core::Ended ended;  // by the workshop: a worker that holds the job is told to stop
  ended.job = job;
  ended.outcome = core::Outcome::failed;
  ended.reason = core::EndReason::refused;
  ended.sentence = fmt::format("The file \"{}\" that this job reads {}. Choose it again and press Run.",
                               files::split_path(name).name, what);
  const auto recorded = co_await workshop.record(core::Event{std::move(ended)});
  if (!recorded && recorded.error().code == Errc::unavailable) co_return refuse(recorded.error());
  co_return refuse(409, "stale_epoch: this job has ended, for an input is missing.");
}

awaitable<net::Response> WorkerLink::Impl::head_output(files::StagedName name, std::uint64_t size) {
  bool stored = false;
  auto look = [this, &stored, name, size]() -> Result<std::uint64_t> {
    // A digest that lies in blobs/ is complete, whoever brought it (core.md 6, "Once").
    ATELIER_TRY(stored, files.blobs().touch(name.digest));
    if (stored) return size;
    ATELIER_TRY(const std::uint64_t length, files.staging().length_or_older(name));
    return std::min(length, size);
  };
  auto offset = co_await files.run(std::move(look));
  if (!offset) co_return refuse(offset.error());
  if (!stored && *offset == size) {
    // All bytes lie there, but the server died before it had verified them.
    auto completed = co_await complete_output(name, size);
    if (!completed && completed.error().code != Errc::bad_hash) co_return refuse(completed.error());
    if (!completed) offset = 0;
  }
  co_return with_offset(200, *offset);
}

awaitable<Result<void>> WorkerLink::Impl::complete_output(files::StagedName name, std::uint64_t size) {
  crash_point("output_before_blob");
  auto completed = co_await files.commit_staged(name, files::BlobInfo{name.digest, size});
  crash_point("output_after_blob");
  co_return completed;
}

awaitable<net::Response> WorkerLink::Impl::put_output(SessionPtr session, net::Request& request,
                                                      files::StagedName name, std::uint64_t size) {
  auto offset = number_of(request.parameter("offset").value_or("0"));
  if (!offset || *offset > size) co_return refuse(400, "The offset is beyond the size.");
  std::uint64_t at = *offset;
  std::string chunk;
  while (true) {
    chunk.resize(kChunkBytes);
    std::size_t filled = 0;
    bool end = false;
    while (filled < chunk.size()) {
      auto got = co_await request.read(std::span(chunk).subspan(filled));
      if (!got) co_return refuse(got.error());
      if (*got == 0) {
        end = true;
        break;
      }
      filled += *got;
    }
    // What a dead agent had sent may still come out of a buffer after its next process has asked where to go.
    const core::WorkerFacts* worker = workshop.core().worker(session->name);
    if (worker == nullptr || worker->boot != session->boot)
      co_return refuse(409, "stale_link: this worker was started again.");
    if (const auto may = may_link(session->identity, session->name); !may)
      co_return refuse(403, may.error().what);  // its key was revoked
    workshop.leases().renew(name.job, name.epoch, runtime.now());
    const std::string_view bytes(chunk.data(), filled);
    if (filled > 0) {
      // What does not fit leaves the journal and the logs the space that they need: it comes again.
      auto append = [this, name, at, bytes, size]() -> Result<files::AppendOutcome> {
        ATELIER_TRY_VOID(files.quota().check_free_space(size - std::min(at, size)));
        return files.staging().append(name, at, bytes, size);
      };
      auto appended = co_await files.run(std::move(append));
      // The lease may have gone while the bytes were on their way, and the job, too.
      const core::JobFacts* job = workshop.core().job(name.job);
      if (job == nullptr || !job->lease || job->lease->epoch != name.epoch) {
        co_await tidy_staging(name.job, name.epoch);
        co_return refuse(409, "stale_epoch: the lease ended during the upload.");
      }
      if (!appended) co_return not_stored(name, appended.error());
      at = appended->length;
      if (!appended->appended) {
        if (at != size) co_return with_offset(416, at);
        break;
      }
    }
    if (end) break;
  }
  if (at != size) co_return with_offset(416, at);
  auto committed = co_await complete_output(name, size);
  if (!committed) co_return not_stored(name, committed.error());
  co_return with_offset(204, size);
}

net::Response WorkerLink::Impl::not_stored(const files::StagedName& name, const Error& error) {
  // Each worker comes again every few seconds with all that it has.
  constexpr milliseconds kToldAgain{10'000};
  const Instant now = runtime.now();
  if (error.code == Errc::disk_full && (!full_disk_told || now - *full_disk_told >= kToldAgain)) {
    full_disk_told = now;
    log::warn("output_waits",
              {{"job", name.job},
               {"epoch", name.epoch},
               {"reason", error.what},
               {"what_to_do", "make room in DATA_DIR; the worker keeps it and sends it again"}});
  }
  return refuse(error);
}

awaitable<net::Response> WorkerLink::Impl::take_catalog_entry(net::Request& request, CatalogEntry kind,
                                                              std::string_view hex) {
  const bool is_info = kind == CatalogEntry::object_info;
  const auto hash = Digest::parse(hex);
  if (!hash) co_return refuse(400, hash.error().what);
  if (request.method == net::Method::get)
    co_return catalog.expect(*hash) ? net::Response(200) : refuse(404, "This is not known here.");
  if (request.method != net::Method::put) co_return refuse(405, "HEAD or PUT.");
  auto body = co_await request.read_all(is_info ? kObjectInfoBytesMax : comfy::ModelLists::kPrintedBytesMax);
  if (!body) co_return refuse(body.error());
  if (!catalog.expect(*hash)) {
    auto bytes = std::make_shared<const std::string>(std::move(*body));
    auto added = co_await (is_info ? catalog.add(*hash, std::move(bytes))
                                   : catalog.add_models(*hash, std::move(bytes)));
    if (!added) co_return refuse(added.error());
  }
  if (is_info) {
    if (auto declared = co_await declare_capability(*hash); !declared) co_return refuse(declared.error());
  }
  update_connected();
  co_await catalog.drop_old_models();
  co_return net::Response(204);
}

awaitable<net::Response> WorkerLink::Impl::take_model_sizes(net::Request& request, std::string_view hex) {
  const auto hash = Digest::parse(hex);
  if (!hash) co_return refuse(400, hash.error().what);
  if (request.method != net::Method::put) co_return refuse(405, "PUT.");
  auto body = co_await request.read_all(kModelSizesBytesMax);
  if (!body) co_return refuse(body.error());
  const auto parsed = comfy::Json::parse(*body, {.bytes_max = kModelSizesBytesMax, .depth_max = 2});
  if (!parsed) co_return refuse(parsed.error());
  if (!parsed->is_object()) co_return refuse(400, "The sizes of models are an object: {\"name\":bytes}.");
  ModelSizes sizes;
  for (const auto& [name, bytes] : parsed->object()) {
    boost::system::error_code wrong;
    const auto count = bytes.to_number<std::uint64_t>(wrong);
    if (wrong || count > link::kIdMax) co_return refuse(400, "A model's size is a whole number of bytes.");
    sizes.emplace(name, count);
  }
  if (model_sizes.size() >= kSizesKeptMax && !model_sizes.contains(*hash))
    model_sizes.erase(model_sizes.begin());
  model_sizes[*hash] = std::move(sizes);
  co_return net::Response(204);
}

}  // namespace atelier::gateway
