// Runs programs: a slice of the rows for each thread, from the first step to the last, without waiting for the
// other ones in between. Where there are fewer rows than threads, all steps before and after time are divided
// among them, and one goes through time.
#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <stdexcept>
#include <vector>

#include "flush.h"
#include "isa.h"
#include "slice.h"
#include "threads.h"

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

template <class T>
const Products<T>& products(const Call&) {
    return kernels<T>().products;
}
template <>
const Products<float>& products<float>(const Call& call) {
    switch (call.arithmetic) {
        case Arithmetic::rounded: return *bfloat16_products().products;
        case Arithmetic::bfloat16: return level().table->bfloat16_weights;
        case Arithmetic::int8: return int8_products();
        default: return kernels<float>().products;
    }
}

// Steps that are timed to see whether threads should share them.
constexpr Steps kTried = 7;

// What a thread throws is thrown here.
template <class F>
void in_parts(std::size_t parts, F function) {
    std::vector<std::exception_ptr> thrown(parts);
    for_each_part(parts, [&](std::size_t part) {
        try {
            function(part);
        } catch (...) {
            thrown[part] = std::current_exception();
        }
    });
    for (const std::exception_ptr& each : thrown)
        if (each != nullptr) std::rethrow_exception(each);
}

template <class T>
class Runner {
public:
    Runner(const Program& program, const Call& call)
        : program_(program),
          call_(call),
          kernel_(kernels<T>()),
          products_(products<T>(call)),
          threads_(call.threads),
          batch_(static_cast<std::size_t>(call.batch)),
          shared_(size(Place::shared)),
          held_(size(Place::held) * batch_),
          held_total_(size(Place::held_total) * batch_),
          totals_(size(Place::total) * threads_),
          all_{program, call_, kernel_, products_, shared_.data(), held_.data(), held_total_.data(), {}, {}} {
        place_totals();
    }

    // What is done once, however many steps there are.
    void prepare() {
        Slice<T>(all_, 0, 0, 0, nullptr).alone(kShared);
        pack();
    }

    const Shared<T>& all() const { return all_; }

    std::size_t batch() const { return batch_; }

    // All steps of the call.
    void run() {
        std::fill_n(held_total_.data(), size(Place::held_total) * batch_, T(0));
        if (batch_ >= threads_)
            in_parts(threads_, [&](std::size_t part) { rows(part); });
        else
            steps();
    }

    // Another call, of as many rows and threads.
    void next(const Call& call) { call_ = call; }

    // Another call, of any rows: no sums are kept of those that were.
    void place(const Call& call) {
        held_ = Block<T>(size(Place::held) * static_cast<std::size_t>(call.batch));
        all_.held = held_.data();
        batch_ = static_cast<std::size_t>(call.batch);
        call_ = call;
    }

    // What is done once, when there are no more steps.
    void finish() {
        add_totals();
        Slice<T>(all_, 0, 0, 0, nullptr).alone(kFinal);
    }

private:
    std::size_t size(Place place) const { return static_cast<std::size_t>(program_.sizes[static_cast<int>(place)]); }

    // The sums of the first thread are those of the call: they lie where they are wanted.
    void place_totals() {
        all_.totals.assign(threads_, std::vector<T*>(program_.buffers.size(), nullptr));
        for (std::size_t b = 0; b < program_.buffers.size(); ++b) {
            const Buffer& buffer = program_.buffers[b];
            if (buffer.place != Place::total) continue;
            for (std::size_t p = 0; p < threads_; ++p)
                all_.totals[p][b] =
                    p == 0 && buffer.target >= 0
                        ? static_cast<T*>(call_.arguments[static_cast<std::size_t>(buffer.target)].data)
                        : totals_.data() + size(Place::total) * p + static_cast<std::size_t>(buffer.offset);
        }
    }

    std::size_t panels(const Matrix& matrix) const {
        return (static_cast<std::size_t>(matrix.width) + kernel_.panel_width - 1) / kernel_.panel_width;
    }

    // Weights are packed at every call: no count of versions says reliably whether they changed.
    void pack() {
        std::vector<std::size_t> begins(1, 0);
        for (const Matrix& matrix : program_.matrices)
            begins.push_back(begins.back() + panels(matrix) * products_.panel(static_cast<std::size_t>(matrix.depth)));
        packed_ = Block<T>(begins.back());
        for (std::size_t m = 0; m < program_.matrices.size(); ++m) all_.packed.push_back(packed_.data() + begins[m]);
        // Small ones are packed sooner than another thread is there.
        const std::size_t parts = begins.back() + size(Place::total) < 16384 ? 1 : threads_;
        for_each_part(parts, [&](std::size_t part) {
            for (std::size_t m = 0; m < program_.matrices.size(); ++m) pack(m, part, parts);
            for (std::size_t p = 0; p < threads_; ++p)
                if (p % parts == part)
                    for (std::size_t b = 0; b < program_.buffers.size(); ++b)
                        if (T* const total = all_.totals[p][b]) std::fill_n(total, program_.buffers[b].size, T(0));
        });
    }

    void pack(std::size_t number, std::size_t part, std::size_t parts) {
        const Matrix& matrix = program_.matrices[number];
        const Buffer& buffer = program_.buffers[static_cast<std::size_t>(matrix.buffer)];
        const T* const from = buffer.place == Place::argument
                                  ? static_cast<const T*>(call_.arguments[static_cast<std::size_t>(matrix.buffer)].data)
                                  : shared_.data() + buffer.offset;
        const auto width = static_cast<std::size_t>(matrix.width), depth = static_cast<std::size_t>(matrix.depth);
        const std::size_t first = panels(matrix) * part / parts * kernel_.panel_width;
        const std::size_t last = std::min(panels(matrix) * (part + 1) / parts * kernel_.panel_width, width);
        if (first >= last) return;
        products_.pack({depth, last - first, from + matrix.offset + static_cast<Stride>(first) * matrix.width_stride,
                      static_cast<Stride>(matrix.depth_stride), static_cast<Stride>(matrix.width_stride),
                      all_.packed[number] + first / kernel_.panel_width * products_.panel(depth)});
    }

    Block<T> chunk_memory(std::int64_t rows) const {
        return Block<T>(size(Place::chunk) * static_cast<std::size_t>(std::min(call_.chunk, call_.time) * rows));
    }

    // Calls run(first step, last step) for the chunks of so many steps, in the order of the call.
    template <class F>
    void chunks(Steps longest, F run) const {
        const Steps size = std::min(call_.chunk, call_.time);
        for (Steps done = 0; done < longest; done += size) {
            if (call_.descending)
                run(std::max<Steps>(longest - done - size, 0), longest - done);
            else
                run(done, std::min(done + size, longest));
        }
    }

    // A slice of the rows, all of its steps.
    void rows(std::size_t part) {
        const std::int64_t first = cut(0, call_.batch, part, threads_);
        const std::int64_t count = cut(0, call_.batch, part + 1, threads_) - first;
        const Block<T> memory = chunk_memory(count);
        Slice<T> slice(all_, part, first, count, memory.data());
        slice.begin();
        chunks(slice.longest(), [&](Steps from, Steps to) {
            slice.chunk(from);
            slice.before(from, to);
            slice.through(from, to);
            slice.after(from, to);
        });
        slice.end();
    }

    // All rows, a part of the steps for each thread. Sums over time for each row are one thread's.
    void steps() {
        const auto& sums = program_.sections[kSums];
        const bool alone = std::any_of(sums.begin(), sums.end(),
                                       [](const Instruction& ins) { return ins.op == Op::time_sum; });
        const std::size_t parts = alone ? 1 : threads_;
        const Block<T> memory = chunk_memory(call_.batch);
        std::vector<Slice<T>> slices;
        slices.reserve(threads_);
        for (std::size_t part = 0; part < threads_; ++part)
            slices.emplace_back(all_, part, 0, call_.batch, memory.data());
        slices[0].begin();
        chunks(slices[0].longest(), [&](Steps from, Steps to) {
            for (Slice<T>& slice : slices) slice.chunk(from);
            in_parts(threads_, [&](std::size_t part) {
                slices[part].before(cut(from, to, part, threads_), cut(from, to, part + 1, threads_));
            });
            through(slices[0], from, to);
            in_parts(parts, [&](std::size_t part) {
                slices[part].after(cut(from, to, part, parts), cut(from, to, part + 1, parts));
            });
        });
        slices[0].end();
    }

    // One thread goes through time; the others stand by for their parts of large products. Whether their help is worth
    // the waiting depends on how far apart the cores are just now: a few steps without it and a few with it tell.
    void through(Slice<T>& slice, Steps from, Steps to) const {
        if (to - from < 4 * kTried || !Slice<T>::shares(program_))
            return in_parts(1, [&](std::size_t) { slice.through(from, to); });
        Crew crew(threads_);
        const auto next = [&](Steps count, std::size_t sharing) {
            slice.share(sharing, &crew);
            const Steps first = call_.descending ? to - count : from;
            slice.through(first, first + count);
            (call_.descending ? to : from) += call_.descending ? -count : count;
        };
        in_parts(threads_, [&](std::size_t part) {
            if (part > 0) return crew.serve(part);
            try {
                const bool worth = usual_time([&] { next(1, 1); }) > usual_time([&] { next(1, threads_); });
                next(to - from, worth ? threads_ : 1);
            } catch (...) {
                crew.close();
                throw;
            }
            crew.close();
        });
        slice.share(1);
    }

    // The median of a few calls.
    template <class F>
    static std::chrono::nanoseconds usual_time(F function) {
        std::chrono::nanoseconds taken[kTried];
        for (std::chrono::nanoseconds& each : taken) {
            const auto begin = std::chrono::steady_clock::now();
            function();
            each = std::chrono::steady_clock::now() - begin;
        }
        std::nth_element(taken, taken + kTried / 2, taken + kTried);
        return taken[kTried / 2];
    }

    void add_totals() {
        if (threads_ == 1 || size(Place::total) == 0) return;
        const std::size_t parts = size(Place::total) < 16384 ? 1 : threads_;
        const auto add = kernel_.elementwise[static_cast<std::size_t>(Op::add)];
        for_each_part(parts, [&](std::size_t part) {
            for (std::size_t b = 0; b < program_.buffers.size(); ++b) {
                T* const to = all_.totals[0][b];
                if (to == nullptr) continue;
                const auto n = static_cast<std::size_t>(program_.buffers[b].size);
                const std::size_t first = n * part / parts, last = n * (part + 1) / parts;
                for (std::size_t p = 1; p < threads_; ++p)
                    add({1, 1, last - first, to + first, {to + first, all_.totals[p][b] + first}, {}, {}, {}});
            }
        });
    }

    const Program& program_;
    Call call_;
    const Kernels<T>& kernel_;
    const Products<T>& products_;
    std::size_t threads_, batch_;
    Block<T> shared_, held_, held_total_, totals_, packed_;
    Shared<T> all_;
};

}  // namespace

template <class T>
void run(const Program& program, const Call& call) {
    check(program, call);
    const Flush flush;
    Runner<T> runner(program, call);
    runner.prepare();
    runner.run();
    runner.finish();
}

namespace {

template <class T>
class WindowsOf final : public Windows {
public:
    WindowsOf(const Program& program, const Call& call)
        : program_(program), threads_(call.threads), batch_(call.batch), runner_(program, call) {
        const Flush flush;
        runner_.prepare();
    }

    void run(const Call& call) override {
        check(program_, call);
        if (call.threads != threads_ || call.batch != batch_)
            throw std::invalid_argument("program: expected windows of as many rows and threads");
        runner_.next(call);
        runner_.run();
    }

    void end() override {
        const Flush flush;
        runner_.finish();
    }

private:
    const Program& program_;
    std::size_t threads_;
    std::int64_t batch_;
    Runner<T> runner_;
};

template <class T>
class StepperOf final : public Stepper {
public:
    StepperOf(const Program& program, const Call& call, std::size_t threads)
        : program_(program), threads_(threads), runner_(program_, call) {
        const Flush flush;
        runner_.prepare();
        slice();
    }

    void begin() override {
        const Flush flush;
        slice_.value().begin();
    }

    void step() override {
        const Flush flush;
        slice_.value().through(0, 1);
    }

    void place(const Call& call) override {
        check(program_, call);
        slice_.reset();
        runner_.place(call);
        slice();
        begin();
    }

private:
    void slice() {
        slice_.emplace(runner_.all(), 0, 0, static_cast<std::int64_t>(runner_.batch()), nullptr);
        slice_->share(threads_);
    }

    const Program program_;
    std::size_t threads_;
    Runner<T> runner_;
    std::optional<Slice<T>> slice_;
};

}  // namespace

std::unique_ptr<Windows> make_windows(const Program& program, bool doubles, const Call& call) {
    check(program, call);
    if (doubles) return std::make_unique<WindowsOf<double>>(program, call);
    return std::make_unique<WindowsOf<float>>(program, call);
}

std::unique_ptr<Stepper> make_stepper(const Program& program, bool doubles, const Call& call, std::size_t threads) {
    for (Section section : {kBefore, kAfter, kSums, kHeldAfter, kFinal})
        if (!program.sections[section].empty())
            throw std::invalid_argument("program: one step has the sections shared, held and through alone");
    if (!program.carries.empty() || program.sizes[static_cast<int>(Place::chunk)] > 0)
        throw std::invalid_argument("program: one step carries nothing and keeps nothing of other steps");
    if (call.time != 1 || call.threads != 1) throw std::invalid_argument("program: expected one step on one thread");
    if (doubles && call.arithmetic != Arithmetic::full)
        throw std::invalid_argument("program: weights of float64 are kept as they are");
    check(program, call);
    std::unique_ptr<Stepper> made;
    if (doubles)
        made = std::make_unique<StepperOf<double>>(program, call, threads);
    else
        made = std::make_unique<StepperOf<float>>(program, call, threads);
    made->begin();
    return made;
}

template void run<float>(const Program&, const Call&);
template void run<double>(const Program&, const Call&);

}  // namespace recurra
