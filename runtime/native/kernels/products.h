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

// Bytes of a line of the cache.
constexpr std::size_t kLine = 64;

// A part of the depth: its first line, and one behind its last.
struct Depth {
    std::size_t from, to;
};

// Panels that the tiles after this one read, if they come from a cache further away: this one asks for them.
struct Ahead {
    const char* next = nullptr;
    std::size_t lines = 0;  // lines of the cache that are asked for at each line of the depth

    void ask() {
        for (std::size_t line = 0; line < lines; ++line, next += kLine) __builtin_prefetch(next, 0, 2);
    }
};

// Sums stay in registers where the loops over them are unrolled; GCC spills them else.
#if defined(__clang__)
#define RECURRA_UNROLL _Pragma("unroll")
#else
#define RECURRA_UNROLL _Pragma("GCC unroll 16")
#endif

// ROWS rows and PANELS panels: out = add + x W, or of a later part of the depth out += x W. `block` holds the numbers of
// these rows for each line of that part, `apart` numbers from line to line; null: they are where x is.
template <class T, std::size_t ROWS, std::size_t PANELS>
RECURRA_INLINE void tile(const Product<T>& p, std::size_t row, std::size_t column, Depth d, const T* block,
                         std::ptrdiff_t apart, Ahead& ahead) {
    constexpr std::size_t lanes = kLanesOf<T>, vectors = 2 * PANELS;
    const std::size_t panel = p.depth * kPanel<T>;
    const T* w = p.packed + column / kPanel<T> * panel + d.from * kPanel<T>;
    const Lines<T>& start = d.from == 0 ? p.add : p.out;
    const std::size_t left = p.width - column;
    const bool whole = left >= vectors * lanes;
    Vector<T> sum[ROWS][vectors];
    if (d.from == 0 && !p.adds) {
        RECURRA_UNROLL
        for (std::size_t m = 0; m < ROWS; ++m)
            RECURRA_UNROLL
            for (std::size_t v = 0; v < vectors; ++v) sum[m][v] = Vector<T>{};
    } else if (whole) {
        RECURRA_UNROLL
        for (std::size_t m = 0; m < ROWS; ++m) {
            const T* const from = start[row + m] + column;
            RECURRA_UNROLL
            for (std::size_t v = 0; v < vectors; ++v) sum[m][v] = load(from + v * lanes);
        }
    } else {
        RECURRA_UNROLL
        for (std::size_t m = 0; m < ROWS; ++m)
            RECURRA_UNROLL
            for (std::size_t v = 0; v < vectors; ++v) {
                const std::size_t at = v * lanes;
                const T* const from = start[row + m] + column + at;
                sum[m][v] = at + lanes <= left ? load(from) : at < left ? load_part(from, left - at) : Vector<T>{};
            }
    }
    const auto line = [&](const auto& number) __attribute__((always_inline)) {
        Vector<T> of_w[vectors];
        RECURRA_UNROLL
        for (std::size_t v = 0; v < vectors; ++v) of_w[v] = load(w + v / 2 * panel + v % 2 * lanes);
        RECURRA_UNROLL
        for (std::size_t m = 0; m < ROWS; ++m) {
            const Vector<T> x = splat(number(m));
            RECURRA_UNROLL
            for (std::size_t v = 0; v < vectors; ++v) sum[m][v] = fma(x, of_w[v], sum[m][v]);
        }
        w += kPanel<T>;
    };
    if (block != nullptr) {
        for (std::size_t k = d.from; k < d.to; ++k, block += apart) line([block](std::size_t m) { return block[m]; });
    } else {
        const T* x[ROWS];
        RECURRA_UNROLL
        for (std::size_t m = 0; m < ROWS; ++m) x[m] = p.x[row + m];
        for (std::size_t k = d.from; k < d.to; ++k) {
            ahead.ask();
            line([&x, k](std::size_t m) { return x[m][k]; });
        }
    }
    RECURRA_UNROLL
    for (std::size_t m = 0; m < ROWS; ++m) {
        T* const out = p.out[row + m] + column;
        RECURRA_UNROLL
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

// What a tile reads beside its rows.
template <class T>
struct Tiled {
    std::size_t first, panels;  // column of the first panel, and how many
    Depth depth;
    const T* block;
    std::ptrdiff_t apart;
};

template <class T, std::size_t ROWS, std::size_t PANELS>
RECURRA_INLINE void group(const Product<T>& p, std::size_t row, const Tiled<T>& of, const T* block, Ahead& ahead) {
    std::size_t panel = 0;
    for (; panel + PANELS <= of.panels; panel += PANELS)
        tile<T, ROWS, PANELS>(p, row, of.first + panel * kPanel<T>, of.depth, block, of.apart, ahead);
    if constexpr (PANELS > 1)
        for (; panel < of.panels; ++panel)
            tile<T, ROWS, 1>(p, row, of.first + panel * kPanel<T>, of.depth, block, of.apart, ahead);
}

// Rows `from` to `to` in tiles of nearly one size: a rest of one row would be slow.
template <class T>
RECURRA_INLINE void rows_of(const Product<T>& p, std::size_t from, std::size_t to, const Tiled<T>& of, Ahead& ahead) {
    std::size_t row = from;
    for (std::size_t tiles = (to - from + kMostRows - 1) / kMostRows; tiles > 0; --tiles) {
        const std::size_t size = (to - row) / tiles;
        const T* const block = of.block == nullptr ? nullptr : of.block + (row - from);
        switch (size) {
            case 1: group<T, 1, 4>(p, row, of, block, ahead); break;
#if defined(__AVX512F__)
            case 2: group<T, 2, 4>(p, row, of, block, ahead); break;
            case 3: group<T, 3, 2>(p, row, of, block, ahead); break;
            case 4: group<T, 4, 2>(p, row, of, block, ahead); break;
            case 5: group<T, 5, 2>(p, row, of, block, ahead); break;
            case 6: group<T, 6, 2>(p, row, of, block, ahead); break;
            case 7: group<T, 7, 1>(p, row, of, block, ahead); break;
            default: group<T, 8, 1>(p, row, of, block, ahead); break;
#else
            case 2: group<T, 2, 2>(p, row, of, block, ahead); break;
            case 3: group<T, 3, 1>(p, row, of, block, ahead); break;
            case 4: group<T, 4, 1>(p, row, of, block, ahead); break;
            case 5: group<T, 5, 1>(p, row, of, block, ahead); break;
            default: group<T, 6, 1>(p, row, of, block, ahead); break;
#endif
        }
        row += size;
    }
}

// Lines of a group of panels that stay in the cache from one tile of rows to the next.
constexpr std::size_t kDepth = 768;

// The next part of the depth that starts at `from`: none is much shorter than the others.
template <class T>
RECURRA_INLINE Depth part_of(const Product<T>& p, std::size_t from, std::size_t most) {
    return {from, p.depth - from <= most + most / 2 ? p.depth : from + most};
}

// Of a larger matrix a panel comes from a cache further away. Where that takes longer than to compute with it, a tile of
// rows asks for the next one meanwhile.
constexpr std::size_t kNear = std::size_t{1} << 20;

template <class T>
RECURRA_INLINE void product_ahead(const Product<T>& p) {
    const std::size_t panels = (p.width + kPanel<T> - 1) / kPanel<T>;
    for (std::size_t panel = 0; panel < panels; ++panel)
        for (Depth d{0, 0}; d.to < p.depth;) {
            d = part_of(p, d.to, kDepth);
            const Tiled<T> here{panel * kPanel<T>, 1, d, nullptr, 0};
            const bool last = d.to == p.depth;
            const T* const next = p.packed + (panel + last) * p.depth * kPanel<T> + (last ? 0 : d.to * kPanel<T>);
            Ahead ahead{reinterpret_cast<const char*>(panel + last < panels ? next : p.packed), 0};
            // The lines of the next part, shared by the first two tiles: each asks for half of a line of the panel.
            constexpr std::size_t lines = kPanel<T> * sizeof(T) / kLine;
            std::size_t row = 0;
            for (std::size_t tiles = (p.rows + kMostRows - 1) / kMostRows, left = tiles; left > 0; --left) {
                ahead.lines = tiles == 1 ? lines : left + 2 > tiles ? lines / 2 : 0;
                const std::size_t size = (p.rows - row) / left;
                rows_of(p, row, row + size, here, ahead);
                row += size;
            }
        }
}

template <class T>
RECURRA_INLINE void product_near(const Product<T>& p) {
    const std::size_t panels = (p.width + kPanel<T> - 1) / kPanel<T>;
    for (std::size_t panel = 0; panel < panels; panel += kGroup) {
        const std::size_t here = panels - panel < kGroup ? panels - panel : kGroup;
        for (Depth d{0, 0}; d.to < p.depth;) {
            d = part_of(p, d.to, kDepth);
            Ahead ahead;
            rows_of(p, 0, p.rows, Tiled<T>{panel * kPanel<T>, here, d, nullptr, 0}, ahead);
        }
    }
}

#if defined(__x86_64__)
// Whether asking pays hangs on the machine: a thread times its first large products, some with and some without it, and
// goes on with what was quicker. Both give the same bits.
struct Tried {
    static constexpr unsigned most = 16;
    unsigned count;
    double quickest[2];  // ticks of a multiplication: without, with

    bool asks() const { return count < most ? count % 2 == 1 : 16 * quickest[1] < 15 * quickest[0]; }

    void took(double ticks) {
        double& least = quickest[count++ % 2];
        least = count <= 2 || ticks < least ? ticks : least;
    }
};

template <class T>
void product(const Product<T>& p) {
    if (p.rows < kMostRows || p.depth * p.width * sizeof(T) <= kNear) return product_near(p);
    static thread_local Tried tried;
    const bool asks = tried.asks();
    const unsigned long long begin = tried.count < Tried::most ? __builtin_ia32_rdtsc() : 0;
    asks ? product_ahead(p) : product_near(p);
    if (tried.count < Tried::most)
        tried.took(static_cast<double>(__builtin_ia32_rdtsc() - begin) / static_cast<double>(p.rows * p.depth * p.width));
}
#else
template <class T>
void product(const Product<T>& p) {
    product_near(p);
}
#endif

// Of x turned, the lines of a block of columns lie far apart, each in a page of its own: they are copied once for all
// panels, so many lines at a time, if there are panels enough to pay for it.
constexpr std::size_t kTurnedDepth = 256, kTurnedPanels = 32, kPaying = 2;
template <class T>
constexpr std::size_t kBlock = kLine / sizeof(T);

template <class T>
RECURRA_INLINE void copy_block(const Product<T>& p, std::size_t row, std::size_t rows, Depth d, T* to) {
    constexpr std::size_t wide = kBlock<T>;
    for (std::size_t k = d.from; k < d.to; ++k, to += wide) {
        const T* const from = p.x[k] + row;
        if (rows == wide)
            __builtin_memcpy(to, from, wide * sizeof(T));
        else
            for (std::size_t m = 0; m < rows; ++m) to[m] = from[m];
    }
}

template <class T>
void turned_product(const Product<T>& p) {
    constexpr std::size_t wide = kBlock<T>;
    alignas(kLine) T block[kTurnedDepth * wide];
    const std::size_t panels = (p.width + kPanel<T> - 1) / kPanel<T>;
    Ahead none;
    for (std::size_t panel = 0; panel < panels; panel += kTurnedPanels) {
        const std::size_t here = panels - panel < kTurnedPanels ? panels - panel : kTurnedPanels;
        for (Depth d{0, 0}; d.to < p.depth;) {
            d = Depth{d.to, p.depth - d.to <= kTurnedDepth ? p.depth : d.to + kTurnedDepth};
            for (std::size_t row = 0, rows; row < p.rows; row += rows) {
                rows = p.rows - row < wide ? p.rows - row : wide;
                const T* from = block;
                std::ptrdiff_t apart = wide;
                if (p.x.each == nullptr && here < kPaying) {
                    from = p.x[d.from] + row;
                    apart = p.x.distance;
                } else {
                    copy_block(p, row, rows, d, block);
                }
                // One panel for all tiles of rows, then the next: it stays in the nearest cache.
                for (std::size_t one = 0; one < here; ++one)
                    rows_of(p, row, row + rows, Tiled<T>{(panel + one) * kPanel<T>, 1, d, from, apart}, none);
            }
        }
    }
}

template <class T>
std::size_t panel_of(std::size_t depth) {
    return depth * kPanel<T>;
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
