// Dynamic time warping of many pairs of short windows, and what a position's distances amount to.
//
// Computes   D[i][j] = (a[i] - b[j])^2 + min(D[i-1][j], D[i][j-1], D[i-1][j-1]), closed ends, and from
//            it sqrt(D[n-1][m-1]), if asked divided by n + m under the root: krill/signal/src/dtw/scalar.rs
//            is the definition. coordinate.h and summary.h reduce the distances per window on the device.
// Layout     one block of memory per batch; batch.h has every array, its type and unit. Distances are
//            [reference][query], so that neighbouring threads of a reduction read neighbours.
// Mapping    one pair per lane, one query per warp, 32 candidates of like length in the lanes; a block
//            is one warp. A warp takes every n-th task; tasks lie costliest first. No lane ever looks at
//            another's values: no barrier, no shuffle, no atomic.
// Registers  8 to 56 rows of the query (in steps of 8) and `left`, the column before, both arrays of
//            constant size. Columns pass by two at a time, so that one's minima wait while the other's
//            run: 128-byte reads of [column][lane], the same for all queries of a task, which stay in
//            L1. No shared memory: no warp needs what another has.
//            A query of more than 56 rows is cut into blocks; the lowest row of one is the `top` of the
//            next, kept in the warp's own part of global memory.
// Limits     windows of 1 to 1,000 samples here; with a longer one the definition sums in double, and
//            so does dtw_pairs_wide. No longest window: memory decides. Samples are finite (checked
//            before).
// Numerics   float32, one rounding per cell (fused multiply-add), no contraction beyond that, roots and
//            quotients correctly rounded, denormals kept; sums of reductions in double, one after the
//            other in the order of the processor's path. So every bit equals that path's. All values
//            are >= +0, where floats are ordered as their bits are: on sm_90 and later the minimum of
//            three is one integer instruction.
// Measured   on no device yet.

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
#endif
DEVICE double least(double a, double b, double c) {
    double d = a < b ? a : b;
    return d < c ? d : c;
}

DEVICE float magnitude(float a) { return a < 0 ? -a : a; }
DEVICE double magnitude(double a) { return a < 0 ? -a : a; }

// A query, and the candidate of this lane.
template <class Real> struct Pair {
    const float *query; // behind infinities
    u32 n_rows;
    const float *columns; // of this lane, every 32nd
    u32 n_columns;        // of the longest lane
    u32 last_column;      // of this lane
    Real *top;            // of this lane, every 32nd
};

template <class Real, bool GENERAL> DEVICE Real cell(Real a, Real b, Real best, const Batch &batch) {
    const Real difference = a - b;
    if (GENERAL && batch.absolute) return magnitude(difference) + best;
    return fused(difference, difference, best);
}

// One block of ROWS rows, in registers, that begins with row `start` of the query; what lies above is
// the border in the first block, `top` in others. Leaves the lowest row in `top`, or its end in `end`.
// GENERAL: cost and ends as the batch says; otherwise squared and closed.
template <class Real, int ROWS, bool GENERAL>
DEVICE void block_of_rows(const Pair<Real> &pair, int start, Real &end, const Batch &batch) {
    const Real infinite = infinity();
    const bool is_first = start <= 0, is_last = start + ROWS == int(pair.n_rows);
    const bool opens = GENERAL && is_first && batch.open_start;
    Real rows[ROWS], left[ROWS];
    UNROLL
    for (int r = 0; r < ROWS; ++r) {
        rows[r] = Real(cached(pair.query + start + r)); // infinities in front of the first
        left[r] = r + 1 < PADDING && start + r + 1 == 0 ? Real(0) : infinite; // the corner of the matrix
    }
    Real corner = start == 0 ? Real(0) : infinite;
    const float *columns = pair.columns;
    Real *top = pair.top;
    ROLLED
    for (u32 column = 0; column < pair.n_columns; column += COLUMNS) {
        Real samples[COLUMNS], up[COLUMNS];
        Real diagonal = corner;
        UNROLL
        for (u32 c = 0; c < COLUMNS; ++c) {
            samples[c] = Real(cached(columns + c * LANES));
            up[c] = opens ? Real(0) : infinite;
            if (!is_first) up[c] = top[c * LANES];
        }
        corner = up[COLUMNS - 1];
        UNROLL
        for (int r = 0; r < ROWS; ++r) {
            Real west = left[r], north_west = diagonal;
            diagonal = west;
            UNROLL
            for (u32 c = 0; c < COLUMNS; ++c) {
                const Real best = least(west, north_west, up[c]);
                north_west = up[c];
                west = cell<Real, GENERAL>(rows[r], samples[c], best, batch);
                if (opens && start + r < 0) west = Real(0); // padding, as the border above
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
        columns += COLUMNS * LANES;
        top += COLUMNS * LANES;
    }
}

// The last cell of the matrix, or the least of its last row. The first block takes what is more than a
// multiple of the tallest, rounded up to 8 rows: infinite rows above let every query end with a block.
DEVICE float sweep_short(const Pair<float> &pair, const Batch &batch) {
    float end = infinity();
    const int n_rows = pair.n_rows;
    int height = ((n_rows - 1) % TALLEST + 8) / 8 * 8;
    ROLLED
    for (int start = (n_rows - 1) % TALLEST + 1 - height; start < n_rows; start += height, height = TALLEST) {
        switch (height) { // a constant of the code, so that the rows are registers
        case 8: block_of_rows<float, 8, false>(pair, start, end, batch); break;
        case 16: block_of_rows<float, 16, false>(pair, start, end, batch); break;
        case 24: block_of_rows<float, 24, false>(pair, start, end, batch); break;
        case 32: block_of_rows<float, 32, false>(pair, start, end, batch); break;
        case 40: block_of_rows<float, 40, false>(pair, start, end, batch); break;
        case 48: block_of_rows<float, 48, false>(pair, start, end, batch); break;
        default: block_of_rows<float, TALLEST, false>(pair, start, end, batch);
        }
    }
    return end;
}

// Any cost and ends, 8 rows at a time: it is seldom asked for, so its code is kept small.
template <class Real> DEVICE Real sweep_general(const Pair<Real> &pair, const Batch &batch) {
    Real end = infinity();
    const int n_rows = pair.n_rows;
    ROLLED
    for (int start = (n_rows - 1) % 8 - 7; start < n_rows; start += 8) {
        end = infinity(); // of the last block alone
        block_of_rows<Real, 8, true>(pair, start, end, batch);
    }
    return end;
}

struct Short {
    typedef float Real;
    static const bool IS_WIDE = false;
    DEVICE float run(const Pair<float> &pair, const Batch &batch) { return sweep_short(pair, batch); }
};
struct General {
    typedef float Real;
    static const bool IS_WIDE = false;
    DEVICE float run(const Pair<float> &pair, const Batch &batch) { return sweep_general(pair, batch); }
};
struct Wide {
    typedef double Real;
    static const bool IS_WIDE = true;
    DEVICE double run(const Pair<double> &pair, const Batch &batch) { return sweep_general(pair, batch); }
};

// Write a distance to its place, or its two places.
DEVICE void store(float *distances, const Position &position, const Task &task, u32 query, u32 lane_window,
                  float distance) {
    if (task.lanes_are & LANES_ARE_REFERENCES)
        distances[u64(reference_of(position, lane_window)) * position.n_queries + query] = distance;
    if (task.lanes_are & LANES_ARE_QUERIES)
        distances[u64(reference_of(position, query)) * position.n_queries + lane_window] = distance;
}

template <class Method> DEVICE void all_tasks(unsigned char *memory, const Batch &batch) {
    typedef typename Method::Real Real;
    const u32 lane = threadIdx.x;
    const Task *tasks = at<Task>(memory, Method::IS_WIDE ? batch.wide_tasks : batch.tasks);
    const u32 n_tasks = Method::IS_WIDE ? batch.n_wide_tasks : batch.n_tasks;
    const u64 top_width = Method::IS_WIDE ? batch.wide_top_width : batch.top_width;
    const Window *windows = at<Window>(memory, batch.windows);
    for (u32 t = blockIdx.x; t < n_tasks; t += gridDim.x) {
        const Task task = tasks[t];
        const Group group = at<Group>(memory, batch.groups)[task.group];
        const Position position = at<Position>(memory, batch.positions)[task.position];
        const bool is_used = lane < group.n_windows;
#ifndef __CUDACC__
        if (!is_used) continue; // on a device it costs nothing: the warp goes on anyway
#endif
        const u32 length = is_used ? windows[group.first_window + lane].length : 1;
        Pair<Real> pair;
        pair.columns = at<float>(memory, batch.columns) + group.columns + lane;
        pair.n_columns = group.width;
        pair.last_column = length - 1;
        pair.top = at<Real>(memory, batch.top) + u64(blockIdx.x) * top_width * LANES + lane;
        for (u32 q = 0; q < task.n_queries; ++q) {
            const Window query = windows[task.first_query + q];
            pair.query = at<float>(memory, batch.signal) + query.start;
            pair.n_rows = query.length;
            Real sum = Method::run(pair, batch);
            if (batch.normalised) sum = quotient(sum, Real(query.length + length));
            const float distance = float(batch.absolute ? sum : root(sum));
            const u32 first = position.first_window;
            if (is_used)
                store(at<float>(memory, batch.distances) + position.distances, position, task,
                      task.first_query + q - first, group.first_window + lane - first, distance);
        }
    }
}

// Pairs of windows of up to 1,000 samples, squared cost, closed ends.
KERNEL void LAUNCH_BOUNDS(32, 12) dtw_pairs(unsigned char *memory, const Batch batch) {
    all_tasks<Short>(memory, batch);
}

// The same for any cost and ends.
KERNEL void LAUNCH_BOUNDS(32, 12) dtw_pairs_general(unsigned char *memory, const Batch batch) {
    all_tasks<General>(memory, batch);
}

// Pairs with a longer window, any cost and ends.
KERNEL void LAUNCH_BOUNDS(32, 12) dtw_pairs_wide(unsigned char *memory, const Batch batch) {
    all_tasks<Wide>(memory, batch);
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
