// Distances of pairs with a window of more than 1,000 samples, summed in double: a polymerase that
// stalled. They are few, but each is long, so 128 threads work on one.
//
// Mapping    a block has one pair. The longer window (the query, if ends are open) lies
//            in the lanes, WIDE_ROWS rows in each; at step s lane t computes column s - t of its rows,
//            for which the lane above left the row above at the step before. A barrier per step, which
//            costs little beside eight cells, each of which waits for the one before.
//            Rows beyond 128 lanes' worth are a further pass, with the lowest row kept in `top`.
// Measured   on an H100, when 32 threads had a pair: 75 ms for one of 7,000 by 7,000 samples, some 750
//            cycles a step; before, with a pair in one lane, five times as long.
// Host       one thread goes through the lanes: within a step none needs another's.

#include "batch.h"

const u32 WIDE_ROWS = 8;
const u32 WIDE_LANES = 128; // threads of a block; see pack.rs

#ifdef __CUDACC__
#define SHARED __shared__
#define STEP_ENDS() __syncthreads()
#define EACH_LANE(t) for (u32 t = threadIdx.x, is_first = 1; is_first; is_first = 0)
const u32 LANES_HELD = 1; // by a thread
#define HELD(t) 0
#else
#define SHARED
#define STEP_ENDS()
#define EACH_LANE(t) for (u32 t = 0; t < WIDE_LANES; ++t)
const u32 LANES_HELD = WIDE_LANES;
#define HELD(t) t
#endif

struct WidePair {
    const float *rows, *columns;
    u32 n_rows, n_columns;
    double *top; // [column]
};

// Rows of a lane and the column before.
struct WideLane {
    double rows[WIDE_ROWS], left[WIDE_ROWS];
    double corner, end;
};

// One column of a lane's rows, which begin with `start`, below `up`; returns the lowest cell.
DEVICE double wide_column(WideLane &lane, const WidePair &pair, u32 start, u32 column, double up,
                          const Batch &batch) {
    const double sample = pair.columns[column];
    const bool may_end = batch.open_end || column + 1 == pair.n_columns;
    double diagonal = lane.corner;
    lane.corner = up;
    UNROLL
    for (u32 r = 0; r < WIDE_ROWS; ++r) {
        const double west = lane.left[r];
        up = cell(lane.rows[r], sample, least(west, diagonal, up), batch);
        diagonal = west;
        lane.left[r] = up;
        if (may_end && start + r + 1 == pair.n_rows) lane.end = up < lane.end ? up : lane.end;
    }
    return up;
}

// The last cell of the matrix, or the least of its last row.
DEVICE double sweep_wide(const WidePair &pair, double (&below)[2][WIDE_LANES], const Batch &batch) {
    const double infinite = infinity();
    WideLane lanes[LANES_HELD];
    EACH_LANE(t) lanes[HELD(t)].end = infinite;
    ROLLED
    for (u32 first = 0; first < pair.n_rows; first += WIDE_LANES * WIDE_ROWS) {
        const u32 n_left = (pair.n_rows - first + WIDE_ROWS - 1) / WIDE_ROWS; // lanes with rows, if so many
        const u32 n_steps = pair.n_columns + (n_left < WIDE_LANES ? n_left : WIDE_LANES) - 1;
        EACH_LANE(t) {
            WideLane &lane = lanes[HELD(t)];
            const u32 start = first + t * WIDE_ROWS;
            lane.corner = start == 0 ? 0.0 : infinite;
            UNROLL
            for (u32 r = 0; r < WIDE_ROWS; ++r) {
                lane.rows[r] = pair.rows[start + r < pair.n_rows ? start + r : pair.n_rows - 1];
                lane.left[r] = infinite;
            }
        }
        ROLLED
        for (u32 step = 0; step < n_steps; ++step) {
            EACH_LANE(t) {
                const u32 start = first + t * WIDE_ROWS, column = step - t; // a large number before the first
                if (column < pair.n_columns && start < pair.n_rows) {
                    double up = batch.open_start ? 0.0 : infinite;
                    if (t > 0) up = below[(step + 1) % 2][t - 1];
                    else if (first > 0) up = pair.top[column];
                    up = wide_column(lanes[HELD(t)], pair, start, column, up, batch);
                    below[step % 2][t] = up;
                    if (t + 1 == WIDE_LANES) pair.top[column] = up;
                }
            }
            STEP_ENDS();
        }
    }
    double end = infinite;
    EACH_LANE(t) if (lanes[HELD(t)].end < end) end = lanes[HELD(t)].end; // of the lane with the last row
    return end;
}

// Pairs with a longer window, any cost and ends. A task has one query; a block takes one pair.
KERNEL void LAUNCH_BOUNDS(128, 4) dtw_pairs_wide(unsigned char *memory, const Batch batch) {
    SHARED double below[2][WIDE_LANES];
    SHARED i64 taken;
#ifndef __CUDACC__
    if (threadIdx.x > 0) return;
#endif
    const Task *tasks = at<Task>(memory, batch.wide_tasks);
    const Window *windows = at<Window>(memory, batch.windows);
    const float *signal = at<float>(memory, batch.signal);
    const i64 n_pairs = i64(batch.n_wide_tasks) * LANES;
    u32 *untaken = at<u32>(memory, batch.next) + 1;
    i64 k = -1;
    for (;;) {
        EACH_LANE(t) if (t == 0) taken = one_task(untaken, k);
        STEP_ENDS();
        k = taken;
        STEP_ENDS();
        if (k >= n_pairs) return;
        const Task task = tasks[k / LANES];
        const Group group = at<Group>(memory, batch.groups)[task.group];
        const u32 other = group.first_window + k % LANES;
        if (k % LANES >= group.n_windows) continue;
        const Window query = windows[task.first_query], candidate = windows[other];
        const bool turns = !batch.open_start && !batch.open_end && query.length < candidate.length;
        const Window rows = turns ? candidate : query, columns = turns ? query : candidate;
        WidePair pair;
        pair.rows = signal + rows.start, pair.n_rows = rows.length;
        pair.columns = signal + columns.start, pair.n_columns = columns.length;
        pair.top = at<double>(memory, batch.top) + u64(blockIdx.x) * batch.wide_top_width;
        const double sum = sweep_wide(pair, below, batch);
        if (!(sum < infinity())) continue; // another lane has the end: all sums are finite
        const Position position = at<Position>(memory, batch.positions)[task.position];
        const u32 first = position.first_window;
        store(at<float>(memory, batch.distances) + position.distances, position, task, task.first_query - first,
              other - first, distance_of(sum, query.length + candidate.length, batch));
    }
}
