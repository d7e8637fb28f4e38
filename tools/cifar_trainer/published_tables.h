#pragma once

#include <optional>
#include <string>
#include <vector>

#include "settings.h"

namespace fovea::cli {

/// A network of a published table.
struct PublishedEntry {
  std::string name;             // for a folder: "attention56-naive"
  std::string label;            // "Attention-56, naive attention learning"
  std::optional<double> error;  // on CIFAR-10's test images, in percent; none: never published
  Overrides settings;           // what makes it, beside the recipe
};

/// A comparison that was published, or that its users ask for.
struct PublishedTable {
  std::string name, title, source;
  std::vector<PublishedEntry> entries;
};

/// "depth", "masks", "structure", "noise", "extra-adds" and "report". Figures of Wang et al., "Residual
/// attention network for image classification", CVPR 2017, arXiv:1704.06904, tables 1 to 4; of the report
/// 90.55 % and 94.96 % accuracy.
const std::vector<PublishedTable>& published_tables();
/// UsageError, with the nearest, for a name that there is not.
const PublishedTable& find_table(const std::string& name);

}  // namespace fovea::cli
