// cifar_trainer's report: the page of a run says what the files of the run say, and is whole by itself.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "command_line.h"
#include "fovea/core/check.h"
#include "html.h"
#include "line_chart.h"
#include "report_page.h"
#include "run_record.h"
#include "setup.h"
#include "test_predictions.h"
#include "trainer_program.h"

using namespace fovea;
using namespace fovea::cli;
using Catch::Contains;

namespace {

/// The tags of a page in their order: "table class=...", "/table"; those of text in <style> are none.
std::vector<std::string> tags_of(const std::string& html) {
  std::vector<std::string> tags;
  for (size_t begin = 0; (begin = html.find('<', begin)) != std::string::npos;) {
    const size_t end = html.find('>', begin);
    REQUIRE(end != std::string::npos);
    tags.push_back(html.substr(begin + 1, end - begin - 1));
    begin = end;
  }
  return tags;
}

/// Every element is closed, by its own end, so that the page is well-formed XML but for its first line.
void check_well_formed(const std::string& html) {
  std::vector<std::string> open;
  for (const std::string& tag : tags_of(html)) {
    const std::string name = tag.substr(0, tag.find_first_of(" /", 1));
    if (tag[0] == '!' || tag.back() == '/') continue;
    if (tag[0] != '/') {
      open.push_back(name);
      continue;
    }
    REQUIRE_FALSE(open.empty());
    REQUIRE("/" + open.back() == tag);
    open.pop_back();
  }
  CHECK(open.empty());
}

/// Texts of the file under a key, and what is shown of each.
std::vector<std::pair<std::string, std::string>> shown_under(const std::string& html,
                                                             const std::string& key) {
  std::vector<std::pair<std::string, std::string>> found;
  const std::string before = "data-key=\"" + key + "\" data-value=\"";
  for (size_t begin = 0; (begin = html.find(before, begin)) != std::string::npos;) {
    begin += before.size();
    const size_t end = html.find('"', begin), text = html.find('>', end) + 1;
    found.emplace_back(html.substr(begin, end - begin), html.substr(text, html.find('<', text) - text));
  }
  return found;
}

bool has(const std::vector<std::pair<std::string, std::string>>& list, const std::string& value,
         const std::string& shown) {
  return std::find(list.begin(), list.end(), std::pair(value, shown)) != list.end();
}

}  // namespace

TEST_CASE("report: train leaves a page whose every figure is that of the run's files") {
  const std::string& out = finished_run();
  const std::string html = file_bytes(out + "/report.html");
  CHECK(html.size() < 2'000'000);
  check_well_formed(html);
  for (const char* outside : {"<script", "<link", "http://", "https://", "@import", "url("})
    CHECK(html.find(outside) == std::string::npos);

  const FlatJson summary = read_flat_json(file_bytes(out + "/summary.json")).value();
  for (const char* key : {"test_accuracy", "best_validation_accuracy", "train_accuracy"}) {
    const double share = number_of(summary, key).value();
    CHECK(has(shown_under(html, key), value_of(summary, key), fmt::format("{:.2f}%", 100 * share)));
  }
  const double loss = number_of(summary, "test_loss").value();
  CHECK(has(shown_under(html, "test_loss"), value_of(summary, "test_loss"), fmt::format("{:.4f}", loss)));
  for (const char* key :
       {"device", "cpu_kernels", "threads", "precision", "seed", "version", "tested_checkpoint"})
    CHECK(has(shown_under(html, key), value_of(summary, key), value_of(summary, key)));

  const RunRecord run = read_run(out);
  REQUIRE(run.epochs.size() == 3);
  for (const MetricsTexts& row : run.epochs) {
    for (const auto& [key, value] : row) {
      const auto shown = shown_under(html, key);
      CHECK(std::any_of(shown.begin(), shown.end(), [&](const auto& cell) { return cell.first == value; }));
    }
  }
  REQUIRE(run.predictions.has_value());
  CHECK(run.predictions->size() == 32);
  CHECK(run.predictions->accuracy() == Approx(number_of(summary, "test_accuracy").value()));
  const auto classes = shown_under(html, "class_accuracy");
  double right = 0, images = 0;
  for (const auto& [value, shown] : classes) {
    right += std::stod(value);
    images += std::stod(value.substr(value.find('/') + 1));
  }
  CHECK(images == 32);
  CHECK(right / images == Approx(number_of(summary, "test_accuracy").value()));
  CHECK_THAT(html, Contains("data:image/png;base64,") && Contains("id=\"accuracy-title\"") &&
                       Contains("id=\"rate-title\"") && Contains("Surest mistakes") && Contains("<h2>Masks"));
}

TEST_CASE("report: the page anew has the same, of one that was not tested what there is") {
  const TemporaryFolder folder;
  const std::string& out = finished_run();
  const std::string copy = folder / "run";
  std::filesystem::copy(out, copy);
  std::filesystem::rename(copy + "/report.html", copy + "/before.html");
  const Outcome outcome = trainer({"report", copy});
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(outcome.out == copy + "/report.html\n");
  CHECK(file_bytes(copy + "/report.html") == file_bytes(copy + "/before.html"));

  std::filesystem::remove(copy + "/predictions.csv");  // the network is tested again
  REQUIRE(trainer({"report", copy, "--out", folder / "again.html"}).code == 0);
  CHECK(file_bytes(folder / "again.html") == file_bytes(copy + "/before.html"));

  std::filesystem::remove(copy + "/summary.json");
  const Outcome untested = trainer({"report", copy});
  REQUIRE(untested.code == 0);
  const std::string html = file_bytes(copy + "/report.html");
  check_well_formed(html);
  CHECK_THAT(html,
             Contains("has not come to an end") && !Contains("Surest mistakes") && Contains("<h2>Epochs"));
  check_failure({"report", folder / "nothing"}, 2, "holds no run");
  check_failure({"report"}, 2, "wanted the folders of one or more runs");
  check_failure({"report", out, copy}, 2, "--out is missing");
}

TEST_CASE("report: a run that a signal stops has a page, too") {
  const TemporaryFolder folder;
  const std::string out = folder / "run";
  Words words = command(short_run(out, {"--save-every", "1"}));
  *(std::find(words.begin(), words.end(), "--epochs") + 1) = "100000";
  std::string line;
  for (const std::string& word : words) line += "'" + word + "' ";
  const std::string script = line + "& while kill -0 $! && ! [ -e '" + out +
                             "/last.safetensors' ]; do sleep 0.05; done; kill -TERM $!; wait $!";
  CHECK(run_program({"sh", "-c", script}).code == 143);
  const std::string html = file_bytes(out + "/report.html");
  check_well_formed(html);
  CHECK_THAT(html, Contains("stopped, and not tested, after ") && Contains("<h2>Settings"));
}

TEST_CASE("report: several runs in one page, with the settings that differ alone") {
  const TemporaryFolder folder;
  const std::string& out = finished_run();
  const std::string other = folder / "<b>&\"other\"";
  std::filesystem::copy(out, other);
  std::string settings = file_bytes(other + "/settings.toml");
  settings.replace(settings.find("lr = 0.3"), 8, "lr = 0.7");
  write_file(other + "/settings.toml", settings);
  REQUIRE(trainer({"report", out, other, "--out", folder / "both.html"}).code == 0);
  const std::string html = file_bytes(folder / "both.html");
  check_well_formed(html);
  CHECK(html.find("<b>") == std::string::npos);
  CHECK_THAT(html, Contains("&lt;b&gt;&amp;&quot;other&quot;"));
  const std::string differences = html.substr(html.find("class=\"differences\""));
  CHECK_THAT(differences, Contains("<th scope=\"row\">lr</th><td>0.3</td><td>0.7</td>"));
  CHECK_THAT(differences, !Contains(">batch-size<"));
  CHECK(shown_under(html, "test_accuracy").size() == 2);
}

TEST_CASE("report: the command that repeats a run has its settings") {
  Settings settings;
  settings.out = "runs/a";
  settings.data = "a folder's";
  settings.training.batch_size = 16;
  settings.training.augmentation->flip = false;
  settings.training.schedule.kind = ScheduleKind::steps;
  settings.training.schedule.milestones = {0.5, 0.75};
  settings.tensorboard = true;
  const std::string command = repeating_command(settings, "new run");
  CHECK_THAT(command, Contains(" --data 'a folder'\\''s'") && Contains(" --no-flip") && !Contains("runs/a"));
  const Outcome words = run_program({"sh", "-c", "for w in " + command + "; do echo \"$w\"; done"});
  std::istringstream lines(words.out);
  std::vector<std::string> texts;
  for (std::string line; std::getline(lines, line);) texts.push_back(line);
  std::vector<const char*> arguments;
  for (const std::string& text : texts) arguments.push_back(text.c_str());
  Settings repeated;
  apply_arguments(repeated, parse_command_line(static_cast<int>(arguments.size()), arguments.data()).value());
  CHECK(repeated.out == "new run");
  CHECK(to_toml(repeated, Selection::all) == to_toml(settings, Selection::all));
}

TEST_CASE("report: predictions are read as they were written, and others refused") {
  TestPredictions predictions;
  const Tensor labels = Tensor::from<int32_t>({0, 1, 1}, {3});
  predictions.add(Tensor::from<float>({2, 0, 0, 3}, {2, 2}), labels);
  predictions.add(Tensor::from<float>({1, 1}, {1, 2}), labels);
  CHECK(predictions.classes == std::vector<int64_t>{0, 1, 0});
  CHECK(predictions.probabilities[0] == Approx(1 / (1 + std::exp(-2.0))));
  CHECK(predictions.accuracy() == Approx(2.0 / 3));
  CHECK(predictions.confusion(2) == std::vector<std::vector<int64_t>>{{1, 0}, {1, 1}});
  CHECK(predictions.mistakes(5) == std::vector<int64_t>{2});
  const std::string csv = to_csv(predictions);
  const TestPredictions read = parse_predictions(csv, 2).value();
  CHECK(read.labels == predictions.labels);
  CHECK(read.classes == predictions.classes);
  for (const std::string& wrong :
       {std::string(), csv.substr(0, csv.size() - 20), csv + "3,0,2,0.5\n", csv + "9,0,1,0.5\n"})
    CHECK_FALSE(parse_predictions(wrong, 2));
}

TEST_CASE("report: ticks are round and span the values, and a chart leaves out what is not finite") {
  const std::vector<double> ticks = nice_ticks(0.13, 0.92, 5);
  REQUIRE(ticks.size() == 6);
  for (size_t i = 0; i < ticks.size(); ++i) CHECK(ticks[i] == Approx(0.2 * static_cast<double>(i)));
  CHECK(nice_ticks(3, 3, 5).size() > 1);
  CHECK(draw({.id = "a", .title = "a", .series = {{.name = "a", .points = {{1, NAN}}}}}).empty());
  const std::string svg = draw(
      {.id = "a", .title = "<a>", .series = {{.name = "a", .points = {{1, 2}, {2, NAN}, {3, INFINITY}}}}});
  check_well_formed(svg);
  CHECK_THAT(svg, Contains("&lt;a&gt;") && !Contains("nan") && !Contains("inf"));
  CHECK(data_address("abcd") == "data:image/png;base64,YWJjZA==");
}
