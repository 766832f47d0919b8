# What children and the programs they execute get (G6).
tocsin_test(
    tocsin_process_fork_exec
    SOURCES fork_foreign.cpp fork_child.cpp fork_exec.cpp
    LABELS process
    TIMEOUT 120)
