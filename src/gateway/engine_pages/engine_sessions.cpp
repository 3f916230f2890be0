// SPDX-License-Identifier: MIT
#include "gateway/engine_pages/engine_sessions.hpp"

#include <algorithm>
#include <utility>

#include "gateway/fresh_secret.hpp"

namespace atelier::gateway {

void EngineSessions::drop_old() {
  const Instant now = runtime_.now();
  std::erase_if(tickets_, [now](const auto& entry) { return entry.second.until <= now; });
  std::erase_if(sessions_, [now](const auto& entry) {
    return now - entry.second.started >= kLongest || now - entry.second.used >= kIdle;
  });
}

Result<std::string> EngineSessions::make_ticket(EnginePlace place) {
  drop_old();
  if (tickets_.size() >= kTicketsMax)
    return fail(Errc::queue_full, "Too many tickets were made and not used; try again in a minute.");
  std::string ticket = fresh_secret(runtime_);
  tickets_.emplace(sha256(ticket), Ticket{std::move(place), runtime_.now() + kTicketLife});
  return ticket;
}

std::optional<EnginePlace> EngineSessions::place_of(std::string_view ticket) {
  drop_old();
  const auto found = tickets_.find(sha256(ticket));
  return found == tickets_.end() ? std::nullopt : std::optional(found->second.place);
}

std::optional<EngineSessions::Opened> EngineSessions::open(std::string_view ticket) {
  drop_old();
  auto spent = tickets_.extract(sha256(ticket));
  if (!spent) return std::nullopt;
  if (sessions_.size() >= kSessionsMax) {
    sessions_.erase(
        std::ranges::min_element(sessions_, {}, [](const auto& entry) { return entry.second.used; }));
  }
  Opened opened{fresh_secret(runtime_), std::move(spent.mapped().place)};
  sessions_.emplace(sha256(opened.secret), Session{opened.place, runtime_.now(), runtime_.now()});
  return opened;
}

std::optional<EngineSessions::Found> EngineSessions::find(std::string_view secret) {
  drop_old();
  const auto found = sessions_.find(sha256(secret));
  if (found == sessions_.end()) return std::nullopt;
  found->second.used = runtime_.now();
  return Found{found->second.place, found->second.started + kLongest};
}

}  // namespace atelier::gateway
