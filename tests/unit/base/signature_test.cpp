// SPDX-License-Identifier: MIT
#include "base/signature.hpp"

#include <doctest/doctest.h>

namespace atelier {
namespace {

// RFC 8032, 7.1, test 2: one byte, 0x72.
constexpr std::string_view kSecret = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
constexpr std::string_view kPublic = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
constexpr std::string_view kSignature =
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

TEST_CASE("a key signs as RFC 8032 says, and its public half agrees") {
  const auto key = SigningKey::parse(kSecret);
  REQUIRE(key);
  CHECK(key->public_key() == kPublic);
  CHECK(key->sign("\x72") == kSignature);
  CHECK(key->hex() == kSecret);
  CHECK(is_signed_by(kPublic, "\x72", kSignature));
}

TEST_CASE("another text, another key and a changed signature are refused") {
  CHECK_FALSE(is_signed_by(kPublic, "\x73", kSignature));
  CHECK_FALSE(is_signed_by(kPublic, "", kSignature));
  CHECK_FALSE(is_signed_by(SigningKey(SigningKey::Seed{1}).public_key(), "\x72", kSignature));
  for (const std::size_t at : {0u, 63u, 64u, 127u}) {
    std::string changed(kSignature);
    changed[at] = changed[at] == '0' ? '1' : '0';
    CHECK_FALSE(is_signed_by(kPublic, "\x72", changed));
  }
}

TEST_CASE("what is no key and no signature is none") {
  CHECK(is_public_key(kPublic));
  for (const std::string& text : {std::string(), std::string(kPublic) + "0", std::string(kPublic.substr(1)),
                                  std::string(64, 'g'), std::string(64, 'A'), std::string(64, '\0')}) {
    CAPTURE(text);
    CHECK_FALSE(is_public_key(text));
    CHECK_FALSE(SigningKey::parse(text));
    CHECK_FALSE(is_signed_by(text, "\x72", kSignature));
    CHECK_FALSE(is_signed_by(kPublic, "\x72", text));
  }
}

}  // namespace
}  // namespace atelier
