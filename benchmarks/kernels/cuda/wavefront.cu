// The usual way to put dynamic time warping on a GPU, kept small to measure against: one block per pair,
// 1,024 threads, one row each, three rolling anti-diagonals in shared memory, a barrier per diagonal.
// Signals of up to 1,024 samples, squared cost, closed ends. Pairs i < j, row by row.

#ifndef __CUDACC__ // a single thread is a block too
struct Index {
    int x;
};
static Index threadIdx, blockIdx, blockDim;
#define __global__
#define __shared__ static
#define __restrict__
#define __syncthreads()
#define INFINITE __builtin_inff()
#define SQRT __builtin_sqrtf
#else
#define INFINITE __int_as_float(0x7f800000)
#define SQRT sqrtf
#endif

const int LONGEST = 1024;

extern "C" __global__ void wavefront(const float *__restrict__ signal, const int *__restrict__ offsets,
                                     const int *__restrict__ first, const int *__restrict__ second,
                                     float *__restrict__ distances) {
    __shared__ float diagonals[3][LONGEST + 1]; // entry i is row i - 1
    const int pair = blockIdx.x;
    const float *a = signal + offsets[first[pair]], *b = signal + offsets[second[pair]];
    const int n = offsets[first[pair] + 1] - offsets[first[pair]];
    const int m = offsets[second[pair] + 1] - offsets[second[pair]];
    for (int i = threadIdx.x; i <= n; i += blockDim.x) {
        diagonals[0][i] = i == 0 ? 0 : INFINITE; // D[-1][-1] alone
        diagonals[1][i] = INFINITE;
    }
    __syncthreads();
    for (int diagonal = 0; diagonal < n + m - 1; ++diagonal) {
        const float *before = diagonals[diagonal % 3], *last = diagonals[(diagonal + 1) % 3];
        float *next = diagonals[(diagonal + 2) % 3];
        for (int i = threadIdx.x; i <= n; i += blockDim.x) {
            const int row = i - 1, column = diagonal - row;
            float cell = INFINITE;
            if (row >= 0 && column >= 0 && column < m) {
                const float difference = a[row] - b[column];
                const float best = last[i] < last[i - 1] ? last[i] : last[i - 1];
                cell = difference * difference + (best < before[i - 1] ? best : before[i - 1]);
            }
            next[i] = cell;
        }
        __syncthreads();
    }
    if (threadIdx.x == 0) distances[pair] = SQRT(diagonals[(n + m) % 3][n]);
}
