# timer_queue, interval and virtual_clock, by what their headers promise.
tocsin_test(
    tocsin_process_timer_queue
    SOURCES timer_queue.cpp timer_queue_crowd.cpp timer_queue_kernel.cpp timer_queue_threads.cpp interval.cpp virtual_clock.cpp
    LABELS process
    TIMEOUT 300)
