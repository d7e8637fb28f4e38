#include <fmt/format.h>

#include "commands.h"
#include "fetch.h"
#include "fovea/core/cache_folder.h"
#include "output.h"
#include "progress.h"
#include "signals.h"

namespace fovea::cli {

int fetch_datasets(const Arguments& arguments) {
  for (const std::string& dataset : arguments.names) {
    Progress progress;
    FetchRequest request;
    request.archive = official_archive(dataset);
    request.folder = arguments.output.empty() ? cache_folder() : arguments.output;
    if (!arguments.url.empty()) request.base_url = arguments.url;
    request.progress = [&](int64_t done, int64_t total) {
      constexpr int64_t kMegabyte = 1000000;
      progress.count(dataset, "MB", done / kMegabyte, total / kMegabyte);
    };
    request.should_stop = should_stop;
    try {
      progress.line(fmt::format("{} from {} into {}", dataset, request.base_url, request.folder));
      const std::string folder = fetch(request);
      progress.line(dataset + " is ready");
      print("{}\n", folder);
    } catch (const Error&) {
      throw_if_stopped("downloading; the next fetch goes on from there");
      throw;
    }
  }
  return 0;
}

}  // namespace fovea::cli
