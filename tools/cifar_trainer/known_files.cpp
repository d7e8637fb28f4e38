#include "known_files.h"

#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>

#include "fovea/core/atomic_file.h"
#include "fovea/core/check.h"
#include "fovea/core/parallel_for.h"
#include "sha256.h"

namespace fovea {
namespace {

namespace fs = std::filesystem;

/// Of a file's contents, inflated where its name ends in .gz; "" if that was stopped, or cannot be inflated:
/// who reads the images says so.
std::string sha256_of_contents(const fs::path& path, const std::function<bool()>& is_stopping) {
  if (path.extension() != ".gz") {
    return sha256_of(ReadableFile(path.string(), "data", throw_as<DataError>), is_stopping);
  }
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), &gzclose);
  if (file == nullptr) return "";
  Sha256 sha;
  std::vector<char> block(size_t{1} << 18);
  int count = 0;
  while ((count = gzread(file.get(), block.data(), static_cast<unsigned>(block.size()))) > 0) {
    if (is_stopping()) return "";
    sha.add(block.data(), static_cast<size_t>(count));
  }
  return count == 0 ? sha.text() : "";
}

}  // namespace

const std::vector<KnownFile>& known_files() {
  static const std::vector<KnownFile> files = {
      {"cifar10", "data_batch_1.bin", "57ba9e31b80abfdf4d106e9363e0e7a790537a529c251dc3010d19fc3b62182a"},
      {"cifar10", "data_batch_2.bin", "5888b96a7f39365eae22b983c3e2092ca283dc8769f06545fc3402ea40ec4701"},
      {"cifar10", "data_batch_3.bin", "b800719bd9301cface927a965561b9f7793b755319ec163c955d63d19d2d2363"},
      {"cifar10", "data_batch_4.bin", "4632a456c99bf2a47d5d64e8f184fc523b7d7cceee21fab55c4cd61ebac6caa0"},
      {"cifar10", "data_batch_5.bin", "7e29321b0c28658e9a29aa5dba72bf4fa99ce9dc60217d5f3a7802be4721056d"},
      {"cifar10", "test_batch.bin", "58e772aab85897def43d71507c81b0dc03c0914610372166543e50cc610b935f"},
      {"fashion-mnist", "train-images-idx3-ubyte",
       "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"},
      {"fashion-mnist", "train-labels-idx1-ubyte",
       "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"},
      {"fashion-mnist", "t10k-images-idx3-ubyte",
       "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"},
      {"fashion-mnist", "t10k-labels-idx1-ubyte",
       "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"}};
  return files;
}

FileCheck check_files(const std::string& dataset, const std::string& folder,
                      const std::vector<KnownFile>& table, const std::function<bool()>& should_stop) {
  std::vector<KnownFile> wanted;
  std::vector<fs::path> paths;
  for (const KnownFile& file : table) {
    if (file.dataset != dataset) continue;
    fs::path path = fs::path(folder) / file.name;
    std::error_code ignored;
    if (!fs::exists(path, ignored)) path += ".gz";
    if (!fs::exists(path, ignored)) return {};  // who reads the images says so
    wanted.push_back(file);
    paths.push_back(path);
  }
  if (wanted.empty()) return {};
  std::vector<std::string> found(wanted.size());
  std::atomic<bool> is_stopped = false;
  const auto is_stopping = [&] {
    if (should_stop && should_stop()) is_stopped = true;
    return is_stopped.load();
  };
  parallel_for(std::ssize(wanted), /*grain=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      found[static_cast<size_t>(i)] = sha256_of_contents(paths[static_cast<size_t>(i)], is_stopping);
    }
  });
  FileCheck result;
  if (is_stopped) return result;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (found[i] == wanted[i].sha256) continue;
    for (const KnownFile& other : wanted) {
      check<DataError>(found[i] != other.sha256, dataset, ": ", paths[i].string(), ": this is the authors' ",
                       other.name, " (SHA-256 ", found[i], "), expected ", wanted[i].name, " (",
                       wanted[i].sha256, "); put the file of that name there");
    }
    result.unknown.push_back(paths[i].string());
  }
  result.is_official = result.unknown.empty();
  return result;
}

}  // namespace fovea
