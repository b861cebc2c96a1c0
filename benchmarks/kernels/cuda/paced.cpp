// A driver of nothing that takes its time: as much of libcuda as the engine calls, which computes nothing
// and answers when a device would. What the host does meanwhile is real, so it shows how long a device
// would wait for the host. Copies follow one another, so do kernels. The worst is assumed of summaries:
// that they find no room while any other kernel could run. PACED_PAIRS_NS: nanoseconds of a position's pairs.

#include "../../../krill/signal/kernels/batch.h"

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <list>
#include <mutex>
#include <thread>

typedef int Status;
typedef void *Handle;
typedef std::chrono::steady_clock Clock;
typedef std::chrono::duration<double> Seconds;
enum { SUCCESS = 0, INVALID_VALUE = 1, NOT_FOUND = 500 };

const double BYTES_PER_S = 50e9, START_S = 5e-6, SUMMARY_S = 1e-3; // PCIe 5; of a launch; of a batch
enum Engine { COPIES, KERNELS };
struct Work {
    Engine engine;
    Seconds duration;
    bool comes_last;
};
struct Stream {
    std::deque<Work> waiting; // the first may be in the works
    bool is_busy = false;
};
static const char *const NAMES[] = {"dtw_columns", "dtw_pairs",   "dtw_pairs_general", "dtw_pairs_wide",
                                      "dtw_axis",    "dtw_summary", "dtw_place"};
// Never destroyed: the engines' threads use them until the process is gone.
static std::mutex &lock = *new std::mutex;
static std::condition_variable &changed = *new std::condition_variable;
static std::list<Stream> &streams = *new std::list<Stream>;

// Do what streams want of one engine, one work after the other. Sleeps end late: the last of it is waited for.
static void run(Engine engine) {
    std::unique_lock<std::mutex> guard(lock);
    for (;;) {
        Stream *next = nullptr;
        for (Stream &stream : streams) {
            if (stream.is_busy || stream.waiting.empty() || stream.waiting.front().engine != engine) continue;
            if (!next || (next->waiting.front().comes_last && !stream.waiting.front().comes_last)) next = &stream;
        }
        if (!next) {
            changed.wait(guard);
            continue;
        }
        next->is_busy = true;
        const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(next->waiting.front().duration);
        guard.unlock();
        std::this_thread::sleep_until(end - std::chrono::microseconds(60));
        while (Clock::now() < end) {}
        guard.lock();
        next->is_busy = false;
        next->waiting.pop_front();
        changed.notify_all();
    }
}

static Status later(Handle stream, Engine engine, double seconds, bool comes_last = false) {
    static std::once_flag started;
    std::call_once(started, [] {
        for (Engine each : {COPIES, KERNELS}) std::thread(run, each).detach();
    });
    std::lock_guard<std::mutex> guard(lock);
    static_cast<Stream *>(stream)->waiting.push_back({engine, Seconds(START_S + seconds), comes_last});
    changed.notify_all();
    return SUCCESS;
}

#define API extern "C" Status

API cuInit(unsigned) { return SUCCESS; }
API cuDriverGetVersion(int *version) { return *version = 12040, SUCCESS; }
API cuDeviceGetCount(int *n) { return *n = 1, SUCCESS; }
API cuDeviceGet(int *device, int ordinal) { return *device = ordinal, SUCCESS; }
API cuDeviceGetName(char *name, int length, int) { return std::strncpy(name, "Paced", length), SUCCESS; }
API cuDeviceGetAttribute(int *value, int attribute, int) {
    switch (attribute) {
    case 16: *value = 132; return SUCCESS; // multiprocessors
    case 75: *value = 9; return SUCCESS;   // major
    case 76: *value = 0; return SUCCESS;   // minor
    default: return INVALID_VALUE;
    }
}
API cuDevicePrimaryCtxRetain(Handle *context, int) { return *context = &streams, SUCCESS; }
API cuCtxSetCurrent(Handle) { return SUCCESS; }
API cuGetErrorName(Status, const char **name) { return *name = "CUDA_ERROR_OTHER", SUCCESS; }
API cuMemGetInfo_v2(size_t *free, size_t *all) { return *free = *all = size_t(80) << 30, SUCCESS; }
API cuMemAlloc_v2(u64 *address, size_t) { return *address = 256, SUCCESS; } // nothing is ever read there
API cuMemFree_v2(u64) { return SUCCESS; }
API cuMemHostAlloc(void **memory, size_t bytes, unsigned) { return *memory = std::malloc(bytes), SUCCESS; }
API cuMemFreeHost(void *memory) { return std::free(memory), SUCCESS; }
API cuModuleLoadData(Handle *module, const void *) { return *module = &streams, SUCCESS; }
API cuModuleGetFunction(Handle *function, Handle, const char *name) {
    for (const char *kernel : NAMES)
        if (std::strcmp(kernel, name) == 0) return *function = const_cast<char *>(kernel), SUCCESS;
    return NOT_FOUND;
}
API cuStreamCreate(Handle *stream, unsigned) {
    std::lock_guard<std::mutex> guard(lock);
    return *stream = &streams.emplace_back(), SUCCESS;
}
API cuStreamSynchronize(Handle stream) {
    std::unique_lock<std::mutex> guard(lock);
    changed.wait(guard, [&] { return static_cast<Stream *>(stream)->waiting.empty(); });
    return SUCCESS;
}
API cuStreamDestroy_v2(Handle stream) {
    cuStreamSynchronize(stream);
    std::lock_guard<std::mutex> guard(lock);
    streams.remove_if([&](Stream &each) { return &each == stream; });
    return SUCCESS;
}
API cuMemcpyHtoDAsync_v2(u64, const void *, size_t bytes, Handle stream) {
    return later(stream, COPIES, double(bytes) / BYTES_PER_S);
}
API cuMemcpyDtoHAsync_v2(void *, u64, size_t bytes, Handle stream) {
    return later(stream, COPIES, double(bytes) / BYTES_PER_S);
}
API cuLaunchKernel(Handle function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, Handle stream,
                   void **arguments, void **) {
    static const double pairs_s = 1e-9 * std::atof(std::getenv("PACED_PAIRS_NS"));
    const Batch batch = *static_cast<Batch *>(arguments[1]);
    const char *name = static_cast<const char *>(function);
    if (std::strcmp(name, "dtw_summary") == 0) return later(stream, KERNELS, SUMMARY_S, true);
    return later(stream, KERNELS, std::strcmp(name, "dtw_pairs") == 0 ? batch.n_positions * pairs_s : 0);
}
