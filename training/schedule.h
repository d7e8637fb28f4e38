#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fovea {

enum class ScheduleKind { constant, steps, cosine, one_cycle };
/// "constant", "steps", "cosine", "one-cycle"
const char* name_of(ScheduleKind kind);
/// The kind called `name`; UsageError lists the names if there is none.
ScheduleKind parse_schedule_kind(const std::string& name);

/// How the learning rate changes over a run of T steps. A warm-up below 1 is a share of T, from 1 on it is a
/// number of steps. Milestones are all shares of T, where the first is below 1, or all numbers of steps.
struct ScheduleSettings {
  ScheduleKind kind = ScheduleKind::one_cycle;
  double learning_rate = 0.1;        // the highest
  std::optional<double> warm_up{};   // rises linearly up to there; unset: 0.25 for one-cycle, else none
  std::vector<double> milestones{};  // steps: where the rate is multiplied by `factor`
  double factor = 0.1;               // steps
  int64_t horizon = 0;               // T; 0: all steps of the run's epochs
};

/// UsageError that names the setting if one makes no sense.
void check_settings(const ScheduleSettings& settings);

/// The same for milestones alone: in ascending order, and all shares up to 1 (the end of the run), or all
/// whole numbers of steps.
void check_milestones(const std::vector<double>& milestones);

/// The learning rate of step i of T = `total_steps`, of which W are warm-up; i < W: rate * (i + 1) / W. Then
/// constant: rate; steps: rate * factor^(milestones <= i); cosine: rate * (1 + cos(pi * (i - W) / (T - W))) /
/// 2 (Loshchilov and Hutter 2017); one-cycle: rate * (T - i) / (T - W) (after Smith and Topin 2018).
double learning_rate(const ScheduleSettings& settings, int64_t step, int64_t total_steps);

}  // namespace fovea
