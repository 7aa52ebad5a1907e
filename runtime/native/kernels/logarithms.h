// log and log1p of floats.
#pragma once

#include "../simd.h"

namespace recurra {
namespace {

// A positive finite x = 2^k (1 + f), sqrt(1/2) < 1 + f < sqrt(2): half of the exponents are taken from one
// above, so that f is small on both sides of 1.
struct Split {
    Floats k, f;
};

RECURRA_INLINE Split split(Floats x) {
    const Floats scaled = x < 0x1p-126f ? x * 0x1p23f : x;  // denormals
    const Floats extra = x < 0x1p-126f ? splat(-23.0f) : splat(0.0f);
    const Bits moved = bits(scaled) - 0x3f3504f3u;
    const Floats k = __builtin_convertvector(reinterpret_cast<Ints>(moved) >> 23, Floats) + extra;
    return {k, floats((moved & 0x7fffffu) + 0x3f3504f3u) - 1.0f};
}

namespace kernels {

// With s = f / (2 + f): log(1 + f) = 2 atanh(s), as a series in s that stops where its terms are below 2^-30.
RECURRA_INLINE Floats log(Floats x) {
    const auto [k, f] = split(x);
    const Floats s = f / (f + 2.0f), z = s * s, half = f * f * 0.5f;
    Floats r = fma(z, splat(2.0f / 11), splat(2.0f / 9));
    r = fma(z, r, splat(2.0f / 7));
    r = fma(z, r, splat(2.0f / 5));
    r = z * fma(z, r, splat(2.0f / 3));
    // ln 2 in two parts; k times the first is exact.
    const Floats low = fma(s, half + r, k * 0x1.7f7d1cp-20f) - half;
    const Floats value = fma(k, splat(0x1.62e4p-1f), low + f);
    const Floats edge = x == 0.0f ? splat(-__builtin_inff()) : splat(__builtin_nanf(""));
    return x > 0.0f ? (x == __builtin_inff() ? x : value) : edge;
}

// log(1 + x) = log(u) + (x - (u - 1)) / u, where u is the rounded 1 + x.
RECURRA_INLINE Floats log1p(Floats x) {
    const Floats u = x + 1.0f, value = log(u);
    const Floats better = value + (x - (u - 1.0f)) / u;
    const Floats inside = ((u == 0.0f) | (u == __builtin_inff())) ? value : better;
    return x == 0.0f ? x : inside;  // -0 stays
}

}  // namespace kernels
}  // namespace
}  // namespace recurra
