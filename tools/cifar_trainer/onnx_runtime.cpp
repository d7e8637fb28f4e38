#include "onnx_runtime.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "array_file.h"
#include "fovea/core/check.h"
#include "fovea/core/environment.h"
#include "fovea/kernels/cast.h"
#include "installed_files.h"
#include "output.h"

extern char** environ;

namespace fovea::cli {
namespace {

namespace fs = std::filesystem;
constexpr int kNotHere = 3;          // the script's exit code without ONNX Runtime
constexpr int kNoSuchProgram = 127;  // as a shell says it

/// A folder that goes with this object.
class WorkFolder {
 public:
  WorkFolder() {
    std::string pattern = (fs::temp_directory_path() / "fovea-onnx-XXXXXX").string();
    const bool is_made = mkdtemp(pattern.data()) != nullptr;  // before errno is read
    check(is_made, "export: cannot make a folder like ", pattern, ": ", std::strerror(errno));
    path_ = pattern;
  }
  ~WorkFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

/// Runs a program with both standard streams in a file; its exit code, or 128 and the signal that ended it.
int run(std::vector<std::string> words, const std::string& output) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  check(posix_spawn_file_actions_init(&actions) == 0, "export: no memory to start ", words[0]);
  posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t child = 0;
  const int failure = posix_spawnp(&child, pointers[0], &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) {
    std::ofstream(output) << std::strerror(failure);
    return kNoSuchProgram;
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    check(errno == EINTR, "export: waiting for ", words[0], " failed: ", std::strerror(errno));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string text_of(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(stream), {}};
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace

std::optional<RuntimeComparison> compare_with_runtime(const std::string& bytes, const Tensor& images,
                                                      std::span<const NamedTensor> outputs) {
  const WorkFolder folder;
  Tensor numbers = Tensor::empty(images.shape());
  for (int64_t i = 0; i < images.size(); ++i) numbers.data<float>()[i] = images.data<uint8_t>()[i];
  write_bytes("export", folder / "images.npy", npy_bytes(numbers));
  for (const NamedTensor& output : outputs) {
    write_bytes("export", folder / (output.name + ".npy"), npy_bytes(output.tensor));
  }
  write_bytes("export", folder / "model.onnx", bytes);

  const std::string named = environment("FOVEA_PYTHON"), python = named.empty() ? "python3" : named;
  const std::string script = installed_folder("scripts") / "check_onnx.py", answer = folder / "answer";
  const int code = run({python, "-B", script, folder / "model.onnx", folder / ""}, answer);
  const std::string text = text_of(answer);
  if (code == kNotHere || code == kNoSuchProgram) {
    show(fmt::format(
        "not compared with ONNX Runtime ({}: {}); pip install onnxruntime, and FOVEA_PYTHON names "
        "another python3\n",
        on_one_line(python), on_one_line(text)));
    return std::nullopt;
  }
  check(code == 0, "export: ONNX Runtime could not compute the graph, which was not written: ", text);
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  check(json.is_object() && json.contains("version") && json.contains("difference") &&
            json.contains("other_classes"),
        "export: ", script, " printed what is no result: ", text);
  return RuntimeComparison{json["version"].get<std::string>(), json["difference"].get<double>(),
                           json["other_classes"].get<int64_t>()};
}

}  // namespace fovea::cli
