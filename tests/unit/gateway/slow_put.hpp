// SPDX-License-Identifier: MIT
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>

#include "runtime/task_group.hpp"
#include "unit/gateway/link_rig.hpp"

namespace atelier::gateway::test {

/// A PUT of two pieces with a silence between them, with the rig's present bearer.
struct SlowPut {
  struct Reader : net::BodyReader {
    Reader(Runtime& r, const std::string& c, milliseconds s) : runtime(r), content(c), silence(s) {}
    awaitable<Result<std::size_t>> read(std::span<char> into, Instant) override {
      if (at == content.size()) co_return std::size_t{0};
      if (at == content.size() / 2) (void)co_await runtime.sleep_for(silence);
      const std::size_t bytes = std::min(into.size(), content.size() / 2);
      std::ranges::copy(content.substr(at, bytes), into.begin());
      at += bytes;
      co_return bytes;
    }
    Runtime& runtime;
    const std::string& content;
    milliseconds silence;
    std::size_t at = 0;
  };

  SlowPut(LinkRig& r, const Agent& agent, JobId job, const std::string& content, milliseconds silence)
      : rig(r), reader(r.runtime, content, silence), tasks(r.runtime) {
    request.method = net::Method::put;
    request.target = fmt::format("/worker/output/{}/1/0?digest={}&size={}&offset=0", job,
                                 sha256(content).hex(), content.size());
    request.headers.set("Authorization", "Bearer " + r.bearer);
    request.headers.set("Atelier-Link", fmt::format("{}", agent.number()));
    request.content_length = content.size();
    request.body = &reader;
    tasks.spawn("put", send());
  }
  awaitable<void> send() { response = co_await rig.link->handle(request); }

  LinkRig& rig;
  Reader reader;
  net::Request request;
  std::optional<net::Response> response;
  TaskGroup tasks;
};

}  // namespace atelier::gateway::test
