// SPDX-License-Identifier: MIT
// POST /prompt (design.md 5.1-5.4; CI C1, C2) and GET /prompt.
#include <fmt/format.h>

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <set>

#include "base/crash_point.hpp"
#include "comfy/messages.hpp"
#include "comfy/node_replacements.hpp"
#include "comfy/prompt.hpp"
#include "comfy/prompt_graph.hpp"
#include "comfy/rewrite.hpp"
#include "comfy/validate.hpp"
#include "comfy/variants.hpp"
#include "gateway/participant/face_impl.hpp"

namespace atelier::gateway {
namespace json = boost::json;
namespace {

// Work that grows with bytes leaves the thread above this (core.md 9): a hop costs as much as 4 KB do.
constexpr std::size_t kOnThreadMax = 16 << 10;
constexpr std::size_t kOwnerDigits = 32;
constexpr std::size_t kFormBytesMax = 32 << 20;    // of the accepted form, as the agent takes it
constexpr std::size_t kClassesMax = 256;           // of a job, as core takes it
constexpr std::size_t kFilesMax = 1'000;           // that one prompt may name, those in its folders included
constexpr std::size_t kNamesBytesMax = 400 << 10;  // of all of them: a lease is one frame

using FileKey = std::pair<comfy::FileType, std::string>;

struct Pin {
  FileKey file;
  std::string folder;  // that the prompt names; "" = it names the file itself
  files::BlobInfo blob;
};

std::string annotated(const FileKey& file) {
  return fmt::format("{} [{}]", file.second, comfy::to_string(file.first));
}

std::unexpected<Error> too_many_files() {
  return fail(Errc::too_large, fmt::format("This prompt names more than {} files.", kFilesMax));
}

std::string path_of_folder(const FileKey& folder) {
  return folder.second.substr(0, folder.second.size() - 1);
}

/// Empty also if there is no such folder.
Result<std::vector<std::string>> files_in_folder(const files::ParticipantFolders& folders,
                                                 ParticipantId participant, const FileKey& folder) {
  const auto type = files::parse_folder_type(comfy::to_string(folder.first));
  auto names = folders.files_in(participant, type.value_or(files::FolderType::input), path_of_folder(folder),
                                kDatasetDepth, 2 * kFilesMax);
  if (names) return names;
  if (names.error().code == Errc::too_large) return too_many_files();
  return std::vector<std::string>{};
}

/// A version 4 UUID, which every version of ComfyUI takes as prompt_id.
std::string fresh_prompt_id(Runtime& runtime) {
  Key128 id = runtime.random_key();
  id.high = (id.high & ~0xf000ULL) | 0x4000ULL;
  id.low = (id.low & ~(0xc0ULL << 56)) | (0x80ULL << 56);
  return id.uuid();
}

/// Node classes, models, steps and sizes in powers of two: what runs of about the same length have in common.
std::uint64_t signature_of(const core::Submitted& event, const comfy::PromptGraph& graph) {
  constexpr std::array<std::string_view, 6> kSizes{"width",      "height", "length",
                                                   "batch_size", "steps",  "frames"};
  std::string text;
  for (const std::string& name : event.classes) text += name + '\n';
  for (const std::string& name : event.models) text += name + '\n';
  std::vector<std::string> sizes;
  for (const comfy::PromptNode& node : graph.nodes()) {
    if (node.inputs == nullptr) continue;
    for (const auto& input : *node.inputs) {
      const json::value& value = input.value();
      if (!value.is_int64() || value.get_int64() < 0) continue;
      const std::string_view name(input.key().data(), input.key().size());
      if (std::ranges::find(kSizes, name) == kSizes.end()) continue;
      sizes.push_back(
          fmt::format("{}:{}", name, std::bit_width(static_cast<std::uint64_t>(value.get_int64()))));
    }
  }
  std::ranges::sort(sizes);
  for (const std::string& size : sizes) text += size + '\n';
  const Digest digest = sha256(text);
  std::uint64_t signature = 0;
  for (std::size_t i = 0; i < 8; ++i) signature = signature << 8 | digest.bytes[i];
  return signature;
}

/// Tells a worker whose ComfyUI keeps results whether two jobs are of one person. Not a secret: who knows the
/// workshop can find out the number.
std::string owner_mark(Key128 workshop, ParticipantId participant) {
  return sha256(fmt::format("owner/{}/{}", workshop.hex(), participant)).hex().substr(0, kOwnerDigits);
}

std::string accepted_form(const comfy::PromptRequest& request, const comfy::Validation& validation,
                          std::string_view owner, const std::vector<Pin>& pins, std::int64_t create_time,
                          std::size_t expected_bytes) {
  json::array pin_list;
  for (const Pin& pin : pins) {
    json::object entry;
    entry["name"] = pin.file.second;
    entry["type"] = std::string_view(comfy::to_string(pin.file.first));
    entry["digest"] = pin.blob.digest.hex();
    entry["size"] = pin.blob.size;
    if (!pin.folder.empty()) entry["folder"] = pin.folder;
    pin_list.push_back(std::move(entry));
  }
  std::string form;
  form.reserve(expected_bytes);
  form += R"({"prompt":)";
  request.prompt.print_to(form);
  form += R"(,"extra_data":)";
  request.extra_data.print_to(form);
  fmt::format_to(
      std::back_inserter(form),
      R"(,"owner":"{}","outputs":{},"node_errors":{},"create_time":{},"client_number":{},"pins":{}}})", owner,
      comfy::quote_json_list(validation.outputs_to_execute),
      validation.node_errors.is_null() ? "{}" : validation.node_errors.print(), create_time,
      request.number.has_value(), comfy::print_json(json::value(std::move(pin_list))));
  return form;
}

}  // namespace

/// One prompt on its way. Steps that grow with the body run on the compute pool; no two at once.
struct ParticipantFace::Impl::PromptWork {
  ParticipantId participant;
  std::shared_ptr<const std::string> body;
  Digest digest;
  std::string usage_source, owner;
  std::shared_ptr<const comfy::ObjectInfo> info;

  std::optional<std::expected<comfy::PromptRequest, comfy::PromptError>> parsed;
  std::optional<comfy::PromptGraph> graph;               // of what was parsed
  std::set<FileKey> named;                               // files and folders that the prompt may name
  std::set<FileKey> existing;                            // of those, the ones that are there: they are pinned
  std::map<FileKey, std::vector<std::string>> contents;  // of the folders among them, below the type's folder
  comfy::Validation validation;
  std::vector<Pin> pins;
  std::shared_ptr<const std::string> form;
  core::Submitted event;
  comfy::NeededVariants variants;  // that this prompt needs of its classes, if engines differ

  comfy::PromptRequest& request() { return **parsed; }

  void parse(std::size_t bytes_max) {
    digest = sha256(*body);
    parsed = comfy::parse_prompt_request(*body, {.bytes_max = bytes_max});
    if (!*parsed) return;
    const auto remember = [this](comfy::FileType type, std::string_view name) {
      named.emplace(type, name);
      return true;
    };
    graph.emplace(request().prompt.object(), *info);
    if (std::ranges::any_of(graph->nodes(), [](const auto& node) { return node.node_class == nullptr; })) {
      comfy::replace_nodes(request().prompt.object(), *info);
      graph.emplace(request().prompt.object(), *info);
    }
    for (comfy::InputFile& file : comfy::input_files_of(*graph, remember)) {
      named.emplace(file.type, std::move(file.name));
    }
  }

  /// Everything at once, for a prompt that names no files: nothing of this needs the thread.
  void prepare(std::size_t bytes_max, WallTime now, const std::string& fresh_prompt_id) {
    parse(bytes_max);
    if (!*parsed || !named.empty() || info->size() == 0) return;
    validate();
    if (validation.accepted && !comfy::errors_list_files(validation, *graph))
      make_form(now, request().prompt_id.value_or(fresh_prompt_id));
  }

  void validate() {
    const auto exists = [this](comfy::FileType type, std::string_view name) {
      return existing.contains(FileKey{type, std::string(name)});
    };
    validation = comfy::validate(request(), *graph, exists);
  }

  void make_form(WallTime now, std::string prompt_id) {
    comfy::PromptRequest& accepted = request();
    if (!usage_source.empty() && !accepted.extra_data.object().contains("comfy_usage_source")) {
      accepted.extra_data.object()["comfy_usage_source"] = usage_source;
    }
    accepted.set_create_time(now.ms);
    form = std::make_shared<const std::string>(
        accepted_form(accepted, validation, owner, pins, now.ms, body->size() + body->size() / 8 + 512));

    event.participant = participant;
    event.prompt_id = std::move(prompt_id);
    event.prompt.digest = sha256(*form);
    event.client_id = accepted.client_id.value_or("");
    event.numbered = accepted.number.has_value();
    event.number = accepted.number.value_or(0);
    event.front = accepted.front;
    event.body = digest;
    event.classes = comfy::classes_of(*graph);
    variants = comfy::needed_variants(*graph, *info);
    std::set<std::string> models;
    for (comfy::ModelReference& model : comfy::models_of(*graph)) models.insert(std::move(model.name));
    event.models.assign(models.begin(), models.end());
    event.workflow_id = accepted.workflow_id().value_or("");
    event.signature = signature_of(event, *graph);
    event.input_count = static_cast<std::uint32_t>(pins.size());
    for (const Pin& pin : pins) event.input_bytes += pin.blob.size;
  }
};

namespace {

/// Runs a step of the work where it belongs.
template <class Step>
awaitable<void> off_thread_if_big(Runtime& runtime, std::size_t bytes, Step step) {
  if (bytes <= kOnThreadMax) {
    step();
    co_return;
  }
  co_await run_blocking(runtime.compute_pool(), std::move(step));
}

}  // namespace

awaitable<net::Response> ParticipantFace::Impl::post_prompt(Call& call) {
  if (!workshop.accepting()) {
    co_return prompt_error_response(
        {Errc::unavailable, workshop.refusal().empty()
                                ? "The server restarts. Press Run again in a few seconds."
                                : workshop.refusal()});
  }
  const auto room = co_await large_bodies.room_for(call.request, options.prompt_bytes_max);
  if (!room) co_return prompt_error_response(room.error());
  auto body = co_await call.request.read_all(options.prompt_bytes_max, room->deadline());
  if (!body) {
    if (body.error().code != Errc::too_large) co_return prompt_error_response(body.error());
    co_return prompt_error_response(
        {Errc::too_large, fmt::format("This prompt has more than {} MB, the most that is taken.",
                                      options.prompt_bytes_max >> 20)});
  }
  auto work = std::make_shared<PromptWork>();
  work->participant = call.participant;
  work->body = std::make_shared<const std::string>(std::move(*body));
  work->usage_source = std::string(call.request.headers.get("Comfy-Usage-Source").substr(0, 64));
  work->owner = owner_mark(workshop.id(), call.participant);
  work->info = catalog.object_info();
  auto answer = co_await accept_prompt(work);
  if (!answer) co_return prompt_error_response(answer.error());
  co_return std::move(*answer);
}

awaitable<Result<net::Response>> ParticipantFace::Impl::accept_prompt(std::shared_ptr<PromptWork> work) {
  const std::size_t bytes = work->body->size();
  const std::string fresh = fresh_prompt_id(runtime);
  auto prepare = [work, limit = options.prompt_bytes_max, now = runtime.wall(), fresh] {
    work->prepare(limit, now, fresh);
  };
  co_await off_thread_if_big(runtime, bytes, std::move(prepare));
  if (!*work->parsed) {
    const comfy::PromptError& error = work->parsed->error();
    co_return net::Response::json(http_status_of(error.code), error.body());
  }
  if (auto repeat = co_await answer_repeat(*work)) co_return std::move(*repeat);
  if (work->info->size() == 0) {
    co_return fail(Errc::unavailable,
                   "No GPU has been connected to this workshop yet, so its nodes are not known. Press Run "
                   "again when one is.");
  }
  if (!work->named.empty()) {
    ATELIER_CO_TRY_VOID(co_await look_for_files(work));
    auto validate = [work] { work->validate(); };
    co_await off_thread_if_big(runtime, bytes, std::move(validate));
  }
  if (comfy::errors_list_files(work->validation, *work->graph)) {
    const ObjectInfoCache::State state = co_await object_infos.state(work->participant);
    comfy::list_files_in_errors(work->validation, *work->graph,
                                ObjectInfoCache::view_of(work->participant, state).files);
  }
  if (!work->validation.accepted) co_return net::Response::json(400, work->validation.error_body());
  ATELIER_CO_TRY_VOID(files.quota().check_free_space(2 * bytes));
  if (!work->form) {
    ATELIER_CO_TRY_VOID(co_await pin_files(*work));
    auto make_form = [work, now = runtime.wall(), fresh] {
      work->make_form(now, work->request().prompt_id.value_or(fresh));
    };
    co_await off_thread_if_big(runtime, bytes, std::move(make_form));
  }
  // Errors of nodes repeat their values: what would not be read back later is not accepted.
  if (work->form->size() > kFormBytesMax) {
    co_return fail(
        Errc::too_large,
        fmt::format("With the errors of its nodes this prompt has more than {} MB.", kFormBytesMax >> 20));
  }
  const std::string prompt_id = work->request().prompt_id.value_or(fresh);
  if (const auto* facts = workshop.core().participant(work->participant)) {
    work->event.priority = facts->priority;
    work->event.pinned_worker = facts->pinned_worker;
  }
  need_variants(*work);
  ATELIER_CO_TRY(const auto submission, co_await workshop.submit(std::move(work->event), work->form));
  crash_point("prompt_before_answer");
  const comfy::QueueNumber number{submission.number, work->request().number.has_value()};
  co_return net::Response::json(
      200, comfy::prompt_accepted(prompt_id, number, work->validation.node_errors.print()));
}

void ParticipantFace::Impl::need_variants(PromptWork& work) const {
  const std::size_t all = work.variants.names.size() + work.event.classes.size();
  if (work.variants.names.empty() || all > kClassesMax) return;
  core::JobFacts job;
  job.submitted = work.event;
  std::ranges::move(work.variants.names, std::back_inserter(job.submitted.classes));
  std::ranges::sort(job.submitted.classes);
  // Who is here and not able has had its abilities recorded by a release that knew no variants. Who is away
  // is waited for.
  const bool here = work.variants.source < catalog.engines_connected();
  if (!here || workshop.core().able_worker_exists(job)) work.event.classes = std::move(job.submitted.classes);
}

awaitable<std::optional<net::Response>> ParticipantFace::Impl::answer_repeat(const PromptWork& work) {
  // A repeat is answered as the first time, also when a file it names is gone by now.
  const auto& prompt_id = (*work.parsed)->prompt_id;
  if (!prompt_id) co_return std::nullopt;
  constexpr milliseconds kWindow{10 * 60'000};
  double number = 0;
  core::Attachment prompt;
  if (const core::JobFacts* job = workshop.core().live(work.participant, *prompt_id)) {
    if (job->submitted.body != work.digest) co_return std::nullopt;  // submit() says what is wrong
    number = job->number;
    prompt = job->submitted.prompt;
  } else if (const core::Summary* ended = workshop.history().find(work.participant, *prompt_id)) {
    if (ended->body != work.digest || workshop.now() - ended->ended_at > kWindow) co_return std::nullopt;
    number = ended->number;
    prompt = ended->prompt;
    tasks.spawn("ending again", send_ending_again(*ended));
  } else {
    co_return std::nullopt;
  }
  const auto accepted = co_await attachments.accepted(prompt);
  if (!accepted) co_return prompt_error_response(accepted.error());
  const comfy::QueueNumber same{number, (*accepted)->client_number};
  co_return net::Response::json(200, comfy::prompt_accepted(*prompt_id, same, (*accepted)->node_errors));
}

awaitable<Result<void>> ParticipantFace::Impl::look_for_files(std::shared_ptr<PromptWork> work) {
  if (work->named.size() > kFilesMax) co_return too_many_files();
  auto look = [this, work]() -> Result<void> {
    std::size_t count = 0, bytes = 0;
    for (const FileKey& file : work->named) {
      if (comfy::names_folder(file.second)) {
        ATELIER_TRY(auto names, files_in_folder(files.participants(), work->participant, file));
        count += names.size();
        for (const std::string& name : names) bytes += name.size() + file.second.size();
        if (names.empty()) continue;
        if (count > kFilesMax) return too_many_files();
        work->contents[file] = std::move(names);
      } else {
        if (!files.participants().open_annotated(work->participant, annotated(file))) continue;
        ++count;
        bytes += file.second.size();
      }
      work->existing.insert(file);
      if (count > kFilesMax) return too_many_files();
    }
    if (bytes > kNamesBytesMax)
      return fail(Errc::too_large, "The names of the files that this prompt names are too long in all.");
    return {};
  };
  co_return co_await files.run(std::move(look));
}

awaitable<Result<void>> ParticipantFace::Impl::pin_files(PromptWork& work) {
  for (const FileKey& key : work.existing) {
    const bool folder = comfy::names_folder(key.second);
    std::vector<std::string> names{key.second};
    if (folder) names = work.contents.at(key);
    for (std::string& name : names) {
      Pin pin;
      pin.file = {key.first, std::move(name)};
      if (folder) pin.folder = path_of_folder(key);
      ATELIER_CO_TRY(
          pin.blob, co_await files.pin_input(work.participant, annotated(pin.file), options.input_bytes_max));
      work.pins.push_back(std::move(pin));
    }
  }
  co_return Result<void>{};
}

std::uint64_t ParticipantFace::Impl::remaining(ParticipantId participant) const {
  const core::LaneCounts counts = workshop.core().counts(participant);
  return std::uint64_t{counts.waiting} + counts.leased + counts.running;
}

net::Response ParticipantFace::Impl::get_prompt(const Call& call) {
  return json_response(comfy::prompt_info(remaining(call.participant)));
}

}  // namespace atelier::gateway
