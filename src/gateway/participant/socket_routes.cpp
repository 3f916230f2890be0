// SPDX-License-Identifier: MIT
// /ws (CI B): what a participant's sockets get, and when.
#include <fmt/format.h>

#include <algorithm>

#include "comfy/messages.hpp"
#include "gateway/participant/face_impl.hpp"
#include "gateway/participant/history_parts.hpp"
#include "gateway/worker_link/accepted_form.hpp"

namespace atelier::gateway {
namespace {

constexpr std::size_t kMessageBytesMax = 4 << 20;  // as ComfyUI takes (CI B1)
constexpr std::size_t kClientIdBytesMax = 256;

/// A binary frame as it stands on the wire: the kind, then what the engine sent after it.
std::string whole_frame(const LiveFrame& frame) {
  std::string bytes;
  bytes.reserve(4 + frame.bytes->size());
  for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(frame.preview_kind >> shift & 0xFFU);
  return bytes += *frame.bytes;
}

std::vector<std::string> linked_nodes(const core::JobFacts& job) {
  std::vector<std::string> nodes;
  for (const core::NodeCommit& commit : job.commits) {
    if (commit.linked && !commit.node.empty()) nodes.push_back(commit.node);
  }
  return nodes;
}

/// Of a prompt without client_id ComfyUI sends these to everybody (here: to the participant's sockets), and
/// nothing else (CI G6, G26).
bool is_for_everybody(std::string_view text) {
  constexpr std::string_view kHead = R"({"type":)";
  if (!text.starts_with(kHead)) return false;
  text.remove_prefix(kHead.size());
  if (text.starts_with(' ')) text.remove_prefix(1);  // as ComfyUI writes it
  return text.starts_with(R"("progress)") || text.starts_with(R"("execution_interrupted")");
}

/// Which of the progress messages that wait for a slow browser a newer one takes the place of. Previews have
/// the job's own number as key.
std::uint64_t progress_key(JobId job, const LiveFrame& frame) {
  const std::string_view node = frame.type == "progress" ? std::string_view(frame.node) : "";
  return std::uint64_t{1} << 63 |
         (std::hash<std::string_view>{}(node) ^ job.value * 0x9E3779B97F4A7C15ULL) >> 1;
}

/// One binary frame for clients that take metadata and for those that do not; each form is made once, when it
/// is wanted.
class FrameForms {
 public:
  FrameForms(const LiveFrame& frame, std::string prompt_id)
      : frame_(frame), prompt_id_(std::move(prompt_id)) {
    auto decoded = comfy::decode_frame(frame.preview_kind, *frame.bytes);
    if (decoded && decoded->kind == comfy::FrameKind::preview_with_metadata) with_metadata_ = *decoded;
  }

  void send(Client& client, JobId job) {
    net::Message message{net::MessageKind::binary,
                         with_metadata_ && !client.takes_preview_metadata ? legacy() : whole()};
    if (frame_.kind == LiveKind::result) {
      client.outgoing.push_large(std::move(message));
    } else if (with_metadata_) {
      client.outgoing.push_latest(std::move(message), job.value);
    } else {
      client.outgoing.push(std::move(message));
    }
  }

 private:
  std::shared_ptr<const std::string> whole() {
    if (whole_ != nullptr) return whole_;
    auto named =
        with_metadata_ ? comfy::frame_with_prompt_id(*with_metadata_, prompt_id_) : whole_frame(frame_);
    return whole_ = std::make_shared<const std::string>(named ? std::move(*named) : whole_frame(frame_));
  }
  std::shared_ptr<const std::string> legacy() {
    if (legacy_ == nullptr)
      legacy_ = std::make_shared<const std::string>(comfy::to_legacy_preview(*with_metadata_));
    return legacy_;
  }

  const LiveFrame& frame_;
  std::string prompt_id_;
  std::optional<comfy::Frame> with_metadata_;  // leads into the frame's bytes
  std::shared_ptr<const std::string> whole_, legacy_;
};

}  // namespace

awaitable<net::Response> ParticipantFace::Impl::get_ws(Call& call) {
  if (!call.request.wants_websocket()) co_return net::Response::text(400, "This address is for WebSockets.");
  std::string sid = call.request.parameter("clientId").value_or("");
  if (sid.size() > kClientIdBytesMax) co_return net::Response::text(400, "clientId is too long.");
  net::WebSocketLimits limits;
  limits.message_bytes_max = kMessageBytesMax;
  auto run = [this, participant = call.participant,
              sid = std::move(sid)](std::unique_ptr<net::WebSocket> socket) {
    return sockets.run(std::move(socket), participant, sid);
  };
  co_return net::Response::websocket(std::move(run), limits);
}

void ParticipantFace::Impl::send_to(ParticipantId participant, std::string_view client_id,
                                    std::string text) const {
  if (client_id.empty() && !is_for_everybody(text)) return;
  const auto shared = std::make_shared<const std::string>(std::move(text));
  for (Client* client : sockets.find(participant, client_id)) client->send(shared);
}

void ParticipantFace::Impl::send_status(ParticipantId participant) {
  sockets.send_all(participant, comfy::status_message(remaining(participant)));
}

void ParticipantFace::Impl::greet(Client& client) {
  client.send(std::make_shared<const std::string>(
      comfy::status_message(remaining(client.participant), std::string_view(client.sid))));
  workshop.core().each_job_of(client.participant, [&](const core::JobFacts& job) {
    const std::string& owner = job.submitted.client_id;
    if (owner == client.sid) replay(client, job);
  });
  greet_with_places(client);
}

void ParticipantFace::Impl::replay(Client& client, const core::JobFacts& job) {
  const LiveSnapshot* snapshot = live.snapshot(job.job);
  if (snapshot == nullptr || !job.lease || job.lease->epoch != snapshot->epoch) return;
  const JobOwner owner{client.participant, client.sid, job.submitted.prompt_id};
  const auto send = [&](const Shown& shown) {
    client.send(std::make_shared<const std::string>(shown_text(shown, owner)));
  };
  const auto send_event = [&](const std::shared_ptr<const std::string>& bytes) {
    if (bytes == nullptr) return;
    LiveFrame frame;
    frame.job = job.job;
    frame.epoch = snapshot->epoch;
    frame.bytes = bytes;
    send({Shown::Kind::engine_event, std::move(frame)});
  };
  send_event(snapshot->execution_start);
  send_event(snapshot->execution_cached);
  for (const LiveFrame& frame : snapshot->executed) send({Shown::Kind::executed, frame});
  send_event(snapshot->progress_state);
  send_event(snapshot->executing);
  if (snapshot->preview != nullptr) FrameForms(*snapshot->preview, owner.prompt_id).send(client, job.job);
}

std::optional<JobOwner> ParticipantFace::Impl::owner_of(JobId id) const {
  if (const core::JobFacts* job = workshop.core().job(id)) {
    return JobOwner{job->submitted.participant, job->submitted.client_id, job->submitted.prompt_id};
  }
  const auto ending = endings.find(id);
  if (ending == endings.end()) return std::nullopt;
  return ending->second.owner;
}

JobEvents& ParticipantFace::Impl::events_of(JobId id) {
  const auto found = events.find(id);
  if (found != events.end()) return found->second;
  std::set<std::string> shown;  // what stood before this server's start is sent to whoever connects
  if (const core::JobFacts* job = workshop.core().job(id)) {
    for (std::string& node : linked_nodes(*job)) shown.insert(std::move(node));
  }
  return events.emplace(id, JobEvents(std::move(shown))).first->second;
}

void ParticipantFace::Impl::on_live(const LiveFrame& frame) {
  if (frame.kind == LiveKind::preview) return show_frame(frame);
  if (!owner_of(frame.job)) return;
  std::vector<Shown> shown;
  events_of(frame.job).on_frame(runtime.now(), frame, shown);
  show(frame.job, std::move(shown));
  wake_deadlines.notify_all();
}

void ParticipantFace::Impl::show_frame(const LiveFrame& frame) {
  const auto owner = owner_of(frame.job);
  if (!owner) return;
  const auto clients = sockets.find(owner->participant, owner->client_id);
  if (clients.empty()) return;
  FrameForms forms(frame, owner->prompt_id);
  for (Client* client : clients) forms.send(*client, frame.job);
}

std::string ParticipantFace::Impl::shown_text(const Shown& shown, const JobOwner& owner) const {
  const LiveFrame& frame = shown.frame;
  if (shown.kind == Shown::Kind::executed) {
    return comfy::executed_message(owner.prompt_id, frame.node, frame.display_node, *frame.bytes);
  }
  const std::string run_id = WorkerLink::run_id(workshop.id(), frame.job, frame.epoch).uuid();
  return with_prompt_id(*frame.bytes, run_id, owner.prompt_id);
}

void ParticipantFace::Impl::show(JobId job, std::vector<Shown> shown) {
  const auto owner = owner_of(job);
  if (!owner) return;
  for (const Shown& each : shown) {
    if (each.kind == Shown::Kind::ending) {
      show_ending(job);
      return;
    }
    if (each.kind == Shown::Kind::result) {
      show_frame(each.frame);
      continue;
    }
    std::string text = shown_text(each, *owner);
    if (each.kind == Shown::Kind::engine_event && !comfy::is_stock_event(each.frame.type)) {
      // A custom node's own: of a prompt without client_id ComfyUI sends it to everybody.
      const auto shared = std::make_shared<const std::string>(std::move(text));
      for (Client* client : sockets.find(owner->participant, owner->client_id)) client->send(shared);
      continue;
    }
    const bool progress = each.frame.type == "progress" || each.frame.type == "progress_state";
    if (!progress) {
      send_to(owner->participant, owner->client_id, std::move(text));
      continue;
    }
    const auto shared = std::make_shared<const std::string>(std::move(text));
    const std::uint64_t key = progress_key(job, each.frame);
    for (Client* client : sockets.find(owner->participant, owner->client_id))
      client->send_progress(shared, key);
  }
}

void ParticipantFace::Impl::on_job_ended(const core::JobEnded& ended) {
  const core::JobFacts& job = ended.facts;
  Ending ending;
  ending.owner = {job.submitted.participant, job.submitted.client_id, job.submitted.prompt_id};
  const auto expected = expected_endings.find({job.job, job.epoch});
  // A late report had no effect if the server ended the job first; then no report is recorded with its end.
  if (expected != expected_endings.end() && ended.report) {
    ending.event = std::move(expected->second);
  } else if (const core::Summary* summary = workshop.history().find(job.job)) {
    ending.event = ending_event_of(*summary);
  }
  std::erase_if(expected_endings, [&](const auto& each) { return each.first.first == job.job; });
  endings.insert_or_assign(job.job, std::move(ending));

  const std::vector<std::string> linked = linked_nodes(job);
  if (!events.contains(job.job)) {
    events.emplace(job.job, JobEvents(std::set<std::string>(linked.begin(), linked.end())));
  }
  std::vector<Shown> shown;
  events.at(job.job).on_ended(runtime.now(), linked, shown);
  show(job.job, std::move(shown));
  wake_deadlines.notify_all();
}

void ParticipantFace::Impl::show_ending(JobId job) {
  const auto found = endings.find(job);
  if (found == endings.end()) return;
  const Ending ending = std::move(found->second);
  endings.erase(found);
  events.erase(job);
  const JobOwner& owner = ending.owner;
  if (!ending.event.empty()) send_to(owner.participant, owner.client_id, ending.event);
  send_status(owner.participant);
  // Last of all, when the history has the job (CI G8).
  if (!ending.event.empty()) {
    send_to(owner.participant, owner.client_id, comfy::executing_end_message(owner.prompt_id));
  }
}

awaitable<void> ParticipantFace::Impl::send_ending_again(core::Summary summary) {
  const HistoryParts parts = co_await history_parts(summary);
  for (const core::HistoryNode& node : summary.nodes) {
    if (node.node.empty() || !node.ui) continue;
    const auto ui = co_await attachments.raw(node.ui);
    if (!ui) continue;
    send_to(summary.participant, summary.client_id,
            comfy::executed_message(summary.prompt_id, node.node, node.node, **ui));
  }
  std::string event = ending_event_of(summary);
  if (summary.report) {
    if (const auto report = co_await attachments.report(summary.report);
        report && !(*report)->event.empty()) {
      event = (*report)->event;
    }
  }
  if (!event.empty()) send_to(summary.participant, summary.client_id, std::move(event));
  send_status(summary.participant);
  send_to(summary.participant, summary.client_id, comfy::executing_end_message(summary.prompt_id));
}

awaitable<void> ParticipantFace::Impl::watch_deadlines() {
  constexpr milliseconds kIdle{3'600'000};
  while (true) {  // until the group cancels it
    Instant next = runtime.now() + kIdle;
    for (const auto& [job, each] : events) {
      if (const auto deadline = each.deadline(); deadline && *deadline < next) next = *deadline;
    }
    if (next > runtime.now()) {
      [[maybe_unused]] const bool woken = co_await wake_deadlines.wait(next);
      continue;
    }
    std::vector<JobId> due;
    for (const auto& [job, each] : events) {
      if (const auto deadline = each.deadline(); deadline && *deadline <= runtime.now()) due.push_back(job);
    }
    for (const JobId job : due) {
      const auto found = events.find(job);
      if (found == events.end()) continue;
      std::vector<Shown> shown;
      found->second.on_time(runtime.now(), shown);
      show(job, std::move(shown));
    }
  }
}

}  // namespace atelier::gateway
