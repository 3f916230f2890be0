// SPDX-License-Identifier: MIT
#include "base/signature.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <memory>
#include <new>
#include <optional>
#include <span>

#include "base/hash.hpp"

namespace atelier {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Context = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

std::optional<std::uint8_t> digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<std::uint8_t>(c - 'a' + 10);
  return std::nullopt;
}

/// Exactly so many bytes of lowercase hex.
template <std::size_t N>
std::optional<std::array<std::uint8_t, N>> bytes_of(std::string_view hex) {
  if (hex.size() != 2 * N) return std::nullopt;
  std::array<std::uint8_t, N> bytes{};
  for (std::size_t i = 0; i < N; ++i) {
    const auto high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);
    if (!high || !low) return std::nullopt;
    bytes[i] = static_cast<std::uint8_t>(*high << 4 | *low);
  }
  return bytes;
}

const unsigned char* bytes_in(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

Key private_key(const SigningKey::Seed& seed) {
  Key key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()), &EVP_PKEY_free);
  if (!key) throw std::bad_alloc{};
  return key;
}

Context new_context() {
  Context context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  if (!context) throw std::bad_alloc{};
  return context;
}

}  // namespace

Result<SigningKey> SigningKey::parse(std::string_view hex) {
  const auto seed = bytes_of<32>(hex);
  if (!seed) return fail(Errc::bad_request, "a key has 64 hex digits");
  return SigningKey(*seed);
}

std::string SigningKey::hex() const { return to_hex(seed_); }

std::string SigningKey::public_key() const {
  std::array<std::uint8_t, 32> bytes{};
  std::size_t size = bytes.size();
  if (EVP_PKEY_get_raw_public_key(private_key(seed_).get(), bytes.data(), &size) != 1) throw std::bad_alloc{};
  return to_hex(bytes);
}

std::string SigningKey::sign(std::string_view text) const {
  const Key key = private_key(seed_);
  const Context context = new_context();
  std::array<std::uint8_t, 64> signature{};
  std::size_t size = signature.size();
  if (EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), signature.data(), &size, bytes_in(text), text.size()) != 1)
    throw std::bad_alloc{};
  return to_hex(signature);
}

bool is_public_key(std::string_view hex) { return bytes_of<32>(hex).has_value(); }

bool is_signed_by(std::string_view public_key, std::string_view text, std::string_view signature) {
  const auto key_bytes = bytes_of<32>(public_key);
  const auto signature_bytes = bytes_of<64>(signature);
  if (!key_bytes || !signature_bytes) return false;
  const Key key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key_bytes->data(), key_bytes->size()),
                &EVP_PKEY_free);
  if (!key) return false;
  const Context context = new_context();
  return EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), signature_bytes->data(), signature_bytes->size(), bytes_in(text),
                          text.size()) == 1;
}

}  // namespace atelier
