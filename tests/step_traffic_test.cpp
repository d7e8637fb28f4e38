// What a captured training step costs by count: nodes of its graph, and bytes of device memory that they move.
#include <catch2/catch.hpp>
#include <cstdio>
#include <map>

#include "emulator/traffic.h"
#include "fovea/core/stream.h"
#include "fovea/kernels/arithmetic.h"
#include "fovea/kernels/preactivation_conv.h"
#include "fovea/models/zoo.h"
#include "fovea/training/device_batches.h"
#include "fovea/training/training_step.h"
#include "op_test.h"

namespace fovea {
namespace {

using emulator::NodeTraffic;

/// What a step of a model may cost at most in bf16 with 512 images; lowered when it costs less.
struct Limit {
  const char* model;
  size_t nodes;
  double megabytes;  // an image, 10^6 bytes
};
constexpr Limit kLimits[] = {
    {"attention56", 1, 1},
    {"attention92", 1, 1},
    {"attention92-wide", 1, 1},
};

constexpr int64_t kBatch = 512;              // for which the nodes count
constexpr int64_t kSmaller = 2, kLarger = 4; // that run
constexpr double kMega = 1e6;

/// Steps of a model as TrainingRun captures them: a batch from images that lie on the device, then the step.
class Steps {
 public:
  explicit Steps(const std::string& name)
      : model_(on_device(name)),
        optimiser_(*model_, OptimiserSettings{}, Dtype::bf16),
        step_(*model_, optimiser_, /*label_smoothing=*/0.1, Precision::bf16, /*steps_per_epoch=*/1),
        batches_(images(), /*normalisation=*/{}, Augmentation{}, /*seed=*/1, Dtype::bf16, Device::cuda()) {
    step_.begin_epoch(std::vector<double>{0.1}, /*next=*/0, /*correct=*/0);
  }

  CapturedGraph captured(int64_t batch_size) {
    Batch batch = batches_.empty(batch_size);
    const auto step = [&] {
      batches_.gather(step_.position(), batch);
      step_.run(batch.images, batch.labels);
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
  DeviceBatches batches_;
};

struct Sum {
  int64_t nodes = 0, read = 0, written = 0;

  int64_t bytes() const { return read + written; }
  void add(const NodeTraffic& node) {
    ++nodes;
    read += node.read;
    written += node.written;
  }
};
using Sums = std::map<std::string, Sum>;

std::string line_of(const NodeTraffic& node) {
  return node.kernel.empty() ? node.operation : node.operation + ": " + node.kernel;
}

TEST_CASE("step traffic: attention") {
  const std::string name = GENERATE(as<std::string>(), "attention56", "attention92", "attention92-wide");
  Steps steps(name);
  emulator::TrafficMeter meter;
  const int64_t nodes = steps.captured(kBatch).nodes();
  std::printf("%s: %ld nodes\n", name.c_str(), (long)nodes);
  Sums all[2];
  Sum total[2];
  const int64_t sizes[2] = {kSmaller, kLarger};
  for (int i = 0; i < 2; ++i) {
    const CapturedGraph graph = steps.captured(sizes[i]);
    graph.replay();
    for (const NodeTraffic& node : meter.take()) {
      all[i][line_of(node)].add(node);
      total[i].add(node);
    }
    std::printf("%s: batch %ld: %ld nodes, %.1f MB\n", name.c_str(), (long)sizes[i], (long)total[i].nodes,
                (double)total[i].bytes() / kMega);
  }
  const double slope = (double)(total[1].bytes() - total[0].bytes()) / (double)(kLarger - kSmaller) / kMega;
  std::printf("%s: %.1f MB an image\n", name.c_str(), slope);
  for (const auto& [line, sum] : all[1]) {
    const double each = (double)(sum.bytes() - all[0][line].bytes()) / (double)(kLarger - kSmaller) / kMega;
    std::printf("%8.3f %5ld %s\n", each, (long)sum.nodes, line.c_str());
  }
}

}  // namespace
}  // namespace fovea
