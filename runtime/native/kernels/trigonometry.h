// sin and cos of floats, in doubles: the distance from a multiple of pi, rounded to a float, would move all
// results of a stretch of x to one side.
#pragma once

#include "../wide.h"

namespace recurra {
namespace {

// Above this the reduction is libm's, number by number.
constexpr float kLargeAngle = 0x1p22f;

// sin x or, where `quarter`, cos x.
//
// x = m pi + r with |r| <= pi / 2 and m = n or n + 1/2, so that sin x = (-1)^n sin r, and cos x = (-1)^n sin -r.
// pi is in two parts, the first of 29 bits: m times it is exact for |m| < 2^23. sin r is a minimax fit (Remez,
// relative error of the sine), 2^-35; one degree less errs by 2^-27.
template <bool quarter>
RECURRA_INLINE Doubles wave(Doubles x) {
    const Doubles turns = fma(x, splat(0x1.45f306dc9c883p-2), splat(quarter ? -0.5 : 0.0));  // 1 / pi
    const Doubles shifted = turns + kWholeShift;
    const Doubles n = shifted - kWholeShift, m = quarter ? n + 0.5 : n;
    Doubles r = fma(m, splat(-0x1.10b4611a62633p-29), fma(m, splat(-0x1.921fb54p+1), x));
    r = reinterpret_cast<Doubles>(bits(r) ^ ((bits(shifted) + std::uint64_t{quarter}) << 63));
    const Doubles z = r * r;
    Doubles p = splat(-0x1.9a686dc0bfbd5p-26);
    p = fma(p, z, splat(0x1.71707f048c21bp-19));
    p = fma(p, z, splat(-0x1.a017d997bd08fp-13));
    p = fma(p, z, splat(0x1.11110c49e7b40p-7));
    p = fma(p, z, splat(-0x1.55555547690a4p-3));
    return fma(r * z, p, r);
}

template <bool quarter>
RECURRA_INLINE Floats wave(Floats x) {
    const Wide wide = widen(x);
    Floats value = narrow({wave<quarter>(wide.first), wave<quarter>(wide.second)});
    if (!quarter) value = x == 0.0f ? x : value;  // -0 stays
    const Ints large = magnitude(x) > kLargeAngle;
    if (any(large))
        for (std::size_t i = 0; i < kLanes; ++i)
            if (large[i]) value[i] = quarter ? __builtin_cosf(x[i]) : __builtin_sinf(x[i]);
    return value;
}

namespace kernels {

RECURRA_INLINE Floats sin(Floats x) { return wave<false>(x); }
RECURRA_INLINE Floats cos(Floats x) { return wave<true>(x); }

}  // namespace kernels
}  // namespace
}  // namespace recurra
