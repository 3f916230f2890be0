// SPDX-License-Identifier: MIT
// The editor page and its files (CI A5, F1, F3): the stock front end with one script put before it.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/log.hpp"
#include "gateway/participant/face_impl.hpp"

namespace atelier::gateway {
namespace {

constexpr std::string_view kBootScript = R"(<script src="extensions/atelier/boot.js"></script>)";

// What ComfyUI sends with --offline (CI, general rules), and what keeps the page inside its own frame. Custom
// nodes' scripts need eval; nothing may come from or go to another host.
constexpr std::string_view kContentSecurityPolicy =
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; frame-src 'self'; "
    "object-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'";

// There is no account to sign in to: the front end shows its button all the same (CI F5).
constexpr std::string_view kUserCss = "[data-testid=\"login-button\"]{display:none}\n";

std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

}  // namespace

std::string read_index_page(const std::string& frontend_folder) {
  if (frontend_folder.empty()) return {};
  std::string page = read_whole(frontend_folder + "/index.html");
  const std::size_t head = page.find("<head>");
  if (head == std::string::npos) {
    log::warn("no_front_end", {{"folder", frontend_folder}});
    return {};
  }
  page.insert(head + std::string_view("<head>").size(), kBootScript);
  return page;
}

std::shared_ptr<const std::string> gzip_page(std::string_view page) {
  auto part = deflate_part(page);
  if (page.empty() || !part) return nullptr;
  GzipStream stream;
  stream.add(*part);
  return std::make_shared<const std::string>(std::move(stream).finish());
}

awaitable<net::Response> ParticipantFace::Impl::get_index(Call& call) {
  if (index_page->empty()) {
    co_return net::Response::text(404, "The editor is not installed here. Its folder is FRONTEND_DIR.");
  }
  co_await welcome(call.participant);
  const bool gzip = index_page_gzip && accepts_coding(call.request.headers.get("Accept-Encoding"), "gzip");
  net::Response response(200, "text/html; charset=utf-8",
                         net::SharedBody(gzip ? index_page_gzip : index_page));
  if (gzip) response.headers.add("Content-Encoding", "gzip");
  response.headers.add("Vary", "Accept-Encoding");
  response.headers.add("Cache-Control", "no-store, must-revalidate");
  response.headers.add("Content-Security-Policy", kContentSecurityPolicy);
  response.headers.add("Referrer-Policy", "same-origin");
  response.headers.add("X-Content-Type-Options", "nosniff");
  co_return response;
}

net::Response ParticipantFace::Impl::get_user_css(const Call&) {
  net::Response response(200, "text/css; charset=utf-8", std::string(kUserCss));
  response.headers.add("Cache-Control", "public, max-age=3600");
  return response;
}

awaitable<net::Response> ParticipantFace::Impl::get_own_extension(Call& call) {
  if (auto found = co_await own_files.serve(call.request, call.captures.front())) co_return std::move(*found);
  co_return net::Response::text(404, "404: Not Found");
}

awaitable<net::Response> ParticipantFace::Impl::get_template(Call& call) {
  co_return co_await templates.serve(call.request, call.captures.front());
}

awaitable<net::Response> ParticipantFace::Impl::get_docs(Call& call) {
  auto path = net::percent_decode(call.captures.front());
  if (!path) co_return net::Response::text(404, "404: Not Found");
  co_return co_await docs.serve(call.request, std::move(*path));
}

awaitable<net::Response> ParticipantFace::Impl::get_static(Call& call) {
  auto path = net::percent_decode(call.path.substr(1));
  if (path) {
    if (auto found = co_await frontend.serve(call.request, std::move(*path))) co_return std::move(*found);
  }
  co_return net::Response::text(404, "404: Not Found");
}

awaitable<void> ParticipantFace::Impl::welcome(ParticipantId participant) {
  if (options.welcome_folder.empty() || !welcomed.insert(participant).second) co_return;
  auto put = [this, participant]() -> Result<void> {
    // The folder of workflows is there from the first visit on, also when its owner has emptied it.
    const auto known = files.user_data().list(participant, "workflows", false);
    if (known || known.error().code != Errc::not_found) return Result<void>{};
    const std::string picture = read_whole(options.welcome_folder + "/welcome.png");
    const std::string workflow = read_whole(options.welcome_folder + "/Welcome.json");
    ATELIER_TRY(auto file, files.participants().create_upload(picture.size()));
    ATELIER_TRY_VOID(file.write(picture));
    ATELIER_TRY_VOID(file.finish(files::FileMode::read_only));
    files::StoreRequest request;
    request.name = "welcome.png";
    ATELIER_TRY_VOID(files.participants().store_upload(participant, request, std::move(file)));
    ATELIER_TRY_VOID(
        files.user_data().write(participant, "workflows/Welcome.json", workflow, files::Replace::no));
    return Result<void>{};
  };
  const auto done = co_await files.run(std::move(put));
  if (!done) {
    welcomed.erase(participant);  // tried again at the next visit
    log::warn("no_welcome", {{"participant", participant}, {"reason", done.error().what}});
  }
}

}  // namespace atelier::gateway
