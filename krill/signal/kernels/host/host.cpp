// The kernels as the host runs them, one thread after the other: what tests hold against the
// definition. Kernels with barriers run in as many real threads, so that a missing barrier can be seen.

struct Index {
    unsigned x;
};
static thread_local Index threadIdx, blockIdx, blockDim, gridDim;

#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

class Barrier {
    std::mutex mutex;
    std::condition_variable all_here;
    unsigned n_threads, n_waiting = 0, turn = 0;

  public:
    explicit Barrier(unsigned n) : n_threads(n) {}
    void wait() {
        std::unique_lock<std::mutex> lock(mutex);
        const unsigned mine = turn;
        if (++n_waiting == n_threads) {
            n_waiting = 0;
            ++turn;
            all_here.notify_all();
        } else {
            all_here.wait(lock, [&] { return turn != mine; });
        }
    }
};
static thread_local Barrier *barrier;
#define BARRIER() barrier->wait()

#include "../dtw.cu"

typedef void (*Kernel)(unsigned char *, const Batch);

struct Named {
    const char *name;
    Kernel kernel;
    bool has_barriers;
};

static const Named KERNELS[] = {
    {"dtw_columns", dtw_columns, false},
    {"dtw_pairs", dtw_pairs, false},
    {"dtw_pairs_general", dtw_pairs_general, false},
    {"dtw_pairs_wide", dtw_pairs_wide, false},
    {"dtw_axis", dtw_axis, true},
    {"dtw_place", dtw_place, false},
    {"dtw_summary", dtw_summary, false},
};

const unsigned HOST_THREADS = 3; // of a block with barriers: the kernels take any number

static void run_together(Kernel kernel, unsigned block, unsigned blocks, unsigned char *memory, const Batch &batch) {
    Barrier shared(HOST_THREADS);
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < HOST_THREADS; ++t)
        threads.emplace_back([&, t] {
            threadIdx = {t}, blockDim = {HOST_THREADS}, blockIdx = {block}, gridDim = {blocks};
            barrier = &shared;
            kernel(memory, batch);
        });
    for (auto &thread : threads) thread.join();
}

// Run a kernel as a launch of so many blocks and threads would; 0 if it was found.
extern "C" int krill_host_launch(const char *name, unsigned blocks, unsigned threads, unsigned char *memory,
                                 const Batch *batch) {
    for (const Named &named : KERNELS) {
        if (std::strcmp(named.name, name) != 0) continue;
        for (unsigned block = 0; block < blocks; ++block) {
            if (named.has_barriers) {
                run_together(named.kernel, block, blocks, memory, *batch);
                continue;
            }
            for (unsigned t = 0; t < threads; ++t) {
                threadIdx = {t}, blockDim = {threads}, blockIdx = {block}, gridDim = {blocks};
                named.kernel(memory, *batch);
            }
        }
        return 0;
    }
    return 1;
}

// Sizes of the structures, in the order of batch.h, and its constants.
extern "C" void krill_host_sizes(unsigned *sizes) {
    sizes[0] = sizeof(Window), sizes[1] = sizeof(Group), sizes[2] = sizeof(Task);
    sizes[3] = sizeof(Position), sizes[4] = sizeof(Batch);
    sizes[5] = LANES, sizes[6] = COLUMNS, sizes[7] = PADDING, sizes[8] = TALLEST;
}
