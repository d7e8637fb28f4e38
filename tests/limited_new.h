#pragma once

namespace fovea::test {

/// In a program that links limited_new.cpp: while one lives, this thread gets so many allocations of
/// `operator new`, and no further ones.
class LimitedNew {
 public:
  explicit LimitedNew(int allocations = 0);
  ~LimitedNew();
  LimitedNew(const LimitedNew&) = delete;
  LimitedNew& operator=(const LimitedNew&) = delete;
};

}  // namespace fovea::test
