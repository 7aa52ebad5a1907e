// Matrices kept in 8 bits, with AVX512-VNNI. Compiled once, with its flags.
//
// VPDPBUSD adds four products of 8 bits each, of which one factor has no sign. So a number of x, of 16 bits, is two of
// 8: x + 2^15 = 256 h + l. Each takes an instruction, and what the 2^15 brought is taken off at the end: the sum is exact.
#include "quantized.h"

namespace recurra {
namespace {

struct Quads {
    static constexpr std::size_t group = 4, more = 1;
    struct Row {
        std::uint8_t high[kBlockLines], low[kBlockLines];
    };

    static float read(const float* x, std::size_t count, Row& to) {
        alignas(64) std::int16_t whole[kBlockLines];
        const float scale = quantize(x, count, whole);
        for (std::size_t k = count; k % 32 != 0; ++k) whole[k] = 0;
        for (std::size_t k = 0; k < count; k += 32) {
            const __m512i some = _mm512_load_si512(whole + k);
            const __m256i high = _mm512_cvtepi16_epi8(_mm512_srai_epi16(some, 8));
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(to.high + k), _mm256_xor_si256(high, _mm256_set1_epi8(-128)));
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(to.low + k), _mm512_cvtepi16_epi8(some));
        }
        return scale;
    }

    // What 2^15 times a column's sum is, to be taken off.
    static void note(float* to, std::size_t n, std::int32_t sum) {
        const std::int32_t off = -32768 * sum;
        __builtin_memcpy(to + n, &off, sizeof off);
    }

    template <std::size_t ROWS, std::size_t VECTORS>
    RECURRA_INLINE void sums(const float* from, std::size_t apart, std::size_t groups, const Row* x,
                             Ints (&sum)[ROWS][VECTORS]) {
        __m512i high[ROWS][VECTORS], low[ROWS][VECTORS];
        RECURRA_UNROLL
        for (std::size_t m = 0; m < ROWS; ++m)
            RECURRA_UNROLL
            for (std::size_t v = 0; v < VECTORS; ++v) {
                high[m][v] = _mm512_setzero_si512();
                low[m][v] = _mm512_loadu_si512(from + v / 2 * apart + kWide + v % 2 * kLanes);
            }
        for (std::size_t k = 0; k < groups; ++k) {
            __m512i w[VECTORS];
            RECURRA_UNROLL
            for (std::size_t v = 0; v < VECTORS; ++v)
                w[v] = _mm512_loadu_si512(from + v / 2 * apart + (2 + k) * kWide + v % 2 * kLanes);
            RECURRA_UNROLL
            for (std::size_t m = 0; m < ROWS; ++m) {
                std::int32_t upper, lower;
                __builtin_memcpy(&upper, x[m].high + 4 * k, sizeof upper);
                __builtin_memcpy(&lower, x[m].low + 4 * k, sizeof lower);
                RECURRA_UNROLL
                for (std::size_t v = 0; v < VECTORS; ++v) {
                    high[m][v] = _mm512_dpbusd_epi32(high[m][v], _mm512_set1_epi32(upper), w[v]);
                    low[m][v] = _mm512_dpbusd_epi32(low[m][v], _mm512_set1_epi32(lower), w[v]);
                }
            }
        }
        RECURRA_UNROLL
        for (std::size_t m = 0; m < ROWS; ++m)
            RECURRA_UNROLL
            for (std::size_t v = 0; v < VECTORS; ++v)
                sum[m][v] = reinterpret_cast<Ints>(_mm512_add_epi32(_mm512_slli_epi32(high[m][v], 8), low[m][v]));
    }
};

}  // namespace

namespace avx512_vnni {

extern const Products<float> int8;
const Products<float> int8 = kept_as<InInt8<Quads>>;

}  // namespace avx512_vnni

}  // namespace recurra
