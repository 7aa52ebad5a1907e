// Runs a function of vectors over a loop nest.
#pragma once

#include "../simd.h"
#include "table.h"

namespace recurra {
namespace {

template <class T>
RECURRA_INLINE Vector<T> read(const T* from, bool single, std::size_t at) {
    return single ? splat(*from) : load(from + at);
}

template <class T>
RECURRA_INLINE Vector<T> read_part(const T* from, bool single, std::size_t at, std::size_t count) {
    return single ? splat(*from) : load_part(from + at, count);
}

// One line of the nest. The tail goes through the same vector code: a scalar version would round differently,
// and a number's result would depend on where it stands.
template <class T, class F, std::size_t... I>
RECURRA_INLINE void run_line(F function, T* out, const T* const* in, const bool* single, std::size_t n) {
    constexpr std::size_t lanes = kLanesOf<T>;
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes) store(out + i, function(read(in[I], single[I], i)...));
    if (i < n) store_part(out + i, function(read_part(in[I], single[I], i, n - i)...), n - i);
}

template <class T, std::size_t... I, class F>
RECURRA_INLINE void run_nest(F function, const Loop<T>& loop) {
    constexpr std::size_t arity = sizeof...(I);
    // Known to the compiler in the case that matters: all operands lie side by side.
    constexpr bool none[3] = {false, false, false};
    const bool plain = !(loop.single[I] || ...);
    for (std::size_t r = 0; r < loop.rows; ++r)
        for (std::size_t o = 0; o < loop.outer; ++o) {
            const auto row = static_cast<std::ptrdiff_t>(r), at = static_cast<std::ptrdiff_t>(o);
            T* const out = loop.out + row * loop.out_stride[0] + at * loop.out_stride[1];
            const T* const in[arity] = {loop.in[I] + row * loop.in_stride[I][0] + at * loop.in_stride[I][1]...};
            if (plain)
                run_line<T, F, I...>(function, out, in, none, loop.n);
            else
                run_line<T, F, I...>(function, out, in, loop.single, loop.n);
        }
}

// A copy of numbers that lie side by side.
template <class T>
RECURRA_INLINE void line(T* out, const T* in, std::size_t n) {
    constexpr std::size_t lanes = kLanesOf<T>;
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes) store(out + i, load(in + i));
    if (i < n) store_part(out + i, load_part(in + i, n - i), n - i);
}

// Numbers side by side along k in what is read, along d in what is written: a tile at a time, so that a line of the
// cache is read once and written once.
template <class T>
RECURRA_INLINE void transpose(T* out, const T* in, std::size_t ks, std::size_t ds, std::ptrdiff_t out_k,
                              std::ptrdiff_t in_d) {
    constexpr std::size_t tile = 16;
    T kept[tile][tile];
    for (std::size_t d = 0; d < ds; d += tile) {
        const std::size_t lines = ds - d < tile ? ds - d : tile;
        for (std::size_t k = 0; k < ks; k += tile) {
            const std::size_t wide = ks - k < tile ? ks - k : tile;
            for (std::size_t a = 0; a < lines; ++a)
                line(kept[a], in + static_cast<std::ptrdiff_t>(d + a) * in_d + k, wide);
            for (std::size_t b = 0; b < wide; ++b) {
                T* const to = out + static_cast<std::ptrdiff_t>(k + b) * out_k + d;
                for (std::size_t a = 0; a < lines; ++a) to[a] = kept[a][b];
            }
        }
    }
}

template <class T>
void gather(const Gather<T>& g) {
    // The axis along which what is read lies side by side, if what is written does so along the last one.
    std::size_t turned = 3, outer[2] = {0, 0};
    for (std::size_t axis = 0; axis < 3 && g.out_stride[3] == 1 && g.in_stride[3] > 1; ++axis)
        if (g.in_stride[axis] == 1 && g.sizes[axis] > 1) turned = axis;
    for (std::size_t axis = 0, found = 0; axis < 3 && found < 2; ++axis)
        if (axis != turned) outer[found++] = axis;
    const std::size_t middle = turned < 3 ? 1 : g.sizes[2];
    for (std::size_t r = 0; r < g.rows; ++r)
        for (std::size_t a = 0; a < g.sizes[outer[0]]; ++a)
            for (std::size_t b = 0; b < g.sizes[outer[1]]; ++b)
                for (std::size_t c = 0; c < middle; ++c) {
                    T* out = g.out + static_cast<std::ptrdiff_t>(r) * g.out_row +
                             static_cast<std::ptrdiff_t>(a) * g.out_stride[outer[0]] +
                             static_cast<std::ptrdiff_t>(b) * g.out_stride[outer[1]] +
                             static_cast<std::ptrdiff_t>(c) * g.out_stride[2];
                    const T* in = g.in + static_cast<std::ptrdiff_t>(r) * g.in_row +
                                  static_cast<std::ptrdiff_t>(a) * g.in_stride[outer[0]] +
                                  static_cast<std::ptrdiff_t>(b) * g.in_stride[outer[1]] +
                                  static_cast<std::ptrdiff_t>(c) * g.in_stride[2];
                    if (turned < 3) {
                        transpose(out, in, g.sizes[turned], g.sizes[3], g.out_stride[turned], g.in_stride[3]);
                    } else if (g.out_stride[3] == 1 && g.in_stride[3] == 1) {
                        line(out, in, g.sizes[3]);
                    } else if (g.out_stride[3] == 1 && g.in_stride[3] == 0) {
                        const T number = *in;
                        for (std::size_t d = 0; d < g.sizes[3]; ++d) out[d] = number;
                    } else {
                        for (std::size_t d = 0; d < g.sizes[3]; ++d, out += g.out_stride[3], in += g.in_stride[3])
                            *out = *in;
                    }
                }
}

}  // namespace
}  // namespace recurra
