// A library for LD_PRELOAD in front of the C library: the n-th allocation of a program fails, or the n-th
// call that changes one folder, or the program is killed in it. The loops beside it say what to, in the
// environment:
//   FOVEA_FAULT_ALLOCATION=N            allocation N fails
//   FOVEA_FAULT_ALLOCATIONS_FILE=FILE   at the end: how many there were, then the first of each call path
//   FOVEA_FAULT_FOLDER=FOLDER           the folder that is watched
//   FOVEA_FAULT_CALL=N                  call N that changes it fails, with
//   FOVEA_FAULT_ERROR=E                 errno E; or half of it is done and the process killed, where that is
//   0 FOVEA_FAULT_CALLS_FILE=FILE         the calls and their paths, one a line
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <unwind.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

// The allocator of glibc itself: dlsym would need memory before there is any.
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
}

namespace {

constexpr int kDescriptors = 1024, kPaths = 1 << 16, kModules = 256, kFrames = 12;

struct Module {
  uintptr_t begin, end, base, name;
};

struct State {
  bool is_on = false;
  long allocation_to_fail = -1, call_to_fail = -1;
  int error = 0;
  const char* allocations_file = nullptr;
  const char* calls_file = nullptr;
  char folder[4096] = "";
  std::atomic<long> allocations{0}, calls{0};
  std::atomic<bool> is_watched[kDescriptors] = {};
  int log = -1;
  Module modules[kModules] = {};
  int module_count = 0;
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  uint64_t path[kPaths] = {};  // hashes, where they stand: first
  long first[kPaths] = {};
  int path_count = 0;
};

State state;
thread_local bool is_inside = false;  // the shim's own calls do not count

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

int note_module(dl_phdr_info* info, size_t, void*) {
  uintptr_t name = 5381;
  const char* slash = strrchr(info->dlpi_name, '/');
  for (const char* c = slash != nullptr ? slash : info->dlpi_name; *c != 0; ++c)
    name = name * 33 + static_cast<unsigned char>(*c);
  for (int i = 0; i < info->dlpi_phnum && state.module_count < kModules; ++i) {
    const auto& part = info->dlpi_phdr[i];
    if (part.p_type != PT_LOAD || (part.p_flags & PF_X) == 0) continue;
    const uintptr_t begin = info->dlpi_addr + part.p_vaddr;
    state.modules[state.module_count++] = {begin, begin + part.p_memsz, info->dlpi_addr, name};
  }
  return 0;
}

struct Walk {
  uint64_t hash = 1469598103934665603u;
  int frames = 0;
};

/// Adds a frame by its place in its file, which is the same wherever that is loaded.
_Unwind_Reason_Code add_frame(_Unwind_Context* context, void* walk) {
  const uintptr_t address = _Unwind_GetIP(context);
  uint64_t place = 0;
  for (int i = 0; i < state.module_count; ++i) {
    const Module& module = state.modules[i];
    if (address >= module.begin && address < module.end)
      place = address - module.base + module.name * 1000003;
  }
  auto& [hash, frames] = *static_cast<Walk*>(walk);
  hash = (hash ^ place) * 1099511628211u;
  return ++frames < kFrames ? _URC_NO_REASON : _URC_END_OF_STACK;
}

void note_path(long number) {
  is_inside = true;
  Walk walk;
  _Unwind_Backtrace(add_frame, &walk);
  pthread_mutex_lock(&state.mutex);
  size_t slot = walk.hash % kPaths;
  while (state.path[slot] != 0 && state.path[slot] != walk.hash) slot = (slot + 1) % kPaths;
  if (state.path[slot] == 0 && state.path_count < kPaths / 2) {
    state.path[slot] = walk.hash;
    state.first[slot] = number;
    ++state.path_count;
  }
  pthread_mutex_unlock(&state.mutex);
  is_inside = false;
}

bool allocation_fails() {
  if (!state.is_on || is_inside) return false;
  const long number = ++state.allocations;
  if (state.allocations_file != nullptr) note_path(number);
  if (number != state.allocation_to_fail) return false;
  errno = ENOMEM;
  return true;
}

/// `folder` itself, and all in it.
bool is_watched(const char* path) {
  if (!state.is_on || state.folder[0] == 0) return false;
  const size_t length = strlen(state.folder);
  return strncmp(path, state.folder, length) == 0 && (path[length] == 0 || path[length] == '/');
}

bool is_watched(int descriptor) {
  return state.is_on && descriptor >= 0 && descriptor < kDescriptors && state.is_watched[descriptor];
}

enum class Answer { goes_on, fails, is_killed };

Answer counted(const char* name, const char* path) {
  const long number = ++state.calls;
  if (state.log >= 0) dprintf(state.log, "%s %s\n", name, path);
  if (number != state.call_to_fail) return Answer::goes_on;
  if (state.error == 0) return Answer::is_killed;
  errno = state.error;
  return Answer::fails;
}

void end_here() {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

/// A call that changes the folder: what it gives, or -1. A kill comes before it.
template <class Call>
auto changed(const char* name, const char* path, bool is_watched, const Call& call) -> decltype(call()) {
  if (!is_watched) return call();
  const Answer answer = counted(name, path);
  if (answer == Answer::is_killed) end_here();
  return answer == Answer::fails ? -1 : call();
}

/// One that writes: a kill comes when half is written.
template <class Call>
ssize_t written(const char* name, int descriptor, size_t bytes, const Call& call) {
  if (!is_watched(descriptor)) return call(bytes);
  const Answer answer = counted(name, "");
  if (answer == Answer::fails) return -1;
  if (answer == Answer::is_killed) {
    call(bytes / 2);
    end_here();
  }
  return call(bytes);
}

template <class Open>
int opened(const char* path, int flags, const Open& open) {
  const bool changes = (flags & (O_WRONLY | O_RDWR | O_CREAT | O_DIRECTORY)) != 0 && is_watched(path);
  const int descriptor = changed("open", path, changes, open);
  if (descriptor >= 0 && descriptor < kDescriptors) state.is_watched[descriptor] = changes;
  return descriptor;
}

long number_in(const char* name) {
  const char* text = getenv(name);
  return text != nullptr ? atol(text) : -1;
}

[[gnu::constructor(101)]] void begin() {
  state.allocation_to_fail = number_in("FOVEA_FAULT_ALLOCATION");
  state.call_to_fail = number_in("FOVEA_FAULT_CALL");
  state.error = static_cast<int>(number_in("FOVEA_FAULT_ERROR"));
  state.allocations_file = getenv("FOVEA_FAULT_ALLOCATIONS_FILE");
  state.calls_file = getenv("FOVEA_FAULT_CALLS_FILE");
  if (const char* folder = getenv("FOVEA_FAULT_FOLDER"))
    strncpy(state.folder, folder, sizeof state.folder - 1);
  if (state.calls_file != nullptr)
    state.log = open(state.calls_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  dl_iterate_phdr(note_module, nullptr);
  state.is_on = true;
}

[[gnu::destructor]] void end() {
  state.is_on = false;
  if (state.allocations_file == nullptr) return;
  FILE* file = fopen(state.allocations_file, "w");
  if (file == nullptr) return;
  fprintf(file, "%ld\n", state.allocations.load());
  for (const long number : state.first) {
    if (number > 0) fprintf(file, "%ld\n", number);
  }
  fclose(file);
}

}  // namespace

extern "C" {

void* malloc(size_t bytes) {
  return allocation_fails() ? nullptr : __libc_malloc(bytes);
}
void* calloc(size_t count, size_t bytes) {
  return allocation_fails() ? nullptr : __libc_calloc(count, bytes);
}
void* realloc(void* block, size_t bytes) {
  return allocation_fails() ? nullptr : __libc_realloc(block, bytes);
}
void* memalign(size_t alignment, size_t bytes) {
  return allocation_fails() ? nullptr : __libc_memalign(alignment, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) {
  return allocation_fails() ? nullptr : __libc_memalign(alignment, bytes);
}
int posix_memalign(void** block, size_t alignment, size_t bytes) {
  void* found = allocation_fails() ? nullptr : __libc_memalign(alignment, bytes);
  if (found == nullptr) return ENOMEM;
  *block = found;
  return 0;
}
void* mmap(void* address, size_t bytes, int protection, int flags, int file, off_t offset) {
  static const auto real = next<void* (*)(void*, size_t, int, int, int, off_t)>("mmap");
  if ((flags & MAP_ANONYMOUS) != 0 && allocation_fails()) return MAP_FAILED;
  return real(address, bytes, protection, flags, file, offset);
}

int open(const char* path, int flags, ...) {
  static const auto real = next<int (*)(const char*, int, ...)>("open");
  va_list more;
  va_start(more, flags);
  const auto mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return opened(path, flags, [&] { return real(path, flags, mode); });
}
int open64(const char* path, int flags, ...) {
  static const auto real = next<int (*)(const char*, int, ...)>("open64");
  va_list more;
  va_start(more, flags);
  const auto mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return opened(path, flags, [&] { return real(path, flags, mode); });
}
int close(int descriptor) {
  static const auto real = next<int (*)(int)>("close");
  if (descriptor >= 0 && descriptor < kDescriptors) state.is_watched[descriptor] = false;
  return real(descriptor);
}
ssize_t write(int descriptor, const void* bytes, size_t count) {
  static const auto real = next<ssize_t (*)(int, const void*, size_t)>("write");
  return written("write", descriptor, count, [&](size_t part) { return real(descriptor, bytes, part); });
}
ssize_t pwrite(int descriptor, const void* bytes, size_t count, off_t offset) {
  static const auto real = next<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  return written("pwrite", descriptor, count,
                 [&](size_t part) { return real(descriptor, bytes, part, offset); });
}
int fsync(int descriptor) {
  static const auto real = next<int (*)(int)>("fsync");
  return changed("fsync", "", is_watched(descriptor), [&] { return real(descriptor); });
}
int fdatasync(int descriptor) {
  static const auto real = next<int (*)(int)>("fdatasync");
  return changed("fdatasync", "", is_watched(descriptor), [&] { return real(descriptor); });
}
int ftruncate(int descriptor, off_t bytes) noexcept {
  static const auto real = next<int (*)(int, off_t)>("ftruncate");
  return changed("ftruncate", "", is_watched(descriptor), [&] { return real(descriptor, bytes); });
}
int rename(const char* from, const char* to) noexcept {
  static const auto real = next<int (*)(const char*, const char*)>("rename");
  return changed("rename", to, is_watched(to), [&] { return real(from, to); });
}
int mkdir(const char* path, mode_t mode) noexcept {
  static const auto real = next<int (*)(const char*, mode_t)>("mkdir");
  return changed("mkdir", path, is_watched(path), [&] { return real(path, mode); });
}
int unlink(const char* path) noexcept {
  static const auto real = next<int (*)(const char*)>("unlink");
  return changed("unlink", path, is_watched(path), [&] { return real(path); });
}

}  // extern "C"
