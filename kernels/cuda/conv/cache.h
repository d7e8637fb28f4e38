#pragma once

#include <map>
#include <optional>
#include <string>

#include "fovea/kernels/cuda/conv/key.h"

namespace fovea::kernels::cuda {

/// How a convolution is to be computed.
struct ConvChoice {
  std::optional<ConvEngine> engine;  // none: by conv_reference
  bool is_padded = false;            // the engine computes the problem's padded form
  double microseconds = 0;           // as measured when it was chosen

  friend bool operator==(const ConvChoice&, const ConvChoice&) = default;
};

/// A choice as one line of JSON, without the time, and back; nothing if the text is none.
std::string text_of(const ConvChoice& choice);
std::optional<ConvChoice> choice_from(const std::string& text);

/// Where choices are kept between runs: $FOVEA_CACHE, or else fovea::cache_folder(); "" if there is neither.
std::string cache_folder();

/// The choices made for one device and one version of cuDNN, in a JSON file. A file that cannot be read, or
/// that is of another device, version or format, is as good as none.
class ConvCache {
 public:
  /// `library` and `device` name what the choices hold for: "cuDNN 9.19.0", "NVIDIA H100 80GB HBM3".
  /// In an empty folder name nothing is kept.
  ConvCache(const std::string& folder, std::string library, std::string device);

  std::optional<ConvChoice> find(const ConvKey& problem) const;
  /// Keeps a choice, and writes it beside those that other processes have written meanwhile, whole or not at
  /// all. If that fails it says so on stderr, once. Returns what is kept now: another process's choice if
  /// that was written first, so that all have the same bits from then on.
  ConvChoice add(const ConvKey& problem, const ConvChoice& choice);

  /// "" if nothing is kept.
  const std::string& path() const { return path_; }

 private:
  using Choices = std::map<std::string, ConvChoice>;  // by ConvKey::str
  Choices read() const;

  std::string path_, library_, device_;
  Choices choices_;
  bool has_failed_ = false;
};

}  // namespace fovea::kernels::cuda
