#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "fovea/core/atomic_file.h"

struct evp_md_ctx_st;

namespace fovea {

/// The checksums that authors publish: as hexadecimal digits 64 of SHA-256, or 32 of MD5. The second finds
/// damage, and a file that is another one, not one made to deceive.
enum class DigestKind { md5, sha256 };

/// The kind that a published checksum is of, by its number of digits. Error for another number.
DigestKind digest_kind(std::string_view digits);
/// "MD5" or "SHA-256"
const char* digest_name(DigestKind kind);

/// The checksum of what is added, piece by piece.
class Digest {
 public:
  /// Error if the library cannot start it.
  explicit Digest(DigestKind kind);

  void add(const void* bytes, size_t count);
  /// In hexadecimal digits; nothing may be added afterwards.
  std::string text();

 private:
  std::unique_ptr<evp_md_ctx_st, void (*)(evp_md_ctx_st*)> context_;
};

/// The digest of a whole file; "" if `is_stopping`, which is asked before every piece, said so.
std::string digest_of(const ReadableFile& file, DigestKind kind, const std::function<bool()>& is_stopping);

}  // namespace fovea
