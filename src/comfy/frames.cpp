// SPDX-License-Identifier: MIT
// The binary half of messages.hpp (comfyui-interface.md B4).
#include <fmt/format.h>

#include <boost/json.hpp>
#include <cstdint>

#include "comfy/messages.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

constexpr std::size_t kWord = 4;
constexpr std::size_t kMetadataBytesMax = 64u << 10;

std::uint32_t read_word(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < kWord; ++i) value = (value << 8) | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

void write_word(std::uint32_t value, std::string& out) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>((value >> shift) & 0xFF);
}

std::string begin_frame(FrameKind kind, std::size_t bytes) {
  std::string out;
  out.reserve(bytes + 3 * kWord);
  write_word(static_cast<std::uint32_t>(kind), out);
  return out;
}

/// A uint32 length and that many bytes; what follows stays in `rest`.
Result<std::string_view> take_block(std::string_view& rest) {
  if (rest.size() < kWord) return fail(Errc::protocol, "a binary frame ends inside a length");
  const std::size_t length = read_word(rest, 0);
  rest.remove_prefix(kWord);
  if (length > rest.size()) return fail(Errc::protocol, "a binary frame is shorter than it says");
  const std::string_view block = rest.substr(0, length);
  rest.remove_prefix(length);
  return block;
}

Result<Json> metadata_of(const Frame& frame) {
  ATELIER_TRY(Json parsed,
              Json::parse(frame.metadata, JsonLimits{.bytes_max = kMetadataBytesMax, .depth_max = 16}));
  if (!parsed.is_object()) return fail(Errc::protocol, "the metadata of a preview is not an object");
  return parsed;
}

/// Without parsing: previews come twenty times a second. In a string of JSON no quote stands without a
/// backslash before it, so that this is the member, whatever a node is called.
ImageFormat format_in(std::string_view metadata) {
  constexpr std::string_view kName = "\"image_type\"", kPng = "\"image/png\"";
  const std::size_t at = metadata.find(kName);
  if (at == std::string_view::npos) return ImageFormat::jpeg;
  const std::size_t value = metadata.find_first_not_of(" :", at + kName.size());
  const bool png = value != std::string_view::npos && metadata.substr(value).starts_with(kPng);
  return png ? ImageFormat::png : ImageFormat::jpeg;
}

}  // namespace

Result<Frame> decode_frame(std::string_view bytes) {
  if (bytes.size() < kWord) return fail(Errc::protocol, "a binary frame without a kind");
  return decode_frame(read_word(bytes, 0), bytes.substr(kWord));
}

Result<Frame> decode_frame(std::uint32_t kind, std::string_view rest) {
  Frame frame;
  frame.kind = static_cast<FrameKind>(kind);
  switch (frame.kind) {
    case FrameKind::preview: {
      if (rest.size() < kWord) return fail(Errc::protocol, "a preview frame without a format");
      const std::uint32_t format = read_word(rest, 0);
      if (format != 1 && format != 2)
        return fail(Errc::protocol, fmt::format("a preview of unknown format {}", format));
      frame.format = static_cast<ImageFormat>(format);
      frame.payload = rest.substr(kWord);
      return frame;
    }
    case FrameKind::text: {
      ATELIER_TRY(frame.node, take_block(rest));
      frame.payload = rest;
      return frame;
    }
    case FrameKind::preview_with_metadata: {
      ATELIER_TRY(frame.metadata, take_block(rest));
      frame.payload = rest;
      frame.format = format_in(frame.metadata);
      return frame;
    }
  }
  return fail(Errc::protocol, fmt::format("a binary frame of unknown kind {}", kind));
}

std::string encode_preview(ImageFormat format, std::string_view image) {
  std::string out = begin_frame(FrameKind::preview, image.size());
  write_word(static_cast<std::uint32_t>(format), out);
  out += image;
  return out;
}

std::string encode_text(std::string_view node, std::string_view text) {
  std::string out = begin_frame(FrameKind::text, node.size() + text.size());
  write_word(static_cast<std::uint32_t>(node.size()), out);
  out += node;
  out += text;
  return out;
}

std::string encode_preview_with_metadata(std::string_view metadata_json, std::string_view image) {
  std::string out = begin_frame(FrameKind::preview_with_metadata, metadata_json.size() + image.size());
  write_word(static_cast<std::uint32_t>(metadata_json.size()), out);
  out += metadata_json;
  out += image;
  return out;
}

std::string preview_metadata_json(const PreviewMetadata& metadata) {
  return fmt::format(
      R"({{"node_id":{},"prompt_id":{},"display_node_id":{},"parent_node_id":{},"real_node_id":{},"image_type":"{}"}})",
      quote_json(metadata.node_id), quote_json(metadata.prompt_id), quote_json(metadata.display_node_id),
      metadata.parent_node_id ? quote_json(*metadata.parent_node_id) : "null",
      quote_json(metadata.real_node_id), metadata.format == ImageFormat::png ? "image/png" : "image/jpeg");
}

Result<std::string> to_legacy_preview(std::string_view frame) {
  ATELIER_TRY(const Frame decoded, decode_frame(frame));
  if (decoded.kind != FrameKind::preview_with_metadata) return std::string(frame);
  return to_legacy_preview(decoded);
}

std::string to_legacy_preview(const Frame& frame) { return encode_preview(frame.format, frame.payload); }

Result<std::string> frame_with_prompt_id(std::string_view frame, std::string_view prompt_id) {
  ATELIER_TRY(const Frame decoded, decode_frame(frame));
  if (decoded.kind != FrameKind::preview_with_metadata) return std::string(frame);
  return frame_with_prompt_id(decoded, prompt_id);
}

Result<std::string> frame_with_prompt_id(const Frame& frame, std::string_view prompt_id) {
  ATELIER_TRY(Json metadata, metadata_of(frame));
  metadata.object()["prompt_id"] = json::string_view(prompt_id.data(), prompt_id.size());
  return encode_preview_with_metadata(metadata.print(), frame.payload);
}

Result<std::optional<std::string>> prompt_id_of_frame(std::string_view frame) {
  ATELIER_TRY(const Frame decoded, decode_frame(frame));
  if (decoded.kind != FrameKind::preview_with_metadata) return std::nullopt;
  ATELIER_TRY(const Json metadata, metadata_of(decoded));
  const auto* id = metadata.object().if_contains("prompt_id");
  if (id == nullptr || !id->is_string()) return std::nullopt;
  return std::string(id->get_string().data(), id->get_string().size());
}

}  // namespace atelier::comfy
