// SPDX-License-Identifier: MIT
#pragma once
// Ed25519 (RFC 8032): how a worker proves that it is the one whose public key is pinned.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace atelier {

/// A private key. Nothing prints it but hex(), which is for the file that it is kept in.
class SigningKey {
 public:
  using Seed = std::array<std::uint8_t, 32>;

  /// `seed`: 256 random bits.
  explicit SigningKey(const Seed& seed) : seed_(seed) {}
  /// Error bad_request unless 64 hex digits.
  [[nodiscard]] static Result<SigningKey> parse(std::string_view hex);

  [[nodiscard]] std::string hex() const;
  [[nodiscard]] std::string public_key() const;                 // 64 lowercase hex digits
  [[nodiscard]] std::string sign(std::string_view text) const;  // 128 lowercase hex digits

 private:
  Seed seed_;
};

/// True for 64 lowercase hex digits.
[[nodiscard]] bool is_public_key(std::string_view hex);
/// False for what is no key or no signature, too.
[[nodiscard]] bool is_signed_by(std::string_view public_key, std::string_view text,
                                std::string_view signature);

}  // namespace atelier
