#include "fovea/core/profile_report.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "fovea/core/check.h"
#include "fovea/kernels/relu.h"

namespace fovea {
namespace {

using Catch::Contains;
using Json = nlohmann::json;

KernelCall call(const std::string& name, const std::string& shapes, int64_t bytes, int64_t multiply_adds,
                double begin, double seconds, int thread = 0) {
  return {name, shapes, bytes, multiply_adds, begin, seconds, /*self_seconds=*/seconds, thread};
}

/// Two steps of 10 ms: 3 ms and 5 ms of convolution, 2 ms of ReLU, and a batch that another thread makes.
Profile two_steps() {
  Profile profile;
  profile.steps = {{100.0, 0.010}, {100.5, 0.010}};
  profile.calls = {call("conv_forward", "f32[2, 4], \"odd\"", 1'000'000, 50'000'000, 100.001, 0.003),
                   call("relu_forward", "f32[8]", 2'000'000, 0, 100.005, 0.002),
                   call("conv_forward", "f32[4, 4]", 1'000'000, 50'000'000, 100.501, 0.005),
                   call("gather_batch", "u8[3]", 500'000, 0, 100.502, 0.001, /*thread=*/1)};
  return profile;
}

/// The cells of the row of a table that begins with `operation`.
std::vector<std::string> cells_of(const std::string& tables, const std::string& operation) {
  std::istringstream lines(tables);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("| " + operation + " ", 0) != 0) continue;
    std::istringstream words(line);
    std::vector<std::string> cells;
    std::string cell;
    std::getline(words, cell, '|');
    while (std::getline(words, cell, '|')) {
      cell.erase(0, cell.find_first_not_of(' '));
      cells.push_back(cell.substr(0, cell.find_last_not_of(' ') + 1));
    }
    return cells;
  }
  return {};
}

TEST_CASE("profile_report: the mean step by operation, with its bounds") {
  // 1 GB/s and 100 GFLOP/s: 1 MB takes 1 ms, 50 million multiply-adds take 1 ms.
  const std::string tables = profile_tables(two_steps(), {1e9, 100e9});
  using Cells = std::vector<std::string>;
  CHECK_THAT(tables, Contains("The mean of 2 steps. A copy reaches 1.0 GB/s, a product 100.0 GFLOP/s."));
  CHECK(cells_of(tables, "operation") ==
        Cells{"operation", "calls", "ms", "share", "GB", "GFLOP", "bound ms", "time/bound"});
  CHECK(cells_of(tables, "conv_forward") ==
        Cells{"conv_forward", "1", "4.000", "40.0%", "0.0010", "0.100", "1.000", "4.00"});
  CHECK(cells_of(tables, "relu_forward") ==
        Cells{"relu_forward", "0.5", "1.000", "10.0%", "0.0010", "0.000", "1.000", "1.00"});
  CHECK(cells_of(tables, "gather_batch (beside)")[2] == "0.500");
  CHECK(cells_of(tables, "kernels") ==
        Cells{"kernels", "1.5", "5.000", "50.0%", "0.0020", "0.100", "2.000", "2.50"});
  CHECK(cells_of(tables, "outside kernels") ==
        Cells{"outside kernels", "", "5.000", "50.0%", "0.0000", "0.000", "0.000", ""});
  CHECK(cells_of(tables, "in all") ==
        Cells{"in all", "1.5", "10.000", "100.0%", "0.0020", "0.100", "2.000", "5.00"});
  // The most expensive first, and by shapes the second convolution before the first.
  CHECK(tables.find("| conv_forward") < tables.find("| relu_forward"));
  CHECK(tables.find("f32[4, 4]") < tables.find("f32[2, 4]"));
}

TEST_CASE("profile_report: the bound is the longer of the two, call by call") {
  Profile profile;
  profile.steps = {{0, 0.004}};
  profile.calls = {call("conv_forward", "a", 1'000'000, 0, 0, 0.002),
                   call("conv_forward", "a", 0, 50'000'000, 0.002, 0.002)};
  CHECK(cells_of(profile_tables(profile, {1e9, 100e9}), "conv_forward")[6] == "2.000");
  CHECK(cells_of(profile_tables(profile, {}), "conv_forward")[7].empty());  // speeds that are not known
  CHECK_THAT(profile_tables({}, {}), Contains("in all"));
}

TEST_CASE("profile_report: the trace is JSON with an event for each step and call") {
  const Json trace = Json::parse(chrome_trace(two_steps()));
  const Json& events = trace.at("traceEvents");
  REQUIRE(events.size() == 6);
  for (const Json& event : events) {
    CHECK(event.at("ph") == "X");
    CHECK(event.at("pid").is_number());
    CHECK(event.at("ts").get<double>() >= 0);
    CHECK(event.at("dur").get<double>() > 0);
  }
  CHECK(events[1].at("name") == "step 2");
  CHECK(events[1].at("ts").get<double>() == Approx(500000));
  const Json& conv = events[2];
  CHECK(conv.at("name") == "conv_forward");
  CHECK(conv.at("ts").get<double>() == Approx(1000).epsilon(1e-6));  // microseconds
  CHECK(conv.at("dur").get<double>() == Approx(3000));
  CHECK(conv.at("args") == Json{{"shapes", "f32[2, 4], \"odd\""}, {"bytes", 1000000}, {"flop", 100000000}});
  CHECK(events[5].at("tid") == 1);
  CHECK(events[2].at("tid") == 0);
}

TEST_CASE("profile_report: profile_step adds a step, and profiling is off after an error") {
  const Tensor x = Tensor::full({4}, 1.0);
  Tensor y = Tensor::empty_like(x);
  Profile profile;
  for (int i = 0; i < 2; ++i) {
    profile_step(
        Device::cpu(), [&] { kernels::relu_forward(x, y); }, profile);
  }
  REQUIRE((profile.steps.size() == 2 && profile.calls.size() == 2));
  CHECK(profile.calls[1].begin >= profile.steps[1].begin);
  CHECK(profile.calls[1].seconds <= profile.steps[1].seconds);
  CHECK(profile.thread == profiled_thread());
  CHECK_THROWS_AS(profile_step(
                      Device::cpu(), [] { throw Error("stop"); }, profile),
                  Error);
  CHECK_FALSE(is_profiling());
}

}  // namespace
}  // namespace fovea
