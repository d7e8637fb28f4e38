// Runs the program itself, as a user does: exit codes, files, standard output, stopping and resuming.
#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "fovea/config.h"
#include "fovea/core/device.h"
#include "fovea/core/safetensors.h"
#include "fovea/kernels/cpu_variant.h"
#include "fovea/training/checkpoint.h"
#include "trainer_program.h"

using namespace fovea;
using Catch::Contains;
using Json = nlohmann::json;

TEST_CASE("cifar_trainer: a run leaves settings, metrics, checkpoints and a summary") {
  const std::string& out = finished_run();
  const Json summary = Json::parse(file_bytes(out + "/summary.json"));
  for (const char* key :
       {"model", "parameters", "epochs", "steps", "test_accuracy", "test_loss", "validation_accuracy",
        "validation_loss", "best_validation_accuracy", "tested_checkpoint", "train_loss", "images_per_second",
        "peak_memory_bytes", "seconds", "device", "precision", "version"}) {
    INFO(key);
    REQUIRE(summary.contains(key));
  }
  CHECK(summary["model"] == "attention-nano");
  CHECK(summary["epochs"] == 3);
  CHECK(summary["steps"] == 24);
  CHECK(summary["finished"] == true);
  CHECK(summary["train_images"] == 64);
  CHECK(summary["validation_images"] == 16);
  CHECK(summary["test_images"] == 32);
  CHECK(summary["tested_checkpoint"] == "best.safetensors");
  CHECK(summary["device"] == "cpu");
  CHECK(summary["precision"] == "f32");
  CHECK(summary["version"] == FOVEA_VERSION);
  CHECK(summary["images_per_second"] > 0);
  CHECK(summary["peak_memory_bytes"] > 1000000);
  CHECK(summary["train_loss"] > 0);

  std::istringstream metrics(file_bytes(out + "/metrics.csv"));
  std::string line;
  std::getline(metrics, line);
  CHECK(line ==
        "epoch,step,learning_rate,train_loss,train_accuracy,validation_loss,validation_accuracy,"
        "images_per_second,seconds");
  for (int epoch = 1; epoch <= 3; ++epoch) {
    REQUIRE(std::getline(metrics, line));
    CHECK(line.find(std::to_string(epoch) + "," + std::to_string(8 * epoch) + ",") == 0);
    CHECK(std::count(line.begin(), line.end(), ',') == 8);
  }
  CHECK_FALSE(std::getline(metrics, line));
  CHECK_THAT(file_bytes(out + "/settings.toml"), Contains("batch-size = 8"));
  CHECK_NOTHROW(read_safetensors(out + "/best.safetensors"));
}

TEST_CASE("cifar_trainer: evaluate gives the accuracy of the summary, as JSON alone") {
  const std::string& out = finished_run();
  const Json summary = Json::parse(file_bytes(out + "/summary.json"));
  const Words evaluate = {"evaluate", "--checkpoint", out, "--limit", "32"};
  Words as_json = evaluate;
  as_json.push_back("--json");
  const Outcome outcome = trainer(as_json);
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  const Json report = Json::parse(outcome.out);
  CHECK(report["accuracy"] == summary["test_accuracy"]);
  CHECK(report["loss"] == summary["test_loss"]);
  CHECK(report["images"] == 32);
  CHECK_THAT(trainer(evaluate).out, Contains("accuracy"));
  CHECK(report["flip_average"] == false);
  Words mirrored = as_json;
  mirrored.push_back("--flip-average");
  const Json averaged = Json::parse(trainer(mirrored).out);
  CHECK(averaged["flip_average"] == true);
  CHECK(averaged["loss"] != report["loss"]);
  mirrored.pop_back();
  mirrored.back() = "--flip-average";
  CHECK_THAT(trainer(mirrored).out, Contains("(test, averaged with mirror images)"));
  const auto on_validation = [&](const std::string& file) {
    const Outcome held_out =
        trainer({"evaluate", "--checkpoint", out + file, "--split", "validation", "--json"});
    INFO(held_out.err);
    REQUIRE(held_out.code == 0);
    const Json found = Json::parse(held_out.out);
    CHECK(found["images"] == 16);
    return found["accuracy"];
  };
  CHECK(on_validation("/last.safetensors") == summary["validation_accuracy"]);
  CHECK(on_validation("/best.safetensors") == summary["best_validation_accuracy"]);
}

TEST_CASE("cifar_trainer: predict writes CSV and .npy of the same probabilities") {
  const TemporaryFolder folder;
  const Words predict = {"predict", "--checkpoint", finished_run() + "/last.safetensors", "--limit", "3"};
  const Outcome csv = trainer(predict);
  INFO(csv.err);
  REQUIRE(csv.code == 0);
  Words as_npy = predict;
  as_npy.insert(as_npy.end(), {"--out", folder / "p.npy"});
  REQUIRE(trainer(as_npy).code == 0);
  const std::string npy = file_bytes(folder / "p.npy");
  const size_t begin = npy.size() - 3 * 10 * sizeof(float);
  REQUIRE(begin % 64 == 0);
  CHECK_THAT(npy.substr(0, begin), Contains("NUMPY") && Contains("'shape': (3, 10)"));

  std::istringstream lines(csv.out);
  std::string line;
  std::getline(lines, line);
  CHECK(line.find("image,class,") == 0);
  const char* bytes = npy.data() + begin;
  for (int n = 0; n < 3; ++n) {
    REQUIRE(std::getline(lines, line));
    std::istringstream fields(line);
    std::string field;
    std::getline(fields, field, ',');
    CHECK(field == std::to_string(n));
    std::getline(fields, field, ',');  // the class
    double sum = 0;
    for (int k = 0; k < 10; ++k, bytes += sizeof(float)) {
      float probability = 0;
      std::memcpy(&probability, bytes, sizeof probability);
      REQUIRE(std::getline(fields, field, ','));
      CHECK(std::stod(field) == Approx(probability).margin(1e-6));
      sum += probability;
    }
    CHECK(sum == Approx(1));
  }
  Words bad_name = predict;
  bad_name.insert(bad_name.end(), {"--out", folder / "p.txt"});
  check_failure(bad_name, 2, "wanted a name that ends in .csv or .npy");
  check_failure({"predict", "--checkpoint", finished_run() + "/last.safetensors", folder / "no.png"}, 3,
                "no.png");
}

TEST_CASE("cifar_trainer: info counts, as a table and as JSON alone") {
  const Outcome outcome = trainer({"info", "--model", "attention-nano", "--json"});
  REQUIRE(outcome.code == 0);
  const Json info = Json::parse(outcome.out);
  CHECK(info["parameters"] == 262618);
  int64_t parameters = 0, multiply_adds = 0;
  for (const Json& layer : info["layers"]) {
    parameters += layer["parameters"].get<int64_t>();
    multiply_adds += layer["multiply_adds"].get<int64_t>();
  }
  CHECK(parameters == 262618);
  CHECK(info["multiply_adds"] == multiply_adds);
  CHECK_THAT(trainer({"info"}).out, Contains("262618"));
  CHECK(Json::parse(trainer({"info", "--classes", "100", "--json"}).out)["classes"] == 100);
}

TEST_CASE("cifar_trainer: exit codes tell what was wrong") {
  const TemporaryFolder folder;
  write_file(folder / "recipe.toml", "lr = 0.1\nepoch = 3\n");
  const std::string out = folder / "out";
  check_failure({"train", "--modle", "x"}, 2, "did you mean --model?");
  check_failure({"train", "--config", folder / "recipe.toml"}, 2,
                "recipe.toml:2: there is no setting \"epoch\"; did you mean epochs?");
  for (const std::string precision : {"f16", "tf32"}) {
    check_failure({"train", "--precision", precision, "--device", "cpu", "--out", out}, 2,
                  precision + " needs a CUDA device, and the device is the CPU; wanted f32 or bf16");
  }
  check_failure({"train", "--data", folder / "nowhere", "--out", out}, 3, folder / "nowhere");
  check_failure({"evaluate", "--checkpoint", folder / "none.safetensors"}, 5, "none.safetensors");
  check_failure({"train", "--resume", "--out", out}, 5, "last.safetensors");
  const CudaStatus cuda = cuda_status();
  if (cuda.device_count == 0) check_failure({"train", "--device", "cuda", "--out", out}, 4, cuda.reason);
  CHECK_FALSE(std::filesystem::exists(out));
  CHECK(trainer({"--version"}).out == "cifar_trainer " FOVEA_VERSION "\n");
  CHECK_THAT(trainer({"train", "--help"}).out,
             Contains("--batch-size") && Contains("--profile N") && Contains("Examples"));
  const std::string devices = trainer({"devices"}).out;
  CHECK_THAT(devices, Contains("cpu") && Contains("precision f32 or bf16") &&
                          Contains("kernels for " + kernels::cpu_variant()));
  Words unknown = command({"train", "--dataset", "synthetic", "--out", out});
  unknown.insert(unknown.begin(), {"env", "FOVEA_CPU=sse9"});
  const Outcome wrong = run_program(unknown);
  CHECK(wrong.code == 2);
  CHECK_THAT(wrong.err, Contains("FOVEA_CPU is \"sse9\"") && Contains("wanted one of"));
  CHECK((devices.find("cuDNN 9.") != std::string::npos) == (FOVEA_HAS_CUDA != 0));
}

TEST_CASE("cifar_trainer: train --profile writes tables and a trace, and changes no byte of the result") {
  const TemporaryFolder folder;
  const std::string out = folder / "run";
  const Outcome outcome = trainer(short_run(out, {"--profile", "2"}));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(file_bytes(out + "/last.safetensors") == file_bytes(finished_run() + "/last.safetensors"));
  const std::string tables = file_bytes(out + "/profile.md");
  CHECK_THAT(tables, Contains("# Profile: training attention-nano, batch 8, cpu, f32") &&
                         Contains("The mean of 2 steps.") && Contains("| conv_backward_weight ") &&
                         Contains("| outside kernels "));
  CHECK_THAT(outcome.err, Contains(tables));
  int updates = 0, steps = 0, products = 0;
  const Json trace = Json::parse(file_bytes(out + "/trace.json"));
  for (const Json& event : trace.at("traceEvents")) {
    if (event.at("name") == "sgd_step") ++updates;
    if (event.at("cat") == "step") ++steps;
    if (event.at("name") == "conv_forward" && event.at("args").at("flop") > 0) ++products;
  }
  CHECK(updates == 2);
  CHECK(steps == 2);
  CHECK(products > 2);
  CHECK_FALSE(std::filesystem::exists(finished_run() + "/profile.md"));

  REQUIRE(trainer(short_run(out, {"--overwrite", "--max-steps", "1"})).code == 0);
  CHECK_FALSE(std::filesystem::exists(out + "/profile.md"));
  CHECK_FALSE(std::filesystem::exists(out + "/trace.json"));
  const Outcome too_short = trainer(short_run(out, {"--overwrite", "--max-steps", "2", "--profile", "1"}));
  CHECK(too_short.code == 0);
  CHECK_THAT(too_short.err, Contains("no step was profiled"));
  for (const char* wrong : {"0", "-1", "1.5", "many", "1001"}) {
    check_failure({"train", "--profile", wrong, "--out", folder / "other"}, 2,
                  "--profile is " + std::string(wrong) + ", wanted a whole number, 1 to 1000");
  }
  const Outcome evaluation =
      trainer({"evaluate", "--checkpoint", out + "/last.safetensors", "--limit", "8", "--profile", "--json"});
  CHECK(Json::parse(evaluation.out).is_object());
  CHECK_THAT(evaluation.err, Contains("| conv_forward "));
}

TEST_CASE("cifar_trainer: a damaged checkpoint is refused") {
  const TemporaryFolder folder;
  const std::string whole = file_bytes(finished_run() + "/last.safetensors");
  std::string flipped = whole;
  flipped[whole.size() / 2] = static_cast<char>(flipped[whole.size() / 2] ^ 1);
  write_file(folder / "flipped.safetensors", flipped);
  write_file(folder / "short.safetensors", whole.substr(0, whole.size() - 100));
  check_failure({"evaluate", "--checkpoint", folder / "flipped.safetensors"}, 5, "flipped.safetensors");
  check_failure({"predict", "--checkpoint", folder / "short.safetensors"}, 5, "short.safetensors");
}

TEST_CASE("cifar_trainer: --dry-run checks flags and the folder, and leaves nothing") {
  const TemporaryFolder folder;
  const Outcome outcome = trainer(short_run(folder / "run", {"--dry-run"}));
  CHECK(outcome.code == 0);
  CHECK_FALSE(std::filesystem::exists(folder / "run"));
  check_failure(short_run(folder / "run", {"--dry-run", "--lr", "-1"}), 2, "lr");
  check_failure(short_run(finished_run(), {"--dry-run"}), 2, "already holds a run");
}

TEST_CASE("cifar_trainer: a run is not overwritten unasked") {
  const TemporaryFolder folder;
  const std::string out = folder / "run";
  const Words one_step = short_run(out, {"--max-steps", "1"});
  REQUIRE(trainer(one_step).code == 0);
  const std::string before = file_bytes(out + "/last.safetensors");
  check_failure(short_run(out, {"--seed", "2", "--max-steps", "1"}), 2, "already holds a run");
  CHECK(file_bytes(out + "/last.safetensors") == before);
  CHECK(trainer(short_run(out, {"--seed", "2", "--max-steps", "1", "--overwrite"})).code == 0);
  CHECK(file_bytes(out + "/last.safetensors") != before);
  check_failure({"train", "--resume", finished_run() + "/last.safetensors", "--out", out}, 2,
                "holds another run");
}

TEST_CASE("cifar_trainer: stopped anywhere and resumed, the same bytes") {
  const TemporaryFolder folder;
  const std::string out = folder / "run";
  const auto [signal, code] =
      GENERATE(std::pair(SIGTERM, 143), std::pair(SIGINT, 130), std::pair(SIGKILL, 137));
  Program program(command(short_run(out, {"--save-every", "1"})));
  program.wait_until([&] { return std::filesystem::exists(out + "/last.safetensors"); });
  program.kill(signal);
  const Outcome stopped = program.wait();
  INFO(stopped.err);
  CHECK(stopped.code == code);
  if (signal != SIGKILL) {
    CHECK_THAT(stopped.err,
               Contains("Stopping; once more to stop at once, without saving.") && Contains("--resume"));
    CHECK(Json::parse(file_bytes(out + "/summary.json"))["finished"] == false);
  }
  check_failure({"train", "--resume", "--out", out, "--lr", "0.1"}, 2,
                "lr is 0.1, but the run to be continued has 0.3");
  const Outcome resumed = trainer({"train", "--resume", "--out", out});
  INFO(resumed.err);
  REQUIRE(resumed.code == 0);
  CHECK(file_bytes(out + "/last.safetensors") == file_bytes(finished_run() + "/last.safetensors"));
  CHECK(file_bytes(out + "/best.safetensors") == file_bytes(finished_run() + "/best.safetensors"));
  const std::string metrics = file_bytes(out + "/metrics.csv");
  CHECK(std::count(metrics.begin(), metrics.end(), '\n') == 4);  // header and three epochs
  if (signal != SIGTERM) return;
  const std::string summary = file_bytes(out + "/summary.json");
  CHECK_THAT(trainer({"train", "--resume", "--out", out}).err, Contains("nothing was left to do"));
  CHECK(file_bytes(out + "/summary.json") == summary);
}

TEST_CASE("cifar_trainer: ended by --max-steps within an epoch and resumed, the same bytes") {
  const TemporaryFolder folder;
  const std::string out = folder / "run";
  REQUIRE(trainer(short_run(out, {"--max-steps", "11"})).code == 0);
  const Json summary = Json::parse(file_bytes(out + "/summary.json"));
  CHECK(summary["steps"] == 11);
  CHECK(summary["epochs"] == 1);
  CHECK(summary["test_accuracy"].is_number());
  CHECK_THAT(file_bytes(out + "/metrics.csv"), Contains("\n2,11,"));
  REQUIRE(trainer({"train", "--resume", "--max-steps", "0", "--out", out}).code == 0);
  CHECK(file_bytes(out + "/last.safetensors") == file_bytes(finished_run() + "/last.safetensors"));
}

TEST_CASE("cifar_trainer: the same bytes with 1, 2 and 4 threads, in f32 and in bf16") {
  const TemporaryFolder folder;
  for (const std::string precision : {"f32", "bf16"}) {
    std::string first;
    for (const std::string threads : {"1", "2", "4"}) {
      INFO(precision << " " << threads);
      const std::string out = folder / (precision + threads);
      REQUIRE(trainer(short_run(out, {"--threads", threads, "--max-steps", "3", "--precision", precision}))
                  .code == 0);
      const std::string bytes = file_bytes(out + "/last.safetensors");
      REQUIRE_FALSE(bytes.empty());
      if (first.empty()) first = bytes;
      CHECK(bytes == first);
    }
  }
}

TEST_CASE("cifar_trainer: a run goes from f32 to bf16 and back, and is used in either") {
  const TemporaryFolder folder;
  const std::string out = folder / "run", last = out + "/last.safetensors";
  REQUIRE(trainer(short_run(out, {"--max-steps", "3"})).code == 0);
  for (const std::string precision : {"bf16", "f32"}) {
    INFO(precision);
    const std::string steps = precision == "bf16" ? "6" : "9";
    REQUIRE(
        trainer({"train", "--resume", "--max-steps", steps, "--precision", precision, "--out", out}).code ==
        0);
    for (const NamedTensor& weight : read_checkpoint(last).model) CHECK(weight.tensor.dtype() == Dtype::f32);
    CHECK_THAT(file_bytes(out + "/settings.toml"), Contains("precision = \"" + precision + "\""));
    const Outcome used =
        trainer({"evaluate", "--checkpoint", out, "--precision", precision, "--limit", "10"});
    CHECK(used.code == 0);
  }
}

TEST_CASE("cifar_trainer: a second signal stops at once") {
  const TemporaryFolder folder;
  // One layer takes long enough to send two signals in.
  Program program(command({"train", "--dataset", "synthetic", "--model", "attention236", "--limit", "64",
                           "--test-limit", "1", "--batch-size", "64", "--out", folder / "run"}));
  program.wait_until([&] { return program.err().find("parameters") != std::string::npos; });
  program.kill(SIGTERM);
  program.kill(SIGINT);
  const Outcome outcome = program.wait();
  // Two threads may take one each, so that either comes second.
  CHECK((outcome.code == 130 || outcome.code == 143));
  CHECK_THAT(outcome.err, Contains("Stopping"));
  CHECK_FALSE(std::filesystem::exists(folder / "run/last.safetensors"));
}

TEST_CASE("cifar_trainer: a step that takes too long is dropped by a signal") {
  const TemporaryFolder folder;
  const std::string last = folder / "run/last.safetensors";
  Program program(command({"train", "--dataset", "synthetic", "--model", "attention236", "--limit", "64",
                           "--test-limit", "1", "--batch-size", "64", "--out", folder / "run"}));
  program.wait_until([&] { return program.err().find("parameters") != std::string::npos; });
  program.kill(SIGINT);
  const Outcome outcome = program.wait();
  INFO(outcome.err);
  CHECK(outcome.code == 130);
  CHECK_THAT(outcome.err, Contains("stopped after 0 epochs, 0 steps") && Contains("--resume"));
  CHECK(read_checkpoint(last).progress.step == 0);
}

#if !defined(__SANITIZE_ADDRESS__)  // which reserves terabytes of addresses
TEST_CASE("cifar_trainer: out of memory is a sentence") {
  const TemporaryFolder folder;
  Words words = command({"train", "--dataset", "synthetic", "--model", "attention92", "--limit", "512",
                         "--test-limit", "1", "--batch-size", "512", "--out", folder / "run"});
  // The libraries of CUDA take 600 MB of addresses.
  const std::string limit = FOVEA_HAS_CUDA ? "2000000" : "700000";
  words.insert(words.begin(), {"/bin/sh", "-c", "ulimit -v " + limit + "; exec \"$0\" \"$@\""});
  const Outcome outcome = run_program(words);
  INFO(outcome.err);
  CHECK(outcome.code == 4);
  CHECK_THAT(outcome.err, Contains("cifar_trainer: ") && Contains("memory"));
}
#endif
