// Runs programs: a slice of the rows for each thread, from the first step to the last, without waiting for the
// other ones in between.
#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "isa.h"
#include "program.h"
#include "threads.h"
#include "workspace.h"

namespace recurra {
namespace {

template <class T>
const Kernels<T>& kernels();
template <>
const Kernels<float>& kernels<float>() {
    return level().table->floats;
}
template <>
const Kernels<double>& kernels<double>() {
    return level().table->doubles;
}

using Steps = std::int64_t;
using Stride = std::ptrdiff_t;

// Steps [from, to) and, of each, how many of a slice's first rows are alive.
struct Window {
    Steps from, to;
    const std::int64_t* live;  // live[t - from]

    Steps steps() const { return to - from; }
    bool even() const { return live[0] == live[steps() - 1]; }
    std::int64_t rows() const {
        std::int64_t total = 0;
        for (Steps t = 0; t < steps(); ++t) total += live[t];
        return total;
    }
};

// An operand in a window: where it is for the first step and the first row.
template <class T>
struct View {
    T* at;
    Stride step, row;
    const std::int64_t* map;  // rows by number, or null: they lie at distance `row`

    T* line(Steps t, std::int64_t i) const { return at + t * step + (map != nullptr ? map[i] : i) * row; }
};

// What all threads share in a call.
template <class T>
struct Shared {
    const Program& program;
    const Call& call;
    const Kernels<T>& kernel;
    std::size_t threads;
    T* shared;                      // place `shared`
    T* held;                        // places `held` and `held_total`
    T* held_total;
    std::vector<T*> packed;         // by matrix
    std::vector<std::vector<T*>> totals;  // [thread][buffer]
};

template <class T>
class Slice {
public:
    Slice(Shared<T>& call, std::size_t part)
        : c_(call),
          part_(part),
          first_(call.call.batch * static_cast<std::int64_t>(part) / static_cast<std::int64_t>(call.threads)),
          rows_(call.call.batch * static_cast<std::int64_t>(part + 1) / static_cast<std::int64_t>(call.threads) -
                first_),
          chunk_(std::min(call.call.chunk, call.call.time)),
          window_(std::min(call.call.window, chunk_)) {}

    void run() {
        if (rows_ == 0) return;
        const Call& call = c_.call;
        if (call.lengths == nullptr) {
            longest_ = call.time;
            alive_ = rows_;
        } else {
            const std::int64_t* lengths = call.lengths + first_;
            longest_ = lengths[0];
            alive_ = std::lower_bound(lengths, lengths + rows_, 0, std::greater<std::int64_t>()) - lengths;
        }
        zero_padding();
        for (const Carry& carry : c_.program.carries)
            if (carry.to >= 0)
                for (std::int64_t i = alive_; i < rows_; ++i)
                    copy(carry, view(carry.from, 0), view(carry.to, 0), 0, i);
        if (longest_ == 0) return;
        count_live();
        const std::size_t most = static_cast<std::size_t>(chunk_ * rows_);
        chunk_block_ = Block<T>(static_cast<std::size_t>(size_of(Place::chunk)) * most);
        step_block_ = Block<T>(static_cast<std::size_t>(size_of(Place::step) * window_ * rows_));
        run_held(kHeld);
        const Steps chunks = (longest_ + chunk_ - 1) / chunk_;
        for (Steps c = 0; c < chunks; ++c) {
            if (call.descending) {
                const Steps to = longest_ - c * chunk_;
                run_chunk(std::max<Steps>(to - chunk_, 0), to);
            } else {
                run_chunk(c * chunk_, std::min((c + 1) * chunk_, longest_));
            }
        }
        run_held(kHeldAfter);
    }

    // The sections of what all rows share.
    void run_alone(Section section) {
        static const std::int64_t one = 1;
        rows_ = 1;
        window_ = chunk_ = 1;
        run_section(section, {0, 1, &one});
    }

private:
    std::int64_t size_of(Place place) const { return c_.program.sizes[static_cast<int>(place)]; }

    void count_live() {
        live_.resize(static_cast<std::size_t>(longest_));
        if (c_.call.lengths == nullptr) {
            std::fill(live_.begin(), live_.end(), rows_);
            return;
        }
        std::int64_t rows = alive_;
        for (Steps t = 0; t < longest_; ++t) {
            while (c_.call.lengths[first_ + rows - 1] <= t) --rows;
            live_[static_cast<std::size_t>(t)] = rows;
        }
    }

    Window window(Steps from, Steps to) const { return {from, to, live_.data() + from}; }

    void run_held(Section section) {
        if (!c_.program.sections[section].empty()) run_section(section, {0, 1, &alive_});
    }

    void run_chunk(Steps from, Steps to) {
        chunk_from_ = from;
        windows(kBefore, from, to);
        if (!c_.program.sections[kThrough].empty() || !c_.program.carries.empty()) {
            for (Steps k = from; k < to; ++k) {
                const Steps t = c_.call.descending ? from + to - 1 - k : k;
                begin_rows(t);
                run_section(kThrough, window(t, t + 1));
                end_rows(t);
            }
        }
        windows(kAfter, from, to);
        run_section(kSums, window(from, to));
    }

    void windows(Section section, Steps from, Steps to) {
        if (c_.program.sections[section].empty()) return;
        for (Steps t = from; t < to; t += window_) run_section(section, window(t, std::min(t + window_, to)));
    }

    std::int64_t live(Steps t) const { return t < longest_ ? live_[static_cast<std::size_t>(t)] : 0; }

    void begin_rows(Steps t) {
        if (!c_.call.descending && t > 0) return;
        const std::int64_t from = c_.call.descending ? live(t + 1) : 0;
        for (const Carry& carry : c_.program.carries)
            for (std::int64_t i = from; i < live(t); ++i) copy(carry, view(carry.from, 0), view(carry.in, t), 0, i);
    }

    void end_rows(Steps t) {
        const std::int64_t from = c_.call.descending ? 0 : live(t + 1);
        if (c_.call.descending && t > 0) return;
        for (const Carry& carry : c_.program.carries)
            if (carry.to >= 0)
                for (std::int64_t i = from; i < live(t); ++i) copy(carry, view(carry.out, t), view(carry.to, 0), 0, i);
    }

    void copy(const Carry& carry, const View<T>& from, const View<T>& to, Steps t, std::int64_t i) {
        std::memcpy(to.line(t, i), from.line(t, i), static_cast<std::size_t>(carry.size) * sizeof(T));
    }

    void zero_padding() {
        if (c_.call.lengths == nullptr) return;
        for (int number : c_.program.padded) {
            const View<T> all = view(number, 0);
            const auto size = static_cast<std::size_t>(c_.program.buffers[static_cast<std::size_t>(number)].size);
            for (std::int64_t i = 0; i < rows_; ++i)
                for (Steps t = c_.call.lengths[first_ + i]; t < c_.call.time; ++t)
                    std::memset(all.line(t, i), 0, size * sizeof(T));
        }
    }

    View<T> view(int number, Steps t) const { return view(Operand{number, 0, 0, false}, t); }

    View<T> view(const Operand& operand, Steps t) const {
        const auto index = static_cast<std::size_t>(operand.buffer);
        const Buffer& buffer = c_.program.buffers[index];
        const Stride size = buffer.size, offset = operand.offset;
        switch (buffer.place) {
            case Place::argument: {
                const Argument& argument = c_.call.arguments[index];
                const Steps step = argument.ring ? (t + argument.shift) & 1 : t + argument.shift;
                T* const at = static_cast<T*>(argument.data) + step * argument.step + offset;
                if (argument.mapped && c_.call.order != nullptr)
                    return {at, argument.step, argument.row, c_.call.order + first_};
                return {at + first_ * argument.row, argument.step, argument.row, nullptr};
            }
            case Place::shared:
                return {c_.shared + buffer.offset + offset, 0, 0, nullptr};
            case Place::held:
                return {c_.held + buffer.offset * c_.call.batch + first_ * size + offset, 0, size, nullptr};
            case Place::held_total:
                return {c_.held_total + buffer.offset * c_.call.batch + first_ * size + offset, 0, size, nullptr};
            case Place::chunk:
                return {chunk_block_.data() + buffer.offset * chunk_ * rows_ + (t - chunk_from_) * rows_ * size + offset,
                        rows_ * size, size, nullptr};
            case Place::step:
                return {step_block_.data() + buffer.offset * window_ * rows_ + offset, rows_ * size, size, nullptr};
            case Place::total:
                return {c_.totals[part_][index] + offset, 0, 0, nullptr};
        }
        return {nullptr, 0, 0, nullptr};
    }

    void run_section(Section section, const Window& w) {
        for (const Instruction& instruction : c_.program.sections[section]) {
            switch (row_of(instruction.op).kind) {
                case Kind::elementwise: elementwise(instruction, w); break;
                case Kind::reduction: reduction(instruction, w); break;
                case Kind::product: product(instruction, w); break;
                case Kind::sum: sum(instruction, w); break;
            }
        }
    }

    // Calls run(t, first row, rows, whether rows of all steps are one run of rows) for stretches of rows that
    // lie at even distances in all views.
    template <class F>
    void stretches(const Window& w, const View<T>* views, int count, F run) {
        bool mapped = false, flat = w.even();
        for (int v = 0; v < count; ++v) {
            mapped |= views[v].map != nullptr;
            flat &= views[v].step == views[v].row * w.live[0];
        }
        if (mapped) {
            for (Steps t = 0; t < w.steps(); ++t)
                for (std::int64_t i = 0; i < w.live[t]; ++i) run(t, i, 1);
        } else if (flat || w.steps() == 1) {
            run(0, 0, w.live[0] * w.steps());
        } else {
            for (Steps t = 0; t < w.steps(); ++t) run(t, 0, w.live[t]);
        }
    }

    void elementwise(const Instruction& ins, const Window& w) {
        const int arity = row_of(ins.op).arity;
        View<T> views[4] = {view(ins.out, w.from)};
        for (int k = 0; k < arity; ++k) views[k + 1] = view(ins.in[k], w.from);
        stretches(w, views, arity + 1, [&](Steps t, std::int64_t i, std::int64_t rows) {
            if (ins.step >= 0) return gather(ins, views[0].line(t, i), views[1].line(t, i), views, rows);
            Loop<T> loop{static_cast<std::size_t>(rows), static_cast<std::size_t>(ins.outer),
                         static_cast<std::size_t>(ins.n), views[0].line(t, i), {}, {views[0].row, ins.out.outer_stride},
                         {}, {}};
            for (int k = 0; k < arity; ++k) {
                loop.in[k] = views[k + 1].line(t, i);
                loop.in_stride[k][0] = views[k + 1].row;
                loop.in_stride[k][1] = ins.in[k].outer_stride;
                loop.single[k] = ins.in[k].single;
            }
            join(loop, arity);
            c_.kernel.elementwise[static_cast<std::size_t>(ins.op)](loop);
        });
    }

    // Makes one long line of what lies side by side.
    static void join(Loop<T>& loop, int arity) {
        const auto joins = [&](int axis) {
            const auto n = static_cast<Stride>(loop.n);
            bool yes = loop.out_stride[axis] == n;
            for (int k = 0; k < arity; ++k) yes &= loop.in_stride[k][axis] == (loop.single[k] ? 0 : n);
            return yes;
        };
        if (loop.outer > 1) {
            if (!joins(1)) return;
            loop.n *= loop.outer;
            loop.outer = 1;
        }
        if (loop.rows > 1 && joins(0)) {
            loop.n *= loop.rows;
            loop.rows = 1;
        }
    }

    void gather(const Instruction& ins, T* out, const T* in, const View<T>* views, std::int64_t rows) {
        const Moving& m = c_.program.moves[static_cast<std::size_t>(ins.step)];
        Gather<T> g{static_cast<std::size_t>(rows), {}, out, in, views[0].row, views[1].row, {}, {}};
        for (int a = 0; a < 4; ++a) {
            g.sizes[a] = static_cast<std::size_t>(m.sizes[a]);
            g.out_stride[a] = m.out_stride[a];
            g.in_stride[a] = m.in_stride[a];
        }
        c_.kernel.gather(g);
    }

    void reduction(const Instruction& ins, const Window& w) {
        const View<T> views[2] = {view(ins.out, w.from), view(ins.in[0], w.from)};
        const auto kernel = ins.op == Op::sum ? c_.kernel.sum : c_.kernel.max;
        stretches(w, views, 2, [&](Steps t, std::int64_t i, std::int64_t rows) {
            kernel({static_cast<std::size_t>(rows), static_cast<std::size_t>(ins.outer),
                    static_cast<std::size_t>(ins.count), static_cast<std::size_t>(ins.n), views[0].line(t, i),
                    views[1].line(t, i), {views[0].row, ins.out.outer_stride}, {views[1].row, ins.in[0].outer_stride},
                    ins.step});
        });
    }

    // Where each line of an operand begins, for all rows and steps of a window.
    template <class P>
    void lines(std::vector<P>& to, const Operand& operand, std::int64_t outer, const Window& w) const {
        const View<T> v = view(operand, w.from);
        to.clear();
        for (Steps t = 0; t < w.steps(); ++t)
            for (std::int64_t i = 0; i < w.live[t]; ++i) {
                T* const line = v.line(t, i);
                for (std::int64_t o = 0; o < outer; ++o) to.push_back(line + o * operand.outer_stride);
            }
    }

    void product(const Instruction& ins, const Window& w) {
        lines(x_, ins.in[0], ins.outer, w);
        lines(out_, ins.out, ins.outer, w);
        const bool adds = ins.in[2].buffer >= 0;
        if (adds) lines(add_, ins.in[2], ins.outer, w);
        c_.kernel.product({x_.size(), static_cast<std::size_t>(ins.count), static_cast<std::size_t>(ins.n), x_.data(),
                           adds ? add_.data() : nullptr, out_.data(), c_.packed[static_cast<std::size_t>(ins.step)]});
    }

    void sum(const Instruction& ins, const Window& w) {
        if (ins.op == Op::outer) return outer(ins, w);
        const View<T> from = view(ins.in[0], w.from), to = view(ins.out, 0);
        const auto n = static_cast<std::size_t>(ins.n);
        const auto add = c_.kernel.elementwise[static_cast<std::size_t>(Op::add)];
        if (ins.op == Op::time_sum) {
            for (Steps t = 0; t < w.steps(); ++t) {
                const View<T> views[2] = {to, from};
                stretches({0, 1, w.live + t}, views, 2, [&](Steps, std::int64_t i, std::int64_t rows) {
                    T* const out = to.line(0, i);
                    Loop<T> loop{static_cast<std::size_t>(rows), 1, n, out, {out, from.line(t, i)}, {to.row, 0},
                                 {{to.row, 0}, {from.row, 0}}, {}};
                    join(loop, 2);
                    add(loop);
                });
            }
            return;
        }
        scratch_.resize(n);
        stretches(w, &from, 1, [&](Steps t, std::int64_t i, std::int64_t rows) {
            c_.kernel.sum({1, 1, static_cast<std::size_t>(rows), n, scratch_.data(), from.line(t, i), {}, {}, from.row});
            add({1, 1, n, to.at, {to.at, scratch_.data()}, {}, {}, {}});
        });
    }

    void outer(const Instruction& ins, const Window& w) {
        lines(x_, ins.in[0], ins.outer, w);
        lines(g_, ins.in[1], ins.outer, w);
        const std::size_t depth = x_.size(), height = static_cast<std::size_t>(ins.count);
        const std::size_t width = static_cast<std::size_t>(ins.n), panel = c_.kernel.panel_width;
        const std::size_t wide = (width + panel - 1) / panel * panel;
        turned_.resize(depth * height);
        scratch_.resize(depth * wide);
        c_.kernel.turn({depth, height, x_.data(), turned_.data()});
        c_.kernel.pack_rows({depth, width, g_.data(), scratch_.data()});
        T* const to = view(ins.out, 0).at;
        x_.clear();
        out_.clear();
        for (std::size_t k = 0; k < height; ++k) {
            x_.push_back(turned_.data() + k * depth);
            out_.push_back(to + static_cast<Stride>(k) * ins.out.outer_stride);
        }
        add_.assign(out_.begin(), out_.end());
        c_.kernel.product({height, depth, width, x_.data(), add_.data(), out_.data(), scratch_.data()});
    }

    Shared<T>& c_;
    std::size_t part_;
    std::int64_t first_, rows_;
    Steps chunk_, window_;
    Steps longest_ = 0, chunk_from_ = 0;
    std::int64_t alive_ = 0;
    std::vector<std::int64_t> live_;
    Block<T> chunk_block_, step_block_;
    std::vector<const T*> x_, g_, add_;
    std::vector<T*> out_;
    std::vector<T> scratch_, turned_;
};

}  // namespace

template <class T>
void run(const Program& program, const Call& call) {
    const auto batch = static_cast<std::size_t>(call.batch);
    const std::size_t threads = std::max<std::size_t>(std::min(call.threads, batch), 1);
    const Kernels<T>& kernel = kernels<T>();
    const auto size = [&](Place place) { return static_cast<std::size_t>(program.sizes[static_cast<int>(place)]); };
    Block<T> shared(size(Place::shared)), held(size(Place::held) * batch), held_total(size(Place::held_total) * batch);
    std::fill_n(held_total.data(), size(Place::held_total) * batch, T(0));
    Block<T> totals(size(Place::total) * threads);
    Shared<T> all{program, call, kernel, threads, shared.data(), held.data(), held_total.data(), {}, {}};
    all.totals.assign(threads, std::vector<T*>(program.buffers.size(), nullptr));
    for (std::size_t b = 0; b < program.buffers.size(); ++b) {
        const Buffer& buffer = program.buffers[b];
        if (buffer.place != Place::total) continue;
        for (std::size_t p = 0; p < threads; ++p)
            all.totals[p][b] = p == 0 && buffer.target >= 0
                                   ? static_cast<T*>(call.arguments[static_cast<std::size_t>(buffer.target)].data)
                                   : totals.data() + size(Place::total) * p + static_cast<std::size_t>(buffer.offset);
    }
    Slice<T>(all, 0).run_alone(kShared);
    // Weights are packed at every call: no count of versions says reliably whether they changed.
    std::vector<std::size_t> begins(program.matrices.size() + 1, 0);
    for (std::size_t m = 0; m < program.matrices.size(); ++m) {
        const auto width = static_cast<std::size_t>(program.matrices[m].width);
        const std::size_t wide = (width + kernel.panel_width - 1) / kernel.panel_width * kernel.panel_width;
        begins[m + 1] = begins[m] + wide * static_cast<std::size_t>(program.matrices[m].depth);
    }
    Block<T> packed(begins.back());
    for (std::size_t m = 0; m < program.matrices.size(); ++m) all.packed.push_back(packed.data() + begins[m]);
    for_each_part(threads, [&](std::size_t part) {
        for (std::size_t b = 0; b < program.buffers.size(); ++b)
            if (T* const total = all.totals[part][b]) std::fill_n(total, program.buffers[b].size, T(0));
        for (std::size_t m = 0; m < program.matrices.size(); ++m) {
            const Matrix& matrix = program.matrices[m];
            const Buffer& buffer = program.buffers[static_cast<std::size_t>(matrix.buffer)];
            const T* from = buffer.place == Place::argument
                                ? static_cast<const T*>(call.arguments[static_cast<std::size_t>(matrix.buffer)].data)
                                : shared.data() + buffer.offset;
            // Each thread packs some of the panels.
            const auto width = static_cast<std::size_t>(matrix.width), depth = static_cast<std::size_t>(matrix.depth);
            const std::size_t panels = (width + kernel.panel_width - 1) / kernel.panel_width;
            const std::size_t first = panels * part / threads * kernel.panel_width;
            const std::size_t last = std::min(panels * (part + 1) / threads * kernel.panel_width, width);
            if (first >= last) continue;
            kernel.pack({depth, last - first, from + matrix.offset + static_cast<Stride>(first) * matrix.width_stride,
                         matrix.depth_stride, matrix.width_stride, all.packed[m] + first * depth});
        }
    });
    for_each_part(threads, [&](std::size_t part) { Slice<T>(all, part).run(); });
    if (size(Place::total) > 0) {
        if (threads > 1)
            for_each_part(threads, [&](std::size_t part) {
                const auto add = kernel.elementwise[static_cast<std::size_t>(Op::add)];
                for (std::size_t b = 0; b < program.buffers.size(); ++b) {
                    T* const to = all.totals[0][b];
                    if (to == nullptr) continue;
                    const auto n = static_cast<std::size_t>(program.buffers[b].size);
                    const std::size_t first = n * part / threads, last = n * (part + 1) / threads;
                    for (std::size_t p = 1; p < threads; ++p)
                        add({1, 1, last - first, to + first, {to + first, all.totals[p][b] + first}, {}, {}, {}});
                }
            });
    }
    Slice<T>(all, 0).run_alone(kFinal);
}

template void run<float>(const Program&, const Call&);
template void run<double>(const Program&, const Call&);

}  // namespace recurra
