#include "html.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include "fovea/core/check.h"
#include "fovea/core/printable.h"

namespace fovea::cli {

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : printable(text)) {
    switch (c) {
      case '&': result += "&amp;"; break;
      case '<': result += "&lt;"; break;
      case '>': result += "&gt;"; break;
      case '"': result += "&quot;"; break;
      case '\'': result += "&#39;"; break;
      default: result += c;
    }
  }
  return result;
}

std::string data_address(std::string_view png) {
  std::string encoded(4 * ((png.size() + 2) / 3) + 1, '\0');  // and the end that is written after it
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(encoded.data()),
                      reinterpret_cast<const unsigned char*>(png.data()), static_cast<int>(png.size()));
  check(size >= 0, "report: a picture of ", png.size(), " bytes cannot be encoded");
  encoded.resize(static_cast<size_t>(size));
  return "data:image/png;base64," + encoded;
}

std::string grouped(int64_t number) {
  std::string text = std::to_string(number);
  for (int64_t place = std::ssize(text) - 3; place > (number < 0 ? 1 : 0); place -= 3)
    text.insert(static_cast<size_t>(place), ",");
  return text;
}

std::string percent(double share) {
  return fmt::format("{:.2f}%", 100 * share);
}

}  // namespace fovea::cli
