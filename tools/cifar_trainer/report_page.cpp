#include "report_page.h"

#include <fmt/format.h>
#include <algorithm>

#include "fovea/config.h"
#include "html.h"
#include "progress.h"
#include "report_curves.h"
#include "report_parts.h"
#include "report_style.h"

namespace fovea::cli {
namespace {

/// The key figures, large. Those that are unknown are left out.
class Cards {
 public:
  explicit Cards(const RunRecord& run) : run_(run) {}

  void add(const char* name, const std::string& key, const std::string& note = "") {
    const std::string text = value_of(run_.summary, key);
    if (text.empty()) return;
    text_ += fmt::format("<div{}><dt>{}</dt><dd data-key=\"{}\" data-value=\"{}\">{}{}</dd></div>\n",
                         text_.empty() ? " class=\"first\"" : "", name, key, escaped(text),
                         number_text(key, text), note.empty() ? "" : "<small>" + escaped(note) + "</small>");
  }
  std::string text() const { return "<dl class=\"cards\">\n" + text_ + "</dl>\n"; }

 private:
  const RunRecord& run_;
  std::string text_;
};

std::string cards_of(const RunRecord& run) {
  const auto of = [&](const char* key) { return value_of(run.summary, key); };
  Cards cards(run);
  cards.add(
      "Test accuracy", "test_accuracy",
      fmt::format("{} images, {}", number_text("test_images", of("test_images")), of("tested_checkpoint")));
  cards.add("Test loss", "test_loss");
  cards.add("Best validation accuracy", "best_validation_accuracy", "after epoch " + of("best_epoch"));
  cards.add("Training accuracy", "train_accuracy", "last epoch, augmented images");
  cards.add("Parameters", "parameters");
  cards.add("Training time", "seconds", of("device") + ", " + of("threads") + " threads");
  cards.add("Images per second", "images_per_second", of("precision") + ", median");
  cards.add("Peak memory", "peak_memory_bytes");
  return run.summary.empty() ? "" : cards.text();
}

std::string state_of(const RunRecord& run) {
  if (run.summary.empty()) return "has not come to an end";
  const std::string done = fmt::format("after {} epochs, {} steps", value_of(run.summary, "epochs"),
                                       value_of(run.summary, "steps"));
  return (value_of(run.summary, "finished") == "true" ? "finished " : "stopped, and not tested, ") + done;
}

std::string epochs_section(const RunRecord& run) {
  if (run.epochs.empty()) return "<p>No epoch has been done.</p>\n";
  std::string text =
      "<h2>Epochs</h2>\n<div class=\"scroll long\" tabindex=\"0\" role=\"region\" aria-label=\"Epochs\">"
      "<table class=\"epochs\"><thead><tr>";
  for (const auto& [key, ignored] : run.epochs[0]) {
    std::string name = key;
    std::replace(name.begin(), name.end(), '_', ' ');
    if (name == "images per second") name = "images/s";
    text += fmt::format("<th scope=\"col\" class=\"number\">{}</th>", escaped(name));
  }
  text += "</tr></thead><tbody>\n";
  for (const MetricsTexts& row : run.epochs) {
    text += "<tr>";
    for (const auto& [key, value] : row) text += number_cell(key, value);
    text += "</tr>\n";
  }
  return text + "</tbody></table></div>\n";
}

/// A table for each group of the help, the changed ones in bold.
std::string settings_section(const RunRecord& run) {
  Settings defaults, copy = run.settings;
  const std::vector<Setting> standard = list_settings(defaults);
  std::string text =
      "<h2>Settings</h2>\n<p>In bold what differs from the defaults. The same run again:</p>\n<pre><code>";
  text += escaped(repeating_command(run.settings, "NEW")) + "</code></pre>\n<div class=\"columns\">";
  std::string group;
  for (const Setting& setting : list_settings(copy)) {
    if (setting.key == "out") continue;
    const auto value = setting.field.value();
    if (setting.field.info.group != group) {
      text += group.empty() ? "" : "</tbody></table></div>\n";
      group = setting.field.info.group;
      text += fmt::format("<div><h3>{}</h3><table><tbody>\n", escaped(group));
    }
    const bool is_changed = value != find_setting(standard, setting.key, "report").field.value();
    const std::string shown = value ? field_text(*value) : "default";
    text += fmt::format("<tr{}><th scope=\"row\">{}</th><td>{}</td></tr>\n",
                        is_changed ? " class=\"changed\"" : "", escaped(setting.key),
                        shown.empty() ? "–" : escaped(shown));
  }
  return text + "</tbody></table></div></div>\n";
}

std::string machine_section(const RunRecord& run) {
  constexpr std::pair<const char*, const char*> kRows[] = {{"device", "Device"},
                                                           {"processor", "Processor"},
                                                           {"cpu_kernels", "CPU kernels for"},
                                                           {"threads", "Threads"},
                                                           {"precision", "Precision"},
                                                           {"seed", "Seed"},
                                                           {"tested_checkpoint", "Tested network"},
                                                           {"version", "Fovea version"}};
  std::string text;
  for (const auto& [key, name] : kRows) {
    const std::string value = value_of(run.summary, key);
    if (value.empty()) continue;
    text += fmt::format("<tr><th scope=\"row\">{}</th><td data-key=\"{}\" data-value=\"{}\">{}</td></tr>\n",
                        name, key, escaped(value), escaped(value));
  }
  if (text.empty()) return "";
  return "<h2>Machine and network</h2>\n<table><tbody>\n" + text + "</tbody></table>\n";
}

}  // namespace

std::string whole_page(const std::string& title, const std::string& body) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<meta name=\"generator\" content=\"Fovea {}\"/>\n<title>{}</title>\n<style>{}</style>\n</head>\n"
      "<body>\n<main>\n{}</main>\n</body>\n</html>\n",
      FOVEA_VERSION, escaped(title), kReportStyle, body);
}

std::string number_text(const std::string& key, const std::string& text) {
  const std::optional<double> number = number_of({{key, text}}, key);
  if (!number) return text.empty() ? "–" : escaped(text);
  if (key.ends_with("accuracy")) return percent(*number);
  if (key.ends_with("loss")) return fmt::format("{:.4f}", *number);
  if (key == "seconds") return duration_text(*number);
  if (key == "images_per_second") return fmt::format("{:.0f}", *number);
  if (key == "peak_memory_bytes") return fmt::format("{:.0f} MiB", *number / (1 << 20));
  if (key == "parameters" || key == "step" || key == "steps" || key == "test_images")
    return grouped(static_cast<int64_t>(*number));
  return escaped(text);
}

std::string number_cell(const std::string& key, const std::string& text) {
  return fmt::format("<td class=\"number\" data-key=\"{}\" data-value=\"{}\">{}</td>", escaped(key),
                     escaped(text), number_text(key, text));
}

std::string report_page(const RunRecord& run, const ReportPictures* pictures) {
  const std::string title = run.settings.model + " on " + run.settings.dataset;
  std::string body = fmt::format("<header><h1>{}</h1>\n<p class=\"soft\">{}: {}</p></header>\n",
                                 escaped(title), escaped(run.name), escaped(state_of(run)));
  body += cards_of(run);
  body += "<h2>Curves</h2>\n<div class=\"charts\">\n" + curves_of(run) + "</div>\n";
  body += classes_section(run);
  if (pictures != nullptr) body += mistakes_section(run, *pictures) + masks_section(run, *pictures);
  body += epochs_section(run) + settings_section(run) + machine_section(run);
  return whole_page(title + ": " + run.name, body);
}

}  // namespace fovea::cli
