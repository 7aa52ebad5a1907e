// One vector type per instruction set, and the few operations on it that the kernels share.
//
// Everything here lives in an anonymous namespace: this header is compiled once per instruction set with
// different compiler flags, and a function with linkage would let the linker keep the copy that uses the
// widest instructions and hand it to every level. For the same reason no standard header with inline
// functions is included.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__FMA__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace recurra {
namespace {

#if defined(__AVX512F__)
constexpr std::size_t kLanes = 16;
#elif defined(__AVX2__)
constexpr std::size_t kLanes = 8;
#else
constexpr std::size_t kLanes = 4;
#endif

typedef float Floats __attribute__((vector_size(kLanes * sizeof(float))));
typedef std::int32_t Ints __attribute__((vector_size(kLanes * sizeof(float))));
typedef std::uint32_t Bits __attribute__((vector_size(kLanes * sizeof(float))));

#define RECURRA_INLINE static inline __attribute__((always_inline))

RECURRA_INLINE Floats load(const float* from) {
    Floats value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
}

RECURRA_INLINE void store(float* to, Floats value) { __builtin_memcpy(to, &value, sizeof value); }

RECURRA_INLINE Floats splat(float value) { return value - Floats{}; }

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

// |value|, and value with the sign of another; NaN stays NaN.
RECURRA_INLINE Floats magnitude(Floats value) { return floats(bits(value) & 0x7fffffffu); }

RECURRA_INLINE Floats with_sign_of(Floats value, Floats sign) {
    return floats((bits(value) & 0x7fffffffu) | (bits(sign) & 0x80000000u));
}

}  // namespace
}  // namespace recurra
