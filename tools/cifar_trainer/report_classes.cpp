#include <fmt/format.h>
#include <algorithm>
#include <cmath>

#include "html.h"
#include "image_file.h"
#include "picture.h"
#include "report_parts.h"

namespace fovea::cli {
namespace {

using Counts = std::vector<std::vector<int64_t>>;

// With more classes the matrix is a picture, and the commonest mistakes are a list.
constexpr size_t kMostMatrixClasses = 20;
constexpr size_t kCommonest = 20;

std::string name_of(const RunRecord& run, int64_t c) {
  return escaped(run.class_names[static_cast<size_t>(c)]);
}

int64_t images_of(const std::vector<int64_t>& row) {
  int64_t sum = 0;
  for (const int64_t count : row) sum += count;
  return sum;
}

double share(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

std::string accuracy_table(const RunRecord& run, const Counts& counts) {
  std::string text =
      "<table class=\"classes\"><thead><tr><th scope=\"col\">Class</th><th scope=\"col\" "
      "class=\"number\">Images"
      "</th><th scope=\"col\" class=\"number\">Accuracy</th><th scope=\"col\"><span "
      "class=\"soft\"></span></th>"
      "<th scope=\"col\">Most often taken for</th></tr></thead><tbody>\n";
  for (size_t c = 0; c < counts.size(); ++c) {
    std::vector<int64_t> row = counts[c];
    const int64_t images = images_of(row), right = row[c];
    row[c] = -1;
    const auto most = std::max_element(row.begin(), row.end());
    const std::string confused =
        *most > 0 ? fmt::format("{} ({})", name_of(run, most - row.begin()), *most) : "–";
    const double accuracy = share(right, images);
    text += fmt::format(
        "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td class=\"number\" "
        "data-key=\"class_accuracy\" "
        "data-value=\"{}/{}\">{}</td><td><span class=\"meter\" aria-hidden=\"true\"><span "
        "style=\"width:{:.1f}%\"></span></span></td><td>{}</td></tr>\n",
        name_of(run, static_cast<int64_t>(c)), images, right, images, images > 0 ? percent(accuracy) : "–",
        100 * accuracy, confused);
  }
  return text + "</tbody></table>\n";
}

std::string matrix_table(const RunRecord& run, const Counts& counts) {
  std::string text =
      "<table class=\"matrix\"><caption class=\"soft\">Rows: what it is. Columns: what it was taken for."
      "</caption><thead><tr><th scope=\"col\"><span>class</span></th>";
  for (size_t c = 0; c < counts.size(); ++c)
    text += fmt::format("<th scope=\"col\"><span>{}</span></th>", name_of(run, static_cast<int64_t>(c)));
  text += "</tr></thead><tbody>\n";
  for (size_t r = 0; r < counts.size(); ++r) {
    text += fmt::format("<tr><th scope=\"row\">{}</th>", name_of(run, static_cast<int64_t>(r)));
    const int64_t images = images_of(counts[r]);
    for (size_t c = 0; c < counts.size(); ++c) {
      const double part = share(counts[r][c], images);
      // Mistakes are few: their colours are those of the root.
      text += fmt::format("<td class=\"{}\" style=\"--part:{:.2f}\">{}</td>", r == c ? "right" : "wrong",
                          r == c ? part : std::min(1.0, std::sqrt(part) * 1.2), counts[r][c]);
    }
    text += "</tr>\n";
  }
  return text + "</tbody></table>\n";
}

std::string matrix_picture(const RunRecord& run, const Counts& counts) {
  const int64_t C = std::ssize(counts);
  std::vector<float> shares;
  for (const std::vector<int64_t>& row : counts) {
    for (const int64_t count : row)
      shares.push_back(static_cast<float>(std::sqrt(share(count, images_of(row)))));
  }
  Picture picture(C, C);
  picture.draw_map(0, 0, C, C, shares, C, C, 0, 1);
  std::string text = fmt::format(
      "<p class=\"soft\">A row for what an image is, a column for what it was taken for, in the order of the "
      "table above; brighter is more often.</p>\n<img class=\"matrix-picture\" src=\"{}\" width=\"{}\" "
      "height=\"{}\" alt=\"Confusion matrix of {} classes; the commonest mistakes are listed below\"/>\n",
      data_address(png_bytes(picture.pixels())), C, C, C);
  struct Confusion {
    size_t label, taken_for;
    int64_t count;
  };
  std::vector<Confusion> confusions;
  for (size_t r = 0; r < counts.size(); ++r) {
    for (size_t c = 0; c < counts.size(); ++c) {
      if (r != c && counts[r][c] > 0) confusions.push_back({r, c, counts[r][c]});
    }
  }
  std::stable_sort(confusions.begin(), confusions.end(),
                   [](const Confusion& a, const Confusion& b) { return a.count > b.count; });
  confusions.resize(std::min(confusions.size(), kCommonest));
  text +=
      "<table><thead><tr><th scope=\"col\">Is</th><th scope=\"col\">Taken for</th><th scope=\"col\" "
      "class=\"number\">Images</th></tr></thead><tbody>\n";
  for (const Confusion& entry : confusions) {
    text += fmt::format("<tr><td>{}</td><td>{}</td><td class=\"number\">{}</td></tr>\n",
                        name_of(run, static_cast<int64_t>(entry.label)),
                        name_of(run, static_cast<int64_t>(entry.taken_for)), entry.count);
  }
  return text + "</tbody></table>\n";
}

std::string image(const std::string& png, const std::string& alt) {
  return fmt::format("<img src=\"{}\" alt=\"{}\"/>", data_address(png), alt);
}

}  // namespace

std::string classes_section(const RunRecord& run) {
  if (!run.predictions || run.class_names.empty()) return "";
  const Counts counts = run.predictions->confusion(std::ssize(run.class_names));
  const auto part = [](const char* name, const char* scroll, const std::string& text) {
    return fmt::format(
        "<div><h2>{}</h2>\n<div class=\"{}\" tabindex=\"0\" role=\"region\" "
        "aria-label=\"{}\">{}</div></div>\n",
        name, scroll, name, text);
  };
  const bool is_table = counts.size() <= kMostMatrixClasses;
  return "<div class=\"columns wide\">\n" +
         part("Accuracy of each class", is_table ? "scroll" : "scroll long", accuracy_table(run, counts)) +
         part("Confusion matrix", "scroll",
              is_table ? matrix_table(run, counts) : matrix_picture(run, counts)) +
         "</div>\n";
}

std::string mistakes_section(const RunRecord& run, const ReportPictures& pictures) {
  if (pictures.mistakes.empty()) return "";
  std::string text =
      "<h2>Surest mistakes</h2>\n<p class=\"soft\">Images of the test set that the network took for "
      "something "
      "else, those first of which it was surest.</p>\n<ul class=\"pictures\">\n";
  for (const MistakePicture& mistake : pictures.mistakes) {
    const std::string is = name_of(run, mistake.label), taken_for = name_of(run, mistake.taken_for);
    text += fmt::format("<li>{}<strong>{}</strong> {}<br/><span class=\"soft\">is {}, image {}</span></li>\n",
                        image(mistake.png, fmt::format("{} that was taken for {}", is, taken_for)), taken_for,
                        fmt::format("{:.1f}%", 100 * mistake.probability), is, mistake.image);
  }
  return text + "</ul>\n";
}

std::string masks_section(const RunRecord& run, const ReportPictures& pictures) {
  if (pictures.masks.empty()) return "";
  std::string text =
      "<h2>Masks</h2>\n<p class=\"soft\">The mean of each attention module's mask over its channels, dark "
      "where "
      "it is least and bright where it is greatest of these images; the ends of the colours stand above. "
      "<code>cifar_trainer attend</code> draws more.</p>\n<div class=\"scroll\" tabindex=\"0\" "
      "role=\"region\" "
      "aria-label=\"Masks\"><table class=\"masks\"><thead><tr><th scope=\"col\">image</th>";
  for (const MaskColumn& column : pictures.masks) {
    text += fmt::format("<th scope=\"col\">{}<small>{:.2f} to {:.2f}</small></th>", escaped(column.module),
                        column.least, column.greatest);
  }
  text += "</tr></thead><tbody>\n";
  for (size_t n = 0; n < pictures.mask_images.size(); ++n) {
    const std::string what = name_of(run, pictures.mask_labels[n]);
    text += fmt::format("<tr><th scope=\"row\">{}<small>{}</small></th>",
                        image(pictures.mask_images[n], fmt::format("test image {}, {}", n, what)), what);
    for (const MaskColumn& column : pictures.masks) {
      text += fmt::format("<td>{}</td>", image(column.pngs[n], fmt::format("mask of {} for image {}",
                                                                           escaped(column.module), n)));
    }
    text += "</tr>\n";
  }
  return text + "</tbody></table></div>\n";
}

}  // namespace fovea::cli
