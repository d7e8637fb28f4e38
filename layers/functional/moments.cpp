#include "fovea/layers/functional/moments.h"

#include <any>
#include <cstdint>
#include <utility>

#include "fovea/core/ranks.h"
#include "fovea/kernels/join_moments.h"

namespace fovea {
namespace {

struct MomentsNote {
  ChannelMoments moments;
  const void* data;  // of the value that they are of
  uint64_t version;
};

}  // namespace

void set_moments(Variable& x, ChannelMoments moments) {
  const Tensor& value = std::as_const(x).value();
  x.set_note(MomentsNote{std::move(moments), value.raw(), value.version()});
}

ChannelMoments moments_of(const Variable& x) {
  const auto* note = std::any_cast<MomentsNote>(&x.note());
  const Tensor& value = x.value();
  const bool holds = note != nullptr && note->data == value.raw() && note->version == value.version();
  return holds ? note->moments : ChannelMoments{};
}

ChannelMoments new_moments(int64_t channels, Dtype dtype, Device device) {
  const bool is_joined_in_f64 = ranks_of_statistics() != nullptr && device.is_cpu();
  const Dtype own = is_joined_in_f64 ? Dtype::f64 : dtype;
  return {Tensor::empty({channels}, own, device), Tensor::empty({channels}, own, device)};
}

void join_over_ranks(ChannelMoments& moments, Dtype dtype) {
  Ranks* const ranks = ranks_of_statistics();
  if (ranks == nullptr || !moments.mean.defined()) return;
  const int64_t C = moments.mean.size();
  const Tensor& mean = moments.mean;
  Tensor own = Tensor::empty({2, C}, mean.dtype(), mean.device()),
         parts = Tensor::empty({ranks->size(), 2, C}, mean.dtype(), mean.device());
  own.slice(0, {C}).copy_from(moments.mean);
  own.slice(C, {C}).copy_from(moments.variance);
  ranks->gather(own, parts);
  moments = {Tensor::empty({C}, dtype, mean.device()), Tensor::empty({C}, dtype, mean.device())};
  kernels::join_moments(parts, moments.mean, moments.variance);
}

}  // namespace fovea
