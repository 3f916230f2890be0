// SPDX-License-Identifier: MIT
#include "agent/credentials.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <filesystem>

#include "base/log.hpp"
#include "comfy/json.hpp"
#include "files/temp_file.hpp"
#include "link/enrolment.hpp"

namespace atelier::agent {
namespace {

constexpr milliseconds kLimit{15'000};
constexpr milliseconds kRenewBefore{60'000};  // the end of a session
constexpr std::size_t kAnswerBytesMax = 4'096;
constexpr const char* kKeyName = "worker.key";

/// What the gateway says of whoever asks, not of the moment.
bool is_refusal(unsigned status) {
  return status == 400 || status == 401 || status == 403 || status == 404 || status == 405;
}

Error error_of(unsigned status, std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return {is_refusal(status) ? Errc::forbidden : Errc::unavailable,
          fmt::format("the gateway answered {}: {}", status, text.substr(0, 300))};
}

/// A string member of an answer; "" if it is none.
std::string member(const comfy::Json& answer, std::string_view name) {
  const boost::json::value* value = answer.object().if_contains(name);
  return value != nullptr && value->is_string() ? std::string(std::string_view(value->get_string()))
                                                : std::string();
}

std::string object(std::initializer_list<std::pair<std::string_view, std::string_view>> members) {
  boost::json::object object;
  for (const auto& [name, value] : members) object[name] = value;
  return boost::json::serialize(object);
}

}  // namespace

Result<std::optional<SigningKey>> KeyFile::read() const {
  const auto folder = files::Directory::open_root(state_dir_);
  if (!folder && folder.error().code == Errc::not_found) return std::optional<SigningKey>();
  const auto wrong = [this](std::string_view why) {
    return fail(Errc::config, fmt::format("{}/{}: {}", state_dir_, kKeyName, why));
  };
  if (!folder) return wrong(folder.error().what);
  const auto file = folder->open_file(kKeyName);
  if (!file && file.error().code == Errc::not_found) return std::optional<SigningKey>();
  if (!file) return wrong(file.error().what);
  if (file->stat().owner != ::geteuid()) return wrong("it is another user's; remove it");
  if ((file->stat().mode & 0077) != 0 && ::fchmod(file->fd(), 0600) != 0)
    return wrong("others can read it, and its mode cannot be changed");
  auto text = file->read_all(4'096);
  if (!text) return wrong(text.error().what);
  while (text->ends_with('\n')) text->pop_back();
  auto key = SigningKey::parse(*text);
  if (!key) return wrong("it holds no key; remove it and enrol again");
  return std::optional(*key);
}

Result<SigningKey> KeyFile::write(const SigningKey& key, files::Replace replace) const {
  const auto wrong = [this](std::string_view why) {
    return fail(Errc::config, fmt::format("the worker's key cannot be kept in {}: {}", state_dir_, why));
  };
  std::error_code failed;
  std::filesystem::create_directories(state_dir_, failed);
  if (failed) return wrong(failed.message());
  const auto folder = files::Directory::open_root(state_dir_);
  if (!folder) return wrong(folder.error().what);
  const auto written =
      files::write_atomically(*folder, *folder, kKeyName, key.hex() + "\n", files::FileMode::secret, replace);
  if (written) return key;
  if (written.error().code != Errc::conflict) return wrong(written.error().what);
  ATELIER_TRY(auto other, read());  // another agent of this name was faster
  if (!other) return wrong("it comes and goes");
  return *other;
}

bool is_enrolment_token(std::string_view token) { return token.starts_with(link::kEnrolmentTokenPrefix); }

Credentials::Credentials(Runtime& runtime, net::HttpClient& http, net::Url join, std::string worker,
                         std::string token, std::string state_dir)
    : runtime_(runtime),
      http_(http),
      join_(std::move(join)),
      worker_(std::move(worker)),
      token_(std::move(token)),
      key_file_(std::move(state_dir)),
      idle_(runtime) {
  while (join_.target.ends_with('/')) join_.target.pop_back();
}

awaitable<Result<std::string>> Credentials::bearer() {
  while (busy_) {
    if (!co_await idle_.wait(runtime_.now() + kLimit) && busy_)
      co_return fail(Errc::timeout, "the gateway does not answer");
  }
  if (token_only_) co_return token_;
  if (!session_.empty() && runtime_.now() < renew_at_) co_return session_;
  struct Turn {
    explicit Turn(Credentials& owner) : credentials(owner) { credentials.busy_ = true; }
    ~Turn() {
      credentials.busy_ = false;
      credentials.idle_.notify_all();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    Credentials& credentials;
  } const turn(*this);
  co_return co_await renew();
}

bool Credentials::refused(std::string_view bearer) {
  if (session_.empty() || session_ != bearer) return !token_only_;
  session_.clear();
  return true;
}

awaitable<Result<std::string>> Credentials::renew() {
  auto read = [this] { return key_file_.read(); };
  ATELIER_CO_TRY(auto key, co_await run_blocking(runtime_.file_pool(), std::move(read)));
  std::string why = "this machine has no key of its own yet, and no token to enrol with";
  if (key) {
    auto session = co_await open_session(*key);
    if (session || session.error().code != Errc::forbidden) co_return session;
    why = session.error().what;
  }
  if (token_.empty()) co_return fail(Errc::forbidden, std::move(why));
  if (!is_enrolment_token(token_)) {
    // With a key this may be a proxy's answer: the next time the key is tried again.
    token_only_ = !key.has_value();
    co_return token_;
  }
  const bool known = key.has_value();
  if (!key) {
    ATELIER_CO_TRY(key, co_await make_key(files::Replace::no));
  }
  auto enrolled = co_await enrol(key->public_key());
  if (!enrolled && enrolled.error().code == Errc::conflict) {
    ATELIER_CO_TRY(key, co_await make_key(files::Replace::yes));
    enrolled = co_await enrol(key->public_key());
  }
  if (!enrolled) {
    Error error = enrolled.error();
    if (known && error.code == Errc::forbidden) error.what = why + " " + error.what;
    co_return std::unexpected(std::move(error));
  }
  log::info("enrolled", {{"worker", worker_}});
  co_return co_await open_session(*key);
}

awaitable<Result<SigningKey>> Credentials::make_key(files::Replace replace) {
  SigningKey::Seed seed{};
  for (std::size_t i = 0; i < seed.size(); i += 8) {
    std::uint64_t bits = runtime_.random();
    for (std::size_t k = 0; k < 8; ++k, bits >>= 8) seed[i + k] = static_cast<std::uint8_t>(bits);
  }
  const SigningKey fresh(seed);
  auto write = [this, fresh, replace] { return key_file_.write(fresh, replace); };
  co_return co_await run_blocking(runtime_.file_pool(), std::move(write));
}

awaitable<Result<std::string>> Credentials::open_session(SigningKey key) {
  ATELIER_CO_TRY(const Answer asked, co_await post("/worker/challenge", "", ""));
  if (asked.status != 200) co_return std::unexpected(error_of(asked.status, asked.text));
  const auto challenge = comfy::Json::parse(asked.text);
  const std::string text = challenge ? member(*challenge, "challenge") : "";
  if (text.empty()) co_return fail(Errc::unavailable, "the gateway gave no challenge");
  std::string body = object(
      {{"worker", worker_}, {"challenge", text}, {"signature", key.sign(link::proof_text(worker_, text))}});
  ATELIER_CO_TRY(const Answer proved, co_await post("/worker/session", std::move(body), ""));
  if (proved.status != 200) co_return std::unexpected(error_of(proved.status, proved.text));
  const auto session = comfy::Json::parse(proved.text);
  std::string token = session ? member(*session, "token") : "";
  const boost::json::value* life = session ? session->object().if_contains("expires_in_ms") : nullptr;
  if (token.empty() || life == nullptr || !life->is_int64())
    co_return fail(Errc::unavailable, "the gateway opened no session");
  session_ = token;
  renew_at_ = runtime_.now() + milliseconds{life->get_int64()} - kRenewBefore;
  co_return token;
}

awaitable<Result<void>> Credentials::enrol(std::string public_key) {
  std::string body = object({{"worker", worker_}, {"public_key", public_key}});
  ATELIER_CO_TRY(Answer answer, co_await post("/worker/enrol", std::move(body), token_));
  if (answer.status == 200) co_return Result<void>();
  if (answer.status == 409 && answer.text.starts_with(link::kKeyRevoked))
    co_return fail(Errc::conflict, std::move(answer.text));
  co_return std::unexpected(error_of(answer.status, std::move(answer.text)));
}

awaitable<Result<Credentials::Answer>> Credentials::post(std::string path, std::string body,
                                                         std::string bearer) {
  net::Url url = join_;
  url.target += path;
  net::ClientRequest request(net::Method::post, std::move(url));
  if (!bearer.empty()) request.headers.add("Authorization", "Bearer " + bearer);
  request.headers.add("Content-Type", "application/json");
  request.body = std::move(body);
  const Instant deadline = runtime_.now() + kLimit;
  auto response = co_await http_.request(std::move(request), deadline);
  if (!response) co_return std::unexpected(std::move(response).error());
  Answer answer;
  answer.status = response->status;
  ATELIER_CO_TRY(answer.text, co_await response->read_all(kAnswerBytesMax, deadline));
  co_return answer;
}

}  // namespace atelier::agent
