#include "fovea/core/processor.h"

#include <fstream>
#include <string_view>

namespace fovea {

std::string processor_name(const Device& device) {
  if (device.is_cuda()) return describe(device);
  constexpr std::string_view kKey = "model name";  // of x86; ARM's file has none
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with(kKey) && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "";
}

}  // namespace fovea
