#pragma once

#include "command_line.h"

/// The commands of cifar_trainer. Each returns the program's exit code, and throws Error for what goes wrong.
namespace fovea::cli {

int train(const Arguments& arguments);
/// train with several seeds, one after the other.
int train_seeds(const Arguments& arguments);
int reproduce(const Arguments& arguments);
int evaluate(const Arguments& arguments);
/// export: the weights alone, in 16 bits, with a card.
int export_weights(const Arguments& arguments);
/// export --onnx: the network as a graph of ONNX.
int export_onnx(const Arguments& arguments);
/// import: weights from PyTorch as a checkpoint.
int import_weights(const Arguments& arguments);
int predict(const Arguments& arguments);
int attend(const Arguments& arguments);
int report(const Arguments& arguments);
int info(const Arguments& arguments);
int datasets(const Arguments& arguments);
int fetch_datasets(const Arguments& arguments);
int devices();

}  // namespace fovea::cli
