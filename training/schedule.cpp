#include "fovea/training/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "fovea/core/check.h"

namespace fovea {
namespace {

/// A share of the run, or a number of steps already, as whole steps.
int64_t steps_of(double share_or_steps, bool is_share, int64_t total_steps) {
  const double steps = is_share ? share_or_steps * static_cast<double>(total_steps) : share_or_steps;
  return static_cast<int64_t>(steps + 1e-6);  // 0.29 * 100 is 28.999999999999996
}

bool is_number_of_steps(double value) {
  return value >= 1 && value <= ScheduleSettings::kMostSteps && std::floor(value) == value;
}

/// Whether milestones, which are in order, are shares: 1 is then the end of the run, not its first step.
bool are_shares(const std::vector<double>& milestones) {
  return !milestones.empty() && milestones.front() < 1;
}

}  // namespace

double default_warm_up(ScheduleKind kind) {
  return kind == ScheduleKind::one_cycle ? 0.25 : 0.0;
}

void check_settings(const ScheduleSettings& settings) {
  check_ranges(settings, "schedule");
  const double warm_up = settings.warm_up.value_or(0);
  check<UsageError>(warm_up < 1 || is_number_of_steps(warm_up), "schedule: warm_up is ", warm_up,
                    ", wanted a share of the run below 1, or a whole number of steps");
  check_milestones(settings.milestones);
  check<UsageError>(settings.kind != ScheduleKind::steps || !settings.milestones.empty(),
                    "schedule: steps needs milestones, for example 0.5 and 0.75");
}

void check_milestones(const std::vector<double>& milestones) {
  for (const double milestone : milestones) {
    check<UsageError>(milestone > 0 && milestone <= ScheduleSettings::kMostSteps, "schedule: milestone is ",
                      milestone, ", wanted a share of the run or a number of steps");
  }
  check<UsageError>(std::is_sorted(milestones.begin(), milestones.end()),
                    "schedule: the milestones are not in ascending order");
  const bool shares = are_shares(milestones);
  for (const double milestone : milestones) {
    check<UsageError>(shares ? milestone <= 1 : is_number_of_steps(milestone), "schedule: milestone is ",
                      milestone, ", wanted ",
                      shares ? str("a share of at most 1, as ", milestones.front(), " is a share")
                             : std::string("a whole number, as all are steps"),
                      "; give all as shares of the run, such as 0.5,0.75, or all as steps");
  }
}

double learning_rate(const ScheduleSettings& settings, int64_t step, int64_t total_steps) {
  const double peak = settings.learning_rate;
  const double warm_up_setting = settings.warm_up.value_or(default_warm_up(settings.kind));
  const int64_t warm_up = steps_of(warm_up_setting, /*is_share=*/warm_up_setting < 1, total_steps);
  if (step < warm_up) return peak * static_cast<double>(step + 1) / static_cast<double>(warm_up);
  if (settings.kind == ScheduleKind::constant) return peak;
  if (settings.kind == ScheduleKind::steps) {
    const bool is_share = are_shares(settings.milestones);
    const auto passed = std::count_if(settings.milestones.begin(), settings.milestones.end(),
                                      [&](double at) { return steps_of(at, is_share, total_steps) <= step; });
    return peak * std::pow(settings.factor, static_cast<double>(passed));
  }
  if (step >= total_steps) return 0;
  const double left = static_cast<double>(total_steps - step) / static_cast<double>(total_steps - warm_up);
  if (settings.kind == ScheduleKind::one_cycle) return peak * left;
  return peak * (1 + std::cos(std::numbers::pi * (1 - left))) / 2;
}

}  // namespace fovea
