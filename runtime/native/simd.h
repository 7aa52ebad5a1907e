// One vector type per number type and instruction set, and the few operations on it that kernels share.
//
// Everything here lives in an anonymous namespace: this header is compiled once per instruction set with
// different compiler flags, and a function with linkage would let the linker keep the copy that uses the
// widest instructions and hand it to every level. For the same reason no standard header with inline
// functions is included.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace recurra {
namespace {

#if defined(__AVX512F__)
constexpr std::size_t kBytes = 64;
#elif defined(__AVX2__)
constexpr std::size_t kBytes = 32;
#else
constexpr std::size_t kBytes = 16;
#endif

typedef float Floats __attribute__((vector_size(kBytes)));
typedef double Doubles __attribute__((vector_size(kBytes)));
typedef std::int32_t Ints __attribute__((vector_size(kBytes)));
typedef std::uint32_t Bits __attribute__((vector_size(kBytes)));

template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
    using type = Floats;
};
template <>
struct VectorOf<double> {
    using type = Doubles;
};

template <class T>
using Vector = typename VectorOf<T>::type;

// Numbers in a vector.
template <class T>
constexpr std::size_t kLanesOf = kBytes / sizeof(T);
constexpr std::size_t kLanes = kLanesOf<float>;

#define RECURRA_INLINE static inline __attribute__((always_inline))

template <class T>
RECURRA_INLINE Vector<T> load(const T* from) {
    Vector<T> value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
}

template <class V, class T>
RECURRA_INLINE void store(T* to, V value) {
    __builtin_memcpy(to, &value, sizeof value);
}

RECURRA_INLINE Floats splat(float value) { return value - Floats{}; }
RECURRA_INLINE Doubles splat(double value) { return value - Doubles{}; }

// The first `count` numbers, 0 behind them; nothing behind them is read or written.
RECURRA_INLINE Floats load_part(const float* from, std::size_t count) {
#if defined(__AVX512F__)
    return reinterpret_cast<Floats>(_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), from));
#else
    Floats value = {};
    for (std::size_t i = 0; i < count; ++i) value[i] = from[i];
    return value;
#endif
}

RECURRA_INLINE Doubles load_part(const double* from, std::size_t count) {
    Doubles value = {};
    for (std::size_t i = 0; i < count; ++i) value[i] = from[i];
    return value;
}

RECURRA_INLINE void store_part(float* to, Floats value, std::size_t count) {
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1), reinterpret_cast<__m512>(value));
#else
    for (std::size_t i = 0; i < count; ++i) to[i] = value[i];
#endif
}

RECURRA_INLINE void store_part(double* to, Doubles value, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) to[i] = value[i];
}

RECURRA_INLINE Bits bits(Floats value) { return reinterpret_cast<Bits>(value); }

RECURRA_INLINE Floats floats(Bits value) { return reinterpret_cast<Floats>(value); }

// a * b + c, rounded once where the instruction set has it and twice where it has not. Written out because
// -ffp-contract is off: which products are fused must not hang on the compiler.
RECURRA_INLINE Floats fma(Floats a, Floats b, Floats c) {
#if defined(__AVX512F__)
    return reinterpret_cast<Floats>(_mm512_fmadd_ps(
        reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b), reinterpret_cast<__m512>(c)));
#elif defined(__FMA__)
    return reinterpret_cast<Floats>(_mm256_fmadd_ps(
        reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b), reinterpret_cast<__m256>(c)));
#elif defined(__aarch64__)
    return reinterpret_cast<Floats>(
        vfmaq_f32(reinterpret_cast<float32x4_t>(c), reinterpret_cast<float32x4_t>(a),
                  reinterpret_cast<float32x4_t>(b)));
#else
    return a * b + c;
#endif
}

RECURRA_INLINE Doubles fma(Doubles a, Doubles b, Doubles c) {
#if defined(__AVX512F__)
    return reinterpret_cast<Doubles>(_mm512_fmadd_pd(
        reinterpret_cast<__m512d>(a), reinterpret_cast<__m512d>(b), reinterpret_cast<__m512d>(c)));
#elif defined(__FMA__)
    return reinterpret_cast<Doubles>(_mm256_fmadd_pd(
        reinterpret_cast<__m256d>(a), reinterpret_cast<__m256d>(b), reinterpret_cast<__m256d>(c)));
#elif defined(__aarch64__)
    return reinterpret_cast<Doubles>(
        vfmaq_f64(reinterpret_cast<float64x2_t>(c), reinterpret_cast<float64x2_t>(a),
                  reinterpret_cast<float64x2_t>(b)));
#else
    return a * b + c;
#endif
}

// max(x, low) and min(x, high) in one instruction; x where x is NaN. With AVX-512 the forms with a mask of ones
// stand for those without: GCC warns of the operand that the latter leave undefined, and emits the same.
RECURRA_INLINE Floats at_least(float low, Floats x) {
#if defined(__AVX512F__)
    return reinterpret_cast<Floats>(_mm512_maskz_max_ps(0xffff, _mm512_set1_ps(low), reinterpret_cast<__m512>(x)));
#elif defined(__AVX2__)
    return reinterpret_cast<Floats>(_mm256_max_ps(_mm256_set1_ps(low), reinterpret_cast<__m256>(x)));
#elif defined(__SSE2__)
    return reinterpret_cast<Floats>(_mm_max_ps(_mm_set1_ps(low), reinterpret_cast<__m128>(x)));
#else
    return x < low ? splat(low) : x;
#endif
}

RECURRA_INLINE Floats at_most(float high, Floats x) {
#if defined(__AVX512F__)
    return reinterpret_cast<Floats>(_mm512_maskz_min_ps(0xffff, _mm512_set1_ps(high), reinterpret_cast<__m512>(x)));
#elif defined(__AVX2__)
    return reinterpret_cast<Floats>(_mm256_min_ps(_mm256_set1_ps(high), reinterpret_cast<__m256>(x)));
#elif defined(__SSE2__)
    return reinterpret_cast<Floats>(_mm_min_ps(_mm_set1_ps(high), reinterpret_cast<__m128>(x)));
#else
    return x > high ? splat(high) : x;
#endif
}

// Whether a comparison holds for at least one number.
RECURRA_INLINE bool any(Ints comparison) {
#if defined(__AVX512F__)
    return _mm512_movepi32_mask(reinterpret_cast<__m512i>(comparison)) != 0;
#elif defined(__AVX2__)
    return _mm256_movemask_ps(reinterpret_cast<__m256>(comparison)) != 0;
#elif defined(__SSE2__)
    return _mm_movemask_ps(reinterpret_cast<__m128>(comparison)) != 0;
#else
    std::int32_t found = 0;
    for (std::size_t i = 0; i < kLanes; ++i) found |= comparison[i];
    return found != 0;
#endif
}

// |value|, and value with the sign of another; NaN stays NaN.
RECURRA_INLINE Floats magnitude(Floats value) { return floats(bits(value) & 0x7fffffffu); }
RECURRA_INLINE Doubles magnitude(Doubles value) {
    typedef std::uint64_t Wide __attribute__((vector_size(kBytes)));
    return reinterpret_cast<Doubles>(reinterpret_cast<Wide>(value) & 0x7fffffffffffffffu);
}

RECURRA_INLINE Bits sign_bit(Floats value) { return bits(value) & 0x80000000u; }

// A value that is not negative, or has that sign already, with the sign of another.
RECURRA_INLINE Floats with_sign_of(Floats value, Floats sign) { return floats(bits(value) | sign_bit(sign)); }

}  // namespace
}  // namespace recurra
