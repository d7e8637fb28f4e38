#include "fovea/core/settings_fields.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "fovea/core/check.h"
#include "fovea/layers/attention_settings.h"
#include "fovea/training/training_settings.h"
#include "settings.h"
#include "test_files.h"

using namespace fovea;

namespace fovea {

// What a new switch takes: names, where it is an enum, a field and a line of visit.
enum class Gate { open, half_open, shut };
template <>
inline constexpr EnumNames enum_names<Gate>{"gate", {"open", "half-open", "shut"}};

template <template <class> class Held>
struct MoreFields : AttentionFields<Held> {
  Held<Gate> gate_kind = initially<Held>(Gate::open);
  Held<double> gain = initially<Held>(1.5);

  template <class V>
  void visit(V&& v) {
    AttentionFields<Held>::visit(v);
    v("gate_kind", gate_kind, {.help = "of the mask"});
    v("gain", gain, {.help = "of the trunk", .most = 8, .above_least = true, .shapes_result = false});
  }
};

}  // namespace fovea

namespace {

struct MoreSettings : cli::Settings {
  MoreFields<std::optional> more;

  template <class V>
  void visit(V&& v) {
    cli::Settings::visit(v);
    v("more", more, {.group = cli::kNetworkGroup});
  }
};

// The last field of that name: MoreSettings has the switches of the library's twice.
const Field& field_called(const std::vector<Field>& fields, const std::string& flag) {
  const Field* result = nullptr;
  for (const Field& field : fields) {
    if (field.default_flag() == flag) result = &field;
  }
  REQUIRE(result != nullptr);
  return *result;
}

}  // namespace

TEST_CASE("settings_fields: a new switch of the network is known everywhere by its line in visit") {
  MoreSettings settings;
  const std::vector<Field> fields = fields_of(settings);

  const Field& gate = field_called(fields, "gate-kind");
  CHECK(gate.path == "more.gate_kind");
  CHECK(gate.info.group == std::string(cli::kNetworkGroup));
  CHECK(gate.info.help == std::string("of the mask"));
  CHECK_FALSE(gate.value().has_value());
  CHECK(gate.wanted() == "one of open, half-open, shut");
  gate.assign("half-open", "--gate-kind");
  CHECK(settings.more.gate_kind == Gate::half_open);
  CHECK(field_text(*gate.value()) == "half-open");
  CHECK(message_of<UsageError>([&] { gate.assign("halfopen", "--gate-kind"); }) ==
        "--gate-kind is \"halfopen\", wanted one of open, half-open, shut; did you mean half-open?");

  const Field& gain = field_called(fields, "gain");
  gain.assign(int64_t{2}, "--gain");
  CHECK(settings.more.gain == 2.0);
  CHECK(message_of<UsageError>([&] { gain.assign(0.0, "--gain"); }) ==
        "--gain is 0, wanted a number above 0 and up to 8");

  // A named network takes them over; what is not set stays.
  MoreFields<AsIs> network;
  CHECK(network.gate_kind == Gate::open);
  CHECK(network.gain == 1.5);
  CHECK(network.t == 2);
  network.t = 5;
  apply_changes(settings.more, network);
  CHECK(network.gate_kind == Gate::half_open);
  CHECK(network.gain == 2.0);
  CHECK(network.t == 5);
}

TEST_CASE("settings_fields: names of an enum") {
  CHECK(name_of(Gate::half_open) == std::string("half-open"));
  CHECK(parse_enum<Gate>("shut") == Gate::shut);
  CHECK(name_of(static_cast<Gate>(7)) == std::string("unknown"));
  CHECK(message_of<UsageError>([] { parse_enum<Gate>("shot"); }) ==
        "gate is \"shot\", wanted one of open, half-open, shut; did you mean shut?");
}

TEST_CASE("settings_fields: ranges are what visit says, with their ends or without") {
  OptimiserSettings sgd;
  const auto message = [&] { return message_of<UsageError>([&] { check_settings(sgd); }); };
  CHECK_NOTHROW(check_settings(sgd));
  sgd.momentum = 1;
  CHECK(message() == "optimiser: momentum is 1, wanted a number from 0 to below 1");
  sgd.momentum = std::nan("");
  CHECK(message() == "optimiser: momentum is nan, wanted a number from 0 to below 1");
  sgd.momentum = 0;
  sgd.epsilon = 0;
  CHECK(message() == "optimiser: epsilon is 0, wanted a number above 0 and below 1");

  TrainingSettings training;
  training.optimiser.beta1 = -1;
  CHECK(message_of<UsageError>([&] { check_settings(training); }) ==
        "train: optimiser.beta1 is -1, wanted a number from 0 to below 1");
  training = {};
  training.batch_size = 0;
  CHECK(message_of<UsageError>([&] { check_settings(training); }) ==
        "train: batch_size is 0, wanted a whole number from 1 to 65536");
}

TEST_CASE("settings_fields: a whole number keeps all of its digits") {
  TrainingSettings settings;
  for (const uint64_t seed : {uint64_t{1}, uint64_t{1} << 62, UINT64_MAX}) {
    settings.seed = seed;
    CHECK(describe(settings).at("seed") == std::to_string(seed));
    const std::vector<Field> fields = fields_of(settings);
    const Field& field = field_called(fields, "seed");
    const FieldValue value = *field.value();
    settings.seed = 0;
    field.set(value);
    CHECK(settings.seed == seed);
  }
}

// Checkpoints of older versions are read by these keys.
TEST_CASE("settings_fields: what a checkpoint keeps of a training run") {
  TrainingSettings settings;
  const std::map<std::string, std::string> sgd{{"accumulation", "1"},
                                               {"augmentation", "true"},
                                               {"augmentation.alternating_flip", "false"},
                                               {"augmentation.cutmix", "0"},
                                               {"augmentation.cutout", "0"},
                                               {"augmentation.flip", "true"},
                                               {"augmentation.mixup", "0"},
                                               {"augmentation.padding", "4"},
                                               {"augmentation.random_erasing", "0"},
                                               {"batch_size", "128"},
                                               {"ema_decay", "0"},
                                               {"epochs", "10"},
                                               {"evaluation_batch_size", "256"},
                                               {"label_smoothing", "0"},
                                               {"optimiser", "sgd"},
                                               {"optimiser.clip_norm", "0"},
                                               {"optimiser.decay_norm_and_bias", "true"},
                                               {"optimiser.momentum", "0.9"},
                                               {"optimiser.nesterov", "true"},
                                               {"optimiser.weight_decay", "5e-04"},
                                               {"precision", "f32"},
                                               {"schedule", "one-cycle"},
                                               {"schedule.learning_rate", "0.1"},
                                               {"seed", "1"},
                                               {"sync_norm", "true"}};
  CHECK(describe(settings) == sgd);
  settings.augmentation.reset();
  settings.optimiser.kind = OptimiserKind::adamw;
  settings.schedule = {.kind = ScheduleKind::steps, .warm_up = 400, .milestones = {0.5, 1}, .horizon = 70};
  const std::map<std::string, std::string> steps{{"accumulation", "1"},
                                                 {"augmentation", "false"},
                                                 {"batch_size", "128"},
                                                 {"ema_decay", "0"},
                                                 {"epochs", "10"},
                                                 {"evaluation_batch_size", "256"},
                                                 {"label_smoothing", "0"},
                                                 {"optimiser", "adamw"},
                                                 {"optimiser.beta1", "0.9"},
                                                 {"optimiser.beta2", "0.999"},
                                                 {"optimiser.clip_norm", "0"},
                                                 {"optimiser.decay_norm_and_bias", "true"},
                                                 {"optimiser.epsilon", "1e-08"},
                                                 {"optimiser.weight_decay", "5e-04"},
                                                 {"precision", "f32"},
                                                 {"schedule", "steps"},
                                                 {"schedule.factor", "0.1"},
                                                 {"schedule.horizon", "70"},
                                                 {"schedule.learning_rate", "0.1"},
                                                 {"schedule.milestones", "0.5, 1"},
                                                 {"schedule.warm_up", "400"},
                                                 {"seed", "1"},
                                                 {"sync_norm", "true"}};
  CHECK(describe(settings) == steps);
}
