// Loops whose speed is known by construction, and a float64 oracle.
//
// chain:  dependent integer multiplications, 3 cycles each on every x86-64 since 2008 and on
//         current arm64 cores, so its rate gives the clock. (Additions would not do: some
//         processors fold them while renaming registers.)
// oracle: dynamic time warping in float64, two rows.

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

uint64_t chain(int64_t n) {
    uint64_t x = 3;
    for (int64_t i = 0; i < n; i++) {
        x *= 0x9E3779B97F4A7C15u;
        __asm__ volatile("" : "+r"(x)); // keeps the compiler from folding the chain
    }
    return x;
}

double oracle(const float *a, int64_t n, const float *b, int64_t m) {
    double *row = malloc(sizeof(double) * (size_t)m);
    if (!row) return NAN;
    for (int64_t j = 0; j < m; j++) row[j] = INFINITY;
    for (int64_t i = 0; i < n; i++) {
        double diagonal = i == 0 ? 0.0 : INFINITY, left = INFINITY;
        for (int64_t j = 0; j < m; j++) {
            double best = left < diagonal ? left : diagonal;
            if (row[j] < best) best = row[j];
            double difference = (double)a[i] - (double)b[j];
            diagonal = row[j];
            left = row[j] = difference * difference + best;
        }
    }
    double end = row[m - 1];
    free(row);
    return sqrt(end);
}
