// SPDX-License-Identifier: MIT
// The OpenAPI 3.1 document, made of the table of routes, so that it cannot say otherwise.
#include <fmt/format.h>

#include <map>

#include "comfy/json.hpp"
#include "gateway/instructor/instructor_impl.hpp"

namespace atelier::gateway {
namespace {

using comfy::quote_json;

constexpr std::string_view kInfo =
    R"({"title":"Atelier","version":"1","license":{"name":"MIT","identifier":"MIT"},)"
    R"("description":"What an instructor sees and steers, and what participants may do with their own jobs. )"
    R"(Times are Unix milliseconds, durations milliseconds. Every command may carry an Idempotency-Key."})";

constexpr std::string_view kSecurity =
    R"("securitySchemes":{"token":{"type":"http","scheme":"bearer",)"
    R"("description":"The instructor's or a participant's token (atelier tokens)."},)"
    R"("password":{"type":"http","scheme":"basic","description":"ADMIN_USERNAME and ADMIN_PASSWORD."}})";

/// What each problem means; its type points here.
constexpr std::pair<unsigned, std::string_view> kProblems[] = {
    {400, "The request cannot be understood."},
    {401, "No token, or none that is valid."},
    {403, "The token's owner may not do this."},
    {404, "There is no such thing, or it is not the caller's."},
    {405, "The address has other methods; Allow names them."},
    {409, "It contradicts how things stand: nothing was changed."},
    {413, "The body is too large."},
    {415, "The body is not declared as JSON."},
    {422, "Members of the body are wrong: errors names each with its pointer. Nothing was changed."},
    {429, "Too many; try again after Retry-After."},
    {500, "The server's own fault; its log says why."},
    {503, "Not now; try again after Retry-After."},
    {507, "The server's disk is full."},
};

std::string ref(std::string_view kind, std::string_view name) {
  return fmt::format(R"({{"$ref":"#/components/{}/{}"}})", kind, name);
}

/// The words of a list separated by spaces.
template <class F>
void each_word(std::string_view words, F visit) {
  while (!words.empty()) {
    const std::size_t space = std::min(words.find(' '), words.size());
    visit(words.substr(0, space));
    words.remove_prefix(std::min(space + 1, words.size()));
  }
}

std::string parameters_of(const ApiRoute& route) {
  std::string list;
  const auto add = [&list](std::string_view name) {
    list += fmt::format("{}{}", list.empty() ? "" : ",", ref("parameters", name));
  };
  for (std::size_t open = route.path.find('{'); open != std::string_view::npos;
       open = route.path.find('{', open + 1)) {
    add(fmt::format("path_{}", route.path.substr(open + 1, route.path.find('}', open) - open - 1)));
  }
  each_word(route.query, add);
  if (route.is_command()) add("idempotency_key");
  return list;
}

std::string responses_of(const ApiRoute& route) {
  std::string list;
  if (route.answer.empty()) {
    list = R"("101":{"description":"The socket is open."})";
  } else {
    const int status = route.answer == "Ticket" || route.answer == "EnrolmentMade" ? 201 : 200;
    list = fmt::format(R"("{}":{{"description":"Done.","content":{{"application/json":{{"schema":{}}}}}}})",
                       status, ref("schemas", route.answer));
  }
  std::string refusals = "401 403";
  if (route.is_command()) refusals += " 400 413 415 422 503 507";
  if (!route.refusals.empty()) refusals += fmt::format(" {}", route.refusals);
  each_word(refusals, [&](std::string_view status) {
    list += fmt::format(R"(,"{}":{})", status, ref("responses", "Problem"));
  });
  return list;
}

std::string operation_of(const ApiRoute& route) {
  std::string body;
  if (!route.body.empty()) {
    body = fmt::format(R"(,"requestBody":{{"required":{},"content":{{"application/json":{{"schema":{}}}}}}})",
                       route.body_required(), ref("schemas", route.body));
  }
  return fmt::format(
      R"({{"operationId":"{}","summary":{},"x-role":"{}","parameters":[{}]{},"responses":{{{}}}}})", route.id,
      quote_json(route.summary), route.least == Role::instructor ? "instructor" : "participant",
      parameters_of(route), body, responses_of(route));
}

std::string lower(std::string_view method) {
  std::string name(method);
  for (char& c : name) c = static_cast<char>(c - 'A' + 'a');
  return name;
}

}  // namespace

std::string openapi_document() {
  std::map<std::string_view, std::string> by_path;
  for (const ApiRoute& route : api_routes()) {
    std::string& operations = by_path[route.path];
    operations += fmt::format(R"({}"{}":{})", operations.empty() ? "" : ",",
                              lower(net::to_string(route.method)), operation_of(route));
  }
  std::string paths;
  for (const auto& [path, operations] : by_path)
    paths += fmt::format(R"({}"{}{}":{{{}}})", paths.empty() ? "" : ",", kApiRoot, path, operations);
  std::string problems;
  for (const auto& [status, meaning] : kProblems)
    problems +=
        fmt::format(R"({}"{}":{})", problems.empty() ? "" : ",", problem_name(status), quote_json(meaning));
  return fmt::format(
      R"({{"openapi":"3.1.0","info":{},"security":[{{"token":[]}},{{"password":[]}}],"paths":{{{}}},)"
      R"("components":{{{},"schemas":{{{}}},"parameters":{{{}}},"responses":{{"Problem":{{)"
      R"("description":"Not done; the body says why and what to do.","content":)"
      R"({{"application/problem+json":{{"schema":{}}}}}}}}},"x-problems":{{{}}}}}}})",
      kInfo, paths, kSecurity, kOpenApiSchemas, kOpenApiParameters, ref("schemas", "Problem"), problems);
}

}  // namespace atelier::gateway
