#include "command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <sstream>
#include <utility>

#include "flags.h"
#include "fovea/config.h"
#include "fovea/core/check.h"
#include "fovea/core/printable.h"
#include "fovea/core/suggestion.h"
#include "help_texts.h"
#include "installed_files.h"
#include "output.h"
#include "recipes.h"

namespace fovea::cli {
namespace {

void add_seeds(CLI::App& command, Arguments& arguments) {
  add_number(
      command, "--seeds", 1, 1000, [&](int64_t seeds) { arguments.seeds = seeds; },
      "so many runs, with this seed and those that follow it: mean and deviation [1]", "K");
}

void add_train(CLI::App& app, Arguments& arguments) {
  CLI::App& command =
      *app.add_subcommand("train", "Train a network; without flags: attention-nano, 4 epochs");
  command.footer(kTrainNotes);
  command
      .add_option("--config", arguments.config,
                  "settings file (TOML), or a recipe by its name: " + joined(recipe_names(recipe_folder())))
      ->type_name("FILE");
  CLI::Option* resume = command.add_option_function<std::vector<std::string>>(
      "--resume",
      [&](const std::vector<std::string>& files) {
        arguments.resume = true;
        arguments.resume_if_any = files[0] == "auto";
        arguments.checkpoint = files[0] == "{}" || arguments.resume_if_any ? "" : files[0];
      },
      "go on from OUT/last.safetensors, or from FILE; auto: begin if there is none");
  resume->expected(0, 1)->type_name("[FILE|auto]");
  command
      .add_option("--init", arguments.init,
                  "begin a new run with the weights of FILE, of this or another number of classes")
      ->type_name("FILE");
  command.add_flag("--overwrite", arguments.overwrite, "delete the run that OUT holds")->excludes(resume);
  command.add_flag("--dry-run", arguments.dry_run,
                   "check flags, settings, the folder and the device, and train nothing");
  add_number(
      command, "--profile", 1, 1000, [&](int64_t steps) { arguments.profile_steps = steps; },
      "show where the time of N steps goes, after two; OUT gets profile.md and trace.json");
  add_seeds(command, arguments);
  for (const Setting& setting : default_settings())
    add_setting(command, setting, arguments.settings, Defaults::shown);
}

void add_reproduce(CLI::App& app, Arguments& arguments) {
  CLI::App& command =
      *app.add_subcommand("reproduce", "Train the networks of a published table, and fill it in");
  command.footer(kReproduceNotes);
  command.add_option("table", arguments.names, "which; without: a list of them");
  command
      .add_option("--config", arguments.config,
                  "settings file (TOML) of all runs, or a recipe by its name [paper]")
      ->type_name("FILE");
  command.add_flag("--dry-run", arguments.dry_run, "show the runs and how long they take, and train nothing");
  add_seeds(command, arguments);
  for (const Setting& setting : default_settings())
    add_setting(command, setting, arguments.settings, Defaults::hidden);
}

constexpr const char* kCheckpointHelp =
    "the trained network, or the folder of its run: best, else last.safetensors";
constexpr const char* kLimitHelp = "only the first N images; 0: all [0]";

// A trained network: a file, a run, or one that comes with this program.
void add_checkpoint(CLI::App& command, Arguments& arguments) {
  CLI::Option* const checkpoint =
      command.add_option("--checkpoint", arguments.checkpoint, kCheckpointHelp)->type_name("FILE");
  if (command.get_name() == "export") return;
  const std::string names = joined(weights_names());
  command
      .add_option(
          "--weights", arguments.weights,
          "a trained network that comes with this program, by its name" + (names.empty() ? "" : ": " + names))
      ->type_name("NAME")
      ->excludes(checkpoint);
}

// What evaluate, predict and attend share.
CLI::App& add_use(CLI::App& app, const char* name, const char* help, Arguments& arguments,
                  const char* limit_help = kLimitHelp) {
  CLI::App& command = *app.add_subcommand(name, help);
  add_checkpoint(command, arguments);
  const auto keep_split = [&](const std::string& split) {
    check<UsageError>(split == "train" || split == "validation" || split == "test", "--split is ", split,
                      ", wanted train, validation or test");
    arguments.split = split;
    arguments.is_split_named = true;
  };
  command.add_option_function<std::string>("--split", keep_split, "part of the dataset [test]")
      ->type_name("train|validation|test");
  add_number(
      command, "--limit", 0, kAny, [&](int64_t limit) { arguments.limit = limit; }, limit_help);
  command.add_flag("--profile", arguments.profile, "show at the end where the time went");
  add_settings(command, {"dataset", "data", "test-share", "batch-size", "device", "precision", "threads"},
               arguments.settings);
  command.get_option("--dataset")
      ->description("whose images; default that of the network: " + joined(dataset_choices()));
  command.get_option("--batch-size")->description("images at once; changes the speed only");
  return command;
}

void add_evaluate(CLI::App& app, Arguments& arguments) {
  CLI::App& command = add_use(app, "evaluate", "Loss and accuracy of a checkpoint on a dataset", arguments);
  command.add_flag("--json", arguments.json, "print JSON");
  command.add_flag("--flip-average", arguments.flip_average,
                   "classify by the mean logits of an image and its mirror image");
  command.footer(kEvaluateNotes);
}

void add_predict(CLI::App& app, Arguments& arguments) {
  CLI::App& command =
      add_use(app, "predict", "Class probabilities of your images or of a dataset", arguments);
  command.footer(std::string(kImageNotes) + kPredictNotes);
  command.add_option("files", arguments.names,
                     "images or folders, - for standard input; without any: the dataset");
  command.add_option("--out", arguments.output, "NAME.csv or NAME.npy; without: standard output")
      ->type_name("FILE");
  add_number(
      command, "--top-k", 1, 1000000, [&](int64_t count) { arguments.top_k = count; },
      "the K likeliest classes of each image, with their probabilities", "K");
}

void add_attend(CLI::App& app, Arguments& arguments) {
  CLI::App& command =
      add_use(app, "attend", "Pictures of what the attention modules see in images", arguments,
              "only the first N images; without files 6 of the dataset, 0: as many as allowed, 64");
  command.footer(std::string(kImageNotes) + kAttendNotes);
  command.add_option("files", arguments.names,
                     "images or folders, - for standard input; without any: the dataset's first");
  command.add_option("--out", arguments.output, "folder of the pictures")->required()->type_name("DIR");
}

void add_export(CLI::App& app, Arguments& arguments) {
  CLI::App& command =
      *app.add_subcommand("export", "The weights of a network alone, with a card, or a graph of ONNX");
  command.footer(kExportNotes);
  add_checkpoint(command, arguments);
  command
      .add_option("--weights", arguments.weights,
                  "NAME.safetensors: filters in f16; NAME.md is its card. With --onnx a trained network that "
                  "comes with this program, by its name")
      ->type_name("FILE");
  CLI::Option* const onnx =
      command.add_option("--onnx", arguments.output, "NAME.onnx: the network as a graph of ONNX")
          ->type_name("FILE");
  command
      .add_flag("--torch", arguments.is_for_torch,
                "names and filters as PyTorch has them, in f32, for fovea_torch.py")
      ->excludes(onnx);
  command
      .add_option_function<std::string>(
          "--input", [&](const std::string& name) { arguments.onnx.input = parse_enum<OnnxInput>(name); },
          "of the graph: u8 [N, H, W, 3], or f32 [N, 3, H, W] from 0 to 1 [u8]")
      ->needs(onnx)
      ->type_name("u8|f32");
  command.add_flag("--logits", arguments.onnx.logits, "the graph gives logits instead of probabilities")
      ->needs(onnx);
  command.add_flag("--masks", arguments.onnx.masks, "and the masks of the attention modules")->needs(onnx);
  add_settings(command, {"data", "test-share", "batch-size", "device", "threads"}, arguments.settings);
}

void add_import(CLI::App& app, Arguments& arguments) {
  CLI::App& command = *app.add_subcommand("import", "Weights from PyTorch as a checkpoint");
  command.footer(kImportNotes);
  command.add_option("file", arguments.names, "a safetensors file of a state_dict()")->required();
  command.add_option("--out", arguments.output, "NAME.safetensors, the checkpoint")
      ->required()
      ->type_name("FILE");
  add_network_settings(command, arguments.settings);
  add_settings(command, {"dataset", "data"}, arguments.settings);
}

void add_report(CLI::App& app, Arguments& arguments) {
  CLI::App& command = *app.add_subcommand("report", "A page about a run, or about several over each other");
  command.footer(kReportNotes);
  command.add_option("runs", arguments.names, "folders of runs");
  command.add_option("--out", arguments.output, "the page; default report.html in the folder of the one run")
      ->type_name("FILE");
  add_settings(command, {"data", "device", "threads"}, arguments.settings);
}

void add_info(CLI::App& app, Arguments& arguments) {
  CLI::App& command =
      *app.add_subcommand("info", "Parameters, multiply-adds and activation memory of a network");
  command.footer(kInfoNotes);
  add_checkpoint(command, arguments);
  add_number(
      command, "--classes", 1, kAny, [&](int64_t classes) { arguments.classes = classes; },
      "number of classes");
  add_number(
      command, "--input-size", 1, kAny, [&](int64_t size) { arguments.input_size = size; },
      "height and width of an image");
  command.add_flag("--json", arguments.json, "print JSON");
  add_network_settings(command, arguments.settings);
}

void add_datasets(CLI::App& app, Arguments& arguments) {
  CLI::App& command = *app.add_subcommand("datasets", "Which datasets are here, and where");
  command.footer(kDatasetsNotes);
  command.add_option("datasets", arguments.names, joined(dataset_choices()) + "; without any: a list");
  add_settings(command, {"data", "test-share"}, arguments.settings);
}

void add_fetch(CLI::App& app, Arguments& arguments) {
  CLI::App& command = *app.add_subcommand("fetch", "Download a dataset, check it and unpack it");
  command.footer(kFetchNotes);
  command.add_option("datasets", arguments.names, "one or more: cifar10, cifar100");
  command.add_option("--out", arguments.output, "where its folder is to be; default the cache folder")
      ->type_name("DIR");
  command
      .add_option("--url", arguments.url, "folder of the archives on a mirror; the checksums stay the same")
      ->type_name("URL");
  add_number(
      command, "--at-most", 0, kAny, [&](int64_t seconds) { arguments.at_most = seconds; },
      "give up once the download cannot be done in so many seconds; 0: never [0]");
}

std::vector<std::string> long_flags(const CLI::App& command) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
  }
  return flags;
}

void refuse_unknown(const CLI::App& app) {
  const auto commands = app.get_subcommands();
  if (commands.empty()) {
    std::vector<std::string> names;
    for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
    const auto rest = app.remaining();
    check<UsageError>(!rest.empty(), "a command is missing, one of ", joined(names), "; see --help");
    throw UsageError(
        str("there is no command ", in_quotes(rest[0]), suggestion(rest[0], names), "; see --help"));
  }
  const CLI::App& command = *commands[0];
  const auto rest = command.remaining();
  if (rest.empty()) return;
  const auto is_flag = [](const std::string& text) { return text.starts_with("-"); };
  const auto flag = std::find_if(rest.begin(), rest.end(), is_flag);
  const std::string name = flag == rest.end() ? rest[0] : flag->substr(0, flag->find('='));
  throw UsageError(str(command.get_name(), ": ", flag == rest.end() ? "unexpected " : "there is no flag ",
                       in_quotes(name), suggestion(name, long_flags(command)), "; see cifar_trainer ",
                       command.get_name(), " --help"));
}

// export writes the weights of --checkpoint to --weights, or as a graph those of either to --onnx, where
// --weights is what it is elsewhere.
void settle_export(Arguments& arguments) {
  arguments.is_onnx = !arguments.output.empty();
  const bool has_checkpoint = !arguments.checkpoint.empty(), has_weights = !arguments.weights.empty();
  if (arguments.is_onnx) {
    check<UsageError>(has_checkpoint != has_weights,
                      "export: --onnx takes one network: --checkpoint FILE, or "
                      "--weights with one of ",
                      joined(weights_names()));
    return;
  }
  check<UsageError>(
      has_checkpoint && has_weights, "export: ", has_checkpoint ? "--weights" : "--checkpoint",
      " is required: --checkpoint is the network, --weights the file to write (or --onnx a graph)");
  arguments.output = std::exchange(arguments.weights, "");
}

// Which network a command uses: by its name, or where none is named the default, if it is there.
void settle_weights(Arguments& arguments) {
  const std::string& command = arguments.command;
  if (command == "export") settle_export(arguments);
  const bool needs_one = command == "evaluate" || command == "predict" || command == "attend";
  if (arguments.weights.empty() && arguments.checkpoint.empty() && needs_one) {
    const std::vector<std::string> names = weights_names();
    const bool has_default = std::find(names.begin(), names.end(), kDefaultWeights) != names.end();
    check<UsageError>(
        has_default && command != "evaluate", command,
        ": --checkpoint is required: a file that cifar_trainer train wrote, or the folder of a run",
        names.empty() ? "" : "; or --weights with one of " + joined(names));
    arguments.weights = kDefaultWeights;
  }
  if (!arguments.weights.empty()) arguments.checkpoint = weights_file_of(arguments.weights);
}

}  // namespace

std::optional<Arguments> parse_command_line(int argc, const char* const* argv) {
  Arguments arguments;
  CLI::App app("Trains and uses Residual Attention Networks.", "cifar_trainer");
  app.set_version_flag("--version", std::string("cifar_trainer ") + FOVEA_VERSION);
  app.footer(kExamples);
  app.get_formatter()->column_width(30);
  app.allow_extras();

  add_train(app, arguments);
  add_reproduce(app, arguments);
  add_evaluate(app, arguments);
  add_predict(app, arguments);
  add_attend(app, arguments);
  add_export(app, arguments);
  add_import(app, arguments);
  add_report(app, arguments);
  add_info(app, arguments);
  add_datasets(app, arguments);
  add_fetch(app, arguments);
  app.add_subcommand("devices", "What there is to compute on, and why there is no CUDA device")->footer("");
  for (CLI::App* command : app.get_subcommands({})) command->allow_extras();

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help_or_version) {
    std::ostringstream text;
    app.exit(help_or_version, text, text);
    write_output(text.str());
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    throw UsageError(error.what());
  }
  refuse_unknown(app);
  arguments.command = app.get_subcommands()[0]->get_name();
  settle_weights(arguments);
  return arguments;
}

}  // namespace fovea::cli
