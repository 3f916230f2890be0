// SPDX-License-Identifier: MIT
// /settings (CI D5): the participant's own, with our defaults where they have none (CI F6).
#include <boost/json.hpp>

#include "comfy/json.hpp"
#include "gateway/participant/face_impl.hpp"

namespace atelier::gateway {
namespace json = boost::json;
namespace {

/// No tour, no release notes from another host, no warning about versions, no button that unloads a GPU that
/// is everybody's. What the participant sets wins.
json::object default_settings(std::string_view frontend_version) {
  return {{"Comfy.TutorialCompleted", true},
          {"Comfy.InstalledVersion", json::string_view(frontend_version.data(), frontend_version.size())},
          {"Comfy.Notification.ShowVersionUpdates", false},
          {"Comfy.VersionCompatibility.DisableWarnings", true},
          {"Comfy.Memory.AllowManualUnload", false},
          {"Comfy.UseNewMenu", "Top"}};
}

}  // namespace

awaitable<net::Response> ParticipantFace::Impl::get_settings(Call& call) {
  auto read = [this, participant = call.participant] { return files.settings().all(participant); };
  const auto own = co_await files.run(std::move(read));
  if (!own) co_return error_response(own.error());
  json::object settings = default_settings(options.frontend_version);
  if (const auto parsed = comfy::Json::parse(*own); parsed && parsed->is_object()) {
    for (const auto& member : parsed->object()) settings[member.key()] = member.value();
  }
  co_return json_response(comfy::print_json(json::value(std::move(settings))));
}

awaitable<net::Response> ParticipantFace::Impl::post_settings(Call& call) {
  const auto room = co_await large_bodies.room_for(call.request, files::kSettingsBytesMax);
  if (!room) co_return error_response(room.error());
  auto body = co_await call.request.read_all(files::kSettingsBytesMax, room->deadline());
  if (!body) co_return error_response(body.error());
  auto merge = [this, participant = call.participant, &body] {
    return files.settings().merge(participant, *body);
  };
  const auto merged = co_await files.run(std::move(merge));
  co_return merged ? empty_response() : error_response(merged.error());
}

awaitable<net::Response> ParticipantFace::Impl::get_setting(Call& call) {
  const std::string id = call.captures.front();
  auto read = [this, participant = call.participant, &id] { return files.settings().get(participant, id); };
  const auto own = co_await files.run(std::move(read));
  if (!own) co_return error_response(own.error());
  if (*own == "null") {
    const json::object defaults = default_settings(options.frontend_version);
    if (const json::value* value = defaults.if_contains(id))
      co_return json_response(comfy::print_json(*value));
  }
  co_return json_response(*own);
}

awaitable<net::Response> ParticipantFace::Impl::post_setting(Call& call) {
  const auto room = co_await large_bodies.room_for(call.request, files::kSettingsBytesMax);
  if (!room) co_return error_response(room.error());
  auto body = co_await call.request.read_all(files::kSettingsBytesMax, room->deadline());
  if (!body) co_return error_response(body.error());
  auto set = [this, participant = call.participant, &id = call.captures.front(), &body] {
    return files.settings().set(participant, id, *body);
  };
  const auto done = co_await files.run(std::move(set));
  co_return done ? empty_response() : error_response(done.error());
}

}  // namespace atelier::gateway
