// Which instruction set this process computes with.
#pragma once

#include <string>
#include <vector>

#include "kernels/table.h"

namespace recurra {

struct Level {
    const char* name;
    bool (*supported)();  // by the CPU and the operating system
    const KernelTable* table;
};

// The levels that were built and that this machine supports, lowest first. Never empty.
std::vector<std::string> isa_levels();

// The level in use: the highest of isa_levels(), or the one that the environment variable RECURRA_ISA names.
// Chosen at the first call and kept. Throws std::invalid_argument, at each call, while RECURRA_ISA names
// another level.
const Level& level();

// Products in bfloat16 that this CPU is quicker at than at those of float32 of the level in use; null where there are none.
struct Bfloat16 {
    const char* name;  // of the instructions: "amx", "avx512", or ""
    const Products<float>* products;
};
const Bfloat16& bfloat16_products();

// Products with weights of 8 bits: those of the level, or the same in this CPU's own instructions.
const Products<float>& int8_products();

}  // namespace recurra
