#pragma once

#include <cstdint>
#include <map>
#include <string>

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// What computes the convolutions of a run where that is chosen by measurement, as on a CUDA device. A run
/// that goes on with the same choices goes on with the same bits, whatever another machine would choose.
struct ConvChoices {
  std::string made_for;                           // library and device; "" if nothing was chosen
  std::map<std::string, std::string> by_problem;  // both are the backend's own texts

  friend bool operator==(const ConvChoices&, const ConvChoices&) = default;
};

/// While one lives, convolutions that this thread launches are computed as `choices` says, and what it does
/// not say yet is noted there. `choices` must live as long. The innermost counts.
class ConvChoicesScope {
 public:
  explicit ConvChoicesScope(ConvChoices& choices);
  ~ConvChoicesScope();
  ConvChoicesScope(const ConvChoicesScope&) = delete;
  ConvChoicesScope& operator=(const ConvChoicesScope&) = delete;

  /// For backends: that of this thread, or null.
  static ConvChoicesScope* current();
  /// Never the same for two of them; above 0.
  uint64_t id() const { return id_; }
  /// The choice for a problem, or "". What was chosen for another library or device is of no use, and is
  /// forgotten then, which is said on stderr.
  std::string find(const std::string& made_for, const std::string& problem);
  void note(const std::string& made_for, const std::string& problem, const std::string& choice);

 private:
  ConvChoices& choices_;
  ConvChoicesScope* outer_;
  uint64_t id_;
};

}  // namespace fovea::kernels
#pragma GCC visibility pop
