#include <fmt/format.h>
#include <algorithm>
#include <map>

#include "html.h"
#include "report_curves.h"
#include "report_parts.h"

namespace fovea::cli {
namespace {

/// A name for each run: that of its folder, or the whole path where two folders have the same name.
std::vector<RunRecord> with_own_names(const std::vector<RunRecord>& runs) {
  std::map<std::string, int> counts;
  for (const RunRecord& run : runs) ++counts[run.name];
  std::vector<RunRecord> named = runs;
  for (RunRecord& run : named) {
    if (counts[run.name] > 1) run.name = run.folder;
  }
  return named;
}

std::string name_cell(const RunRecord& run, size_t place) {
  return fmt::format("<th scope=\"row\"><span class=\"swatch b{}\"></span>{}</th>",
                     place % static_cast<size_t>(kChartColours), escaped(run.name));
}

std::string results_table(const std::vector<RunRecord>& runs) {
  constexpr std::pair<const char*, const char*> kColumns[] = {{"test_accuracy", "Test accuracy"},
                                                              {"test_loss", "Test loss"},
                                                              {"best_validation_accuracy", "Best validation"},
                                                              {"train_accuracy", "Training"},
                                                              {"epochs", "Epochs"},
                                                              {"parameters", "Parameters"},
                                                              {"seconds", "Time"},
                                                              {"images_per_second", "Images/s"},
                                                              {"peak_memory_bytes", "Peak memory"}};
  std::string text =
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Results\"><table "
      "class=\"results\"><thead>"
      "<tr><th scope=\"col\">Run</th>";
  for (const auto& [key, name] : kColumns)
    text += fmt::format("<th scope=\"col\" class=\"number\">{}</th>", name);
  text += "</tr></thead><tbody>\n";
  for (size_t i = 0; i < runs.size(); ++i) {
    text += "<tr>" + name_cell(runs[i], i);
    for (const auto& [key, name] : kColumns) text += number_cell(key, value_of(runs[i].summary, key));
    text += "</tr>\n";
  }
  return text + "</tbody></table></div>\n";
}

std::string shown_value(const Setting& setting) {
  const auto value = setting.field.value();
  const std::string text = value ? field_text(*value) : "default";
  return text.empty() ? "–" : text;
}

std::string differences_table(const std::vector<RunRecord>& runs) {
  std::vector<Settings> copies;
  copies.reserve(runs.size());  // the lists point into them
  std::vector<std::vector<Setting>> lists;
  for (const RunRecord& run : runs) {
    copies.push_back(run.settings);
    lists.push_back(list_settings(copies.back()));
  }
  std::string rows;
  for (const Setting& setting : lists[0]) {
    if (setting.key == "out") continue;
    std::vector<std::string> values;
    values.reserve(runs.size());
    for (const std::vector<Setting>& list : lists)
      values.push_back(shown_value(find_setting(list, setting.key, "report")));
    if (std::all_of(values.begin(), values.end(), [&](const auto& value) { return value == values[0]; }))
      continue;
    rows += fmt::format("<tr><th scope=\"row\">{}</th>", escaped(setting.key));
    for (const std::string& value : values) rows += "<td>" + escaped(value) + "</td>";
    rows += "</tr>\n";
  }
  if (rows.empty()) return "<p>All settings are the same.</p>\n";
  std::string text =
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Settings that differ\">"
      "<table class=\"differences\"><thead><tr><th scope=\"col\">Setting</th>";
  for (size_t i = 0; i < runs.size(); ++i) {
    text += fmt::format("<th scope=\"col\"><span class=\"swatch b{}\"></span>{}</th>",
                        i % static_cast<size_t>(kChartColours), escaped(runs[i].name));
  }
  return text + "</tr></thead><tbody>\n" + rows + "</tbody></table></div>\n";
}

std::string charts(const std::vector<RunRecord>& runs) {
  const auto chart = [&](const char* id, const char* title, ChartUnit unit, const auto& points_of,
                         bool has_marks) {
    LineChart curves{.id = id, .title = title, .unit = unit};
    for (size_t i = 0; i < runs.size(); ++i) {
      curves.series.push_back({.name = runs[i].name,
                               .colour = static_cast<int>(i),
                               .points = points_of(runs[i]),
                               .has_marks = has_marks});
    }
    return figure(curves);
  };
  const auto column = [](const std::string& name, ChartUnit unit) {
    return [name, unit](const RunRecord& run) {
      return epoch_points(run, (name.starts_with("train") ? "" : run.held_out) + name, unit);
    };
  };
  constexpr ChartUnit kPercent = ChartUnit::percent, kNumber = ChartUnit::number;
  return chart("heldaccuracy", "Validation accuracy", kPercent, column("_accuracy", kPercent), true) +
         chart("trainaccuracy", "Training accuracy", kPercent, column("train_accuracy", kPercent), true) +
         chart("heldloss", "Validation loss", kNumber, column("_loss", kNumber), true) +
         chart("trainloss", "Training loss", kNumber, column("train_loss", kNumber), true) +
         chart("rate", "Learning rate", kNumber, rate_points, false);
}

}  // namespace

std::string comparison_page(const std::vector<RunRecord>& given) {
  const std::vector<RunRecord> runs = with_own_names(given);
  const std::string title = fmt::format("{} runs", runs.size());
  std::string names;
  for (const RunRecord& run : runs) names += (names.empty() ? "" : ", ") + run.name;
  return whole_page(
      title + ": " + names,
      fmt::format("<header><h1>{}</h1>\n<p class=\"soft\">{}</p></header>\n<h2>Results</h2>\n{}"
                  "<h2>Curves</h2>\n<div class=\"charts\">\n{}</div>\n<h2>Settings that differ</h2>\n{}",
                  title, escaped(names), results_table(runs), charts(runs), differences_table(runs)));
}

}  // namespace fovea::cli
