#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fovea/training/onnx.h"
#include "settings.h"

namespace fovea::cli {

/// A command and its flags; which of them a command has is in `cifar_trainer COMMAND --help`.
struct Arguments {
  // "train", "reproduce", "evaluate", "predict", "attend", "export", "import", "report", "info", "datasets",
  // "fetch" or "devices"
  std::string command;
  Overrides settings;  // flags that are settings
  std::string config;
  bool resume = false;
  bool resume_if_any = false;  // --resume auto: begin where there is nothing to go on from
  bool overwrite = false;
  bool is_planned = false;  // one of several runs of a command, which goes on where it was when given again
  int64_t seeds = 1;        // of train and reproduce: runs that differ in their seed alone
  bool dry_run = false;     // check everything but the images, and train nothing
  std::string init;         // a new run begins with the weights of this file; "": with random ones
  std::string weights;      // a network that comes with this program; "": none
  std::string checkpoint;   // of --checkpoint or --weights, or the file or folder after --resume; "": none
  std::string split = "test";
  bool is_split_named = false;     // by --split
  std::optional<int64_t> limit;    // images of the split, or named; 0: all; without: the command's choice
  std::vector<std::string> names;  // images, folders of them, datasets, or a table
  // Of predict, "": CSV on standard output; of fetch, "": the cache folder; of export and import the file
  // that is written; of report the page, "": in the folder of the run.
  std::string output;
  int64_t top_k = 0;    // of predict: the likeliest classes to write; 0: the command's choice
  std::string url;      // of fetch; "": the addresses that are known
  int64_t at_most = 0;  // seconds, of fetch; 0: as long as it takes
  std::optional<int64_t> classes, input_size;
  bool json = false;
  bool is_for_torch = false;  // of export: see state_dict_of
  bool is_onnx = false;       // of export: a graph, of these settings, instead of weights
  OnnxSettings onnx{};
  bool flip_average = false;  // of evaluate
  bool profile = false;       // of evaluate and predict
  int64_t profile_steps = 0;  // of train; 0: none
};

/// Reads the command line. Prints the help or the version and returns nothing where that was asked for.
/// UsageError, with the nearest flag or command, for what it does not know.
std::optional<Arguments> parse_command_line(int argc, const char* const* argv);

}  // namespace fovea::cli
