#include "streams.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "fovea/core/check.h"
#include "fovea/core/environment.h"
#include "traffic.h"

// Streams, events and graphs of the emulated device.

using Clock = std::chrono::steady_clock;

/// What is recorded, from the stream where it began and those that waited for an event of it.
struct Capture {
  cudaStream_t origin = nullptr;
  bool is_invalidated = false;
  std::vector<fovea::emulator::Work> work;  // in the order of the calls
};

struct EmulatedEvent {
  Clock::time_point time{};             // when it happened last, by the clock of its stream
  uint64_t recorded = 0, happened = 0;  // how often
  Capture* capture = nullptr;           // in which it was recorded last, while that is under way
  bool is_captured = false;             // whether it was recorded last in one
  cudaStream_t stream = nullptr;        // there
  size_t stream_nodes = 0;              // that the stream had given to the capture
};

/// Work, or an event that happens or is waited for.
struct Item {
  fovea::emulator::Work work;
  std::shared_ptr<EmulatedEvent> happens, awaited;
  uint64_t count = 0;          // of the event
  Clock::time_point called{};  // when the stream was given it
};

struct EmulatedStream {
  int device = fovea::emulator::current_device();
  bool is_blocking = false;  // for the null stream, which waits for it and for which it waits
  std::deque<Item> queue;
  Clock::time_point time{};            // as on a device that begins as soon as it may
  Capture* capture = nullptr;          // that it takes part in
  size_t nodes = 0, joined_nodes = 0;  // that it has given to the capture, and that others have waited for
};

namespace fovea::emulator {
namespace {

StreamOrder order_at_start() {
  const std::string name = environment("FOVEA_EMULATED_STREAMS");
  check<UsageError>(name.empty() || name == "at_once" || name == "deferred",
                    "FOVEA_EMULATED_STREAMS: wanted 'at_once' or 'deferred', found '", name, "'");
  return name == "deferred" ? StreamOrder::deferred : StreamOrder::at_once;
}

/// All that streams share. Never destroyed, as tensors with static storage may be freed late.
struct Streams {
  std::recursive_mutex mutex;
  StreamOrder order = order_at_start();
  EmulatedStream null_stream;
  std::vector<EmulatedStream*> all{&null_stream};
  std::vector<std::unique_ptr<Capture>> captures;
  std::set<const void*> loaded;  // kernels that were launched
  std::exception_ptr failure;    // of work that ran late
  std::mt19937_64 random{1};
  int64_t frees_while_capturing = 0;
};

Streams& streams() {
  static auto* own = new Streams;
  return *own;
}

/// The stream that a handle means.
EmulatedStream& stream_of(cudaStream_t stream) {
  return stream == nullptr ? streams().null_stream : *stream;
}

bool can_run(const EmulatedStream& stream) {
  if (stream.queue.empty()) return false;
  const Item& next = stream.queue.front();
  return next.awaited == nullptr || next.awaited->happened >= next.count;
}

/// What the device would do next on this stream. A failure is kept, and the rest goes on: it must not be lost
/// in a destructor that waits.
void run_next(EmulatedStream& stream) {
  const Item item = std::move(stream.queue.front());
  stream.queue.pop_front();
  stream.time = std::max(stream.time, item.called);
  if (item.awaited != nullptr) stream.time = std::max(stream.time, item.awaited->time);
  if (item.happens != nullptr) {
    item.happens->happened = std::max(item.happens->happened, item.count);
    item.happens->time = stream.time;
  }
  if (!item.work.run) return;
  const Clock::time_point begin = Clock::now();
  try {
    item.work.run();
    count_run();
  } catch (...) {
    if (!streams().failure) streams().failure = std::current_exception();
  }
  stream.time += Clock::now() - begin;
}

/// Work of streams that are ready, in an order drawn from the seed, until `is_done`.
template <class Condition>
void run_until(Condition is_done) {
  Streams& own = streams();
  while (!is_done()) {
    std::vector<EmulatedStream*> ready;
    for (EmulatedStream* stream : own.all) {
      if (can_run(*stream)) ready.push_back(stream);
    }
    check(!ready.empty(), "emulator: streams wait for each other, or for an event that is never recorded");
    run_next(*ready[own.random() % ready.size()]);
  }
}

void throw_failure() {
  if (streams().failure) std::rethrow_exception(std::exchange(streams().failure, nullptr));
}

void enqueue(EmulatedStream& stream, Item item) {
  item.called = Clock::now();
  EmulatedStream& null_stream = streams().null_stream;
  if (&stream == &null_stream) {
    run_until([] {
      return std::all_of(streams().all.begin(), streams().all.end(), [](const EmulatedStream* other) {
        return !other->is_blocking || other->queue.empty();
      });
    });
  } else if (stream.is_blocking) {
    run_until([&] { return null_stream.queue.empty(); });
  }
  stream.queue.push_back(std::move(item));
  if (streams().order == StreamOrder::deferred) return;
  run_until([&] { return stream.queue.empty(); });
  throw_failure();
}

/// Whether a stream takes no part in the capture under way on its device. CUDA runs its work at once, which
/// the graph then lacks.
bool is_beside_capture(const EmulatedStream& stream) {
  return stream.capture == nullptr &&
         std::any_of(streams().captures.begin(), streams().captures.end(),
                     [&](const auto& capture) { return capture->origin->device == stream.device; });
}

}  // namespace

void set_stream_order(StreamOrder order) {
  const std::lock_guard lock(streams().mutex);
  drain_all();
  streams().order = order;
  throw_failure();
}

void seed_streams(uint64_t seed) {
  const std::lock_guard lock(streams().mutex);
  streams().random.seed(seed);
}

int64_t frees_while_capturing() {
  return streams().frees_while_capturing;
}

bool is_capturing() {
  return !streams().captures.empty();
}
bool is_capturing_beside(cudaStream_t stream) {
  const EmulatedStream& own = stream_of(stream);
  return own.capture != nullptr || is_beside_capture(own);
}

int& current_device() {
  static thread_local int device = 0;
  return device;
}

void drain_all() noexcept {
  Streams& own = streams();
  const std::lock_guard lock(own.mutex);
  if (is_capturing()) ++own.frees_while_capturing;
  try {
    run_until([&] {
      return std::all_of(own.all.begin(), own.all.end(),
                         [](const auto* stream) { return stream->queue.empty(); });
    });
  } catch (...) {
    if (!own.failure) own.failure = std::current_exception();
  }
}

cudaError_t refuse_capture(cudaError_t error) {
  for (const auto& capture : streams().captures) capture->is_invalidated = true;
  return remember(error);
}

void submit(cudaStream_t handle, Work work) {
  const std::lock_guard lock(streams().mutex);
  EmulatedStream& stream = stream_of(handle);
  const void* kernel = work.kernel.function;
  const bool is_first = kernel != nullptr && streams().loaded.insert(kernel).second;
  if (is_beside_capture(stream) || (is_first && stream.capture != nullptr)) {
    if (is_first) streams().loaded.erase(kernel);
    refuse_capture(is_first && stream.capture != nullptr ? cudaErrorStreamCaptureUnsupported
                                                         : cudaErrorStreamCaptureIsolation);
    return;
  }
  if (stream.capture != nullptr) {
    stream.capture->work.push_back(std::move(work));
    ++stream.nodes;
  } else if (TrafficMeter::current() == nullptr) {
    enqueue(stream, {std::move(work), nullptr, nullptr});
  }
}

}  // namespace fovea::emulator

using namespace fovea::emulator;  // NOLINT: what follows are functions of CUDA's interface

namespace {

std::lock_guard<std::recursive_mutex> locked() {
  return std::lock_guard<std::recursive_mutex>(streams().mutex);
}

/// Events live as long as what is queued needs them; a handle is the address of one that this holds.
std::vector<std::shared_ptr<EmulatedEvent>>& events() {
  static auto* all = new std::vector<std::shared_ptr<EmulatedEvent>>;
  return *all;
}

std::shared_ptr<EmulatedEvent> event_of(cudaEvent_t event) {
  const auto found =
      std::find_if(events().begin(), events().end(), [=](const auto& own) { return own.get() == event; });
  return found == events().end() ? nullptr : *found;
}

}  // namespace

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  const auto lock = locked();
  *stream = new EmulatedStream;
  (*stream)->is_blocking = (flags & cudaStreamNonBlocking) == 0;
  streams().all.push_back(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const auto lock = locked();
  // Its work is still done.
  drain_all();
  std::erase(streams().all, stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  const auto lock = locked();
  EmulatedStream& stream = stream_of(handle);
  if (stream.capture != nullptr) return refuse_capture(cudaErrorStreamCaptureUnsupported);
  run_until([&] { return stream.queue.empty(); });
  throw_failure();
  return remember(cudaSuccess);
}
cudaError_t cudaDeviceSynchronize() {
  const auto lock = locked();
  if (is_capturing()) return refuse_capture(cudaErrorStreamCaptureUnsupported);
  drain_all();
  throw_failure();
  return remember(cudaSuccess);
}
cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  const auto lock = locked();
  EmulatedStream& stream = stream_of(handle);
  if (event->capture != nullptr) {
    // The stream takes part from now on: what it is given runs after what the event stands for.
    if (stream.capture != nullptr && stream.capture != event->capture) {
      return refuse_capture(cudaErrorStreamCaptureIsolation);
    }
    stream.capture = event->capture;
    event->stream->joined_nodes = std::max(event->stream->joined_nodes, event->stream_nodes);
    return remember(cudaSuccess);
  }
  if (event->is_captured || is_capturing_beside(handle))
    return refuse_capture(cudaErrorStreamCaptureIsolation);
  if (event->recorded > 0) enqueue(stream, {{}, nullptr, event_of(event), event->recorded});
  return remember(cudaSuccess);
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  const auto lock = locked();
  events().push_back(std::make_shared<EmulatedEvent>());
  *event = events().back().get();
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  return cudaEventCreate(event);
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  const auto lock = locked();
  EmulatedStream& stream = stream_of(handle);
  if (is_beside_capture(stream)) return refuse_capture(cudaErrorStreamCaptureIsolation);
  event->capture = stream.capture;
  event->is_captured = stream.capture != nullptr;
  event->stream = handle;
  event->stream_nodes = stream.nodes;
  if (stream.capture == nullptr) enqueue(stream, {{}, event_of(event), nullptr, ++event->recorded});
  return remember(cudaSuccess);
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const auto lock = locked();
  if (event->is_captured) return refuse_capture(cudaErrorCapturedEvent);
  run_until([&] { return event->happened >= event->recorded; });
  throw_failure();
  return remember(cudaSuccess);
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  const auto lock = locked();
  if (event->is_captured) return refuse_capture(cudaErrorCapturedEvent);
  return event->happened >= event->recorded ? remember(cudaSuccess) : cudaErrorNotReady;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  const auto lock = locked();
  if (begin->happened < begin->recorded || end->happened < end->recorded) return cudaErrorNotReady;
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - begin->time).count();
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const auto lock = locked();
  std::erase_if(events(), [=](const auto& own) { return own.get() == event; });
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  const auto lock = locked();
  if (stream == nullptr || stream->capture != nullptr) return remember(cudaErrorInvalidValue);
  streams().captures.push_back(std::make_unique<Capture>());
  stream->capture = streams().captures.back().get();
  stream->capture->origin = stream;
  stream->nodes = stream->joined_nodes = 0;
  return remember(cudaSuccess);
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const auto lock = locked();
  *graph = nullptr;
  if (stream == nullptr || stream->capture == nullptr || stream->capture->origin != stream) {
    return remember(cudaErrorInvalidValue);
  }
  Capture* const capture = stream->capture;
  const bool is_invalidated = capture->is_invalidated;
  bool is_joined = true;
  for (EmulatedStream* other : streams().all) {
    if (other->capture != capture) continue;
    is_joined = is_joined && (other == stream || other->nodes == other->joined_nodes);
    other->capture = nullptr;
    other->nodes = other->joined_nodes = 0;
  }
  for (const auto& event : events()) {
    if (event->capture == capture) event->capture = nullptr;
  }
  if (!is_invalidated && is_joined) *graph = new EmulatedGraph{std::move(capture->work)};
  std::erase_if(streams().captures, [=](const auto& own) { return own.get() == capture; });
  if (!is_invalidated && !is_joined) return remember(cudaErrorStreamCaptureUnjoined);
  return remember(is_invalidated ? cudaErrorStreamCaptureInvalidated : cudaSuccess);
}
cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  const auto lock = locked();
  const EmulatedStream& stream = stream_of(handle);
  *status = stream.capture == nullptr        ? cudaStreamCaptureStatusNone
            : stream.capture->is_invalidated ? cudaStreamCaptureStatusInvalidated
                                             : cudaStreamCaptureStatusActive;
  return remember(cudaSuccess);
}
