// Dynamic time warping of many pairs of short windows, and what a position's distances amount to.
//
// Computes   D[i][j] = (a[i] - b[j])^2 + min(D[i-1][j], D[i][j-1], D[i-1][j-1]), closed ends, and from
//            it sqrt(D[n-1][m-1]), if asked divided by n + m under the root: krill/signal/src/dtw/scalar.rs
//            is the definition. wide.h has pairs with a
//            long window, coordinate.h and summary.h reduce the distances per window on the device.
// Layout     one block of memory per batch; batch.h has every array, its type and unit. Distances are
//            [reference][query], so that neighbouring threads of a reduction read neighbours.
// Mapping    one pair per lane, one query per warp, 32 candidates of like length in the lanes; a block
//            is one warp. Whichever warp is done takes the next task (one atomic for some hundred
//            microseconds of work); costly ones lie first. No lane ever looks at another's values.
// Registers  8 to 56 rows of the query (in steps of 8) and `left`, the column before, both arrays of
//            constant size. Columns pass by two at a time, so that one's minima wait while the other's
//            run: 128-byte reads of [column][lane], the same for all queries of a task, which stay in
//            L1. No shared memory: no warp needs what another has.
//            A query of more than 56 rows is cut into blocks; the lowest row of one is the `top` of the
//            next, kept in the warp's own part of global memory.
// Limits     windows of 1 to 1,000 samples here; with a longer one the definition sums in double: wide.h.
//            No longest window: memory decides. Samples are finite, or the host throws the results away.
// Numerics   float32, one rounding per cell (fused multiply-add), no contraction beyond that, roots and
//            quotients correctly rounded, denormals kept; sums of reductions in double, one after the
//            other in the order of the processor's path. So every bit equals that path's. All values
//            are >= +0, where floats are ordered as their bits are: on sm_90 and later the minimum of
//            three is one integer instruction.
// Measured   on an H100 (1.98 GHz), three bases, 300 + 300 reads: 6.5e12 useful cells a second in this
//            kernel; 0.77 instructions a cycle and scheduler, 3.26 a cell, no spills, 12 warps each
//            side by side. Registers alone allow 8.3e12. Without asking a step ahead for what comes
//            from memory 6.3e12, with tasks dealt out beforehand 4.4e12; with 32 or 40 rows and 16
//            to 20 warps, or four columns, no more; with two float minima 4.9e12.

#include "batch.h"

#ifdef __CUDACC__
DEVICE float infinity() { return __int_as_float(0x7f800000); }
DEVICE float not_a_number() { return __int_as_float(0x7fc00000); }
DEVICE float least(float a, float b, float c) {
#if __CUDA_ARCH__ >= 900
    return __int_as_float(__vimin3_s32(__float_as_int(a), __float_as_int(b), __float_as_int(c)));
#else
    return fminf(fminf(a, b), c);
#endif
}
DEVICE float fused(float a, float b, float c) { return __fmaf_rn(a, b, c); }
DEVICE double fused(double a, double b, double c) { return __fma_rn(a, b, c); }
DEVICE float root(float a) { return __fsqrt_rn(a); }
DEVICE double root(double a) { return __dsqrt_rn(a); }
DEVICE double sign_of(double a) { return copysign(1.0, a); }
DEVICE float quotient(float a, float b) { return __fdiv_rn(a, b); }
DEVICE double quotient(double a, double b) { return __ddiv_rn(a, b); }
DEVICE u32 bits(float a) { return __float_as_uint(a); }
DEVICE float from_bits(u32 a) { return __uint_as_float(a); }
DEVICE float cached(const float *p) { return __ldg(p); }
DEVICE u32 one_task(u32 *untaken, i64) { return atomicAdd(untaken, 1u); }
DEVICE u32 next_task(u32 *untaken, i64 task) { // of a warp: the same for all lanes
    return __shfl_sync(0xffffffff, threadIdx.x == 0 ? one_task(untaken, task) : 0, 0);
}
#else
DEVICE float infinity() { return __builtin_inff(); }
DEVICE float not_a_number() { return __builtin_nanf(""); }
DEVICE float least(float a, float b, float c) {
    float d = a < b ? a : b;
    return d < c ? d : c;
}
DEVICE float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
DEVICE double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }
DEVICE float root(float a) { return __builtin_sqrtf(a); }
DEVICE double root(double a) { return __builtin_sqrt(a); }
DEVICE double sign_of(double a) { return __builtin_copysign(1.0, a); }
DEVICE float quotient(float a, float b) { return a / b; }
DEVICE double quotient(double a, double b) { return a / b; }
DEVICE u32 bits(float a) { return __builtin_bit_cast(u32, a); }
DEVICE float from_bits(u32 a) { return __builtin_bit_cast(float, a); }
DEVICE float cached(const float *p) { return *p; }
DEVICE u32 one_task(u32 *, i64 task) { return task < 0 ? blockIdx.x : u32(task) + gridDim.x; }
DEVICE u32 next_task(u32 *untaken, i64 task) { return one_task(untaken, task); } // lanes cannot ask together
#endif
DEVICE double least(double a, double b, double c) {
    double d = a < b ? a : b;
    return d < c ? d : c;
}

DEVICE float magnitude(float a) { return a < 0 ? -a : a; }
DEVICE double magnitude(double a) { return a < 0 ? -a : a; }

template <class Real> DEVICE Real cell(Real a, Real b, Real best, const Batch &batch) {
    const Real difference = a - b;
    return batch.absolute ? magnitude(difference) + best : fused(difference, difference, best);
}

// From the sum along a pair's best path.
template <class Real> DEVICE float distance_of(Real sum, u32 both_lengths, const Batch &batch) {
    if (batch.normalised) sum = quotient(sum, Real(both_lengths));
    return float(batch.absolute ? sum : root(sum));
}

// Write a distance to its place, or its two places.
DEVICE void store(float *distances, const Position &position, const Task &task, u32 query, u32 lane_window,
                  float distance) {
    if (task.lanes_are & LANES_ARE_REFERENCES)
        distances[u64(reference_of(position, lane_window)) * position.n_queries + query] = distance;
    if (task.lanes_are & LANES_ARE_QUERIES)
        distances[u64(reference_of(position, query)) * position.n_queries + lane_window] = distance;
}

// A query, and the candidate of this lane.
struct Pair {
    const float *query; // behind infinities
    u32 n_rows;
    const float *columns; // of this lane, every 32nd
    u32 n_columns;        // of the longest lane
    u32 last_column;      // of this lane
    float *top;           // of this lane, every 32nd
};

// One block of ROWS rows, in registers, that begins with row `start` of the query; what lies above is
// the border in the first block, `top` in others. Leaves the lowest row in `top`, or its end in `end`.
// GENERAL: cost and ends as the batch says; otherwise squared and closed.
template <int ROWS, bool GENERAL>
DEVICE void block_of_rows(const Pair &pair, int start, float &end, const Batch &batch) {
    const float infinite = infinity();
    const bool is_first = start <= 0, is_last = start + ROWS == int(pair.n_rows);
    const bool opens = GENERAL && is_first && batch.open_start;
    float rows[ROWS], left[ROWS];
    UNROLL
    for (int r = 0; r < ROWS; ++r) {
        rows[r] = cached(pair.query + start + r); // infinities in front of the first
        left[r] = r + 1 < PADDING && start + r + 1 == 0 ? 0.0f : infinite; // the corner of the matrix
    }
    float corner = start == 0 ? 0.0f : infinite;
    const float *columns = pair.columns;
    float *top = pair.top;
    float next_samples[COLUMNS], next_up[COLUMNS];
    UNROLL
    for (u32 c = 0; c < COLUMNS; ++c) {
        next_samples[c] = cached(columns + c * LANES);
        next_up[c] = is_first ? (opens ? 0.0f : infinite) : top[c * LANES];
    }
    ROLLED
    for (u32 column = 0; column < pair.n_columns; column += COLUMNS) {
        float samples[COLUMNS], up[COLUMNS];
        float diagonal = corner;
        columns += COLUMNS * LANES;
        UNROLL
        for (u32 c = 0; c < COLUMNS; ++c) {
            samples[c] = next_samples[c], up[c] = next_up[c];
            // Asked for a step ahead, as memory is slow; behind the last column lies other memory.
            next_samples[c] = cached(columns + c * LANES);
            if (!is_first) next_up[c] = top[(COLUMNS + c) * LANES];
        }
        corner = up[COLUMNS - 1];
        UNROLL
        for (int r = 0; r < ROWS; ++r) {
            float west = left[r], north_west = diagonal;
            diagonal = west;
            UNROLL
            for (u32 c = 0; c < COLUMNS; ++c) {
                const float best = least(west, north_west, up[c]);
                const float difference = rows[r] - samples[c];
                north_west = up[c];
                west = GENERAL ? cell(rows[r], samples[c], best, batch) : fused(difference, difference, best);
                if (opens && start + r < 0) west = 0.0f; // padding, as the border above
                up[c] = west;
            }
            left[r] = west;
        }
        UNROLL
        for (u32 c = 0; c < COLUMNS; ++c) {
            if (!is_last) top[c * LANES] = up[c];
            if (GENERAL && batch.open_end ? column + c <= pair.last_column : column + c == pair.last_column)
                end = GENERAL ? least(end, up[c], infinite) : up[c];
        }
        top += COLUMNS * LANES;
    }
}

// The last cell of the matrix, or the least of its last row. The first block takes what is more than a
// multiple of the tallest, rounded up to 8 rows: infinite rows above let every query end with a block.
DEVICE float sweep(const Pair &pair, const Batch &batch) {
    float end = infinity();
    const int n_rows = pair.n_rows;
    int height = ((n_rows - 1) % TALLEST + 8) / 8 * 8;
    ROLLED
    for (int start = (n_rows - 1) % TALLEST + 1 - height; start < n_rows; start += height, height = TALLEST) {
        switch (height) { // a constant of the code, so that the rows are registers
        case 8: block_of_rows<8, false>(pair, start, end, batch); break;
        case 16: block_of_rows<16, false>(pair, start, end, batch); break;
        case 24: block_of_rows<24, false>(pair, start, end, batch); break;
        case 32: block_of_rows<32, false>(pair, start, end, batch); break;
        case 40: block_of_rows<40, false>(pair, start, end, batch); break;
        case 48: block_of_rows<48, false>(pair, start, end, batch); break;
        default: block_of_rows<TALLEST, false>(pair, start, end, batch);
        }
    }
    return end;
}

// Any cost and ends, 8 rows at a time: it is seldom asked for, so its code is kept small.
DEVICE float sweep_general(const Pair &pair, const Batch &batch) {
    float end = infinity();
    const int n_rows = pair.n_rows;
    ROLLED
    for (int start = (n_rows - 1) % 8 - 7; start < n_rows; start += 8) {
        end = infinity(); // of the last block alone
        block_of_rows<8, true>(pair, start, end, batch);
    }
    return end;
}

template <bool GENERAL> DEVICE void all_tasks(unsigned char *memory, const Batch &batch) {
    const u32 lane = threadIdx.x;
    const Task *tasks = at<Task>(memory, batch.tasks);
    const Window *windows = at<Window>(memory, batch.windows);
    u32 *untaken = at<u32>(memory, batch.next);
    for (i64 t = next_task(untaken, -1); t < batch.n_tasks; t = next_task(untaken, t)) {
        const Task task = tasks[t];
        const Group group = at<Group>(memory, batch.groups)[task.group];
        const Position position = at<Position>(memory, batch.positions)[task.position];
        const bool is_used = lane < group.n_windows;
#ifndef __CUDACC__
        if (!is_used) continue; // on a device it costs nothing: the warp goes on anyway
#endif
        const u32 length = is_used ? windows[group.first_window + lane].length : 1;
        Pair pair;
        pair.columns = at<float>(memory, batch.columns) + group.columns + lane;
        pair.n_columns = group.width;
        pair.last_column = length - 1;
        pair.top = at<float>(memory, batch.top) + u64(blockIdx.x) * batch.top_width * LANES + lane;
        for (u32 q = 0; q < task.n_queries; ++q) {
            const Window query = windows[task.first_query + q];
            pair.query = at<float>(memory, batch.signal) + query.start;
            pair.n_rows = query.length;
            const float sum = GENERAL ? sweep_general(pair, batch) : sweep(pair, batch);
            const u32 first = position.first_window;
            if (is_used)
                store(at<float>(memory, batch.distances) + position.distances, position, task,
                      task.first_query + q - first, group.first_window + lane - first,
                      distance_of(sum, query.length + length, batch));
        }
    }
}

// Pairs of windows of up to 1,000 samples, squared cost, closed ends.
KERNEL void LAUNCH_BOUNDS(32, 12) dtw_pairs(unsigned char *memory, const Batch batch) {
    all_tasks<false>(memory, batch);
}

// The same for any cost and ends.
KERNEL void LAUNCH_BOUNDS(32, 12) dtw_pairs_general(unsigned char *memory, const Batch batch) {
    all_tasks<true>(memory, batch);
}

// Lay the windows of every group side by side, [column][lane].
KERNEL void dtw_columns(unsigned char *memory, const Batch batch) {
    const u32 lane = threadIdx.x;
    const float *signal = at<float>(memory, batch.signal);
    for (u32 g = blockIdx.x; g < batch.n_groups; g += gridDim.x) {
        const Group group = at<Group>(memory, batch.groups)[g];
        Window window = {0, 0};
        if (lane < group.n_windows) window = at<Window>(memory, batch.windows)[group.first_window + lane];
        float *columns = at<float>(memory, batch.columns) + group.columns + lane;
        for (u32 column = 0; column < group.width; ++column)
            columns[u64(column) * LANES] = column < window.length ? signal[window.start + column] : 0.0f;
    }
}

#include "coordinate.h"
#include "summary.h"
#include "wide.h"
