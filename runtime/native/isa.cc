#include "isa.h"

#if defined(RECURRA_BUILT_AMX_BF16)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cstdlib>
#include <stdexcept>

namespace recurra {
namespace {

// __builtin_cpu_supports also asks whether the operating system saves the wide registers.
constexpr Level kLevels[] = {
    {"baseline", [] { return true; }, &baseline::table},
#if defined(RECURRA_BUILT_AVX2)
    {"avx2", [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }, &avx2::table},
#endif
#if defined(RECURRA_BUILT_AVX512)
    {"avx512",
     [] {
         return __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx512f") &&
                __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                __builtin_cpu_supports("avx512vl");
     },
     &avx512::table},
#endif
};

std::vector<const Level*> usable() {
    std::vector<const Level*> found;
    for (const Level& level : kLevels)
        if (level.supported()) found.push_back(&level);
    return found;
}

const Level& choose() {
    const std::vector<const Level*> levels = usable();
    const char* forced = std::getenv("RECURRA_ISA");
    if (forced == nullptr || *forced == '\0') return *levels.back();
    std::string names;
    for (const Level* level : levels) {
        if (level->name == std::string(forced)) return *level;
        names += (names.empty() ? "" : ", ") + std::string(level->name);
    }
    throw std::invalid_argument("RECURRA_ISA is '" + std::string(forced) +
                                "', but this build on this CPU has " + names +
                                ": set RECURRA_ISA to one of these, or unset it for the highest");
}

}  // namespace

std::vector<std::string> isa_levels() {
    std::vector<std::string> names;
    for (const Level* level : usable()) names.emplace_back(level->name);
    return names;
}

const Level& level() {
    static const Level& chosen = choose();
    return chosen;
}

namespace {

#if defined(RECURRA_BUILT_AMX_BF16)
// Linux lets a process use tiles when it has asked to.
bool tiles_allowed() {
    constexpr long ask = 0x1023, tile_data = 18;
    return syscall(SYS_arch_prctl, ask, tile_data) == 0;
}
#endif

Bfloat16 find_bfloat16() {
#if defined(RECURRA_BUILT_AVX512)
    const bool there = level().table == &avx512::table && __builtin_cpu_supports("avx512bf16");
#if defined(RECURRA_BUILT_AMX_BF16)
    if (there && __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") && tiles_allowed())
        return {"amx", &amx_bf16::products};
#endif
#if defined(RECURRA_BUILT_AVX512_BF16)
    if (there && avx512_bf16::quicker()) return {"avx512", &avx512_bf16::products};
#endif
#endif
    return {"", nullptr};
}

}  // namespace

const Bfloat16& bfloat16_products() {
    static const Bfloat16 found = find_bfloat16();
    return found;
}

const Products<float>& int8_products() {
#if defined(RECURRA_BUILT_AVX512_VNNI)
    static const bool there = level().table == &avx512::table && __builtin_cpu_supports("avx512vnni");
    if (there) return avx512_vnni::int8;
#endif
    return level().table->int8_weights;
}

}  // namespace recurra
