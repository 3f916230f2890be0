// SPDX-License-Identifier: MIT
#pragma once
// A small cache bounded by bytes; what was not used for the longest time goes first. One thread.

#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <utility>

namespace atelier::gateway {

template <class Key, class Value>
class ByteLru {
 public:
  explicit ByteLru(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  /// Null if it is not there.
  [[nodiscard]] std::shared_ptr<const Value> find(const Key& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return found->second->value;
  }
  /// Replaces what the key had. A value above the bound is not kept.
  void put(const Key& key, std::shared_ptr<const Value> value, std::size_t bytes) {
    erase(key);
    if (bytes > bytes_max_) return;
    entries_.push_front({key, std::move(value), bytes});
    index_[key] = entries_.begin();
    bytes_ += bytes;
    while (bytes_ > bytes_max_) {
      const Key oldest = entries_.back().key;
      erase(oldest);
    }
  }
  void erase(const Key& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return;
    bytes_ -= found->second->bytes;
    entries_.erase(found->second);
    index_.erase(found);
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  struct Entry {
    Key key;
    std::shared_ptr<const Value> value;
    std::size_t bytes;
  };
  std::size_t bytes_max_;
  std::size_t bytes_ = 0;
  std::list<Entry> entries_;
  std::map<Key, typename std::list<Entry>::iterator> index_;
};

}  // namespace atelier::gateway
