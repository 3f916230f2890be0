// SPDX-License-Identifier: MIT
#pragma once
// SHA-256 digests: the names of blobs and the identity of bodies.

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace atelier {

/// A SHA-256 digest. All zero means "none".
struct Digest {
  std::array<std::uint8_t, 32> bytes{};
  auto operator<=>(const Digest&) const = default;
  explicit operator bool() const { return *this != Digest{}; }
  [[nodiscard]] std::string hex() const;  // 64 lowercase digits
  /// Error bad_request unless exactly 64 hex digits.
  [[nodiscard]] static Result<Digest> parse(std::string_view hex);
};

/// Incremental SHA-256 (libcrypto's EVP). Not shared between threads.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  void update(std::string_view bytes);
  void update(std::span<const std::byte> bytes);
  /// Ends the computation; the hasher starts anew.
  [[nodiscard]] Digest finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

[[nodiscard]] Digest sha256(std::string_view bytes);
/// RFC 2104 with SHA-256.
[[nodiscard]] Digest hmac_sha256(std::string_view key, std::string_view bytes);
/// Takes the same time whatever the difference; different lengths differ at once.
[[nodiscard]] bool equal_in_constant_time(std::string_view a, std::string_view b);

/// Lowercase hex of any bytes.
[[nodiscard]] std::string to_hex(std::span<const std::uint8_t> bytes);

/// 128 random-looking bits as a value: ids of attachments, boots, run ids.
struct Key128 {
  std::uint64_t high = 0, low = 0;
  auto operator<=>(const Key128&) const = default;
  explicit operator bool() const { return high != 0 || low != 0; }
  [[nodiscard]] std::string hex() const;   // 32 lowercase digits
  [[nodiscard]] std::string uuid() const;  // 8-4-4-4-12 lowercase digits, bits as they are
  [[nodiscard]] static Result<Key128> parse(std::string_view hex);  // 32 digits, dashes allowed
};

}  // namespace atelier
