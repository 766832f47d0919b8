# Time limits for calls and computations.
tocsin_test(
    tocsin_process_deadline
    SOURCES deadline.cpp deadline_edges.cpp
    LABELS process
    TIMEOUT 120)
