// Every kernel of one instruction set against plain loops in long double; without Python, so that it runs where a
// cross compiler and an emulator are all there is. scripts/kernels builds and runs it.
//
//     kernels --levels    prints the levels of this build that this CPU has
//     kernels             checks the level in use, which RECURRA_ISA may name
#include <cstdio>
#include <string>

#include "expect.h"

namespace recurra {

int check_kernels() {
    const Level& level = recurra::level();
    check_elementwise(level.table->floats);
    check_elementwise(level.table->doubles);
    check_products(level.table->floats);
    check_products(level.table->doubles);
    check_narrow_products(level);
    std::printf("%s: %s\n", level.name, failures == 0 ? "all kernels are right" : "FAILED");
    return failures;
}

}  // namespace recurra

int check_machine();

int main(int count, char** words) {
    if (count > 1 && std::string(words[1]) == "--levels") {
        for (const std::string& name : recurra::isa_levels()) std::puts(name.c_str());
        return 0;
    }
    return recurra::check_kernels() + check_machine() == 0 ? 0 : 1;
}
