// Products of numbers that are rounded to bfloat16, in float32's own instructions: no quicker, but the same bits as with
// AVX512-BF16, on each level. What precision costs can so be seen on any CPU.
#pragma once

#include "narrow.h"

namespace recurra {
namespace {

RECURRA_INLINE float in_bfloat16(float value) {
    const std::uint32_t all = InBfloat16::rounded(value) << 16;
    float near;
    __builtin_memcpy(&near, &all, sizeof near);
    return near;
}

struct Rounded {
    // Rows and lines that are copied at a time: block[line * kRows + row].
    static constexpr std::size_t kRows = 16, kLines = 256;

    static void round_panels(float* panels, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) panels[i] = in_bfloat16(panels[i]);
    }

    static std::size_t numbers(std::size_t depth, std::size_t width) {
        return (width + kWide - 1) / kWide * panel_of<float>(depth);
    }

    static void pack(const Packing<float>& p) {
        recurra::pack(p);
        round_panels(p.to, numbers(p.depth, p.width));
    }

    static void pack_rows(const PackingRows<float>& p) {
        recurra::pack_rows(p);
        round_panels(p.to, numbers(p.depth, p.width));
    }

    // number(row, line) of x.
    template <class F>
    RECURRA_INLINE void multiply(const Product<float>& p, F number) {
        float block[kLines * kRows];
        Ahead none;
        for (std::size_t row = 0, rows; row < p.rows; row += rows) {
            rows = p.rows - row < kRows ? p.rows - row : kRows;
            for (Depth d{0, 0}; d.to < p.depth;) {
                d = Depth{d.to, p.depth - d.to <= kLines ? p.depth : d.to + kLines};
                for (std::size_t k = d.from; k < d.to; ++k)
                    for (std::size_t m = 0; m < rows; ++m)
                        block[(k - d.from) * kRows + m] = in_bfloat16(number(row + m, k));
                const std::size_t panels = (p.width + kWide - 1) / kWide;
                rows_of(p, row, row + rows, Tiled<float>{0, panels, d, block, kRows}, none);
            }
        }
    }

    static void product(const Product<float>& p) {
        multiply(p, [&p](std::size_t m, std::size_t k) { return p.x[m][k]; });
    }

    static void turned_product(const Product<float>& p) {
        multiply(p, [&p](std::size_t m, std::size_t k) { return p.x[k][m]; });
    }

    static constexpr Products<float> table = {panel_of<float>, product, turned_product, pack, pack_rows};
};

}  // namespace
}  // namespace recurra
