// One signed number per window: same as krill/signal/src/dtw/coordinate.rs, a block of threads per
// position. Landmarks are the windows that are query and reference; every sum runs in their order.
//
// The axis of a position, in doubles, n landmarks: matrix[column][row], row_means[n], vector[n], next[n],
// scalars[4].

#include "batch.h"

const u32 FEWEST_LANDMARKS = 3;
const u32 MOST_ROUNDS = 100;
const double TOLERANCE = 1e-6;

const u32 EIGENVALUE = 0, LENGTH = 1, MOVED = 2, HAS_AXIS = 3;

struct Axis {
    u32 n;
    double *matrix, *row_means, *vector, *next, *scalars;
};

DEVICE Axis axis_of(unsigned char *memory, const Batch &batch, const Position &position) {
    Axis axis;
    const u64 n = position.n_both;
    axis.n = position.n_both;
    axis.matrix = at<double>(memory, batch.axis) + position.axis;
    axis.row_means = axis.matrix + n * n;
    axis.vector = axis.row_means + n;
    axis.next = axis.vector + n;
    axis.scalars = axis.next + n;
    return axis;
}

CALLED double dot(const double *a, u32 stride, const double *b, u32 n) {
    double sum = -0.0;
    ROLLED
    for (u32 i = 0; i < n; ++i) sum = sum + a[u64(i) * stride] * b[i];
    return sum;
}

DEVICE double mean_of(const double *values, u32 n) {
    double sum = -0.0;
    ROLLED
    for (u32 i = 0; i < n; ++i) sum = sum + values[i];
    return quotient(sum, double(n));
}

// -1/2 of the squared distances, centred by rows and columns.
DEVICE void centre(const Axis &axis, const float *distances, u32 stride) {
    const u32 n = axis.n;
    ROLLED
    for (u32 row = threadIdx.x; row < n; row += blockDim.x) {
        double sum = -0.0;
        ROLLED
        for (u32 column = 0; column < n; ++column) {
            const double distance = distances[u64(column) * stride + row]; // as from row to column
            sum = sum + distance * distance;
        }
        axis.row_means[row] = quotient(sum, double(n));
    }
    BARRIER();
    const double grand_mean = mean_of(axis.row_means, n);
    ROLLED
    for (u32 row = threadIdx.x; row < n; row += blockDim.x)
        ROLLED
        for (u32 column = 0; column < n; ++column) {
            const double distance = distances[u64(column) * stride + row];
            const double centred = distance * distance - axis.row_means[row] - axis.row_means[column] + grand_mean;
            axis.matrix[u64(column) * n + row] = -0.5 * centred;
        }
    BARRIER();
}

// Scale to unit length; false if there is none. Thread 0 has written the length before a barrier.
DEVICE bool scale(const Axis &axis, double *vector) {
    const double length = axis.scalars[LENGTH];
    ROLLED
    for (u32 i = threadIdx.x; i < axis.n; i += blockDim.x) vector[i] = quotient(vector[i], length);
    BARRIER();
    return length > 0.0;
}

// Eigenvector of largest magnitude of matrix + shift and its eigenvalue, from the most outlying landmark.
CALLED bool power_iteration(const Axis &axis, double shift) {
    const u32 n = axis.n;
    u32 start = 0;
    ROLLED
    for (u32 i = 1; i < n; ++i)
        if (axis.matrix[u64(i) * n + i] > axis.matrix[u64(start) * n + start]) start = i;
    ROLLED
    for (u32 i = threadIdx.x; i < n; i += blockDim.x) axis.vector[i] = axis.matrix[u64(i) * n + start];
    BARRIER();
    if (threadIdx.x == 0) axis.scalars[LENGTH] = root(dot(axis.vector, 1, axis.vector, n));
    BARRIER();
    if (!scale(axis, axis.vector)) return false;
    ROLLED
    for (u32 round = 0; round < MOST_ROUNDS; ++round) {
        ROLLED
        for (u32 row = threadIdx.x; row < n; row += blockDim.x)
            axis.next[row] = dot(axis.matrix + row, n, axis.vector, n) + shift * axis.vector[row];
        BARRIER();
        if (threadIdx.x == 0) {
            axis.scalars[EIGENVALUE] = dot(axis.next, 1, axis.vector, n);
            axis.scalars[LENGTH] = root(dot(axis.next, 1, axis.next, n));
        }
        BARRIER();
        if (!scale(axis, axis.next)) return false;
        if (threadIdx.x == 0) {
            const double sign = sign_of(axis.scalars[EIGENVALUE]);
            double moved = 0.0;
            ROLLED
            for (u32 i = 0; i < n; ++i) {
                const double step = magnitude(axis.next[i] - sign * axis.vector[i]);
                if (step > moved) moved = step;
            }
            axis.scalars[MOVED] = moved;
        }
        BARRIER();
        ROLLED
        for (u32 i = threadIdx.x; i < n; i += blockDim.x) axis.vector[i] = axis.next[i];
        BARRIER();
        if (axis.scalars[MOVED] < TOLERANCE) break;
    }
    return true;
}

// Unit eigenvector of the largest eigenvalue, unless that is not positive.
DEVICE bool leading_vector(const Axis &axis) {
    if (!power_iteration(axis, 0.0)) return false;
    const double first = axis.scalars[EIGENVALUE];
    if (first > 0.0) return true;
    BARRIER(); // everyone has read it
    // Distances that are no metric can have a negative eigenvalue of largest magnitude.
    if (!power_iteration(axis, -first)) return false;
    const double second = axis.scalars[EIGENVALUE] + first;
    BARRIER();
    if (threadIdx.x == 0) axis.scalars[EIGENVALUE] = second;
    BARRIER();
    return second > 0.0;
}

// Turn the vector so that it rises with the windows' means.
DEVICE bool points_down(const Axis &axis, const double *means) {
    const double centre = mean_of(means, axis.n);
    double rise = -0.0;
    ROLLED
    for (u32 i = 0; i < axis.n; ++i) rise = rise + axis.vector[i] * (means[i] - centre);
    return rise < 0.0;
}

// The axis of every position and its landmarks' places on it.
KERNEL void dtw_axis(unsigned char *memory, const Batch batch) {
    ROLLED
    for (u32 p = blockIdx.x; p < batch.n_positions; p += gridDim.x) {
        const Position position = at<Position>(memory, batch.positions)[p];
        const Axis axis = axis_of(memory, batch, position);
        const float *distances = at<float>(memory, batch.distances) + position.distances;
        bool has_axis = axis.n >= FEWEST_LANDMARKS;
        if (has_axis) {
            centre(axis, distances, position.n_queries);
            has_axis = leading_vector(axis);
        }
        if (has_axis) {
            const double *means = at<double>(memory, batch.labels) + position.first_window;
            const bool is_turned = points_down(axis, means);
            BARRIER(); // everyone has read the vector
            const double length = root(axis.scalars[EIGENVALUE]);
            float *results = at<float>(memory, batch.results) + position.first_query;
            ROLLED
            for (u32 i = threadIdx.x; i < axis.n; i += blockDim.x) {
                axis.vector[i] = is_turned ? -axis.vector[i] : axis.vector[i];
                results[i] = float(length * axis.vector[i]);
            }
        }
        if (threadIdx.x == 0) axis.scalars[HAS_AXIS] = has_axis ? 1.0 : 0.0;
        BARRIER();
    }
}

// Where the other windows lie on it, by their distances to the landmarks; NaN without an axis. A block is
// one warp: 32 queries of a position.
KERNEL void dtw_place(unsigned char *memory, const Batch batch) {
    const u32 n_parts = parts_of_queries(batch);
    ROLLED
    for (u32 part = blockIdx.x; part < batch.n_positions * n_parts; part += gridDim.x) {
        const Position position = at<Position>(memory, batch.positions)[part / n_parts];
        const u32 query = part % n_parts * LANES + threadIdx.x;
        if (query >= position.n_queries) continue;
        const Axis axis = axis_of(memory, batch, position);
        float *result = at<float>(memory, batch.results) + position.first_query + query;
        if (axis.scalars[HAS_AXIS] == 0.0) {
            *result = not_a_number();
            continue;
        }
        if (query < position.n_both) continue; // a landmark
        const float *distances = at<float>(memory, batch.distances) + position.distances;
        double sum = -0.0;
        UNROLL_4
        for (u32 j = 0; j < axis.n; ++j) {
            const double distance = distances[u64(j) * position.n_queries + query];
            sum = sum + axis.vector[j] * (axis.row_means[j] - distance * distance);
        }
        *result = float(quotient(sum, 2.0 * root(axis.scalars[EIGENVALUE])));
    }
}
