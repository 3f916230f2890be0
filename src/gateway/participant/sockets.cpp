// SPDX-License-Identifier: MIT
#include "gateway/participant/sockets.hpp"

#include <boost/json.hpp>

#include <algorithm>

#include "comfy/messages.hpp"
#include "runtime/task_group.hpp"

namespace atelier::gateway {
namespace {

constexpr int kMessagesPerSecondMax = 20;
constexpr std::size_t kFlagsBytesMax = 64 << 10;

}  // namespace

std::vector<Client*> Sockets::find(ParticipantId participant, std::string_view sid) const {
  std::vector<Client*> found;
  const auto own = clients_.find(participant);
  if (own == clients_.end()) return found;
  for (const auto& client : own->second) {
    if (sid.empty() || client->sid == sid) found.push_back(client.get());
  }
  return found;
}

void Sockets::send_all(ParticipantId participant, std::string text) const {
  const auto shared = std::make_shared<const std::string>(std::move(text));
  for (Client* client : all(participant)) client->send(shared);
}

std::vector<ParticipantId> Sockets::participants() const {
  std::vector<ParticipantId> ids;
  for (const auto& [participant, clients] : clients_) ids.push_back(participant);
  return ids;
}

awaitable<void> Sockets::run(std::unique_ptr<net::WebSocket> socket, ParticipantId participant,
                             std::string sid) {
  if (sid.empty()) sid = runtime_.random_key().hex();
  const auto found = clients_.find(participant);
  if (stopping_ || (found != clients_.end() && found->second.size() >= per_participant_max_)) {
    const auto code = stopping_ ? net::CloseCode::going_away : net::CloseCode::try_again_later;
    co_await socket->close(code, stopping_ ? "the server stops" : "this seat is open in too many windows");
    co_return;
  }
  auto client = std::make_shared<Client>(runtime_, std::move(socket), participant, std::move(sid));
  clients_[participant].push_back(client);
  ++count_;
  greet_(*client);
  TaskGroup writer(runtime_);
  writer.spawn("socket writer", write_loop(client));
  co_await read_loop(*client);
  client->outgoing.close(net::CloseCode::normal, "");
  auto& own = clients_[participant];
  std::erase(own, client);
  if (own.empty()) clients_.erase(participant);
  // What was queued before the close frame, e.g. why it is closed, still goes out.
  const Instant patience = runtime_.now() + milliseconds{5'000};
  while (!client->written) {
    if (!co_await closed_.wait(patience)) break;
  }
  [[maybe_unused]] const bool ended = co_await writer.stop(runtime_.now() + milliseconds{1'000});
  --count_;
  closed_.notify_all();
}

awaitable<void> Sockets::write_loop(std::shared_ptr<Client> client) {
  co_await client->outgoing.run();
  client->written = true;
  closed_.notify_all();
}

awaitable<void> Sockets::read_loop(Client& client) {
  while (true) {
    const auto message = co_await client.socket->read(net::kNoDeadline);
    if (!message) co_return;
    if (!within_budget(client)) {
      client.outgoing.close(net::CloseCode::policy, "too many messages");
      co_return;
    }
    // Only the first object that a client sends is listened to (CI B2).
    if (message->kind == net::MessageKind::text && !client.spoke) on_text(client, message->view());
  }
}

bool Sockets::within_budget(Client& client) const {
  const std::int64_t second = runtime_.now().ms / 1'000;
  if (client.budget_second != second) {
    client.budget_second = second;
    client.budget_used = 0;
  }
  return ++client.budget_used <= kMessagesPerSecondMax;
}

void Sockets::on_text(Client& client, std::string_view text) const {
  const auto parsed = comfy::Json::parse(text, {.bytes_max = kFlagsBytesMax, .depth_max = 16});
  if (!parsed || !parsed->is_object()) return;
  client.spoke = true;
  const auto event = comfy::parse_event(text, {.bytes_max = kFlagsBytesMax, .depth_max = 16});
  if (!event || event->type != "feature_flags") return;
  if (event->data.is_object()) {
    const auto* flag = event->data.object().if_contains("supports_preview_metadata");
    client.takes_preview_metadata = flag != nullptr && flag->is_bool() && flag->get_bool();
  }
  client.send(std::make_shared<const std::string>(comfy::feature_flags_message(flags_json_)));
}

awaitable<void> Sockets::stop(Instant deadline) {
  stopping_ = true;
  for (const auto& [participant, clients] : clients_) {
    for (const auto& client : clients) client->outgoing.close(net::CloseCode::going_away, "the server stops");
  }
  while (count_ > 0) {
    if (!co_await closed_.wait(deadline)) co_return;
  }
}

}  // namespace atelier::gateway
