#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "fovea/core/settings_fields.h"

#pragma GCC visibility push(default)
namespace fovea {

enum class ScheduleKind { constant, steps, cosine, one_cycle };
template <>
inline constexpr EnumNames enum_names<ScheduleKind>{"schedule", {"constant", "steps", "cosine", "one-cycle"}};

/// How the learning rate changes over a run of T steps. A warm-up below 1 is a share of T, from 1 on it is a
/// number of steps. Milestones are all shares of T, where the first is below 1, or all numbers of steps.
struct ScheduleSettings {
  ScheduleKind kind = ScheduleKind::one_cycle;
  double learning_rate = 0.1;        // the highest
  std::optional<double> warm_up{};   // rises linearly up to there; unset: default_warm_up
  std::vector<double> milestones{};  // steps: where the rate is multiplied by `factor`
  double factor = 0.1;               // steps
  int64_t horizon = 0;               // T; 0: all steps of the run's epochs

  static constexpr double kMostSteps = 1e12;

  template <class V>
  void visit(V&& v) {
    const bool has_steps = kind == ScheduleKind::steps;
    v("learning_rate", learning_rate,
      {.help = "learning rate at its highest", .most = 1e6, .above_least = true, .flag = "lr"});
    v("kind", kind, {.help = "course of the learning rate", .flag = "schedule"});
    v("warm_up", warm_up,
      {.help = "steps in which the learning rate rises, or below 1 their share; default 0.25 for one-cycle",
       .most = kMostSteps});
    v("milestones", milestones,
      {.help = "for steps: where the learning rate is multiplied, all as steps or all as shares of the run",
       .most = kMostSteps,
       .above_least = true,
       .is_used = has_steps});
    v("factor", factor,
      {.help = "for steps: what it is multiplied with",
       .most = 1,
       .above_least = true,
       .flag = "decay-factor",
       .is_used = has_steps});
    v("horizon", horizon, {.flag = "", .is_used = horizon > 0});
  }
};

/// The warm-up where none is set: 0.25 for one-cycle, else 0.
double default_warm_up(ScheduleKind kind);

/// UsageError that names the setting if one makes no sense.
void check_settings(const ScheduleSettings& settings);

/// UsageError unless milestones are in ascending order, and all shares up to 1 (the end of the run), or all
/// whole numbers of steps.
void check_milestones(const std::vector<double>& milestones);

/// The learning rate of step i of T = `total_steps`, of which W are warm-up; i < W: rate * (i + 1) / W. Then
/// constant: rate; steps: rate * factor^(milestones <= i); cosine: rate * (1 + cos(pi * (i - W) / (T - W))) /
/// 2 (Loshchilov and Hutter 2017); one-cycle: rate * (T - i) / (T - W) (after Smith and Topin 2018).
double learning_rate(const ScheduleSettings& settings, int64_t step, int64_t total_steps);

}  // namespace fovea
#pragma GCC visibility pop
