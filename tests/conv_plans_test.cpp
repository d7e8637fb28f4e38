// Which engine computes a convolution, with made-up engines and made-up machines.
#include "fovea/kernels/cuda/conv/plans.h"

#include <catch2/catch.hpp>
#include <iostream>
#include <memory>
#include <sstream>

#include "fovea/core/captured_graph.h"
#include "fovea/kernels/cuda/conv/reference.h"
#include "has_device.h"
#include "temporary_folder.h"

using namespace fovea;
using kernels::ConvChoices;
using kernels::ConvChoicesScope;
using kernels::ConvPass;
using kernels::cuda::conv_reference;
using kernels::cuda::ConvCache;
using kernels::cuda::ConvChoice;
using kernels::cuda::ConvEngine;
using kernels::cuda::ConvKey;
using kernels::cuda::ConvLibrary;
using kernels::cuda::ConvPlan;
using kernels::cuda::ConvPlans;
using kernels::cuda::ConvScratch;
using kernels::cuda::ConvTensors;
using kernels::cuda::Stopwatch;
using test::has_device;

namespace {

const Device kDevice = Device::cuda();
constexpr const char* kName = "library 1.0";

ConvKey example(ConvPass pass = ConvPass::forward, Dtype dtype = Dtype::f32) {
  return {{2, 5, 5, 3, 4, 3, 3, 1, 1}, pass, dtype, false};
}

ConvChoice engine(int64_t index) {
  return {.engine = ConvEngine{index, {}}, .is_padded = false, .microseconds = 0};
}

enum class Kind { right, wrong, cannot_run, cannot_be_built, too_large };

/// A machine whose library has made-up engines, numbered from 0 in the order in which it proposes them.
struct Machine {
  explicit Machine(std::vector<Kind> kinds_) : kinds(std::move(kinds_)) {}

  ConvPlans plans(const std::string& cache_folder = "") {
    ConvLibrary library{.name = name, .device = "a device", .proposals = {}, .build = {}};
    library.proposals = [this](const ConvKey&) {
      ++proposals;
      std::vector<ConvChoice> result;
      for (size_t i = 0; i < kinds.size(); ++i) result.push_back(engine(static_cast<int64_t>(i)));
      return result;
    };
    library.build = [this](const ConvKey& problem, const ConvChoice& choice) {
      return plan(problem, static_cast<size_t>(choice.engine->index));
    };
    Stopwatch stopwatch;
    if (!seconds.empty()) {
      stopwatch = [this](const auto& body) {
        body();
        if (cannot_time) throw DeviceError("stopwatch: it cannot be recorded");
        return seconds.at(last);
      };
    }
    return {std::move(library), kDevice, cache_folder, stopwatch};
  }

  ConvPlan plan(const ConvKey& problem, size_t index) {
    const Kind kind = kinds.at(index);
    if (kind == Kind::cannot_be_built) throw DeviceError("library: not supported");
    return [=, this](ConvTensors& tensors, ConvScratch&) {
      last = index;
      ++runs;
      if (kind == Kind::cannot_run) throw DeviceError("library: execution failed");
      if (kind == Kind::too_large) Tensor::empty({int64_t{1} << 50}, Dtype::u8, kDevice);
      conv_reference(problem, tensors);
      if (kind == Kind::wrong) tensors.result(problem.pass).fill_with_zeros();
    };
  }

  std::vector<Kind> kinds;
  std::vector<double> seconds{};  // for an engine each; none: no stopwatch
  bool cannot_time = false;
  std::string name = kName;
  size_t last = 99;  // the engine that ran last
  int runs = 0, proposals = 0;
};

/// Which engine computes a convolution; 99: the reference. It must give what the reference gives.
size_t used(Machine& machine, ConvPlans& plans, const ConvKey& problem = example()) {
  ConvTensors tensors{Tensor::full(problem.x(), 2, problem.dtype, kDevice),
                      Tensor::full(problem.weight(), 3, problem.dtype, kDevice),
                      Tensor::full(problem.y(), 5, problem.dtype, kDevice)};
  ConvTensors wanted{tensors.x.clone(), tensors.weight.clone(), tensors.y.clone()};
  const std::shared_ptr<const ConvPlan> plan = plans.plan_for(problem);
  machine.last = 99;
  ConvScratch scratch;
  (*plan)(tensors, scratch);
  conv_reference(problem, wanted);
  CHECK(tensors.result(problem.pass).to_doubles() == wanted.result(problem.pass).to_doubles());
  return machine.last;
}

/// What is said on stderr while one lives.
class Said {
 public:
  Said() : before_(std::cerr.rdbuf(said_.rdbuf())) {}
  ~Said() { std::cerr.rdbuf(before_); }
  Said(const Said&) = delete;
  Said& operator=(const Said&) = delete;

  bool contains(const std::string& text) const { return said_.str().find(text) != std::string::npos; }
  bool is_silent() const { return said_.str().empty(); }

 private:
  std::ostringstream said_;
  std::streambuf* before_;
};

constexpr ConvPass kPasses[] = {ConvPass::forward, ConvPass::backward_input, ConvPass::backward_weight};

}  // namespace

TEST_CASE("conv_plans: untimed, the first engine that runs and gives the right numbers is taken") {
  if (!has_device()) return;
  const Said said;
  for (const ConvPass pass : kPasses) {
    for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
      Machine machine({Kind::cannot_be_built, Kind::cannot_run, Kind::wrong, Kind::right, Kind::right});
      ConvPlans plans = machine.plans();
      const ConvKey problem = example(pass, dtype);
      CHECK(used(machine, plans, problem) == 3);
      CHECK(said.contains(problem.str() + ": engine 2 of library 1.0 is left out: "));
      const int runs = machine.runs;
      CHECK(runs == 4);  // each that could be built once, and then the convolution itself
      CHECK(used(machine, plans, problem) == 3);
      CHECK(machine.runs == runs + 1);
    }
  }
}

TEST_CASE("conv_plans: where no engine is right, the reference serves, and it is said") {
  if (!has_device()) return;
  for (const bool is_timed : {false, true}) {
    Machine machine({Kind::wrong, Kind::cannot_run, Kind::cannot_be_built});
    if (is_timed) machine.seconds = {1, 1, 1};
    ConvPlans plans = machine.plans();
    const Said said;
    CHECK(used(machine, plans) == 99);
    CHECK(said.contains("library 1.0 has no engine that serves"));
  }
}

TEST_CASE("conv_plans: after a trial that fails, the first right engine is taken, and nothing is kept") {
  if (!has_device()) return;
  const TemporaryFolder folder;
  Machine machine({Kind::wrong, Kind::cannot_run, Kind::right});
  machine.seconds = {1, 1, 1};
  {
    machine.cannot_time = true;
    ConvPlans plans = machine.plans(folder.path().string());
    const Said said;
    CHECK(used(machine, plans) == 2);
    CHECK_FALSE(ConvCache(folder.path().string(), kName, "a device").find(example()).has_value());
  }
  machine.cannot_time = false;
  // One that wants too much memory ends the trial where nothing else is right.
  machine.kinds = {Kind::wrong, Kind::too_large};
  {
    ConvPlans plans = machine.plans(folder.path().string());
    const Said said;
    CHECK_THROWS_AS(plans.plan_for(example()), OutOfMemory);
    CHECK(said.contains("no trial of engines, the first that is right is taken: "));
    CHECK_FALSE(said.contains("unchecked"));
  }
  machine.kinds = {Kind::right};
  machine.seconds = {1};
  ConvPlans plans = machine.plans(folder.path().string());
  CHECK(used(machine, plans) == 0);
}

TEST_CASE("conv_plans: without memory for a trial, the first that can be built is taken, and it is said") {
  if (!has_device()) return;
  Machine machine({Kind::cannot_be_built, Kind::right});
  ConvPlans plans = machine.plans();
  ConvKey problem = example();
  problem.N = int64_t{1} << 40;
  const Said said;
  CHECK_NOTHROW(plans.plan_for(problem));
  CHECK(machine.runs == 0);
  CHECK(said.contains("the first engine that can be built is taken, unchecked: "));
}

TEST_CASE("conv_plans: timed, the fastest is taken and kept, and one that no longer runs is replaced") {
  if (!has_device()) return;
  const TemporaryFolder folder;
  const std::string cache = folder.path().string();
  Machine machine({Kind::right, Kind::right, Kind::right});
  machine.seconds = {3, 1, 2};
  {
    ConvPlans plans = machine.plans(cache);
    CHECK(used(machine, plans) == 1);
  }
  machine.seconds = {1, 1, 1};
  const int proposals = machine.proposals;
  {
    ConvPlans plans = machine.plans(cache);
    CHECK(used(machine, plans) == 1);
    CHECK(machine.proposals == proposals);
  }
  for (const Kind kind : {Kind::cannot_run, Kind::cannot_be_built}) {
    machine.kinds[1] = kind;
    ConvPlans plans = machine.plans(cache);
    CHECK(used(machine, plans) == 0);
    machine.kinds[0] = Kind::right;
    ConvPlans later = machine.plans(cache);
    CHECK(used(machine, later) == 0);
    ConvCache(cache, kName, "a device").add(example(), engine(1));
  }
}

TEST_CASE("conv_plans: a run takes its own choices first, on a machine whose cache has others") {
  if (!has_device()) return;
  const TemporaryFolder folders[2];
  Machine machine({Kind::right, Kind::right});
  ConvChoices run;
  machine.seconds = {1, 2};
  {
    ConvPlans plans = machine.plans(folders[0].path().string());
    const ConvChoicesScope scope(run);
    CHECK(used(machine, plans) == 0);
  }
  CHECK(run.made_for == "library 1.0 on a device");
  CHECK(run.by_problem == std::map<std::string, std::string>{{example().str(), text_of(engine(0))}});

  machine.seconds = {2, 1};
  const std::string cache = folders[1].path().string();
  ConvPlans plans = machine.plans(cache);
  const Said said;
  for (int round = 0; round < 2; ++round) {
    CHECK(used(machine, plans) == 1);  // the machine's own
    ConvChoices resumed = run;
    const ConvChoicesScope scope(resumed);
    CHECK(used(machine, plans) == 0);
    const ConvKey other = example(ConvPass::backward_weight);
    CHECK(used(machine, plans, other) == 1);  // the run has none for it yet
    CHECK(resumed.by_problem.size() == 2);
    CHECK(resumed.by_problem.at(example().str()) == text_of(engine(0)));
    CHECK(resumed.by_problem.at(other.str()) == text_of(engine(1)));
    ConvChoices another;
    const ConvChoicesScope inner(another);
    CHECK(used(machine, plans) == 1);
    CHECK(another.by_problem.size() == 1);
  }
  CHECK(ConvCache(cache, kName, "a device").find(example())->engine == engine(1).engine);
  CHECK(said.is_silent());
}

TEST_CASE("conv_plans: a run's choice is taken where none was made, without a trial") {
  if (!has_device()) return;
  Machine machine({Kind::right, Kind::right});
  ConvPlans plans = machine.plans();
  ConvChoices run{"library 1.0 on a device", {{example().str(), text_of(engine(1))}}};
  const ConvChoicesScope scope(run);
  CHECK(used(machine, plans) == 1);
  CHECK(machine.proposals == 0);
}

TEST_CASE("conv_plans: a run's choice that is of no use here is replaced, and it is said") {
  if (!has_device()) return;
  for (const std::string& text : {text_of(engine(1)), text_of(engine(2)), std::string("{}")}) {
    Machine machine({Kind::right, Kind::cannot_run, Kind::cannot_be_built});
    ConvPlans plans = machine.plans();
    ConvChoices run{"library 1.0 on a device", {{example().str(), text}}};
    const ConvChoicesScope scope(run);
    const Said said;
    CHECK(used(machine, plans) == 0);
    CHECK(said.contains("the run's bits may differ"));
    CHECK(run.by_problem.at(example().str()) == text_of(engine(0)));
  }
  Machine machine({Kind::right, Kind::right});
  ConvPlans plans = machine.plans();
  ConvChoices run{"library 0.9 on a device", {{example().str(), text_of(engine(1))}, {"another", "{}"}}};
  const ConvChoicesScope scope(run);
  const Said said;
  CHECK(used(machine, plans) == 0);
  CHECK(said.contains("computed by library 0.9 on a device, and here is library 1.0 on a device"));
  CHECK(run == ConvChoices{"library 1.0 on a device", {{example().str(), text_of(engine(0))}}});
}

TEST_CASE("conv_plans: while a graph is recorded, what is known is taken, and nothing is chosen") {
  if (!has_device()) return;
  Machine machine({Kind::right, Kind::right});
  ConvPlans plans = machine.plans();
  const ConvKey other = example(ConvPass::backward_input);
  ConvChoices run{"library 1.0 on a device", {{example().str(), text_of(engine(1))}}};
  plans.plan_for(example());
  const auto record = [&](const ConvKey& problem) {
    CapturedGraph(kDevice, [&] { plans.plan_for(problem); });
  };
  CHECK_NOTHROW(record(example()));
  CHECK_THROWS_WITH(record(other), Catch::Contains("none can be while a graph is recorded"));
  {
    ConvChoices same{"library 1.0 on a device", {{example().str(), text_of(engine(0))}}};
    const ConvChoicesScope scope(same);
    CHECK_NOTHROW(record(example()));
  }
  const ConvChoicesScope scope(run);
  CHECK_THROWS_WITH(record(example()), Catch::Contains("none can be while a graph is recorded"));
  CHECK(used(machine, plans) == 1);
  CHECK_NOTHROW(record(example()));
}

TEST_CASE("conv_plans: of many image sizes a bounded number of plans stays, the ones used last") {
  if (!has_device()) return;
  Machine machine({Kind::right});
  ConvPlans plans = machine.plans();
  const auto of_size = [](int64_t size) {
    ConvKey problem = example();
    problem.W = size;
    return problem;
  };
  constexpr auto kMost = static_cast<int64_t>(ConvPlans::kMostProblems);
  const std::shared_ptr<const ConvPlan> held = plans.plan_for(of_size(3));
  for (int64_t size = 3; size < kMost + 20; ++size) {
    plans.plan_for(of_size(size));
    REQUIRE(plans.problems() <= ConvPlans::kMostProblems);
    plans.plan_for(of_size(4));  // never the one used longest ago
  }
  CHECK(plans.problems() == ConvPlans::kMostProblems);
  const int proposals = machine.proposals;
  CHECK(proposals == kMost + 17);
  for (int64_t size = kMost + 19; size > 30; --size) plans.plan_for(of_size(size));
  plans.plan_for(of_size(4));
  CHECK(machine.proposals == proposals);
  CHECK(plans.plan_for(of_size(3)) != held);  // it was gone
  CHECK(machine.proposals == proposals + 1);
  ConvTensors tensors{Tensor::full(of_size(3).x(), 2, Dtype::f32, kDevice),
                      Tensor::full(of_size(3).weight(), 3, Dtype::f32, kDevice),
                      Tensor::full(of_size(3).y(), 5, Dtype::f32, kDevice)};
  ConvScratch scratch;
  CHECK_NOTHROW((*held)(tensors, scratch));  // who holds a plan can use it
}

TEST_CASE("conv_plans: what was used while a graph was recorded stays, and replays") {
  if (!has_device()) return;
  Machine machine({Kind::right});
  ConvPlans plans = machine.plans();
  const std::shared_ptr<const ConvPlan> recorded = plans.plan_for(example());
  const CapturedGraph graph(kDevice, [&] { plans.plan_for(example()); });
  ConvKey other = example();
  for (other.W = 10; other.W < static_cast<int64_t>(ConvPlans::kMostProblems) + 20; ++other.W) {
    plans.plan_for(other);
  }
  CHECK(plans.problems() == ConvPlans::kMostProblems);
  CHECK(plans.plan_for(example()) == recorded);
}
