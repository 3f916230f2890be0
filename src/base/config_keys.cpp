// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <cctype>

#include "base/config.hpp"

namespace atelier {
namespace {

constexpr std::int64_t kSecond = 1'000, kMinute = 60 * kSecond, kHour = 60 * kMinute;
constexpr std::int64_t kMega = 1'000'000, kGiga = 1'000 * kMega;

using enum KeyType;

// Names in the old style are kept from the setups that people have (design.md 15). Keep the order: it is the
// page's.
constexpr std::array kKeys{
    KeySpec{"DATA_DIR", text, "./data", 0, 0, "", "", "data",
            "Folder of everything that is kept; made if it is not there."},
    KeySpec{"LISTEN", text, "127.0.0.1", 0, 0, "", "", "",
            "Address to listen on: an IP address or localhost."},
    KeySpec{"HTTP_PORT", number, "8080", 0, 65'535, "", "", "port",
            "Port for plain HTTP; 0 takes any free one."},
    KeySpec{"HTTPS_PORT", number, "443", 0, 65'535, "", "", "",
            "Port for HTTPS, used when SSL_CERT_PATH is set; 0 is off."},
    KeySpec{"DOMAIN", text, "", 0, 0, "", "", "",
            "Host name of the workshop; it and names below it are accepted as Host."},
    KeySpec{"SSL_CERT_PATH", text, "", 0, 0, "", "", "", "PEM file with the certificate chain."},
    KeySpec{"SSL_KEY_PATH", text, "", 0, 0, "", "", "", "PEM file with the certificate's private key."},
    KeySpec{"ACCESS", choice, "auto", 0, 0, "", "auto|open|token|code", "",
            "Who comes in: token asks for the seat's token (atelier tokens), auto is open on loopback only."},
    KeySpec{"NUM_USERS", number, "20", 1, 10'000, "", "", "", "Participants: /user/1/ to /user/NUM_USERS/."},
    KeySpec{"NUM_WORKERS", number, "1", 1, 3, "", "", "",
            "ComfyUI processes per GPU, told to workers at enrolment."},
    KeySpec{"QUEUE_MODE", choice, "fifo", 0, 0, "", "fifo|round_robin|round-robin|priority", "",
            "Order of the queue in a new workshop; later it is changed through /api/v1/queue."},
    KeySpec{"ENABLE_PRIORITY", boolean, "false", 0, 0, "", "", "", "Older way to write QUEUE_MODE=priority."},
    KeySpec{"JOB_TIMEOUT", duration, "30min", 10 * kSecond, 24 * kHour, "s", "", "",
            "Longest time that one job may run."},
    KeySpec{"MAX_QUEUE_DEPTH", number, "5000", 0, 200'000, "", "", "",
            "Most jobs that wait in all; 0 is no limit."},
    KeySpec{"MAX_WAITING_PER_USER", number, "50", 0, 200'000, "", "", "",
            "Most jobs that wait per participant; 0 is no limit."},
    KeySpec{"MAX_RUNNING_PER_USER", number, "0", 0, 1'000, "", "", "",
            "Most jobs that run at once per participant; 0 is no limit."},
    KeySpec{
        "WORKER_CHOICE", choice, "instructor", 0, 0, "", "instructor|participants", "",
        "Who may give a participant's jobs a worker of their own: only the instructor, or participants too."},
    KeySpec{"LEASE_TTL", duration, "30s", 5 * kSecond, 10 * kMinute, "", "", "",
            "How long a silent worker keeps its jobs."},
    KeySpec{"USER_QUOTA", bytes, "10GB", kMega, 100'000 * kGiga, "B", "", "",
            "Disk space of each participant: their files, outputs too (which are never refused), and what an "
            "upload has replaced, for as long as a job may read it and a day more."},
    KeySpec{"MAX_CONNECTIONS_PER_ADDRESS", number, "0", 0, 1'000'000, "", "", "",
            "Connections from one address; 0 is 16 + 16 x participants. Loopback is exempt."},
    KeySpec{"TRUSTED_PROXIES", text, "", 0, 0, "", "", "",
            "Addresses of reverse proxies, separated by commas."},
    KeySpec{"SEAT_PORTS", number, "0", 0, 65'535, "", "", "",
            "First of one port per participant, for clients that take no path prefix: seat 7 is at "
            "SEAT_PORTS + 6. "
            "With a certificate they speak HTTPS and plain HTTP. 0 is off."},
    KeySpec{
        "ENGINE_PAGES_LISTEN", text, "", 0, 0, "", "", "",
        "Address and port, such as 127.0.0.1:8190, at which the instructor may open a worker's own ComfyUI "
        "by ticket; not set is off. With a certificate it speaks HTTPS."},
    KeySpec{
        "ENGINE_PAGES_URL", text, "", 0, 0, "", "", "",
        "What browsers call ENGINE_PAGES_LISTEN where a proxy or another host name stands before it, such "
        "as https://gpu.example.org; never the participants' own address."},
    KeySpec{"CHECKPOINT_ENTRIES", number, "100000", 0, 10'000'000, "", "", "",
            "Entries of the journal after which its state is written down, so that a restart need not read "
            "all of it; 0 is never."},
    KeySpec{"JOURNAL", choice, "sqlite", 0, 0, "", "sqlite|redis", "",
            "Where the journal is kept: in DATA_DIR, or in a Redis with appendfsync always."},
    KeySpec{"REDIS_HOST", text, "127.0.0.1", 0, 0, "", "", "", "Redis for JOURNAL=redis."},
    KeySpec{"REDIS_PORT", number, "6379", 1, 65'535, "", "", "", "Its port."},
    KeySpec{"REDIS_PASSWORD", secret, "", 0, 0, "", "", "", "Its password."},
    KeySpec{
        "REDIS_TLS", boolean, "false", 0, 0, "", "", "",
        "Speak TLS with it; its certificate must be for REDIS_HOST and of an authority the system knows."},
    KeySpec{"REDIS_PREFIX", text, "atelier", 0, 0, "", "", "",
            "Its keys begin with this, in braces: one for each workshop."},
    KeySpec{"INFERENCE_PROVIDER", choice, "local", 0, 0, "", "local|verda|runpod|modal", "",
            "Who rents out the GPUs."},
    KeySpec{"VERDA_API_KEY", secret, "", 0, 0, "", "", "", "id:secret."},
    KeySpec{"RUNPOD_API_KEY", secret, "", 0, 0, "", "", "", "Key for RunPod."},
    KeySpec{"MODAL_API_KEY", secret, "", 0, 0, "", "", "", "id:secret."},
    KeySpec{"BUDGET_PER_DAY", text, "", 0, 0, "", "", "", "Hard cap on spending, such as 40 USD."},
    KeySpec{"ADMIN_USERNAME", text, "admin", 0, 0, "", "", "",
            "The instructor's name at /api/v1, used with ADMIN_PASSWORD."},
    KeySpec{"ADMIN_PASSWORD", secret, "", 0, 0, "", "", "",
            "The instructor's password at /api/v1 (HTTP Basic); a token works always (atelier tokens "
            "--instructor)."},
    KeySpec{"MODELS_PATH", text, "", 0, 0, "", "", "",
            "Root of the model library; default DATA_DIR/library."},
    KeySpec{"OUTPUTS_PATH", text, "", 0, 0, "", "", "",
            "Root of the output folders; default DATA_DIR/participants/N/output."},
    KeySpec{"INPUTS_PATH", text, "", 0, 0, "", "", "",
            "Root of the input folders; default DATA_DIR/participants/N/input."},
    KeySpec{"WORKFLOWS_PATH", text, "", 0, 0, "", "", "",
            "Root of the workflow folders; default DATA_DIR/participants/N/userdata."},
    KeySpec{"FRONTEND_DIR", text, "", 0, 0, "", "", "",
            "The stock front end's static folder; found beside the program if not set."},
    KeySpec{"WEB_DIR", text, "", 0, 0, "", "", "",
            "Atelier's own web files; found beside the program if not set."},
    KeySpec{"LOG_LEVEL", choice, "info", 0, 0, "", "debug|info|warn|error", "",
            "Least important lines that are logged."},
};

// In the order of the table. A key leaves this list with the change that reads it.
constexpr std::array<std::string_view, 7> kWithoutEffect = {
    "NUM_WORKERS",    "TRUSTED_PROXIES", "INFERENCE_PROVIDER", "VERDA_API_KEY",
    "RUNPOD_API_KEY", "MODAL_API_KEY",   "BUDGET_PER_DAY"};

}  // namespace

bool has_effect(std::string_view name) {
  return std::ranges::find(kWithoutEffect, name) == kWithoutEffect.end();
}

std::string help_of(const KeySpec& key) {
  return std::string(key.help) + (has_effect(key.name) ? "" : " No effect in this version.");
}

std::span<const KeySpec> config_keys() { return kKeys; }

const KeySpec* find_key(std::string_view name) {
  const auto found = std::ranges::find(kKeys, name, &KeySpec::name);
  return found == kKeys.end() ? nullptr : &*found;
}

std::string option_name(std::string_view key) {
  std::string name;
  for (char c : key)
    name.push_back(c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
  return name;
}

}  // namespace atelier
