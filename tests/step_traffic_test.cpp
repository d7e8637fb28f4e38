// What a captured training step costs by count: nodes of its graph, and bytes of device memory that they
// move.
#include <catch2/catch.hpp>
#include <iomanip>
#include <iostream>
#include <map>

#include "fovea/core/captured_graph.h"
#include "fovea/core/environment.h"
#include "fovea/cuda_emulator/traffic.h"
#include "fovea/kernels/arithmetic.h"
#include "fovea/kernels/preactivation_conv.h"
#include "fovea/kernels/relu.h"
#include "fovea/models/zoo.h"
#include "fovea/training/batches.h"
#include "fovea/training/training_step.h"
#include "op_test.h"

namespace fovea {
namespace {

using emulator::NodeTraffic;
using emulator::TrafficMeter;

/// What a step of a model may cost at most in bf16 with 512 images; lowered when it costs less. Products of
/// many channels are cuDNN's, between passes: fused (FOVEA_FUSED=all), attention92-wide moves 100 MB in 793
/// nodes, and an H100 took 36.3 ms instead of 32.8.
struct Limit {
  const char* model;
  int64_t nodes;
  double megabytes;  // an image, 10^6 bytes
};
[[maybe_unused]] constexpr Limit kLimits[] = {
    {"attention56", 590, 34.5},
    {"attention92", 1045, 58.0},
    {"attention92-wide", 840, 107.5},
};

constexpr int64_t kBatch = 512;
constexpr int64_t kSteps = 8;  // of an epoch

/// A meter, where blocks of memory are as large as what is asked for, so that none seems to move more.
class ExactMeter : public TrafficMeter {
 public:
  ExactMeter() {
    INFO("wanted FOVEA_KEEP_MEMORY=0 in the environment, as ctest runs this");
    REQUIRE(environment("FOVEA_KEEP_MEMORY") == "0");
  }
};

/// Steps of a model as TrainingRun captures them: a batch from images that lie on the device, then the step.
/// To be made before a meter: memory that is allocated while there is one holds no numbers.
class Steps {
 public:
  Steps(const std::string& name, const std::vector<int64_t>& batch_sizes)
      : model_(on_device(name)),
        optimiser_(*model_, OptimiserSettings{}, Dtype::bf16),
        step_(*model_, optimiser_, {.label_smoothing = 0.1, .precision = Precision::bf16}, kSteps) {
    for (const int64_t batch_size : batch_sizes) {
      const LoaderSettings settings{.batch_size = batch_size, .augmentation = Augmentation{}};
      batches_.try_emplace(batch_size, images(), ImageNormalisation{}, settings,
                           Place{Device::cuda(), Dtype::bf16});
    }
  }

  CapturedGraph captured(int64_t batch_size) {
    step_.begin_epoch(std::vector<double>(kSteps, 0.1), /*next=*/0, /*correct=*/0);
    Batches& batches = batches_.at(batch_size);
    const auto step = [&] {
      const Batch& batch = batches.next(step_.position());
      step_.run(batch);
    };
    step();
    release_cached_memory(Device::cuda());
    return CapturedGraph(Device::cuda(), step);
  }

 private:
  static std::unique_ptr<Model> on_device(const std::string& name) {
    std::unique_ptr<Model> model = make_model(name, {}, /*seed=*/1);
    move_to(*model, Device::cuda());
    model->train(true);
    return model;
  }
  static ImageSet images() {
    return {"grey", Tensor::full({kBatch, 32, 32, 3}, 128, Dtype::u8), Tensor::zeros({kBatch}, Dtype::i32),
            std::vector<std::string>(10, "class")};
  }

  std::unique_ptr<Model> model_;
  Optimiser optimiser_;
  TrainingStep step_;
  std::map<int64_t, Batches> batches_;  // by their size
};

struct Sum {
  int64_t nodes = 0, read = 0, written = 0;

  void add(const NodeTraffic& node) {
    ++nodes;
    read += node.read;
    written += node.written;
  }
};
[[maybe_unused]] double megabytes(int64_t bytes) {
  return static_cast<double>(bytes) / 1e6;
}

/// What a batch of `batch_size` images moves, measured or projected from what was measured.
[[maybe_unused]] std::vector<NodeTraffic> traffic_of(Steps& steps, int64_t batch_size, TrafficMeter& meter,
                                                     TrafficMeter::Mode mode) {
  const CapturedGraph graph = steps.captured(batch_size);
  meter.set_mode(mode);
  graph.replay();
  std::vector<NodeTraffic> nodes = meter.take();
  CHECK(std::ssize(nodes) == graph.nodes());
  return nodes;
}

[[maybe_unused]] Sum sum_of(const std::vector<NodeTraffic>& nodes) {
  Sum sum;
  for (const NodeTraffic& node : nodes) sum.add(node);
  return sum;
}

/// What a kernel, or a copy, moves: those of a graph of one node.
NodeTraffic traffic_of(TrafficMeter& meter, const std::function<void()>& body) {
  body();  // once before, as for any graph
  const CapturedGraph graph(Device::cuda(), body);
  graph.replay();
  const std::vector<NodeTraffic> nodes = meter.take();
  REQUIRE(nodes.size() == 1);
  return nodes[0];
}

TEST_CASE("step traffic: of kernels whose traffic is known") {
  const Device device = Device::cuda();
  const TrafficMeter::Mode mode = GENERATE(TrafficMeter::Mode::measure, TrafficMeter::Mode::project);
  ExactMeter meter;
  meter.set_mode(mode);  // what was not measured before runs as well
  // Neither whole pages nor whole packs.
  const int64_t N = 3, H = 31, C = 72, K = 40, count = N * H * H * C;
  const auto tensor = [&](const Shape& shape, Dtype dtype = Dtype::bf16) {
    return Tensor::empty(shape, dtype, device);
  };
  const auto check_traffic = [](const NodeTraffic& found, int64_t read, int64_t written) {
    INFO(found.operation << " " << found.kernel);
    CHECK(found.read == read);
    CHECK(found.written == written);
  };
  Tensor a = tensor({N, H, H, C}), b = tensor({N, H, H, C}), sum = tensor({N, H, H, C});
  check_traffic(traffic_of(meter, [&] { b.copy_from(a); }), 2 * count, 2 * count);
  check_traffic(traffic_of(meter, [&] { b.fill_with_zeros(); }), 0, 2 * count);
  check_traffic(traffic_of(meter, [&] { kernels::relu_forward(a, b); }), 2 * count, 2 * count);
  check_traffic(traffic_of(meter, [&] { kernels::add_forward(a, b, sum); }), 4 * count, 2 * count);
  // In place: what is read and then written counts both ways.
  check_traffic(traffic_of(meter, [&] { kernels::add_forward(a, b, a); }), 4 * count, 2 * count);

  const Tensor weight = tensor({K, 1, 1, C});
  Tensor y = tensor({N, H, H, K});
  const Tensor mean = tensor({C}, Dtype::f32), variance = tensor({C}, Dtype::f32),
               scale = tensor({C}, Dtype::f32), bias = tensor({C}, Dtype::f32);
  const int64_t rows = N * H * H;
  const auto convolve = [&] {
    Tensor activated, no_mean, no_variance;
    kernels::preactivation_conv_forward(a,
                                        {{mean, variance, scale, bias}, weight, /*stride=*/1, /*padding=*/0},
                                        /*residual=*/Tensor(), y, activated, no_mean, no_variance);
  };
  check_traffic(traffic_of(meter, convolve), 2 * rows * C + 2 * K * C + 4 * 4 * C, 2 * rows * K);
}

// What is counted does not depend on how it was compiled, and takes minutes under the address sanitizer.
#if !defined(__SANITIZE_ADDRESS__)
TEST_CASE("step traffic: what is projected is what is measured") {
  Steps steps("attention-nano", {1, 3});
  ExactMeter meter;
  traffic_of(steps, 1, meter, TrafficMeter::Mode::measure);
  const Sum projected = sum_of(traffic_of(steps, 3, meter, TrafficMeter::Mode::project));
  const Sum measured = sum_of(traffic_of(steps, 3, meter, TrafficMeter::Mode::measure));
  CHECK(projected.nodes == measured.nodes);
  CHECK(static_cast<double>(projected.read) == Approx(measured.read).epsilon(0.005));
  CHECK(static_cast<double>(projected.written) == Approx(measured.written).epsilon(0.005));
}

TEST_CASE("step traffic: a captured training step of each model") {
  const Limit limit = GENERATE(from_range(std::vector<Limit>(std::begin(kLimits), std::end(kLimits))));
  Steps steps(limit.model, {1, kBatch});
  ExactMeter meter;
  traffic_of(steps, /*batch_size=*/1, meter, TrafficMeter::Mode::measure);
  const std::vector<NodeTraffic> nodes = traffic_of(steps, kBatch, meter, TrafficMeter::Mode::project);
  std::map<std::string, Sum> by_kernel;
  for (const NodeTraffic& node : nodes) {
    by_kernel[node.kernel.empty() ? node.operation : node.operation + ": " + node.kernel].add(node);
  }
  const Sum all = sum_of(nodes);
  by_kernel["sum"] = all;
  std::ostringstream table;
  table << std::fixed << std::setprecision(3) << limit.model << ", bf16, batch " << kBatch
        << ": MB an image read and written, nodes\n";
  for (const auto& [kernel, sum] : by_kernel) {
    table << std::setw(9) << megabytes(sum.read) / kBatch << std::setw(9) << megabytes(sum.written) / kBatch
          << std::setw(6) << sum.nodes << "  " << kernel << "\n";
  }
  std::cout << table.str() << std::endl;
  INFO(limit.model);
  CHECK(all.nodes <= limit.nodes);
  CHECK(megabytes(all.read + all.written) / kBatch <= limit.megabytes);
}
#endif

}  // namespace
}  // namespace fovea
