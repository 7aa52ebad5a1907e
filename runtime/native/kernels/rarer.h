// Functions that steps call now and then: libm's of doubles, number by number, for floats too. Rounded once more, they
// err by half a unit of a float and hardly more, and they are the same on every instruction set.
#pragma once

#include "../simd.h"

namespace recurra {
namespace {

namespace kernels {

#define RECURRA_RARER(V, T, name)                                                                        \
    RECURRA_INLINE V name(V x) {                                                                         \
        for (std::size_t i = 0; i < kLanesOf<T>; ++i) x[i] = static_cast<T>(__builtin_##name(double{x[i]})); \
        return x;                                                                                        \
    }
#define RECURRA_RARER_OF_TWO(V, T, name)                            \
    RECURRA_INLINE V name(V a, V b) {                               \
        for (std::size_t i = 0; i < kLanesOf<T>; ++i)               \
            a[i] = static_cast<T>(__builtin_##name(double{a[i]}, double{b[i]})); \
        return a;                                                   \
    }
#define RECURRA_BOTH(name) RECURRA_RARER(Floats, float, name) RECURRA_RARER(Doubles, double, name)
#define RECURRA_BOTH_OF_TWO(name) \
    RECURRA_RARER_OF_TWO(Floats, float, name) RECURRA_RARER_OF_TWO(Doubles, double, name)
RECURRA_BOTH(trunc)
RECURRA_BOTH(exp2)
RECURRA_BOTH(log2)
RECURRA_BOTH(log10)
RECURRA_BOTH(erfc)
RECURRA_BOTH(tan)
RECURRA_BOTH(asin)
RECURRA_BOTH(acos)
RECURRA_BOTH(atan)
RECURRA_BOTH(sinh)
RECURRA_BOTH(cosh)
RECURRA_BOTH(asinh)
RECURRA_BOTH(acosh)
RECURRA_BOTH(atanh)
RECURRA_BOTH_OF_TWO(fmod)
RECURRA_BOTH_OF_TWO(hypot)
RECURRA_BOTH_OF_TWO(atan2)
#undef RECURRA_BOTH_OF_TWO
#undef RECURRA_BOTH
#undef RECURRA_RARER_OF_TWO
#undef RECURRA_RARER

// To the nearest, of two the even one, as the processor rounds.
RECURRA_INLINE Floats round(Floats x) {
    for (std::size_t i = 0; i < kLanes; ++i) x[i] = __builtin_rintf(x[i]);
    return x;
}
RECURRA_INLINE Doubles round(Doubles x) {
    for (std::size_t i = 0; i < kLanesOf<double>; ++i) x[i] = __builtin_rint(x[i]);
    return x;
}

}  // namespace kernels
}  // namespace
}  // namespace recurra
