/* The blocking call of a slot's owner: signals on its own thread and on two others, the range of instructions that looks
 * and enters the kernel, the nudge, deferral, calls that do not wait. src/sys/syscall.hpp: guarded_syscall();
 * src/interruptible.hpp; sys::redirect(); src/trip.cpp: deliver(), write_wake_byte(), tocsin_nudged().
 *
 * Proved: the owner never sleeps in the kernel while a signal is pending and nobody is on the way to wake it (that is an
 * invalid end state: all others have ended and the owner cannot go on); no handler runs while deferred; the result of a
 * call that was completed reaches the caller; with LTL defined also that what is pending is handled after finitely many
 * steps, so that nudges and aborts do not chase each other for ever.
 *
 * A nudge is a standard signal: one that is sent while one waits for the thread is merged with it.
 * TAKEN_WORD is the cheaper rule "nudge only an owner that says it is inside a call, the first takes the word away": a late
 * nudge takes the word of the next call and is spent before that call's range.
 * WAKE_ERROR: another thread could not write to the wake-up descriptor, and sets the bit again so that a safe point reports
 * it. QUIET_ERROR: it does so without a nudge; the next arrival then finds the bit set and does not nudge either.
 *
 * Sequentially consistent: see trip.pml. Records are left out: a signal is its pending bit here.
 *
 * Broken variants: LOOK_OUTSIDE, NO_REDIRECT, RANGE_TOO_LONG, NO_NUDGE, NUDGE_FIRST, TAKEN_WORD, GATE_OPEN,
 * QUIET_ERROR.
 */

/* Where the owner's program counter is. */
mtype = { elsewhere, in_range, in_kernel, at_end }
/* What its register holds at the end. */
mtype = { nothing, interrupted_call, completed }

#ifndef TRIPS
#define TRIPS 2 /* arrivals on the first other thread; one on the second, one on the owner's */
#endif

byte pending;               /* bit 1: the owner's own thread brings it; 2 and 4: the others */
bool nudged;                /* the reserved signal is pending for the owner's thread */
#ifdef TAKEN_WORD
bool inside;                /* the owner says that it is in a call */
#endif
mtype counter = elsewhere;
mtype result = nothing;
bool redirected;            /* the program counter is at the abort label */
bool handling;              /* a signal handler runs on the owner's thread */
bool blocked;               /* the owner's thread blocks all signals */
bool data;                  /* the call can be completed */
byte running = 3;           /* who may still send signals */
bool deferring;

/* A signal interrupts the kernel's wait: it fails with EINTR, or is wound back to be entered anew (SA_RESTART). */
inline interrupt_thread()
{
    handling = true;
    if
    :: counter == in_kernel ->
        if
        :: counter = at_end; result = interrupted_call
        :: counter = in_range
        fi
    :: else
    fi
}

inline redirect()
{
#ifdef NO_REDIRECT
    skip
#else
    if
#ifdef RANGE_TOO_LONG
    :: counter == in_range || counter == at_end -> counter = at_end; redirected = true
#else
    :: counter == in_range -> redirected = true
#endif
    :: else
    fi
#endif
}

/* fetch_or; true in `fresh` if this one has set the bit. */
inline publish()
{
    d_step { fresh = !(pending & mask); pending = pending | mask }
}

inline nudge_owner()
{
#if defined(NO_NUDGE)
    fresh = false
#elif defined(TAKEN_WORD)
    if
    :: inside ->
        atomic { fresh = inside; inside = false } /* exchange */
        atomic { nudged = nudged || fresh; fresh = false }
    :: else
    fi
#else
    atomic { nudged = nudged || fresh; fresh = false }
#endif
}

/* deliver() on another thread: what the owner's thread would do differently is in own_thread(). */
proctype other_thread(byte mask; byte trips)
{
    bool fresh;
    do
    :: atomic { trips > 0 -> trips-- }
#ifdef NUDGE_FIRST
        fresh = !(pending & mask);
        nudge_owner();
        publish();
        fresh = false;
#else
        publish();
        nudge_owner();
#endif
#ifdef WAKE_ERROR
        if
        :: true ->
            publish();
#ifdef QUIET_ERROR
            fresh = false
#else
            nudge_owner()
#endif
        :: true
        fi
#else
        skip
#endif
    :: atomic { trips == 0 -> running--; break }
    od
}

/* tocsin_trip() on the owner's thread. It does not nudge. */
proctype own_thread(byte mask)
{
    atomic { !handling && !blocked -> interrupt_thread() }
    pending = pending | mask;
    atomic { redirect(); handling = false; running-- }
}

/* tocsin_nudged(). */
proctype nudge_handler()
{
end: do
    :: atomic { nudged && !handling && !blocked -> nudged = false; interrupt_thread() }
        atomic { redirect(); handling = false }
    od
}

proctype world() { if :: data = true :: skip fi }

inline safe_point()
{
    seen = pending;
    do
    :: seen != 0 && !deferring ->
        d_step { /* the lowest bit, cleared just before its handler runs */
            if :: seen & 1 -> one = 1 :: else -> if :: seen & 2 -> one = 2 :: else -> one = 4 fi fi;
            seen = seen & ~one;
            pending = pending & ~one
        }
        assert(!deferring);
        one = 0
    :: else -> break
    od;
    seen = 0
}

inline abort() { redirected = false; counter = elsewhere; result = interrupted_call }

/* guarded_syscall() sees something. */
#ifdef GATE_OPEN
#define gate (pending != 0)
#else
#define gate (!deferring && pending != 0)
#endif

/* Nobody can send anything any more, and the owner is about to sleep. */
#define all_quiet (running == 0 && !nudged && !handling)

proctype owner() provided (!handling)
{
    byte seen, one;
    bool deferred_once, was_completed;

next_round:
    atomic {
        if
        :: !deferred_once -> deferred_once = true; deferring = true /* a defer_signals guard for this round */
        :: true
        fi
    }
    safe_point();
#ifdef PAUSE
    if
    :: !deferring -> goto pause
    :: true
    fi;
#endif
    result = nothing;
#ifdef TAKEN_WORD
    inside = !deferring;
#endif
    if
    :: atomic { true -> goto syscall_no_wait } /* a time limit of zero: outside the range */
    :: true
    fi;

    /* guarded_syscall(). call_gate(): who defers looks at a word that is always zero. A step in the range is taken only if no handler has moved the program counter. */
#ifdef LOOK_OUTSIDE
    if
    :: gate -> result = interrupted_call; goto returned
    :: else
    fi;
    counter = in_range;
#else
    counter = in_range;
    if
    :: atomic { redirected -> abort(); goto returned }
    :: atomic { !redirected && gate -> abort(); goto returned }
    :: !redirected && !(gate)
    fi;
#endif
syscall_instruction:
    if
    :: atomic { redirected -> abort(); goto returned }
    :: atomic { !redirected -> counter = in_kernel }
    fi;
    if
    :: atomic { counter == in_kernel && (data || deferring) -> data = false; counter = at_end; result = completed;
                was_completed = true } /* deferred, it always completes: an arrival need not end it */
    :: atomic { counter == in_range -> goto syscall_instruction }
    :: counter == at_end
    :: atomic { counter == in_kernel && all_quiet && pending == 0 -> goto all_over }
    fi;
    if
    :: atomic { redirected -> abort() }
    :: atomic { !redirected -> counter = elsewhere }
    fi;
returned:
    atomic {
#ifdef TAKEN_WORD
        inside = false;
#endif
        assert(!was_completed || result == completed);
        was_completed = false;
        if
        :: result == completed -> deferring = false /* the guard ends after the call; until then it is repeated */
        :: else
        fi;
        result = nothing;
        goto next_round
    }

#ifdef PAUSE
pause: /* pause() */
    blocked = true;
#ifdef TAKEN_WORD
    inside = true;
#endif
    if
    :: pending != 0
    :: pending == 0 ->
        /* sigsuspend() opens the mask in one step with going to sleep, and closes it when a handler has run. */
        atomic { counter = in_kernel; blocked = false }
        if
        :: atomic { counter != in_kernel -> blocked = true; counter = elsewhere; redirected = false }
        :: atomic { counter == in_kernel && all_quiet && pending == 0 -> goto all_over }
        fi
    fi;
#ifdef TAKEN_WORD
    inside = false;
#endif
    blocked = false;
    goto next_round;
#endif

syscall_no_wait:
    /* raw_syscall(): enters the kernel whatever is pending, and comes back at once. */
    atomic { counter = elsewhere; result = completed; was_completed = true; goto returned }

all_over:
    skip
}

init {
    atomic {
        run owner();
        run nudge_handler();
        run own_thread(1);
        run other_thread(2, TRIPS);
        run other_thread(4, 1);
        run world()
    }
}

#ifdef LTL
ltl handled { [] (pending != 0 -> <> (pending == 0)) }
#endif
