# Those that take signals elsewhere than at safe points of the main thread: a thread, a token, the kernel's queue, children.
tocsin_test(
    tocsin_process_consumers
    SOURCES background.cpp stop.cpp lossless_inbox.cpp describe.cpp child_watcher.cpp inbox_wake.cpp
            inbox_resend.cpp
    LABELS process
    TIMEOUT 120)
