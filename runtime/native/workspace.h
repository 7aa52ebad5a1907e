// Memory that is kept between calls: a first touch of fresh pages costs more than most instructions.
#pragma once

#include <cstddef>

namespace recurra {

// A block of at least so many bytes, aligned to 64; one that was given back before where it fits.
void* take_block(std::size_t bytes);
void give_block(void* block);

// Bytes that are kept for later, and how many may be. More than that goes back to the system.
std::size_t kept_bytes();
void keep_at_most(std::size_t bytes);

template <class T>
class Block {
public:
    Block() = default;
    explicit Block(std::size_t count) : data_(count ? static_cast<T*>(take_block(count * sizeof(T))) : nullptr) {}
    Block(Block&& other) noexcept : data_(other.data_) { other.data_ = nullptr; }
    Block& operator=(Block&& other) noexcept {
        T* const mine = data_;
        data_ = other.data_;
        other.data_ = mine;
        return *this;
    }
    ~Block() {
        if (data_ != nullptr) give_block(data_);
    }
    T* data() const { return data_; }

private:
    T* data_ = nullptr;
};

}  // namespace recurra
