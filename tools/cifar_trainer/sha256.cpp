#include "sha256.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <vector>

#include "fovea/core/check.h"

namespace fovea {

Sha256::Sha256() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
  check(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1,
        "SHA-256 cannot be started");
}

void Sha256::add(const void* bytes, size_t count) {
  EVP_DigestUpdate(context_.get(), bytes, count);
}

std::string Sha256::text() {
  std::array<unsigned char, 32> digest;
  EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr);
  std::string digits;
  for (const unsigned char byte : digest) {
    constexpr const char* kDigits = "0123456789abcdef";
    digits += {kDigits[byte / 16], kDigits[byte % 16]};
  }
  return digits;
}

std::string sha256_of(const ReadableFile& file, const std::function<bool()>& is_stopping) {
  Sha256 sha;
  std::vector<char> block(size_t{1} << 18);
  for (uint64_t offset = 0; offset < file.size();) {
    if (is_stopping()) return "";
    const size_t count = std::min<uint64_t>(block.size(), file.size() - offset);
    file.read(offset, block.data(), count);
    sha.add(block.data(), count);
    offset += count;
  }
  return sha.text();
}

}  // namespace fovea
