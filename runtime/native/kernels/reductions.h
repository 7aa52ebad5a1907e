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

template <class R, class T>
void reduce(const Reduction<T>& red) {
    for (std::size_t r = 0; r < red.rows; ++r)
        for (std::size_t o = 0; o < red.outer; ++o) {
            const auto row = static_cast<std::ptrdiff_t>(r), at = static_cast<std::ptrdiff_t>(o);
            T* const out = red.out + row * red.out_stride[0] + at * red.out_stride[1];
            const T* const in = red.in + row * red.in_stride[0] + at * red.in_stride[1];
            if (red.n == 1 && red.step == 1) {
                *out = along<R>(in, red.count);
                continue;
            }
            for (std::size_t i = 0; i < red.n; ++i) out[i] = R::template start<T>();
            for (std::size_t c = 0; c < red.count; ++c) {
                const T* const line = in + static_cast<std::ptrdiff_t>(c) * red.step;
                for (std::size_t i = 0; i < red.n; ++i) out[i] = R::join(out[i], line[i]);
            }
        }
}

}  // namespace
}  // namespace recurra
