#include <tocsin/wakeup.hpp>

#include <fcntl.h>

#include <ctime>
#include <stdexcept>
#include <string>

#include "fail.hpp"
#include "process.hpp"
#include "slot.hpp"
#include "sys/sys.hpp"

namespace tocsin {

int set_wakeup_fd(int fd, wakeup_options options)
{
    detail::require_main_thread("set_wakeup_fd");
    if (fd != -1) {
        const int flags = sys::status_flags(fd);
        if (flags < 0)
            detail::fail(-flags, "set_wakeup_fd: descriptor " + std::to_string(fd));
        if ((flags & O_NONBLOCK) == 0)
            throw std::invalid_argument("set_wakeup_fd: the fd " + std::to_string(fd) +
                                        " must be in non-blocking mode");
    }
    detail::claim_process(); // so that a forked child turns it off, whatever is set up first
    detail::slot& main = detail::slots[detail::main_slot];
    const auto before = detail::wake_target::unpack(main.wake.load(std::memory_order_relaxed)); // only written here
    const detail::wake_target target{fd, options.warn_on_full_buffer, 1 - before.turn};
    main.wake.store(target.pack(), std::memory_order_seq_cst); // pairs with the loads in wake()
    // Another thread may be about to write to the old descriptor, which the caller may close next. It is inside the trip
    // routine, so not for long; sleeping lets it run even if this thread has a real-time priority.
    while (main.wakers[before.turn].load(std::memory_order_seq_cst) != 0) {
        constexpr timespec moment{0, 1000};
        ::nanosleep(&moment, nullptr);
    }
    return before.fd;
}

} // namespace tocsin
