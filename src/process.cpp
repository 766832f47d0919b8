#include "process.hpp"

#include <pthread.h>

#include <cerrno>
#include <mutex>
#include <string>

#include <tocsin/error.hpp>

#include "fail.hpp"
#include "registry.hpp"
#include "safe_point.hpp"
#include "slot.hpp"
#include "sys/sys.hpp"
#include "trip.hpp"

namespace tocsin::detail {
namespace {

// Which process of a line of forks this is; a thread's cached answer counts only for the one it was found in.
constinit std::atomic<unsigned> generation{1};

void empty_slot(slot& which) noexcept
{
    which.pending().store(0, std::memory_order_relaxed);
    which.wake.store(0, std::memory_order_relaxed);
    which.wake_error.store(0, std::memory_order_relaxed);
    for (record& each : which.records)
        each.word.store(0, std::memory_order_relaxed);
}

void before_fork() noexcept { registry::instance().lock(); }

void after_fork_in_parent() noexcept { registry::instance().unlock(); }

// The thread that forked is alone here. Signals of the parent are the parent's to handle; until the last line the trip
// routine treats this process as foreign.
void after_fork_in_child() noexcept
{
    registry::instance().unlock();
    empty_slot(slots[main_slot]);
    if (!is_main_thread())
        end_all_deferrals(); // the guards belong to a thread that does not exist here
    generation.fetch_add(1, std::memory_order_relaxed);
    if (owner_pid.load(std::memory_order_relaxed) != 0)
        owner_pid.store(sys::getpid(), std::memory_order_relaxed);
    // Release pairs with the acquire fence that a signal's delivery on this, the only, thread implies.
    owner_word.load(std::memory_order_relaxed)->store(1, std::memory_order_release);
}

} // namespace

void claim_process()
{
    if (owner_word.load(std::memory_order_acquire) != nullptr)
        return;
    static constinit std::mutex once;
    const std::lock_guard hold(once);
    if (owner_word.load(std::memory_order_relaxed) != nullptr)
        return;
    bool wiped = false;
    void* const page = sys::map_wiped_page(wiped);
    if (page == nullptr)
        fail(ENOMEM, "tocsin: no memory for the page that tells a forked child");
    auto* const word = new (page) std::atomic<std::uint32_t>(1);
    if (!wiped)
        owner_pid.store(sys::getpid(), std::memory_order_relaxed);
    if (const int error = ::pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child); error != 0)
        fail(error, "pthread_atfork");
    owner_word.store(word, std::memory_order_release); // pairs with the acquire load in in_owner_process()
}

bool is_main_thread() noexcept
{
    struct answer {
        unsigned generation = 0;
        bool is_main = false;
    };
    static thread_local constinit answer cached;
    const unsigned now = generation.load(std::memory_order_relaxed);
    if (cached.generation != now)
        cached = {now, sys::gettid() == sys::getpid()};
    return cached.is_main;
}

void require_main_thread(const char* function)
{
    if (!is_main_thread())
        throw thread_error(std::string(function) + " only works in the main thread");
}

} // namespace tocsin::detail
