#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <utility>

namespace fovea {

/// A map of at most so many values: where one more comes, the one that was used least recently goes. Who has
/// been handed a value keeps it as long as needed. For one thread at a time.
template <class Key, class Value>
class LruCache {
 public:
  explicit LruCache(size_t capacity) : capacity_(capacity) {}

  /// The value of a key, which counts as used; null if there is none.
  std::shared_ptr<const Value> find(const Key& key) {
    const auto found = places_.find(key);
    if (found == places_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return found->second->second;
  }

  /// Keeps a value under a key that has none, and returns it.
  std::shared_ptr<const Value> add(const Key& key, Value value) {
    auto kept = std::make_shared<const Value>(std::move(value));
    entries_.emplace_front(key, kept);
    try {
      places_.emplace(key, entries_.begin());
    } catch (...) {
      entries_.pop_front();
      throw;
    }
    if (entries_.size() > capacity_) {
      places_.erase(entries_.back().first);
      entries_.pop_back();
    }
    return kept;
  }

  size_t size() const { return entries_.size(); }
  size_t capacity() const { return capacity_; }

 private:
  using Entries = std::list<std::pair<Key, std::shared_ptr<const Value>>>;

  size_t capacity_;
  Entries entries_;  // the one that was used last first
  std::map<Key, typename Entries::iterator> places_;
};

}  // namespace fovea
