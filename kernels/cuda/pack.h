#pragma once

#include <cstdint>
#include <type_traits>

#include "fovea/kernels/cuda/convert.h"
#include "fovea/kernels/cuda/device_code.h"

namespace fovea::kernels::cuda {

/// Elements of T that are read and written at once: 16 bytes of them, as many as one instruction can.
template <class T>
inline constexpr int kPackWidth = 16 / static_cast<int>(sizeof(T));

/// `kWidth` neighbouring elements as they lie in memory, held as 32-bit words where they fill some: taken
/// apart into elements where they are loaded, they would be waited for there.
template <class T, int kWidth>
struct alignas(sizeof(T) * kWidth) Pack {
  using Word = std::conditional_t<sizeof(T) < 4 && sizeof(T) * kWidth % 4 == 0, unsigned, T>;
  static constexpr int kInWord = static_cast<int>(sizeof(Word) / sizeof(T)), kWords = kWidth / kInWord;

  __device__ T operator[](int i) const {
    if constexpr (kInWord == 1) {
      return words[i];
    } else {
      const unsigned bits = words[i / kInWord] >> (i % kInWord * kBits);
      if constexpr (std::is_integral_v<T>) {
        return static_cast<T>(bits);
      } else {
        T element;
        element.bits = static_cast<uint16_t>(bits);
        return element;
      }
    }
  }
  /// Sets the elements of one word.
  __device__ void set_word(int word, const T (&elements)[kInWord]) {
    if constexpr (kInWord == 1) {
      words[word] = elements[0];
    } else {
      unsigned bits = 0;
#pragma unroll
      for (int i = 0; i < kInWord; ++i) {
        if constexpr (std::is_integral_v<T>) {
          bits |= static_cast<unsigned>(elements[i]) << (i * kBits);
        } else {
          bits |= static_cast<unsigned>(elements[i].bits) << (i * kBits);
        }
      }
      words[word] = bits;
    }
  }

  Word words[kWords];

 private:
  static constexpr int kBits = 8 * static_cast<int>(sizeof(T));
};

/// The pack of element(0), element(1), ...
template <class T, int kWidth, class Element>
__device__ inline Pack<T, kWidth> make_pack(Element element) {
  using Packed = Pack<T, kWidth>;
  Packed pack;
#pragma unroll
  for (int word = 0; word < Packed::kWords; ++word) {
    T elements[Packed::kInWord];
#pragma unroll
    for (int i = 0; i < Packed::kInWord; ++i) elements[i] = element(word * Packed::kInWord + i);
    pack.set_word(word, elements);
  }
  return pack;
}

/// `kWidth` numbers in f32.
template <int kWidth>
struct Floats {
  float values[kWidth];

  __device__ float& operator[](int i) { return values[i]; }
  __device__ float operator[](int i) const { return values[i]; }
};

/// `kWidth` neighbouring elements as they are, which takes fewer registers where many are under way.
template <int kWidth, class T>
__device__ inline Pack<T, kWidth> load_pack(const T* data) {
  check_alignment<Pack<T, kWidth>>(data);
  return load_as<Pack<T, kWidth>>(data);
}

template <int kWidth, class T>
__device__ inline void store_pack(T* data, const Pack<T, kWidth>& pack) {
  check_alignment<Pack<T, kWidth>>(data);
  store_as(data, pack);
}

/// The first kWidth elements of a pack, or the second, ...
template <int kWidth, class T, int kAll>
__device__ inline Floats<kWidth> part_to_floats(const Pack<T, kAll>& pack, int part) {
  Floats<kWidth> result;
#pragma unroll
  for (int i = 0; i < kWidth; ++i) result[i] = to_float(pack[part * kWidth + i]);
  return result;
}

/// Sets the first kWidth elements of a pack, or the second, ...
template <class T, int kAll, int kWidth>
__device__ inline void set_part(Pack<T, kAll>& pack, int part, const Pack<T, kWidth>& elements) {
  constexpr int kWords = Pack<T, kWidth>::kWords;
  static_assert(std::is_same_v<typename Pack<T, kAll>::Word, typename Pack<T, kWidth>::Word>);
#pragma unroll
  for (int word = 0; word < kWords; ++word) pack.words[part * kWords + word] = elements.words[word];
}

template <class T, int kWidth>
__device__ inline Floats<kWidth> to_floats(const Pack<T, kWidth>& pack) {
  return part_to_floats<kWidth>(pack, 0);
}

/// `kWidth` neighbouring elements, read at once, as f32. `data` is aligned to all of them.
template <int kWidth, class T>
__device__ inline Floats<kWidth> load(const T* data) {
  return to_floats(load_pack<kWidth>(data));
}

template <class T, int kWidth>
__device__ inline Pack<T, kWidth> to_pack(const Floats<kWidth>& numbers) {
  if constexpr (sizeof(T) == 2 && kWidth % 2 == 0) {
    Pack<T, kWidth> pack;
#pragma unroll
    for (int i = 0; i < kWidth / 2; ++i)
      pack.words[i] = two_from_floats<T>(numbers[2 * i], numbers[2 * i + 1]);
    return pack;
  } else {
    return make_pack<T, kWidth>([&](int i) { return from_float<T>(numbers[i]); });
  }
}

template <int kWidth, class T>
__device__ inline void store(T* data, const Floats<kWidth>& numbers) {
  store_pack<kWidth>(data, to_pack<T>(numbers));
}

/// `kWidth` neighbouring elements as f32, read or written in parts of 16 bytes, to which `data` is aligned:
/// for more of them than one instruction takes.
template <int kWidth, class T>
__device__ inline Floats<kWidth> load_wide(const T* data) {
  constexpr int kPart = kWidth < kPackWidth<T> ? kWidth : kPackWidth<T>;
  Floats<kWidth> result;
#pragma unroll
  for (int begin = 0; begin < kWidth; begin += kPart) {
    const Floats<kPart> part = load<kPart>(data + begin);
#pragma unroll
    for (int i = 0; i < kPart; ++i) result[begin + i] = part[i];
  }
  return result;
}

template <int kWidth, class T>
__device__ inline void store_wide(T* data, const Floats<kWidth>& numbers) {
  constexpr int kPart = kWidth < kPackWidth<T> ? kWidth : kPackWidth<T>;
#pragma unroll
  for (int begin = 0; begin < kWidth; begin += kPart) {
    Floats<kPart> part;
#pragma unroll
    for (int i = 0; i < kPart; ++i) part[i] = numbers[begin + i];
    store<kPart>(data + begin, part);
  }
}

/// Whether `pointers` and rows of `count` elements allow access in whole packs of T; null pointers do.
template <class T, class... Pointers>
bool fits_packs(int64_t count, const Pointers*... pointers) {
  const auto is_aligned = [](const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; };
  return count % kPackWidth<T> == 0 && (is_aligned(pointers) && ...);
}

/// Calls body.template operator()<kWidth>() with the widest access that the rows of `count` elements and the
/// pointers allow: a whole pack, or one element.
template <class T, class Body, class... Pointers>
void visit_width(int64_t count, Body&& body, const Pointers*... pointers) {
  if (fits_packs<T>(count, pointers...)) {
    body.template operator()<kPackWidth<T>>();
  } else {
    body.template operator()<1>();
  }
}

}  // namespace fovea::kernels::cuda
