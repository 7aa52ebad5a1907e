// Functions of floats that rest on exp: exp, expm1, tanh, sigmoid, erf.
#pragma once

#include "../simd.h"

namespace recurra {
namespace {

// exp(y) = 2^n (1 + rest), |rest| < 0.42, where `rest` keeps the digits that 1 + rest would round away.
struct Exponential {
    Bits n;       // two's complement
    Floats rest;  // exp(y - n ln 2) - 1
};

// For -104 <= y <= 89, or NaN, which makes `rest` NaN.
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

// 2^n (1 + rest). 2^n may be outside the normal floats: in two factors only the last product rounds.
RECURRA_INLINE Floats whole(Exponential e) {
    const Bits half = reinterpret_cast<Bits>(reinterpret_cast<Ints>(e.n) >> 1);
    return (e.rest + 1.0f) * power_of_two(half) * power_of_two(e.n - half);
}

namespace kernels {

RECURRA_INLINE Floats exp(Floats x) {
    return whole(exponential(at_most(89.0f, at_least(-104.0f, x))));  // from infinity to 0
}

// 2^n may be above the floats: then twice 2^(n-1) (1 + rest).
RECURRA_INLINE Floats expm1(Floats x) {
    const Exponential e = exponential(at_most(89.0f, at_least(-20.0f, x)));  // from infinity to -1
    const Bits large = reinterpret_cast<Bits>(x > 88.0f);
    const Floats power = power_of_two(e.n + large);
    const Floats value = fma(power, e.rest, power - 1.0f);
    return with_sign_of(value + floats(bits(value) & large), x);  // -0 stays
}

// With t = exp(-2 |x|) and d = 1 + t: (1 - t) / d where |x| < 0.55, and 1 - 2 t / d above, where rounding d and
// the quotient would be felt more than the difference (0.95 ULP in the mean square instead of 0.29). There is
// no branch at zero: n = 0 and t - 1 = rest is exact to its last digits, down to the denormals, where it is y.
//
// A smaller error below 0.55 (1.9 ULP instead of 2.3), by a product added to (1 - t) / 2, cost 12 % (avx2).
RECURRA_INLINE Floats tanh(Floats x) {
    const Floats y = -2.0f * magnitude(x);
    const Exponential e = exponential(at_least(-20.0f, y));  // tanh(10) rounds to 1
    const Floats power = power_of_two(e.n);
    const auto small = y > -1.1f;
    const Floats u = fma(power, e.rest, small ? power - 1.0f : power);  // t - 1 or t
    const Floats q = u / (u + (small ? splat(2.0f) : splat(1.0f)));
    return with_sign_of(fma(q, small ? splat(-1.0f) : splat(-2.0f), small ? splat(0.0f) : splat(1.0f)), x);
}

// With t = exp(-|x|) <= 1 and q = t / (1 + t): 1 - q where x >= 0, and q = t - t q where x < 0, which feels the
// rounding of 1 + t and of the quotient less than q itself.
RECURRA_INLINE Floats sigmoid(Floats x) {
    const Floats t = whole(exponential(at_least(-104.0f, -magnitude(x))));  // exp(-104) rounds to 0
    const Floats q = t / (t + 1.0f), all = x < 0.0f ? t : splat(1.0f);
    return fma(-q, all, all);
}

// erf |x| = 1 - exp(-g), g = -log(erfc |x|) = |x| p(|x|), and one digit less is lost where the leading term of
// p is multiplied apart: its rest, the constant of the polynomial, keeps the digits that the float has not.
//
// The polynomial is a minimax fit (Remez, relative error of erf) on 0 <= |x| <= 3.94, where erf rounds to 1:
// 0.01 * 2^-24. One degree less errs by 0.07 * 2^-24, with one sign at small x.
RECURRA_INLINE Floats erf(Floats x) {
    const Floats a = at_most(3.94f, magnitude(x));
    Floats p = splat(0x1.317298p-20f);
    p = fma(p, a, splat(-0x1.5caa22p-16f));
    p = fma(p, a, splat(0x1.5a2b96p-13f));
    p = fma(p, a, splat(-0x1.818386p-11f));
    p = fma(p, a, splat(0x1.d5e598p-10f));
    p = fma(p, a, splat(-0x1.04191ep-12f));
    p = fma(p, a, splat(-0x1.3941eap-6f));
    p = fma(p, a, splat(0x1.a4f3eap-4f));
    p = fma(p, a, splat(0x1.45f308p-1f));
    p = fma(p, a, splat(-0x1.fbb0ecp-25f));
    const Floats g = fma(a, splat(0x1.20dd76p+0f), a * p);
    const Exponential e = exponential(-g);
    const Floats power = power_of_two(e.n);
    return with_sign_of(fma(power, -e.rest, 1.0f - power), x);
}

}  // namespace kernels
}  // namespace
}  // namespace recurra
