// Floats as doubles: for steps of a float's function whose rounding in float would be seen.
#pragma once

#include "simd.h"

namespace recurra {
namespace {

typedef std::uint64_t WideBits __attribute__((vector_size(kBytes)));

// A vector of floats takes two of doubles, its first half and its second.
struct Wide {
    Doubles first, second;
};

RECURRA_INLINE WideBits bits(Doubles value) { return reinterpret_cast<WideBits>(value); }

RECURRA_INLINE Wide widen(Floats x) {
#if defined(__AVX512F__)
    const __m512 v = reinterpret_cast<__m512>(x);
    return {reinterpret_cast<Doubles>(_mm512_maskz_cvtps_pd(0xff, _mm512_maskz_extractf32x8_ps(0xff, v, 0))),
            reinterpret_cast<Doubles>(_mm512_maskz_cvtps_pd(0xff, _mm512_maskz_extractf32x8_ps(0xff, v, 1)))};
#elif defined(__AVX2__)
    const __m256 v = reinterpret_cast<__m256>(x);
    return {reinterpret_cast<Doubles>(_mm256_cvtps_pd(_mm256_castps256_ps128(v))),
            reinterpret_cast<Doubles>(_mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)))};
#elif defined(__SSE2__)
    const __m128 v = reinterpret_cast<__m128>(x);
    return {reinterpret_cast<Doubles>(_mm_cvtps_pd(v)), reinterpret_cast<Doubles>(_mm_cvtps_pd(_mm_movehl_ps(v, v)))};
#elif defined(__aarch64__)
    const float32x4_t v = reinterpret_cast<float32x4_t>(x);
    return {reinterpret_cast<Doubles>(vcvt_f64_f32(vget_low_f32(v))), reinterpret_cast<Doubles>(vcvt_high_f64_f32(v))};
#else
    Wide wide = {};
    for (std::size_t i = 0; i < kLanes / 2; ++i) {
        wide.first[i] = x[i];
        wide.second[i] = x[i + kLanes / 2];
    }
    return wide;
#endif
}

// Rounds once.
RECURRA_INLINE Floats narrow(Wide wide) {
#if defined(__AVX512F__)
    const __m256 first = _mm512_maskz_cvtpd_ps(0xff, reinterpret_cast<__m512d>(wide.first));
    const __m256 second = _mm512_maskz_cvtpd_ps(0xff, reinterpret_cast<__m512d>(wide.second));
    return reinterpret_cast<Floats>(_mm512_insertf32x8(_mm512_castps256_ps512(first), second, 1));
#elif defined(__AVX2__)
    const __m128 first = _mm256_cvtpd_ps(reinterpret_cast<__m256d>(wide.first));
    const __m128 second = _mm256_cvtpd_ps(reinterpret_cast<__m256d>(wide.second));
    return reinterpret_cast<Floats>(_mm256_insertf128_ps(_mm256_castps128_ps256(first), second, 1));
#elif defined(__SSE2__)
    return reinterpret_cast<Floats>(_mm_movelh_ps(_mm_cvtpd_ps(reinterpret_cast<__m128d>(wide.first)),
                                                  _mm_cvtpd_ps(reinterpret_cast<__m128d>(wide.second))));
#elif defined(__aarch64__)
    return reinterpret_cast<Floats>(vcvt_high_f32_f64(vcvt_f32_f64(reinterpret_cast<float64x2_t>(wide.first)),
                                                      reinterpret_cast<float64x2_t>(wide.second)));
#else
    Floats x = {};
    for (std::size_t i = 0; i < kLanes / 2; ++i) {
        x[i] = static_cast<float>(wide.first[i]);
        x[i + kLanes / 2] = static_cast<float>(wide.second[i]);
    }
    return x;
#endif
}

// A double that, added, rounds to a whole number, found in the low bits of the sum.
constexpr double kWholeShift = 0x1.8p52;

}  // namespace
}  // namespace recurra
