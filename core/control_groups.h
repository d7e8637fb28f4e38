#pragma once

#include <string>
#include <vector>

namespace fovea {

/// The folders of this process's control groups in which `controller` ("cpu", "memory") may have a limit: its
/// own group and those around it, of version 2 and 1. In a container the path that the kernel tells may be
/// that of the host, which is not there: then the mount itself is the container's group, and is among them.
/// Some may not exist. `root`: the folder that stands for "/".
std::vector<std::string> control_group_folders(const std::string& controller, const std::string& root = "/");

}  // namespace fovea
