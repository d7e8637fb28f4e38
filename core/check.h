#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

#include "fovea/core/printable.h"

#pragma GCC visibility push(default)
namespace fovea {

/// Base of every error that Fovea throws. The message begins with the operation's name and says what was
/// found, what was wanted and, where it helps, what to do next; it is printable, whatever came from a file.
/// `exit_code` is what a tool returns for it.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, int exit_code = 1)
      : std::runtime_error(printable(message)), exit_code_(exit_code) {}
  int exit_code() const { return exit_code_; }

 private:
  int exit_code_;
};

/// A setting or an argument that makes no sense (exit code 2).
struct UsageError : Error {
  explicit UsageError(const std::string& message) : Error(message, 2) {}
};

/// A training run that cannot go on, as its numbers are no longer finite (exit code 1).
struct DivergedError : Error {
  explicit DivergedError(const std::string& message) : Error(message) {}
};

/// A data file that is missing, damaged or of another kind (exit code 3).
struct DataError : Error {
  explicit DataError(const std::string& message) : Error(message, 3) {}
};

/// A device that is not there or that failed (exit code 4).
struct DeviceError : Error {
  explicit DeviceError(const std::string& message, bool with_tensors = false)
      : Error(message, 4), names_tensors(with_tensors) {}
  const bool names_tensors;  // whether the message says of what shapes the kernel's tensors were
};

/// A device, or the CPU, that has no memory left.
struct OutOfMemory : DeviceError {
  using DeviceError::DeviceError;
};

/// A device that has failed for good: whatever this process asks of it is answered with an error. Never to be
/// passed over: what comes next would get the blame.
struct DeviceLost : DeviceError {
  using DeviceError::DeviceError;
  /// What to do next, for the end of the message.
  static constexpr const char* kAdvice =
      "; this process can no longer use the device: start a new one (with FOVEA_SYNC=1 the error names the "
      "kernel in which it arose)";
};

/// A checkpoint or weights file that cannot be read, written or used (exit code 5).
struct CheckpointError : Error {
  explicit CheckpointError(const std::string& message) : Error(message, 5) {}
};

/// Joins its arguments with `<<` into one string: str("conv: C is ", C).
template <class... Parts>
std::string str(const Parts&... parts) {
  std::ostringstream out;
  out.exceptions(std::ios_base::badbit);  // without memory it would leave out what comes next
  (out << ... << parts);
  return out.str();
}

/// Throws `ErrorType` with the joined parts unless the condition holds.
template <class ErrorType = Error, class... Parts>
inline void check(bool condition, const Parts&... parts) {
  if (!condition) [[unlikely]] {
    throw ErrorType(str(parts...));
  }
}

}  // namespace fovea
#pragma GCC visibility pop
