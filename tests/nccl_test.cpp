// Ranks of NCCL, of which there is one here: on a device, and in a run of training.
#include "fovea/training/nccl.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "fovea/config.h"
#include "fovea/core/captured_graph.h"
#include "fovea/core/check.h"
#include "fovea/core/device_dtype.h"
#include "op_test.h"
#include "run_program.h"
#include "temporary_folder.h"
#include "tiny_classifier.h"

using namespace fovea;
using namespace fovea::test;

namespace {

constexpr Dtype kDtypes[] = {Dtype::f32, Dtype::bf16, Dtype::f16, Dtype::u8, Dtype::i32, Dtype::i64};

std::unique_ptr<Ranks> one_rank(const TemporaryFolder& folder) {
  std::unique_ptr<Ranks> ranks = nccl_ranks({.device = Device::cuda(), .file = folder / "id"});
  CHECK(!std::filesystem::exists(folder / "id"));
  return ranks;
}

}  // namespace

TEST_CASE("nccl: the sum and the gathered parts of one rank are its own, on a device and on the CPU") {
  if (cuda_status().device_count == 0) return;
  const TemporaryFolder folder;
  const std::unique_ptr<Ranks> ranks = one_rank(folder);
  CHECK(ranks->rank() == 0);
  CHECK(ranks->size() == 1);
  for (const Device device : {Device::cuda(), Device::cpu()}) {
    for (const Dtype dtype : kDtypes) {
      if (dtype == Dtype::bf16 && !has_bf16(Device::cuda())) continue;
      const Tensor x = Tensor::full({3, 5}, 7, dtype).to(device);
      Tensor sum = x.clone(), parts = Tensor::zeros({1, 3, 5}, dtype, device);
      ranks->sum(sum);
      ranks->gather(x, parts);
      CHECK(same_bits(sum, x));
      CHECK(parts.to_doubles() == x.to_doubles());
    }
  }
}

namespace {

/// One of two ranks, in a folder that both see.
void check_one_of_two(int rank) {
  const std::unique_ptr<Ranks> ranks =
      nccl_ranks({.device = Device::cuda(), .rank = rank, .size = 2, .file = "id"});
  for (const Device device : {Device::cuda(), Device::cpu()}) {
    for (const Dtype dtype : kDtypes) {
      INFO(dtype << " on " << device);
      Tensor sum = Tensor::full({7}, 3 + 2 * rank, dtype).to(device);
      Tensor parts = Tensor::zeros({2, 7}, dtype, device);
      ranks->gather(sum, parts);
      ranks->sum(sum);
      CHECK(sum.to_doubles() == std::vector<double>(7, 8));
      std::vector<double> wanted(7, 3);
      wanted.resize(14, 5);
      CHECK(parts.to_doubles() == wanted);
    }
  }
}

}  // namespace

TEST_CASE("nccl: rank 0 of two", "[.]") {
  check_one_of_two(0);
}
TEST_CASE("nccl: rank 1 of two", "[.]") {
  check_one_of_two(1);
}

TEST_CASE("nccl: two ranks add up and gather every dtype") {
  if (FOVEA_HAS_CUDA) return;  // each wants a device of its own: emulated ones are
  const TemporaryFolder folder;
  const auto words = [&](const char* rank) {
    return std::vector<std::string>{"env", "-C", folder / ".", this_program(), rank};
  };
  // What an earlier start has left is not taken for the identifier of this one.
  std::ofstream(folder / "id") << std::string(128, 'x');
  std::filesystem::last_write_time(folder / "id",
                                   std::filesystem::file_time_type::clock::now() - std::chrono::minutes(5));
  Program other(words("nccl: rank 1 of two"));
  const Outcome first = run_program(words("nccl: rank 0 of two")), second = other.wait();
  INFO(first.out << second.out);
  CHECK(first.code == 0);
  CHECK(second.code == 0);
}

TEST_CASE("nccl: what ranks do is captured with the rest") {
  if (cuda_status().device_count == 0) return;
  const TemporaryFolder folder;
  const std::unique_ptr<Ranks> ranks = one_rank(folder);
  Tensor x = Tensor::full({4}, 2, Dtype::f32, Device::cuda()),
         parts = Tensor::zeros({1, 4}, Dtype::f32, Device::cuda());
  const CapturedGraph graph(Device::cuda(), [&] {
    ranks->sum(x);
    ranks->gather(x, parts);
  });
  CHECK(parts.to_doubles() == std::vector<double>(4, 0));
  graph.replay();
  CHECK(parts.to_doubles() == std::vector<double>(4, 2));
  x.copy_from(Tensor::full({4}, 3));
  graph.replay();
  CHECK(parts.to_doubles() == std::vector<double>(4, 3));
}

TEST_CASE("nccl: a run of one rank ends as one without ranks") {
  if (cuda_status().device_count == 0) return;
  const TemporaryFolder folder;
  const std::unique_ptr<Ranks> ranks = one_rank(folder);
  const ImageSet images = tiny_images(67, 1), others = tiny_images(13, 2);
  TrainingSettings settings = tiny_settings(OptimiserKind::sgd);
  settings.batch_size = 16;
  const auto weights = [&](Ranks* own) {
    Classifier classifier = tiny_classifier(1);
    move_to(classifier.model(), Device::cuda());
    settings.ranks = own;
    const TrainingResult result = classifier.train(images, settings, &others);
    CHECK(result.epochs == settings.epochs);
    std::vector<Tensor> all;
    for (const NamedTensor& weight : weights_of(classifier.model()))
      all.push_back(weight.tensor.to(Device::cpu()));
    return all;
  };
  const std::vector<Tensor> wanted = weights(nullptr), found = weights(ranks.get());
  for (size_t i = 0; i < wanted.size(); ++i) check_near(found[i], wanted[i], 1e-3);
}

TEST_CASE("nccl: tensors and devices of another kind are refused") {
  const TemporaryFolder folder;
  CHECK_THROWS_AS(nccl_ranks({.device = Device::cpu(), .file = folder / "id"}), UsageError);
  if (cuda_status().device_count == 0) {
    CHECK_THROWS_AS(nccl_ranks({.device = Device::cuda(), .file = folder / "id"}), DeviceError);
  }
}
