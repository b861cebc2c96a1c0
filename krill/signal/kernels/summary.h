// Mean, median, number and smallest of each query's distances to references outside its fold: same as
// krill/signal/src/dtw/summary.rs, one thread per query, a warp's worth of a position's in each block.
// Memory decides how long it takes: 17 passes over the distances, eight of them asked for at a time.

#include "batch.h"

const u32 SUMMARY_HEAD = 3; // mean, median, number

// In place of a distance that does not count; as bits it is above all of them.
const u32 NOT_COUNTED = 0xffffffff;

struct Query {
    float *distances; // [reference], every n_queries-th
    u32 n_queries, n_references;
};

DEVICE float *distance_to(const Query &query, u32 reference) {
    return query.distances + u64(reference) * query.n_queries;
}

// The distance of this rank, smallest first: two bits at a time, the largest value that no more than
// `rank` of them lie below. Distances are >= +0, so that their bits order them.
DEVICE u32 of_rank(const Query &query, u32 rank) {
    u32 found = 0;
    ROLLED
    for (int shift = 30; shift >= 0; shift -= 2) {
        const u32 step = 1u << shift, first = found;
        u32 n_below[3] = {0, 0, 0};
        UNROLL_8
        for (u32 j = 0; j < query.n_references; ++j) {
            const u32 value = bits(*distance_to(query, j));
            for (u32 k = 0; k < 3; ++k) n_below[k] += value < first + (k + 1) * step;
        }
        for (u32 k = 0; k < 3; ++k)
            if (n_below[k] <= rank) found = first + (k + 1) * step;
    }
    return found;
}

DEVICE float median_of(const Query &query, u32 n) {
    const u32 lower = of_rank(query, (n - 1) / 2);
    u32 n_up_to = 0, next = 0x7f800000;
    UNROLL_8
    for (u32 j = 0; j < query.n_references; ++j) {
        const u32 value = bits(*distance_to(query, j));
        if (value <= lower) ++n_up_to;
        else if (value < next) next = value;
    }
    const u32 upper = n_up_to > n / 2 ? lower : next;
    return float((double(from_bits(lower)) + double(from_bits(upper))) / 2.0);
}

// Keep the smallest, rising.
DEVICE void keep_nearest(float *nearest, u32 n_nearest, u32 n_kept, float distance) {
    u32 i = n_kept < n_nearest ? n_kept : n_nearest;
    if (i == n_nearest) {
        if (n_nearest == 0 || !(distance < nearest[n_nearest - 1])) return;
        --i;
    }
    ROLLED
    for (; i > 0 && distance < nearest[i - 1]; --i) nearest[i] = nearest[i - 1];
    nearest[i] = distance;
}

// A block is one warp: 32 queries of a position. With no more than 32 registers (so the bounds say, where
// a processor holds 2,048 threads) it finds room beside `dtw_pairs` of the next batch, which fills the
// device otherwise. The distances are left marked.
KERNEL void LAUNCH_BOUNDS(1024, 2) dtw_summary(unsigned char *memory, const Batch batch) {
    const u32 n_nearest = batch.n_numbers - SUMMARY_HEAD;
    const u32 n_parts = parts_of_queries(batch);
    ROLLED
    for (u32 part = blockIdx.x; part < batch.n_positions * n_parts; part += gridDim.x) {
        const Position position = at<Position>(memory, batch.positions)[part / n_parts];
        const u32 index = part % n_parts * LANES + threadIdx.x;
        if (index >= position.n_queries) continue;
        const i64 *folds = at<i64>(memory, batch.labels) + position.first_window; // of its windows
        const i64 fold = folds[index];
        Query query;
        query.distances = at<float>(memory, batch.distances) + position.distances + index;
        query.n_queries = position.n_queries;
        query.n_references = position.n_references;
        float *row = at<float>(memory, batch.results) + u64(position.first_query + index) * batch.n_numbers;
        ROLLED
        for (u32 k = 0; k < batch.n_numbers; ++k) row[k] = not_a_number();
        u32 n = 0;
        double sum = -0.0;
        float next = query.n_references > 0 ? *distance_to(query, 0) : 0.0f;
        ROLLED
        for (u32 j = 0; j < query.n_references; ++j) {
            const float distance = next;
            if (j + 1 < query.n_references) next = *distance_to(query, j + 1); // memory answers late
            const u32 window = window_of(position, j);
            if (window == index || folds[window] == fold) {
                *distance_to(query, j) = from_bits(NOT_COUNTED);
                continue;
            }
            sum = sum + double(distance);
            keep_nearest(row + SUMMARY_HEAD, n_nearest, n, distance);
            ++n;
        }
        row[2] = float(n);
        if (n == 0) continue;
        row[0] = float(quotient(sum, double(n)));
        row[1] = median_of(query, n);
    }
}
