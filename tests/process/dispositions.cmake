# Handlers, safe points and the trip routine.
tocsin_test(
    tocsin_process_dispositions
    SOURCES signal.cpp safe_point.cpp defer.cpp runtime.cpp wakeup.cpp nudge.cpp interpreter.cpp
    LABELS process
    TIMEOUT 60)
tocsin_test(
    tocsin_process_trip
    SOURCES trip.cpp small_stacks.cpp fork.cpp fault.cpp
    LABELS process
    TIMEOUT 120)
