#pragma once

#include "fovea/core/autograd.h"
#include "fovea/core/check.h"

namespace fovea {

/// The first thing that every operation does: an Error with its name and the argument's, if an argument that
/// it must have is undefined. Names and variables in turn: check_defined("add", "a", a, "b", b).
template <class... More>
void check_defined(const char* operation, const char* name, const Variable& argument, const More&... more) {
  check(argument.defined() && argument.value().defined(), operation, ": ", name,
        " is undefined; wanted a variable that holds a tensor");
  if constexpr (sizeof...(more) > 0) check_defined(operation, more...);
}

}  // namespace fovea
