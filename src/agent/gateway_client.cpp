// SPDX-License-Identifier: MIT
#include "agent/gateway_client.hpp"

#include <fmt/format.h>

#include <charconv>

namespace atelier::agent {
namespace {

constexpr milliseconds kShort{30'000};
constexpr milliseconds kPromptLimit{120'000};
constexpr milliseconds kUploadLimit{6 * 3600 * 1000};  // a stalled one ends earlier (ClientLimits::stall)
constexpr std::uint64_t kPromptBytesMax = 32u << 20;
constexpr std::uint64_t kTextBytesMax = 4096;
constexpr int kResumesMax = 8;

}  // namespace

GatewayClient::GatewayClient(Runtime& runtime, net::HttpClient& http, Credentials& credentials)
    : runtime_(runtime), http_(http), credentials_(credentials) {}

void GatewayClient::set_link(net::Url base, LinkId link) {
  base_ = std::move(base);
  while (base_.target.ends_with('/')) base_.target.pop_back();
  link_ = link;
}

awaitable<Result<net::ClientRequest>> GatewayClient::make(net::Method method, std::string path) {
  auto bearer = co_await credentials_.bearer();
  if (!bearer) co_return fail(Errc::unavailable, std::move(bearer.error().what));
  net::Url url = base_;
  url.target += path;
  net::ClientRequest request(method, std::move(url));
  request.headers.add("Authorization", "Bearer " + *bearer);
  request.headers.add("Atelier-Link", fmt::format("{}", link_));
  co_return request;
}

awaitable<Result<net::ClientResponse>> GatewayClient::request(net::ClientRequest request, Instant deadline) {
  const std::string bearer(request.headers.get("Authorization").substr(std::string_view("Bearer ").size()));
  auto response = co_await http_.request(std::move(request), deadline);
  if (response && response->status == 401) credentials_.refused(bearer);
  co_return response;
}

awaitable<Result<net::ClientRequest>> GatewayClient::tunnel(Key128 id) {
  return make(net::Method::get, "/tunnel/" + id.hex());
}

Error GatewayClient::error_of(unsigned status, std::string text, LinkId asked_on) const {
  if (text.size() > 300) text.resize(300);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::string what = fmt::format("the gateway answered {}: {}", status, text);
  // A refusal meant for an older link says nothing about the job: the next hello settles it.
  if (asked_on != link_) return Error(Errc::unavailable, std::move(what));
  switch (status) {
    case 404:
      return Error(Errc::not_found, std::move(what));
    case 409: {
      const bool stale_epoch = text.find("stale_epoch") != std::string::npos;  // else stale_link
      return Error(stale_epoch ? Errc::stale_epoch : Errc::unavailable, std::move(what));
    }
    case 413:
      return Error(Errc::too_large, std::move(what));
    case 422:
      return Error(Errc::bad_hash, std::move(what));
    case 507:
      return Error(Errc::disk_full, std::move(what));
    default:
      return Error(Errc::unavailable, std::move(what));
  }
}

awaitable<Result<GatewayClient::Head>> GatewayClient::exchange(net::ClientRequest request, Instant deadline) {
  const bool bodiless = request.method == net::Method::head;
  auto response = co_await this->request(std::move(request), deadline);
  if (!response) co_return std::unexpected(std::move(response).error());
  Head head;
  head.status = response->status;
  const std::string_view offset = response->headers.get("Upload-Offset");
  std::uint64_t value = 0;
  if (std::from_chars(offset.data(), offset.data() + offset.size(), value).ec == std::errc() &&
      !offset.empty())
    head.offset = value;
  if (!bodiless) {
    auto text = co_await response->read_all(kTextBytesMax, deadline);
    if (text) head.text = std::move(*text);
  }
  co_return head;
}

awaitable<Result<std::string>> GatewayClient::prompt(RunKey key, link::PromptRef reference) {
  if (reference.bytes > kPromptBytesMax) co_return fail(Errc::too_large, "the prompt is larger than 32 MB");
  const LinkId asked_on = link_;
  const Instant deadline = runtime_.now() + kPromptLimit;
  ATELIER_CO_TRY(auto wanted,
                 co_await make(net::Method::get, fmt::format("/prompt/{}/{}", key.job, key.epoch)));
  auto response = co_await request(std::move(wanted), deadline);
  if (!response) co_return std::unexpected(std::move(response).error());
  auto body = co_await response->read_all(kPromptBytesMax, deadline);
  if (!body) co_return std::unexpected(std::move(body).error());
  if (response->status != 200)
    co_return std::unexpected(error_of(response->status, std::move(*body), asked_on));
  if (sha256(*body) != reference.digest) co_return fail(Errc::closed, "the prompt came damaged");
  co_return std::move(*body);
}

awaitable<Result<net::ClientResponse>> GatewayClient::input(RunKey key, Digest digest, std::uint64_t from) {
  const LinkId asked_on = link_;
  ATELIER_CO_TRY(auto wanted, co_await make(net::Method::get, fmt::format("/input/{}/{}/{}", key.job,
                                                                          key.epoch, digest.hex())));
  if (from > 0) wanted.headers.add("Range", fmt::format("bytes={}-", from));
  auto response = co_await request(std::move(wanted), runtime_.now() + kShort);
  if (!response) co_return std::unexpected(std::move(response).error());
  if (response->status == 200) co_return std::move(*response);
  if (from > 0 && response->status == 206 &&
      response->headers.get("Content-Range").starts_with(fmt::format("bytes {}-", from)))
    co_return std::move(*response);
  if (response->status == 206 || response->status == 416)
    co_return fail(Errc::protocol, "the gateway has another part of an input than was asked for");
  auto text = co_await response->read_all(kTextBytesMax, runtime_.now() + kShort);
  co_return std::unexpected(error_of(response->status, text ? std::move(*text) : std::string(), asked_on));
}

awaitable<Result<void>> GatewayClient::upload(RunKey key, std::uint32_t number, LocalFile file, bool anew) {
  const std::string path = fmt::format("/output/{}/{}/{}?digest={}&size={}", key.job, key.epoch, number,
                                       file.digest.hex(), file.size);
  const LinkId asked_on = link_;
  std::uint64_t offset = 0;
  if (!anew) {
    ATELIER_CO_TRY(auto question, co_await make(net::Method::head, path));
    auto asked = co_await exchange(std::move(question), runtime_.now() + kShort);
    if (asked && asked->status == 409) {
      // Stale epoch or stale link? An answer to HEAD has no text: ask with a PUT of nothing.
      ATELIER_CO_TRY(auto nothing,
                     co_await make(net::Method::put, fmt::format("{}&offset={}", path, file.size)));
      asked = co_await exchange(std::move(nothing), runtime_.now() + kShort);
      if (asked && (asked->status == 416 || asked->status == 204)) asked->status = 200;
    }
    if (!asked) co_return std::unexpected(std::move(asked).error());
    if (asked->status != 200)
      co_return std::unexpected(error_of(asked->status, std::move(asked->text), asked_on));
    offset = asked->offset.value_or(0);
    if (offset == file.size) co_return Result<void>();
    if (offset > file.size) offset = 0;
  }
  for (int tries = 0; tries < kResumesMax; ++tries) {
    auto open = [file] { return file.folder.open_file(file.path); };
    auto opened = co_await run_blocking(runtime_.file_pool(), std::move(open));
    if (!opened || opened->size() != file.size)
      co_return fail(Errc::io, opened ? "an output file was still written to when it was uploaded"
                                      : "an output file went away before it was uploaded");
    ATELIER_CO_TRY(auto request, co_await make(net::Method::put, fmt::format("{}&offset={}", path, offset)));
    request.headers.add("Content-Type", "application/octet-stream");
    request.body =
        net::FileBody(net::OwnedFd(std::move(*opened).take().release()), offset, file.size - offset);
    auto answer = co_await exchange(std::move(request), runtime_.now() + kUploadLimit);
    if (!answer) co_return std::unexpected(std::move(answer).error());
    if (answer->status == 204 || answer->status == 200) co_return Result<void>();
    if (answer->status != 416 || !answer->offset || *answer->offset > file.size) {
      co_return std::unexpected(error_of(answer->status, std::move(answer->text), asked_on));
    }
    offset = *answer->offset;
    if (offset == file.size) co_return Result<void>();
  }
  co_return fail(Errc::unavailable, "the gateway and the agent do not agree on an upload's offset");
}

awaitable<Result<void>> GatewayClient::publish_model_sizes(Digest digest, std::string sizes) {
  const LinkId asked_on = link_;
  ATELIER_CO_TRY(auto request, co_await make(net::Method::put, "/model_sizes/" + digest.hex()));
  request.headers.add("Content-Type", "application/json");
  request.body = std::move(sizes);
  auto answer = co_await exchange(std::move(request), runtime_.now() + kShort);
  if (!answer) co_return std::unexpected(std::move(answer).error());
  if (answer->status == 204) co_return Result<void>();
  co_return std::unexpected(error_of(answer->status, std::move(answer->text), asked_on));
}

awaitable<Result<void>> GatewayClient::publish(std::string what, Digest digest,
                                               std::shared_ptr<const std::string> bytes) {
  const std::string path = "/" + what + "/" + digest.hex();
  const LinkId asked_on = link_;
  ATELIER_CO_TRY(auto question, co_await make(net::Method::head, path));
  auto asked = co_await exchange(std::move(question), runtime_.now() + kShort);
  if (!asked) co_return std::unexpected(std::move(asked).error());
  if (asked->status == 200) co_return Result<void>();
  if (asked->status != 404)
    co_return std::unexpected(error_of(asked->status, std::move(asked->text), asked_on));
  ATELIER_CO_TRY(auto request, co_await make(net::Method::put, path));
  request.headers.add("Content-Type", "application/json");
  request.body = net::SharedBody(std::move(bytes));
  auto answer = co_await exchange(std::move(request), runtime_.now() + kPromptLimit);
  if (!answer) co_return std::unexpected(std::move(answer).error());
  if (answer->status == 204 || answer->status == 200) co_return Result<void>();
  co_return std::unexpected(error_of(answer->status, std::move(answer->text), asked_on));
}

}  // namespace atelier::agent
