#include "fovea/data/pickle.h"

#include <cstring>
#include <map>

#include "fovea/core/check.h"
#include "fovea/core/printable.h"

namespace fovea {
namespace {

using Kind = PickleValue::Kind;

constexpr std::string_view kMakeArray = "numpy.core.multiarray _reconstruct", kArray = "numpy ndarray",
                           kDtype = "numpy dtype";

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::none: return "None";
    case Kind::boolean: return "a bool";
    case Kind::integer: return "an int";
    case Kind::text: return "a text";
    case Kind::tuple: return "a tuple";
    case Kind::list: return "a list";
    case Kind::dictionary: return "a dict";
    case Kind::function: return "a function";
    case Kind::dtype: return "a dtype";
    case Kind::array: return "an array";
  }
  return "?";
}

bool is_text(const PickleValue& value, std::string_view text) {
  return value.kind == Kind::text && value.text == text;
}

}  // namespace

const PickleValue* PickleValue::find(std::string_view key) const {
  if (kind != Kind::dictionary) return nullptr;
  for (size_t i = 0; i + 1 < values.size(); i += 2) {
    if (is_text(*values[i], key)) return values[i + 1];
  }
  return nullptr;
}

/// The machine that a pickle is a program for: a stack, marks in it, and a memo of what was made.
class PickleReader {
 public:
  PickleReader(Pickle& pickle, std::span<const std::byte> bytes, std::string begin, const std::string& advice)
      : pickle_(pickle),
        bytes_(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
        begin_(std::move(begin)),
        advice_(advice) {}

  void read() {
    if (!bytes_.starts_with("\x80\x02")) fail("the begin of a pickle of protocol 2", first_bytes());
    place_ = 2;
    while (true) {
      offset_ = place_;
      const char opcode = take(1)[0];
      if (opcode == '.') break;
      run(opcode);
    }
    if (stack_.size() != 1 || !marks_.empty()) {
      fail("one value at the end", str(stack_.size(), " and ", marks_.size(), " marks"));
    }
    if (place_ != bytes_.size()) fail("the end of the file", str(bytes_.size() - place_, " more bytes"));
    pickle_.value_ = stack_.back();
  }

 private:
  void run(char opcode) {
    switch (opcode) {
      case '(': marks_.push_back(stack_.size()); return;
      case 'N': push(Kind::none); return;
      case '\x88': push(Kind::boolean).number = 1; return;
      case '\x89': push(Kind::boolean).number = 0; return;
      case 'K': push(Kind::integer).number = static_cast<int64_t>(number(1)); return;
      case 'M': push(Kind::integer).number = static_cast<int64_t>(number(2)); return;
      case 'J': push(Kind::integer).number = static_cast<int32_t>(number(4)); return;
      case 'U': push(Kind::text).text = take(number(1)); return;
      case 'T':
      case 'X': push(Kind::text).text = take(number(4)); return;
      case ']': push(Kind::list); return;
      case '}': push(Kind::dictionary); return;
      case ')': push(Kind::tuple); return;
      case '\x85': return make_tuple(need(1));
      case '\x86': return make_tuple(need(2));
      case '\x87': return make_tuple(need(3));
      case 't': return make_tuple(marked(0));
      case 'a': return extend(Kind::list, need(1));
      case 'e': return extend(Kind::list, marked(1));
      case 's': return extend(Kind::dictionary, need(2));
      case 'u': return extend(Kind::dictionary, marked(1));
      case 'q': memo_[number(1)] = &top(); return;
      case 'r': memo_[number(4)] = &top(); return;
      case 'h': return recall(number(1));
      case 'j': return recall(number(4));
      case 'c': return name_function();
      case 'R': return call();
      case 'b': return build();
      default: fail("an opcode of CIFAR's pickles", in_quotes(std::string_view(&opcode, 1)));
    }
  }

  [[noreturn]] void fail(const std::string& wanted, const std::string& found) const {
    throw DataError(
        str(begin_, "at byte offset ", offset_, ": expected ", wanted, ", found ", found, "; ", advice_));
  }
  std::string first_bytes() const { return in_quotes(bytes_.substr(0, 8)); }

  std::string_view take(uint64_t count) {
    const uint64_t left = bytes_.size() - place_;
    if (count > left) fail(str(count, " more bytes"), left == 0 ? "the end of the file" : str(left));
    const std::string_view taken = bytes_.substr(place_, count);
    place_ += count;
    return taken;
  }
  uint64_t number(int count) {  // little-endian, without a sign
    const std::string_view taken = take(static_cast<uint64_t>(count));
    uint64_t value = 0;
    for (int i = count - 1; i >= 0; --i) {
      value = value << 8 | static_cast<unsigned char>(taken[static_cast<size_t>(i)]);
    }
    return value;
  }
  std::string_view take_line() {
    const size_t end = bytes_.find('\n', place_);
    if (end == std::string_view::npos) fail("the end of a line", "the end of the file");
    const std::string_view line = bytes_.substr(place_, end - place_);
    place_ = end + 1;
    return line;
  }

  PickleValue& push(Kind kind) {
    pickle_.values_.emplace_back().kind = kind;
    stack_.push_back(&pickle_.values_.back());
    return *stack_.back();
  }
  /// Where the last `count` values begin, none of them before the last mark.
  size_t need(size_t count) const {
    const size_t free = stack_.size() - (marks_.empty() ? 0 : marks_.back());
    if (free < count) fail(str(count, " values before"), str(free));
    return stack_.size() - count;
  }
  /// Where the values since the last mark begin, which it takes; there must be `count` before it.
  size_t marked(size_t count) {
    if (marks_.empty()) fail("a mark before", "none");
    const size_t begin = marks_.back();
    marks_.pop_back();
    if (begin - (marks_.empty() ? 0 : marks_.back()) < count) fail("a value before the mark", "none");
    return begin;
  }
  PickleValue& top() const { return *stack_[need(1)]; }
  PickleValue& pop() {
    PickleValue& value = top();
    stack_.pop_back();
    return value;
  }
  void recall(uint64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) fail("something in the memo", str("nothing at ", key));
    stack_.push_back(found->second);
  }

  void make_tuple(size_t begin) {
    std::vector<const PickleValue*> values(stack_.begin() + static_cast<int64_t>(begin), stack_.end());
    stack_.resize(begin);
    push(Kind::tuple).values = std::move(values);
  }
  void extend(Kind kind, size_t begin) {
    if (begin == 0 || stack_[begin - 1]->kind != kind) {
      fail(name_of(kind), begin == 0 ? "nothing" : name_of(stack_[begin - 1]->kind));
    }
    const size_t count = stack_.size() - begin;
    if (kind == Kind::dictionary && count % 2 != 0) fail("as many values as keys", "a key without a value");
    std::vector<const PickleValue*>& values = stack_[begin - 1]->values;
    values.insert(values.end(), stack_.begin() + static_cast<int64_t>(begin), stack_.end());
    stack_.resize(begin);
  }

  void name_function() {
    const size_t begin = place_;
    const std::string_view module = take_line(), name = take_line();
    // The function's name as the pickle has it, with a space in place of the line's end.
    const std::string full = str(module, " ", name);
    for (const std::string_view known : {kMakeArray, kArray, kDtype}) {
      if (full == known) {
        push(Kind::function).text = known;
        return;
      }
    }
    fail("NumPy's functions for arrays", in_quotes(bytes_.substr(begin, place_ - 1 - begin)));
  }

  /// Value i of a tuple if it is there and of this kind; else null.
  const PickleValue* item(const PickleValue& tuple, int64_t i, Kind kind) const {
    if (tuple.kind != Kind::tuple || i >= tuple.size()) return nullptr;
    const PickleValue* const value = tuple.values[static_cast<size_t>(i)];
    return value->kind == kind ? value : nullptr;
  }

  void call() {
    const PickleValue& arguments = pop();
    const PickleValue& function = pop();
    if (function.kind != Kind::function) fail("a function", name_of(function.kind));
    if (function.text == kMakeArray) {
      const PickleValue* const type = item(arguments, 0, Kind::function);
      if (type == nullptr || type->text != kArray) fail("an ndarray to be made", name_of(arguments.kind));
      push(Kind::array);
    } else if (function.text == kDtype) {
      const PickleValue* const type = item(arguments, 0, Kind::text);
      if (type == nullptr || type->text != "u1") {
        fail("a dtype u1 of bytes", type == nullptr ? "none" : in_quotes(type->text));
      }
      push(Kind::dtype);
    } else {
      fail("a function that is called", in_quotes(function.text));
    }
  }

  /// The state of an array is (version, extents, dtype, whether it goes by columns, bytes); that of a dtype
  /// of bytes says nothing.
  void build() {
    const PickleValue& state = pop();
    PickleValue& value = top();
    if (value.kind == Kind::dtype) return;
    if (value.kind != Kind::array) fail("an array to be filled", name_of(value.kind));
    const PickleValue* const extents = item(state, 1, Kind::tuple);
    const PickleValue* const by_columns = item(state, 3, Kind::boolean);
    const PickleValue* const bytes = item(state, 4, Kind::text);
    if (extents == nullptr || item(state, 2, Kind::dtype) == nullptr || by_columns == nullptr ||
        bytes == nullptr || state.size() != 5) {
      fail("the state of an array of bytes", name_of(state.kind));
    }
    uint64_t size = 1;
    for (const PickleValue* const extent : extents->values) {
      // Neither factor is more than the file has bytes, which are fewer than 2^32.
      if (extent->kind != Kind::integer || extent->number < 0)
        fail("an array's extent", name_of(extent->kind));
      size *= static_cast<uint64_t>(extent->number);
      if (size > bytes_.size()) break;
    }
    if (size != bytes->text.size()) fail(str("an array of ", size, " bytes"), str(bytes->text.size()));
    value.values = extents->values;
    value.text = bytes->text;
    value.number = by_columns->number;
  }

  Pickle& pickle_;
  std::string_view bytes_;
  std::string begin_, advice_;
  size_t place_ = 0, offset_ = 0;  // offset: of the opcode
  std::vector<PickleValue*> stack_;
  std::vector<size_t> marks_;
  std::map<uint64_t, PickleValue*> memo_;
};

Pickle::Pickle(std::span<const std::byte> bytes, const std::string& name, const std::string& path,
               const std::string& advice) {
  PickleReader(*this, bytes, str(name, ": ", path, ": "), advice).read();
}

}  // namespace fovea
