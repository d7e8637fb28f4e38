#include "known_files.h"

#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>

#include "digest.h"
#include "fovea/core/atomic_file.h"
#include "fovea/core/check.h"
#include "fovea/core/parallel_for.h"

namespace fovea {
namespace {

namespace fs = std::filesystem;

/// The digest of a file's contents, inflated where its name ends in .gz; "" if that was stopped, or cannot be
/// inflated: who reads the images says so.
std::string digest_of_contents(const fs::path& path, DigestKind kind,
                               const std::function<bool()>& is_stopping) {
  if (path.extension() != ".gz") {
    return digest_of(ReadableFile(path.string(), "data", throw_as<DataError>), kind, is_stopping);
  }
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), &gzclose);
  if (file == nullptr) return "";
  Digest digest(kind);
  std::vector<char> block(size_t{1} << 18);
  int count = 0;
  while ((count = gzread(file.get(), block.data(), static_cast<unsigned>(block.size()))) > 0) {
    if (is_stopping()) return "";
    digest.add(block.data(), static_cast<size_t>(count));
  }
  return count == 0 ? digest.text() : "";
}

/// Where the files of a form lie, each as NAME or NAME.gz; none where one is missing.
std::vector<fs::path> paths_of(const KnownDataset& known, const std::string& folder) {
  std::vector<fs::path> paths;
  for (const KnownFile& file : known.files) {
    fs::path path = fs::path(folder) / file.name;
    std::error_code ignored;
    if (!fs::exists(path, ignored)) path += ".gz";
    if (!fs::exists(path, ignored)) return {};
    paths.push_back(path);
  }
  return paths;
}

}  // namespace

const std::vector<KnownDataset>& known_datasets() {
  static const std::vector<KnownDataset> datasets = {
      {"cifar10",
       {{"data_batch_1.bin", "57ba9e31b80abfdf4d106e9363e0e7a790537a529c251dc3010d19fc3b62182a"},
        {"data_batch_2.bin", "5888b96a7f39365eae22b983c3e2092ca283dc8769f06545fc3402ea40ec4701"},
        {"data_batch_3.bin", "b800719bd9301cface927a965561b9f7793b755319ec163c955d63d19d2d2363"},
        {"data_batch_4.bin", "4632a456c99bf2a47d5d64e8f184fc523b7d7cceee21fab55c4cd61ebac6caa0"},
        {"data_batch_5.bin", "7e29321b0c28658e9a29aa5dba72bf4fa99ce9dc60217d5f3a7802be4721056d"},
        {"test_batch.bin", "58e772aab85897def43d71507c81b0dc03c0914610372166543e50cc610b935f"}}},
      {"cifar10",
       {{"data_batch_1", "c99cafc152244af753f735de768cd75f"},
        {"data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"},
        {"data_batch_3", "54ebc095f3ab1f0389bbae665268c751"},
        {"data_batch_4", "634d18415352ddfa80567beed471001a"},
        {"data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"},
        {"test_batch", "40351d587109b95175f43aff81a1287e"},
        {"batches.meta", "5ff9c542aee3614f3951f8cda6e48888"}}},
      {"cifar100",
       {{"train", "16019d7e3df5f24257cddd939b257f8d"},
        {"test", "f0ef6b0ae62326f3e7ffdfab6717acfc"},
        {"meta", "7973b15100ade9c7d40fb424638fde48"}}},
      {"fashion-mnist",
       {{"train-images-idx3-ubyte", "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"},
        {"train-labels-idx1-ubyte", "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"},
        {"t10k-images-idx3-ubyte", "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"},
        {"t10k-labels-idx1-ubyte", "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"}}}};
  return datasets;
}

FileCheck check_files(const std::string& dataset, const std::string& folder,
                      const std::vector<KnownDataset>& table, const std::function<bool()>& should_stop) {
  std::vector<fs::path> paths;
  const auto known = std::find_if(table.begin(), table.end(), [&](const KnownDataset& form) {
    if (form.dataset == dataset) paths = paths_of(form, folder);
    return !paths.empty();
  });
  if (known == table.end()) return {};  // who reads the images says so
  const std::vector<KnownFile>& wanted = known->files;
  std::vector<std::string> found(wanted.size());
  std::atomic<bool> is_stopped = false;
  const auto is_stopping = [&] {
    if (should_stop && should_stop()) is_stopped = true;
    return is_stopped.load();
  };
  parallel_for(std::ssize(wanted), /*grain=*/1, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      found[i] = digest_of_contents(paths[i], digest_kind(wanted[i].digest), is_stopping);
    }
  });
  FileCheck result;
  if (is_stopped) return result;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (found[i] == wanted[i].digest) continue;
    for (const KnownFile& other : wanted) {
      check<DataError>(found[i] != other.digest, dataset, ": ", paths[i].string(), ": this is the authors' ",
                       other.name, " (", digest_name(digest_kind(found[i])), " ", found[i], "), expected ",
                       wanted[i].name, " (", wanted[i].digest, "); put the file of that name there");
    }
    result.unknown.push_back(paths[i].string());
  }
  result.is_official = result.unknown.empty();
  return result;
}

}  // namespace fovea
