// Runs a function of vectors over whole arrays. An instruction of another arity adds one overload of each.
#pragma once

#include "../simd.h"

namespace recurra {
namespace {

using Unary = Floats (*)(Floats);

constexpr int arity_of(Unary) { return 1; }

// The tail goes through the same vector code on a padded copy: a scalar version would round differently, and
// an element's result would depend on where it stands. Arrays as in Kernel (table.h).
RECURRA_INLINE void for_each_element(Unary function, const float* const* inputs, float* output,
                                     std::size_t count) {
    const float* x = inputs[0];
    const std::size_t whole = count - count % kLanes;
    for (std::size_t i = 0; i < whole; i += kLanes) store(output + i, function(load(x + i)));
    if (whole == count) return;
    const std::size_t tail = (count - whole) * sizeof(float);
    float padded[kLanes] = {};
    __builtin_memcpy(padded, x + whole, tail);
    store(padded, function(load(padded)));
    __builtin_memcpy(output + whole, padded, tail);
}

}  // namespace
}  // namespace recurra
