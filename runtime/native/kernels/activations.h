// tanh and sigmoid of one vector, both from one exponential.
//
// Maximum errors are given in README.md and enforced by the tests on every instruction set.
#pragma once

#include "../simd.h"

namespace recurra {
namespace {

// exp(y) = 2^n (1 + rest), |rest| < 0.42, where `rest` keeps the digits that 1 + rest would round away.
struct Exponential {
    Bits n;       // two's complement
    Floats rest;  // exp(y - n ln 2) - 1
};

// For -104 <= y <= 0, or NaN, which makes `rest` NaN.
//
// The polynomial is a minimax fit (Lawson's iteration, relative error of `rest`) on |r| <= 0.3466. Degree 4
// errs by 0.25 * 2^-24; degree 5 (0.02 * 2^-24) gave the same maxima of tanh and sigmoid and cost 8 % more
// time (avx2); degree 3 errs by 15 * 2^-24.
RECURRA_INLINE Exponential exponential(Floats y) {
    constexpr float kShift = 0x1.8p23f;  // adding it rounds to an integer, found in the low bits of the sum
    const Floats shifted = fma(y, splat(0x1.715476p+0f), splat(kShift));  // 1 / ln 2
    const Floats n = shifted - kShift;
    // ln 2 in two parts, the first of 15 bits: n times it is exact for |n| <= 151, fused or not.
    Floats r = fma(n, splat(-0x1.62e4p-1f), y);
    r = fma(n, splat(-0x1.7f7d1cp-20f), r);
    Floats q = splat(0x1.6c556cp-10f);
    q = fma(q, r, splat(0x1.12236ep-7f));
    q = fma(q, r, splat(0x1.5555bap-5f));
    q = fma(q, r, splat(0x1.5554b8p-3f));
    q = fma(q, r, splat(0.5f));
    return {bits(shifted) - bits(splat(kShift)), fma(r * r, q, r)};
}

// 2^n for -126 <= n <= 127.
RECURRA_INLINE Floats power_of_two(Bits n) { return floats((n + 127u) << 23); }

namespace kernels {

// With m = exp(-2 |x|) - 1: tanh |x| = -m / (m + 2). No branch at small x: there n = 0 and m = rest is exact to
// its last digits, down to the denormals, where m = -2 |x|.
RECURRA_INLINE Floats tanh(Floats x) {
    const Floats y = -2.0f * magnitude(x);
    const Exponential e = exponential(y < -20.0f ? splat(-20.0f) : y);  // tanh(10) rounds to 1
    const Floats power = power_of_two(e.n);
    const Floats m = fma(power, e.rest, power - 1.0f);
    return with_sign_of(m / (m + 2.0f), x);
}

// With t = exp(-|x|) <= 1: 1 / (1 + t) where x >= 0, t / (1 + t) where x < 0.
//
// Correcting the quotient by the digits lost in 1 + t left the maximum at 2 ULP (fewer elements reach it) and
// cost 45 % more time (avx2), so it is not done.
RECURRA_INLINE Floats sigmoid(Floats x) {
    const Floats y = -magnitude(x);
    const Exponential e = exponential(y < -104.0f ? splat(-104.0f) : y);  // exp(-104) rounds to 0
    // 2^n may be below the normal floats: in two factors only the last product rounds to a denormal.
    const Bits half = reinterpret_cast<Bits>(reinterpret_cast<Ints>(e.n) >> 1);
    const Floats t = (e.rest + 1.0f) * power_of_two(half) * power_of_two(e.n - half);
    return (x < 0.0f ? t : splat(1.0f)) / (t + 1.0f);
}

}  // namespace kernels
}  // namespace
}  // namespace recurra
