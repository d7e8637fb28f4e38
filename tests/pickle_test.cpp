#include "fovea/data/pickle.h"

#include <catch2/catch.hpp>

#include "fovea/core/check.h"
#include "pickle_files.h"
#include "test_files.h"

using namespace fovea;
using namespace fovea::test;
using Kind = PickleValue::Kind;

namespace {

/// `text` must live as long.
Pickle read(const std::string& text) {
  return Pickle(bytes_of(text), "data", "a.pickle", "get another");
}

std::string message_of(const std::string& text) {
  try {
    read(text);
    return "(no error)";
  } catch (const DataError& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("pickle: dictionaries, lists, numbers, texts and arrays of bytes") {
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < 2345; ++i) numbers.push_back(i * i % 70000 - (i % 97 == 0));
  const std::string text = pickle_of({{"batch_label", pickled(std::string_view("testing batch 1 of 1"))},
                                      {"labels", pickled(numbers)},
                                      {"data", pickled_array(2, 3, "abcdef")},
                                      {"long", pickled(std::string_view(std::string(300, 'x')))},
                                      {"names", pickled(std::vector<std::string_view>{"one", "two"})}});
  const Pickle pickle = read(text);
  REQUIRE(pickle.value().kind == Kind::dictionary);
  CHECK(pickle.value().find("batch_label")->text == "testing batch 1 of 1");
  CHECK(pickle.value().find("long")->text == std::string(300, 'x'));
  CHECK(pickle.value().find("nothing") == nullptr);
  const PickleValue& labels = *pickle.value().find("labels");
  REQUIRE(labels.kind == Kind::list);
  REQUIRE(labels.size() == std::ssize(numbers));
  for (size_t i = 0; i < numbers.size(); ++i) CHECK(labels.values[i]->number == numbers[i]);
  const PickleValue& data = *pickle.value().find("data");
  REQUIRE(data.kind == Kind::array);
  REQUIRE(data.size() == 2);
  CHECK(data.values[0]->number == 2);
  CHECK(data.values[1]->number == 3);
  CHECK(data.text == "abcdef");
  CHECK(data.number == 0);
  const std::string by_columns = pickle_of({{"data", pickled_array(2, 3, "adbecf", true)}});
  CHECK(read(by_columns).value().find("data")->number == 1);
}

TEST_CASE("pickle: the memo, None, and values one by one") {
  const std::string again = "j" + little_endian(9, 4);
  const std::string text = std::string("\x80\x02]r") + little_endian(9, 4) + "(" + pickled("a") +
                           "q\x02h\x02N" + again + "e\x88" + "a\x89" + "aX" + little_endian(2, 4) +
                           "\xc3\xa9" + "a" + pickled(int64_t{5}) + "\x85" + "a)a.";
  const Pickle pickle = read(text);
  const PickleValue& list = pickle.value();
  REQUIRE(list.size() == 9);
  CHECK(list.values[0] == list.values[1]);
  CHECK(list.values[2]->kind == Kind::none);
  CHECK(list.values[3] == &list);  // it holds itself
  CHECK(list.values[4]->number == 1);
  CHECK(list.values[5]->number == 0);
  CHECK(list.values[6]->text == "\xc3\xa9");
  CHECK(list.values[7]->values[0]->number == 5);
  CHECK(list.values[8]->kind == Kind::tuple);
}

TEST_CASE("pickle: what is damaged, or would call something, is an error that says where") {
  const std::string begin = "\x80\x02";
  const auto called = [&](const std::string& function, const std::string& arguments) {
    return begin + "c" + function + "\n" + arguments + "R.";
  };
  const std::string array = "cnumpy\nndarray\n", dtype = "cnumpy\ndtype\n" + pickled("u1") + "\x85R";
  const std::string empty_array = "cnumpy.core.multiarray\n_reconstruct\n" + array + "\x85R";
  const auto filled = [&](const std::string& state) { return begin + empty_array + "(" + state + "tb."; };
  const std::string one = pickled(int64_t{1}), extents = pickled(int64_t{2}) + "\x85";
  struct Bad {
    std::string text, words;
  };
  const std::vector<Bad> table = {
      {"", "expected the begin of a pickle"},
      {"\x80", "expected the begin of a pickle"},
      {"\x80\x03N.", "expected the begin of a pickle"},
      {"(lp0\n.", "expected the begin of a pickle"},
      {begin, "at byte offset 2: expected 1 more bytes, found the end of the file"},
      {begin + ".", "expected one value at the end, found 0 and 0 marks"},
      {begin + "NN.", "found 2 and 0 marks"},
      {begin + "N(.", "found 1 and 1 marks"},
      {begin + "N.N", "expected the end of the file, found 1 more bytes"},
      {begin + "N", "found the end of the file"},
      {begin + "K", "expected 1 more bytes"},
      {begin + "M\x01", "expected 2 more bytes, found 1"},
      {begin + "J\x01\x02", "expected 4 more bytes, found 2"},
      {begin + "U\x05" + "abc", "expected 5 more bytes, found 3"},
      {begin + "T\xff\xff\xff\xff" + "abc", "expected 4294967295 more bytes, found 3"},
      {begin + "X\x01", "expected 4 more bytes, found 1"},
      {begin + "t.", "expected a mark before, found none"},
      {begin + "e.", "expected a mark before"},
      {begin + "(e.", "expected a value before the mark"},
      {begin + "u.", "expected a mark before"},
      {begin + "N(Nu.", "expected a dict, found None"},
      {begin + "}(Ne.", "expected a list, found a dict"},
      {begin + "}(Nu.", "expected as many values as keys"},
      {begin + "}Ns.", "expected a dict, found"},
      {begin + "Na.", "expected a list, found"},
      {begin + "a.", "expected 1 values before, found 0"},
      {begin + "N(a.", "expected 1 values before, found 0"},
      {begin + "\x85.", "expected 1 values before"},
      {begin + "N\x87.", "expected 3 values before, found 1"},
      {begin + "q\x01.", "expected 1 values before"},
      {begin + "h\x07.", "expected something in the memo, found nothing at 7"},
      {begin + "j\x07.", "expected 4 more bytes"},
      {begin + "R.", "expected 1 values before"},
      {begin + "NNR.", "expected a function, found None"},
      {begin + "b.", "expected 1 values before"},
      {begin + "NNb.", "expected an array to be filled, found None"},
      {begin + "cos", "expected the end of a line"},
      {begin + "cos\nsystem", "expected the end of a line"},
      {called("os\nsystem", pickled("true") + "\x85"),
       "expected NumPy's functions for arrays, found \"os\\x0asystem\""},
      {called("numpy\nndarray ", pickled("true") + "\x85"), "expected NumPy's functions for arrays"},
      {called("numpy ndarray\n", ")"), "expected NumPy's functions for arrays"},
      {called("__builtin__\neval", pickled("1") + "\x85"), "expected NumPy's functions for arrays"},
      {called("numpy\nndarray", ")"), "expected a function that is called"},
      {called("numpy\ndtype", pickled("f4") + "\x85"), "expected a dtype u1 of bytes, found \"f4\""},
      {called("numpy\ndtype", ")"), "expected a dtype u1 of bytes, found none"},
      {called("numpy\ndtype", "N"), "expected a dtype u1 of bytes, found none"},
      {called("numpy.core.multiarray\n_reconstruct", ")"), "expected an ndarray to be made"},
      {called("numpy.core.multiarray\n_reconstruct", dtype + "\x85"), "expected an ndarray to be made"},
      {filled(""), "expected the state of an array of bytes"},
      {filled(one + extents + dtype + "\x89"), "expected the state of an array of bytes"},
      {filled(one + "N" + dtype + "\x89" + pickled("ab")), "expected the state of an array of bytes"},
      {filled(one + extents + "N\x89" + pickled("ab")), "expected the state of an array of bytes"},
      {filled(one + extents + dtype + "N" + pickled("ab")), "expected the state of an array of bytes"},
      {filled(one + extents + dtype + "\x89" + pickled("abc")), "expected an array of 2 bytes, found 3"},
      {filled(one + "N\x85" + dtype + "\x89" + pickled("ab")), "expected an array's extent, found None"},
      {filled(one + pickled(int64_t{-2}) + "\x85" + dtype + "\x89" + pickled("ab")),
       "expected an array's extent"},
      {filled(one + pickled(int64_t{2000000000}) + pickled(int64_t{2000000000}) +
              pickled(int64_t{2000000000}) + "\x87" + dtype + "\x89" + pickled("ab")),
       "expected an array of 2000000000 bytes, found 2"},
      {begin + "i.", "expected an opcode of CIFAR's pickles, found \"i\""},
      {begin + "o.", "expected an opcode of CIFAR's pickles"},
      {begin + "\x81.", "expected an opcode of CIFAR's pickles"},
      {begin + "\x82\x01.", "expected an opcode of CIFAR's pickles"},
      {begin + "I1\n.", "expected an opcode of CIFAR's pickles"},
      {begin + "\x95.", "expected an opcode of CIFAR's pickles"},
      {begin + "P1\n.", "expected an opcode of CIFAR's pickles"},
  };
  for (const Bad& bad : table) {
    const std::string message = message_of(bad.text);
    INFO(bad.text << "\n" << message);
    CHECK(message.starts_with("data: a.pickle: at byte offset "));
    CHECK(message.find(bad.words) != std::string::npos);
    CHECK(message.ends_with("; get another"));
  }
}
