// The instruction table of ops.def as C++ values.
#pragma once

#include <cstddef>

namespace recurra {

enum class Op : int {
#define RECURRA_OP(name, arity, kind, meaning) name,
#include "ops.def"
#undef RECURRA_OP
};

// A row that names a kind which is not listed here does not compile.
enum class Kind { elementwise, reduction, product, sum, lookup, batched };

struct Row {
    const char* name;
    int arity;
    Kind kind;
    const char* kind_name;
    const char* meaning;
};

constexpr Row kRows[] = {
#define RECURRA_OP(name, arity, kind, meaning) {#name, arity, Kind::kind, #kind, meaning},
#include "ops.def"
#undef RECURRA_OP
};

constexpr std::size_t kOpCount = sizeof kRows / sizeof kRows[0];

constexpr const Row& row_of(Op op) { return kRows[static_cast<std::size_t>(op)]; }

}  // namespace recurra
