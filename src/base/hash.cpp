// SPDX-License-Identifier: MIT
#include "base/hash.hpp"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <new>

namespace atelier {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Found once: EVP_sha256() alone looks for it at every use.
const EVP_MD* sha256_method() {
  static const EVP_MD* const method = [] {
    const EVP_MD* found = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    if (found == nullptr) throw std::bad_alloc{};
    return found;
  }();
  return method;
}

}  // namespace

std::string to_hex(std::span<const std::uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (std::uint8_t byte : bytes) {
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

std::string Digest::hex() const { return to_hex(bytes); }

Result<Digest> Digest::parse(std::string_view hex) {
  if (hex.size() != 64) return fail(Errc::bad_request, "a SHA-256 digest has 64 hex digits");
  Digest digest;
  for (std::size_t i = 0; i < 32; ++i) {
    const int high = hex_value(hex[2 * i]);
    const int low = hex_value(hex[2 * i + 1]);
    if (high < 0 || low < 0) return fail(Errc::bad_request, "a SHA-256 digest has 64 hex digits");
    digest.bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return digest;
}

struct Hasher::Impl {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~Impl() { EVP_MD_CTX_free(context); }
};

Hasher::Hasher() : impl_(std::make_unique<Impl>()) {
  if (impl_->context == nullptr || EVP_DigestInit_ex(impl_->context, sha256_method(), nullptr) != 1)
    throw std::bad_alloc{};
}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::update(std::string_view bytes) { EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size()); }
void Hasher::update(std::span<const std::byte> bytes) {
  EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size());
}

Digest Hasher::finish() {
  Digest digest;
  EVP_DigestFinal_ex(impl_->context, digest.bytes.data(), nullptr);
  EVP_DigestInit_ex(impl_->context, nullptr, nullptr);
  return digest;
}

Digest sha256(std::string_view bytes) {
  Digest digest;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.bytes.data(), nullptr, sha256_method(), nullptr) != 1)
    throw std::bad_alloc{};
  return digest;
}

std::string Key128::hex() const { return fmt::format("{:016x}{:016x}", high, low); }

std::string Key128::uuid() const {
  const std::string all = hex();
  return fmt::format("{}-{}-{}-{}-{}", all.substr(0, 8), all.substr(8, 4), all.substr(12, 4),
                     all.substr(16, 4), all.substr(20));
}

Result<Key128> Key128::parse(std::string_view hex) {
  Key128 key;
  int digits = 0;
  for (char c : hex) {
    if (c == '-') continue;
    const int value = hex_value(c);
    if (value < 0 || ++digits > 32) return fail(Errc::bad_request, "an id of 128 bits has 32 hex digits");
    key.high = key.high << 4 | key.low >> 60;
    key.low = key.low << 4 | static_cast<std::uint64_t>(value);
  }
  if (digits != 32) return fail(Errc::bad_request, "an id of 128 bits has 32 hex digits");
  return key;
}

Digest hmac_sha256(std::string_view key, std::string_view bytes) {
  Digest digest;
  unsigned int length = 0;
  if (HMAC(sha256_method(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest.bytes.data(),
           &length) == nullptr)
    throw std::bad_alloc{};
  return digest;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace atelier
