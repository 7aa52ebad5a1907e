// Sums and maxima along one axis. The order of additions depends on the length of the axis alone.
#pragma once

#include "../simd.h"
#include "activations.h"
#include "table.h"

namespace recurra {
namespace {

struct Sum {
    template <class T>
    RECURRA_INLINE T start() {
        return 0;
    }
    template <class V>
    RECURRA_INLINE V join(V a, V b) {
        return a + b;
    }
};

struct Max {
    template <class T>
    RECURRA_INLINE T start() {
        return -static_cast<T>(__builtin_inff());
    }
    template <class V>
    RECURRA_INLINE V join(V a, V b) {
        return kernels::maximum(a, b);
    }
    RECURRA_INLINE float join(float a, float b) { return a != a || a > b ? a : b; }
    RECURRA_INLINE double join(double a, double b) { return a != a || a > b ? a : b; }
};

// Numbers side by side: lanes first, then the lanes in halves.
template <class R, class T>
RECURRA_INLINE T along(const T* in, std::size_t count) {
    constexpr std::size_t lanes = kLanesOf<T>;
    T part[lanes];
    T total = R::template start<T>();
    std::size_t i = 0;
    if (count >= lanes) {
        Vector<T> sum = load(in);
        for (i = lanes; i + lanes <= count; i += lanes) sum = R::join(sum, load(in + i));
        store(part, sum);
        for (std::size_t half = lanes / 2; half > 0; half /= 2)
            for (std::size_t j = 0; j < half; ++j) part[j] = R::join(part[j], part[j + half]);
        total = part[0];
    }
    for (; i < count; ++i) total = R::join(total, in[i]);
    return total;
}

// Numbers at a distance, for as many neighbors as a vector has: four chains of additions, joined at the end,
// are faster than one, and err less.
template <class R, class T, class L>
RECURRA_INLINE Vector<T> across(const T* in, std::size_t count, std::ptrdiff_t step, L read) {
    const Vector<T> none = Vector<T>{} + R::template start<T>();
    Vector<T> part[4] = {none, none, none, none};
    std::size_t c = 0;
    for (; c + 4 <= count; c += 4, in += 4 * step)
        for (int j = 0; j < 4; ++j) part[j] = R::join(part[j], read(in + j * step));
    for (int j = 0; c < count; ++c, ++j, in += step) part[j] = R::join(part[j], read(in));
    return R::join(R::join(part[0], part[1]), R::join(part[2], part[3]));
}

template <class R, class T>
void reduce(const Reduction<T>& red) {
    constexpr std::size_t lanes = kLanesOf<T>;
    for (std::size_t r = 0; r < red.rows; ++r)
        for (std::size_t o = 0; o < red.outer; ++o) {
            const auto row = static_cast<std::ptrdiff_t>(r), at = static_cast<std::ptrdiff_t>(o);
            T* const out = red.out + row * red.out_stride[0] + at * red.out_stride[1];
            const T* const in = red.in + row * red.in_stride[0] + at * red.in_stride[1];
            if (red.n == 1 && red.step == 1) {
                *out = along<R>(in, red.count);
                continue;
            }
            std::size_t i = 0;
            for (; i + lanes <= red.n; i += lanes)
                store(out + i, across<R>(in + i, red.count, red.step, [](const T* from) { return load(from); }));
            const std::size_t rest = red.n - i;
            if (rest > 0)
                store_part(out + i, across<R>(in + i, red.count, red.step,
                                              [rest](const T* from) { return load_part(from, rest); }), rest);
        }
}

}  // namespace
}  // namespace recurra
