// What an instruction set offers: one kernel for each row of ops.def.
#pragma once

#include <cstddef>

#include "../ops.h"

namespace recurra {

// inputs: `arity` arrays of [count] floats, owned by the caller, read only.
// output: [count] floats, owned by the caller, written whole. It may be one of the inputs (in place); it must
//         not overlap one in part. No alignment beyond that of a float is asked for.
// A kernel allocates nothing, and an element's result depends on that element alone: not on its position, on
// `count` or on its neighbors.
using Kernel = void (*)(const float* const* inputs, float* output, std::size_t count);

struct KernelTable {
    Kernel kernels[kOpCount];
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

}  // namespace recurra
