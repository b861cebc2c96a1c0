// A driver of nothing: as much of libcuda as the engine calls, on host memory and with the kernels as
// compiled for the host. In its place the whole way from Python to a kernel runs without a GPU. What it
// cannot show: speed, and whether a launch that returns at once was waited for; so a stream's work is
// done no earlier than somebody waits for it.

#include "host.cpp"

#include <cstdlib>
#include <functional>
#include <string>

typedef int Status;
typedef void *Handle;
enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500 };

static size_t setting(const char *name, size_t otherwise) {
    const char *text = std::getenv(name);
    return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

static std::mutex lock;
static size_t in_use = 0;
static size_t total() { return setting("FAKE_CUDA_BYTES", size_t(1) << 30); }

struct Stream {
    std::vector<std::function<void()>> waiting;
};

#define API extern "C" Status

API cuInit(unsigned) { return SUCCESS; }
API cuDriverGetVersion(int *version) { return *version = int(setting("FAKE_CUDA_VERSION", 12040)), SUCCESS; }
API cuDeviceGetCount(int *n) { return *n = int(setting("FAKE_CUDA_DEVICES", 2)), SUCCESS; }
API cuDeviceGet(int *device, int ordinal) { return *device = ordinal, SUCCESS; }
API cuDeviceGetName(char *name, int length, int device) {
    return std::snprintf(name, length, "Fake %d", device), SUCCESS;
}
API cuDeviceGetAttribute(int *value, int attribute, int) {
    switch (attribute) {
    case 16: *value = 2; return SUCCESS;                                         // multiprocessors
    case 75: *value = int(setting("FAKE_CUDA_CAPABILITY", 9)); return SUCCESS; // major
    case 76: *value = 0; return SUCCESS;                                         // minor
    default: return INVALID_VALUE;
    }
}
API cuDevicePrimaryCtxRetain(Handle *context, int device) {
    static int contexts[16];
    return *context = contexts + device, SUCCESS;
}
API cuCtxSetCurrent(Handle context) { return context ? SUCCESS : INVALID_VALUE; }
API cuGetErrorName(Status status, const char **name) {
    return *name = status == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_OTHER", SUCCESS;
}
API cuMemGetInfo_v2(size_t *free, size_t *all) {
    std::lock_guard<std::mutex> guard(lock);
    return *all = total(), *free = total() - in_use, SUCCESS;
}

// Memory that the device alone writes: full of what nobody wrote.
API cuMemAlloc_v2(u64 *address, size_t bytes) {
    std::lock_guard<std::mutex> guard(lock);
    if (in_use + bytes > total()) return OUT_OF_MEMORY;
    const size_t whole = (bytes + 256 + 255) / 256 * 256;
    char *memory = static_cast<char *>(std::aligned_alloc(256, whole));
    std::memset(memory, 0xff, whole);
    std::memcpy(memory, &bytes, sizeof bytes);
    in_use += bytes;
    return *address = u64(memory + 256), SUCCESS;
}
API cuMemFree_v2(u64 address) {
    std::lock_guard<std::mutex> guard(lock);
    size_t bytes;
    std::memcpy(&bytes, reinterpret_cast<char *>(address) - 256, sizeof bytes);
    in_use -= bytes;
    std::free(reinterpret_cast<char *>(address) - 256);
    return SUCCESS;
}
API cuMemHostAlloc(void **memory, size_t bytes, unsigned) {
    return *memory = std::malloc(bytes), *memory ? SUCCESS : OUT_OF_MEMORY;
}
API cuMemFreeHost(void *memory) { return std::free(memory), SUCCESS; }

// An image of the kernels: machine code of CUDA, or PTX.
API cuModuleLoadData(Handle *module, const void *image) {
    const bool is_code = std::memcmp(image, "\x7f"
                                            "ELF", 4) == 0;
    const bool is_ptx = std::memcmp(image, "//", 2) == 0;
    return *module = &in_use, is_code || is_ptx ? SUCCESS : INVALID_VALUE;
}
API cuModuleGetFunction(Handle *function, Handle, const char *name) {
    for (const Named &named : KERNELS)
        if (std::strcmp(named.name, name) == 0) return *function = const_cast<Named *>(&named), SUCCESS;
    return NOT_FOUND;
}

API cuStreamCreate(Handle *stream, unsigned) { return *stream = new Stream, SUCCESS; }
API cuStreamDestroy_v2(Handle stream) { return delete static_cast<Stream *>(stream), SUCCESS; }
API cuStreamSynchronize(Handle stream) {
    for (auto &work : static_cast<Stream *>(stream)->waiting) work();
    static_cast<Stream *>(stream)->waiting.clear();
    return SUCCESS;
}
static Status later(Handle stream, std::function<void()> work) {
    static_cast<Stream *>(stream)->waiting.push_back(std::move(work));
    return SUCCESS;
}
API cuMemcpyHtoDAsync_v2(u64 to, const void *from, size_t bytes, Handle stream) {
    return later(stream, [=] { std::memcpy(reinterpret_cast<void *>(to), from, bytes); });
}
API cuMemcpyDtoHAsync_v2(void *to, u64 from, size_t bytes, Handle stream) {
    return later(stream, [=] { std::memcpy(to, reinterpret_cast<void *>(from), bytes); });
}
API cuLaunchKernel(Handle function, unsigned blocks, unsigned, unsigned, unsigned threads, unsigned, unsigned,
                   unsigned, Handle stream, void **arguments, void **) {
    const u64 memory = *static_cast<u64 *>(arguments[0]);
    const Batch batch = *static_cast<Batch *>(arguments[1]);
    const char *name = static_cast<Named *>(function)->name;
    if (blocks == 0 || threads == 0) return INVALID_VALUE;
    return later(stream, [=] { krill_host_launch(name, blocks, threads, reinterpret_cast<unsigned char *>(memory), &batch); });
}
