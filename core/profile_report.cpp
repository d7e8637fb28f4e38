#include "fovea/core/profile_report.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <utility>

#include "fovea/core/captured_graph.h"
#include "fovea/core/json_writer.h"

namespace fovea {
namespace {

constexpr size_t kRowsByShape = 40;

double flops_of(const KernelCall& call) {
  return 2 * static_cast<double>(call.multiply_adds);  // a product and a sum
}

/// No call can be faster than the longer of the two, unless its tensors are in the cache.
double bound_of(const KernelCall& call, const DeviceSpeed& speed) {
  double bound = 0;
  if (speed.copy_bandwidth > 0) bound = static_cast<double>(call.bytes) / speed.copy_bandwidth;
  if (speed.product_rate > 0) bound = std::max(bound, flops_of(call) / speed.product_rate);
  return bound;
}

/// Sums over calls.
struct Row {
  std::string operation, shapes;
  int64_t calls = 0;
  double seconds = 0, bytes = 0, flops = 0, bound = 0;

  void add(const KernelCall& call, const DeviceSpeed& speed) {
    ++calls;
    seconds += call.self_seconds;
    bytes += static_cast<double>(call.bytes);
    flops += flops_of(call);
    bound += bound_of(call, speed);
  }
};

/// One row for each operation, or each operation with each of its shapes, the most expensive first.
std::vector<Row> rows_of(const Profile& profile, const DeviceSpeed& speed, bool by_shapes) {
  std::map<std::pair<std::string, std::string>, Row> rows;
  for (const KernelCall& call : profile.calls) {
    const std::string operation = call.name + (call.thread == profile.thread ? "" : " (beside)");
    const std::string shapes = by_shapes ? call.shapes : "";
    Row& row = rows[{operation, shapes}];
    row.operation = operation;
    row.shapes = shapes;
    row.add(call, speed);
  }
  std::vector<Row> sorted;
  for (auto& [key, row] : rows) sorted.push_back(std::move(row));
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Row& a, const Row& b) { return a.seconds > b.seconds; });
  return sorted;
}

std::string fixed(double number, int decimals) {
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), "%.*f", decimals, number);
  return text.data();
}

using Cells = std::vector<std::string>;

/// A Markdown table whose columns are aligned for reading it as text, too: words left, numbers right.
std::string markdown(const std::vector<Cells>& lines, bool last_is_text) {
  const size_t columns = lines[0].size();
  std::vector<size_t> widths(columns, 4);
  for (const Cells& cells : lines) {
    for (size_t i = 0; i < columns; ++i) widths[i] = std::max(widths[i], cells[i].size());
  }
  const auto is_text = [&](size_t i) { return i == 0 || (last_is_text && i == columns - 1); };
  std::string table;
  for (const Cells& cells : lines) {
    for (size_t i = 0; i < columns; ++i) {
      const std::string padding(widths[i] - cells[i].size(), ' ');
      table += "| " + (is_text(i) ? cells[i] + padding : padding + cells[i]) + " ";
    }
    table += "|\n";
    if (&cells != &lines[0]) continue;
    for (size_t i = 0; i < columns; ++i) {
      table += "| " + std::string(widths[i] - 1, '-') + (is_text(i) ? "- " : ": ");
    }
    table += "|\n";
  }
  return table;
}

/// The columns that both tables share, of the mean step.
Cells cells_of(const Row& row, double steps, double step_seconds) {
  const std::string calls =
      fixed(static_cast<double>(row.calls) / steps, row.calls % static_cast<int64_t>(steps) == 0 ? 0 : 1);
  return {row.operation,
          row.calls > 0 ? calls : "",
          fixed(row.seconds / steps * 1e3, 3),
          step_seconds > 0 ? fixed(row.seconds / step_seconds * 100, 1) + "%" : "",
          fixed(row.bytes / steps / 1e9, 4),
          fixed(row.flops / steps / 1e9, 3),
          fixed(row.bound / steps * 1e3, 3),
          row.bound > 0 ? fixed(row.seconds / row.bound, 2) : ""};
}

const Cells kColumns{"operation", "calls", "ms", "share", "GB", "GFLOP", "bound ms", "time/bound"};

}  // namespace

void profile_step(Device device, const std::function<void()>& step, Profile& profile) {
  struct Profiling {
    Profiling() { set_profiling(true); }
    ~Profiling() { set_profiling(false); }
  };
  synchronize(device);
  const Profiling profiling;
  const double begin = profile_clock();
  step();
  synchronize(device);
  profile.steps.push_back({begin, profile_clock() - begin});
  profile.thread = profiled_thread();
  for (KernelCall& call : profiled_calls()) profile.calls.push_back(std::move(call));
}

std::string profile_tables(const Profile& profile, const DeviceSpeed& speed) {
  const double steps = std::max(1.0, static_cast<double>(profile.steps.size()));
  double seconds = 0;
  for (const ProfiledStep& step : profile.steps) seconds += step.seconds;
  Row kernels;
  for (const KernelCall& call : profile.calls) {
    if (call.thread == profile.thread) kernels.add(call, speed);
  }
  Row outside, all = kernels;
  kernels.operation = "kernels";
  outside.operation = "outside kernels";
  outside.seconds = seconds - kernels.seconds;
  all.operation = "in all";
  all.seconds = seconds;

  std::vector<Cells> by_operation{kColumns}, by_shapes{kColumns};
  for (const Row& row : rows_of(profile, speed, /*by_shapes=*/false)) {
    by_operation.push_back(cells_of(row, steps, seconds));
  }
  for (const Row& row : {kernels, outside, all}) by_operation.push_back(cells_of(row, steps, seconds));
  by_shapes[0].push_back("shapes");
  for (const Row& row : rows_of(profile, speed, /*by_shapes=*/true)) {
    if (by_shapes.size() > kRowsByShape) break;
    by_shapes.push_back(cells_of(row, steps, seconds));
    by_shapes.back().push_back(row.shapes);
  }
  return "The mean of " + std::to_string(profile.steps.size()) +
         (profile.steps.size() == 1 ? " step" : " steps") + ". A copy reaches " +
         fixed(speed.copy_bandwidth / 1e9, 1) + " GB/s, a product " + fixed(speed.product_rate / 1e9, 1) +
         " GFLOP/s. The bound of a call\nis the longer of its bytes and its FLOP at that speed; what lies in "
         "the cache can beat it. The time of a kernel is\nwithout the kernels that it calls; those of other "
         "threads, beside the step, are in no sum.\n\n" +
         markdown(by_operation, /*last_is_text=*/false) + "\n" + markdown(by_shapes, /*last_is_text=*/true);
}

std::string chrome_trace(const Profile& profile) {
  double first = profile.steps.empty() ? 0 : profile.steps[0].begin;
  for (const KernelCall& call : profile.calls) first = std::min(first, call.begin);
  JsonWriter json;
  const auto begin_event = [&](const std::string& name, const char* category, double begin, double seconds,
                               int thread) {
    json.begin_object();
    json.key("name"), json.text(name);
    json.key("cat"), json.text(category);
    json.key("ph"), json.text("X");
    json.key("ts"), json.number((begin - first) * 1e6);
    json.key("dur"), json.number(seconds * 1e6);
    json.key("pid"), json.integer(0);
    json.key("tid"), json.integer(thread);
  };
  json.begin_object();
  json.key("displayTimeUnit"), json.text("ms");
  json.key("traceEvents");
  json.begin_array();
  for (size_t i = 0; i < profile.steps.size(); ++i) {
    const ProfiledStep& step = profile.steps[i];
    begin_event("step " + std::to_string(i + 1), "step", step.begin, step.seconds, profile.thread);
    json.end_object();
  }
  for (const KernelCall& call : profile.calls) {
    begin_event(call.name, "kernel", call.begin, call.seconds, call.thread);
    json.key("args");
    json.begin_object();
    json.key("shapes"), json.text(call.shapes);
    json.key("bytes"), json.integer(call.bytes);
    json.key("flop"), json.integer(2 * call.multiply_adds);
    json.end_object();
    json.end_object();
  }
  json.end_array();
  json.end_object();
  return json.str() + "\n";
}

}  // namespace fovea
