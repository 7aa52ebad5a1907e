// The functions of one vector: what each elementwise instruction computes.
//
// Those of floats are written out (exponentials.h, logarithms.h, power.h, trigonometry.h), the rarer ones taken from
// libm's of doubles (rarer.h); maximum errors are given in README.md and enforced by the tests on every instruction
// set. Those of doubles are libm's, number by number.
#pragma once

#include "../simd.h"
#include "exponentials.h"
#include "logarithms.h"
#include "power.h"
#include "rarer.h"
#include "trigonometry.h"

namespace recurra {
namespace {

namespace kernels {

RECURRA_INLINE Floats abs(Floats x) { return magnitude(x); }
RECURRA_INLINE Doubles abs(Doubles x) { return magnitude(x); }

#define RECURRA_EACH(V, T, name, call)                                       \
    RECURRA_INLINE V name(V x) {                                            \
        for (std::size_t i = 0; i < kLanesOf<T>; ++i) x[i] = call(x[i]); \
        return x;                                                            \
    }
RECURRA_EACH(Floats, float, floor, __builtin_floorf)
RECURRA_EACH(Floats, float, sqrt, __builtin_sqrtf)
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
RECURRA_UNARY(sign, (x > 0) ? V{} + 1 : (x < 0) ? V{} - 1 : V{})  // of NaN too
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
