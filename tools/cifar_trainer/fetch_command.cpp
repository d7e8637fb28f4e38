#include <fmt/format.h>

#include "archives.h"
#include "commands.h"
#include "fetch.h"
#include "fovea/core/cache_folder.h"
#include "fovea/core/check.h"
#include "output.h"
#include "progress.h"
#include "signals.h"

namespace fovea::cli {
namespace {

// The rate and the time left, of which the second goes last where there is little room.
std::vector<Figure> figures_of(const FetchProgress& progress) {
  if (progress.bytes_per_second <= 0) return {};
  constexpr double kFast = 1e6;
  const double rate = progress.bytes_per_second;
  std::vector<Figure> figures{
      {rate >= kFast ? fmt::format("{:.1f} MB/s", rate / 1e6) : fmt::format("{:.0f} kB/s", rate / 1e3), 0}};
  if (progress.seconds_left >= 0) figures.push_back({duration_text(progress.seconds_left) + " left", 3});
  return figures;
}

}  // namespace

int fetch_datasets(const Arguments& arguments) {
  check<UsageError>(!arguments.names.empty(), "fetch: name a dataset: cifar10 or cifar100");
  for (const std::string& dataset : arguments.names) {
    Progress progress;
    FetchRequest request;
    request.archives = official_archives(dataset);
    request.folder = arguments.output.empty() ? cache_folder() : arguments.output;
    request.max_seconds = static_cast<double>(arguments.at_most);
    if (!arguments.url.empty()) {
      for (Archive& archive : request.archives) archive.addresses = {arguments.url};
    }
    std::string url;
    request.progress = [&](const FetchProgress& now) {
      // An address is worth a line once something has come from it.
      if (now.bytes_per_second > 0 && now.url != url) {
        progress.line(fmt::format("{} from {} into {}", dataset, now.url, request.folder));
        url = now.url;
      }
      constexpr int64_t kMegabyte = 1000000;
      progress.count(dataset, "MB", now.bytes / kMegabyte, now.total / kMegabyte, figures_of(now));
    };
    request.tell = [&](const std::string& text) { progress.line(text); };
    request.should_stop = should_stop;
    try {
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
