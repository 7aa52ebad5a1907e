// Products of two matrices that each row has: too small to pack, and read once.
#pragma once

#include "../simd.h"
#include "reductions.h"
#include "table.h"

namespace recurra {
namespace {

// Vectors of one line of the result, and lines, that are summed side by side.
constexpr std::size_t kAcross = 4;

template <class T>
RECURRA_INLINE std::ptrdiff_t far(std::size_t at, std::ptrdiff_t stride) {
    return static_cast<std::ptrdiff_t>(at) * stride;
}

// A tile of LINES lines and VECTORS vectors; lines of b lie side by side, and so do those of the result.
template <class T, std::size_t LINES, std::size_t VECTORS>
RECURRA_INLINE void spread(const Batched<T>& p, const T* a, const T* b, T* out, std::size_t left) {
    constexpr std::size_t lanes = kLanesOf<T>;
    Vector<T> sum[LINES][VECTORS] = {};
    const bool whole = left >= VECTORS * lanes;
    for (std::size_t k = 0; k < p.k; ++k, a += p.a_k, b += p.b_k) {
        Vector<T> line[VECTORS];
        for (std::size_t v = 0; v < VECTORS; ++v)
            line[v] = whole || (v + 1) * lanes <= left ? load(b + v * lanes) : load_part(b + v * lanes, left - v * lanes);
        for (std::size_t m = 0; m < LINES; ++m) {
            const Vector<T> number = splat(a[far<T>(m, p.a_m)]);
            for (std::size_t v = 0; v < VECTORS; ++v) sum[m][v] = fma(number, line[v], sum[m][v]);
        }
    }
    for (std::size_t m = 0; m < LINES; ++m, out += p.out_m)
        for (std::size_t v = 0; v < VECTORS; ++v) {
            if (whole || (v + 1) * lanes <= left)
                store(out + v * lanes, sum[m][v]);
            else
                store_part(out + v * lanes, sum[m][v], left - v * lanes);
        }
}

template <class T, std::size_t LINES>
RECURRA_INLINE void spread_lines(const Batched<T>& p, const T* a, const T* b, T* out) {
    constexpr std::size_t lanes = kLanesOf<T>, most = LINES > 1 ? 2 : kAcross;
    std::size_t n = 0;
    for (; n + most * lanes <= p.n; n += most * lanes) spread<T, LINES, most>(p, a, b + n, out + n, most * lanes);
    for (; n < p.n; n += lanes) spread<T, LINES, 1>(p, a, b + n, out + n, p.n - n);
}

// Numbers along k lie side by side in a and b: a sum for each number of the result.
template <class T, std::size_t LINES>
RECURRA_INLINE void dots(const Batched<T>& p, const T* a, const T* b, T* out) {
    constexpr std::size_t lanes = kLanesOf<T>;
    Vector<T> sum[LINES] = {};
    std::size_t k = 0;
    for (; k + lanes <= p.k; k += lanes) {
        const Vector<T> other = load(b + k);
        for (std::size_t m = 0; m < LINES; ++m) sum[m] = fma(load(a + far<T>(m, p.a_m) + k), other, sum[m]);
    }
    if (k < p.k) {
        const Vector<T> other = load_part(b + k, p.k - k);
        for (std::size_t m = 0; m < LINES; ++m)
            sum[m] = fma(load_part(a + far<T>(m, p.a_m) + k, p.k - k), other, sum[m]);
    }
    for (std::size_t m = 0; m < LINES; ++m) {
        T part[lanes];
        store(part, sum[m]);
        for (std::size_t half = lanes / 2; half > 0; half /= 2)
            for (std::size_t j = 0; j < half; ++j) part[j] += part[j + half];
        out[far<T>(m, p.out_m)] = part[0];
    }
}

template <class T>
void batched(const Batched<T>& p) {
    const bool across = p.n == 1 || (p.b_n == 1 && p.out_n == 1);
    const bool along = p.k == 1 || (p.a_k == 1 && p.b_k == 1);
    for (std::size_t r = 0; r < p.rows; ++r) {
        const T* a = p.a + far<T>(r, p.a_row);
        const T* const b = p.b + far<T>(r, p.b_row);
        T* out = p.out + far<T>(r, p.out_row);
        if (across && (p.n > 1 || !along)) {
            std::size_t m = 0;
            for (; m + kAcross <= p.m; m += kAcross, a += kAcross * p.a_m, out += kAcross * p.out_m)
                spread_lines<T, kAcross>(p, a, b, out);
            for (; m < p.m; ++m, a += p.a_m, out += p.out_m) spread_lines<T, 1>(p, a, b, out);
        } else if (along) {
            for (std::size_t n = 0; n < p.n; ++n) {
                const T* from = a;
                const T* const with = b + far<T>(n, p.b_n);
                T* to = out + far<T>(n, p.out_n);
                std::size_t m = 0;
                for (; m + kAcross <= p.m; m += kAcross, from += kAcross * p.a_m, to += kAcross * p.out_m)
                    dots<T, kAcross>(p, from, with, to);
                for (; m < p.m; ++m, from += p.a_m, to += p.out_m) dots<T, 1>(p, from, with, to);
            }
        } else {
            for (std::size_t m = 0; m < p.m; ++m)
                for (std::size_t n = 0; n < p.n; ++n) {
                    T sum = 0;
                    for (std::size_t k = 0; k < p.k; ++k)
                        sum += a[far<T>(m, p.a_m) + far<T>(k, p.a_k)] * b[far<T>(k, p.b_k) + far<T>(n, p.b_n)];
                    out[far<T>(m, p.out_m) + far<T>(n, p.out_n)] = sum;
                }
        }
    }
}

template <class T>
void fold(const Folding<T>& p) {
    constexpr std::size_t lanes = kLanesOf<T>;
    for (std::size_t r = 0; r < p.rows; ++r) {
        T* const all = p.out + far<T>(r, p.out_row);
        __builtin_memset(all, 0, p.total * sizeof(T));
        const T* in = p.in + far<T>(r, p.in_row);
        T* out = all + p.first;
        for (std::size_t l = 0; l < p.lines; ++l, in += p.in_line, out += p.out_line) {
            std::size_t i = 0;
            for (; i + lanes <= p.width; i += lanes) store(out + i, load(out + i) + load(in + i));
            if (const std::size_t rest = p.width - i; rest > 0)
                store_part(out + i, load_part(out + i, rest) + load_part(in + i, rest), rest);
        }
    }
}

}  // namespace
}  // namespace recurra
