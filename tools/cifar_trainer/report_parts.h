#pragma once

#include <string>

#include "report_page.h"

namespace fovea::cli {

/// A page around what is in its middle. `title` is plain text, `body` HTML.
std::string whole_page(const std::string& title, const std::string& body);

/// A cell of a table whose number is `text`, as a file has it, shown as accuracies, losses, times and speeds
/// are by the program: data-key names the column, data-value has the text. An empty one is a dash.
std::string number_cell(const std::string& key, const std::string& text);
/// What is shown of it.
std::string number_text(const std::string& key, const std::string& text);

/// The accuracy of each class, which are taken for which, and the surest mistakes.
std::string classes_section(const RunRecord& run);
std::string mistakes_section(const RunRecord& run, const ReportPictures& pictures);
std::string masks_section(const RunRecord& run, const ReportPictures& pictures);

}  // namespace fovea::cli
