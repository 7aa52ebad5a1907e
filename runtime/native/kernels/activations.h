// The functions of one vector: what each elementwise instruction computes.
//
// Those of floats that models spend their time in are written out here; maximum errors are given in README.md
// and enforced by the tests on every instruction set. The others, and all of doubles, are libm's, number by
// number.
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

RECURRA_INLINE Floats exp(Floats x) {
    const Floats low = x < -104.0f ? splat(-104.0f) : x;  // rounds to 0
    const Exponential e = exponential(low > 89.0f ? splat(89.0f) : low);  // overflows
    const Bits half = reinterpret_cast<Bits>(reinterpret_cast<Ints>(e.n) >> 1);
    return (e.rest + 1.0f) * power_of_two(half) * power_of_two(e.n - half);
}

RECURRA_INLINE Floats expm1(Floats x) {
    const Floats low = x < -20.0f ? splat(-20.0f) : x;  // rounds to -1
    const Exponential e = exponential(low > 60.0f ? splat(60.0f) : low);
    const Floats power = power_of_two(e.n);
    return x > 60.0f ? exp(x) : fma(power, e.rest, power - 1.0f);
}

// With x = 2^k (1 + f), sqrt(1/2) < 1 + f < sqrt(2), and s = f / (2 + f): log(1 + f) = 2 atanh(s), as a series
// in s that stops where its terms are below 2^-30.
RECURRA_INLINE Floats log(Floats x) {
    const Floats scaled = x < 0x1p-126f ? x * 0x1p23f : x;  // denormals
    const Floats extra = x < 0x1p-126f ? splat(-23.0f) : splat(0.0f);
    // Half of the exponents are taken from one above, so that f is small on both sides of 1.
    const Bits moved = bits(scaled) - 0x3f3504f3u;
    const Floats k = __builtin_convertvector(reinterpret_cast<Ints>(moved) >> 23, Floats) + extra;
    const Floats f = floats((moved & 0x7fffffu) + 0x3f3504f3u) - 1.0f;
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
    const Floats u = x + 1.0f;
    const Floats value = log(u) + (x - (u - 1.0f)) / u;
    return (u == 0.0f) | (u == __builtin_inff()) ? log(u) : value;
}

RECURRA_INLINE Floats abs(Floats x) { return magnitude(x); }
RECURRA_INLINE Doubles abs(Doubles x) { return magnitude(x); }

#define RECURRA_EACH(V, T, name, call)                                       \
    RECURRA_INLINE V name(V x) {                                            \
        for (std::size_t i = 0; i < kLanesOf<T>; ++i) x[i] = call(x[i]); \
        return x;                                                            \
    }
RECURRA_EACH(Floats, float, floor, __builtin_floorf)
RECURRA_EACH(Floats, float, sqrt, __builtin_sqrtf)
RECURRA_EACH(Floats, float, erf, __builtin_erff)
RECURRA_EACH(Floats, float, sin, __builtin_sinf)
RECURRA_EACH(Floats, float, cos, __builtin_cosf)
RECURRA_EACH(Doubles, double, floor, __builtin_floor)
RECURRA_EACH(Doubles, double, sqrt, __builtin_sqrt)
RECURRA_EACH(Doubles, double, erf, __builtin_erf)
RECURRA_EACH(Doubles, double, sin, __builtin_sin)
RECURRA_EACH(Doubles, double, cos, __builtin_cos)
RECURRA_EACH(Doubles, double, exp, __builtin_exp)
RECURRA_EACH(Doubles, double, expm1, __builtin_expm1)
RECURRA_EACH(Doubles, double, log, __builtin_log)
RECURRA_EACH(Doubles, double, log1p, __builtin_log1p)
RECURRA_EACH(Doubles, double, tanh, __builtin_tanh)
#undef RECURRA_EACH

RECURRA_INLINE Doubles sigmoid(Doubles x) {
    const Doubles t = exp(-magnitude(x));
    return (x < 0.0 ? t : splat(1.0)) / (t + 1.0);
}

RECURRA_INLINE Floats pow(Floats a, Floats b) {
    for (std::size_t i = 0; i < kLanesOf<float>; ++i) a[i] = __builtin_powf(a[i], b[i]);
    return a;
}

RECURRA_INLINE Doubles pow(Doubles a, Doubles b) {
    for (std::size_t i = 0; i < kLanesOf<double>; ++i) a[i] = __builtin_pow(a[i], b[i]);
    return a;
}

// What is the same for every type of number.
#define RECURRA_UNARY(name, value) \
    template <class V>             \
    RECURRA_INLINE V name(V x) {   \
        return value;              \
    }
#define RECURRA_BINARY(name, value)   \
    template <class V>                \
    RECURRA_INLINE V name(V a, V b) { \
        return value;                 \
    }
RECURRA_UNARY(copy, x)
RECURRA_UNARY(neg, -x)
RECURRA_UNARY(sign, (x > 0) ? V{} + 1 : (x < 0) ? V{} - 1 : x)  // 0 and NaN stay
RECURRA_UNARY(relu, (x < 0) ? V{} : x)
RECURRA_BINARY(add, a + b)
RECURRA_BINARY(sub, a - b)
RECURRA_BINARY(mul, a * b)
RECURRA_BINARY(div, a / b)
RECURRA_BINARY(maximum, (a != a) ? a : (b > a) | (b != b) ? b : a)
RECURRA_BINARY(minimum, (a != a) ? a : (b < a) | (b != b) ? b : a)
RECURRA_BINARY(gt, (a > b) ? V{} + 1 : V{})
RECURRA_BINARY(ge, (a >= b) ? V{} + 1 : V{})
RECURRA_BINARY(eq, (a == b) ? V{} + 1 : V{})
RECURRA_BINARY(sigmoid_gradient, a * (b * (1 - b)))
RECURRA_BINARY(tanh_gradient, a * (1 - b * b))
#undef RECURRA_UNARY
#undef RECURRA_BINARY

template <class V>
RECURRA_INLINE V where(V a, V b, V c) {
    return (a != 0) ? b : c;
}

using recurra::fma;

}  // namespace kernels
}  // namespace
}  // namespace recurra
