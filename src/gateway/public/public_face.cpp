// SPDX-License-Identifier: MIT
#include "gateway/public/public_face.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "comfy/json.hpp"
#include "gateway/public/metrics.hpp"

namespace atelier::gateway {
namespace {

constexpr std::string_view kPageStyle =
    "body{font:18px/1.5 system-ui,sans-serif;max-width:46rem;margin:3rem auto;padding:0 1rem;"
    "background:#171718;color:#eee}a{color:#8ab4ff}ol{display:flex;flex-wrap:wrap;gap:.5rem;list-style:none;"
    "padding:0}ol a{display:block;padding:.6rem 1rem;border:1px solid #555;border-radius:.5rem;"
    "text-decoration:none}";

const std::string kJournalFull =
    "The server's disk is full. Jobs that wait or run are kept; nothing new is taken until there is room.";

net::Response page(std::string_view title, std::string_view body) {
  net::Response response = net::Response::html(
      200,
      fmt::format("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{} - Atelier</title>"
                  "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
                  "<style>{}</style></head><body>{}</body></html>",
                  title, kPageStyle, body));
  response.headers.add("Cache-Control", "no-store");
  response.headers.add(
      "Content-Security-Policy",
      "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'");
  response.headers.add("X-Content-Type-Options", "nosniff");
  return response;
}

net::Response fresh_json(unsigned status, std::string text) {
  net::Response response = net::Response::json(status, std::move(text));
  response.headers.add("Cache-Control", "no-store");
  return response;
}

}  // namespace

awaitable<std::optional<net::Response>> PublicFace::handle(net::Request& request) {
  const std::string_view path = request.path();
  const bool known = path == "/" || path == "/health" || path == "/health/ping" ||
                     path == "/api/queue/status" || path == "/metrics";
  if (!known) co_return std::nullopt;
  if (request.method != net::Method::get) {
    net::Response response = net::Response::text(405, "405: Method Not Allowed");
    response.headers.add("Allow", "GET");
    co_return response;
  }
  if (path == "/") co_return start_page();
  if (path == "/health/ping") co_return net::Response::text(200, "ok\n");
  if (path == "/health") co_return health(request);
  if (path == "/metrics") co_return metrics();
  co_return queue_status();
}

net::Response PublicFace::start_page() const {
  std::string seats;
  for (std::uint64_t n = 1; n <= options_.num_users; ++n) {
    seats += fmt::format("<li><a href=\"/user/{0}/\">{0}</a></li>", n);
  }
  const std::string& refusal = workshop_.refusal();
  const std::string banner = refusal.empty() ? "" : fmt::format("<p><strong>{}</strong></p>", refusal);
  return page("Seats",
              fmt::format("<h1>Choose your seat</h1>{}<p>Each seat is an editor of its own: its workflows, "
                          "pictures and queue are yours.</p><ol>{}</ol>"
                          "<p><a href=\"/health\">How is the server?</a></p>",
                          banner, seats));
}

const std::string& PublicFace::refusal_of_journal(bool has_room) const {
  return workshop_.found_full() && !has_room ? kJournalFull : workshop_.refusal();
}

net::Response PublicFace::health(const net::Request& request) const {
  const std::vector<WorkerView> workers = workers_ ? workers_() : std::vector<WorkerView>{};
  const auto space = files_.data().free_space();
  const bool disk = files_.quota().check_free_space(0).has_value();  // else uploads and prompts get 507
  const std::string& refusal = refusal_of_journal(disk);
  const bool journal = workshop_.accepting() && refusal.empty();
  const auto counters = workshop_.counters();
  const std::size_t waiting = workshop_.core().jobs_waiting();
  const std::size_t alarmed = alarms();
  const bool works = std::ranges::any_of(workers, &WorkerView::works);
  const bool needs_somebody = !disk || !works || alarmed > 0;
  const std::string_view verdict = !journal ? "failed" : needs_somebody ? "degraded" : "ok";
  const std::uint64_t free_mb = space ? space->bytes / 1'000'000 : 0;
  if (request.headers.get("Accept").find("text/html") == std::string_view::npos) {
    std::string names;
    for (const WorkerView& worker : workers) {
      names += fmt::format("{}{}", names.empty() ? "" : ",", comfy::quote_json(worker.name));
    }
    return fresh_json(
        journal ? 200 : 503,
        fmt::format(R"({{"verdict":"{}","journal":{{"accepting":{},"longest_commit_ms":{},"reason":{}}},)"
                    R"("disk":{{"free_mb":{},"low":{}}},"workers":[{}],"waiting":{},"live":{},"alarms":{}}})",
                    verdict, journal, counters.longest_commit.count(), comfy::quote_json(refusal), free_mb,
                    !disk, names, waiting, workshop_.core().jobs_live(), alarmed));
  }
  std::string lines;
  const auto line = [&lines](std::string_view text) { lines += fmt::format("<li>{}</li>", text); };
  line(journal           ? "Jobs are recorded and kept."
       : refusal.empty() ? "The journal does not take anything. Look into the log and restart the server."
                         : refusal);
  line(disk ? fmt::format("{} MB of disk are free.", free_mb)
            : fmt::format("Only {} MB of disk are free. Make room.", free_mb));
  line(workers.empty() ? "No GPU is connected. Jobs are kept until one is."
                       : fmt::format("{} connected.", workers.size() == 1
                                                          ? std::string("1 worker is")
                                                          : fmt::format("{} workers are", workers.size())));
  if (!workers.empty() && !works)
    line("None of them takes jobs: they are paused, drained, or their ComfyUI is not ready. Jobs are kept.");
  line(fmt::format("{} jobs wait.", waiting));
  if (alarmed > 0) {
    line(
        "Somebody showed an enrolment token of a worker that is not theirs, or not any more: look at "
        "/api/v1/enrolments.");
  }
  const std::string_view headline = !journal         ? "The server cannot work"
                                    : needs_somebody ? "Something needs you"
                                                     : "All well";
  return page("Health", fmt::format("<h1>{}</h1><ul>{}</ul>", headline, lines));
}

std::size_t PublicFace::alarms() const {
  constexpr std::int64_t kDayMs = 86'400'000;
  const std::int64_t now = workshop_.core().workshop().last_wall.ms;
  std::size_t count = 0;
  workshop_.core().each_enrolment([&](const core::EnrolmentFacts& enrolment) {
    count += static_cast<std::size_t>(std::ranges::count_if(
        enrolment.misuses, [&](const core::EnrolmentMisuse& m) { return now - m.wall.ms < kDayMs; }));
  });
  return count;
}

std::size_t PublicFace::jobs_on_workers() const {
  std::size_t jobs = 0;
  for (std::uint64_t n = 0; n <= options_.num_users; ++n) {
    const core::LaneCounts counts = workshop_.core().counts(ParticipantId{n});
    jobs += counts.leased + counts.running;
  }
  return jobs;
}

net::Response PublicFace::metrics() const {
  MetricsSource source;
  source.accepting =
      workshop_.accepting() && refusal_of_journal(files_.quota().check_free_space(0).has_value()).empty();
  source.waiting = workshop_.core().jobs_waiting();
  source.on_workers = jobs_on_workers();
  if (const auto space = files_.data().free_space()) source.disk_free = space->bytes;
  source.swept = files_.swept_blobs();
  if (workers_) source.workers = workers_();
  workshop_.core().each_worker([&](const core::WorkerFacts& worker) {
    if (!worker.link) return;
    for (const core::SlotFacts& slot : worker.slots)
      source.loaded.push_back({worker.name, slot.index, slot.holds});
  });
  net::Response response(200, "text/plain; version=0.0.4; charset=utf-8", metrics_text(source));
  response.headers.add("Cache-Control", "no-store");
  return response;
}

net::Response PublicFace::queue_status() const {
  const core::Core& core = workshop_.core();
  std::string workers;
  for (const WorkerView& worker : workers_ ? workers_() : std::vector<WorkerView>{}) {
    workers += fmt::format(R"({}{{"name":{},"state":"{}"}})", workers.empty() ? "" : ",",
                           comfy::quote_json(worker.name), worker.state);
  }
  const std::size_t running = jobs_on_workers();
  const std::size_t live = core.jobs_live();
  return fresh_json(200, fmt::format(R"({{"mode":"{}","pending":{},"running":{},"workers":[{}]}})",
                                     core::to_string(core.workshop().mode),
                                     live > running ? live - running : 0, running, workers));
}

}  // namespace atelier::gateway
