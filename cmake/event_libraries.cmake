# The libraries that there are adapters for, as targets event::NAME where they are installed. Their headers are system
# headers: their warnings do not count.
include_guard(GLOBAL)
if(CMAKE_CROSSCOMPILING) # what is installed is the host's
    return()
endif()
find_package(PkgConfig QUIET)

# tocsin_event_library(NAME PACKAGE MODULE...): pkg-config's MODULEs; PACKAGE is Debian's name.
function(tocsin_event_library name package)
    if(PkgConfig_FOUND)
        pkg_check_modules(event_${name} QUIET IMPORTED_TARGET GLOBAL ${ARGN})
    endif()
    if(TARGET PkgConfig::event_${name})
        add_library(event::${name} ALIAS PkgConfig::event_${name})
    else()
        message(STATUS "What needs ${name} is left out (Debian: apt-get install pkg-config ${package})")
    endif()
endfunction()

tocsin_event_library(libevent libevent-dev libevent_core libevent_extra libevent_pthreads)
tocsin_event_library(libuv libuv1-dev libuv)
tocsin_event_library(sd_event libsystemd-dev libsystemd)
tocsin_event_library(glib libglib2.0-dev glib-2.0)

# libev tells pkg-config nothing.
find_path(TOCSIN_EV_INCLUDE ev.h)
find_library(TOCSIN_EV_LIBRARY ev)
mark_as_advanced(TOCSIN_EV_INCLUDE TOCSIN_EV_LIBRARY)
if(TOCSIN_EV_INCLUDE AND TOCSIN_EV_LIBRARY)
    add_library(event::libev UNKNOWN IMPORTED GLOBAL)
    set_target_properties(event::libev PROPERTIES IMPORTED_LOCATION ${TOCSIN_EV_LIBRARY}
                                                  INTERFACE_INCLUDE_DIRECTORIES ${TOCSIN_EV_INCLUDE})
else()
    message(STATUS "What needs libev is left out (Debian: apt-get install libev-dev)")
endif()

find_package(Qt6 QUIET COMPONENTS Core GLOBAL)
if(TARGET Qt6::Core)
    # The target in which moc sees the adapter's header. What moc writes is not for clang-tidy.
    add_library(event_qt STATIC ${PROJECT_SOURCE_DIR}/include/tocsin/adapters/qt.hpp)
    set_target_properties(event_qt PROPERTIES AUTOMOC ON CXX_CLANG_TIDY "" LINKER_LANGUAGE CXX)
    target_link_libraries(event_qt PUBLIC Qt6::Core PRIVATE tocsin_options tocsin_shared)
    add_library(event::qt ALIAS event_qt)
else()
    message(STATUS "What needs Qt is left out (Debian: apt-get install qt6-base-dev)")
endif()

# Headers only, and without a file for pkg-config.
find_package(Threads REQUIRED)
foreach(name asio boost_asio)
    string(REPLACE _ / directory ${name})
    find_path(event_${name}_directory ${directory}.hpp)
    mark_as_advanced(event_${name}_directory)
    if(event_${name}_directory)
        add_library(event::${name} INTERFACE IMPORTED GLOBAL)
        target_link_libraries(event::${name} INTERFACE Threads::Threads)
        target_include_directories(event::${name} SYSTEM INTERFACE ${event_${name}_directory})
        if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_FLAGS MATCHES "-fsanitize=thread")
            target_compile_options(event::${name} INTERFACE -Wno-tsan) # it cannot see fences: Asio has locks besides
        endif()
    else()
        message(STATUS "What needs ${name} is left out (Debian: apt-get install libasio-dev libboost1.81-dev)")
    endif()
endforeach()

if(TARGET event::asio)
    include(CheckCXXSourceCompiles)
    set(CMAKE_REQUIRED_FLAGS -std=c++20)
    set(CMAKE_REQUIRED_LIBRARIES event::asio)
    check_cxx_source_compiles(
        "#include <asio/awaitable.hpp>\nasio::awaitable<int> f() { co_return 1; }\nint main() { f(); }"
        TOCSIN_ASIO_COROUTINES)
    unset(CMAKE_REQUIRED_FLAGS)
    unset(CMAKE_REQUIRED_LIBRARIES)
    if(NOT TOCSIN_ASIO_COROUTINES)
        message(STATUS "What needs Asio's coroutines is left out: not with this compiler and standard library")
    endif()
endif()
