// Powers of floats.
#pragma once

#include "../wide.h"
#include "logarithms.h"

namespace recurra {
namespace {

// (2^k (1 + f))^b = 2^(b (k + log2(1 + f))) in doubles: a digit of the exponent that is lost is one of the power.
//
// With s = f / (2 + f): log2(1 + f) = 2 / ln 2 atanh(s), a minimax fit (Remez) on |s| <= 0.1716, relative error
// 2^-45; of 2^r on |r| <= 1/2, relative error 2^-34.
RECURRA_INLINE Doubles power(Doubles k, Doubles f, Doubles b) {
    const Doubles s = f / (f + 2.0), z = s * s;
    Doubles p = splat(0x1.21b2a6d03563dp-2);
    p = fma(p, z, splat(0x1.47953955556b9p-2));
    p = fma(p, z, splat(0x1.a61a2f6dde41ap-2));
    p = fma(p, z, splat(0x1.2776c29288575p-1));
    p = fma(p, z, splat(0x1.ec709dc53ce55p-1));
    p = fma(p, z, splat(0x1.71547652b8251p+1));
    Doubles y = b * fma(s, p, k);
    y = y < -160.0 ? splat(-160.0) : y > 130.0 ? splat(130.0) : y;  // 0 and infinity
    const Doubles shifted = y + kWholeShift;
    const Doubles r = y - (shifted - kWholeShift);
    Doubles q = splat(0x1.fe1883d07fcaap-17);
    q = fma(q, r, splat(0x1.446a546698c1fp-13));
    q = fma(q, r, splat(0x1.5d8a717af03d0p-10));
    q = fma(q, r, splat(0x1.3b29dc14537e3p-7));
    q = fma(q, r, splat(0x1.c6b08aae555b8p-5));
    q = fma(q, r, splat(0x1.ebfbe0a4f3100p-3));
    q = fma(q, r, splat(0x1.62e42ff116c0ap-1));
    q = fma(q, r, splat(0x1.ffffffffab9acp-1));
    // Times 2^n: n is added to the exponent, which is far from the ends of that of a double.
    return reinterpret_cast<Doubles>(bits(q) + (bits(shifted) << 52));
}

// What C's powf says of bases that are not positive and finite, and of exponents that are not finite. A negative
// base is raised as a positive one; its sign counts where the exponent is odd, and it must be whole.
RECURRA_INLINE Floats special_powers(Floats a, Floats b, Floats value) {
    const Floats size = magnitude(b), inf = splat(__builtin_inff());
    const Ints whole = (size >= 0x1p23f) | ((size + 0x1p23f) - 0x1p23f == size);
    // Above 2^24 every float is even. The conversion of others is not looked at.
    const Ints last = __builtin_convertvector(size < 0x1p24f ? size : splat(0.0f), Ints) << 31;
    const Bits odd = reinterpret_cast<Bits>(whole & last);
    const Floats at_zero = b > 0.0f ? splat(0.0f) : b < 0.0f ? inf : splat(1.0f);
    const Floats unsigned_power = a == 0.0f ? at_zero : value;
    const Floats power = floats(bits(unsigned_power) | (odd & bits(a)));
    value = (a < 0.0f) & ~whole ? splat(__builtin_nanf("")) : power;
    const Ints unusual = ~((magnitude(a) < inf) & (size < inf));
    if (any(unusual))
        for (std::size_t i = 0; i < kLanes; ++i)
            if (unusual[i]) value[i] = __builtin_powf(a[i], b[i]);
    return value;
}

namespace kernels {

RECURRA_INLINE Floats pow(Floats a, Floats b) {
    const auto [k, f] = split(magnitude(a));
    const Wide wide_k = widen(k), wide_f = widen(f), wide_b = widen(b);
    const Floats power = narrow({recurra::power(wide_k.first, wide_f.first, wide_b.first),
                                 recurra::power(wide_k.second, wide_f.second, wide_b.second)});
    const Floats value = b == 2.0f ? a * a : power;  // rounded once
    const Floats inf = splat(__builtin_inff());
    const Ints usual = (a > 0.0f) & (a < inf) & (magnitude(b) < inf);
    return any(~usual) ? special_powers(a, b, value) : value;
}

}  // namespace kernels
}  // namespace
}  // namespace recurra
