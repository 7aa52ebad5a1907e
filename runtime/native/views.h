// Where the operands of a slice lie, and what the slices of a call share.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/table.h"
#include "program.h"

namespace recurra {

using Steps = std::int64_t;
using Stride = std::ptrdiff_t;

// Steps [from, to) and, of each, how many of a slice's first rows are alive: live[t - from].
struct Window {
    Steps from, to;
    const std::int64_t* live;

    Steps steps() const { return to - from; }
    bool even() const { return live[0] == live[steps() - 1]; }
};

// An operand in a window: where it is for the first step and the first row. Rows lie at distance `row`, or by
// number where `map` says.
template <class T>
struct View {
    T* at;
    Stride step, row;
    const std::int64_t* map;

    T* line(Steps t, std::int64_t i) const { return at + t * step + (map != nullptr ? map[i] : i) * row; }
};

// What all slices of a call share.
template <class T>
struct Shared {
    const Program& program;
    const Call& call;
    const Kernels<T>& kernel;
    const Products<T>& products;
    T* shared;                            // place `shared`
    T* held;                              // place `held`
    T* held_total;                        // place `held_total`
    std::vector<T*> packed;               // by matrix
    std::vector<std::vector<T*>> totals;  // by thread and buffer
};

}  // namespace recurra
