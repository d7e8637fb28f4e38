#include <algorithm>
#include <iterator>

#include "cuda_runtime_api.h"

// CUDA's names and words for its errors (CUDA Runtime API reference, version 13, cudaError_t).

namespace {

struct Text {
  cudaError_t error;
  const char *name, *words;
};
#define FOVEA_ERROR(error, words) \
  { error, #error, words }
constexpr Text kTexts[] = {
    FOVEA_ERROR(cudaSuccess, "no error"),
    FOVEA_ERROR(cudaErrorInvalidValue, "invalid argument"),
    FOVEA_ERROR(cudaErrorMemoryAllocation, "out of memory"),
    FOVEA_ERROR(cudaErrorInvalidConfiguration, "invalid configuration argument"),
    FOVEA_ERROR(cudaErrorInvalidSymbol, "invalid device symbol"),
    FOVEA_ERROR(cudaErrorInsufficientDriver, "CUDA driver version is insufficient for CUDA runtime version"),
    FOVEA_ERROR(cudaErrorNoDevice, "no CUDA-capable device is detected"),
    FOVEA_ERROR(cudaErrorInvalidDevice, "invalid device ordinal"),
    FOVEA_ERROR(cudaErrorNoKernelImageForDevice, "no kernel image is available for execution on the device"),
    FOVEA_ERROR(cudaErrorECCUncorrectable, "uncorrectable ECC error encountered"),
    FOVEA_ERROR(cudaErrorNvlinkUncorrectable, "uncorrectable NVLink error detected during the execution"),
    FOVEA_ERROR(cudaErrorContained, "Invalid access of peer GPU memory over nvlink or a hardware error"),
    FOVEA_ERROR(cudaErrorNotReady, "device not ready"),
    FOVEA_ERROR(cudaErrorIllegalAddress, "an illegal memory access was encountered"),
    FOVEA_ERROR(cudaErrorLaunchTimeout, "the launch timed out and was terminated"),
    FOVEA_ERROR(cudaErrorAssert, "device-side assert triggered"),
    FOVEA_ERROR(cudaErrorHardwareStackError, "hardware stack error"),
    FOVEA_ERROR(cudaErrorIllegalInstruction, "an illegal instruction was encountered"),
    FOVEA_ERROR(cudaErrorMisalignedAddress, "misaligned address"),
    FOVEA_ERROR(cudaErrorInvalidAddressSpace, "operation not supported on global/shared address space"),
    FOVEA_ERROR(cudaErrorInvalidPc, "invalid program counter"),
    FOVEA_ERROR(cudaErrorLaunchFailure, "unspecified launch failure"),
    FOVEA_ERROR(cudaErrorTensorMemoryLeak, "Tensor Memory not completely freed"),
    FOVEA_ERROR(cudaErrorNotSupported, "operation not supported"),
    FOVEA_ERROR(cudaErrorMpsClientTerminated, "the MPS client has been terminated by the MPS server"),
    FOVEA_ERROR(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing"),
    FOVEA_ERROR(cudaErrorStreamCaptureInvalidated, "operation failed due to a previous error during capture"),
    FOVEA_ERROR(cudaErrorStreamCaptureUnjoined, "capturing stream has unjoined work"),
    FOVEA_ERROR(cudaErrorStreamCaptureIsolation, "dependency created on uncaptured work in another stream"),
    FOVEA_ERROR(cudaErrorCapturedEvent,
                "operation not permitted on an event last recorded in a capturing stream"),
    FOVEA_ERROR(cudaErrorExternalDevice, "an async error has occured in external entity outside of CUDA"),
};
#undef FOVEA_ERROR

Text text_of(cudaError_t error) {
  const auto* found = std::find_if(std::begin(kTexts), std::end(kTexts),
                                   [=](const Text& text) { return text.error == error; });
  return found != std::end(kTexts) ? *found
                                   : Text{error, "unrecognized error code", "unrecognized error code"};
}

}  // namespace

const char* cudaGetErrorName(cudaError_t error) {
  return text_of(error).name;
}
const char* cudaGetErrorString(cudaError_t error) {
  return text_of(error).words;
}
