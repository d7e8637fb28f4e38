#pragma once

/// What stands below the flags in the help of each command.
namespace fovea::cli {

inline constexpr const char* kExamples = R"(Examples:
  cifar_trainer fetch cifar10
  cifar_trainer train --out runs/first
  cifar_trainer train --config paper --seed 2 --out runs/paper-2
  cifar_trainer train --resume --out runs/first
  cifar_trainer evaluate --checkpoint runs/first/best.safetensors
  cifar_trainer predict --checkpoint runs/first/best.safetensors cat.jpg photos
  cifar_trainer attend --checkpoint runs/first/best.safetensors --out runs/first/masks cat.jpg
  cifar_trainer report runs/first
  cifar_trainer info --model attention92 --json

Exit codes: 0 done, 1 failed while running, 2 usage, 3 data, 4 device or memory, 5 checkpoint,
128 + N stopped by signal N after saving: 130 by Ctrl-C, 143 by SIGTERM.)";

inline constexpr const char* kTrainNotes =
    R"(Every setting above is also a key of the file for --config, without the dashes: batch-size = 128. Flags win over
the file, the file wins over the defaults. --no-KEY turns off what is on: --no-flip. The folder of a run gets
settings.toml (usable with --config), metrics.csv, metrics.jsonl, summary.json, predictions.csv (of the test images),
report.html (for a browser), last.safetensors and best.safetensors; with --tensorboard event files. Ctrl-C saves and
stops, as do SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 and SIGXCPU; --resume goes on, with the same result as without the pause
(or, with --precision, in another one). --profile changes no result; its trace.json is for chrome://tracing and
Perfetto.

Of the training images --validation N are held out, N by default a tenth, and best.safetensors is of the epoch with the
highest accuracy on those. The test set is used once, at the end, for that network. With --validation 0, as in the
paper, all images are trained with, there is no best.safetensors, and the last network is tested.

--dataset folder --data DIR learns from your own pictures: a folder of PNG and JPEG files for each class, or train and
test above such folders. --dataset npy --data DIR: images.npy, uint8 [N, H, W, 3], and labels.npy, or both with train- and
test- before the name. --image-size N brings them to NxN pixels.

--seeds K makes K runs, in OUT/seed-N each, and OUT/seeds.csv; the same command goes on where they were.

--resume FILE goes on in the folder of FILE unless --out says otherwise; a folder stands for its last.safetensors.
--resume auto begins where OUT has nothing to go on from: one command for a job that may be started again.

--init FILE begins a new run: step 0, all settings from defaults, file and flags but for the network, which is that of
FILE. On a dataset with another number of classes the last layer begins as a new one.

Examples:
  cifar_trainer train --out runs/first
  cifar_trainer train --model attention56 --epochs 30 --schedule cosine --lr 0.1 --warm-up 400 --out runs/56
  cifar_trainer train --config runs/56/settings.toml --seed 2 --out runs/56-seed2
  cifar_trainer train --model attention92 --max-steps 10 --profile 5 --out runs/profile
  cifar_trainer train --config runs/56/settings.toml --seeds 3 --out runs/56-seeds
  cifar_trainer train --resume runs/56
  cifar_trainer train --resume auto --model attention92 --out runs/92
  cifar_trainer train --init runs/92/best.safetensors --dataset cifar100 --lr 0.05 --out runs/92-fine-tuned
  cifar_trainer train --dataset folder --data pets --image-size 64 --out runs/pets)";

inline constexpr const char* kReproduceNotes =
    R"(Every run is one of `train`, in a folder of its own below --out (default runs/TABLE), with all flags and settings given
here; what differs between them is the table's. table.md and table.csv there are written anew after each run. Ctrl-C
saves and stops, and the same command goes on, also after a power cut: with the same table in the end.

The recipe is the paper's unless --config or flags say otherwise: on a CPU that takes weeks, which --dry-run tells
before. With fewer epochs or images the table compares, but its figures are not the published ones.

Examples:
  cifar_trainer reproduce
  cifar_trainer reproduce depth --dry-run
  cifar_trainer reproduce masks --epochs 5 --precision bf16 --seeds 3
  cifar_trainer reproduce noise --config quick --limit 10000 --out runs/noise-small)";

inline constexpr const char* kEvaluateNotes =
    R"(The dataset is the one that the network was trained on, unless --dataset says otherwise. --split train is what it was
trained with, under clean labels, validation what was held out of that, test the rest. --flip-average is test-time
augmentation, and said in the result.

Examples:
  cifar_trainer evaluate --checkpoint runs/first/best.safetensors
  cifar_trainer evaluate --checkpoint runs/first/last.safetensors --split train --json)";

// How predict and attend take images.
inline constexpr const char* kImageNotes =
    R"(Images are PNG or JPEG files of any size: the shorter side is brought to that of the network's images, which
is 32 pixels unless it was trained at another size, without aliasing, and the middle is used. JPEG is turned as its EXIF says; CMYK is refused.
A folder stands for the PNG and JPEG files directly in it, by name; - is an image on standard input.

)";

inline constexpr const char* kPredictNotes =
    R"(On a terminal: a table of the three likeliest classes, or with --top-k of K. To a pipe or a file: CSV, a row
with the image, its likeliest class and the probability of each class; with --top-k the image, then class1,
probability1, class2, ... The .npy file is an array of f32, images by classes.

Examples:
  cifar_trainer predict cat.jpg dog.png
  cifar_trainer predict --checkpoint runs/first/best.safetensors cat.jpg dog.png
  cifar_trainer predict --checkpoint runs/first/best.safetensors --top-k 5 --out photos.csv photos
  curl -s https://example.org/cat.jpg | cifar_trainer predict --checkpoint runs/first/best.safetensors -
  cifar_trainer predict --checkpoint runs/first/best.safetensors --split test --out test.npy)";

inline constexpr const char* kAttendNotes =
    R"(For each attention module a picture, a row an image: the image, the mean of the mask over its channels, then for
the three channels whose mask varies most: features before it, mask, features after it (figure 1 of the paper).
overview.png has the mean masks of all modules, responses.png the mean absolute features before and after each
mask (figure 4). The colours of a column span its values, whose ends stand above it: of a network that was trained for
minutes they show small differences; a mean mask that spans less than 0.1 is called nearly flat. masks.npy: f32
[modules, images, height, width], the mean masks at the size of the images; MODULE.npy: f32 [images, height, width,
channels], the mask itself.

Examples:
  cifar_trainer attend --checkpoint runs/first/best.safetensors --out masks cat.jpg dog.png
  cifar_trainer attend --checkpoint runs/first/best.safetensors --out masks --split test --limit 8)";

inline constexpr const char* kReportNotes =
    R"(One run: curves, classes, confusion matrix, surest mistakes, masks, settings and the command that repeats it, as train
leaves it in OUT/report.html. The images are looked for where the run had them, or in --data; without them the page has
no pictures. Of a run from before there was a predictions.csv the network is tested again. Several runs: their curves in
one drawing each, results, and the settings that differ. The page is one file, without scripts, and needs no network.

Examples:
  cifar_trainer report runs/56
  cifar_trainer report runs/56 runs/92 --out runs.html)";

inline constexpr const char* kInfoNotes = R"(Examples:
  cifar_trainer info --model attention92-wide
  cifar_trainer info --model attention56 --attention spatial --classes 100 --json)";

inline constexpr const char* kExportNotes =
    R"(The file is a checkpoint without the optimiser's state, in which filters and matrices are f16: --checkpoint takes
it, and train --init begins with it. The card has what the test set says of these weights, in f32, and the run's
settings. With --torch it is the state_dict() of the same network in fovea_torch.py, which comes with this program (in
share/fovea), in f32, with filters [K, C, R, S]; safetensors.torch reads it, too.

With --onnx the file is a graph (opset 17) that ONNX Runtime, OpenVINO and others compute: from bytes, whose
normalisation is inside, to probabilities; --masks adds outputs "stages.0.modules.0.mask" [N, C, h, w]. N is any number
of images. ONNX's checker looks at it before it is written, and where python3, or that of FOVEA_PYTHON, has onnxruntime,
its numbers are compared with this program's.

Examples:
  cifar_trainer export --checkpoint runs/56 --weights attention56.safetensors
  cifar_trainer export --checkpoint runs/56 --weights attention56-torch.safetensors --torch
  cifar_trainer export --weights attention56 --onnx attention56.onnx
  cifar_trainer export --checkpoint runs/56 --onnx runs/56/network.onnx --input f32 --logits --masks)";

inline constexpr const char* kImportNotes =
    R"(The opposite of export --torch: from what fovea_torch.save wrote, or safetensors.torch.save_file of a state_dict()
with those names. Another program's file says neither which network it is of (--model and its switches do), nor its
classes and the normalisation of its images, which are then those of --dataset.

Examples:
  cifar_trainer import mine.safetensors --out imported.safetensors
  cifar_trainer import theirs.safetensors --model attention92 --dataset cifar10 --out imported.safetensors)";

inline constexpr const char* kDatasetsNotes =
    R"(Looks where training does: in FOVEA_DATA, the cache folder, Debian's packages, ~/.keras/datasets and ./data. With
names prints their folders alone, and ends with 3 where one is not here.

`datasets folder --data DIR` counts your own pictures by class and part, without reading one, and names what is wrong.

Examples:
  cifar_trainer datasets
  cifar_trainer datasets cifar10
  cifar_trainer datasets folder --data pets)";

inline constexpr const char* kFetchNotes =
    R"(Several addresses have the archives; a slow one is left for the next, and what arrives is known by its checksum.
An unfinished download is continued. Prints the folder of the dataset. Ends with 1 where --at-most was too short.

Examples:
  cifar_trainer fetch cifar10 cifar100
  cifar_trainer fetch cifar10 --out data)";

}  // namespace fovea::cli
