#include <fmt/format.h>

#include "commands.h"
#include "fovea/core/atomic_file.h"
#include "fovea/core/check.h"
#include "output.h"
#include "published_tables.h"
#include "recipes.h"
#include "run_plan.h"
#include "run_ranks.h"
#include "setup.h"

namespace fovea::cli {
namespace {

// A table's runs: with each seed one network after the other.
std::vector<PlannedRun> runs_of(const PublishedTable& table, const Arguments& arguments) {
  std::vector<PlannedRun> runs;
  for (const std::string& seed : seeds_of(arguments)) {
    for (const PublishedEntry& entry : table.entries) {
      PlannedRun run{entry.name + "-seed" + seed, entry.settings};
      run.settings.emplace_back("seed", seed);
      runs.push_back(run);
    }
  }
  return runs;
}

// What the runs were, where that is not what was published.
std::string conditions_of(const Settings& settings) {
  const TrainingSettings& training = settings.training;
  std::string text = "Fovea: " + (training.epochs > 0 ? fmt::format("{} epochs", training.epochs)
                                                      : fmt::format("{} steps", training.max_steps));
  text += settings.limit > 0
              ? fmt::format(" of the first {} training images of {}", settings.limit, settings.dataset)
              : " of " + settings.dataset;
  if (settings.test_limit > 0) text += fmt::format(", tested on the first {} images", settings.test_limit);
  const bool is_paper = training.epochs == 0 && training.max_steps == 160000 && settings.limit == 0 &&
                        settings.test_limit == 0 && settings.dataset == "cifar10";
  return text +
         (is_paper ? ".\n" : ": these figures compare with each other, not with the published ones.\n");
}

std::string text_of(const std::optional<double>& percent) {
  return percent ? fmt::format("{:.2f}", *percent) : "-";
}

// What came of one network.
struct Row {
  const PublishedEntry* entry;
  Spread error;         // in percent
  std::string failure;  // of a run that could not be done; "": none
};

std::vector<Row> rows_of(const PublishedTable& table, const RunPlan& plan, int64_t seeds) {
  std::vector<Row> rows;
  const size_t entries = table.entries.size();
  for (size_t i = 0; i < entries; ++i) {
    std::vector<double> errors;
    Row row{&table.entries[i], {}, {}};
    for (size_t seed = 0; seed < static_cast<size_t>(seeds); ++seed) {
      const RunOutcome& outcome = plan.outcome(seed * entries + i);
      if (outcome.test_accuracy) errors.push_back(100 * (1 - *outcome.test_accuracy));
      if (!outcome.failure.empty()) row.failure = outcome.failure;
    }
    row.error = spread_of(errors);
    rows.push_back(row);
  }
  return rows;
}

std::string error_text(const Row& row) {
  if (row.error.count == 0) return row.failure.empty() ? "-" : "not trainable so";
  const std::string mean = fmt::format("{:.2f}", row.error.mean);
  return row.error.count > 1 ? fmt::format("{} ± {:.2f}", mean, row.error.deviation) : mean;
}

std::string markdown_of(const PublishedTable& table, const std::vector<Row>& rows, const Settings& settings) {
  std::string text = fmt::format("# {}\n\nError on the test images in percent; published: {}.\n{}\n",
                                 table.title, table.source, conditions_of(settings));
  text += "| network | published | Fovea | runs |\n| --- | ---: | ---: | ---: |\n";
  for (const Row& row : rows) {
    text += fmt::format("| {} | {} | {} | {} |\n", row.entry->label, text_of(row.entry->error),
                        error_text(row), row.error.count);
  }
  for (const Row& row : rows) {
    if (!row.failure.empty()) text += fmt::format("\n{}: {}\n", row.entry->label, row.failure);
  }
  return text;
}

std::string csv_of(const std::vector<Row>& rows) {
  std::string text = "network,published_error,error,deviation,runs\n";
  for (const Row& row : rows) {
    const bool is_known = row.error.count > 0;
    text += fmt::format(
        "{},{},{},{},{}\n", row.entry->name, row.entry->error ? fmt::format("{:.2f}", *row.entry->error) : "",
        is_known ? fmt::format("{:.4f}", row.error.mean) : "",
        row.error.count > 1 ? fmt::format("{:.4f}", row.error.deviation) : "", row.error.count);
  }
  return text;
}

}  // namespace

int reproduce(const Arguments& given) {
  check_started_alone("reproduce");
  if (given.names.empty()) {
    for (const PublishedTable& table : published_tables()) print("{:<12} {}\n", table.name, table.title);
    return 0;
  }
  check<UsageError>(given.names.size() == 1, "reproduce: ", given.names.size(),
                    " tables are named, wanted one");
  const PublishedTable& table = find_table(given.names[0]);
  Arguments arguments = given;
  arguments.config = settings_file_of(given.config.empty() ? "paper" : given.config);
  Settings named;
  apply_arguments(named, arguments);
  const std::string folder = named.out.empty() ? "runs/" + table.name : named.out;
  RunPlan plan("reproduce " + table.name, folder, arguments, runs_of(table, arguments));
  show(plan.describe());
  if (arguments.dry_run) return 0;
  std::string text;
  const int code = plan.train_all([&] {
    const std::vector<Row> rows = rows_of(table, plan, arguments.seeds);
    text = markdown_of(table, rows, new_settings(arguments));
    write_whole(folder + "/table.md", text, "reproduce", throw_as<Error>);
    write_whole(folder + "/table.csv", csv_of(rows), "reproduce", throw_as<Error>);
  });
  if (code != 0) return code;
  print("{}", text);
  return 0;
}

}  // namespace fovea::cli
