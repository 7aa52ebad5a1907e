// Runs one instruction over arrays: the door of the core.
#pragma once

#include <cstddef>

#include "ops.h"

namespace recurra {

// op:     a row of ops.def; `inputs` holds as many pointers as its arity says.
// inputs: each [count] floats, contiguous, owned by the caller, read only.
// output: [count] floats, contiguous, owned by the caller. May be one of the inputs; std::invalid_argument if it
//         overlaps one in part.
// Also throws what level() throws.
void run(Op op, const float* const* inputs, float* output, std::size_t count);

}  // namespace recurra
