// SPDX-License-Identifier: MIT
#include "image/render_request.hpp"

#include <algorithm>
#include <array>

namespace atelier::image {
namespace {

constexpr std::string_view kMagic = "pic1";
constexpr std::size_t kSentenceBytesMax = 200;
// The index is the byte on the socket; 0 is success.
constexpr std::array<Errc, 5> kErrors = {Errc::internal, Errc::unsupported, Errc::too_large,
                                         Errc::bad_request, Errc::io};

}  // namespace

std::string_view content_type_of(RenderForm form) {
  switch (form) {
    case RenderForm::webp:
      return "image/webp";
    case RenderForm::jpeg:
      return "image/jpeg";
    case RenderForm::png_rgb:
    case RenderForm::png_alpha:
    case RenderForm::masked:
      return "image/png";
  }
  return "application/octet-stream";
}

std::string encode(const RenderRequest& request) {
  std::string bytes(kMagic);
  bytes += static_cast<char>(request.form);
  bytes += static_cast<char>(request.quality);
  bytes += static_cast<char>(request.drop_alpha);
  bytes += '\0';
  return bytes;
}

std::optional<RenderRequest> decode_request(std::string_view bytes) {
  if (bytes.size() != 8 || !bytes.starts_with(kMagic)) return std::nullopt;
  const auto byte = [&](std::size_t at) { return static_cast<std::uint8_t>(bytes[at]); };
  if (byte(4) > static_cast<std::uint8_t>(RenderForm::masked) || byte(5) < 1 || byte(5) > 100)
    return std::nullopt;
  return RenderRequest{static_cast<RenderForm>(byte(4)), byte(5), byte(6) != 0};
}

std::string encode_answer(const Result<void>& result) {
  if (result) return std::string(1, '\0');
  const auto* found = std::ranges::find(kErrors, result.error().code);
  const auto place = found == kErrors.end() ? 0 : found - kErrors.begin();
  return static_cast<char>(1 + place) + result.error().what.substr(0, kSentenceBytesMax);
}

Result<void> decode_answer(std::string_view bytes) {
  if (bytes.empty()) return fail(Errc::protocol, "the image process answered nothing");
  const auto kind = static_cast<std::uint8_t>(bytes.front());
  if (kind == 0) return {};
  if (kind > kErrors.size()) return fail(Errc::protocol, "the image process answered nonsense");
  return fail(kErrors[kind - 1U], std::string(bytes.substr(1)));
}

}  // namespace atelier::image
