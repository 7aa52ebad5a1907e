// What an instruction set offers: the kernels that the machine calls.
#pragma once

#include <cstddef>

#include "../ops.h"

namespace recurra {

// A loop nest [rows, outer, n] over an output and up to three operands. Strides are in numbers. Along n an
// operand lies side by side, or is one number for all of them (`single`).
template <class T>
struct Loop {
    std::size_t rows, outer, n;
    T* out;
    const T* in[3];
    std::ptrdiff_t out_stride[2];
    std::ptrdiff_t in_stride[3][2];
    bool single[3];
};

// out[rows, outer, n] = in[rows, outer, n] with any strides: what the other kernels cannot read.
template <class T>
struct Gather {
    std::size_t rows, sizes[4];
    T* out;
    const T* in;
    std::ptrdiff_t out_row, in_row, out_stride[4], in_stride[4];
};

// out[rows, outer, n] from in[rows, outer, count, n]: `count` numbers at distance `step` become one.
template <class T>
struct Reduction {
    std::size_t rows, outer, count, n;
    T* out;
    const T* in;
    std::ptrdiff_t out_stride[2], in_stride[2], step;
};

// Lines of numbers: where each begins, or the first and their distance.
template <class T>
struct Lines {
    T* const* each;  // null: first + m * distance
    T* first;
    std::ptrdiff_t distance;

    T* operator[](std::size_t m) const {
        return each != nullptr ? each[m] : first + static_cast<std::ptrdiff_t>(m) * distance;
    }
};

// out[m] = add[m] + x[m] W for lines m; W [depth, width] is packed. A number of the result is summed from add
// (0 without) in the order of depth, whatever `rows` is.
template <class T>
struct Product {
    std::size_t rows, depth, width;
    Lines<T> x, add, out;
    bool adds;
    const T* packed;
};

// A matrix [depth, width] as panels of `panel_width` columns, the last one filled up with zeros. Each takes as many
// numbers of memory as Products::panel says.
template <class T>
struct Packing {
    std::size_t depth, width;
    const T* from;
    std::ptrdiff_t depth_stride, width_stride;
    T* to;
};

// The same from lines.
template <class T>
struct PackingRows {
    std::size_t depth, width;
    Lines<T> from;
    T* to;
};

// out = a b for each row: [m, k] times [k, n]. A number is summed in the order of k, whatever the other sizes are.
template <class T>
struct Batched {
    std::size_t rows, m, k, n;
    T* out;
    const T *a, *b;
    std::ptrdiff_t out_row, a_row, b_row, out_m, out_n, a_m, a_k, b_k, b_n;
};

// out[total] = 0, then out[l * out_line + i] += in[l * in_line + i] for lines l, i below `width`, for each row.
template <class T>
struct Folding {
    std::size_t rows, lines, width, total;
    T* out;
    const T* in;
    std::ptrdiff_t first, out_row, in_row, out_line, in_line;
};

// Products, and how matrices are packed for them. Where products are of one step alone, only those of x as it is.
template <class T>
struct Products {
    std::size_t (*panel)(std::size_t depth);  // numbers of memory that a panel takes
    void (*product)(const Product<T>&);
    void (*turned_product)(const Product<T>&);  // x[k] holds the numbers that meet line k of W, one for each row
    void (*pack)(const Packing<T>&);
    void (*pack_rows)(const PackingRows<T>&);
};

template <class T>
struct Kernels {
    std::size_t panel_width;
    void (*elementwise[kOpCount])(const Loop<T>&);  // null where an instruction is of another kind
    void (*sum)(const Reduction<T>&);
    void (*max)(const Reduction<T>&);
    void (*gather)(const Gather<T>&);
    Products<T> products;
    void (*batched)(const Batched<T>&);
    void (*fold)(const Folding<T>&);
};

// A kernel allocates nothing, and asks for no alignment beyond that of a number. The output of an elementwise
// one may be one of its operands. A row's result depends on that row alone.
struct KernelTable {
    Kernels<float> floats;
    Kernels<double> doubles;
    Products<float> bfloat16_weights, int8_weights;  // of matrices kept in fewer bits, for a step of few rows
};

// One table for each time that table.cc is compiled; CMakeLists.txt says which levels are built.
namespace baseline {
extern const KernelTable table;
}
namespace avx2 {
extern const KernelTable table;
}
namespace avx512 {
extern const KernelTable table;
}
// What the level avx512 lacks and some of its CPUs have. Panels are as wide as those of the level.
namespace avx512_vnni {
extern const Products<float> int8;  // the same bits in fewer instructions
}
// Of numbers that are rounded to bfloat16 before they are multiplied, and summed in float32.
namespace avx512_bf16 {
extern const Products<float> products;
bool quicker();  // than float32 on this CPU, by a try of some microseconds
}
namespace amx_bf16 {
extern const Products<float> products;
}

}  // namespace recurra
