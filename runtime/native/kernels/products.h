// Rows times a packed matrix, in tiles of a few rows and a few vectors that stay in registers.
//
// Each number is one chain of additions over the depth, so its bits do not depend on the tile it falls into.
// Several numbers at once hide the latency of the chain: with few rows a tile takes more columns.
#pragma once

#include "../simd.h"
#include "table.h"

namespace recurra {
namespace {

// A panel is two vectors wide.
template <class T>
constexpr std::size_t kPanel = 2 * kLanesOf<T>;

#if defined(__AVX512F__)
constexpr std::size_t kMostRows = 8;  // of 32 registers: 16 sums, 2 of the matrix
#else
constexpr std::size_t kMostRows = 6;  // of 16 registers: 12 sums, 2 of the matrix, 1 number for all lanes
#endif

// A part of the depth: its first line, and one behind its last.
struct Depth {
    std::size_t from, to;
};

// ROWS rows and PANELS panels: out = add + x W, or of a later part of the depth out += x W. x is TURNED where
// its lines are those of the depth.
template <class T, bool TURNED, std::size_t ROWS, std::size_t PANELS>
RECURRA_INLINE void tile(const Product<T>& p, std::size_t row, std::size_t column, Depth d) {
    constexpr std::size_t lanes = kLanesOf<T>, vectors = 2 * PANELS;
    const std::size_t panel = p.depth * kPanel<T>;
    const T* w = p.packed + column / kPanel<T> * panel + d.from * kPanel<T>;
    const Lines<T>& start = d.from == 0 ? p.add : p.out;
    const std::size_t left = p.width - column;
    const bool whole = left >= vectors * lanes;
    Vector<T> sum[ROWS][vectors];
    const T* x[ROWS];
    if constexpr (!TURNED)
        for (std::size_t m = 0; m < ROWS; ++m) x[m] = p.x[row + m];
    if (d.from == 0 && !p.adds) {
        for (std::size_t m = 0; m < ROWS; ++m)
            for (std::size_t v = 0; v < vectors; ++v) sum[m][v] = Vector<T>{};
    } else if (whole) {
        for (std::size_t m = 0; m < ROWS; ++m)
            for (std::size_t v = 0; v < vectors; ++v) sum[m][v] = load(start[row + m] + column + v * lanes);
    } else {
        for (std::size_t m = 0; m < ROWS; ++m)
            for (std::size_t v = 0; v < vectors; ++v) {
                const std::size_t at = v * lanes;
                const T* const from = start[row + m] + column + at;
                sum[m][v] = at + lanes <= left ? load(from) : at < left ? load_part(from, left - at) : Vector<T>{};
            }
    }
    for (std::size_t k = d.from; k < d.to; ++k, w += kPanel<T>) {
        Vector<T> line[vectors];
        for (std::size_t v = 0; v < vectors; ++v) line[v] = load(w + v / 2 * panel + v % 2 * lanes);
        const T* const across = TURNED ? p.x[k] + row : nullptr;
        for (std::size_t m = 0; m < ROWS; ++m) {
            const Vector<T> number = splat(TURNED ? across[m] : x[m][k]);
            for (std::size_t v = 0; v < vectors; ++v) sum[m][v] = fma(number, line[v], sum[m][v]);
        }
    }
    for (std::size_t m = 0; m < ROWS; ++m) {
        T* const out = p.out[row + m] + column;
        for (std::size_t v = 0; v < vectors; ++v) {
            const std::size_t at = v * lanes;
            if (whole || at + lanes <= left)
                store(out + at, sum[m][v]);
            else if (at < left)
                store_part(out + at, sum[m][v], left - at);
        }
    }
}

// Columns that are taken together: a tile of fewer rows has more panels.
constexpr std::size_t kGroup = 4;

template <class T, bool TURNED, std::size_t ROWS, std::size_t PANELS>
RECURRA_INLINE void group(const Product<T>& p, std::size_t row, std::size_t first, std::size_t panels, Depth d) {
    std::size_t panel = 0;
    for (; panel + PANELS <= panels; panel += PANELS)
        tile<T, TURNED, ROWS, PANELS>(p, row, first + panel * kPanel<T>, d);
    if constexpr (PANELS > 1)
        for (; panel < panels; ++panel) tile<T, TURNED, ROWS, 1>(p, row, first + panel * kPanel<T>, d);
}

template <class T, bool TURNED>
RECURRA_INLINE void rows_of(const Product<T>& p, std::size_t first, std::size_t here, std::size_t tiles, Depth d) {
    std::size_t row = 0;
    for (std::size_t t = 0; t < tiles; ++t) {
        // Tiles of nearly one size: a rest of one row would be slow.
        const std::size_t size = (p.rows - row) / (tiles - t);
        switch (size) {
            case 1: group<T, TURNED, 1, 4>(p, row, first, here, d); break;
#if defined(__AVX512F__)
            case 2: group<T, TURNED, 2, 4>(p, row, first, here, d); break;
            case 3: group<T, TURNED, 3, 2>(p, row, first, here, d); break;
            case 4: group<T, TURNED, 4, 2>(p, row, first, here, d); break;
            case 5: group<T, TURNED, 5, 2>(p, row, first, here, d); break;
            case 6: group<T, TURNED, 6, 2>(p, row, first, here, d); break;
            case 7: group<T, TURNED, 7, 1>(p, row, first, here, d); break;
            default: group<T, TURNED, 8, 1>(p, row, first, here, d); break;
#else
            case 2: group<T, TURNED, 2, 2>(p, row, first, here, d); break;
            case 3: group<T, TURNED, 3, 1>(p, row, first, here, d); break;
            case 4: group<T, TURNED, 4, 1>(p, row, first, here, d); break;
            case 5: group<T, TURNED, 5, 1>(p, row, first, here, d); break;
            default: group<T, TURNED, 6, 1>(p, row, first, here, d); break;
#endif
        }
        row += size;
    }
}

// Lines of a group of panels that stay in the cache from one tile of rows to the next.
constexpr std::size_t kDepth = 768;

template <class T, bool TURNED>
RECURRA_INLINE void all_rows(const Product<T>& p) {
    const std::size_t panels = (p.width + kPanel<T> - 1) / kPanel<T>;
    const std::size_t tiles = (p.rows + kMostRows - 1) / kMostRows;
    for (std::size_t panel = 0; panel < panels; panel += kGroup) {
        const std::size_t here = panels - panel < kGroup ? panels - panel : kGroup;
        const std::size_t first = panel * kPanel<T>;
        for (Depth d{0, 0}; d.to < p.depth; d.from = d.to) {
            d.to = p.depth - d.from <= kDepth + kDepth / 2 ? p.depth : d.from + kDepth;
            rows_of<T, TURNED>(p, first, here, tiles, d);
        }
    }
}

template <class T>
void product(const Product<T>& p) {
    all_rows<T, false>(p);
}

template <class T>
void turned_product(const Product<T>& p) {
    all_rows<T, true>(p);
}

template <class T>
void pack(const Packing<T>& p) {
    for (std::size_t first = 0; first < p.width; first += kPanel<T>) {
        const std::size_t here = p.width - first < kPanel<T> ? p.width - first : kPanel<T>;
        T* const to = p.to + first * p.depth;
        if (p.width_stride == 1) {
            for (std::size_t k = 0; k < p.depth; ++k) {
                const T* const from = p.from + static_cast<std::ptrdiff_t>(k) * p.depth_stride + first;
                for (std::size_t n = 0; n < here; ++n) to[k * kPanel<T> + n] = from[n];
                for (std::size_t n = here; n < kPanel<T>; ++n) to[k * kPanel<T> + n] = 0;
            }
            continue;
        }
        // Along the depth in blocks, so that lines that were read stay in the cache until they are used up.
        constexpr std::size_t block = 16;
        for (std::size_t k0 = 0; k0 < p.depth; k0 += block) {
            const std::size_t stop = p.depth - k0 < block ? p.depth : k0 + block;
            for (std::size_t n = 0; n < here; ++n) {
                const T* const from = p.from + static_cast<std::ptrdiff_t>(first + n) * p.width_stride;
                for (std::size_t k = k0; k < stop; ++k)
                    to[k * kPanel<T> + n] = from[static_cast<std::ptrdiff_t>(k) * p.depth_stride];
            }
            for (std::size_t n = here; n < kPanel<T>; ++n)
                for (std::size_t k = k0; k < stop; ++k) to[k * kPanel<T> + n] = 0;
        }
    }
}

template <class T>
void pack_rows(const PackingRows<T>& p) {
    for (std::size_t first = 0; first < p.width; first += kPanel<T>) {
        const std::size_t here = p.width - first < kPanel<T> ? p.width - first : kPanel<T>;
        T* to = p.to + first * p.depth;
        for (std::size_t k = 0; k < p.depth; ++k, to += kPanel<T>) {
            const T* const from = p.from[k] + first;
            if (here == kPanel<T>) {
                store(to, load(from));
                store(to + kLanesOf<T>, load(from + kLanesOf<T>));
                continue;
            }
            for (std::size_t n = 0; n < here; ++n) to[n] = from[n];
            for (std::size_t n = here; n < kPanel<T>; ++n) to[n] = 0;
        }
    }
}

}  // namespace
}  // namespace recurra
