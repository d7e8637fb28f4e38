#include "digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <vector>

#include "fovea/core/check.h"

namespace fovea {

DigestKind digest_kind(std::string_view digits) {
  constexpr size_t kMd5Digits = 32, kSha256Digits = 64;
  check(digits.size() == kMd5Digits || digits.size() == kSha256Digits, "digest: ", digits,
        " is of no known kind, wanted ", kMd5Digits, " digits (MD5) or ", kSha256Digits, " (SHA-256)");
  return digits.size() == kMd5Digits ? DigestKind::md5 : DigestKind::sha256;
}

const char* digest_name(DigestKind kind) {
  return kind == DigestKind::md5 ? "MD5" : "SHA-256";
}

Digest::Digest(DigestKind kind) : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
  const EVP_MD* const function = kind == DigestKind::md5 ? EVP_md5() : EVP_sha256();
  check(context_ != nullptr && EVP_DigestInit_ex(context_.get(), function, nullptr) == 1, digest_name(kind),
        " cannot be started");
}

void Digest::add(const void* bytes, size_t count) {
  EVP_DigestUpdate(context_.get(), bytes, count);
}

std::string Digest::text() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  EVP_DigestFinal_ex(context_.get(), digest.data(), &size);
  std::string digits;
  for (unsigned i = 0; i < size; ++i) {
    constexpr const char* kDigits = "0123456789abcdef";
    digits += {kDigits[digest[i] / 16], kDigits[digest[i] % 16]};
  }
  return digits;
}

std::string digest_of(const ReadableFile& file, DigestKind kind, const std::function<bool()>& is_stopping) {
  Digest digest(kind);
  std::vector<char> block(size_t{1} << 18);
  for (uint64_t offset = 0; offset < file.size();) {
    if (is_stopping()) return "";
    const size_t count = std::min<uint64_t>(block.size(), file.size() - offset);
    file.read(offset, block.data(), count);
    digest.add(block.data(), count);
    offset += count;
  }
  return digest.text();
}

}  // namespace fovea
