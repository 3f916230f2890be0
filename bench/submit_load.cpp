// SPDX-License-Identifier: MIT
// Closed-loop load of POST /user/N/prompt: every connection sends its next prompt when the last one was
// answered. submit_load PORT CONNECTIONS SECONDS PROMPT_BYTES [PATH [PER_SECOND]] -> one JSON object; with
// PATH the load of a server of one user ("/prompt" of a ComfyUI; "-": none). With PER_SECOND so many prompts
// fall due in a second, over all connections, and a late one's time counts from when it was due. Loopback
// only.
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "closed_loop.hpp"

namespace {

using bench::Clock;

struct Connection {
  int fd = -1;
  std::string in;
  Clock::time_point begun;
};

/// A graph of about `bytes`: one save node behind a chain of as many nodes as it takes, as people's workflows
/// are.
std::string graph_of(std::size_t bytes) {
  std::string graph =
      R"("1":{"class_type":"EmptyImage","inputs":{"width":16,"height":16,"batch_size":1,"color":0},"_meta":{"title":"Empty Image"}})";
  int last = 1;
  for (int next = 2; graph.size() + 220 < bytes; ++next) {
    // ComfyUI refuses chains of more than 500 nodes, so every 100th begins a new branch.
    if (next % 100 == 0) {
      graph += fmt::format(
          R"(,"{}":{{"class_type":"EmptyImage","inputs":{{"width":16,"height":16,"batch_size":1,"color":0}}}})",
          next);
    } else {
      graph += fmt::format(
          R"(,"{}":{{"class_type":"ImageInvert","inputs":{{"image":["{}",0]}},"_meta":{{"title":"Invert Image {}"}}}})",
          next, last, next);
    }
    last = next;
  }
  const std::string pad = graph.size() + 220 < bytes ? std::string(bytes - graph.size() - 220, 'x') : "";
  graph += fmt::format(
      R"(,"9999":{{"class_type":"SaveImage","inputs":{{"images":["{}",0],"filename_prefix":"bench"}},"_meta":{{"title":"{}"}}}})",
      last, pad);
  return graph;
}

class Load {
 public:
  Load(int port, int connections, double seconds, std::size_t bytes, std::string path, double per_second)
      : port_(port),
        seconds_(seconds),
        path_(std::move(path)),
        graph_(graph_of(bytes) + "}}"),
        connections_(static_cast<std::size_t>(connections)) {
    if (per_second > 0)
      between_ = std::chrono::duration_cast<Clock::duration>(
          std::chrono::duration<double>(connections / per_second));
  }

  int run() {
    epoll_ = ::epoll_create1(0);
    for (std::size_t i = 0; i < connections_.size(); ++i) open(i);
    const Clock::time_point begun = Clock::now();
    const auto end =
        begun + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds_));
    std::vector<epoll_event> events(connections_.size());
    while (Clock::now() < end) {
      for (; !due_.empty() && due_.begin()->first <= Clock::now(); due_.erase(due_.begin()))
        send_next(due_.begin()->second);
      const int ready =
          ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), due_.empty() ? 100 : 1);
      for (int i = 0; i < ready; ++i) step(events[static_cast<std::size_t>(i)].data.u64);
    }
    const double took = std::chrono::duration<double>(Clock::now() - begun).count();
    latencies_.sort();
    fmt::print(
        R"({{"prompt_bytes":{},"submits_per_second":{:.0f},"p50_ms":{:.2f},"p99_ms":{:.2f},"refused":{}}})"
        "\n",
        graph_.size(), static_cast<double>(latencies_.count()) / took, latencies_.quantile(0.5),
        latencies_.quantile(0.99), refused_);
    if (refused_ > 0) fmt::print(stderr, "first refusal: {}\n", first_refusal_);
    return 0;
  }

 private:
  void open(std::size_t index) {
    Connection& connection = connections_[index];
    connection.fd = bench::connect_loopback(port_);
    if (connection.fd < 0) {
      fmt::print(stderr, "cannot connect to port {}\n", port_);
      std::exit(1);
    }
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = index;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event);
    connection.begun = Clock::now() + between_ * index / connections_.size();
    due_.emplace(connection.begun, index);
  }

  void send_next(std::size_t index) {
    Connection& connection = connections_[index];
    const std::string begin = fmt::format(R"({{"client_id":"bench","prompt_id":"b{}-{}-{}","prompt":{{)",
                                          ::getpid(), index, ++counter_);
    std::string head = fmt::format(
        "POST {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: "
        "application/json\r\nContent-Length: {}\r\n\r\n{}",
        path_.empty() ? fmt::format("/user/{}/prompt", 1 + index % 20) : path_, port_,
        begin.size() + graph_.size(), begin);
    connection.in.clear();
    if (between_ == Clock::duration::zero()) connection.begun = Clock::now();
    send_all(connection.fd, head, MSG_MORE);
    send_all(connection.fd, graph_, 0);
  }

  static void send_all(int fd, std::string_view bytes, int flags) {
    while (!bytes.empty()) {
      const ssize_t done = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | flags);
      if (done <= 0) std::exit(1);
      bytes.remove_prefix(static_cast<std::size_t>(done));
    }
  }

  void step(std::size_t index) {
    Connection& connection = connections_[index];
    char buffer[16384];
    const ssize_t got = ::recv(connection.fd, buffer, sizeof buffer, 0);
    if (got <= 0) {
      fmt::print(stderr, "the server closed a connection\n");
      std::exit(1);
    }
    connection.in.append(buffer, static_cast<std::size_t>(got));
    const std::size_t head = connection.in.find("\r\n\r\n");
    if (head == std::string::npos) return;
    std::size_t length = 0;
    for (const char* name : {"Content-Length: ", "content-length: "}) {
      const std::size_t at = connection.in.find(name);
      if (at < head) length = std::strtoul(connection.in.c_str() + at + 16, nullptr, 10);
    }
    if (connection.in.size() < head + 4 + length) return;
    if (connection.in.starts_with("HTTP/1.1 200")) {
      latencies_.add(connection.begun);
    } else {
      if (refused_++ == 0) first_refusal_ = connection.in.substr(0, 400);
    }
    if (between_ == Clock::duration::zero()) return send_next(index);
    connection.begun += between_;
    due_.emplace(connection.begun, index);
  }

  int port_;
  double seconds_;
  std::string path_;   // "": one of 20 participants'
  std::string graph_;  // with the braces that end a body
  std::vector<Connection> connections_;
  Clock::duration between_{};  // of one connection's prompts; 0: the next follows the answer
  std::multimap<Clock::time_point, std::size_t> due_;  // connections that wait to send
  int epoll_ = -1;
  std::uint64_t counter_ = 0, refused_ = 0;
  std::string first_refusal_;
  bench::Latencies latencies_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5 || argc > 7) {
    fmt::print(stderr, "submit_load PORT CONNECTIONS SECONDS PROMPT_BYTES [PATH [PER_SECOND]]\n");
    return 2;
  }
  const std::string path = argc > 5 && std::string_view(argv[5]) != "-" ? argv[5] : "";
  return Load(std::atoi(argv[1]), std::atoi(argv[2]), std::atof(argv[3]), std::strtoul(argv[4], nullptr, 10),
              path, argc > 6 ? std::atof(argv[6]) : 0)
      .run();
}
