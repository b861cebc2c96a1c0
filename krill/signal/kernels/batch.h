// What the host hands to every kernel: one block of memory and where its arrays begin.
// The twin of these structures is krill/signal/src/dtw/gpu/batch.rs; a test holds them equal.
#pragma once

#ifdef __CUDACC__
#define KERNEL extern "C" __global__
#define DEVICE static __device__ __forceinline__
#define CALLED static __device__ __noinline__
#define UNROLL _Pragma("unroll")
#define ROLLED _Pragma("unroll 1")
#define UNROLL_4 _Pragma("unroll 4")
#define UNROLL_8 _Pragma("unroll 8")
#define BARRIER() __syncthreads()
#define LAUNCH_BOUNDS(threads, blocks) __launch_bounds__(threads, blocks)
#else // the host's compiler: host.cpp gives the indices and the barrier their meaning
#define KERNEL static
#define DEVICE static inline
#define CALLED static
#define UNROLL
#define ROLLED
#define UNROLL_4
#define UNROLL_8
#define LAUNCH_BOUNDS(threads, blocks)
#endif

typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

// Windows that share a warp, one in each lane.
const u32 LANES = 32;

// Columns that are computed side by side; a group's width is a multiple.
const u32 COLUMNS = 2;

// Infinities in front of every window's samples.
const int PADDING = 8;

// Rows in registers at most: with 64 the code for sm_90 keeps some of them in memory.
const int TALLEST = 56;

// An interval of the batch's signal, in samples; PADDING infinities lie in front of it.
struct Window {
    u32 start;
    u32 length;
};

// Up to 32 neighbours in length, the candidates in the lanes.
struct Group {
    u64 columns; // where their samples begin, in floats; [column][lane], 0 behind a window's end
    u32 first_window;
    u32 n_windows;
    u32 width; // samples of the longest, rounded up to COLUMNS
    u32 unused;
};

// What is known of the lanes' windows; the queries are the other side.
const u32 LANES_ARE_REFERENCES = 1;
const u32 LANES_ARE_QUERIES = 2;

// A group against neighbouring queries; of one warp.
struct Task {
    u32 position;
    u32 group;
    u32 first_query; // a window
    u32 n_queries;
    u32 lanes_are; // the two bits above
    u32 unused;
};

// The windows of a position lie together: both, then queries alone, then references alone.
struct Position {
    u64 distances; // in floats; [reference][query]
    u64 axis;      // in doubles; see coordinate.h
    u32 first_window;
    u32 first_query; // row of the results
    u32 n_both;
    u32 n_queries;    // both and queries alone
    u32 n_references; // both and references alone
    u32 unused;
};

// Offsets are in bytes from the start of the memory, multiples of 256.
struct Batch {
    u64 signal;     // float[samples]
    u64 windows;    // Window[]
    u64 groups;     // Group[]
    u64 tasks;      // Task[], costly ones first
    u64 wide_tasks; // Task[] of one query, with a window of more than 1,000 samples: see wide.h
    u64 positions;  // Position[]
    u64 next;       // u32[2]: first task, and first wide task, that no warp has taken; sent as 0
    u64 labels;     // long long[window]: folds (summary); double[window]: means (coordinate)
    u64 columns;    // float[]
    u64 distances;  // float[]
    u64 axis;       // double[]
    u64 top;        // float[warp][column][lane]: the lowest row of a block of rows; wide: double[warp][column]
    u64 results;    // float[query][n_numbers]
    u32 n_groups;
    u32 n_tasks;
    u32 n_wide_tasks;
    u32 n_positions;
    u32 top_width;      // columns
    u32 wide_top_width; // columns
    u32 n_numbers;      // per query
    u32 absolute;       // cost |a - b|, no root
    u32 normalised;     // divide by both lengths
    u32 open_start;     // queries may begin anywhere
    u32 open_end;       // queries may end anywhere
    u32 most_queries;   // of a position
};

template <class T> DEVICE T *at(unsigned char *memory, u64 offset) { return (T *)(memory + offset); }

// The window as a reference of its position; those that are queries too come first.
DEVICE u32 reference_of(const Position &position, u32 window) {
    return window < position.n_both ? window : position.n_both + window - position.n_queries;
}

// The other way.
DEVICE u32 window_of(const Position &position, u32 reference) {
    return reference < position.n_both ? reference : position.n_queries + reference - position.n_both;
}

// Pieces of LANES queries of each position, so many that the largest fits.
DEVICE u32 parts_of_queries(const Batch &batch) { return (batch.most_queries + LANES - 1) / LANES; }
