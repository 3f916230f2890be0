// SPDX-License-Identifier: MIT
#include "agent/kept_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <fstream>
#include <set>

#include "comfy/json.hpp"
#include "link/codec.hpp"

namespace atelier::agent {
namespace json = boost::json;
namespace {

constexpr std::uint64_t kForm = 1;
constexpr std::string_view kPrefix = "run-", kSuffix = ".json";
constexpr std::array kPlaces{"spool", "output", "temp", "input"};

/// Reads the members of an object; says of the first that is not there, or is something else.
class Reader {
 public:
  explicit Reader(const json::value& value)
      : object_(value.is_object() ? &value.get_object() : nullptr), good_(object_ != nullptr) {}

  std::string text(std::string_view key) {
    const json::value* value = member(key);
    if (value != nullptr && value->is_string()) return std::string(value->get_string());
    return miss(key), std::string();
  }
  std::uint64_t number(std::string_view key) {
    const json::value* value = member(key);
    if (value != nullptr && value->is_uint64()) return value->get_uint64();
    if (value != nullptr && value->is_int64() && value->get_int64() >= 0)
      return static_cast<std::uint64_t>(value->get_int64());
    return miss(key), 0;
  }
  bool flag(std::string_view key) {
    const json::value* value = member(key);
    if (value != nullptr && value->is_bool()) return value->get_bool();
    return miss(key), false;
  }
  const json::array& list(std::string_view key) {
    static const json::array none;
    const json::value* value = member(key);
    if (value != nullptr && value->is_array()) return value->get_array();
    return miss(key), none;
  }
  [[nodiscard]] Result<void> done() const {
    if (good_) return {};
    return fail(Errc::bad_request, fmt::format("\"{}\" is missing or of another type", missing_));
  }

 private:
  const json::value* member(std::string_view key) const {
    return object_ == nullptr ? nullptr : object_->if_contains(key);
  }
  void miss(std::string_view key) {
    if (good_) missing_ = key;
    good_ = false;
  }

  const json::object* object_;
  bool good_;
  std::string missing_ = "{}";
};

Result<KeptFile> read_file(const json::value& value) {
  Reader reader(value);
  KeptFile file;
  file.node = reader.text("node");
  const std::uint64_t index = reader.number("index");
  const std::string place = reader.text("place");
  file.path = reader.text("path");
  file.key.inode = reader.number("inode");
  file.key.size = reader.number("size");
  file.key.modified_ns = static_cast<std::int64_t>(reader.number("modified_ns"));
  ATELIER_TRY_VOID(reader.done());
  const auto found = std::ranges::find(kPlaces, place);
  if (found == kPlaces.end() || index >= link::kFilesPerJobMax)
    return fail(Errc::bad_request, "a file of it lies nowhere");
  file.index = static_cast<std::uint32_t>(index);
  file.place = static_cast<KeptPlace>(found - kPlaces.begin());
  return file;
}

template <class Message>
Result<Message> read_message(const json::value& text) {
  if (!text.is_string()) return fail(Errc::bad_request, "a message of it is no text");
  ATELIER_TRY(link::AgentMessage message, link::decode_agent(text.get_string()));
  Message* found = std::get_if<Message>(&message);
  if (found == nullptr) return fail(Errc::bad_request, "a message of it is another one");
  return std::move(*found);
}

/// Each file of each commit once, and as large as the commit says.
Result<void> check_files(const KeptRun& kept) {
  std::set<std::pair<std::string_view, std::uint32_t>> there;
  std::size_t wanted = 0;
  for (const link::Commit& commit : kept.run.commits) wanted += commit.files.size();
  for (const KeptFile& file : kept.files) {
    const auto commit = std::ranges::find(kept.run.commits, file.node, &link::Commit::node);
    if (commit == kept.run.commits.end() || file.index >= commit->files.size() ||
        commit->files[file.index].size != file.key.size || !there.emplace(file.node, file.index).second)
      return fail(Errc::bad_request, "its files are not those of its commits");
  }
  if (there.size() != wanted) return fail(Errc::bad_request, "a file of its commits is missing");
  return {};
}

}  // namespace

std::string kept_name(RunKey key) { return fmt::format("{}{}-{}{}", kPrefix, key.job, key.epoch, kSuffix); }

bool is_kept_name(std::string_view name) { return name.starts_with(kPrefix) && name.ends_with(kSuffix); }

std::string encode_kept(const KeptRun& kept) {
  json::array commits;
  for (const link::Commit& commit : kept.run.commits)
    commits.emplace_back(link::encode(link::AgentMessage{commit}));
  json::array files;
  for (const KeptFile& file : kept.files) {
    files.emplace_back(json::object{{"node", file.node},
                                    {"index", file.index},
                                    {"place", kPlaces[static_cast<std::size_t>(file.place)]},
                                    {"path", file.path},
                                    {"inode", file.key.inode},
                                    {"size", file.key.size},
                                    {"modified_ns", file.key.modified_ns}});
  }
  json::object object{{"form", kForm},
                      {"machine_start", kept.machine_start},
                      {"workshop", kept.run.workshop},
                      {"slot", kept.run.slot},
                      {"started", kept.run.started},
                      {"gpu_ms", kept.run.gpu_ms},
                      {"ended", link::encode(link::AgentMessage{kept.run.ended})},
                      {"commits", std::move(commits)},
                      {"files", std::move(files)}};
  return comfy::print_json(object);
}

Result<KeptRun> decode_kept(std::string_view text) {
  ATELIER_TRY(const comfy::Json parsed, comfy::Json::parse(text, {.bytes_max = kKeptBytesMax}));
  Reader reader(parsed.value());
  KeptRun kept;
  const std::uint64_t form = reader.number("form");
  kept.machine_start = reader.text("machine_start");
  kept.run.workshop = reader.text("workshop");
  const std::uint64_t slot = reader.number("slot");
  kept.run.started = reader.flag("started");
  kept.run.gpu_ms = reader.number("gpu_ms");
  const std::string ended = reader.text("ended");
  const json::array& commits = reader.list("commits");
  const json::array& files = reader.list("files");
  ATELIER_TRY_VOID(reader.done());
  if (form != kForm) return fail(Errc::bad_request, fmt::format("its form {} is not known", form));
  if (slot >= link::kSlotsMax || kept.run.gpu_ms > link::kIdMax)
    return fail(Errc::bad_request, "a number of it is too large");
  kept.run.slot = static_cast<std::uint32_t>(slot);
  ATELIER_TRY(kept.run.ended, read_message<link::Ended>(json::value(ended)));
  kept.run.key = RunKey{kept.run.ended.job, kept.run.ended.epoch};
  for (const json::value& one : commits) {
    ATELIER_TRY(link::Commit commit, read_message<link::Commit>(one));
    const auto same = std::ranges::find(kept.run.commits, commit.node, &link::Commit::node);
    if (same != kept.run.commits.end() || RunKey{commit.job, commit.epoch} != kept.run.key)
      return fail(Errc::bad_request, "a commit of it is another job's");
    kept.run.commits.push_back(std::move(commit));
  }
  for (const json::value& one : files) {
    ATELIER_TRY(KeptFile file, read_file(one));
    kept.files.push_back(std::move(file));
  }
  ATELIER_TRY_VOID(check_files(kept));
  return kept;
}

std::string machine_start() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace atelier::agent
