// How many cells a second the instructions allow: the inner loop of dtw.cu in registers alone, with the
// minimum of three as one integer instruction or as two of floats; and each kind of minimum by itself.

const int ROWS = 16;

template <bool INTEGER> static __device__ __forceinline__ float least(float a, float b, float c) {
    if (INTEGER)
        return __int_as_float(__vimin3_s32(__float_as_int(a), __float_as_int(b), __float_as_int(c)));
    return fminf(fminf(a, b), c);
}

// ROWS cells per column and thread.
template <bool INTEGER> static __device__ __forceinline__ void cells(float *out, int n_columns) {
    float rows[ROWS], left[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; ++r) rows[r] = out[r], left[r] = out[ROWS + r];
    float sample = out[threadIdx.x], corner = out[0];
#pragma unroll 4
    for (int column = 0; column < n_columns; ++column) {
        float diagonal = corner, up = corner;
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
            const float best = least<INTEGER>(left[r], diagonal, up), difference = rows[r] - sample;
            diagonal = left[r];
            up = left[r] = fmaf(difference, difference, best);
        }
        sample += 1.0f;
    }
    float sum = 0;
#pragma unroll
    for (int r = 0; r < ROWS; ++r) sum += left[r];
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

// ROWS minima per round and thread, independent of each other.
template <bool INTEGER> static __device__ __forceinline__ void minima(float *out, int n_rounds) {
    float values[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; ++r) values[r] = out[threadIdx.x + r];
#pragma unroll 4
    for (int round = 0; round < n_rounds; ++round) {
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
            const float other = values[(r + 5) % ROWS], third = values[(r + 11) % ROWS];
            values[r] = INTEGER ? least<true>(values[r], other, third) : fminf(values[r], other);
        }
    }
    float sum = 0;
#pragma unroll
    for (int r = 0; r < ROWS; ++r) sum += values[r];
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

extern "C" __global__ void cells_min3(float *out, int n) { cells<true>(out, n); }
extern "C" __global__ void cells_fmin(float *out, int n) { cells<false>(out, n); }
extern "C" __global__ void min3(float *out, int n) { minima<true>(out, n); }
extern "C" __global__ void fmin1(float *out, int n) { minima<false>(out, n); }
