// Where there is no memory left, what was begun can still be ended: destructors ask for none.
#include <memory>
#include <new>
#include <optional>
#include <string>

#include "fovea/core/autograd.h"
#include "fovea/core/check.h"
#include "fovea/core/json_writer.h"
#include "fovea/core/profile.h"
#include "fovea/core/safetensors_header.h"
#include "fovea/layers/functional.h"
#include "limited_new.h"
#include "tiny_classifier.h"

using namespace fovea;

TEST_CASE("no memory: a history is freed") {
  Variable x(Tensor::full({2, 3}, 1), /*requires_grad=*/true);
  std::optional<Variable> y = F::relu(x);
  for (int i = 0; i < 100000; ++i) y = F::add(*y, i % 3 == 0 ? x : *y);
  const test::LimitedNew none;
  y.reset();
}

TEST_CASE("no memory: evaluation ends") {
  test::TinyModel model(/*seed=*/1);
  auto mode = std::make_unique<EvaluationMode>(model);
  auto no_grad = std::make_unique<NoGrad>();
  const test::LimitedNew none;
  no_grad.reset();
  mode.reset();
}

TEST_CASE("no memory: a profiled call ends, and is counted") {
  const Tensor x = Tensor::zeros({4});
  set_profiling(true);
  const auto for_each = [&](const auto& body) { body(x); };
  for (int calls = 1; calls <= 100; ++calls) {
    const ProfileScope outer("outer", for_each);
    auto inner = std::make_unique<ProfileScope>("inner", for_each);
    const test::LimitedNew none;
    inner.reset();
  }
  set_profiling(false);
  CHECK(profiled_calls().size() == 200);
}

TEST_CASE("no memory: JSON that is half written is given up") {
  auto json = std::make_unique<JsonWriter>(/*indent=*/2);
  json->begin_object();
  json->key("text");
  json->begin_array();
  json->text("a\n\xff");
  json->integer(-1);
  json->number(0.5);
  json->null();
  const std::string half = "{\n  \"text\": [\n    \"a\\n\xEF\xBF\xBD\",\n    -1,\n    0.5,\n    null";
  CHECK(json->str() == half);
  const test::LimitedNew none;
  json.reset();
}

TEST_CASE("no memory: the text of a header is a std::bad_alloc, whichever allocation fails") {
  SafetensorsHeader header;
  header.metadata = {{"a key that is long enough for the heap", "and a value \"too\""}, {"b", ""}};
  header.entries = {{"first", Dtype::f32, {2, 3}, 0, 24}, {"second", Dtype::u8, {}, 24, 25}};
  const std::string wanted =
      R"({"__metadata__":{"a key that is long enough for the heap":"and a value \"too\"","b":""},)"
      R"("first":{"data_offsets":[0,24],"dtype":"F32","shape":[2,3]},)"
      R"("second":{"data_offsets":[24,25],"dtype":"U8","shape":[]}}  )";
  std::string text;
  int failures = 0;
  while (text.empty()) {
    const test::LimitedNew after(failures);
    try {
      text = safetensors_header_text(header, "here");
    } catch (const std::bad_alloc&) {
      ++failures;
    }
  }
  CHECK(text == wanted);
  CHECK(failures > 20);
}
