#include "fovea/training/schedule.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "fovea/core/check.h"

namespace fovea {
namespace {

TEST_CASE("schedule: constant and its warm-up") {
  ScheduleSettings settings{.kind = ScheduleKind::constant, .learning_rate = 0.5};
  CHECK(learning_rate(settings, 0, 100) == 0.5);
  CHECK(learning_rate(settings, 1000, 100) == 0.5);
  settings.warm_up = 4;
  CHECK(learning_rate(settings, 0, 100) == 0.125);
  CHECK(learning_rate(settings, 2, 100) == 0.375);
  CHECK(learning_rate(settings, 3, 100) == 0.5);
  CHECK(learning_rate(settings, 4, 100) == 0.5);
  settings.warm_up = 0.04;  // of 100
  CHECK(learning_rate(settings, 2, 100) == 0.375);
}

TEST_CASE("schedule: the paper's steps, as numbers and as shares") {
  for (const std::vector<double>& milestones :
       {std::vector<double>{64'000, 96'000}, std::vector<double>{0.4, 0.6}}) {
    const ScheduleSettings settings{
        .kind = ScheduleKind::steps, .learning_rate = 0.1, .milestones = milestones};
    CHECK(learning_rate(settings, 0, 160'000) == 0.1);
    CHECK(learning_rate(settings, 63'999, 160'000) == 0.1);
    CHECK(learning_rate(settings, 64'000, 160'000) == Approx(0.01).epsilon(1e-14));
    CHECK(learning_rate(settings, 95'999, 160'000) == Approx(0.01).epsilon(1e-14));
    CHECK(learning_rate(settings, 96'000, 160'000) == Approx(0.001).epsilon(1e-14));
    CHECK(learning_rate(settings, 159'999, 160'000) == Approx(0.001).epsilon(1e-14));
  }
}

TEST_CASE("schedule: a share that is no exact binary number is not rounded down") {
  const ScheduleSettings settings{
      .kind = ScheduleKind::steps, .learning_rate = 1, .milestones = {0.29}, .factor = 0.5};
  CHECK(learning_rate(settings, 28, 100) == 1);
  CHECK(learning_rate(settings, 29, 100) == 0.5);
}

TEST_CASE("schedule: a last share of 1 is the end of the run, not its first step") {
  const ScheduleSettings settings{.kind = ScheduleKind::steps, .learning_rate = 1, .milestones = {0.5, 1.0}};
  CHECK_NOTHROW(check_settings(settings));
  CHECK(learning_rate(settings, 1, 100) == 1);
  CHECK(learning_rate(settings, 49, 100) == 1);
  CHECK(learning_rate(settings, 50, 100) == Approx(0.1).epsilon(1e-14));
  CHECK(learning_rate(settings, 99, 100) == Approx(0.1).epsilon(1e-14));
  const ScheduleSettings steps{.kind = ScheduleKind::steps, .learning_rate = 1, .milestones = {1, 50}};
  CHECK_NOTHROW(check_settings(steps));
  CHECK(learning_rate(steps, 0, 100) == 1);
  CHECK(learning_rate(steps, 1, 100) == Approx(0.1).epsilon(1e-14));
}

TEST_CASE("schedule: milestones are all shares or all steps, in order") {
  for (const std::vector<double>& wrong :
       {std::vector<double>{0.5, 30}, {0.5, 1.5}, {30, 0.5}, {1.0, 0.5}, {1, 2.5}, {0, 0.5}, {0.5, 0.4}}) {
    CHECK_THROWS_AS(check_milestones(wrong), UsageError);
  }
  for (const std::vector<double>& right : {std::vector<double>{}, {1}, {0.5}, {0.5, 1}, {1, 2}, {3, 3}}) {
    CHECK_NOTHROW(check_milestones(right));
  }
  CHECK_THROWS_AS(check_settings(ScheduleSettings{.warm_up = 1.5}), UsageError);
  CHECK_NOTHROW(check_settings(ScheduleSettings{.warm_up = 400}));
}

TEST_CASE("schedule: cosine") {
  ScheduleSettings settings{.kind = ScheduleKind::cosine, .learning_rate = 2};
  CHECK(learning_rate(settings, 0, 12) == 2);
  CHECK(learning_rate(settings, 4, 12) == Approx(1.5).epsilon(1e-14));  // cos(pi/3) = 1/2
  CHECK(learning_rate(settings, 6, 12) == Approx(1).epsilon(1e-14));
  CHECK(learning_rate(settings, 8, 12) == Approx(0.5).epsilon(1e-14));
  CHECK(learning_rate(settings, 12, 12) == 0);
  settings.warm_up = 4;
  CHECK(learning_rate(settings, 1, 16) == 1);
  CHECK(learning_rate(settings, 4, 16) == 2);
  CHECK(learning_rate(settings, 8, 16) == Approx(1.5).epsilon(1e-14));
}

TEST_CASE("schedule: one-cycle rises over a quarter and falls to zero") {
  const ScheduleSettings settings{.kind = ScheduleKind::one_cycle, .learning_rate = 0.3};
  for (const int64_t steps : {4, 40, 1563}) {
    const int64_t warm = steps / 4;
    for (int64_t i = 0; i < steps; ++i) {
      const double wanted = i < warm
                                ? 0.3 * static_cast<double>(i + 1) / static_cast<double>(warm)
                                : 0.3 * static_cast<double>(steps - i) / static_cast<double>(steps - warm);
      REQUIRE(learning_rate(settings, i, steps) == Approx(wanted).epsilon(1e-14));
    }
    CHECK(learning_rate(settings, warm, steps) == 0.3);
    CHECK(learning_rate(settings, steps, steps) == 0);
  }
}

TEST_CASE("schedule: a run shorter than its warm-up stays in it") {
  const ScheduleSettings settings{.kind = ScheduleKind::cosine, .learning_rate = 1, .warm_up = 10};
  CHECK(learning_rate(settings, 4, 5) == 0.5);
  CHECK(learning_rate(settings, 10, 5) == 0);
}

TEST_CASE("schedule: names and settings that make no sense") {
  for (const char* name : {"constant", "steps", "cosine", "one-cycle"}) {
    CHECK(name_of(parse_enum<ScheduleKind>(name)) == std::string(name));
  }
  CHECK_THROWS_AS(parse_enum<ScheduleKind>("linear"), UsageError);
  CHECK_NOTHROW(check_settings(ScheduleSettings{}));
  CHECK_THROWS_AS(check_settings(ScheduleSettings{.learning_rate = 0}), UsageError);
  CHECK_THROWS_AS(check_settings(ScheduleSettings{.learning_rate = std::nan("")}), UsageError);
  CHECK_THROWS_AS(check_settings(ScheduleSettings{.warm_up = -1}), UsageError);
  CHECK_THROWS_AS(check_settings(ScheduleSettings{.kind = ScheduleKind::steps}), UsageError);
  CHECK_THROWS_AS(check_settings(ScheduleSettings{.milestones = {0.5, 0.25}}), UsageError);
  CHECK_THROWS_AS(check_settings(ScheduleSettings{.milestones = {std::nan("")}}), UsageError);
  CHECK_THROWS_AS(check_settings(ScheduleSettings{.factor = 2}), UsageError);
  CHECK_THROWS_AS(check_settings(ScheduleSettings{.horizon = -1}), UsageError);
}

}  // namespace
}  // namespace fovea
