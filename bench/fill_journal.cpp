// SPDX-License-Identifier: MIT
// Makes the journal of a workshop that has run for long: fill_journal DATABASE JOBS WAITING [EVERY]. JOBS
// jobs of 20 participants run on two workers with eight slots each, one output each; WAITING more wait. As
// the server does it, a checkpoint is written after EVERY entries (50,000; 0: none). For bench/restart.
#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>

#include "journal/sqlite/sqlite_journal.hpp"
#include "runtime/real_runtime.hpp"
#include "workshop/fold.hpp"

namespace atelier {
namespace {

constexpr std::size_t kBatchMax = 1'024;
constexpr std::uint64_t kWaitingAtOnce = 200;

class Fill {
 public:
  Fill(Runtime& runtime, journal::Journal& journal, std::uint64_t every)
      : runtime_(runtime), journal_(journal), every_(every) {}

  awaitable<Result<void>> run(std::uint64_t jobs, std::uint64_t waiting) {
    ATELIER_CO_TRY_VOID(co_await begin());
    while (ended_ < jobs) {
      while (submitted_ < jobs && submitted_ < ended_ + kWaitingAtOnce) submit();
      ATELIER_CO_TRY_VOID(co_await commit());
    }
    for (std::uint64_t slot = 0; slot < 2; ++slot) leave(slot);
    for (std::uint64_t n = 0; n < waiting; ++n) {
      submit();
      if (batch_.size() >= kBatchMax) ATELIER_CO_TRY_VOID(co_await commit());
    }
    co_return co_await commit();
  }

 private:
  awaitable<Result<void>> begin() {
    core::WorkshopOpened opened;
    opened.workshop = runtime_.random_key();
    put(std::move(opened));
    core::GatewayJoined gateway;
    gateway.boot = runtime_.random_key();
    put(std::move(gateway));
    core::Capability capability;
    capability.hash = sha256("catalog");
    capability.classes = {"EmptyImage", "SaveImage"};
    put(std::move(capability));
    for (int worker = 1; worker <= 2; ++worker) {
      core::WorkerJoined joined;
      joined.name = fmt::format("gpu-{}", worker);
      joined.gateway = {1};
      joined.boot = runtime_.random_key();
      for (std::uint32_t slot = 0; slot < 8; ++slot) {
        core::JoinedSlot idle;
        idle.index = slot;
        idle.capability = sha256("catalog");
        idle.engine_version = "0.21.0";
        idle.kind = "NVIDIA L40S";
        idle.vram_mib = 46'068;
        joined.slots.push_back(std::move(idle));
      }
      put(std::move(joined));
    }
    co_return co_await commit();
  }

  void leave(std::uint64_t worker) {
    core::WorkerLeft left;
    left.worker = {worker + 1};
    left.link = fold_.core.worker(left.worker)->link;
    put(std::move(left));
  }

  core::Attachment attach(std::string text) {
    journal::NewAttachment attachment;
    attachment.ref = {journal::new_attachment_id(runtime_), sha256(text), text.size()};
    attachment.bytes = std::make_shared<const std::string>(std::move(text));
    attachments_.push_back(attachment);
    return attachment.ref;
  }

  template <class Event>
  void put(Event event) {
    batch_.push_back({std::move(event), {{1}, ++ticket_}, std::move(attachments_)});
    attachments_.clear();
  }

  void submit() {
    const std::uint64_t n = ++submitted_;
    core::Submitted event;
    event.participant = {1 + n % 20};
    event.prompt_id = fmt::format("2f1c5f6e-6a55-4c7b-9b36-{:012}", n);
    event.client_id = "7d1c5f6e6a554c7b9b365d6fd1c5f0aa";
    event.body = sha256(event.prompt_id);
    event.classes = {"EmptyImage", "SaveImage"};
    event.signature = n % 50;
    std::string graph = R"({"prompt":{)";
    for (int node = 1; graph.size() < 2'000; ++node) {
      graph += fmt::format(
          R"("{}":{{"class_type":"ImageInvert","inputs":{{"image":["{}",0],"seed":{}}},"_meta":{{"title":"Invert"}}}},)",
          node, node + 1, n * 7'919);
    }
    event.prompt = attach(graph + "}}");
    put(std::move(event));
  }

  /// What a worker says of a job that it was given, all at once.
  void work(const core::JobLeased& lease) {
    const JobId job = lease.job;
    const Epoch epoch = lease.epoch;
    const std::uint64_t participant = fold_.core.job(job)->submitted.participant.value;
    const auto of_lease = [&]<class Event>(Event event) {
      event.job = job;
      event.epoch = epoch;
      return event;
    };
    put(of_lease(core::Started{}));
    core::Computed computed = of_lease(core::Computed{});
    computed.gpu_ms = 4'000;
    put(std::move(computed));
    const auto ui = [&](std::string_view folder, std::uint64_t number) {
      return fmt::format(
          R"({{"images":[{{"filename":"kept_{:05}_.png","subfolder":"{}","type":"output"}}]}})", number,
          folder);
    };
    core::Committed committed = of_lease(core::Committed{});
    committed.node = "9";
    committed.ui = attach(ui(fmt::format("atelier/{}-{}", job, epoch), 1));
    core::CommittedFile file;
    file.stem = "kept";
    file.number = 1;
    file.rest = "_.png";
    file.bytes = 1'500'000;
    file.digest = sha256(fmt::format("{}", job));
    committed.files.push_back(std::move(file));
    put(std::move(committed));
    core::Linked linked;
    linked.job = job;
    linked.node = "9";
    linked.ui = attach(ui("", job.value));
    linked.summary.outputs = linked.summary.previewable = 1;
    linked.summary.preview_rank = 4;
    linked.summary.preview = fmt::format(
        R"({{"filename":"kept_{:05}_.png","subfolder":"","type":"output","nodeId":"9","mediaType":"images"}})",
        job.value + participant);
    put(std::move(linked));
    core::Ended ended = of_lease(core::Ended{});
    std::string messages;
    for (const char* kind : {"execution_start", "execution_cached", "execution_success"}) {
      messages += fmt::format(
          R"(["{}",{{"prompt_id":"2f1c5f6e-6a55-4c7b-9b36-{:012}","timestamp":17000000{:05},"nodes":[]}}],)",
          kind, job.value, job.value % 100'000);
    }
    ended.report = attach(fmt::format(
        R"({{"event":"","report":{{"status":{{"status_str":"success","completed":true,"messages":[{}]}},"meta":{{}}}}}})",
        messages));
    put(std::move(ended));
  }

  /// Records what has gathered and lets the workers do what was granted.
  awaitable<Result<void>> commit() {
    core::Decision decision = fold_.core.decide(journal_.time());
    journal::Batch batch;
    for (core::Event& event : decision.proposals) batch.push_back({std::move(event), {{1}, 0}, {}});
    for (journal::NewEntry& entry : batch_) batch.push_back(std::move(entry));
    batch_.clear();
    ATELIER_CO_TRY(const auto entries, co_await journal_.append(std::move(batch)));
    for (const core::Entry& entry : entries) {
      const std::vector<core::Effect> effects = fold_.core.apply(entry);
      fold_.history.apply(effects);
      for (const core::Effect& effect : effects) {
        if (const auto* leased = std::get_if<core::JobLeased>(&effect)) work(*leased);
        if (std::holds_alternative<core::JobEnded>(effect)) ++ended_;
      }
    }
    since_ += entries.size();
    if (every_ == 0 || since_ < every_) co_return Result<void>{};
    since_ = 0;
    co_return co_await journal_.checkpoint(journal_.last(), fold_.records());
  }

  Runtime& runtime_;
  journal::Journal& journal_;
  std::uint64_t every_;
  workshop::Fold fold_;
  journal::Batch batch_;
  std::vector<journal::NewAttachment> attachments_;
  std::uint64_t ticket_ = 0, submitted_ = 0, ended_ = 0, since_ = 0;
};

int fill(const std::string& path, std::uint64_t jobs, std::uint64_t waiting, std::uint64_t every) {
  RealRuntime runtime;
  auto journal = journal::sqlite::open(runtime, {path, {}});
  if (!journal) {
    fmt::print(stderr, "{}\n", journal.error().what);
    return 1;
  }
  Fill work(runtime, **journal, every);
  int code = 1;
  asio::co_spawn(runtime.executor(), work.run(jobs, waiting), [&](std::exception_ptr, Result<void> done) {
    if (!done) fmt::print(stderr, "{}\n", done.error().what);
    code = done ? 0 : 1;
  });
  runtime.run();
  fmt::print("{}\n", (*journal)->last());
  return code;
}

}  // namespace
}  // namespace atelier

int main(int count, char** arguments) {
  if (count < 4) {
    fmt::print(stderr, "fill_journal DATABASE JOBS WAITING [EVERY]\n");
    return 2;
  }
  const auto number = [&](int at) { return std::strtoull(arguments[at], nullptr, 10); };
  return atelier::fill(arguments[1], number(2), number(3), count > 4 ? number(4) : 50'000);
}
