// SPDX-License-Identifier: MIT
// /userdata and /v2/userdata (CI D4): workflows and whatever else the front end keeps.
#include <fmt/format.h>

#include "comfy/json.hpp"
#include "gateway/participant/face_impl.hpp"
#include "gateway/participant/file_answer.hpp"

namespace atelier::gateway {
namespace {

bool is_true(const std::optional<std::string>& text) {
  return text && net::equal_without_case(*text, "true");
}

/// A name is one segment, decoded by the router; what is still encoded then was encoded twice (CI D4).
std::string twice_decoded(std::string name) {
  if (name.find('%') == std::string::npos) return name;
  return net::percent_decode(name).value_or(name);
}

std::string file_json(const files::UserFile& file) {
  return fmt::format(R"({{"path":{},"size":{},"modified":{},"created":{}}})", comfy::quote_json(file.path),
                     file.size, file.modified_ms, file.created_ms);
}

/// What a listing is refused with: ComfyUI's words.
net::Response listing_refusal(const Error& error) {
  const bool told =
      error.code == Errc::bad_request || error.code == Errc::forbidden || error.code == Errc::not_found;
  return told ? net::Response::text(http_status_of(error.code), error.what) : error_response(error);
}

/// ComfyUI's words where it has some: the front end shows them.
net::Response refusal(const Error& error) {
  switch (error.code) {
    case Errc::bad_request:
    case Errc::conflict:
      return net::Response::text(http_status_of(error.code), error.what);
    case Errc::forbidden:
    case Errc::not_found:
      return empty_response(http_status_of(error.code));
    default:
      return error_response(error);
  }
}

net::Response written(const net::Request& request, const files::UserFile& file) {
  const bool full = is_true(request.parameter("full_info"));
  return json_response(full ? file_json(file) : comfy::quote_json(file.path));
}

}  // namespace

awaitable<net::Response> ParticipantFace::Impl::get_userdata(Call& call) {
  const std::string dir = twice_decoded(call.request.parameter("dir").value_or(""));
  const bool recurse = is_true(call.request.parameter("recurse"));
  auto look = [this, participant = call.participant, dir, recurse] {
    return files.user_data().list(participant, dir, recurse);
  };
  const auto listed = co_await files.run(std::move(look));
  if (!listed) co_return listing_refusal(listed.error());
  const bool full = is_true(call.request.parameter("full_info"));
  const bool split = is_true(call.request.parameter("split"));
  std::string text = "[";
  for (const files::UserFile& file : *listed) {
    if (text.size() > 1) text += ',';
    if (full) {
      text += file_json(file);
    } else if (split) {
      text += comfy::quote_json_list(files::split_for_listing(file.path));
    } else {
      text += comfy::quote_json(file.path);
    }
  }
  co_return json_response(text + "]");
}

awaitable<net::Response> ParticipantFace::Impl::get_userdata_v2(Call& call) {
  const std::string path = twice_decoded(call.request.parameter("path").value_or(""));
  auto look = [this, participant = call.participant, path] {
    return files.user_data().list_v2(participant, path);
  };
  const auto listed = co_await files.run(std::move(look));
  if (!listed) co_return listing_refusal(listed.error());
  std::string text = "[";
  for (const files::UserEntry& entry : *listed) {
    if (text.size() > 1) text += ',';
    text += fmt::format(R"({{"name":{},"path":{},"type":"{}")", comfy::quote_json(entry.name),
                        comfy::quote_json(entry.path), entry.is_folder ? "directory" : "file");
    if (!entry.is_folder) {
      text += fmt::format(R"(,"size":{},"modified":{:.6f})", entry.size, entry.modified_seconds);
    }
    text += '}';
  }
  co_return json_response(text + "]");
}

awaitable<net::Response> ParticipantFace::Impl::get_user_file(Call& call) {
  const std::string name = twice_decoded(call.captures.front());
  auto open = [this, participant = call.participant, name] {
    return files.user_data().open(participant, name);
  };
  auto opened = co_await files.run(std::move(open));
  if (!opened) co_return refusal(opened.error());
  if (name == "user.css") {
    // Linked by index.html: the participant's own style for their own page.
    net::Response response = file_answer(call.request, std::move(*opened), "user.txt");
    response.headers.set("Content-Type", "text/css; charset=utf-8");
    response.headers.remove("Content-Disposition");
    co_return response;
  }
  co_return file_answer(call.request, std::move(*opened), name.substr(name.rfind('/') + 1));
}

awaitable<net::Response> ParticipantFace::Impl::post_user_file(Call& call) {
  const std::string name = twice_decoded(call.captures.front());
  const auto room = co_await large_bodies.room_for(call.request, files::kUserFileBytesMax);
  if (!room) co_return error_response(room.error());
  auto body = co_await call.request.read_all(files::kUserFileBytesMax, room->deadline());
  if (!body) co_return error_response(body.error());
  auto reserved = co_await files.reserve(call.participant, body->size(), 1);
  if (!reserved) co_return error_response(reserved.error());
  const std::string overwrite = call.request.parameter("overwrite").value_or("true");
  const auto replace = overwrite == "false" ? files::Replace::no : files::Replace::yes;
  std::uint64_t before = 0;
  bool existed = false;
  auto write = [this, participant = call.participant, &name, &body, replace, &before, &existed] {
    if (const auto old = files.user_data().open(participant, name)) {
      existed = true;
      before = old->size();
    }
    return files.user_data().write(participant, name, *body, replace);
  };
  const auto stored = co_await files.run(std::move(write));
  if (!stored) co_return refusal(stored.error());
  reserved->settle(body->size(), 1);
  if (existed) files.quota().give_back(call.participant, before, 1);
  co_return written(call.request, *stored);
}

awaitable<net::Response> ParticipantFace::Impl::delete_user_file(Call& call) {
  const std::string name = twice_decoded(call.captures.front());
  std::uint64_t size = 0;
  auto remove = [this, participant = call.participant, &name, &size]() -> Result<void> {
    ATELIER_TRY(const auto old, files.user_data().open(participant, name));
    size = old.size();
    return files.user_data().remove(participant, name);
  };
  const auto removed = co_await files.run(std::move(remove));
  if (!removed) co_return refusal(removed.error());
  files.quota().give_back(call.participant, size, 1);
  co_return empty_response(204);
}

awaitable<net::Response> ParticipantFace::Impl::move_user_file(Call& call) {
  const std::string source = twice_decoded(call.captures.at(0));
  const std::string destination = twice_decoded(call.captures.at(1));
  const std::string overwrite = call.request.parameter("overwrite").value_or("true");
  const auto replace = overwrite == "false" ? files::Replace::no : files::Replace::yes;
  std::optional<std::uint64_t> replaced;
  auto move = [this, participant = call.participant, &source, &destination, replace, &replaced] {
    const auto from = files.user_data().open(participant, source);
    const auto old = files.user_data().open(participant, destination);
    if (from && old && from->stat().key.inode != old->stat().key.inode) replaced = old->size();
    return files.user_data().move(participant, source, destination, replace);
  };
  const auto moved = co_await files.run(std::move(move));
  if (!moved) co_return refusal(moved.error());
  if (replaced) files.quota().give_back(call.participant, *replaced, 1);
  co_return written(call.request, *moved);
}

}  // namespace atelier::gateway
