#pragma once

#include <functional>
#include <memory>
#include <string>

#include "fovea/core/atomic_file.h"

struct evp_md_ctx_st;

namespace fovea {

/// SHA-256 of what is added, piece by piece.
class Sha256 {
 public:
  /// Error if the library cannot start it.
  Sha256();

  void add(const void* bytes, size_t count);
  /// 64 hexadecimal digits; nothing may be added afterwards.
  std::string text();

 private:
  std::unique_ptr<evp_md_ctx_st, void (*)(evp_md_ctx_st*)> context_;
};

/// Of a whole file; "" if `is_stopping`, which is asked before every piece, said so.
std::string sha256_of(const ReadableFile& file, const std::function<bool()>& is_stopping);

}  // namespace fovea
