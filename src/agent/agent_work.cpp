// SPDX-License-Identifier: MIT
// Agent: the work for one run: fetch, post, ask, collect, upload.
#include <fmt/format.h>

#include "agent/agent_impl.hpp"
#include "agent/job_folders.hpp"
#include "agent/prepare.hpp"
#include "base/log.hpp"
#include "files/part_file.hpp"

namespace atelier::agent {

awaitable<void> Agent::Impl::fetch(FetchJob action, std::shared_ptr<RunFiles> run) {
  auto result = co_await fetch_all(action, run);
  if (!run->forgotten) feed(JobFetched{action.key, std::move(result)});
}

awaitable<Result<void>> Agent::Impl::fetch_all(FetchJob& action, std::shared_ptr<RunFiles> run) {
  Engine& engine = *engines[action.lease.slot];
  ATELIER_CO_TRY(std::string accepted, co_await gateway.prompt(action.key, action.lease.prompt));
  InputPlaces places = places_of(action.lease.inputs);
  const EngineFolders* folders = engine.folders_in_use();
  for (std::size_t i = 0; i < action.lease.inputs.size(); ++i) {
    const link::InputRef& input = action.lease.inputs[i];
    const std::string& path = places.paths[i];
    if (action.anew) engine.inputs.forget(path);
    ATELIER_CO_TRY_VOID(
        co_await engine.inputs.place(run, action.key, input, path, gateway, engine.client, folders));
    run->input_names[path] = input.name;
    run->input_digests.insert(input.digest);
    if (run->forgotten) co_return fail(Errc::cancelled, "the run was forgotten");
  }
  auto info = engine.object_info;
  if (!info) co_return fail(Errc::unavailable, "ComfyUI has not answered yet");
  auto prepare = [accepted = std::move(accepted), info, names = std::move(places.names), lease = action.lease,
                  client_id = engine.client.client_id(), by_address = folders == nullptr] {
    return prepare_prompt(accepted, *info, names, lease, client_id, by_address);
  };
  auto prepared = co_await run_blocking(runtime.compute_pool(), std::move(prepare));
  if (!prepared) co_return std::unexpected(std::move(prepared).error());
  run->post_body = std::move(prepared->body);
  run->prompt_texts = std::move(prepared->texts);
  co_return Result<void>();
}

awaitable<void> Agent::Impl::prefetch(Prefetch action, std::shared_ptr<RunFiles> files) {
  Engine& engine = *engines[action.slot];
  const EngineFolders* folders = engine.folders_in_use();
  const InputPlaces places = places_of(action.inputs);
  for (std::size_t i = 0; i < action.inputs.size(); ++i) {
    if (files->forgotten) co_return;
    const auto placed = co_await engine.inputs.place(files, action.key, action.inputs[i], places.paths[i],
                                                     gateway, engine.client, folders);
    if (placed) continue;
    log::debug("input_not_prefetched", {{"job", action.key.job}, {"why", placed.error().what}});
    co_return;
  }
}

awaitable<void> Agent::Impl::post(PostRun action, std::shared_ptr<RunFiles> run) {
  if (const EngineFolders* folders = engines[action.slot]->folders_in_use()) {
    auto look = [output = folders->output, key = action.key] { return files_of_job(output, key); };
    auto older = co_await run_blocking(runtime.file_pool(), std::move(look));
    if (older) run->older_outputs = std::move(*older);
  }
  auto posted = co_await engines[action.slot]->client.post(run->post_body);
  feed(RunPosted{action.key, posted.result, std::move(posted.body)});
}

awaitable<void> Agent::Impl::ask(AskRun action) {
  auto asked = co_await engines[action.slot]->client.ask(action.run_id.uuid());
  feed(RunAsked{action.key, asked.place, std::move(asked.history)});
}

awaitable<void> Agent::Impl::sweep_folders(std::uint32_t slot, milliseconds age) {
  const EngineFolders* folders = engines[slot]->folders_in_use();
  if (folders == nullptr) co_return;
  const files::Directory input_temp = folders->input_temp;
  std::set<RunKey> kept;
  for (const auto& [key, run] : runs) kept.insert(key);
  auto sweep = [output = folders->output, now = runtime.wall(), age, kept = std::move(kept)] {
    return sweep_job_folders(output, now, age, kept);
  };
  const auto swept = co_await run_blocking(runtime.file_pool(), std::move(sweep));
  if (!swept) {
    log::warn("outputs_not_swept", {{"why", swept.error().what}});
  } else if (*swept > 0) {
    log::info("outputs_swept", {{"folders", *swept}});
  }
  // Parts that others write are theirs; what is left of a process that went is continued, or goes here.
  auto sweep_inputs = [folder = input_temp, now = runtime.wall(), age] {
    return files::sweep_parts(folder, now, age);
  };
  const auto parts = co_await run_blocking(runtime.file_pool(), std::move(sweep_inputs));
  if (parts && *parts > 0) log::info("parts_of_inputs_swept", {{"files", *parts}});
}

awaitable<void> Agent::Impl::collect(Collect action, std::shared_ptr<RunFiles> run) {
  Engine& engine = *engines[action.slot];
  const EngineFolders* folders = engine.folders_in_use();
  auto files = co_await collector.collect(run, action.key, engine.client, folders, action.node, action.ui);
  if (!run->forgotten) feed(Collected{action.key, action.node, std::move(files)});
}

awaitable<void> Agent::Impl::collect_rest(CollectRest action, std::shared_ptr<RunFiles> run) {
  Engine& engine = *engines[action.slot];
  auto files = co_await collector.rest(run, action.key, engine.folders_in_use());
  if (!run->forgotten) feed(Collected{action.key, "", std::move(files)});
}

awaitable<void> Agent::Impl::upload(Upload action, std::shared_ptr<RunFiles> run) {
  const auto found = run->collected.find({action.node, action.index});
  if (found == run->collected.end()) {
    feed(
        Uploaded{action.key, action.node, action.index, fail(Errc::internal, "an output was not collected")});
    co_return;
  }
  const LocalFile file = found->second;
  if (!co_await uploads.take()) co_return;
  auto result =
      run->forgotten ? Result<void>() : co_await gateway.upload(action.key, action.file, file, action.anew);
  uploads.give();
  if (!run->forgotten) feed(Uploaded{action.key, action.node, action.index, std::move(result)});
}

awaitable<void> Agent::Impl::publish(PublishObjectInfo action) {
  Engine& engine = *engines[action.slot];
  Result<void> result = fail(Errc::unavailable, "the engine has changed meanwhile");
  if (engine.object_info_bytes && engine.digest == action.digest && engine.models == action.models) {
    if (action.models) {
      const auto listed = co_await gateway.publish("models", *action.models, engine.model_lists);
      if (!listed) log::debug("models_not_published", {{"why", listed.error().what}});
    }
    // Estimates are better with them, and do without.
    const auto sized = engine.model_sizes == "{}"
                           ? Result<void>()
                           : co_await gateway.publish_model_sizes(action.digest, engine.model_sizes);
    if (!sized) log::debug("model_sizes_not_published", {{"why", sized.error().what}});
    result = co_await gateway.publish("object_info", action.digest, engine.object_info_bytes);
  }
  feed(ObjectInfoPublished{action.slot, action.digest, std::move(result), action.models});
}

}  // namespace atelier::agent
