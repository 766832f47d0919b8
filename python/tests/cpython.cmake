# CPython's own tests with tocsin in the place of the standard module, and the same questions asked to both. Not for
# instrumented builds: the virtual environments are the interpreter's as it is.
if(CMAKE_CXX_FLAGS MATCHES "-fsanitize|--coverage|-fprofile")
    return()
endif()
set(package ${PROJECT_BINARY_DIR}/python)

# tocsin_cpython_test(name seconds argument...)
function(tocsin_cpython_test name seconds)
    add_test(NAME python.${name} COMMAND ${TOCSIN_SYSTEM_PYTHON3} -B ${ARGN} --python ${TOCSIN_SYSTEM_PYTHON3}
             WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    set_tests_properties(python.${name} PROPERTIES LABELS python TIMEOUT ${seconds})
endfunction()

tocsin_cpython_test(differential 120 differential.py --package ${package})
execute_process(COMMAND ${TOCSIN_SYSTEM_PYTHON3} -c "import test.test_signal" RESULT_VARIABLE absent ERROR_QUIET)
if(absent)
    message(STATUS "tests of CPython: not without libpython3.11-testsuite")
    return()
endif()
tocsin_cpython_test(cpython 600 cpython.py --package ${package} --quick)

# Those tests bite: an extension that does not tell the interpreter of a signal, else the same. Only they use it.
set(hook ${PROJECT_SOURCE_DIR}/python/src/hook.cpp)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${hook})
file(READ ${hook} whole)
string(REPLACE "handler(sig);" "(void)sig;" broken "${whole}")
if(broken STREQUAL whole)
    message(FATAL_ERROR "hook.cpp: where it tells the interpreter has changed: this file must follow")
endif()
file(CONFIGURE OUTPUT untold/hook.cpp CONTENT "${broken}" @ONLY)
add_library(tocsin_python_untold MODULE ${CMAKE_CURRENT_BINARY_DIR}/untold/hook.cpp
            "$<FILTER:$<TARGET_OBJECTS:tocsin_python>,EXCLUDE,hook\\.cpp\\.o$>")
foreach(property INCLUDE_DIRECTORIES SYSTEM_INCLUDE_DIRECTORIES LINK_LIBRARIES LINK_OPTIONS PREFIX OUTPUT_NAME SUFFIX
                 CXX_VISIBILITY_PRESET VISIBILITY_INLINES_HIDDEN CXX_EXTENSIONS)
    get_target_property(value tocsin_python ${property})
    if(NOT value MATCHES "NOTFOUND$")
        set_target_properties(tocsin_python_untold PROPERTIES ${property} "${value}")
    endif()
endforeach()
target_include_directories(tocsin_python_untold PRIVATE ${PROJECT_SOURCE_DIR}/python/src)
set_target_properties(tocsin_python_untold PROPERTIES LIBRARY_OUTPUT_DIRECTORY
                                                      ${CMAKE_CURRENT_BINARY_DIR}/untold/tocsin)
add_dependencies(tocsin_python_untold tocsin_python)
tocsin_cpython_test(cpython_untold 300 cpython.py --package ${package} --extension $<TARGET_FILE:tocsin_python_untold>
                    --must-fail --suite test_threadsignals --suite test_signal --match ThreadSignals
                    --match WakeupSignalTests --match PendingSignalsTests --limit 20)
