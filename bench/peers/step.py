"""A debugger that sends a signal to another process at a chosen instruction (x86-64)."""

import ctypes
import os
import select
import signal
import struct
import time

SEIZE, INTERRUPT, CONT, SINGLESTEP, SYSCALL, GETREGS = 0x4206, 0x4207, 7, 9, 24, 12
TRACESYSGOOD, WALL = 1, 0x40000000
GETPPID, TGKILL = 110, 234
ORIG_RAX = 15  # its place in struct user_regs_struct

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(request, pid, data=None):
    if libc.ptrace(request, pid, None, data) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace request {request}")


def send_to_thread(pid, tid, sig):
    if libc.syscall(TGKILL, pid, tid, sig) != 0:
        raise OSError(ctypes.get_errno(), "tgkill")


def asleep(pid):
    with open(f"/proc/{pid}/stat", "rb") as f:
        return f.read().rsplit(b")", 1)[1].split()[0] == b"S"


class Stepper:
    """The peer is stopped right after the getppid() with which it marks the start of a wait."""

    def __init__(self, peer):
        self.peer, self.pid = peer, peer.process.pid
        ptrace(SEIZE, self.pid, TRACESYSGOOD)

    def stopped(self, seconds):
        """The signal of the next stop, or None if the thread sleeps that long instead."""
        end = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG | WALL)
            if pid:
                if not os.WIFSTOPPED(status):
                    raise RuntimeError(f"the peer ended: wait status {status}")
                return status >> 8
            if time.monotonic() > end:
                if asleep(self.pid):
                    return None
                end = time.monotonic() + seconds

    def to_mark(self):
        ptrace(INTERRUPT, self.pid)
        self.stopped(1)
        self.peer.write("wait 10000")
        signal_to_pass, marks = 0, 0
        while marks < 2:  # the call's entry and its exit
            ptrace(SYSCALL, self.pid, signal_to_pass)
            stop = self.stopped(5)
            signal_to_pass = 0
            if stop == signal.SIGTRAP | 0x80:
                registers = ctypes.create_string_buffer(27 * 8)
                ptrace(GETREGS, self.pid, ctypes.addressof(registers))
                marks += struct.unpack_from("Q", registers.raw, ORIG_RAX * 8)[0] == GETPPID
            elif stop is None:
                raise RuntimeError("no mark")
            elif stop >> 8 == 0 and stop != signal.SIGTRAP:
                signal_to_pass = stop

    def at(self, steps, sig):
        """Sends `sig` that many instructions after the mark. Returns how many were made before the thread slept, and
        whether the signal was slept through."""
        self.to_mark()
        made, sleeping = 0, False
        while made < steps and not sleeping:
            ptrace(SINGLESTEP, self.pid)
            sleeping = self.stopped(0.05) is None
            made += not sleeping
        send_to_thread(self.pid, self.pid, sig)
        if not sleeping:
            ptrace(CONT, self.pid)
        stalled, end = False, time.monotonic() + 0.2
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG | WALL)
            if pid:
                if not os.WIFSTOPPED(status):
                    raise RuntimeError(f"the peer ended: wait status {status}")
                stop = status >> 8
                ptrace(CONT, self.pid, stop if stop < 64 and stop != signal.SIGTRAP else 0)
            elif select.select([self.peer.process.stdout], [], [], 0)[0]:
                self.peer.read(1)
                return made, stalled
            elif time.monotonic() > end:
                if asleep(self.pid):
                    if stalled:
                        raise RuntimeError("a second signal does not end the wait either")
                    stalled = True
                    send_to_thread(self.pid, self.pid, sig)
                end = time.monotonic() + 1
