// What products of numbers that are rounded to bfloat16 share, whatever instructions they are made with: how rows are cut,
// and how a matrix is read two lines at a time.
#pragma once

#include "../simd.h"
#include "table.h"

namespace recurra {
namespace {

using T = float;

// A panel is two vectors wide.
constexpr std::size_t kLane = kLanesOf<float>, kWide = 2 * kLane;
// Lines of the depth, and rows of x, that are rounded at a time: both fit the nearest cache beside a panel.
constexpr std::size_t kDepth = 256, kRows = 32;

#define RECURRA_UNROLL _Pragma("GCC unroll 16")

// A part of the depth: its first line, from which pairs and blocks are counted, and one behind its last.
struct Depth {
    std::size_t from, to;
};

// The next part, from a line on.
RECURRA_INLINE Depth part_of(std::size_t depth, std::size_t from) {
    return {from, depth - from <= kDepth ? depth : from + kDepth};
}

// `count` numbers, at least one, of which a vector holds the first; zeros behind them.
RECURRA_INLINE Floats load_some(const T* from, std::size_t count) {
    return count >= kLane ? load(from) : load_part(from, count);
}

// The first `count` numbers of a vector, as many as it has at the most.
RECURRA_INLINE void store_some(T* to, Floats value, std::size_t count) {
    if (count >= kLane)
        store(to, value);
    else
        store_part(to, value, count);
}

// Two vectors as pairs in 32 bits each, rounded to the nearest bfloat16, the even one of two.
RECURRA_INLINE __m512i paired(Floats upper, Floats lower) {
    const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)lower));
    const __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)upper));
    return _mm512_or_si512(_mm512_slli_epi32(high, 16), low);
}

// A panel's numbers of lines k and k + 1 of a matrix, `count` of each; null where there is no such line. What does not lie
// side by side is copied to `room`.
RECURRA_INLINE void two_lines(const Packing<T>& p, std::size_t k, std::size_t column, std::size_t count,
                              T (&room)[2][kWide], const T* (&from)[2]) {
    for (std::size_t s = 0; s < 2; ++s) {
        from[s] = nullptr;
        if (k + s >= p.depth) continue;
        const T* const line = p.from + static_cast<std::ptrdiff_t>(k + s) * p.depth_stride +
                              static_cast<std::ptrdiff_t>(column) * p.width_stride;
        from[s] = line;
        if (p.width_stride == 1) continue;
        for (std::size_t n = 0; n < count; ++n) room[s][n] = line[static_cast<std::ptrdiff_t>(n) * p.width_stride];
        from[s] = room[s];
    }
}

}  // namespace
}  // namespace recurra
