#include "workspace.h"

#include <pthread.h>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>

namespace recurra {
namespace {

constexpr std::size_t kAlign = 64;
constexpr std::size_t kHeader = kAlign;
#if defined(__SANITIZE_ADDRESS__)  // which then sees where a block ends, and when it is given back
constexpr std::size_t kRound = 1, kMost = 0;
#else
constexpr std::size_t kRound = kAlign, kMost = std::size_t{1} << 30;
#endif

struct Kept {
    std::mutex mutex;
    std::multimap<std::size_t, void*> blocks;  // by size, those that nobody uses
    std::size_t bytes = 0, most = kMost;
};

Kept& kept() {
    // Never destroyed: threads may end later. A fork() waits until nobody changes it.
    static Kept* const all = [] {
        pthread_atfork([] { kept().mutex.lock(); }, [] { kept().mutex.unlock(); }, [] { kept().mutex.unlock(); });
        return new Kept;
    }();
    return *all;
}

std::size_t& size_of(void* block) { return *reinterpret_cast<std::size_t*>(static_cast<char*>(block) - kHeader); }

void release(void* block) { std::free(static_cast<char*>(block) - kHeader); }

}  // namespace

void* take_block(std::size_t bytes) {
    if (bytes > PTRDIFF_MAX - 2 * kAlign) throw std::bad_alloc();
    const std::size_t wanted = (bytes + kRound - 1) / kRound * kRound;
    Kept& all = kept();
    {
        std::lock_guard<std::mutex> lock(all.mutex);
        const auto found = all.blocks.lower_bound(wanted);
        if (found != all.blocks.end() && found->first <= 2 * wanted + 4096) {
            void* const block = found->second;
            all.bytes -= found->first;
            all.blocks.erase(found);
            return block;
        }
    }
    void* memory = nullptr;
    if (posix_memalign(&memory, kAlign, kHeader + wanted) != 0) throw std::bad_alloc();
    void* const block = static_cast<char*>(memory) + kHeader;
    size_of(block) = wanted;
    return block;
}

void give_block(void* block) {
    Kept& all = kept();
    std::lock_guard<std::mutex> lock(all.mutex);
    try {
        all.blocks.emplace(size_of(block), block);
    } catch (const std::bad_alloc&) {  // destructors call this
        return release(block);
    }
    all.bytes += size_of(block);
    while (all.bytes > all.most) {
        const auto largest = --all.blocks.end();
        all.bytes -= largest->first;
        release(largest->second);
        all.blocks.erase(largest);
    }
}

std::size_t kept_bytes() {
    std::lock_guard<std::mutex> lock(kept().mutex);
    return kept().bytes;
}

void keep_at_most(std::size_t bytes) {
    Kept& all = kept();
    std::lock_guard<std::mutex> lock(all.mutex);
    all.most = bytes;
    while (all.bytes > all.most) {
        const auto largest = --all.blocks.end();
        all.bytes -= largest->first;
        release(largest->second);
        all.blocks.erase(largest);
    }
}

}  // namespace recurra
