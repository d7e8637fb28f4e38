#include "fovea/training/checkpoint.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <limits>

#include "fovea/core/check.h"
#include "op_test.h"
#include "temporary_folder.h"
#include "tiny_classifier.h"

namespace fovea {
namespace {

Checkpoint full_checkpoint() {
  Checkpoint checkpoint;
  checkpoint.model = {{"a.weight", normal({2, 3}, Random(1, Purpose::test))}, {"b", Tensor::zeros({})}};
  checkpoint.optimiser = {{"momentum.a.weight", normal({2, 3}, Random(2, Purpose::test))},
                          {"steps", Tensor::from<int64_t>({12345678901}, {})}};
  checkpoint.normalisation = {{0.1f, 0.2f, 0.3f}, {1.0f / 3.0f, 0.25f, 1e-7f}};
  checkpoint.info = {{"model", "attention-nano"}, {"classes", "plane\ncar"}};
  checkpoint.settings = {{"optimiser", "sgd"}, {"optimiser.momentum", "0.9"}};
  checkpoint.progress = {.step = 1,
                         .epoch = 2,
                         .batch = 3,
                         .seed = std::numeric_limits<uint64_t>::max(),
                         .batch_size = 5,
                         .images = 6,
                         .loss_sum = 0.1 + 0.2,
                         .correct = 8,
                         .train_loss = 1e-300,
                         .train_accuracy = 1.0 / 3.0,
                         .evaluation = Evaluation{2.0 / 3.0, 0.5, 0.75, 11},
                         .best_accuracy = 0.6,
                         .best_epoch = 9};
  checkpoint.convolutions = {"cuDNN 9.19.0 on NVIDIA H100 80GB HBM3",
                             {{"conv_forward bf16 N128", "{\"engine\":62}"}, {"conv_backward_input", "{}"}}};
  return checkpoint;
}

/// Same names, shapes and bytes, in whatever order: a file has wide elements first.
void check_same_tensors(std::vector<NamedTensor> a, std::vector<NamedTensor> b) {
  const auto by_name = [](const NamedTensor& x, const NamedTensor& y) { return x.name < y.name; };
  std::sort(a.begin(), a.end(), by_name);
  std::sort(b.begin(), b.end(), by_name);
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i].name == b[i].name);
    CHECK(test::same_bits(a[i].tensor, b[i].tensor));
  }
}

TEST_CASE("checkpoint: what is written is read again, to the last bit") {
  const TemporaryFolder folder;
  const Checkpoint written = full_checkpoint();
  write_checkpoint(folder / "a", written);
  const Checkpoint read = read_checkpoint(folder / "a");
  check_same_tensors(read.model, written.model);
  check_same_tensors(read.optimiser, written.optimiser);
  CHECK(read.normalisation.mean == written.normalisation.mean);
  CHECK(read.normalisation.deviation == written.normalisation.deviation);
  CHECK(read.info == written.info);
  CHECK(read.settings == written.settings);
  CHECK(read.convolutions == written.convolutions);
  CHECK(read.where == folder / "a");
  const TrainingProgress &p = read.progress, &q = written.progress;
  CHECK((p.step == q.step && p.epoch == q.epoch && p.batch == q.batch && p.seed == q.seed));
  CHECK((p.batch_size == q.batch_size && p.images == q.images && p.correct == q.correct));
  CHECK((p.loss_sum == q.loss_sum && p.train_loss == q.train_loss && p.train_accuracy == q.train_accuracy));
  CHECK((p.best_accuracy == q.best_accuracy && p.best_epoch == q.best_epoch));
  REQUIRE(p.evaluation.has_value());
  CHECK((p.evaluation->loss == q.evaluation->loss && p.evaluation->accuracy == q.evaluation->accuracy));
  CHECK((p.evaluation->top5_accuracy == q.evaluation->top5_accuracy && p.evaluation->images == 11));

  write_checkpoint(folder / "b", read);
  CHECK(file_bytes(folder / "a") == file_bytes(folder / "b"));
}

TEST_CASE("checkpoint: one with the evaluation under its old name is read") {
  const TemporaryFolder folder;
  write_checkpoint(folder / "new", full_checkpoint());
  SafetensorsFile file = read_safetensors(folder / "new");
  for (const char* name : {"loss", "accuracy", "images", "top5_accuracy"}) {
    auto entry = file.metadata.extract(str("progress.evaluation.", name));
    REQUIRE_FALSE(entry.empty());
    entry.key() = str("progress.validation.", name);
    file.metadata.insert(std::move(entry));
  }
  write_safetensors(folder / "old", file);
  const Checkpoint read = read_checkpoint(folder / "old");
  REQUIRE(read.progress.evaluation.has_value());
  write_checkpoint(folder / "again", read);
  CHECK(file_bytes(folder / "again") == file_bytes(folder / "new"));
}

TEST_CASE("checkpoint: files that are none of ours are refused") {
  const TemporaryFolder folder;
  write_checkpoint(folder / "a", full_checkpoint());
  const SafetensorsFile good = read_safetensors(folder / "a");
  const auto check_refused = [&](const SafetensorsFile& file, const std::string& reason) {
    write_safetensors(folder / "bad", file);
    CHECK_THROWS_WITH(read_checkpoint(folder / "bad"),
                      Catch::Contains(reason) && Catch::Contains(folder / "bad"));
    CHECK_THROWS_AS(read_checkpoint(folder / "bad"), CheckpointError);
  };
  for (const auto& [key, text] : good.metadata) {
    SafetensorsFile bad = good;
    bad.metadata.erase(key);
    if (key == "format") check_refused(bad, "no checkpoint of Fovea");
    if (key.starts_with("progress.") && !key.starts_with("progress.evaluation")) check_refused(bad, key);
    if (key.starts_with("normalisation.")) check_refused(bad, key);
  }
  const auto check_text_refused = [&](const std::string& key, const std::string& text,
                                      const std::string& reason) {
    SafetensorsFile bad = good;
    bad.metadata[key] = text;
    check_refused(bad, reason);
  };
  check_text_refused("format", "fovea-checkpoint-2", "wanted \"fovea-checkpoint-1\"");
  check_text_refused("progress.step", "-1", "\"progress.step\" is \"-1\"");
  check_text_refused("progress.step", "1x", "\"progress.step\" is \"1x\"");
  check_text_refused("progress.step", "", "\"progress.step\" is \"\"");
  check_text_refused("progress.step", "99999999999999999999", "wanted a number");
  check_text_refused("progress.loss_sum", "many", "wanted a number");
  check_text_refused("normalisation.deviation.1", "0", "normalisation of channel 1");
  check_text_refused("normalisation.mean.2", "nan", "normalisation of channel 2");
  SafetensorsFile bad = good;
  bad.tensors.push_back({"other", Tensor::zeros({1})});
  check_refused(bad, "\"other\" is of no known kind");
  write_bytes(folder / "text", "This is not a checkpoint.");
  CHECK_THROWS_AS(read_checkpoint(folder / "text"), CheckpointError);
  CHECK_THROWS_AS(read_checkpoint(folder / "missing"), CheckpointError);
}

TEST_CASE("checkpoint: the weights of a model, parameters and statistics") {
  test::TinyModel model(1), other(2);
  const std::vector<NamedTensor> weights = weights_of(model);
  CHECK(weights.size() == 23);
  CHECK(weights.front().name == "stem.weight");
  load_weights(other, weights, "test");
  check_same_tensors(weights_of(other), weights);
}

TEST_CASE("checkpoint: weights of 16 bits become those of 32") {
  test::TinyModel model(1), other(2);
  std::vector<NamedTensor> weights;
  for (const NamedTensor& entry : weights_of(model)) {
    Tensor narrow = Tensor::empty(entry.tensor.shape(), Dtype::bf16);
    for (int64_t i = 0; i < narrow.size(); ++i) narrow.data<bf16>()[i] = bf16(entry.tensor.data<float>()[i]);
    weights.push_back({entry.name, narrow});
  }
  CHECK(load_weights(other, weights, "test") == 23);
  const std::vector<NamedTensor> loaded = weights_of(other);
  for (size_t i = 0; i < weights.size(); ++i) {
    INFO(weights[i].name);
    CHECK(loaded[i].tensor.dtype() == Dtype::f32);
    CHECK(loaded[i].tensor.to_doubles() == weights[i].tensor.to_doubles());
  }
  CHECK_THROWS_WITH(load_weights(other, std::span(weights).subspan(1), "test",
                                 std::vector<OtherTensor>{{"stem.weight", "F8_E4M3", {2}}}),
                    Catch::Contains("stem.weight: found F8_E4M3[2], wanted f32"));
}

TEST_CASE("checkpoint: a tensor of another dtype is an error where the model wants it, and only there") {
  const TemporaryFolder folder;
  write_checkpoint(folder / "a", full_checkpoint());
  const std::string bytes = file_bytes(folder / "a");
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  std::string header = bytes.substr(8, length);
  for (size_t i = header.find("xxh3"); i != std::string::npos; i = header.find("xxh3", i)) header[i] = 'X';
  const size_t end = bytes.size() - 8 - length;
  const auto read = [&](const std::string& name) {
    const std::string text = "{\"" + name + R"(":{"dtype":"BOOL","shape":[3],"data_offsets":[)" +
                             str(end, ",", end + 3) + "]}," + header.substr(1);
    const uint64_t text_length = text.size();
    write_bytes(folder / "b", std::string(reinterpret_cast<const char*>(&text_length), 8) + text +
                                  bytes.substr(8 + length) + "abc");
    return read_checkpoint(folder / "b");
  };
  CHECK(read("optimiser.mask").others.empty());
  const Checkpoint checkpoint = read("model.mask");
  REQUIRE(checkpoint.others.size() == 1);
  CHECK(checkpoint.others[0].name == "mask");
  check_same_tensors(checkpoint.model, full_checkpoint().model);
}

TEST_CASE("checkpoint: weights that do not fit change nothing") {
  test::TinyModel model(1);
  test::TinyModel other(2);
  const std::vector<NamedTensor> weights = weights_of(other);
  std::vector<NamedTensor> before;
  for (const NamedTensor& entry : weights_of(model)) before.push_back({entry.name, entry.tensor.clone()});
  const auto check_refused = [&](const std::vector<NamedTensor>& bad, const std::string& reason) {
    CHECK_THROWS_WITH(load_weights(model, bad, "file"),
                      Catch::Contains("checkpoint: file") && Catch::Contains(reason));
    check_same_tensors(weights_of(model), before);
  };
  std::vector<NamedTensor> bad(weights.begin(), weights.end() - 1);
  check_refused(bad, "1 tensor is missing (norm.running_variance)");
  bad = weights;
  bad.push_back({"mask.weight", Tensor::zeros({1})});
  check_refused(bad, "1 tensor is unexpected (mask.weight)");
  bad = weights;
  bad.back().tensor = Tensor::zeros({9});
  check_refused(bad, "norm.running_variance: found f32[9], wanted f32[8]");
  bad.back().tensor = Tensor::zeros({8}, Dtype::f64);
  check_refused(bad, "norm.running_variance: found f64[8], wanted f32[8]");
  for (NamedTensor& entry : bad) entry.name += "x";
  check_refused(bad, "23 tensors are missing (stem.weight, unit.norm1.weight, unit.norm1.bias, ...)");
  check_refused({}, "missing");
}

}  // namespace
}  // namespace fovea
