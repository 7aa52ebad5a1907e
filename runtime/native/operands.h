// Where the operands of a slice are: rows that are alive, memory of its own, and views of both.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "views.h"
#include "workspace.h"

namespace recurra {

template <class T>
class Operands {
public:
    // Rows [first, first + rows) of a call, with the sums of a thread and memory for the steps of a chunk.
    Operands(const Shared<T>& shared, std::size_t thread, std::int64_t first, std::int64_t rows, T* chunk)
        : c_(shared),
          thread_(thread),
          first_(first),
          rows_(rows),
          chunk_(std::min(shared.call.chunk, shared.call.time)),
          window_(std::min(shared.call.window, chunk_)),
          chunk_data_(chunk) {
        const std::int64_t* const lengths = c_.call.lengths;
        longest_ = rows == 0 ? 0 : lengths == nullptr ? c_.call.time : lengths[first];
        alive_ = rows;
        live_.assign(static_cast<std::size_t>(longest_), rows);
        if (lengths != nullptr && rows > 0) {
            const std::int64_t* const mine = lengths + first;
            alive_ = std::lower_bound(mine, mine + rows, 0, std::greater<std::int64_t>()) - mine;
            std::int64_t left = alive_;
            for (Steps t = 0; t < longest_; ++t) {
                while (mine[left - 1] <= t) --left;
                live_[static_cast<std::size_t>(t)] = left;
            }
        }
        step_block_ = Block<T>(size_of(Place::step) * static_cast<std::size_t>(window_ * rows_));
    }

protected:
    std::size_t size_of(Place place) const {
        return static_cast<std::size_t>(c_.program.sizes[static_cast<int>(place)]);
    }

    Window window(Steps from, Steps to) const { return {from, to, live_.data() + from}; }

    std::int64_t live(Steps t) const { return t < longest_ ? live_[static_cast<std::size_t>(t)] : 0; }

    View<T> view(const Operand& operand, Steps t) const {
        const auto index = static_cast<std::size_t>(operand.buffer);
        const Buffer& buffer = c_.program.buffers[index];
        const Stride size = buffer.size, offset = operand.offset;
        switch (buffer.place) {
            case Place::argument: {
                const Argument& argument = c_.call.arguments[index];
                const Steps at = argument.ring ? (t + argument.shift) & 1 : t + argument.shift;
                T* const first = static_cast<T*>(argument.data) + at * argument.step + offset;
                if (argument.mapped && c_.call.order != nullptr)
                    return {first, argument.step, argument.row, c_.call.order + first_};
                return {first + first_ * argument.row, argument.step, argument.row, nullptr};
            }
            case Place::shared: return {c_.shared + buffer.offset + offset, 0, 0, nullptr};
            case Place::held:
                return {c_.held + buffer.offset * c_.call.batch + first_ * size + offset, 0, size, nullptr};
            case Place::held_total:
                return {c_.held_total + buffer.offset * c_.call.batch + first_ * size + offset, 0, size, nullptr};
            case Place::chunk:
                return {chunk_data_ + buffer.offset * chunk_ * rows_ + (t - chunk_from_) * rows_ * size + offset,
                        rows_ * size, size, nullptr};
            case Place::step:
                return {step_block_.data() + buffer.offset * window_ * rows_ + (t - window_from_) * rows_ * size + offset,
                        rows_ * size, size, nullptr};
            case Place::total: return {c_.totals[thread_][index] + offset, 0, 0, nullptr};
        }
        return {nullptr, 0, 0, nullptr};
    }

    // Calls run(t, first row, rows) for stretches of rows that lie at even distances in all views; those of
    // several steps are one stretch where they can be.
    template <class F>
    void stretches(const Window& w, const View<T>* views, int count, F run) const {
        bool mapped = false, flat = w.even();
        for (int v = 0; v < count; ++v) {
            mapped |= views[v].map != nullptr;
            flat &= views[v].step == views[v].row * w.live[0];
        }
        if (mapped) {
            for (Steps t = 0; t < w.steps(); ++t)
                for (std::int64_t i = 0; i < w.live[t]; ++i) run(t, i, std::int64_t{1});
        } else if (flat || w.steps() == 1) {
            run(Steps{0}, std::int64_t{0}, w.live[0] * w.steps());
        } else {
            for (Steps t = 0; t < w.steps(); ++t) run(t, std::int64_t{0}, w.live[t]);
        }
    }

    // Lines of an operand for all rows and steps of a window: at one distance where they are.
    Lines<T> lines(std::vector<T*>& each, const Operand& operand, std::int64_t outer, const Window& w) const {
        const View<T> v = view(operand, w.from);
        const bool near = v.map == nullptr && (outer == 1 || v.row == outer * operand.outer_stride);
        const Stride distance = outer == 1 ? v.row : static_cast<Stride>(operand.outer_stride);
        if (near && (w.steps() == 1 || (w.even() && v.step == v.row * w.live[0]))) return {nullptr, v.at, distance};
        if (near && rows_ == 1 && outer == 1) return {nullptr, v.at, v.step};
        each.clear();
        for (Steps t = 0; t < w.steps(); ++t)
            for (std::int64_t i = 0; i < w.live[t]; ++i) {
                T* const line = v.line(t, i);
                for (std::int64_t o = 0; o < outer; ++o) each.push_back(line + o * operand.outer_stride);
            }
        return {each.data(), nullptr, 0};
    }

    static std::size_t rows_in(const Window& w) {
        std::int64_t total = 0;
        for (Steps t = 0; t < w.steps(); ++t) total += w.live[t];
        return static_cast<std::size_t>(total);
    }

    const Shared<T>& c_;
    std::size_t thread_;
    std::int64_t first_, rows_;
    Steps chunk_, window_;
    Steps longest_ = 0, chunk_from_ = 0, window_from_ = 0;
    std::int64_t alive_ = 0;
    std::vector<std::int64_t> live_;
    T* chunk_data_;
    Block<T> step_block_;
};

}  // namespace recurra
