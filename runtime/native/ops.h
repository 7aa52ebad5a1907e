// The instruction table of ops.def as C++ values.
#pragma once

#include <cstddef>

namespace recurra {

enum class Op {
#define RECURRA_OP(name, arity, shape, meaning) name,
#include "ops.def"
#undef RECURRA_OP
};

// A row that names a rule which is not listed here does not compile.
enum class Shape { same };

struct Row {
    const char* name;
    int arity;
    Shape shape;
    const char* shape_name;
    const char* meaning;
};

constexpr Row kRows[] = {
#define RECURRA_OP(name, arity, shape, meaning) {#name, arity, Shape::shape, #shape, meaning},
#include "ops.def"
#undef RECURRA_OP
};

constexpr std::size_t kOpCount = sizeof kRows / sizeof kRows[0];

}  // namespace recurra
