#include "fovea/kernels/conv_choices.h"

#include <atomic>
#include <iostream>

namespace fovea::kernels {
namespace {

thread_local ConvChoicesScope* innermost = nullptr;

uint64_t next_id() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

}  // namespace

ConvChoicesScope::ConvChoicesScope(ConvChoices& choices)
    : choices_(choices), outer_(innermost), id_(next_id()) {
  innermost = this;
}

ConvChoicesScope::~ConvChoicesScope() {
  innermost = outer_;
}

ConvChoicesScope* ConvChoicesScope::current() {
  return innermost;
}

std::string ConvChoicesScope::find(const std::string& made_for, const std::string& problem) {
  if (choices_.made_for != made_for) {
    if (!choices_.by_problem.empty()) {
      std::cerr << "fovea: the run's convolutions were computed by " << choices_.made_for << ", and here is "
                << made_for << ": its bits will differ from those it would have had there" << std::endl;
    }
    choices_ = {made_for, {}};
  }
  const auto found = choices_.by_problem.find(problem);
  return found == choices_.by_problem.end() ? "" : found->second;
}

void ConvChoicesScope::note(const std::string& made_for, const std::string& problem,
                            const std::string& choice) {
  if (choices_.made_for != made_for) choices_ = {made_for, {}};
  choices_.by_problem[problem] = choice;
}

}  // namespace fovea::kernels
