#include "fovea/kernels/cpu/conv/winograd.h"

#include "fovea/kernels/cpu/in_f32.h"

// The interface of chunk_engine.h for Winograd's form.
namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT::winograd {
namespace {

class Runner final : public ChunkRunner {
 public:
  Runner(const ConvProblem& whole, bool is_forward, const Tensor& filters)
      : from_channels_(is_forward ? whole.C : whole.K),
        to_channels_(is_forward ? whole.K : whole.C),
        filters_(filters),
        tiles_(whole.H, whole.W) {}
  void run(int64_t units, const float* from, float* to) override {
    tiles_.forward(units, from_channels_, to_channels_, from, filters_.data<float>(), to);
  }

 private:
  int64_t from_channels_, to_channels_;
  Tensor filters_;
  TileConv tiles_;
};

class Conv final : public ChunkedConv {
 public:
  Conv(ConvPass pass, const Chunks& chunks, const Tensor& weight)
      : whole_(chunks.whole()),
        is_forward_(pass == ConvPass::forward),
        filters_(is_forward_ ? transform_filters(weight, whole_.N * whole_.H * whole_.W)
                             : transform_filters_for_input(as_f32(weight))) {}
  std::unique_ptr<ChunkRunner> runner() const override {
    return std::make_unique<Runner>(whole_, is_forward_, filters_);
  }

 private:
  ConvProblem whole_;
  bool is_forward_;
  Tensor filters_;
};

class Sum final : public FilterGradientSum {
 public:
  explicit Sum(const ConvProblem& whole)
      : C_(whole.C),
        K_(whole.K),
        tiles_(whole.H, whole.W),
        filters_(Tensor::empty({filter_size(whole.C, whole.K)})) {}

  void begin(float* total) override {
    total_ = total;
    is_first_ = true;
  }
  void add(int64_t units, const float* x, const float* dy) override {
    tiles_.backward_filters(units, C_, K_, x, dy, filters_.data<float>(), /*add=*/!is_first_);
    is_first_ = false;
  }
  void end() override { transform_filters_backward(C_, K_, filters_.data<float>(), total_); }

 private:
  int64_t C_, K_;
  TileConv tiles_;
  Tensor filters_;  // the sum in Winograd's form
  float* total_ = nullptr;
  bool is_first_ = true;
};

class FilterGradient final : public ChunkedFilterGradient {
 public:
  explicit FilterGradient(const Chunks& chunks) : whole_(chunks.whole()) {}
  std::unique_ptr<FilterGradientSum> sum() const override { return std::make_unique<Sum>(whole_); }
  int64_t size() const override { return whole_.weight_size(); }
  Tensor sum_for(const Tensor& dweight) const override { return dweight; }
  void to_plain(const Tensor&, Tensor&) const override {}

 private:
  ConvProblem whole_;
};

}  // namespace

std::unique_ptr<ChunkedConv> conv(ConvPass pass, const Chunks& chunks, const Tensor& weight) {
  return std::make_unique<Conv>(pass, chunks, weight);
}

std::unique_ptr<ChunkedFilterGradient> filter_gradient(const Chunks& chunks) {
  return std::make_unique<FilterGradient>(chunks);
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT::winograd
