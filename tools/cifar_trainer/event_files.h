#pragma once

#include <string>
#include <vector>

namespace fovea::cli {

/// The names of TensorBoard's event files in a folder, in their order in time; none for a folder that is not
/// there.
std::vector<std::string> event_files(const std::string& folder);
void remove_event_files(const std::string& folder);

}  // namespace fovea::cli
