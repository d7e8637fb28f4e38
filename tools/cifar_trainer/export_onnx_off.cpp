// Instead of export_onnx.cpp, in a build without libonnx.
#include "commands.h"
#include "fovea/core/check.h"

namespace fovea::cli {

int export_onnx(const Arguments&) {
  throw UsageError("export: --onnx is not in this build: the export to ONNX is " FOVEA_ONNX_STATUS
                   "; configure and build again");
}

}  // namespace fovea::cli
