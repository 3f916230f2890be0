// SPDX-License-Identifier: MIT
#include "gateway/http_errors.hpp"

#include <doctest/doctest.h>

#include <boost/json.hpp>

#include "comfy/json.hpp"

namespace atelier::gateway {
namespace {

const std::string& text_of(const net::Response& response) { return std::get<std::string>(response.body); }

TEST_CASE("each kind of failure has one status") {
  const std::pair<Errc, unsigned> table[] = {
      {Errc::bad_request, 400},  {Errc::bad_prompt, 400},  {Errc::bad_hash, 400},  {Errc::protocol, 400},
      {Errc::unauthorized, 401}, {Errc::forbidden, 403},   {Errc::not_found, 404}, {Errc::timeout, 408},
      {Errc::conflict, 409},     {Errc::stale_epoch, 409}, {Errc::too_large, 413}, {Errc::queue_full, 429},
      {Errc::unsupported, 501},  {Errc::unavailable, 503}, {Errc::cancelled, 503}, {Errc::closed, 503},
      {Errc::disk_full, 507},    {Errc::io, 500},          {Errc::internal, 500},  {Errc::config, 500},
      {Errc::newer_version, 500}};
  for (const auto& [code, status] : table) {
    CAPTURE(to_string(code));
    CHECK(http_status_of(code) == status);
    CHECK(error_response({code, "x"}).status == status);
    CHECK(prompt_error_response({code, "x"}).status == status);
  }
}

TEST_CASE("where trying again helps the answer says when") {
  for (const Errc code : {Errc::queue_full, Errc::unavailable, Errc::disk_full}) {
    CHECK(error_response({code, "x"}).headers.contains("Retry-After"));
    CHECK(prompt_error_response({code, "x"}).headers.contains("Retry-After"));
  }
  for (const Errc code : {Errc::bad_request, Errc::conflict, Errc::io}) {
    CHECK_FALSE(error_response({code, "x"}).headers.contains("Retry-After"));
  }
}

TEST_CASE("a refused prompt is told in ComfyUI's shape with the sentence for people") {
  const auto response = prompt_error_response({Errc::queue_full, "You have \"50\" jobs."});
  const auto body = comfy::Json::parse(text_of(response)).value().value();
  CHECK(body.at("error").at("type") == "queue_full");
  CHECK(body.at("error").at("message") == "You have \"50\" jobs.");
  CHECK(body.at("error").at("details") == "");
  CHECK(body.at("error").at("extra_info").is_object());
  CHECK(body.at("node_errors").as_object().empty());
  CHECK(response.headers.get("Content-Type").starts_with("application/json"));
}

TEST_CASE("what the operating system said is not told to whoever asked") {
  const Error error{Errc::io, "open(/srv/secret/data): Input/output error"};
  CHECK(text_of(error_response(error)).find("secret") == std::string::npos);
  CHECK(text_of(prompt_error_response(error)).find("secret") == std::string::npos);
  CHECK(text_of(error_response({Errc::not_found, "There is no cat.png."})).find("cat.png") !=
        std::string::npos);
}

}  // namespace
}  // namespace atelier::gateway
